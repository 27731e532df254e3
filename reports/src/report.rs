//! The plots and the page of a run, in its folder.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::html;
use crate::plots::{PlotError, plots};
use crate::record::folder::write_files;
use crate::record::{RecordError, RunRecord};

/// Why a report could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The record cannot be read, or the folder not written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A plot cannot be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The page cannot be filled in.
    #[error("cannot write the page: {0}")]
    Page(#[from] minijinja::Error),
}

/// Rebuilds every plot (`plots/*.svg`, `plots/*.png`) and the page (`report.html`) of the run folder `dir` from
/// what it holds, and returns the path of the page.
///
/// # Errors
/// Where the folder's record is incomplete or malformed, or the folder cannot be written.
pub fn report(dir: &Path) -> Result<PathBuf, ReportError> {
    write_report(&RunRecord::read(dir)?, dir)
}

/// The same for a record that is at hand.
///
/// # Errors
/// Where the folder cannot be written.
pub fn write_report(record: &RunRecord, dir: &Path) -> Result<PathBuf, ReportError> {
    let plots = plots(record)?;
    let page = html::page(record, &plots)?;
    let names: Vec<_> =
        plots.iter().map(|plot| (format!("{}.svg", plot.name), format!("{}.png", plot.name))).collect();
    let mut files = Vec::new();
    for (plot, (svg, png)) in plots.into_iter().zip(&names) {
        files.extend([(svg.as_str(), plot.svg.into_bytes()), (png.as_str(), plot.png)]);
    }
    write_files(&dir.join("plots"), &files)?;
    write_files(dir, &[("report.html", page.into_bytes())])?;
    Ok(dir.join("report.html"))
}
