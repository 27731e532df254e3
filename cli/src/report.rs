//! `torrentlab report`

use std::path::PathBuf;

use crate::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of a run, such as runs/latest
    dir: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let page = torrentlab_reports::report(&args.dir).map_err(|error| {
        Failure::input(error, "give the folder of a run that ended, such as runs/latest; or repeat the run")
    })?;
    println!("{}", page.display());
    Ok(Exit::Done)
}
