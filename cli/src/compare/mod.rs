//! `torrentlab compare`

mod plan;
mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::anyhow;
use torrentlab_reports::ReportError;
use torrentlab_reports::compare::{Comparison, Grid, KeptRun, Output, comparison_table};
use torrentlab_reports::record::RecordError;
use torrentlab_scenarios::{Scenario, Source};
use torrentlab_simulator::build::{BuildError, check};
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{
    Backend, News, RunError, RunOptions, resolved, run as simulate, side_by_side,
};

use self::plan::{Axis, Plan, Text};
use self::store::{Found, Store};
use crate::print::{data, note};
use crate::progress::{Progress, Unit};
use crate::run::{Carrier, json, processors, seeds, stop_on_signal};
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
    let job = Job { cells: &cells, grid: &grid, registry, plan: &plan, store: &store, stop: &stop };
    let missing = job.missing(quiet);
    let failures = job.run_all(&missing, args.threads.map_or_else(processors, |n| n as usize), quiet)?;
    if stop.load(Ordering::Relaxed) && failures.is_empty() {
        let kept = job.runs() - job.missing(true).len();
        note(format_args!("interrupted: {kept} runs are kept, and the same command goes on from there"));
        return Ok(Exit::Interrupted);
    }
    if !failures.is_empty() {
        failures.iter().for_each(|failure| _ = failure.report());
        return Ok(Exit::Failed);
    }
    let (comparison, capped) = job.write()?;
    data(if args.json {
        json(serde_json::to_string_pretty(&comparison))?
    } else {
        comparison_table(&comparison)
    })?;
    if !quiet {
        tell(&comparison, &store);
    }
    if capped > 0 {
        note(format_args!("{capped} of {} runs hit the time cap: their figures say little", job.runs()));
        return Ok(Exit::Inconclusive);
    }
    Ok(Exit::Done)
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

/// A cell of the grid, ready to run.
struct Cell<'p> {
    plan: &'p Plan,
    scenario: Scenario,
    source: Source,
}

impl<'p> Cell<'p> {
    fn load(plan: &'p Plan, places: &[usize], registry: &Registry) -> Result<Self, Failure> {
        let loaded = plan.load(places)?;
        let cell = Self { plan, scenario: loaded.scenario, source: loaded.source };
        check(&cell.scenario, registry).map_err(|error| cell.point(&error))?;
        Ok(cell)
    }

    fn point(&self, error: &BuildError) -> Failure {
        self.plan.told(self.source.error(&error.field, &error.what, &error.hint))
    }
}

/// All cells, checked before any of them runs: first each axis by itself, so that an error names it.
fn cells<'p>(plan: &'p Plan, registry: &Registry) -> Result<Vec<Cell<'p>>, Failure> {
    let mut baseline = vec![0; plan.vary.len()];
    for (nth, axis) in plan.vary.iter().enumerate() {
        let mut seen = BTreeMap::new();
        for (place, value) in axis.values.iter().enumerate() {
            baseline[nth] = place;
            let of_axis = |failure: Failure| failure.within(format!("axis {}", axis.path));
            let cell = Cell::load(plan, &baseline, registry).map_err(of_axis)?;
            if let Some(other) = seen.insert(cell.scenario.resolved_toml(), value) {
                let error = anyhow!("axis {}: `{other}` and `{value}` are the same", axis.path);
                return Err(Failure::input(error, "leave one of them"));
            }
        }
        baseline[nth] = 0;
    }
    let grid = Grid { factors: plan.factors(), ..Grid::default() };
    let load = |cell| {
        let of_cell = |failure: Failure| failure.within(format!("cell {}", grid.label(cell)));
        Cell::load(plan, &grid.places(cell), registry).map_err(of_cell)
    };
    (0..grid.cells()).map(load).collect()
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

/// What is to be run, and where it goes.
struct Job<'a> {
    cells: &'a [Cell<'a>],
    grid: &'a Grid,
    registry: &'a Registry,
    plan: &'a Plan,
    store: &'a Store,
    stop: &'a AtomicBool,
}

/// Why a run has no result.
enum Trouble {
    Run(RunError),
    Corrupt(u32),
    Unkept(RecordError),
}

impl Job<'_> {
    /// How many runs there are in all.
    fn runs(&self) -> usize {
        self.cells.len() * self.grid.seeds.len()
    }

    /// The runs that are not kept yet, by cell and seed. A kept run of something else does not count, and is named.
    fn missing(&self, quiet: bool) -> Vec<(usize, u64)> {
        let all =
            (0..self.cells.len()).flat_map(|cell| self.grid.seeds.iter().map(move |seed| (cell, *seed)));
        let is_missing = |&(cell, seed): &(usize, u64)| {
            let wanted = || resolved(&self.cells[cell].scenario, seed);
            match self.store.find(cell, seed, wanted, &self.grid.backend) {
                Found::Same => return false,
                Found::Other(what) if !quiet => {
                    let path = self.store.path(cell, seed);
                    note(format_args!("{} is {what}: it is run again", path.display()));
                }
                Found::Other(_) | Found::Nothing => {}
            }
            true
        };
        all.filter(is_missing).collect()
    }

    /// Runs what is missing, several side by side, and keeps each run as it ends; what went wrong.
    fn run_all(
        &self,
        missing: &[(usize, u64)],
        threads: usize,
        quiet: bool,
    ) -> Result<Vec<Failure>, Failure> {
        let kept = self.runs() - missing.len();
        if kept > 0 && !quiet {
            note(format_args!("{kept} runs are kept from before"));
        }
        let mut progress = Progress::counting("running", Unit::Runs, missing.len() as u64, quiet);
        let numbers: Vec<u64> = (0..missing.len() as u64).collect();
        let mut troubles = BTreeMap::new();
        let mut done = 0;
        let label = |number: u64| {
            let (cell, seed) = missing[number as usize];
            format!("{}, seed {seed}", self.grid.label(cell))
        };
        side_by_side(
            &numbers,
            threads,
            |number, _| self.run(missing[number as usize]),
            |news| {
                let News::Done(number, result) = news else { return };
                match result {
                    Ok(()) => {
                        done += 1;
                        progress.set(done, || label(number));
                    }
                    Err(trouble) => {
                        // The others would fail alike, or have been told to end.
                        self.stop.store(true, Ordering::Relaxed);
                        troubles.insert(number, trouble);
                    }
                }
            },
        );
        progress.finish();
        let mut failures = Vec::new();
        for (number, trouble) in troubles {
            let (cell, seed) = missing[number as usize];
            match trouble {
                Trouble::Run(RunError::Stopped) => {}
                Trouble::Run(RunError::Build(error)) => return Err(self.cells[cell].point(&error)),
                trouble => failures.push(self.explain(trouble, cell, seed)),
            }
        }
        Ok(failures)
    }

    fn run(&self, (cell, seed): (usize, u64)) -> Result<(), Trouble> {
        let options =
            RunOptions { backend: self.plan.backend.into(), stop: Some(self.stop), ..RunOptions::default() };
        let outcome = simulate(&self.cells[cell].scenario, seed, self.registry, &options, &mut |_| ());
        let outcome = outcome.map_err(Trouble::Run)?;
        if outcome.corrupt > 0 {
            return Err(Trouble::Corrupt(outcome.corrupt));
        }
        self.store.keep(cell, seed, &outcome.record).map_err(Trouble::Unkept)
    }

    fn explain(&self, trouble: Trouble, cell: usize, seed: u64) -> Failure {
        let place = format!("{}, seed {seed}", self.grid.label(cell));
        let defect = |what: String| {
            let hint = "this is a defect of torrentlab: report it with plan.toml and this line";
            Failure::failed(anyhow!("{place}: {what}"), hint)
        };
        match trouble {
            Trouble::Unkept(error) => {
                Failure::failed(anyhow!("{error}"), "free some space, or choose another folder with --out")
            }
            Trouble::Corrupt(hosts) => {
                defect(format!("the content of {hosts} hosts differs from the original"))
            }
            Trouble::Run(RunError::Invariant { what, .. }) => defect(format!("invariant: {what}")),
            Trouble::Run(error) => defect(error.to_string()),
        }
    }

    /// Tables, plots and page from the runs that are kept; and how many of these hit the time cap.
    fn write(&self) -> Result<(Comparison, usize), Failure> {
        let failed = |error: ReportError| {
            Failure::failed(anyhow!("{error}"), "free some space, or choose another folder with --out")
        };
        let mut capped = 0;
        let mut output = Output::begin(self.store.dir(), self.grid).map_err(failed)?;
        for cell in 0..self.cells.len() {
            for seed in &self.grid.seeds {
                let path = self.store.path(cell, *seed);
                let run = KeptRun::read(&path).map_err(|error| failed(error.into()))?;
                let run = run.ok_or_else(|| {
                    let error = anyhow!("{}: the run was there and is gone", path.display());
                    Failure::failed(error, "give the same command again")
                })?;
                capped += usize::from(run.summary.ended_by == "time_cap");
                output.add(cell, &run).map_err(failed)?;
            }
        }
        Ok((output.finish().map_err(failed)?, capped))
    }
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
