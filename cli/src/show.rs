//! `torrentlab show`

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use indicatif::HumanBytes;
use torrentlab_engine::metainfo::Metainfo;

use crate::print::data;
use crate::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The torrent file
    torrent: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    data(describe(&load(&args.torrent)?).join("\n"))?;
    Ok(Exit::Done)
}

fn describe(meta: &Metainfo) -> Vec<String> {
    let (geometry, files) = (meta.geometry(), meta.files());
    let total_len = geometry.total_len();
    // It comes from anybody, and a terminal obeys control characters.
    let plain = |text: &str| text.replace(char::is_control, " ");
    let mut lines = vec![
        format!("name          {}", plain(meta.name())),
        format!("info-hash     {}", meta.info_hash()),
        format!("content       {total_len} bytes ({})", HumanBytes(total_len)),
        format!("pieces        {} of {} bytes", geometry.pieces(), geometry.piece_len()),
        format!("private       {}", if meta.private() { "yes" } else { "no" }),
    ];
    lines.extend(meta.comment().map(|comment| format!("comment       {}", plain(comment))));
    let tiers = meta.tiers().iter().zip(1..);
    lines.extend(tiers.map(|(tier, number)| format!("tier {number:<9}{}", plain(&tier.join(" ")))));
    let files = files.iter().filter(|file| !file.padding);
    lines.extend(files.map(|file| format!("{:>13} {}", file.len, plain(&file.path.join("/")))));
    lines
}

/// Reads a torrent file.
pub(crate) fn load(path: &Path) -> Result<Metainfo, Failure> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let bytes = bytes.map_err(|error| Failure::input(error, "give the path of a .torrent file"))?;
    let meta = Metainfo::parse(&bytes).with_context(|| format!("{} cannot be used", path.display()));
    meta.map_err(|error| {
        Failure::input(error, "get the torrent file again, or make one with `torrentlab create`")
    })
}
