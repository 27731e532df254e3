//! `torrentlab seed`

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::metainfo::Metainfo;
use torrentlab_engine::net::{Access, Content, Place};
use torrentlab_scenarios::units::Rate;

use crate::share::{self, Common, PickerName, Share};
use crate::{Exit, Failure, show};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The torrent file
    torrent: PathBuf,
    /// The content: what the torrent was made of, or the folder that it lies in
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// Show each piece to one peer first (BEP 16)
    #[arg(long)]
    super_seed: bool,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let meta = show::load(&args.torrent)?;
    let (content, have) = whole(&meta, &args.data, args.common.quiet)?;
    let share = Share {
        common: &args.common,
        meta: &meta,
        content,
        have,
        down: Rate::UNLIMITED,
        picker: PickerName::RarestFirst,
        super_seed: args.super_seed,
        seed_for: None,
    };
    share::runtime()?.block_on(share.run())
}

/// The content of a torrent, which must be at `data` in whole, and the pieces that are there: all.
pub(crate) fn whole(meta: &Metainfo, data: &Path, quiet: bool) -> Result<(Content, Bitfield), Failure> {
    let content = Content::open(meta, place(data, meta), Access::Read).map_err(share::storage_failure)?;
    let have = share::check(&content, quiet)?;
    if have.is_full() {
        return Ok((content, have));
    }
    let error = anyhow!("{} has {} of {} pieces of this torrent", data.display(), have.count(), have.len());
    Err(Failure::input(error, "give the path of the whole content, or fetch the rest with `torrentlab get`"))
}

/// The content itself, or the folder that it lies in by its own name.
pub(crate) fn place<'a>(data: &'a Path, meta: &Metainfo) -> Place<'a> {
    let named = data.file_name().is_some_and(|name| name == meta.name());
    if data.is_dir() && !named && data.join(meta.name()).exists() {
        Place::Below(data)
    } else {
        Place::At(data)
    }
}
