//! `torrentlab compare`

mod plan;
mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use torrentlab_reports::compare::{Comparison, Grid, Output, comparison_table};
use torrentlab_reports::record::{Claim, Summary, Verdict};
use torrentlab_reports::{Cells, Judged, ReportError, judge_claim};
use torrentlab_simulator::claim::claims;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::Backend;

use self::plan::{Axis, Plan, Text};
use self::store::Store;
use crate::batch::{Batch, Cell, Ended, fingerprint, unkept};
use crate::print::{data, note};
use crate::run::{Carrier, json, seeds, stop_on_signal};
use crate::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A scenario of the catalogue (`torrentlab scenarios` lists them) or a file
    #[arg(required_unless_present = "plan")]
    scenario: Option<String>,
    /// A field of the scenario and the values that it takes, such as hosts.leecher.picker=random,sequential. Repeated,
    /// every combination is a cell; the first values make the baseline
    #[arg(long = "vary", value_name = "FIELD=VALUE,...", required_unless_present = "plan")]
    vary: Vec<String>,
    /// How many runs of each cell: all cells have the seeds N, N+1, ...
    #[arg(long, value_name = "K", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,
    /// The first seed [default: the scenario's]
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// Change a field in all cells, such as hosts.leecher.count=20; may be repeated
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    sets: Vec<String>,
    /// What carries the bytes, as in `run`
    #[arg(long, value_name = "BACKEND", value_enum, default_value_t = Carrier::Des)]
    backend: Carrier,
    /// Repeat the comparison that left this plan.toml
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "vary", "runs", "seed", "sets", "backend"])]
    plan: Option<PathBuf>,
    /// The folder of results: they go to DIR/<scenario>-compare. Runs that are there already are not run again
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// How many runs go on side by side [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Print comparison.json and nothing else
    #[arg(long)]
    json: bool,
    /// Print the table alone, without progress and notes
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(registry: &Registry, args: &Args) -> Result<Exit, Failure> {
    let plan = args.plan()?;
    plan.check()?;
    let cells = cells(&plan, registry)?;
    let first = plan.seed.unwrap_or(cells[0].scenario.seed);
    let seeds = seeds(u64::from(first), plan.runs)?;
    let version = Some(env!("CARGO_PKG_VERSION").to_owned());
    let kept = Plan { seed: Some(first), version, ..plan.clone() };
    let grid = Grid {
        scenario: cells[0].scenario.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        backend: Backend::from(plan.backend).name().to_owned(),
        factors: plan.factors(),
        seeds,
    };
    let quiet = args.quiet || args.json;
    let store = Store::claim(&args.out, &grid.scenario, &kept)?;
    if !quiet {
        note(headline(&grid));
    }
    let stop = stop_on_signal()?;
    let batch = Batch {
        cells: &cells,
        registry,
        backend: plan.backend.into(),
        program: fingerprint()?,
        kept: store.kept(),
        stop: &stop,
        threads: args.threads,
        quiet,
    };
    let all: Vec<_> =
        (0..cells.len()).flat_map(|cell| grid.seeds.iter().map(move |seed| (cell, *seed))).collect();
    match batch.run(&all)? {
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
    let (comparison, summaries) = write(&batch, &grid, store.dir())?;
    let judged = judge(&plan, &batch, &summaries);
    data(if args.json {
        json(serde_json::to_string_pretty(&comparison))?
    } else {
        comparison_table(&comparison) + &verdicts(&judged)
    })?;
    if !quiet {
        tell(&comparison, &store);
    }
    // As in `run`: a scenario that --set has changed is judged, but to refute it is no failure.
    let answers =
        |verdict| plan.sets.is_empty() && judged.iter().any(|(_, judged)| judged.verdict == verdict);
    let capped = summaries.iter().flatten().filter(|run| run.ended_by == "time_cap").count();
    if capped > 0 {
        note(format_args!("{capped} of {} runs hit the time cap: their figures say little", all.len()));
    }
    Ok(match () {
        () if answers(Verdict::Refuted) => Exit::Failed,
        () if answers(Verdict::Inconclusive) || capped > 0 => Exit::Inconclusive,
        () => Exit::Done,
    })
}

/// A line for each claim.
fn verdicts(judged: &[(Claim, Judged)]) -> String {
    let line =
        |(claim, judged): &(Claim, Judged)| format!(" {}: {}", judged.verdict.name(), judged.why(claim));
    let lines: Vec<String> = judged.iter().map(line).collect();
    if lines.is_empty() { String::new() } else { format!("\n\n{}", lines.join("\n")) }
}

impl Args {
    fn plan(&self) -> Result<Plan, Failure> {
        if let Some(path) = &self.plan {
            let mut plan = Plan::read(path)?;
            if let Text { file: Some(file), text: None, .. } = &plan.scenario {
                plan.scenario = Text::of(file);
            }
            return Ok(plan);
        }
        Ok(Plan {
            version: None,
            backend: self.backend,
            runs: self.runs,
            seed: self.seed,
            sets: self.sets.clone(),
            scenario: Text::of(self.scenario.as_deref().unwrap_or_default()),
            vary: self.vary.iter().map(|axis| Axis::parse(axis)).collect::<Result<_, _>>()?,
        })
    }
}

/// All cells, checked before any of them runs: first each axis by itself, so that an error names it.
fn cells(plan: &Plan, registry: &Registry) -> Result<Vec<Cell>, Failure> {
    let load = |places: &[usize]| Cell::new(plan.load(places)?, registry).map_err(|error| plan.told(error));
    let mut baseline = vec![0; plan.vary.len()];
    for (nth, axis) in plan.vary.iter().enumerate() {
        let mut seen = BTreeMap::new();
        for (place, value) in axis.values.iter().enumerate() {
            baseline[nth] = place;
            let of_axis = |failure: Failure| failure.within(format!("axis {}", axis.path));
            let cell = load(&baseline).map_err(of_axis)?;
            if let Some(other) = seen.insert(cell.scenario.resolved_toml(), value) {
                let error = anyhow!("axis {}: `{other}` and `{value}` are the same", axis.path);
                return Err(Failure::input(error, "leave one of them"));
            }
        }
        baseline[nth] = 0;
    }
    let grid = Grid { factors: plan.factors(), ..Grid::default() };
    let cell = |number: usize| {
        let label = grid.label(number);
        let of_cell = |failure: Failure| failure.within(format!("cell {label}"));
        let cell = load(&grid.places(number)).map_err(of_cell)?;
        Ok(cell.named(label, number.to_string()))
    };
    (0..grid.cells()).map(cell).collect()
}

/// What runs, so that it can be repeated.
fn headline(grid: &Grid) -> String {
    let (cells, runs) = (grid.cells(), grid.seeds.len());
    let (first, last) = (grid.seeds[0], grid.seeds[runs - 1]);
    format!(
        "torrentlab {}: {} by {}, {cells} cells of {runs} runs, seeds {first} to {last}",
        grid.version,
        grid.scenario,
        grid.paths()
    )
}

/// Tables, plots and page from the runs that are kept, and what came of the claims.
fn write(batch: &Batch<'_>, grid: &Grid, dir: &Path) -> Result<(Comparison, Vec<Vec<Summary>>), Failure> {
    let failed = |error: ReportError| unkept(&error);
    let mut output = Output::begin(dir, grid).map_err(failed)?;
    let mut summaries = vec![Vec::new(); batch.cells.len()];
    for (cell, of_cell) in summaries.iter_mut().enumerate() {
        for seed in &grid.seeds {
            let run = batch.read((cell, *seed))?;
            output.add(cell, &run).map_err(failed)?;
            of_cell.push(run.summary);
        }
    }
    Ok((output.finish().map_err(failed)?, summaries))
}

/// Judges those claims of the scenario whose settings are cells of the grid.
fn judge(plan: &Plan, batch: &Batch<'_>, summaries: &[Vec<Summary>]) -> Vec<(Claim, Judged)> {
    let found: Vec<(String, &Vec<Summary>)> =
        batch.cells.iter().map(|cell| cell.scenario.resolved_toml()).zip(summaries).collect();
    let cells: &Cells<'_> = &|settings| {
        let wanted = plan.load_with(settings).ok()?.scenario.resolved_toml();
        let cell = found.iter().find(|(resolved, _)| *resolved == wanted);
        cell.map(|(_, runs)| runs.iter().collect())
    };
    let claims = claims(&batch.cells[0].scenario).into_iter();
    claims.filter_map(|claim| judge_claim(&claim, cells).map(|judged| (claim, judged))).collect()
}

fn tell(comparison: &Comparison, store: &Store) {
    let dir = store.dir();
    note(format_args!(
        "\nTimes are in seconds; differences are to {}, run by run, with Holm's correction over {} comparisons.\n\
         tables: {}\nplots:  {}\npage:   {}",
        comparison.baseline.join(", "),
        comparison.comparisons,
        dir.display(),
        dir.join("plots").display(),
        dir.join("report.html").display()
    ));
}
