//! A swarm under way: hosts that run nodes, the network between them, a tracker, and what is known of it all.
//!
//! | file | its part |
//! |---|---|
//! | `disk` | disks that take time or fail |
//! | `driver` | the contract of [`Node`]: inputs in, outputs carried out |
//! | `faults` | what goes wrong |
//! | `presence` | coming and going |
//! | `tracker` | the tracker and the way to it |

mod disk;
mod driver;
mod faults;
mod presence;
mod tracker;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;

use torrentlab_engine::node::{Input, Node, Outbox, Output};
use torrentlab_engine::state::NodeState;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::wire::Message;
use torrentlab_reports::record::Tick;

use crate::attendance::Attendance;
use crate::content::Storage;
use crate::fault::Faults;
use crate::ledger::Ledger;
use crate::link::{NetEvent, Network, Notice};
use crate::mutant::Pollution;
use crate::paths::RuleId;
use crate::plan::{Cast, Class, HostPlan, Plan, SwarmConfig};
use crate::queue::Queue;
use crate::simulation::Simulation;
use crate::trace::Trace;
use crate::watch::Sight;
use disk::HostDisk;
use faults::RuleOf;
use tracker::TrackerHost;

/// A swarm under way.
pub struct Swarm<'c> {
    config: SwarmConfig,
    cast: Box<dyn Cast + 'c>,
    queue: Queue<Event>,
    net: Network<Message>,
    hosts: Vec<Host>,
    tracker: TrackerHost,
    ledger: Ledger,
    trace: Trace,
    now: Instant,
    events: u64,
    attendance: Attendance,
    faults: Faults,
    /// The rules that faults have put in force.
    rules: BTreeMap<RuleOf, RuleId>,
    /// What to do next, before any other event.
    inbox: VecDeque<(u32, Input)>,
    notices: Vec<Notice>,
    outbox: Outbox,
    outputs: Vec<Output>,
}

struct Host {
    // What every delivery reads comes first, side by side in memory.
    node: Option<Box<dyn Node>>,
    /// The time of the pending timer event.
    timer: Instant,
    storage: Storage,
    disk: Option<Box<HostDisk>>,
    /// Spoils what it serves.
    pollution: Option<Box<Pollution>>,
    latency: Duration,
    /// Its uplink and downlink, when nothing is the matter with them.
    rates: (Option<u64>, Option<u64>),
    /// How often its address changed.
    moves: u32,
}

/// What happens at a time.
#[derive(Clone, Copy, Debug)]
enum Event {
    Net(NetEvent),
    /// A host's node may want to wake up.
    Timer(u32),
    /// A host comes.
    Join(u32),
    /// A host's stay may end.
    Look(u32),
    /// An announce reaches the tracker, its answer comes back, or a dial to nobody has failed.
    Trip(u32),
    /// A disk may be through with something.
    Disk(u32),
    /// An action of the plan of faults is due.
    Fault(u32),
}

impl From<NetEvent> for Event {
    fn from(event: NetEvent) -> Self {
        Self::Net(event)
    }
}

impl<'c> Swarm<'c> {
    /// A swarm at its start.
    pub fn new(plan: Plan<'c>) -> Self {
        let Plan { config, classes, hosts, cast, faults, trace } = plan;
        let mut swarm = Self::empty(config, classes, cast, trace);
        // Before the hosts come: a fault that is there from the start meets them all.
        for (nth, action) in (0..).zip(&faults.actions) {
            swarm.queue.push(action.at, Event::Fault(nth));
        }
        swarm.faults = Faults::new(faults);
        hosts.into_iter().for_each(|plan| swarm.add(plan));
        swarm
    }

    fn empty(config: SwarmConfig, classes: Vec<Class>, cast: Box<dyn Cast + 'c>, trace: Trace) -> Self {
        Self {
            queue: Queue::default(),
            net: Network::new(config.tcp),
            hosts: Vec::new(),
            tracker: TrackerHost::new(&config),
            ledger: Ledger::new(config.content.geometry(), config.census.clone()),
            trace,
            now: Instant::ZERO,
            events: 0,
            attendance: Attendance::new(config.seed, classes),
            faults: Faults::default(),
            rules: BTreeMap::new(),
            inbox: VecDeque::new(),
            notices: Vec::new(),
            outbox: Outbox::default(),
            outputs: Vec::new(),
            config,
            cast,
        }
    }

    fn add(&mut self, plan: HostPlan) {
        let arrival = self.attendance.add(&plan);
        let rates = (plan.links.up, plan.links.down);
        let host = self.net.add_host(plan.links);
        self.ledger.open(plan.class, &plan.have, plan.watches);
        let disk = plan.disk.map(|mut disk| {
            disk.preload(&plan.have, self.config.content.geometry());
            Box::new(HostDisk::new(disk))
        });
        self.hosts.push(Host {
            node: None,
            storage: Storage::new(&self.config.content, plan.have),
            disk,
            pollution: None,
            latency: plan.latency,
            rates,
            moves: 0,
            timer: Instant::NEVER,
        });
        if let Some(at) = arrival {
            self.queue.push(at, Event::Join(host));
        }
    }

    /// Has `host` serve wrong bytes from now on, or right ones again.
    pub fn pollute(&mut self, host: u32, pollution: Option<Pollution>) {
        self.hosts[host as usize].pollution = pollution.map(Box::new);
    }

    fn carry_out(&mut self, event: Event) {
        match event {
            Event::Net(event) => self.on_net(event),
            Event::Timer(host) => self.on_timer(host),
            Event::Join(host) => self.join(host),
            Event::Look(host) => self.look(host),
            Event::Trip(id) => self.on_trip(id),
            Event::Disk(host) => self.on_disk(host),
            Event::Fault(nth) => self.on_fault(nth),
        }
        self.drain_inbox();
    }
}

impl Sight for Swarm<'_> {
    fn state(&self, host: u32) -> Option<NodeState> {
        self.hosts[host as usize].node.as_ref()?.state(self.now)
    }

    fn wire_bytes(&self, host: u32) -> (u64, u64) {
        self.net.wire_bytes(host)
    }

    fn distributed_copies(&self) -> f64 {
        self.ledger.distributed_copies()
    }

    fn queued(&self) -> Option<usize> {
        Some(self.queue.len())
    }
}

impl Simulation for Swarm<'_> {
    const STEPS_PER_LOOK: u64 = 1 << 16;

    fn step(&mut self, until: Instant) -> bool {
        match self.queue.pop_by(until) {
            Some((now, event)) => {
                self.now = self.now.max(now);
                self.events += 1;
                self.carry_out(event);
                true
            }
            None => {
                self.now = self.now.max(until);
                false
            }
        }
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn events(&self) -> u64 {
        self.events
    }

    fn ledger(&self) -> impl Deref<Target = Ledger> {
        &self.ledger
    }

    fn recounted_copies(&self) -> f64 {
        self.trace.distributed_copies()
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn announces(&self) -> u64 {
        self.tracker.answered()
    }

    fn to_come(&self) -> u32 {
        self.attendance.to_come()
    }

    fn unfinished(&self) -> u32 {
        self.attendance.unfinished()
    }

    fn corrupt(&self) -> u32 {
        let content = &self.config.content;
        self.hosts.iter().filter(|host| !host.storage.equals_original(content)).count() as u32
    }

    fn check_invariants(&self) {
        self.net.check_invariants();
    }

    fn finish_accounts(&mut self) {
        self.ledger.finish(self.now);
    }

    fn with_trace<T>(&mut self, act: impl FnOnce(&mut Trace) -> T) -> T {
        act(&mut self.trace)
    }

    fn tick(&self) -> Option<Tick> {
        None
    }
}
