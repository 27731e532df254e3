//! `torrentlab show`

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use indicatif::HumanBytes;
use torrentlab_engine::metainfo::Metainfo;

use crate::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The torrent file
    torrent: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let meta = load(&args.torrent)?;
    let geometry = meta.geometry();
    println!("name          {}", meta.name());
    println!("info-hash     {}", meta.info_hash());
    println!("content       {} bytes ({})", geometry.total_len(), HumanBytes(geometry.total_len()));
    println!("pieces        {} of {} bytes", geometry.pieces(), geometry.piece_len());
    println!("private       {}", if meta.private() { "yes" } else { "no" });
    for (number, tier) in meta.tiers().iter().enumerate() {
        println!("tier {:<9}{}", number + 1, tier.join(" "));
    }
    for file in meta.files().iter().filter(|file| !file.padding) {
        println!("{:>13} {}", file.len, file.path.join("/"));
    }
    Ok(Exit::Done)
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
