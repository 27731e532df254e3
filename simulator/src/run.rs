//! Runs of a scenario.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use thiserror::Error;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::Geometry;
use torrentlab_reports::record::{ClassInfo, ContentInfo, RunInfo, RunRecord, SeedOutput, Turnover};
use torrentlab_reports::{judge, summarise};
use torrentlab_scenarios::schema::{Arrival, Behaviour, Contacts, HostClass, Peers, Session, Until};
use torrentlab_scenarios::units::Span;
use torrentlab_scenarios::{Draw, InitialPieces, Scenario, Stay};

use crate::build::{BuildError, build, synthetic};
use crate::check::{CONTENT_EQUAL, Checks, Recent};
use crate::claim::{claims, fits};
use crate::content::{Content, RealContent};
use crate::explain::Explain;
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::lua::Complaints;
use crate::names::Names;
use crate::observe::{Sampler, fault_rows, peer_rows, piece_rows, up};
use crate::plan::Plan;
use crate::regions::cross_region_share;
use crate::registry::Registry;
use crate::simulation::Simulation;
use crate::trace::{Detail, Difference, Trace, TraceResult, first_difference};
use crate::watch::{Scene, Watches, Watching};
use crate::{contact, fault, swarm, turmoil};

/// Nobody is given up as stalled before two regular announces and so much more.
const STALL_SLACK: Duration = Duration::from_secs(600);

/// What carries the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backend {
    /// Typed messages in a queue of events ([`crate::swarm`]).
    #[default]
    Des,
    /// Every byte through the engine's own driver, in turmoil's network ([`crate::turmoil`]).
    Turmoil,
}

impl Backend {
    /// Its name in records and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Des => "des",
            Self::Turmoil => "turmoil",
        }
    }
}

/// How a run goes, beside its scenario.
#[derive(Clone, Debug, Default)]
pub struct RunOptions<'a> {
    /// What carries the bytes.
    pub backend: Backend,
    /// Real content to distribute in place of the scenario's.
    pub content: Option<&'a RealContent>,
    /// What the trace keeps beside its hash.
    pub detail: Detail,
    /// Which hosts are asked why they decide as they do.
    pub explain: Option<&'a Explain>,
    /// Holds the swarm to its rules with all [checkers](crate::check): the run fails with the first that is broken.
    pub check: bool,
    /// Who else is told of everything that happens.
    pub watch: Option<Watching<'a>>,
    /// A moment at which those who watch are to look, beside the samples of the timeline.
    pub look_at: Option<Instant>,
    /// Set by whoever does not want the run any more: it then ends soon, without an outcome.
    pub stop: Option<&'a AtomicBool>,
}

impl RunOptions<'_> {
    fn check_stop(&self) -> Result<(), RunError> {
        let stopped = self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
        if stopped { Err(RunError::Stopped) } else { Ok(()) }
    }
}

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Progress {
    /// The run's seed.
    pub seed: u64,
    /// Seconds of the simulation.
    pub simulated_s: f64,
    /// Hosts that came for the content and have it.
    pub completed: u32,
    /// Hosts that come for the content.
    pub total: u32,
}

/// What a run leaves.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The record, without its cost: the simulator reads no clock.
    pub record: RunRecord,
    /// The trace.
    pub trace: TraceResult,
    /// Hosts whose content was compared with the original, hash by hash, and differed.
    pub corrupt: u32,
}

/// Why there is no outcome.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The scenario cannot run.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A rule or an invariant was broken.
    #[error("{failure}\nhint: replay it with seed {seed}")]
    Failed {
        /// The run's seed.
        seed: u64,
        /// What is broken.
        failure: Box<Failure>,
    },
    /// A strategy of the user's failed.
    #[error("{0}")]
    Strategy(String),
    /// [`RunOptions::stop`] was set.
    #[error("the run was stopped")]
    Stopped,
}

/// Runs a scenario once. `progress` is told now and then.
///
/// # Errors
/// Where it cannot run, or an invariant broke on the way.
pub fn run(
    scenario: &Scenario,
    seed: u64,
    registry: &Registry,
    options: &RunOptions<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, RunError> {
    let recent = Recent::default();
    let result =
        catch_unwind(AssertUnwindSafe(|| run_bare(scenario, seed, registry, options, &recent, progress)));
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let what = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
        let failure = Failure { last_events: recent.words(&[]), ..Failure::of_panic(what) };
        Err(RunError::Failed { seed, failure: Box::new(failure) })
    })
}

/// Does `work` for each of `seeds`, `threads` at a time, and tells of it as it comes. What comes of a seed does not
/// depend on the others.
pub fn side_by_side<T: Send>(
    seeds: &[u64],
    threads: usize,
    work: impl Fn(u64, &mut dyn FnMut(Progress)) -> T + Sync,
    mut tell: impl FnMut(News<T>),
) {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, seeds.len().max(1)) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Nobody listens any more only when the caller panicked.
                    let result = work(seed, &mut |progress| drop(sender.send(News::Progress(progress))));
                    drop(sender.send(News::Done(seed, result)));
                }
            });
        }
        drop(sender);
        receiver.iter().for_each(&mut tell);
    });
}

/// What [`side_by_side`] tells.
#[derive(Debug)]
pub enum News<T> {
    /// A run is so far.
    Progress(Progress),
    /// The work for a seed is done.
    Done(u64, T),
}

/// Runs a scenario twice, with two seeds (or the same), and finds the first event that differs.
///
/// # Errors
/// As [`run`].
pub fn compare(
    scenario: &Scenario,
    seeds: [u64; 2],
    registry: &Registry,
    options: &RunOptions<'_>,
) -> Result<Option<Difference>, RunError> {
    let trace = |seed| {
        move |detail| {
            let options = RunOptions { detail, ..options.clone() };
            run(scenario, seed, registry, &options, &mut |_| ()).map(|outcome| outcome.trace)
        }
    };
    first_difference(trace(seeds[0]), trace(seeds[1]))
}

fn run_bare(
    scenario: &Scenario,
    seed: u64,
    registry: &Registry,
    options: &RunOptions<'_>,
    recent: &Recent,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, RunError> {
    options.check_stop()?;
    let content = match options.content {
        Some(real) => Content::Real(Box::new(real.clone())),
        None => synthetic(scenario)?,
    };
    let geometry = content.geometry();
    let plan = |content| -> Result<Plan<'_>, BuildError> {
        let mut plan = build(scenario, registry, content, seed, options.detail.clone(), options.explain)?;
        *plan.trace.watches() = watches(scenario, seed, registry, options, recent, &plan);
        Ok(plan)
    };
    if let Some(model) = scenario.contacts {
        check_contacts(options)?;
        let plan = plan(content)?;
        let job = Job { scenario, seed, options, complaints: plan.config.complaints.clone() };
        return job.run(contact::Swarm::new(model, plan, scenario, registry), geometry, progress);
    }
    match options.backend {
        Backend::Des => {
            let plan = plan(content)?;
            let job = Job { scenario, seed, options, complaints: plan.config.complaints.clone() };
            job.run(swarm::Swarm::new(plan), geometry, progress)
        }
        Backend::Turmoil => {
            turmoil::check(scenario, geometry, &fault::resolve(scenario, seed))?;
            let original = content.into_real(seed);
            let plan = plan(Content::Real(Box::new(original.clone())))?;
            let job = Job { scenario, seed, options, complaints: plan.config.complaints.clone() };
            job.run(turmoil::Swarm::new(plan, original), geometry, progress)
        }
    }
}

/// Who is told what happens.
fn watches(
    scenario: &Scenario,
    seed: u64,
    registry: &Registry,
    options: &RunOptions<'_>,
    recent: &Recent,
    plan: &Plan<'_>,
) -> Watches {
    if !options.check && options.watch.is_none() {
        return Watches::default();
    }
    let misbehaves = |host| plan.faults.faults.iter().any(|fault| fault.misbehaves() && fault.hits(host));
    let classes: Vec<&HostClass> = scenario.hosts.values().collect();
    let breaks_rules = |class: u16| registry.breaks_rules(&classes[usize::from(class)].node);
    let exempt = (0..).zip(&plan.hosts).map(|(host, plan)| breaks_rules(plan.class) || misbehaves(host));
    let scene = Scene {
        scenario: Arc::new(scenario.clone()),
        seed,
        backend: options.backend,
        geometry: plan.config.content.geometry(),
        names: Arc::new(Names::of(scenario)),
        faults: Arc::new(plan.faults.clone()),
        exempt: exempt.collect(),
    };
    let mut all = options.watch.map_or_else(Vec::new, |Watching(watch)| watch(&scene));
    if options.check {
        all.push(Box::new(Checks::new(&scene, recent.clone())));
    }
    Watches(all)
}

/// A model of contacts carries no bytes.
fn check_contacts(options: &RunOptions<'_>) -> Result<(), BuildError> {
    let no_bytes = "hosts that meet by `contacts` exchange no bytes";
    if options.backend != Backend::Des {
        let hint = "leave --backend out, or leave `contacts` out for real clients on links";
        return Err(BuildError::new("contacts", format!("{no_bytes} for turmoil to carry"), hint));
    }
    if options.content.is_some() {
        let hint = "leave --payload or --torrent out: `content` has the size";
        return Err(BuildError::new("contacts", format!("{no_bytes}, and take no content"), hint));
    }
    Ok(())
}

/// A scenario to be run with a seed.
struct Job<'a> {
    scenario: &'a Scenario,
    seed: u64,
    options: &'a RunOptions<'a>,
    complaints: Complaints,
}

impl Job<'_> {
    /// Runs a swarm to its end and writes the record.
    fn run(
        &self,
        mut swarm: impl Simulation,
        geometry: Geometry,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Outcome, RunError> {
        let Self { scenario, seed, options, .. } = *self;
        let mut sampler = Sampler::new(scenario, geometry.pieces());
        let ended_by = self.drive(&mut swarm, &mut sampler, progress)?;
        swarm.finish_accounts();
        let (timeline, availability) = sampler.finish();
        let warm_up = match scenario.until {
            Until::Steady(steady) => Instant::from_nanos(steady.warm_up.as_nanos()),
            _ => Instant::ZERO,
        };
        let peers = peer_rows(scenario, &swarm, warm_up, stall_after(scenario));
        let pieces = piece_rows(&swarm.ledger());
        let (simulated_s, events, corrupt) = (swarm.now().as_secs_f64(), swarm.events(), swarm.corrupt());
        let classes = class_infos(scenario, &swarm.ledger());
        let seed_output = seed_output(&swarm.ledger());
        let cross_region_share = cross_region_share(scenario, &swarm.ledger());
        let faults = fault_rows(scenario, swarm.faults().plan(), swarm.now());
        let tick = swarm.tick();
        if options.check && corrupt > 0 {
            let what = format!("the content of {corrupt} hosts differs from the original");
            let failure = Failure::of_checker(CONTENT_EQUAL.0, swarm.now(), what);
            return Err(RunError::Failed { seed, failure: Box::new(failure) });
        }
        let trace = swarm.with_trace(Trace::finish);
        let mut info = RunInfo {
            scenario: scenario.name.clone(),
            question: scenario.question.clone(),
            answer: scenario.answer.clone(),
            claims: claims(scenario),
            fits: fits(scenario),
            seed,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            backend: backend(scenario, options).to_owned(),
            slot_s: scenario.slot().map(Span::as_secs_f64),
            tick,
            trace_hash: format!("{:032x}", trace.hash),
            ended_by: ended_by.to_owned(),
            simulated_s,
            events,
            content: ContentInfo {
                total_bytes: geometry.total_len(),
                piece_bytes: u64::from(geometry.piece_len()),
                pieces: geometry.pieces(),
            },
            seed_output,
            cross_region_share,
            classes,
            ..RunInfo::default()
        };
        let summary = summarise(&info, &peers, &timeline);
        info.judgement = judge(&[&summary], &info.claims);
        let scenario_toml = resolved(scenario, seed);
        let record = RunRecord {
            info,
            scenario_toml,
            peers,
            timeline,
            pieces,
            faults,
            availability,
            summary,
            cost: None,
        };
        Ok(Outcome { record, trace, corrupt })
    }

    /// Runs a swarm to its end; why it ended.
    fn drive<S: Simulation>(
        &self,
        swarm: &mut S,
        sampler: &mut Sampler,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<&'static str, RunError> {
        let Self { scenario, options, .. } = *self;
        let cap = Instant::from_nanos(scenario.time_cap.as_nanos());
        let (end, reason, warm_up) = match scenario.until {
            Until::AllDone => (Instant::NEVER, "all_done", 0),
            Until::Time(time) => (Instant::from_nanos(time.as_nanos()), "time", 0),
            Until::Steady(steady) => {
                let end = steady.warm_up.as_nanos().saturating_add(steady.window.as_nanos());
                (Instant::from_nanos(end), "steady_state", steady.warm_up.as_nanos())
            }
        };
        let (end, reason) = if end <= cap { (end, reason) } else { (cap, "time_cap") };
        let all_done = scenario.until == Until::AllDone;
        let every = Duration::from_nanos(scenario.record.sample.as_nanos().max(1_000_000));
        let total = swarm.unfinished();
        let mut sample_at = Instant::from_nanos(warm_up);
        let mut look_at = options.look_at.unwrap_or(Instant::NEVER);
        let ended_by = loop {
            let until = sample_at.min(end).min(look_at);
            let mut steps = 0u64;
            while swarm.step(until) {
                steps += 1;
                if all_done && swarm.unfinished() == 0 {
                    break;
                }
                if steps.is_multiple_of(S::STEPS_PER_LOOK) {
                    options.check_stop()?;
                    self.check_strategies()?;
                    self.check_watches(swarm)?;
                    self.tell(swarm, total, progress);
                }
            }
            if all_done && swarm.unfinished() == 0 {
                break "all_done";
            }
            if swarm.now() >= end {
                break reason;
            }
            if all_done && swarm.is_stalled(stall_after(scenario)) {
                break "stalled";
            }
            if swarm.now() >= look_at {
                look_at = Instant::NEVER;
                self.look(swarm)?;
                if swarm.now() < sample_at {
                    continue;
                }
            }
            sampler.sample(swarm);
            self.look(swarm)?;
            sample_at += every;
            options.check_stop()?;
            self.check_strategies()?;
            self.tell(swarm, total, progress);
        };
        self.check_strategies()?;
        sampler.sample(swarm);
        self.look(swarm)?;
        let now = swarm.now();
        swarm.with_trace(|trace| trace.watches().tell(|watch| watch.finish(now)));
        self.check_watches(swarm)?;
        self.tell(swarm, total, progress);
        Ok(ended_by)
    }

    /// Lets those who watch look at the swarm, and hears what they found.
    fn look(&self, swarm: &mut impl Simulation) -> Result<(), RunError> {
        if self.options.check {
            swarm.check_invariants();
        }
        swarm.be_looked_at();
        self.check_watches(swarm)
    }

    fn check_watches(&self, swarm: &mut impl Simulation) -> Result<(), RunError> {
        match swarm.with_trace(|trace| trace.watches().failure()) {
            Some(failure) => Err(RunError::Failed { seed: self.seed, failure: Box::new(failure) }),
            None => Ok(()),
        }
    }

    fn check_strategies(&self) -> Result<(), RunError> {
        self.complaints.first().map_or(Ok(()), |what| Err(RunError::Strategy(what)))
    }

    fn tell(&self, swarm: &impl Simulation, total: u32, progress: &mut dyn FnMut(Progress)) {
        let completed = swarm.ledger().completed;
        progress(Progress { seed: self.seed, simulated_s: swarm.now().as_secs_f64(), completed, total });
    }
}

/// What moves the content, by its name in records.
fn backend(scenario: &Scenario, options: &RunOptions<'_>) -> &'static str {
    match scenario.contacts {
        None => options.backend.name(),
        Some(Contacts::Slotted(_)) => "slotted contacts",
        Some(Contacts::Random(_)) => "random contacts",
    }
}

/// Who received nothing for so long, asked the tracker at least twice in that time.
fn stall_after(scenario: &Scenario) -> Duration {
    Duration::from_nanos(scenario.tracker.interval.as_nanos()) * 2 + STALL_SLACK
}

/// The scenario as it is run with this seed: [`RunRecord::scenario_toml`].
pub fn resolved(scenario: &Scenario, seed: u64) -> String {
    let seed = seed.try_into().unwrap_or(scenario.seed);
    Scenario { seed, ..scenario.clone() }.resolved_toml()
}

fn seed_output(ledger: &Ledger) -> SeedOutput {
    let (first_copy_bytes, first_copy_unique_bytes) = ledger.first_copy.first;
    SeedOutput { first_copy_bytes, first_copy_unique_bytes, whole_after_bytes: ledger.first_copy.whole_after }
}

fn class_infos(scenario: &Scenario, ledger: &Ledger) -> Vec<ClassInfo> {
    let sizes = scenario.class_sizes();
    let names: Vec<&String> = scenario.hosts.keys().collect();
    let unchoking_s = |giver: u16| {
        let given = ledger.unchoking.range((giver, 0)..=(giver, u16::MAX));
        given.map(|(&(_, taker), time)| (names[usize::from(taker)].clone(), time.as_secs_f64())).collect()
    };
    // A class may have no hosts.
    let clustering = |class: u16| ledger.clustering.get(usize::from(class)).copied().unwrap_or_default();
    let info = |(index, (name, class)): (u16, (&String, &HostClass))| ClassInfo {
        name: name.clone(),
        hosts: sizes.get(name.as_str()).copied().unwrap_or(0),
        behaviour: match class.behaviour {
            Behaviour::Normal => "normal",
            Behaviour::FreeRider => "free rider",
            Behaviour::UnderReporter => "under-reporter",
            Behaviour::Seed => "seed",
        }
        .to_owned(),
        up_bytes_per_s: up(scenario, class),
        down_bytes_per_s: class.links.down.bytes_per_s(),
        picker: class.picker.to_string(),
        choker: class.choker.to_string(),
        initial_pieces: match class.initial_pieces() {
            InitialPieces::None => "none".to_owned(),
            InitialPieces::All => "all".to_owned(),
            InitialPieces::Share(share) => share.to_string(),
            InitialPieces::List(_) => "a list".to_owned(),
        },
        presence: presence(class),
        turnover: turnover(class),
        unchoking_s: unchoking_s(index),
        clustering_own_s: clustering(index).own.as_secs_f64(),
        clustering_proportional_s: clustering(index).proportional_s,
    };
    (0u16..).zip(&scenario.hosts).map(info).collect()
}

/// How a class comes and goes, where it does so at constant rates and serves whoever asks.
fn turnover(class: &HostClass) -> Option<Turnover> {
    let (Arrival::Constant(arrivals) | Arrival::Poisson(arrivals)) = class.arrival else { return None };
    let patience_s = match class.session {
        None => None,
        Some(Session { length: Draw::Exponential(mean), gap: None }) => Some(mean.as_secs_f64()),
        Some(_) => return None,
    };
    let seeding_s = match class.stay {
        Stay::None => Some(0.0),
        Stay::Forever => None,
        Stay::For(Draw::Exponential(mean)) => Some(mean.as_secs_f64()),
        Stay::For(_) => return None,
    };
    let leaves_otherwise = class.leave.at.is_some() || class.leave.after_copies.is_some();
    let applies = !leaves_otherwise && class.peers == Peers::Anyone;
    applies.then(|| Turnover { arrivals_per_s: arrivals.per_s(), patience_s, seeding_s })
}

/// How a class comes and goes, in words.
fn presence(class: &HostClass) -> String {
    let comes = match &class.arrival {
        Arrival::FlashCrowd(crowd) => format!("comes within {} from {}", crowd.within, crowd.at),
        Arrival::Constant(rate) => format!("comes at {rate}"),
        Arrival::Poisson(rate) => format!("comes at random, {rate}"),
        Arrival::Decay(decay) => format!("comes at random, {} and falling", decay.rate),
        Arrival::Trace(_) => "comes as traced".to_owned(),
    };
    let stays = match class.stay {
        Stay::None => "leaves on completion",
        Stay::Forever => "stays as a seed",
        Stay::For(_) => "stays a while as a seed",
    };
    format!("{comes}, {stays}")
}
