//! `torrentlab run`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::anyhow;
use torrentlab_reports::compare::CellRun;
use torrentlab_reports::record::{Judgement, Summary, Verdict};
use torrentlab_reports::{aggregate, aggregate_table, judge, summary_table};
use torrentlab_scenarios::units::Size;
use torrentlab_scenarios::{Loaded, Scenario};
use torrentlab_simulator::build::{BuildError, check};
use torrentlab_simulator::claim::claims;
use torrentlab_simulator::content::RealContent;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{
    Backend, News, Progress as Reached, RunError, RunOptions, run as simulate, side_by_side,
};

use torrentlab_simulator::trace_file::Recording;
use torrentlab_simulator::watch::{Scene, Watching};

use crate::claims::{check_claims, other_cells};
use crate::cost::Stopwatch;
use crate::explain::{self, Explanations};
use crate::print::{data, note};
use crate::progress::{Progress, Unit};
use crate::results::Results;
use crate::{Exit, Failure, payload, share};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A scenario of the catalogue (`torrentlab scenarios` lists them) or a file
    scenario: String,
    /// The seed of all randomness [default: the scenario's]
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// How many runs, with the seeds N, N+1, ...
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,
    /// Change a field of the scenario, such as hosts.leecher.links.up="1 Mbit/s"; may be repeated
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    sets: Vec<String>,
    /// What carries the bytes. des: messages that stand for them, for swarms of up to 100,000 hosts. turmoil: each
    /// byte of them, through the driver, the codec and the hashing of real use, for up to some tens of hosts
    #[arg(long, value_name = "BACKEND", value_enum, default_value_t = Carrier::Des)]
    backend: Carrier,
    /// Distribute the bytes of this file or folder in place of stand-ins, and check every piece. It must not change
    /// while the run goes on
    #[arg(long, value_name = "PATH", conflicts_with = "torrent")]
    payload: Option<PathBuf>,
    /// Distribute the content of this torrent
    #[arg(long, value_name = "FILE", requires = "data")]
    torrent: Option<PathBuf>,
    /// Where the content of the torrent lies
    #[arg(long, value_name = "PATH", requires = "torrent")]
    data: Option<PathBuf>,
    /// The folder of results: each run gets DIR/<scenario>/<seed>, and DIR/latest points at the last one
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// How many runs go on side by side [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Write down why this host, such as leecher-17, picks what it picks and unchokes whom it unchokes: a table and a
    /// text in the run's folder, explain/HOST.csv and .txt; may be repeated
    #[arg(long, value_name = "HOST")]
    explain: Vec<String>,
    /// Hold every host to the rules while the swarm runs: a run ends with the first that is broken, and the folder of its
    /// results gets failure.txt in place of tables
    #[arg(long)]
    check: bool,
    /// Write down everything that happens, as trace.zst in the run's folder: `replay` compares with it, and `inspect`
    /// reads it
    #[arg(long)]
    trace: bool,
    /// Print the summary as JSON and nothing else
    #[arg(long)]
    json: bool,
    /// Print the result alone, without progress and notes
    #[arg(long, short)]
    quiet: bool,
}

/// What carries the bytes, by its name.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Carrier {
    #[default]
    Des,
    Turmoil,
}

impl From<Carrier> for Backend {
    fn from(carrier: Carrier) -> Self {
        match carrier {
            Carrier::Des => Self::Des,
            Carrier::Turmoil => Self::Turmoil,
        }
    }
}

pub(crate) fn run(registry: &Registry, args: &Args) -> Result<Exit, Failure> {
    let Loaded { mut scenario, source } = args.load()?;
    let point = |error: &BuildError| Failure::told(&source.error(&error.field, &error.what, &error.hint));
    check(&scenario, registry).map_err(|error| point(&error))?;
    check_claims(&scenario, &source).map_err(|error| Failure::told(&error))?;
    explain::check(&scenario, &args.explain)?;
    let content = args.content(&scenario)?;
    if let Some(real) = &content {
        let geometry = real.metainfo.geometry();
        scenario.content.size = Size::from_bytes(geometry.total_len());
        scenario.content.piece_size = Size::from_bytes(u64::from(geometry.piece_len()));
    }
    let seeds = seeds(u64::from(scenario.seed), args.runs)?;
    let results = Results::claim(&args.out, &scenario.name)?;
    if !args.is_quiet() {
        note(headline(&scenario, &seeds));
    }
    let stop = stop_on_signal()?;
    let options = RunOptions {
        backend: args.backend.into(),
        content: content.as_ref(),
        check: args.check,
        stop: Some(&stop),
        ..RunOptions::default()
    };
    let job = Job {
        scenario: &scenario,
        registry,
        options,
        results: &results,
        explain: &args.explain,
        trace: args.trace,
    };
    let mut ended = Ended::default();
    for (seed, result) in job.run_all(args, &seeds) {
        match result {
            Ok(run) => {
                ended.summaries.push(run.summary.clone());
                ended.runs.push(run);
            }
            Err(Trouble::Run(RunError::Stopped)) => {}
            // It is the same for every seed.
            Err(Trouble::Run(RunError::Build(error))) => return Err(point(&error)),
            Err(trouble) => {
                if let Trouble::Run(RunError::Failed { failure, .. }) = &trouble {
                    results.keep_failure(seed, &format!("{failure}\n\nreplay: {}\n", args.replay(seed)))?;
                }
                ended.failures.push(trouble.explain(args, seed));
            }
        }
    }
    ended.tell(args, &scenario, &results)?;
    ended.failures.iter().for_each(|failure| _ = failure.report());
    if stop.load(Ordering::Relaxed) {
        note(format_args!(
            "interrupted: {} of {} runs ended before and are kept",
            ended.summaries.len(),
            args.runs
        ));
    }
    Ok(ended.exit(args, stop.load(Ordering::Relaxed)))
}

impl Args {
    fn is_quiet(&self) -> bool {
        self.quiet || self.json
    }

    fn load(&self) -> Result<Loaded, Failure> {
        let mut sets = self.sets.clone();
        sets.extend(self.seed.map(|seed| format!("seed={seed}")));
        torrentlab_scenarios::load(&self.scenario, &sets).map_err(|error| Failure::told(&error))
    }

    /// The real content to distribute, if any.
    fn content(&self, scenario: &Scenario) -> Result<Option<RealContent>, Failure> {
        match (&self.payload, &self.torrent, &self.data) {
            (Some(path), ..) => {
                let piece_size = scenario.content.piece_size;
                let piece_len = u32::try_from(piece_size.bytes()).map_err(|error| {
                    Failure::input(
                        error,
                        format!("pieces of {piece_size} are too long: set content.piece_size"),
                    )
                })?;
                payload::of_path(path, piece_len, self.is_quiet()).map(Some)
            }
            (None, Some(torrent), Some(data)) => {
                payload::of_torrent(torrent, data, self.is_quiet()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The command that repeats the run with this seed.
    fn replay(&self, seed: u64) -> String {
        let mut command = format!("torrentlab run {} --seed {seed}", self.scenario);
        if self.backend != Carrier::Des {
            command += &format!(" --backend {}", Backend::from(self.backend).name());
        }
        self.sets.iter().for_each(|set| command += &format!(" --set '{set}'"));
        for (name, path) in [("payload", &self.payload), ("torrent", &self.torrent), ("data", &self.data)] {
            command.extend(path.iter().map(|path| format!(" --{name} '{}'", path.display())));
        }
        if self.check {
            command += " --check";
        }
        command
    }
}

/// A seed is a number of 32 bits, the last one too.
pub(crate) fn seeds(first: u64, runs: u32) -> Result<Vec<u64>, Failure> {
    let seeds = first..first + u64::from(runs);
    if seeds.end > u64::from(u32::MAX) + 1 {
        let error = anyhow!("the seeds of {runs} runs from {first} on go beyond {}", u32::MAX);
        return Err(Failure::input(error, "begin with a smaller --seed"));
    }
    Ok(seeds.collect())
}

/// What runs, so that it can be repeated.
fn headline(scenario: &Scenario, seeds: &[u64]) -> String {
    let hosts: u32 = scenario.class_sizes().values().sum();
    let seeds = match seeds {
        [seed] => format!("seed {seed}"),
        _ => format!("seeds {} to {}", seeds[0], seeds[seeds.len() - 1]),
    };
    format!("torrentlab {}: {}, {hosts} hosts, {seeds}", env!("CARGO_PKG_VERSION"), scenario.name)
}

/// A flag that is set when the user or the system wants the program to end.
pub(crate) fn stop_on_signal() -> Result<Arc<AtomicBool>, Failure> {
    let runtime = share::runtime()?;
    let interrupted = {
        let _entered = runtime.enter();
        share::interrupted()?
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    #[expect(
        clippy::disallowed_methods,
        reason = "it waits for what may never come, and ends with the program"
    )]
    std::thread::spawn(move || {
        runtime.block_on(interrupted);
        flag.store(true, Ordering::Relaxed);
    });
    Ok(stop)
}

/// What is to be run, with any seed.
struct Job<'a> {
    scenario: &'a Scenario,
    registry: &'a Registry,
    options: RunOptions<'a>,
    results: &'a Results,
    /// The hosts that are asked why they decide as they do.
    explain: &'a [String],
    /// Whether everything that happens is written down.
    trace: bool,
}

/// Why a run has no result.
enum Trouble {
    Run(RunError),
    Corrupt(u32),
    Kept(Failure),
}

impl Job<'_> {
    /// Runs all `seeds`, several side by side; what came of each.
    fn run_all(&self, args: &Args, seeds: &[u64]) -> BTreeMap<u64, Result<CellRun, Trouble>> {
        let mut board = Board::new(seeds.len(), args.is_quiet());
        let mut results = BTreeMap::new();
        let work = |seed, tell: &mut dyn FnMut(Reached)| self.run(seed, tell);
        side_by_side(seeds, args.threads.map_or_else(processors, |threads| threads as usize), work, |news| {
            match news {
                News::Progress(reached) => board.show(reached),
                News::Done(seed, result) => {
                    results.insert(seed, result);
                    board.ended(results.len());
                }
            }
        });
        board.progress.finish();
        results
    }

    /// Runs once and keeps the result, so that an end of the program does not take it along.
    fn run(&self, seed: u64, tell: &mut dyn FnMut(Reached)) -> Result<CellRun, Trouble> {
        let dir = self.results.of_seed(seed);
        let asked =
            (!self.explain.is_empty()).then(|| Explanations::begin(self.scenario, self.explain, &dir));
        let asked = asked.transpose().map_err(Trouble::Kept)?;
        let explain = asked.as_ref().map(|asked| &asked.explain);
        let recording = self.recording(&dir).map_err(Trouble::Kept)?;
        let watch = |scene: &Scene| recording.iter().map(|recording| recording.watch(scene)).collect();
        let watch = recording.is_some().then_some(Watching(&watch));
        let options = RunOptions { explain, watch, ..self.options.clone() };
        let stopwatch = Stopwatch::start();
        let outcome = simulate(self.scenario, seed, self.registry, &options, tell);
        if let Some(recording) = recording {
            recording.end().map_err(|error| Trouble::Kept(Failure::unwritable(&error).within(TRACE)))?;
        }
        match asked {
            Some(asked) => asked.end(outcome.is_ok()).map_err(Trouble::Kept)?,
            None if outcome.is_ok() => explain::forget(&dir).map_err(Trouble::Kept)?,
            None => {}
        }
        let mut outcome = outcome.map_err(Trouble::Run)?;
        let summary = &outcome.record.summary;
        outcome.record.cost = Some(stopwatch.cost(summary.events, summary.blocks));
        self.results.keep(&outcome.record).map_err(Trouble::Kept)?;
        match outcome.corrupt {
            0 => Ok(CellRun::new(outcome.record.summary, &outcome.record.peers)),
            hosts => Err(Trouble::Corrupt(hosts)),
        }
    }
}

/// The file for everything that happens.
pub(crate) const TRACE: &str = "trace.zst";

impl Job<'_> {
    /// The file that everything is written down in, if it is; none of an earlier run stays.
    fn recording(&self, dir: &Path) -> Result<Option<Recording>, Failure> {
        let path = dir.join(TRACE);
        let unwritable = |error| Failure::unwritable(&error).within(path.display());
        if self.trace {
            std::fs::create_dir_all(dir).and_then(|()| Recording::create(&path)).map(Some).map_err(unwritable)
        } else {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unwritable(error)),
                _ => Ok(None),
            }
        }
    }
}

impl Trouble {
    fn explain(self, args: &Args, seed: u64) -> Failure {
        let defect = |what: String| {
            let hint = format!("this is a defect of torrentlab: report it with `{}`", args.replay(seed));
            Failure::failed(anyhow!("seed {seed}: {what}"), hint)
        };
        match self {
            Self::Kept(failure) => failure,
            Self::Corrupt(hosts) => defect(format!("the content of {hosts} hosts differs from the original")),
            Self::Run(RunError::Strategy(what)) => {
                let hint = format!("mend the strategy, and replay it with `{}`", args.replay(seed));
                Failure::failed(anyhow!("seed {seed}: the strategy failed: {what}"), hint)
            }
            Self::Run(RunError::Failed { failure, .. }) => {
                let hint = format!("a failure is found: replay it with `{}`", args.replay(seed));
                Failure::failed(anyhow!("seed {seed}: {failure}"), hint)
            }
            Self::Run(error) => defect(error.to_string()),
        }
    }
}

/// How the runs ended, in the order of their seeds.
#[derive(Default)]
struct Ended {
    summaries: Vec<Summary>,
    /// The same with what the plot over all of them needs.
    runs: Vec<CellRun>,
    failures: Vec<Failure>,
    judgement: Judgement,
}

impl Ended {
    /// Prints the result, as far as there is one, and where it is.
    fn tell(&mut self, args: &Args, scenario: &Scenario, results: &Results) -> Result<(), Failure> {
        let Some(last) = self.summaries.last() else { return Ok(()) };
        results.point_latest(last.seed)?;
        let runs: Vec<&Summary> = self.summaries.iter().collect();
        let claims = claims(scenario);
        self.judgement = judge(&runs, &claims);
        let mut table = if args.runs > 1 {
            let all = aggregate(&self.summaries);
            results.keep_aggregate(&all, &self.runs)?;
            if args.json { json(serde_json::to_string_pretty(&all))? } else { aggregate_table(&all) }
        } else if args.json {
            json(serde_json::to_string_pretty(last))?
        } else {
            summary_table(last)
        };
        if !args.json && self.judgement.verdict != Verdict::NotJudged {
            table += &format!("\n\n claim: {}\n {}", scenario.answer, self.judgement);
        }
        data(table)?;
        if !args.is_quiet() {
            let dir = results.of_seed(last.seed);
            let (plots, page) = (dir.join("plots"), dir.join("report.html"));
            note(format_args!(
                "\ntables: {}\nplots:  {}\npage:   {}",
                dir.display(),
                plots.display(),
                page.display()
            ));
            if !args.explain.is_empty() {
                note(format_args!("why:    {}", dir.join("explain").display()));
            }
            if args.runs > 1 {
                let folder = results.folder();
                let (table, plots) = (folder.join("aggregate.csv"), folder.join("plots"));
                note(format_args!("over all runs: {}, {}", table.display(), plots.display()));
            }
            if let Some(how) = other_cells(&claims, &args.scenario) {
                note(how);
            }
        }
        Ok(())
    }

    fn exit(&self, args: &Args, interrupted: bool) -> Exit {
        // The claim is about the scenario as it stands: changed, it is judged too, but to refute it is no failure.
        let answers = |verdict| args.sets.is_empty() && self.judgement.verdict == verdict;
        if interrupted {
            Exit::Interrupted
        } else if !self.failures.is_empty() || answers(Verdict::Refuted) {
            Exit::Failed
        } else if answers(Verdict::Inconclusive)
            || self.summaries.iter().any(|summary| summary.ended_by == "time_cap")
        {
            Exit::Inconclusive
        } else {
            Exit::Done
        }
    }
}

pub(crate) fn json(text: serde_json::Result<String>) -> Result<String, Failure> {
    text.map_err(|error| Failure::failed(error, "please report this"))
}

pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Progress of all runs together: hosts that have finished, and simulated time.
struct Board {
    progress: Progress,
    runs: usize,
    ended: usize,
    /// Hosts that have finished in each run.
    finished: BTreeMap<u64, u32>,
}

impl Board {
    fn new(runs: usize, quiet: bool) -> Self {
        let progress = Progress::counting("running", Unit::Hosts, 0, quiet);
        Self { progress, runs, ended: 0, finished: BTreeMap::new() }
    }

    fn show(&mut self, reached: Reached) {
        self.finished.insert(reached.seed, reached.completed);
        self.progress.set_total(u64::from(reached.total) * self.runs as u64);
        let (runs, ended) = (self.runs, self.ended);
        self.progress.set(self.finished.values().copied().map(u64::from).sum(), || {
            let time = format!("after {:.0} s simulated", reached.simulated_s);
            if runs == 1 {
                time
            } else {
                format!("{time} (seed {}), {ended} of {runs} runs ended", reached.seed)
            }
        });
    }

    fn ended(&mut self, runs: usize) {
        self.ended = runs;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clap::Parser;
    use torrentlab_engine::node::Output;
    use torrentlab_engine::torrent::Torrent;
    use torrentlab_engine::wire::Message;
    use torrentlab_simulator::mutant::{Mutant, OnOutput, Relay};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    /// Says that it is interested twice.
    fn registry() -> Registry {
        let mut registry = Registry::default();
        registry.register_node("stutters", |setup, now| {
            let rule = OnOutput(|output: Output, relay: &mut Relay| {
                if let Output::Send { message: Message::Interested, .. } = &output {
                    relay.to_driver(output.clone());
                }
                relay.to_driver(output);
            });
            Box::new(Mutant::new(Torrent::new(setup, now), rule))
        });
        registry
    }

    /// How a run of eight leechers with this node ends.
    fn checked(node: &str, out: &Path) -> Exit {
        let node = format!("hosts.leecher.node={node}");
        let line = ["run", "first-swarm", "--check", "--quiet", "--out"].map(str::to_owned);
        let sets = ["--set", "content.size=1 MiB", "--set", "hosts.leecher.count=8", "--set", &node];
        let line = line.into_iter().chain([out.display().to_string()]).chain(sets.map(str::to_owned));
        run(&registry(), &Line::parse_from(line).args).map_err(|_| "it cannot run").unwrap()
    }

    #[test]
    fn a_run_that_breaks_a_rule_says_which_and_how_to_see_it_again() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(checked("stutters", dir.path()), Exit::Failed));
        let folder = dir.path().join("first-swarm/1");
        let text = fs::read_to_string(folder.join("failure.txt")).unwrap();
        assert!(text.starts_with("check:protocol at ") && text.contains("\n  hosts: leecher-"), "{text}");
        assert!(text.contains("says to seed-0: interested"), "{text}");
        let replay = "replay: torrentlab run first-swarm --seed 1 --set 'content.size=1 MiB' --set \
                      'hosts.leecher.count=8' --set 'hosts.leecher.node=stutters' --check\n";
        assert!(text.ends_with(replay), "{text}");
        assert!(!folder.join("summary.json").exists());
    }

    #[test]
    fn a_run_that_breaks_none_leaves_no_failure_negative() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("first-swarm/1");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("failure.txt"), "of another run").unwrap();
        assert!(matches!(checked("engine", dir.path()), Exit::Done));
        assert!(!folder.join("failure.txt").exists() && folder.join("summary.json").exists());
    }
}
