//! The files of a comparison, in its folder.

#![expect(clippy::disallowed_types, reason = "a table of all hosts is written as it comes")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::grid::{CellRun, Grid};
use super::kept::KeptRun;
use super::{Comparison, Row, compare, page};
use crate::aggregate::{class_figures, common_figures, figures};
use crate::plots;
use crate::record::folder::{json_bytes, write_files};
use crate::record::{RecordError, Summary};
use crate::report::{ReportError, write_plots};

const PEERS: &str = "peers.csv";
const RUNS: &str = "runs.csv";

/// Takes the runs of a comparison one by one and leaves its files: hosts go to `peers.csv` as they come.
pub struct Output {
    dir: PathBuf,
    grid: Grid,
    cells: Vec<Vec<CellRun>>,
    peers: csv::Writer<BufWriter<File>>,
    has_header: bool,
}

impl Output {
    /// Begins to write to the folder `dir`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn begin(dir: &Path, grid: &Grid) -> Result<Self, ReportError> {
        fs::create_dir_all(dir).map_err(|error| RecordError::io("make the folder", dir, error))?;
        let part = part(dir);
        let file = File::create(&part).map_err(|error| RecordError::io("write", &part, error))?;
        Ok(Self {
            dir: dir.to_owned(),
            grid: grid.clone(),
            cells: vec![Vec::new(); grid.cells()],
            peers: csv::Writer::from_writer(BufWriter::new(file)),
            has_header: false,
        })
    }

    /// Takes the next run of a cell: cell by cell, in the order of the seeds.
    ///
    /// # Errors
    /// Where its hosts are malformed, or the folder cannot be written.
    pub fn add(&mut self, cell: usize, run: &KeptRun) -> Result<(), ReportError> {
        let row = self.grid.row(cell);
        let seed = run.summary.seed.to_string();
        let mut write = || {
            let (columns, peers) = run.peers()?;
            if !self.has_header {
                self.has_header = true;
                let columns = columns.iter().map(str::to_owned);
                let names = self.grid.columns().into_iter().chain(["seed".to_owned()]).chain(columns);
                self.peers.write_record(names)?;
            }
            for peer in &peers {
                let cells = row.iter().map(String::as_str).chain([seed.as_str()]).chain(peer);
                self.peers.write_record(cells)?;
            }
            run.cell_run()
        };
        let run = write().map_err(|error| unwritable(&self.dir, PEERS, &error))?;
        self.cells[cell].push(run);
        Ok(())
    }

    /// Writes all that follows from the runs, and says how the cells differ.
    ///
    /// # Errors
    /// Where the folder cannot be written, or a plot not drawn.
    pub fn finish(self) -> Result<Comparison, ReportError> {
        let Self { dir, grid, cells, mut peers, .. } = self;
        let (dir, grid, cells) = (dir.as_path(), &grid, &cells[..]);
        let comparison = compare(grid, cells);
        let plots = plots::compare::plots(grid, cells, &comparison)?;
        write_plots(&plots, dir)?;
        let failed = |name| move |error: csv::Error| unwritable(dir, name, &error);
        let files = [
            (RUNS, runs_csv(grid, cells).map_err(failed(RUNS))?),
            ("comparison.csv", comparison_csv(grid, &comparison).map_err(failed("comparison.csv"))?),
            ("comparison.json", json_bytes(dir, "comparison.json", &comparison)?),
            ("report.html", page::page(grid, &comparison, &plots)?.into_bytes()),
        ];
        peers.flush().map_err(|error| RecordError::io("write", dir.join(PEERS), error))?;
        fs::rename(part(dir), dir.join(PEERS))
            .map_err(|error| RecordError::io("write", dir.join(PEERS), error))?;
        write_files(dir, &files)?;
        Ok(comparison)
    }
}

fn part(dir: &Path) -> PathBuf {
    dir.join(format!(".{PEERS}.part"))
}

fn unwritable(dir: &Path, name: &str, error: &csv::Error) -> RecordError {
    RecordError::Unwritable { path: dir.join(name), why: error.to_string() }
}

/// A row for each run: the factors, the seed, how it ended, and every figure of `summary.json` by its dotted name.
fn runs_csv(grid: &Grid, cells: &[Vec<CellRun>]) -> csv::Result<Vec<u8>> {
    let summaries = || cells.iter().flatten().map(|run| &run.summary);
    let mut names: Vec<String> =
        common_figures(&Summary::default()).into_iter().map(|(name, _)| name.to_owned()).collect();
    // Cells may differ in their classes.
    let mut classes = BTreeMap::new();
    let mut pairs = BTreeMap::new();
    for summary in summaries() {
        classes.extend(class_figures(summary).map(|(name, _)| (name, ())));
        pairs.extend(unchoking(summary).map(|(name, _)| (name, ())));
    }
    names.extend(classes.into_keys());
    let fixed = ["seed", "trace_hash", "ended_by", "peers", "eligible"].map(str::to_owned);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(grid.columns().iter().chain(&fixed).chain(&names).chain(pairs.keys()))?;
    for (cell, runs) in cells.iter().enumerate() {
        for CellRun { summary, .. } in runs {
            let values: BTreeMap<String, Option<f64>> = figures(summary).into_iter().collect();
            let given: BTreeMap<String, f64> = unchoking(summary).collect();
            let mut row = grid.row(cell);
            row.extend([summary.seed.to_string(), summary.trace_hash.clone(), summary.ended_by.clone()]);
            row.extend([summary.peers.to_string(), summary.eligible.to_string()]);
            row.extend(names.iter().map(|name| text(values.get(name).copied().flatten())));
            row.extend(pairs.keys().map(|name| text(Some(given.get(name).copied().unwrap_or(0.0)))));
            writer.write_record(row)?;
        }
    }
    bytes(writer)
}

/// The times of `unchoking_s`, by their dotted names.
fn unchoking(summary: &Summary) -> impl Iterator<Item = (String, f64)> {
    let of = |(giver, takers): (&String, &BTreeMap<String, f64>)| {
        let name = |taker: &String| format!("unchoking_s.{giver}.{taker}");
        takers.iter().map(|(taker, time_s)| (name(taker), *time_s)).collect::<Vec<_>>()
    };
    summary.unchoking_s.iter().flat_map(of)
}

fn comparison_csv(grid: &Grid, comparison: &Comparison) -> csv::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let columns = [
        "cell",
        "figure",
        "runs",
        "reached",
        "median",
        "mean",
        "low",
        "high",
        "interval",
        "difference",
        "difference_low",
        "difference_high",
        "difference_interval",
        "d_z",
        "p",
        "p_wilcoxon",
        "p_holm",
    ];
    writer.write_record(grid.columns().into_iter().chain(columns.map(str::to_owned)))?;
    for row in &comparison.rows {
        let Row { cell, figure, runs, reached, median, mean, low, high, .. } = row;
        let mut cells = grid.row(*cell);
        cells.extend([cell.to_string(), figure.clone(), runs.to_string(), reached.to_string()]);
        cells.extend([median, mean, low, high].map(|value| text(*value)));
        cells.push(row.interval.map_or("", |method| method.name()).to_owned());
        cells.extend([row.difference, row.difference_low, row.difference_high].map(text));
        cells.push(row.difference_interval.map_or("", |method| method.name()).to_owned());
        cells.extend([row.d_z, row.p, row.p_wilcoxon, row.p_holm].map(text));
        writer.write_record(cells)?;
    }
    bytes(writer)
}

/// What is missing is an empty cell.
fn text(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn bytes(writer: csv::Writer<Vec<u8>>) -> csv::Result<Vec<u8>> {
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}
