//! `torrentlab fuzz` and `torrentlab shrink`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use torrentlab_scenarios::units::Span;
use torrentlab_scenarios::{Loaded, Scenario};
use torrentlab_simulator::build::check;
use torrentlab_simulator::failure::Failure as Found;
use torrentlab_simulator::fuzz::{Coverage, Measure, PROBES, Shrunk, generate, shrink as make_small, text};
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Backend, News, RunError, RunOptions, run as simulate, side_by_side};
use torrentlab_simulator::watch::{Scene, Watch, Watching};

use crate::print::{data, note};
use crate::progress::{Progress, Unit};
use crate::run::{Carrier, processors, stop_on_signal};
use crate::{Exit, Failure};

/// Runs where neither `--seeds` nor `--for` says how many.
const RUNS: u32 = 200;
/// Seeds that a campaign by time may get to.
const MOST_RUNS: u32 = 10_000_000;
/// Runs that each processor is given at a time.
const BATCH: usize = 256;
/// A failure is made smaller for so long at most, unless the user says otherwise.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
#[command(after_help = "A run follows from its seed alone: --from N --seeds 1 repeats it.")]
pub(crate) struct Args {
    /// Go on for so long, as in 10m or "8 h"
    #[arg(long = "for", value_name = "TIME", value_parser = time, conflicts_with = "seeds")]
    lasts: Option<Duration>,
    /// Run so many random swarms [default: 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_RUNS)))]
    seeds: Option<u32>,
    /// Begin with this seed
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    from: u32,
    /// Where scenarios that fail go
    #[arg(long, value_name = "DIR", default_value = "failures")]
    out: PathBuf,
    /// What carries the bytes
    #[arg(long, value_name = "BACKEND", value_enum, default_value_t = Carrier::Des)]
    backend: Carrier,
    /// How many runs go on side by side [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Keep failures as they are: the first of each class is made smaller otherwise
    #[arg(long)]
    no_shrink: bool,
    /// Print the result alone, without progress and notes
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShrinkArgs {
    /// A scenario that fails with --check: a file, or a name of the catalogue
    scenario: String,
    /// The seed of all randomness [default: the scenario's]
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// Change a field of the scenario first; may be repeated
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    sets: Vec<String>,
    /// Where the smallest scenario goes [default: beside the scenario, with -small in its name]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What carries the bytes
    #[arg(long, value_name = "BACKEND", value_enum, default_value_t = Carrier::Des)]
    backend: Carrier,
    /// End the search after so long with what it has, as in 10m [default: it ends when nothing smaller fails]
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    lasts: Option<Duration>,
    /// How many runs go on side by side [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Print the result alone, without progress and notes
    #[arg(long, short)]
    quiet: bool,
}

/// A time as in a scenario, where `10m` stands for ten minutes too.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let minutes = text.trim().strip_suffix('m').filter(|number| number.trim().parse::<f64>().is_ok());
    let span = minutes.map_or_else(|| text.to_owned(), |number| format!("{} min", number.trim()));
    let span: Span =
        span.parse().map_err(|error: torrentlab_scenarios::units::UnitError| error.to_string())?;
    Ok(Duration::from_nanos(span.as_nanos()))
}

/// What is run, again and again.
struct Laboratory<'a> {
    registry: &'a Registry,
    backend: Carrier,
    stop: &'a AtomicBool,
}

impl Laboratory<'_> {
    /// Runs a scenario under all checkers: how it fails, if it does.
    fn run(&self, scenario: &Scenario, watch: Option<Watching<'_>>) -> Result<Option<Found>, RunError> {
        let options = RunOptions {
            backend: self.backend.into(),
            check: true,
            stop: Some(self.stop),
            watch,
            ..RunOptions::default()
        };
        match simulate(scenario, u64::from(scenario.seed), self.registry, &options, &mut |_| ()) {
            Ok(_) => Ok(None),
            Err(RunError::Failed { failure, .. }) => Ok(Some(*failure)),
            Err(error) => Err(error),
        }
    }

    /// The command that repeats the run of a scenario in `file`.
    fn replay(&self, file: &Path) -> String {
        let backend = match self.backend {
            Carrier::Des => String::new(),
            other => format!(" --backend {}", Backend::from(other).name()),
        };
        format!("torrentlab run {} --check{backend}", file.display())
    }

    fn shrink(
        &self,
        scenario: &Scenario,
        failure: &Found,
        threads: usize,
        patience: Option<Duration>,
        quiet: bool,
    ) -> Shrunk {
        let (begun, mut progress) =
            (Instant::now(), Progress::counting("shrinking", Unit::Candidates, 0, quiet));
        let attempt = |scenario: &Scenario| self.run(scenario, None).ok().flatten();
        let shrunk = make_small(scenario, failure, threads, attempt, |search| {
            progress.set(search.runs, || format!("{} of them taken: {}", search.taken, search.smallest));
            let in_time = patience.is_none_or(|patience| begun.elapsed() < patience);
            in_time && !self.stop.load(Ordering::Relaxed)
        });
        progress.finish();
        shrunk
    }

    /// Writes a scenario that fails, with how it does and how to repeat that above it.
    fn keep(&self, file: &Path, scenario: &str, failure: &Found) -> Result<(), Failure> {
        let mut all = String::new();
        failure.to_string().lines().for_each(|line| _ = writeln!(all, "# {line}"));
        let _ = write!(all, "#\n# replay: {}\n\n{scenario}", self.replay(file));
        let kept = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(file, all));
        kept.with_context(|| format!("cannot write {}", file.display()))
            .map_err(|error| Failure::failed(error, Failure::ELSEWHERE))
    }
}

/// What a campaign found.
#[derive(Default)]
struct Harvest {
    runs: u64,
    /// Scenarios that the backend cannot have.
    left_out: u64,
    /// The seeds that fail, by class, with how the first of them does.
    failures: BTreeMap<String, (Vec<u64>, Option<Found>)>,
}

pub(crate) fn run(registry: &Registry, args: &Args) -> Result<Exit, Failure> {
    let stop = stop_on_signal()?;
    let (out_of_time, begun) = (AtomicBool::new(false), Instant::now());
    let planned = args.seeds.unwrap_or(if args.lasts.is_some() { MOST_RUNS } else { RUNS });
    let most = u32::MAX - args.from;
    if args.lasts.is_none() && planned - 1 > most {
        let error = anyhow!("{planned} seeds from {} on go beyond {}", args.from, u32::MAX);
        return Err(Failure::input(error, "begin with a smaller --from"));
    }
    let seeds = u64::from(args.from)..=u64::from(args.from) + u64::from((planned - 1).min(most));
    let threads = args.threads.map_or_else(processors, |threads| threads as usize);
    let coverage = Coverage::default();
    let mut harvest = Harvest::default();
    let mut trouble = None;
    let hook = silence();
    {
        let laboratory = Laboratory { registry, backend: args.backend, stop: &out_of_time };
        let watch = |scene: &Scene| vec![Box::new(coverage.probes(scene)) as Box<dyn Watch>];
        let work = |seed: u64, _: &mut dyn FnMut(_)| {
            if stop.load(Ordering::Relaxed) || args.lasts.is_some_and(|lasts| begun.elapsed() >= lasts) {
                out_of_time.store(true, Ordering::Relaxed);
            }
            if out_of_time.load(Ordering::Relaxed) {
                return None;
            }
            let scenario = match generate(seed as u32) {
                Ok(scenario) => scenario,
                Err(error) => return Some(Err(error.to_string())),
            };
            match laboratory.run(&scenario, Some(Watching(&watch))) {
                Ok(found) => Some(Ok(found)),
                // Its time was over.
                Err(RunError::Stopped) => None,
                Err(error) => Some(Err(error.to_string())),
            }
        };
        let mut progress = match args.lasts {
            Some(lasts) => Progress::counting("fuzzing", Unit::Seconds, lasts.as_secs(), args.quiet),
            None => Progress::counting("fuzzing", Unit::Runs, u64::from(planned), args.quiet),
        };
        let mut enter = |news| {
            let News::Done(seed, Some(result)) = news else { return };
            match result {
                Ok(found) => harvest.enter(seed, found),
                // Turmoil cannot have every scenario.
                Err(_) if args.backend == Carrier::Turmoil => harvest.left_out += 1,
                Err(error) => _ = trouble.get_or_insert(format!("seed {seed}: {error}")),
            }
            let done = if args.lasts.is_some() { begun.elapsed().as_secs() } else { harvest.runs };
            let met = coverage.met().iter().filter(|(_, runs)| *runs > 0).count();
            progress.set(done, || {
                let failures: usize = harvest.failures.values().map(|(seeds, _)| seeds.len()).sum();
                format!("{} runs, {failures} failures, {met} of {} probes", harvest.runs, PROBES.len())
            });
        };
        // A campaign by time does not know how many seeds it will get to.
        for first in seeds.clone().step_by(BATCH * threads) {
            let some: Vec<u64> = (first..=*seeds.end()).take(BATCH * threads).collect();
            side_by_side(&some, threads, work, &mut enter);
            if out_of_time.load(Ordering::Relaxed) {
                break;
            }
        }
        progress.finish();
    }
    if let Some(trouble) = trouble {
        restore(hook);
        return Err(Failure::failed(
            anyhow!("{trouble}"),
            "this is a defect of torrentlab: please report it",
        ));
    }
    let laboratory = Laboratory { registry, backend: args.backend, stop: &stop };
    let kept = harvest.keep(&laboratory, args, threads);
    restore(hook);
    let kept = kept?;
    data(harvest.report(&coverage, &kept))?;
    Ok(if stop.load(Ordering::Relaxed) {
        Exit::Interrupted
    } else if harvest.runs == 0 {
        Exit::Inconclusive
    } else if harvest.failures.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

impl Harvest {
    fn enter(&mut self, seed: u64, found: Option<Found>) {
        self.runs += 1;
        let Some(found) = found else { return };
        let (seeds, first) = self.failures.entry(found.class.clone()).or_default();
        // They come in whatever order they end in.
        if seeds.iter().all(|&other| seed < other) {
            *first = Some(found);
        }
        seeds.push(seed);
        seeds.sort_unstable();
    }

    /// Writes the first scenario of each class that fails, and a smaller one; lines that say where.
    fn keep(&self, laboratory: &Laboratory<'_>, args: &Args, threads: usize) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        for (class, (seeds, first)) in &self.failures {
            let (Some(&seed), Some(failure)) = (seeds.first(), first) else { continue };
            let name = class.replace(':', "-");
            let file = args.out.join(format!("{name}-{seed}.toml"));
            laboratory.keep(&file, &text(seed as u32), failure)?;
            let mut line = format!("{failure}\n  replay: {}", laboratory.replay(&file));
            if !args.no_shrink {
                let scenario = generate(seed as u32).map_err(|error| Failure::told(&error))?;
                let shrunk = laboratory.shrink(&scenario, failure, threads, Some(PATIENCE), args.quiet);
                let small = args.out.join(format!("{name}-{seed}-small.toml"));
                laboratory.keep(&small, &shrunk.scenario.brief_toml(), &shrunk.failure)?;
                line += &format!("\n  {}\n  small:  {}", comparison(&shrunk), laboratory.replay(&small));
            }
            lines.push(line);
        }
        Ok(lines)
    }

    fn report(&self, coverage: &Coverage, kept: &[String]) -> String {
        let failures: usize = self.failures.values().map(|(seeds, _)| seeds.len()).sum();
        let mut text = format!("{} random swarms, {failures} failures", self.runs);
        if self.left_out > 0 {
            let _ = write!(text, "\n{} more are not for this backend", self.left_out);
        }
        for (class, (seeds, _)) in &self.failures {
            let some: Vec<_> = seeds.iter().take(5).map(u64::to_string).collect();
            let more = if seeds.len() > some.len() { ", ..." } else { "" };
            let _ = write!(text, "\n  {class}: {} (seeds {}{more})", seeds.len(), some.join(", "));
        }
        kept.iter().for_each(|line| _ = write!(text, "\n\n{line}"));
        let (met, missed): (Vec<_>, Vec<_>) = coverage.met().into_iter().partition(|(_, runs)| *runs > 0);
        let _ = write!(text, "\n\nmet sometimes, in so many runs:");
        for (name, runs) in met {
            let _ = write!(text, "\n  {name}: {runs}");
        }
        if !missed.is_empty() {
            let names: Vec<_> = missed.iter().map(|(name, _)| *name).collect();
            let _ = write!(text, "\nnever met: {}", names.join(", "));
        }
        text
    }
}

fn comparison(shrunk: &Shrunk) -> String {
    let Shrunk { before, search, is_minimal, .. } = shrunk;
    let end = if *is_minimal { "nothing smaller fails" } else { "the search was ended" };
    let (runs, after): (u64, Measure) = (search.runs, search.smallest);
    format!("before: {before}\n  after:  {after} ({runs} runs; {end})")
}

pub(crate) fn shrink(registry: &Registry, args: &ShrinkArgs) -> Result<Exit, Failure> {
    let mut sets = args.sets.clone();
    sets.extend(args.seed.map(|seed| format!("seed={seed}")));
    let Loaded { scenario, source } =
        torrentlab_scenarios::load(&args.scenario, &sets).map_err(|error| Failure::told(&error))?;
    check(&scenario, registry)
        .map_err(|error| Failure::told(&source.error(&error.field, &error.what, &error.hint)))?;
    let stop = stop_on_signal()?;
    let laboratory = Laboratory { registry, backend: args.backend, stop: &stop };
    let threads = args.threads.map_or_else(processors, |threads| threads as usize);
    let hook = silence();
    let result = laboratory.run(&scenario, None).map(|found| {
        found.map(|failure| laboratory.shrink(&scenario, &failure, threads, args.lasts, args.quiet))
    });
    restore(hook);
    let shrunk = match result {
        Ok(Some(shrunk)) => shrunk,
        Ok(None) => {
            let error = anyhow!("{} does not fail with seed {}", args.scenario, scenario.seed);
            let hint = "shrink a scenario that fails with `torrentlab run ... --check`, with the same --seed and --set";
            return Err(Failure::input(error, hint));
        }
        Err(RunError::Stopped) => return Ok(Exit::Interrupted),
        Err(RunError::Build(error)) => {
            return Err(Failure::told(&source.error(&error.field, &error.what, &error.hint)));
        }
        Err(error) => return Err(Failure::failed(anyhow!("{error}"), "mend the strategy first")),
    };
    let out = args.out.clone().unwrap_or_else(|| beside(&args.scenario));
    laboratory.keep(&out, &shrunk.scenario.brief_toml(), &shrunk.failure)?;
    data(format_args!(
        "{}\n  {}\n  replay: {}",
        shrunk.failure,
        comparison(&shrunk),
        laboratory.replay(&out)
    ))?;
    if !args.quiet && shrunk.search.taken == 0 {
        note("nothing could be left out");
    }
    Ok(if stop.load(Ordering::Relaxed) { Exit::Interrupted } else { Exit::Done })
}

/// Where what is made of a scenario goes: `x.toml` leads to `x-small.toml`, and `bugs/x` to `x-small.toml` here.
fn beside(scenario: &str) -> PathBuf {
    let path = Path::new(scenario);
    let stem = path.file_stem().map_or("scenario".into(), |stem| stem.to_string_lossy());
    let name = format!("{stem}-small.toml");
    if path.is_file() { path.with_file_name(name) } else { PathBuf::from(name) }
}

type Hook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Sync + Send>;

/// A broken invariant in one of many runs is a result, which is told in its place.
fn silence() -> Hook {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    hook
}

fn restore(hook: Hook) {
    std::panic::set_hook(hook);
}
