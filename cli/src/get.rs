//! `torrentlab get`

use std::path::PathBuf;
use std::time::Duration;

use torrentlab_engine::net::{Access, Content, Place};
use torrentlab_scenarios::units::{Rate, Span};

use crate::share::{self, Common, PickerName, Share};
use crate::{Exit, Failure, show};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The torrent file
    torrent: PathBuf,
    /// The folder to put the content into; what is there already is checked and kept
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How long to go on sharing when everything is there
    #[arg(long, value_name = "TIME", default_value = "0 s")]
    seed_for: Span,
    /// The most to download, such as "10 Mbit/s"
    #[arg(long, value_name = "RATE", default_value = "unlimited")]
    down: Rate,
    /// Which pieces to begin first
    #[arg(long, value_name = "NAME", default_value = "rarest-first")]
    picker: PickerName,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let meta = show::load(&args.torrent)?;
    let content =
        Content::open(&meta, Place::Below(&args.out), Access::Write).map_err(share::storage_failure)?;
    let have = share::check(&content, args.common.quiet)?;
    let share = Share {
        common: &args.common,
        meta: &meta,
        content,
        have,
        down: args.down,
        picker: args.picker,
        super_seed: false,
        seed_for: Some(Duration::from_nanos(args.seed_for.as_nanos())),
    };
    share::runtime()?.block_on(share.run())
}
