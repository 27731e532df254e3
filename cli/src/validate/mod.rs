//! `torrentlab validate`

mod suite;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use torrentlab_reports::record::{Summary, Verdict};
use torrentlab_reports::verdicts::{Row, csv, markdown, table};
use torrentlab_reports::words::plural;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::Backend;

use self::suite::Suite;
use crate::batch::{Batch, Ended, fingerprint};
use crate::print::{data, note};
use crate::run::{json, stop_on_signal};
use crate::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Scenarios of the catalogue or files, with all their claims [default: the catalogue's, with those claims that
    /// belong to an experiment]
    scenarios: Vec<String>,
    /// Leave out the scenarios that say that they are slow
    #[arg(long)]
    quick: bool,
    /// Judge over K seeds [default: as many as each claim says]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: Option<u32>,
    /// The folder of results: they go to DIR/validate. Runs that are there already are not run again
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// How many runs go on side by side [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Print the verdicts as JSON and nothing else
    #[arg(long)]
    json: bool,
    /// Print the table alone, without progress and notes
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(registry: &Registry, args: &Args) -> Result<Exit, Failure> {
    let quiet = args.quiet || args.json;
    let suite = Suite::load(&args.scenarios, args.quick, args.runs, registry)?;
    let dir = args.out.join("validate");
    fs::create_dir_all(&dir)
        .with_context(|| format!("cannot make the folder {}", dir.display()))
        .map_err(|error| Failure::failed(error, "choose another folder with --out"))?;
    let wanted = suite.runs();
    if !quiet {
        note(format_args!(
            "torrentlab {}: {}, {}, {}",
            env!("CARGO_PKG_VERSION"),
            plural(suite.claims.len() as u64, "claim"),
            plural(suite.cells.len() as u64, "cell"),
            plural(wanted.len() as u64, "run")
        ));
    }
    let stop = stop_on_signal()?;
    let batch = Batch {
        cells: &suite.cells,
        registry,
        backend: Backend::Des,
        program: fingerprint()?,
        kept: dir.join("kept"),
        stop: &stop,
        threads: args.threads,
        quiet,
    };
    match batch.run(&wanted)? {
        Ended::Done => {}
        Ended::Stopped(kept) => {
            note(format_args!("interrupted: {kept} runs are kept, and the same command goes on from there"));
            return Ok(Exit::Interrupted);
        }
        Ended::Failed(failures) => {
            failures.iter().for_each(|failure| _ = failure.report());
            return Ok(Exit::Failed);
        }
    }
    let mut summaries: Vec<Vec<Summary>> = vec![Vec::new(); suite.cells.len()];
    for run in wanted {
        summaries[run.0].push(batch.read(run)?.summary);
    }
    let rows = suite.judge(&summaries);
    keep(&dir, &rows)?;
    data(if args.json { json(serde_json::to_string_pretty(&rows))? } else { table(&rows) })?;
    if !quiet {
        note(format_args!("\ntable:   {}\nas CSV:  {}", dir.join(TABLE).display(), dir.join(CSV).display()));
    }
    Ok(exit(&rows))
}

const TABLE: &str = "validation.md";
const CSV: &str = "validation.csv";

fn keep(dir: &Path, rows: &[Row]) -> Result<(), Failure> {
    let csv = csv(rows).map_err(|error| Failure::failed(error, "please report this"))?;
    let files = [(TABLE, markdown(rows).into_bytes()), (CSV, csv)];
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display())).map_err(
            |error| Failure::failed(error, "free some space, or choose another folder with --out"),
        )?;
    }
    Ok(())
}

/// A control that is not refuted is as bad as a claim that is: the claim would hold of anything. What is known to be
/// refuted, and why, stays in the table and is no failure.
fn exit(rows: &[Row]) -> Exit {
    let is = |row: &Row, claim, control| {
        (row.verdict == claim && row.cause.is_empty())
            || row.control.as_ref().is_some_and(|of| of.verdict == control)
    };
    match () {
        () if rows.iter().any(|row| is(row, Verdict::Refuted, Verdict::Held)) => Exit::Failed,
        () if rows.iter().any(|row| is(row, Verdict::Inconclusive, Verdict::Inconclusive)) => {
            Exit::Inconclusive
        }
        () => Exit::Done,
    }
}
