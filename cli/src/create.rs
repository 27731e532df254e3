//! `torrentlab create`

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use torrentlab_engine::metainfo::{Content, Metainfo, NewTorrent, default_piece_len};
use torrentlab_engine::net::{Access, FileSpan, Files, hash_all};
use torrentlab_engine::units::Geometry;
use torrentlab_scenarios::units::Size;

use crate::print::data;
use crate::progress::Progress;
use crate::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file or folder to share
    path: PathBuf,
    /// Where to write the torrent file [default: NAME.torrent here]
    #[arg(short, long, value_name = "X.torrent")]
    output: Option<PathBuf>,
    /// A tracker's address, http:// or udp://; more than one are tried in the order given
    #[arg(long, value_name = "URL")]
    announce: Vec<String>,
    /// Bytes of a piece [default: for 1,000 to 2,000 pieces]
    #[arg(long, value_name = "SIZE")]
    piece_length: Option<Size>,
    /// Peers are to come from the trackers alone (BEP 27)
    #[arg(long)]
    private: bool,
    /// Words that the torrent file carries for whoever looks into it
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let source = Source::find(&args.path)?;
    let piece_len = piece_len(args.piece_length, source.total_len())?;
    let options = Options {
        private: args.private,
        tiers: args.announce.iter().map(|url| vec![url.clone()]).collect(),
        comment: args.comment.clone(),
        quiet: args.quiet,
    };
    let (meta, bytes) = source.torrent(piece_len, options)?;
    let output = args.output.clone().unwrap_or_else(|| format!("{}.torrent", source.name).into());
    fs::write(&output, &bytes)
        .with_context(|| format!("cannot write {}", output.display()))
        .map_err(|error| Failure::failed(error, "choose another place with `-o`"))?;
    if args.json {
        let line = json!({
            "torrent": output.display().to_string(),
            "info_hash": meta.info_hash().to_string(),
            "name": source.name,
            "total_bytes": source.total_len(),
            "pieces": meta.geometry().pieces(),
            "piece_bytes": piece_len,
            "files": source.spans.len(),
        });
        data(line)?;
    } else {
        data(format_args!("{}  {}", meta.info_hash(), output.display()))?;
    }
    Ok(Exit::Done)
}

/// A file or folder to make a torrent of.
pub(crate) struct Source {
    name: String,
    /// The folder that the paths of `spans` are relative to.
    pub root: PathBuf,
    /// The files, in the order of the content.
    pub spans: Vec<FileSpan>,
    content: Content,
}

/// What a torrent says beside its content.
#[derive(Default)]
pub(crate) struct Options {
    pub private: bool,
    pub tiers: Vec<Vec<String>>,
    pub comment: Option<String>,
    pub quiet: bool,
}

impl Source {
    /// The file or folder at `path`.
    pub fn find(path: &Path) -> Result<Self, Failure> {
        let found = fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()));
        let path = found
            .map_err(|error| Failure::input(error, "give the path of a file or folder that is there"))?;
        let name = plain(path.file_name().unwrap_or_default().as_ref())?;
        let (root, spans, content) = content_of(&path)?;
        Ok(Self { name, root, spans, content })
    }

    /// Bytes of content.
    pub fn total_len(&self) -> u64 {
        self.spans.iter().map(|span| span.len).sum()
    }

    /// Hashes the content: its torrent, and the bytes of the torrent file.
    pub fn torrent(&self, piece_len: u32, options: Options) -> Result<(Metainfo, Vec<u8>), Failure> {
        let geometry = Geometry::new(self.total_len(), piece_len).map_err(|error| {
            Failure::input(error, "share something that is not empty, in larger pieces if need be")
        })?;
        let files = Files::open(&self.root, &self.spans, Access::Read).map_err(unreadable)?;
        let done = AtomicU64::new(0);
        let hashes = Progress::new("hashing", self.total_len(), options.quiet)
            .follow(&done, || hash_all(&files, geometry, &done))
            .map_err(unreadable)?;
        let torrent = NewTorrent {
            name: self.name.clone(),
            content: self.content.clone(),
            piece_len,
            hashes,
            private: options.private,
            tiers: options.tiers,
            comment: options.comment,
            created_by: Some(concat!("torrentlab ", env!("CARGO_PKG_VERSION")).to_owned()),
        };
        let bytes =
            torrent.encode().map_err(|error| Failure::input(error, "rename what the message names"))?;
        let meta = Metainfo::parse(&bytes).expect("a torrent that was just made is valid");
        Ok((meta, bytes))
    }
}

fn unreadable(error: torrentlab_engine::net::StorageError) -> Failure {
    Failure::failed(error, "see to it that the content can be read and does not change meanwhile")
}

fn piece_len(size: Option<Size>, total_len: u64) -> Result<u32, Failure> {
    let Some(size) = size else { return Ok(default_piece_len(total_len)) };
    match u32::try_from(size.bytes()) {
        Ok(len) if len >= 16 * 1024 && len.is_power_of_two() => Ok(len),
        _ => Err(Failure::input(
            anyhow!("a piece length of {size} is not usable"),
            "choose a power of two from \"16 KiB\" on, such as \"256 KiB\"",
        )),
    }
}

/// The folder that paths are relative to, the files in the order of the content, and the same for the torrent.
fn content_of(path: &Path) -> Result<(PathBuf, Vec<FileSpan>, Content), Failure> {
    let length = |path: &Path| {
        let meta = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()));
        meta.map(|meta| meta.len()).map_err(|error| Failure::failed(error, "see to it that it can be read"))
    };
    let span = |path: PathBuf, len| FileSpan { path, len, padding: false };
    if path.is_file() {
        let (folder, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
        let len = length(path)?;
        return Ok((folder.to_owned(), vec![span(name.into(), len)], Content::File(len)));
    }
    if !path.is_dir() {
        let error = anyhow!("{} is neither a file nor a folder", path.display());
        return Err(Failure::input(error, "give the path of a file or folder"));
    }
    let mut found = Vec::new();
    walk(path, &mut Vec::new(), &mut found)?;
    let mut spans = Vec::with_capacity(found.len());
    for parts in &found {
        let below: PathBuf = parts.iter().collect();
        let len = length(&path.join(&below))?;
        spans.push(span(below, len));
    }
    let lens = spans.iter().map(|span| span.len);
    let content = Content::Folder(found.into_iter().zip(lens).collect());
    Ok((path.to_owned(), spans, content))
}

/// The paths of all files below a folder, in the order of their names. Links are not followed.
fn walk(root: &Path, parts: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> Result<(), Failure> {
    let folder: PathBuf = std::iter::once(root.as_os_str()).chain(parts.iter().map(AsRef::as_ref)).collect();
    let read = || -> std::io::Result<Vec<fs::DirEntry>> {
        let mut entries = fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        Ok(entries)
    };
    let entries = read().with_context(|| format!("cannot read {}", folder.display()));
    let entries = entries.map_err(|error| Failure::failed(error, "see to it that the folder can be read"))?;
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().with_context(|| format!("cannot read {}", path.display()));
        let kind = kind.map_err(|error| Failure::failed(error, "see to it that it can be read"))?;
        parts.push(plain(entry.file_name().as_ref())?);
        if kind.is_dir() {
            walk(root, parts, found)?;
        } else if kind.is_file() {
            found.push(parts.clone());
        } else {
            let error = anyhow!("{} is neither a file nor a folder", path.display());
            return Err(Failure::input(
                error,
                "put a copy of what it stands for in its place, or take it away",
            ));
        }
        parts.pop();
    }
    Ok(())
}

/// A name as text, which a torrent wants it to be.
fn plain(name: &Path) -> Result<String, Failure> {
    let text = name.to_str().filter(|text| !text.is_empty()).map(str::to_owned);
    text.ok_or_else(|| {
        Failure::input(
            anyhow!("the name {:?} is not UTF-8 text", name),
            "rename it, or share a folder that has a name",
        )
    })
}
