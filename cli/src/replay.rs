//! `torrentlab replay`

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use torrentlab_engine::time::Instant;
use torrentlab_reports::record::RunRecord;
use torrentlab_scenarios::Scenario;
use torrentlab_simulator::explain::Explain;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Backend, RunError, RunOptions, run as simulate};
use torrentlab_simulator::trace_file::{Comparison, Parting, TraceReader, comparing};
use torrentlab_simulator::watch::{Scene, Watching};

use crate::print::{data, note};
use crate::progress::{Progress, Unit};
use crate::results::FAILURE;
use crate::run::{TRACE, stop_on_signal};
use crate::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of a run, such as runs/first-swarm/1, or the trace in it
    run: PathBuf,
    /// Print the result alone, without progress and notes
    #[arg(long, short)]
    quiet: bool,
}

/// A run that was kept: what it takes to repeat it, and what came of it.
pub(crate) struct KeptRun {
    pub path: PathBuf,
    pub scenario: Scenario,
    pub seed: u64,
    pub backend: Backend,
    pub version: String,
    /// The hash of everything that happened, where the run came to its end.
    pub hash: Option<String>,
    /// It was held to the rules, and failed.
    pub failed: bool,
}

impl KeptRun {
    /// Reads the run in a folder, or that of a trace.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
        let failed = folder.join(FAILURE).is_file();
        let record = (path.is_dir() && !failed).then(|| RunRecord::read(path));
        let (text, seed, backend, version, hash) = match record.transpose() {
            Ok(Some(record)) => {
                let info = record.info;
                (record.scenario_toml, info.seed, info.backend, info.version, Some(info.trace_hash))
            }
            // A run that failed has left its trace alone.
            other => match open_trace(path) {
                Ok(trace) => {
                    let head = trace.head().clone();
                    (head.scenario, head.seed, head.backend, head.version, None)
                }
                Err(failure) => match other {
                    Err(error) => return Err(Failure::told(&error).within(path.display())),
                    Ok(_) if failed => {
                        let error = anyhow!("{}: the run failed, and kept no trace", path.display());
                        return Err(Failure::input(error, "run it again with --check --trace"));
                    }
                    Ok(_) => return Err(failure),
                },
            },
        };
        let scenario = Scenario::from_toml(&text, &path.join("scenario.toml").display().to_string())
            .map_err(|error| Failure::told(&error))?;
        let backend = match backend.as_str() {
            "turmoil" => Backend::Turmoil,
            // Models of contacts are carried by nothing else.
            "des" | "slotted contacts" | "random contacts" => Backend::Des,
            other => {
                let error = anyhow!("{}: there is no backend `{other}`", path.display());
                return Err(Failure::input(error, "it is des or turmoil: run it again"));
            }
        };
        Ok(Self { path: path.to_owned(), scenario, seed, backend, version, hash, failed })
    }

    /// Its trace, if it has one.
    pub fn trace(&self) -> Result<Option<TraceReader<File>>, Failure> {
        let has_one = self.path.is_file() || self.path.join(TRACE).is_file();
        has_one.then(|| open_trace(&self.path)).transpose()
    }

    /// Says so where another version made it.
    pub fn tell_version(&self) {
        if self.version != env!("CARGO_PKG_VERSION") {
            note(format_args!(
                "the run was made by version {}, and this is {}",
                self.version,
                env!("CARGO_PKG_VERSION")
            ));
        }
    }

    /// Runs it again, with `watch`: the hash of everything that happened, unless it fails. `None` if it was interrupted.
    fn run_again(
        &self,
        registry: &Registry,
        watch: Watching<'_>,
        look: Option<(Instant, &Explain)>,
        quiet: bool,
    ) -> Result<Option<Option<String>>, Failure> {
        let stop = stop_on_signal()?;
        let options = RunOptions {
            backend: self.backend,
            check: self.failed,
            watch: Some(watch),
            look_at: look.map(|(at, _)| at),
            explain: look.map(|(_, explain)| explain),
            stop: Some(&stop),
            ..RunOptions::default()
        };
        let mut progress = Progress::counting("replaying", Unit::Hosts, 0, quiet);
        let result = simulate(&self.scenario, self.seed, registry, &options, &mut |reached| {
            progress.set_total(u64::from(reached.total));
            let done = u64::from(reached.completed);
            progress.set(done, || format!("after {:.0} s simulated", reached.simulated_s));
        });
        progress.finish();
        match result {
            Ok(outcome) => Ok(Some(Some(format!("{:032x}", outcome.trace.hash)))),
            Err(RunError::Failed { .. }) => Ok(Some(None)),
            Err(RunError::Stopped) => Ok(None),
            Err(error) => Err(Failure::told(&error).within(self.path.display())),
        }
    }

    /// Runs it again, with `watch`, and makes sure that it is the same run.
    pub fn repeat(&self, registry: &Registry, watch: Watching<'_>, quiet: bool) -> Result<Exit, Failure> {
        self.run_alike(registry, watch, None, quiet)
    }

    /// The same, and looks at the moment `at`.
    pub fn repeat_looking(
        &self,
        registry: &Registry,
        watch: Watching<'_>,
        at: Instant,
        explain: &Explain,
        quiet: bool,
    ) -> Result<Exit, Failure> {
        self.run_alike(registry, watch, Some((at, explain)), quiet)
    }

    /// Runs it again and makes sure that it is the same: by its hash or, where it has none, by its trace.
    fn run_alike(
        &self,
        registry: &Registry,
        Watching(others): Watching<'_>,
        look: Option<(Instant, &Explain)>,
        quiet: bool,
    ) -> Result<Exit, Failure> {
        if !quiet {
            self.tell_version();
        }
        let trace = std::sync::Mutex::new(if self.hash.is_none() { self.trace()? } else { None });
        let comparison = Comparison::default();
        let watch = |scene: &Scene| {
            let trace = trace.lock().ok().and_then(|mut trace| trace.take());
            let comparing = trace.map(|trace| comparing(scene, trace, &comparison));
            others(scene).into_iter().chain(comparing).collect()
        };
        let Some(hash) = self.run_again(registry, Watching(&watch), look, quiet)? else {
            return Ok(Exit::Interrupted);
        };
        let (_, parting) = comparison.result().map_err(|error| Failure::told(&error))?;
        let same = parting.is_none() && (self.hash.is_none() || hash == self.hash);
        if same { Ok(Exit::Done) } else { Err(self.differs()) }
    }

    fn differs(&self) -> Failure {
        let hint = "another version may run it differently, and a run with --payload needs its content: run it again";
        Failure::failed(anyhow!("{}: repeated, the run is another one", self.path.display()), hint)
    }
}

fn open_trace(path: &Path) -> Result<TraceReader<File>, Failure> {
    TraceReader::open(path).map_err(|error| Failure::told(&error).within(path.display()))
}

pub(crate) fn run(registry: &Registry, args: &Args) -> Result<Exit, Failure> {
    let kept = KeptRun::read(&args.run)?;
    if !args.quiet {
        kept.tell_version();
    }
    let trace = std::sync::Mutex::new(kept.trace()?);
    let has_trace = trace.lock().is_ok_and(|trace| trace.is_some());
    let comparison = Comparison::default();
    let watch = |scene: &Scene| {
        let trace = trace.lock().ok().and_then(|mut trace| trace.take());
        trace.into_iter().map(|trace| comparing(scene, trace, &comparison)).collect()
    };
    let Some(hash) = kept.run_again(registry, Watching(&watch), None, args.quiet)? else {
        return Ok(Exit::Interrupted);
    };
    let (events, parting) =
        comparison.result().map_err(|error| Failure::told(&error).within(kept.path.display()))?;
    if let Some(parting) = parting {
        data(words(&parting, "the trace", "this run"))?;
        return Ok(Exit::Failed);
    }
    let same = kept.hash.is_none() || kept.hash == hash;
    match (same, has_trace) {
        (true, true) => data(format_args!("the same: {events} events{}", of_hash(hash.as_deref())))?,
        (true, false) => data(format_args!("the same{}", of_hash(hash.as_deref())))?,
        (false, _) => {
            data(format_args!(
                "not the same: the hash of the trace was {}, and is {}",
                kept.hash.unwrap_or_default(),
                hash.unwrap_or_else(|| "none, for the run fails".to_owned())
            ))?;
            note("hint: run it with --trace, and `replay` names the first event that differs");
        }
    }
    Ok(if same { Exit::Done } else { Exit::Failed })
}

fn of_hash(hash: Option<&str>) -> String {
    hash.map_or_else(String::new, |hash| format!(", trace hash {hash}"))
}

/// Where two traces part, in words.
pub(crate) fn words(parting: &Parting, first: &str, second: &str) -> String {
    let mut text = format!("they part at event {} (from 0)", parting.event);
    if !parting.before.is_empty() {
        text += "\nbefore, in both:";
        parting.before.iter().for_each(|event| text += &format!("\n  {event}"));
    }
    for (whose, event) in [(first, &parting.first), (second, &parting.second)] {
        text += &format!("\n{whose}:\n  {}", event.as_deref().unwrap_or("has ended"));
    }
    text
}
