//! Torrent files: read, checked and made (BEP 3, 12, 27, 47).

mod create;
mod path;
mod pieces;

use sha1::{Digest as _, Sha1};
use thiserror::Error;

use crate::bencode::{self, Dict, Keys, Value};
use crate::units::{Block, Geometry, GeometryError, InfoHash, PieceIndex};

pub use create::{Content, NewTorrent, default_piece_len};
pub use path::PathError;
pub use pieces::{PieceHash, PieceHasher, hash_piece};

/// A torrent: what it holds, how it is cut and hashed, and who tracks it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metainfo {
    info_hash: InfoHash,
    name: String,
    files: Vec<File>,
    geometry: Geometry,
    hashes: Vec<PieceHash>,
    private: bool,
    tiers: Vec<Vec<String>>,
    comment: Option<String>,
}

/// One file of a torrent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// Where it belongs below the download folder: at least one component, each checked to be a plain name. The
    /// first is the torrent's name.
    pub path: Vec<String>,
    /// Where it begins in the content.
    pub offset: u64,
    /// Its bytes.
    pub len: u64,
    /// It only fills a piece up with zeros and is not to be stored (BEP 47).
    pub padding: bool,
}

/// A stretch of one file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Its position in [`Metainfo::files`].
    pub file: usize,
    /// Where the stretch begins in the file.
    pub offset: u64,
    /// Its bytes: at least one.
    pub len: u64,
}

/// Why bytes are no usable torrent.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum MetainfoError {
    /// Not bencoded.
    #[error("not a torrent file: {0}")]
    Bencode(#[from] bencode::Error),
    /// A field that is needed.
    #[error("`{0}` is missing or of the wrong type")]
    Field(&'static str),
    /// Only the second version of the format.
    #[error("a version 2 torrent without version 1 data, which is not supported (BEP 52)")]
    VersionTwo,
    /// A piece length out of range.
    #[error("a piece length of {0} bytes (1 to {max} are supported)", max = Metainfo::MAX_PIECE_LEN)]
    PieceLength(i64),
    /// The content has no sensible shape.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// "pieces maps to a string whose length is a multiple of 20" (BEP 3).
    #[error("`info.pieces` has {0} bytes, which is no multiple of 20")]
    HashesLength(usize),
    /// Hashes and pieces differ.
    #[error("{hashes} piece hashes for {pieces} pieces")]
    HashCount {
        /// How many hashes there are.
        hashes: usize,
        /// How many pieces the content has.
        pieces: u32,
    },
    /// A length below zero, or more in all than a number holds.
    #[error("the length of {0:?} is out of range")]
    FileLength(String),
    /// "There is also a key length or a key files, but not both or neither" (BEP 3).
    #[error("`info` must have either `length` or `files`")]
    LengthOrFiles,
    /// A path that would lead out of the download folder, or cannot be a file's.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Metainfo {
    /// The longest piece that is supported, in bytes.
    pub const MAX_PIECE_LEN: i64 = 256 << 20;

    /// Reads a torrent file.
    ///
    /// # Errors
    /// Where it is malformed, or its content could not be stored safely.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetainfoError> {
        let root = bencode::decode(bytes, Keys::Sorted)?;
        let root = root.as_dict().ok_or(MetainfoError::Field("info"))?;
        let info = root.get("info").and_then(Value::as_dict).ok_or(MetainfoError::Field("info"))?;
        let hashes = piece_hashes(info)?;
        let name = text(info, "name.utf-8", "name").ok_or(MetainfoError::Field("info.name"))?;
        let files = files(info, &name)?;
        path::check_all(&files)?;
        let total_len = files.last().map_or(0, |file| file.offset + file.len);
        let geometry = Geometry::new(total_len, piece_len(info)?)?;
        if hashes.len() != geometry.pieces() as usize {
            return Err(MetainfoError::HashCount { hashes: hashes.len(), pieces: geometry.pieces() });
        }
        Ok(Self {
            // "The 20 byte sha1 hash of the bencoded form of the info value from the metainfo file" (BEP 3): of its
            // bytes as they stand there, whatever fields they hold.
            info_hash: InfoHash(Sha1::digest(info.raw()).into()),
            name,
            files,
            geometry,
            hashes,
            private: info.int("private") == Some(1),
            tiers: tiers(root),
            comment: text(root, "comment.utf-8", "comment"),
        })
    }

    /// The torrent's identity.
    pub const fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// The name of the file, or of the folder that holds the files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Words of whoever made it.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The files, in the order of the content.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// How the content is cut.
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The hash of each piece.
    pub fn hashes(&self) -> &[PieceHash] {
        &self.hashes
    }

    /// `private`: peers come from its trackers alone (BEP 27).
    pub const fn private(&self) -> bool {
        self.private
    }

    /// The trackers' addresses, in tiers (BEP 12).
    pub fn tiers(&self) -> &[Vec<String>] {
        &self.tiers
    }

    /// The trackers' addresses in one row: what an [`Announce`](crate::tracker::Announce) counts.
    pub fn trackers(&self) -> impl Iterator<Item = &str> {
        self.tiers.iter().flatten().map(String::as_str)
    }

    /// Whether `bytes` are the content of `piece`.
    pub fn verify(&self, piece: PieceIndex, bytes: &[u8]) -> bool {
        self.hashes.get(piece.get()) == Some(&hash_piece(bytes))
    }

    /// The stretches of files that `block` consists of, in order; a whole piece is a block too. What lies beyond the
    /// end of the content is in no file.
    pub fn segments(&self, block: Block) -> impl Iterator<Item = Segment> + '_ {
        let mut at = self.geometry.offset_of(block.piece) + u64::from(block.begin);
        let end = at + u64::from(block.len);
        let first = self.files.partition_point(|file| file.offset + file.len <= at);
        let touched =
            self.files.iter().enumerate().skip(first).take_while(move |(_, file)| file.offset < end);
        let segments = touched.map(move |(index, file)| {
            let len = end.min(file.offset + file.len) - at;
            let segment = Segment { file: index, offset: at - file.offset, len };
            at += len;
            segment
        });
        segments.filter(|segment| segment.len > 0)
    }
}

fn piece_hashes(info: &Dict<'_>) -> Result<Vec<PieceHash>, MetainfoError> {
    let Some(bytes) = info.bytes("pieces") else {
        return Err(match info.int("meta version") {
            Some(2) => MetainfoError::VersionTwo,
            _ => MetainfoError::Field("info.pieces"),
        });
    };
    match bytes.as_chunks::<20>() {
        (hashes, []) => Ok(hashes.to_vec()),
        _ => Err(MetainfoError::HashesLength(bytes.len())),
    }
}

fn piece_len(info: &Dict<'_>) -> Result<u32, MetainfoError> {
    let len = info.int("piece length").ok_or(MetainfoError::Field("info.piece length"))?;
    match u32::try_from(len) {
        Ok(piece_len) if (1..=Metainfo::MAX_PIECE_LEN).contains(&len) => Ok(piece_len),
        _ => Err(MetainfoError::PieceLength(len)),
    }
}

/// The files with their places in the content; their paths are not checked.
fn files(info: &Dict<'_>, name: &str) -> Result<Vec<File>, MetainfoError> {
    match (info.get("length"), info.get("files")) {
        (Some(_), None) => Ok(vec![file(info, vec![name.to_owned()], 0)?]),
        (None, Some(list)) => {
            let mut offset = 0;
            let mut files = Vec::new();
            for entry in list.as_list().ok_or(MetainfoError::Field("info.files"))? {
                let entry = entry.as_dict().ok_or(MetainfoError::Field("info.files"))?;
                let file = file(entry, file_path(entry, name)?, offset)?;
                offset += file.len;
                files.push(file);
            }
            Ok(files)
        }
        _ => Err(MetainfoError::LengthOrFiles),
    }
}

fn file(entry: &Dict<'_>, path: Vec<String>, offset: u64) -> Result<File, MetainfoError> {
    let len = entry.get("length").and_then(Value::as_int).ok_or(MetainfoError::Field("length"))?;
    match u64::try_from(len) {
        Ok(len) if offset.checked_add(len).is_some_and(|end| end <= i64::MAX as u64) => {
            // The attribute `p` marks padding (BEP 47).
            let padding = entry.bytes("attr").is_some_and(|attributes| attributes.contains(&b'p'));
            Ok(File { path, offset, len, padding })
        }
        _ => Err(MetainfoError::FileLength(path.join("/"))),
    }
}

/// The torrent's name and the path below it: "a list of UTF-8 encoded strings corresponding to subdirectory names"
/// (BEP 3).
fn file_path(entry: &Dict<'_>, name: &str) -> Result<Vec<String>, MetainfoError> {
    const FIELD: MetainfoError = MetainfoError::Field("info.files.path");
    let list = entry.get("path.utf-8").or_else(|| entry.get("path")).and_then(Value::as_list).ok_or(FIELD)?;
    if list.is_empty() {
        return Err(FIELD);
    }
    let mut path = vec![name.to_owned()];
    for component in list {
        path.push(lossy(component.as_bytes().ok_or(FIELD)?));
    }
    Ok(path)
}

/// The string under `key`, or else under `other`.
fn text(dict: &Dict<'_>, key: &str, other: &str) -> Option<String> {
    dict.bytes(key).or_else(|| dict.bytes(other)).map(lossy)
}

/// Text in an unnamed old encoding keeps what is readable of it; files that become the same name are refused later.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// "If the client is compatible with the multitracker specification, and if the announce-list key is present, the
/// client will ignore the announce key" (BEP 12). Addresses that are no text are left out.
fn tiers(root: &Dict<'_>) -> Vec<Vec<String>> {
    let url = |value: &Value<'_>| std::str::from_utf8(value.as_bytes()?).ok().map(str::to_owned);
    let listed = root.get("announce-list").and_then(Value::as_list).unwrap_or_default();
    let mut tiers: Vec<Vec<String>> = listed
        .iter()
        .filter_map(Value::as_list)
        .map(|tier| tier.iter().filter_map(url).filter(|url| !url.is_empty()).collect())
        .collect();
    tiers.retain(|tier: &Vec<String>| !tier.is_empty());
    if tiers.is_empty() {
        let only = root.get("announce").and_then(url).filter(|url| !url.is_empty());
        tiers.extend(only.map(|url| vec![url]));
    }
    tiers
}

#[cfg(test)]
mod tests;
