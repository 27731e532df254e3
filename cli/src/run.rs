//! `torrentlab run`

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use torrentlab_reports::record::{RunRecord, Summary};
use torrentlab_reports::{aggregate, aggregate_table, summary_table, write_report};
use torrentlab_scenarios::Scenario;
use torrentlab_scenarios::units::Size;
use torrentlab_simulator::content::RealContent;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{News, Progress, RunError, RunOptions, run as simulate, side_by_side};

use crate::cost::Stopwatch;
use crate::{Exit, Failure, payload};

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
    /// Print the summary as JSON and nothing else
    #[arg(long)]
    json: bool,
    /// Print the result alone, without progress and notes
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(registry: &Registry, args: &Args) -> Result<Exit, Failure> {
    let mut sets = args.sets.clone();
    sets.extend(args.seed.map(|seed| format!("seed={seed}")));
    let loaded = torrentlab_scenarios::load(&args.scenario, &sets).map_err(|error| Failure::told(&error))?;
    let mut scenario = loaded.scenario;
    let content = content(args, &scenario)?;
    if let Some(real) = &content {
        let geometry = real.metainfo.geometry();
        scenario.content.size = Size::from_bytes(geometry.total_len());
        scenario.content.piece_size = Size::from_bytes(u64::from(geometry.piece_len()));
    }
    let scenario = &scenario;
    let options = RunOptions { content: content.as_ref(), ..RunOptions::default() };
    let first = u64::from(scenario.seed);
    let seeds: Vec<u64> = (first..first + u64::from(args.runs)).collect();
    let folder = args.out.join(&scenario.name);
    if !args.quiet && !args.json {
        eprintln!("{}", headline(scenario, &seeds));
    }

    let bar = Bar::new(args.quiet);
    let threads = args.threads.map_or_else(processors, |threads| threads as usize);
    let mut results: BTreeMap<u64, Result<Summary, Failure>> = BTreeMap::new();
    let work = |seed, tell: &mut dyn FnMut(Progress)| {
        let stopwatch = Stopwatch::start();
        let outcome = simulate(scenario, seed, registry, &options, tell);
        outcome.map(|mut outcome| {
            let summary = &outcome.record.summary;
            outcome.record.cost = Some(stopwatch.cost(summary.events, summary.blocks));
            outcome
        })
    };
    side_by_side(&seeds, threads, work, |news| match news {
        News::Progress(progress) => bar.show(progress),
        News::Done(seed, outcome) => {
            let result = match outcome {
                Ok(outcome) if outcome.corrupt > 0 => Err(corrupt(seed, outcome.corrupt)),
                Ok(outcome) => keep(&outcome.record, &folder.join(seed.to_string())),
                Err(error) => Err(failed(args, error)),
            };
            results.insert(seed, result);
        }
    });
    bar.finish();
    let summaries: Vec<Summary> = results.into_values().collect::<Result<_, _>>()?;
    let last = folder.join(summaries.last().map_or(first, |summary| summary.seed).to_string());
    point_latest(&args.out, &last)?;
    tell(args, &summaries, &folder, &last)?;
    let capped = summaries.iter().any(|summary| summary.ended_by == "time_cap");
    Ok(if capped { Exit::Inconclusive } else { Exit::Done })
}

/// The real content to distribute, if any.
fn content(args: &Args, scenario: &Scenario) -> Result<Option<RealContent>, Failure> {
    match (&args.payload, &args.torrent, &args.data) {
        (Some(path), ..) => {
            let piece_size = scenario.content.piece_size;
            let piece_len = u32::try_from(piece_size.bytes()).map_err(|error| {
                Failure::input(error, format!("pieces of {piece_size} are too long: set content.piece_size"))
            })?;
            payload::of_path(path, piece_len, args.quiet || args.json).map(Some)
        }
        (None, Some(torrent), Some(data)) => payload::of_torrent(torrent, data).map(Some),
        _ => Ok(None),
    }
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

/// Writes a run's record, plots and page.
fn keep(record: &RunRecord, dir: &Path) -> Result<Summary, Failure> {
    let hint = "choose a folder that can be written with --out";
    record.write(dir).map_err(|error| Failure::failed(error, hint))?;
    write_report(record, dir).map_err(|error| Failure::failed(error, hint))?;
    Ok(record.summary.clone())
}

fn corrupt(seed: u64, hosts: u32) -> Failure {
    let error = anyhow!("seed {seed}: the content of {hosts} hosts differs from the original");
    Failure::failed(error, "this is a defect of torrentlab: please report it with the scenario and the seed")
}

fn failed(args: &Args, error: RunError) -> Failure {
    match error {
        RunError::Build(error) => Failure::told(&error),
        RunError::Invariant { seed, what } => {
            let sets: String = args.sets.iter().map(|set| format!(" --set '{set}'")).collect();
            let replay = format!("replay it with: torrentlab run {} --seed {seed}{sets}", args.scenario);
            Failure::failed(anyhow!("seed {seed}: invariant: {what}"), replay)
        }
        error => Failure::failed(error, "please report this"),
    }
}

/// Makes `out/latest` point at `dir`.
fn point_latest(out: &Path, dir: &Path) -> Result<(), Failure> {
    let link = out.join("latest");
    let target = dir.strip_prefix(out).unwrap_or(dir);
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(target, &link)
        .with_context(|| format!("cannot make the link {}", link.display()))
        .map_err(|error| {
            Failure::failed(error, "remove what is in its way, or choose another folder with --out")
        })
}

/// Prints the result, and where it is.
fn tell(args: &Args, summaries: &[Summary], folder: &Path, last: &Path) -> Result<(), Failure> {
    let json = |text: Result<String, _>| text.map_err(|error| Failure::failed(error, "please report this"));
    if let [summary] = summaries {
        if args.json {
            println!("{}", json(serde_json::to_string_pretty(summary))?);
            return Ok(());
        }
        println!("{}", summary_table(summary));
    } else {
        let all = aggregate(summaries);
        all.write(folder).map_err(|error| Failure::failed(error, "choose another folder with --out"))?;
        if args.json {
            println!("{}", json(serde_json::to_string_pretty(&all))?);
            return Ok(());
        }
        println!("{}", aggregate_table(&all));
    }
    if !args.quiet {
        eprintln!(
            "\ntables: {}\nplots:  {}\npage:   {}",
            last.display(),
            last.join("plots").display(),
            last.join("report.html").display()
        );
        if summaries.len() > 1 {
            eprintln!("over all runs: {}", folder.join("aggregate.csv").display());
        }
    }
    Ok(())
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Progress in simulated time and finished hosts; a line now and then where no bar can be drawn.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new(quiet: bool) -> Self {
        if quiet || !stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden() };
        }
        let template = "{spinner} {wide_bar} {pos}/{len} finished  {msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(0).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    fn show(&self, progress: Progress) {
        self.bar.set_length(u64::from(progress.total));
        self.bar.set_position(u64::from(progress.completed));
        self.bar.set_message(format!("seed {}, {:.0} s simulated", progress.seed, progress.simulated_s));
    }

    fn finish(self) {
        self.bar.finish_and_clear();
    }
}
