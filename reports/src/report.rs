//! The plots and the page of a run, in its folder.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::aggregate::Aggregate;
use crate::compare::CellRun;
use crate::html;
use crate::plots::{self, Plot, PlotError, plots};
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
/// what it holds, and returns the path of the page. Of a folder with the `aggregate.json` of several runs, the plot over
/// all of them, from their folders in it; returned is the folder of plots.
///
/// # Errors
/// Where the folder's record is incomplete or malformed, or the folder cannot be written.
pub fn report(dir: &Path) -> Result<PathBuf, ReportError> {
    let Some(aggregate) = Aggregate::read(dir)? else { return write_report(&RunRecord::read(dir)?, dir) };
    let run = |seed: &u64| {
        let record = RunRecord::read(&dir.join(seed.to_string()))?;
        Ok(CellRun::new(record.summary, &record.peers))
    };
    let runs = aggregate.seeds.iter().map(run).collect::<Result<Vec<_>, RecordError>>()?;
    write_runs(&aggregate, &runs, dir)
}

/// The same for a record that is at hand.
///
/// # Errors
/// Where the folder cannot be written.
pub fn write_report(record: &RunRecord, dir: &Path) -> Result<PathBuf, ReportError> {
    let plots = plots(record)?;
    let page = html::page(record, &plots)?;
    write_plots(&plots, dir)?;
    write_files(dir, &[("report.html", page.into_bytes())])?;
    Ok(dir.join("report.html"))
}

/// Writes the plot over several runs to `dir/plots`, and returns that folder.
///
/// # Errors
/// Where the folder cannot be written.
pub fn write_runs(aggregate: &Aggregate, runs: &[CellRun], dir: &Path) -> Result<PathBuf, ReportError> {
    write_plots(&[plots::compare::of_runs(&aggregate.scenario, runs)?], dir)?;
    Ok(dir.join("plots"))
}

/// Writes `plots/NAME.svg` and `plots/NAME.png` for each of `plots`.
pub(crate) fn write_plots(plots: &[Plot], dir: &Path) -> Result<(), RecordError> {
    let names: Vec<_> =
        plots.iter().map(|plot| [".svg", ".png"].map(|end| format!("{}{end}", plot.name))).collect();
    let files = plots.iter().zip(&names).flat_map(|(plot, [svg, png])| {
        [(svg.as_str(), plot.svg.clone().into_bytes()), (png.as_str(), plot.png.clone())]
    });
    write_files(&dir.join("plots"), &files.collect::<Vec<_>>())
}
