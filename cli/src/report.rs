//! `torrentlab report`

use std::path::PathBuf;

use anyhow::anyhow;
use torrentlab_reports::ReportError;
use torrentlab_reports::record::RecordError;

use crate::print::data;
use crate::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of a run, such as runs/latest, or of several runs of a scenario
    dir: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let page = torrentlab_reports::report(&args.dir).map_err(|error| match error {
        ReportError::Record(
            error @ (RecordError::Missing { .. }
            | RecordError::Csv { .. }
            | RecordError::Json { .. }
            | RecordError::Format { .. }),
        ) => Failure::told(&error),
        // It gives its cause itself.
        error => Failure::failed(anyhow!("{error}"), "give the folder of a run that may be read and written"),
    })?;
    data(page.display())?;
    Ok(Exit::Done)
}
