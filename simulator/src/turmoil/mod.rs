//! The byte-exact backend: the engine's own driver, codec and SHA-1 on hosts inside turmoil's network.
//!
//! | file | its part |
//! |---|---|
//! | `net` | links and connections: when a byte counts as sent and as arrived |
//! | `faults` | carrying out the plan of faults |
//! | `host` | the software of a host: a driver, or the tracker |
//! | `probe` | what is noted of each node |
//! | `storage` | what a host stores |
//!
//! Time goes on in ticks: in each, every host's software runs in turn for that long. What comes between two hosts is
//! in `net`, which turmoil delivers earlier than needed; so a tick adds at most its own length to what a host hears.

mod faults;
mod host;
pub mod net;
mod probe;
pub mod storage;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::{Arc, MutexGuard};

use ::turmoil::Sim;
use tokio::sync::Notify;
use tokio::task::JoinError;
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::net::{Content, Tuning};
use torrentlab_engine::state::NodeState;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::Geometry;
use torrentlab_reports::record::Tick;
use torrentlab_scenarios::Scenario;
use torrentlab_scenarios::schema::{Departure, FaultKind, Peers, TrackerProtocol};

use crate::attendance::{Attendance, Due};
use crate::build::BuildError;
use crate::content::RealContent;
use crate::disk::{Disk, DiskConfig};
use crate::fault::{FaultPlan, Faults};
use crate::ledger::{Fact, Ledger};
use crate::link::{End, Links};
use crate::paths::RuleId;
use crate::plan::{Cast, HostPlan, Plan, SwarmConfig, addr_of};
use crate::simulation::Simulation;
use crate::trace::Trace;
use crate::watch::Sight;
use faults::RuleOf;
use host::{Condition, Peer, TRACKER_PORT, track};
use net::World;
use probe::{Books, Pages, Probe, SharedNode};
use storage::Store;

/// The tracker's address.
const TRACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(9, 0, 0, 1));
/// Ticks in the smallest latency between two hosts.
const TICKS_PER_LATENCY: u64 = 10;
/// The finest step of tokio's clock, and so the shortest tick.
const MIN_TICK: Duration = Duration::from_millis(1);
/// Hosts at most.
const MAX_HOSTS: u32 = 150;
/// Bytes of content at most.
const MAX_CONTENT: u64 = 4 << 30;
/// What to do where this backend cannot.
const INSTEAD: &str = "run it with `--backend des`";
/// turmoil gives up after so much simulated time; a run has its own end.
const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(u32::MAX as u64);

/// A swarm under way.
pub struct Swarm<'c> {
    sim: Sim<'static>,
    world: World,
    books: Books,
    cast: Box<dyn Cast + 'c>,
    content: Content,
    hosts: Vec<Host>,
    agenda: Agenda,
    faults: Faults,
    /// What faults have put in force.
    rules: BTreeMap<RuleOf, RuleId>,
    /// What is the matter with the tracker.
    condition: Condition,
    /// Where clients announce.
    announce: String,
    seed: u64,
    tick: Duration,
    now: Instant,
}

struct Host {
    store: Arc<Store>,
    /// Its disk when it was new.
    disk: Option<Disk>,
    /// Rates of its links when nothing is the matter.
    rates: (Option<u64>, Option<u64>),
    tuning: Tuning,
    stop: Arc<Notify>,
    /// What runs on it.
    node: Option<SharedNode>,
    /// What turmoil starts next on this host.
    next: Rc<RefCell<Option<Peer>>>,
    state: State,
}

/// What turmoil knows of a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nothing yet.
    Unknown,
    /// Its software runs.
    Up,
    /// Its software was told to stop.
    Stopping,
    /// Nothing runs.
    Down,
}

/// What is to happen when, in the order of (time, sequence).
#[derive(Debug, Default)]
struct Agenda {
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A host comes.
    Join(u32),
    /// A host's stay may end.
    Look(u32),
    /// Something is to be done about a fault: which action of the plan.
    Fault(u32),
}

impl Agenda {
    fn push(&mut self, at: Instant, event: Event) {
        if at < Instant::NEVER {
            self.events.insert((at, self.sequence), event);
            self.sequence += 1;
        }
    }

    /// The next event, if it is due by `now`.
    fn pop_by(&mut self, now: Instant) -> Option<Event> {
        let first = self.events.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }
}

impl<'c> Swarm<'c> {
    /// A swarm at its start, whose content is `original`.
    pub fn new(plan: Plan<'c>, original: RealContent) -> Self {
        let Plan { config, classes, hosts, cast, faults, trace } = plan;
        let (geometry, original) = (original.metainfo.geometry(), Arc::new(original));
        let tick = tick(&config, &hosts);
        let world = World::new(config.tcp, tick, latencies(&config, &hosts));
        let mut builder = world.builder();
        builder.rng_seed(config.seed).simulation_duration(FOR_EVER);
        let seed = config.seed;
        let books = Books::new(Pages {
            ledger: Ledger::new(geometry, config.census.clone()),
            trace,
            attendance: Attendance::new(seed, classes),
            have: Vec::new(),
            answered: 0,
            looks: Vec::new(),
            late: (Duration::ZERO, 0),
        });
        let mut agenda = Agenda::default();
        (0u32..).zip(&faults.actions).for_each(|(nth, action)| agenda.push(action.at, Event::Fault(nth)));
        let mut swarm = Self {
            sim: builder.build(),
            world,
            books,
            content: Content {
                storage: Arc::new(Store::new(
                    Arc::clone(&original),
                    &Bitfield::none(geometry.pieces()),
                    None,
                )),
                geometry,
                hashes: original.metainfo.hashes().into(),
            },
            cast,
            hosts: Vec::new(),
            agenda,
            faults: Faults::new(faults),
            rules: BTreeMap::new(),
            condition: Condition::default(),
            announce: announce_url(config.tracker_protocol),
            seed,
            tick,
            now: Instant::ZERO,
        };
        hosts.into_iter().for_each(|plan| swarm.add(plan, &original));
        swarm.add_tracker(&config);
        swarm
    }

    fn add(&mut self, plan: HostPlan, original: &Arc<RealContent>) {
        let host = self.hosts.len() as u32;
        let tuning = Tuning { room: plan.links.socket_buffer, dial_timeout: plan.links.dial_timeout };
        let added = self.world.add_host(addr_of(host).ip(), plan.links.clone());
        assert_eq!(added, host, "the world counts hosts as the swarm does");
        let pages = &mut *self.books.open();
        if let Some(at) = pages.attendance.add(&plan) {
            self.agenda.push(at, Event::Join(host));
        }
        pages.ledger.open(plan.class, &plan.have, plan.watches);
        let disk = plan.disk.or_else(|| self.free_disk(host));
        self.hosts.push(Host {
            store: Arc::new(Store::new(Arc::clone(original), &plan.have, disk.clone())),
            disk,
            rates: (plan.links.up, plan.links.down),
            tuning,
            stop: Arc::default(),
            node: None,
            next: Rc::default(),
            state: State::Unknown,
        });
        pages.have.push(plan.have);
    }

    /// A disk that costs nothing, for a host whose disk a fault is about.
    fn free_disk(&self, host: u32) -> Option<Disk> {
        let about_disks = |kind| matches!(kind, FaultKind::DiskFull | FaultKind::ReadError);
        let plan = self.faults.plan();
        let needed = plan.faults.iter().any(|fault| about_disks(fault.kind) && fault.hits(host));
        let dice = Dice::stream(self.seed, ("host", u64::from(host), "disk"));
        needed.then(|| Disk::new(DiskConfig::default(), dice))
    }

    fn add_tracker(&mut self, config: &SwarmConfig) {
        let links = Links {
            up: None,
            down: None,
            socket_buffer: 1 << 20,
            window: 1 << 20,
            queue: 1 << 30,
            jitter: Duration::ZERO,
            loss: 0,
            dial_timeout: Duration::from_secs(15),
            dice: Dice::stream(config.seed, ("tracker", 0, "jitter")),
        };
        let host = self.world.add_host(TRACKER, links);
        self.world.join(host);
        let (platform, tracker) = (self.world.platform(host), config.tracker.clone());
        let (latency, condition, seed) = (config.tracker_latency, self.condition.clone(), config.seed);
        let matchmaker = config.matchmaker.clone();
        let software = move || {
            let (tracker, matchmaker) = (tracker.clone(), matchmaker.clone());
            track(platform.clone(), tracker, matchmaker, latency, condition.clone(), seed)
        };
        self.sim.host(TRACKER, software);
    }

    fn carry_out(&mut self, event: Event) {
        match event {
            Event::Join(host) => self.join(host),
            Event::Fault(nth) => self.on_fault(nth),
            Event::Look(host) => {
                let due = self.books.open().attendance.look(host, self.now);
                match due {
                    Due::Nothing => {}
                    Due::Later(at) => self.agenda.push(at, Event::Look(host)),
                    Due::Leaves { for_good } => self.leave(host, for_good),
                }
            }
        }
    }

    /// A host comes, or comes back with the pieces that it had.
    fn join(&mut self, host: u32) {
        let mut pages = self.books.open();
        let session = pages.attendance.sessions(host);
        let Some(ends) = pages.attendance.join(host, self.now) else { return };
        self.agenda.push(ends, Event::Look(host));
        let Pages { trace, have, .. } = &mut *pages;
        trace.came(self.now, host, addr_of(host), &have[host as usize]);
        pages.note(self.now, host, &Fact::Joined);
        let node = self.cast.node(host, session, addr_of(host), &pages.have[host as usize], self.now);
        drop(pages);
        let geometry = self.content.geometry;
        let state = &mut self.hosts[host as usize];
        if state.state == State::Stopping {
            self.world.leave(host, Some(End::Close));
        }
        state.stop = Arc::default();
        let node = SharedNode::new(node);
        state.node = Some(node.clone());
        *state.next.borrow_mut() = Some(Peer {
            platform: self.world.platform(host).with_store(Arc::clone(&state.store)),
            probe: Probe::new(self.books.clone(), node, host, session, geometry),
            content: Content { storage: state.store.clone(), ..self.content.clone() },
            tuning: state.tuning,
            tracker: self.announce.clone(),
            dice: Dice::stream(self.seed, ("host", u64::from(host), &format!("announces {session}"))),
            stop: Arc::clone(&state.stop),
        });
        self.world.join(host);
        if state.state == State::Unknown {
            let next = Rc::clone(&state.next);
            let software = move || next.borrow_mut().take().expect("set just before").run();
            self.sim.host(addr_of(host).ip(), software);
        } else {
            self.sim.bounce(addr_of(host).ip());
        }
        state.state = State::Up;
    }

    fn leave(&mut self, host: u32, for_good: bool) {
        let how = self.books.open().attendance.class(host).how;
        self.depart(host, how, for_good);
        let back = self.books.open().attendance.left(host, for_good, self.now);
        self.agenda.push(back.unwrap_or(Instant::NEVER), Event::Join(host));
    }

    /// A host goes. Whoever stops politely does so on its own time.
    fn depart(&mut self, host: u32, how: Departure, for_good: bool) {
        {
            let mut pages = self.books.open();
            pages.trace.went(self.now, host);
            pages.note(self.now, host, &Fact::Left { for_good, how });
        }
        let state = &mut self.hosts[host as usize];
        let end = match how {
            Departure::Stop => {
                state.stop.notify_one();
                state.state = State::Stopping;
                return;
            }
            Departure::Kill => Some(End::Reset),
            Departure::Vanish => None,
        };
        self.world.leave(host, end);
        self.sim.crash(addr_of(host).ip());
        state.state = State::Down;
    }

    /// Takes leave of those whose software has stopped.
    fn bury(&mut self) {
        for (host, state) in (0u32..).zip(&mut self.hosts) {
            if state.state == State::Stopping && !self.sim.is_host_running(addr_of(host).ip()) {
                self.world.leave(host, Some(End::Close));
                state.state = State::Down;
            }
        }
    }
}

impl Sight for Swarm<'_> {
    fn state(&self, host: u32) -> Option<NodeState> {
        let Host { node, state: State::Up, .. } = &self.hosts[host as usize] else { return None };
        node.as_ref()?.state(self.now)
    }

    fn wire_bytes(&self, host: u32) -> (u64, u64) {
        self.world.wire_bytes(host)
    }

    fn distributed_copies(&self) -> f64 {
        self.books.open().ledger.distributed_copies()
    }
}

impl Simulation for Swarm<'_> {
    const STEPS_PER_LOOK: u64 = 16;

    /// A step is a tick, which may end after `until`.
    fn step(&mut self, until: Instant) -> bool {
        if self.now >= until {
            return false;
        }
        while let Some(event) = self.agenda.pop_by(self.now) {
            self.carry_out(event);
        }
        if let Err(error) = self.world.step(&mut self.sim) {
            raise(error);
        }
        self.now += self.tick;
        self.bury();
        for (at, host) in self.books.open().looks.drain(..) {
            self.agenda.push(at, Event::Look(host));
        }
        true
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn events(&self) -> u64 {
        self.books.open().trace.events()
    }

    fn ledger(&self) -> impl Deref<Target = Ledger> {
        LedgerPage(self.books.open())
    }

    fn recounted_copies(&self) -> f64 {
        self.books.open().trace.distributed_copies()
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn announces(&self) -> u64 {
        self.books.open().answered
    }

    fn to_come(&self) -> u32 {
        self.books.open().attendance.to_come()
    }

    fn unfinished(&self) -> u32 {
        self.books.open().attendance.unfinished()
    }

    fn corrupt(&self) -> u32 {
        let pages = self.books.open();
        let wrong = |(host, have): &(&Host, &Bitfield)| !host.store.equals_original(have);
        self.hosts.iter().zip(&pages.have).filter(wrong).count() as u32
    }

    fn check_invariants(&self) {}

    fn finish_accounts(&mut self) {
        self.books.open().ledger.finish(self.now);
    }

    fn with_trace<T>(&mut self, act: impl FnOnce(&mut Trace) -> T) -> T {
        act(&mut self.books.open().trace)
    }

    fn tick(&self) -> Option<Tick> {
        let (late, timers) = self.books.open().late;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        Some(Tick { ms: ms(self.tick), mean_delay_ms: ms(late) / timers.max(1) as f64 })
    }
}

fn announce_url(protocol: TrackerProtocol) -> String {
    match protocol {
        TrackerProtocol::Http => format!("http://{TRACKER}:{TRACKER_PORT}/announce"),
        TrackerProtocol::Udp => format!("udp://{TRACKER}:{TRACKER_PORT}/announce"),
    }
}

/// The open books, of which only the ledger is seen.
struct LedgerPage<'a>(MutexGuard<'a, Pages>);

impl Deref for LedgerPage<'_> {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.0.ledger
    }
}

/// Refuses what this backend cannot do well.
///
/// # Errors
/// With the field, the reason and what to do instead.
pub fn check(scenario: &Scenario, geometry: Geometry, plan: &FaultPlan) -> Result<(), BuildError> {
    let refused = |field: &str, what: String| Err(BuildError::new(field, what, INSTEAD));
    let hosts: u32 = scenario.class_sizes().values().sum();
    if hosts > MAX_HOSTS {
        let what = format!(
            "{hosts} hosts: each of turmoil's hosts looks at all its links in each tick, so the work grows with their \
             third power, and it takes {MAX_HOSTS} at most"
        );
        return refused("hosts", what);
    }
    if geometry.total_len() > MAX_CONTENT {
        let what =
            format!("{} bytes: all of them are kept in memory, {MAX_CONTENT} at most", geometry.total_len());
        return refused("content.size", what);
    }
    if let Some((name, _)) = scenario.hosts.iter().find(|(_, class)| class.peers == Peers::Seeds) {
        let what = "the tracker is a real one, which gives everybody to everybody";
        return refused(&format!("hosts.{name}.peers"), what.to_owned());
    }
    if let Some((name, _)) = scenario.hosts.iter().find(|(_, class)| class.links.loss.ppm() > 0) {
        let what = "turmoil's TCP does not send again what is lost";
        return refused(&format!("hosts.{name}.links.loss"), what.to_owned());
    }
    if !scenario.network.head_of_line {
        return refused("network.head_of_line", "the bytes of a stream keep their order".to_owned());
    }
    if let Some((field, what)) = faults::refused(plan) {
        return refused(field, what.to_owned());
    }
    Ok(())
}

/// One-way latency from one host to another; the tracker comes after the peers, in the middle of the network.
fn latencies(config: &SwarmConfig, hosts: &[HostPlan]) -> impl Fn(u32, u32) -> Duration + Send + 'static {
    let (config, own): (_, Vec<Duration>) = (config.clone(), hosts.iter().map(|host| host.latency).collect());
    move |one, other| match (own.get(one as usize), own.get(other as usize)) {
        (Some(&here), Some(&there)) => here + there + config.latency_between(one, other),
        (here, there) => here.or(there).copied().unwrap_or_default(),
    }
}

/// A tenth of the smallest one-way latency between two hosts, in whole milliseconds.
fn tick(config: &SwarmConfig, hosts: &[HostPlan]) -> Duration {
    let latency = latencies(config, hosts);
    let count = hosts.len() as u32;
    let pairs = (0..count).flat_map(|one| (one + 1..count).map(move |other| (one, other)));
    let smallest = pairs.map(|(one, other)| latency(one, other)).min().unwrap_or_default();
    Duration::from_millis(smallest.as_millis() / TICKS_PER_LATENCY).max(MIN_TICK)
}

/// Ends the run as the host's software has ended.
fn raise(error: Box<dyn std::error::Error>) -> ! {
    match error.downcast::<JoinError>() {
        Ok(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        Ok(failed) => panic!("a host's software was cancelled: {failed}"),
        Err(error) => panic!("a host's software failed: {error}"),
    }
}
