//! Runs of many cells, side by side, each kept as it ends so that nothing is lost when the program is stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs};

use anyhow::{Context as _, anyhow};
use torrentlab_reports::compare::KeptRun;
use torrentlab_reports::record::RecordError;
use torrentlab_scenarios::{Loaded, Scenario, ScenarioError, Source};
use torrentlab_simulator::build::{BuildError, check};
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{
    Backend, News, RunError, RunOptions, resolved, run as simulate, side_by_side,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::Failure;
use crate::claims::check_claims;
use crate::print::note;
use crate::progress::{Progress, Unit};
use crate::run::processors;

/// A scenario that is to be run with several seeds.
pub(crate) struct Cell {
    pub(crate) scenario: Scenario,
    source: Source,
    /// What it is called in progress and errors.
    label: String,
    /// The folder of its runs, below that of the batch.
    folder: String,
}

impl Cell {
    /// A cell, checked.
    pub(crate) fn new(loaded: Loaded, registry: &Registry) -> Result<Self, ScenarioError> {
        let Loaded { scenario, source } = loaded;
        let cell = Self { scenario, source, label: String::new(), folder: String::new() };
        check(&cell.scenario, registry).map_err(|error| cell.point(&error))?;
        check_claims(&cell.scenario, &cell.source)?;
        Ok(cell)
    }

    /// The same cell with its label and folder.
    pub(crate) fn named(self, label: String, folder: String) -> Self {
        Self { label, folder, ..self }
    }

    fn point(&self, error: &BuildError) -> ScenarioError {
        self.source.error(&error.field, &error.what, &error.hint)
    }
}

/// What is to be run, and where it goes.
pub(crate) struct Batch<'a> {
    pub(crate) cells: &'a [Cell],
    pub(crate) registry: &'a Registry,
    pub(crate) backend: Backend,
    /// This program, as [`fingerprint`] has it.
    pub(crate) program: String,
    /// Each finished run has a file below it: `<cell>/<seed>.json`.
    pub(crate) kept: PathBuf,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) threads: Option<u32>,
    pub(crate) quiet: bool,
}

/// A run: the cell's number and the seed.
pub(crate) type Run = (usize, u64);

/// What is there of a run.
enum Found {
    /// The run that is wanted.
    Same,
    /// None.
    Nothing,
    /// Something else: why it does not do.
    Other(String),
}

/// Why a run has no result.
enum Trouble {
    Run(RunError),
    Corrupt(u32),
    Unkept(RecordError),
}

/// How a batch ended.
pub(crate) enum Ended {
    /// Every run is kept.
    Done,
    /// The user stopped it; so many are kept.
    Stopped(usize),
    /// Some runs failed.
    Failed(Vec<Failure>),
}

impl Batch<'_> {
    /// Runs those of `wanted` that are not kept yet.
    pub(crate) fn run(&self, wanted: &[Run]) -> Result<Ended, Failure> {
        let missing = self.missing(wanted, self.quiet);
        if missing.len() < wanted.len() && !self.quiet {
            note(format_args!("{} runs are kept from before", wanted.len() - missing.len()));
        }
        let failures = self.run_all(&missing)?;
        Ok(match failures {
            failures if !failures.is_empty() => Ended::Failed(failures),
            _ if self.stop.load(Ordering::Relaxed) => {
                Ended::Stopped(wanted.len() - self.missing(wanted, true).len())
            }
            _ => Ended::Done,
        })
    }

    /// A run that is kept.
    pub(crate) fn read(&self, run: Run) -> Result<KeptRun, Failure> {
        let path = self.path(run);
        let kept = KeptRun::read(&path).map_err(|error| unkept(&error))?;
        kept.ok_or_else(|| {
            let error = anyhow!("{}: the run was there and is gone", path.display());
            Failure::failed(error, "give the same command again")
        })
    }

    fn folder(&self, cell: usize) -> PathBuf {
        self.kept.join(&self.cells[cell].folder)
    }

    fn path(&self, (cell, seed): Run) -> PathBuf {
        self.folder(cell).join(name(seed))
    }

    /// The runs that are not kept yet. A kept run of something else does not count, and is named.
    fn missing(&self, wanted: &[Run], quiet: bool) -> Vec<Run> {
        let is_missing = |&run: &Run| {
            match self.find(run) {
                Found::Same => return false,
                Found::Other(what) if !quiet => {
                    note(format_args!("{} is {what}: it is run again", self.path(run).display()));
                }
                Found::Other(_) | Found::Nothing => {}
            }
            true
        };
        wanted.iter().copied().filter(is_missing).collect()
    }

    /// Whether a run is kept, and is that of this scenario, program and backend.
    fn find(&self, run: Run) -> Found {
        let kept = match KeptRun::read(&self.path(run)) {
            Ok(None) => return Found::Nothing,
            Ok(Some(kept)) => kept,
            Err(_) => return Found::Other("damaged".to_owned()),
        };
        let (cell, seed) = run;
        let wanted = resolved(&self.cells[cell].scenario, seed);
        if kept.is(&wanted, &self.program, self.backend.name()) {
            Found::Same
        } else if kept.scenario_toml != wanted {
            Found::Other("of another scenario".to_owned())
        } else if kept.program != self.program {
            Found::Other(format!("of another build of torrentlab ({})", kept.summary.version))
        } else {
            Found::Other(format!("of the backend {}", kept.summary.backend))
        }
    }

    /// Runs what is missing, several side by side, and keeps each run as it ends; what went wrong.
    fn run_all(&self, missing: &[Run]) -> Result<Vec<Failure>, Failure> {
        let mut progress = Progress::counting("running", Unit::Runs, missing.len() as u64, self.quiet);
        let numbers: Vec<u64> = (0..missing.len() as u64).collect();
        let mut troubles = BTreeMap::new();
        let mut done = 0;
        let place = |number: u64| {
            let (cell, seed) = missing[number as usize];
            format!("{}, seed {seed}", self.cells[cell].label)
        };
        side_by_side(
            &numbers,
            self.threads.map_or_else(processors, |threads| threads as usize),
            |number, _| self.run_one(missing[number as usize]),
            |news| {
                let News::Done(number, result) = news else { return };
                match result {
                    Ok(()) => {
                        done += 1;
                        progress.set(done, || place(number));
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
            match trouble {
                Trouble::Run(RunError::Stopped) => {}
                Trouble::Run(RunError::Build(error)) => {
                    return Err(Failure::told(&self.cells[missing[number as usize].0].point(&error)));
                }
                trouble => failures.push(explain(trouble, &place(number))),
            }
        }
        Ok(failures)
    }

    fn run_one(&self, (cell, seed): Run) -> Result<(), Trouble> {
        let options = RunOptions { backend: self.backend, stop: Some(self.stop), ..RunOptions::default() };
        let outcome = simulate(&self.cells[cell].scenario, seed, self.registry, &options, &mut |_| ());
        let outcome = outcome.map_err(Trouble::Run)?;
        if outcome.corrupt > 0 {
            return Err(Trouble::Corrupt(outcome.corrupt));
        }
        let run = KeptRun::new(&outcome.record, &self.program).map_err(Trouble::Unkept)?;
        run.write(&self.folder(cell), &name(seed)).map_err(Trouble::Unkept)
    }
}

/// What tells this build from all others: the hash of its file. The version does not, while the program is being worked on.
pub(crate) fn fingerprint() -> Result<String, Failure> {
    let read = || {
        // On Linux this is the file that runs, even where another was put in its place since.
        let running = Path::new("/proc/self/exe");
        if running.exists() { fs::read(running) } else { fs::read(env::current_exe()?) }
    };
    let bytes = read()
        .context("cannot read the program's own file, to know its runs again")
        .map_err(|error| Failure::failed(error, "give the program's file the permission to be read"))?;
    Ok(format!("{:032x}", xxh3_128(&bytes)))
}

fn name(seed: u64) -> String {
    format!("{seed}.json")
}

fn explain(trouble: Trouble, place: &str) -> Failure {
    let defect = |what: String| {
        let hint = "this is a defect of torrentlab: report it with the scenario and this line";
        Failure::failed(anyhow!("{place}: {what}"), hint)
    };
    match trouble {
        Trouble::Unkept(error) => unkept(&error),
        Trouble::Corrupt(hosts) => defect(format!("the content of {hosts} hosts differs from the original")),
        Trouble::Run(RunError::Strategy(what)) => {
            Failure::failed(anyhow!("{place}: the strategy failed: {what}"), "mend the strategy")
        }
        Trouble::Run(RunError::Failed { failure, .. }) => defect(failure.to_string()),
        Trouble::Run(error) => defect(error.to_string()),
    }
}

/// What is to be written to the folder of results, or read from it, cannot be.
pub(crate) fn unkept(error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(anyhow!("{error}"), "free some space, or choose another folder with --out")
}
