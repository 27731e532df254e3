//! Real content for a simulation: files mapped into memory, one copy for all hosts.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use torrentlab_engine::net::FileSpan;
use torrentlab_simulator::content::RealContent;

use crate::create::{Options, Source};
use crate::{Failure, seed, show};

/// The content at `path`, cut into pieces of `piece_len` bytes and hashed.
pub(crate) fn of_path(path: &Path, piece_len: u32, quiet: bool) -> Result<RealContent, Failure> {
    let source = Source::find(path)?;
    let (metainfo, _) = source.torrent(piece_len, Options { quiet, ..Options::default() })?;
    let files = source.spans.iter().map(|span| (source.root.join(&span.path), span.len));
    Ok(RealContent { metainfo, parts: files.map(|(path, len)| map(&path, len)).collect::<Result<_, _>>()? })
}

/// The content of a torrent file, which lies at `data` as `seed --data` takes it.
pub(crate) fn of_torrent(torrent: &Path, data: &Path, quiet: bool) -> Result<RealContent, Failure> {
    let metainfo = show::load(torrent)?;
    seed::whole(&metainfo, data, quiet)?;
    let (root, spans) = seed::place(data, &metainfo).files(&metainfo);
    let part = |span: &FileSpan| match span.padding {
        true => Ok(Bytes::from(vec![0; span.len as usize])),
        false => map(&root.join(&span.path), span.len),
    };
    let parts = spans.iter().map(part).collect::<Result<_, _>>()?;
    Ok(RealContent { metainfo, parts })
}

/// A file of `len` bytes, mapped.
fn map(path: &Path, len: u64) -> Result<Bytes, Failure> {
    let read = || -> anyhow::Result<Bytes> {
        let file = std::fs::File::open(path)?;
        let found = file.metadata()?.len();
        anyhow::ensure!(found == len, "it has {found} bytes and should have {len}");
        if len == 0 {
            return Ok(Bytes::new());
        }
        #[expect(unsafe_code, reason = "the system maps a file no other way")]
        // SAFETY: the file is only read. If someone changes it meanwhile the bytes differ, and checks of pieces fail;
        // if someone shortens it the process ends, as the documentation of `--payload` says.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Bytes::from_owner(map))
    };
    let bytes = read().with_context(|| format!("cannot use {}", path.display()));
    bytes.map_err(|error| Failure::input(error, "give content that is whole and can be read"))
}
