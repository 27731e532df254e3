//! A swarm under way: hosts that run nodes, the network between them, a tracker, and what is known of it all.
//!
//! | file | its part |
//! |---|---|
//! | `driver` | the contract of [`Node`]: inputs in, outputs carried out |
//! | `presence` | coming and going |
//! | `tracker` | the tracker and the way to it |

mod driver;
mod presence;
mod tracker;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Input, Node, Outbox, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::tracker::server::TrackerConfig;
use torrentlab_engine::wire::Message;
use torrentlab_scenarios::Draw;
use torrentlab_scenarios::schema::Departure;

use crate::content::{Content, Storage};
use crate::ledger::Ledger;
use crate::link::{Links, NetEvent, Network, Notice, Tcp};
use crate::queue::Queue;
use crate::trace::{Detail, Trace};
use presence::Deadlines;
use tracker::TrackerHost;

/// The port that every host listens on.
pub const PORT: u16 = 6881;
/// The address before the first host's.
const BASE: u32 = u32::from_be_bytes([10, 0, 0, 0]);

/// What a swarm consists of, besides its hosts.
#[derive(Clone, Debug)]
pub struct SwarmConfig {
    /// The seed of all randomness.
    pub seed: u64,
    /// What is shared.
    pub content: Content,
    /// What all links have in common.
    pub tcp: Tcp,
    /// Latency between two hosts beyond that of their own links, drawn for each pair.
    pub pair_latency: Draw,
    /// How the tracker behaves.
    pub tracker: TrackerConfig,
    /// From the arrival of an announce to the departure of its answer.
    pub tracker_latency: Draw,
    /// What the trace keeps.
    pub detail: Detail,
}

/// A class of hosts: what the swarm must know of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// How long hosts stay once they have everything; `None` is for ever.
    pub stay: Option<Draw>,
    /// How long they are online at a stretch, and how long they are not in between, if they come back.
    pub session: Option<(Draw, Option<Draw>)>,
    /// When they leave for good in any case.
    pub leave_at: Instant,
    /// Payload bytes after which they leave for good.
    pub leave_after_bytes: Option<u64>,
    /// How they leave.
    pub how: Departure,
    /// Whether they connect to nobody but hosts of classes that are `serving`.
    pub seeds_only: bool,
    /// Whether it is a class of seeds.
    pub serving: bool,
}

/// A host, as it is added to a swarm.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// Its class, by position.
    pub class: u16,
    /// Which of its class it is.
    pub index: u32,
    /// Its links.
    pub links: Links,
    /// One-way latency to the middle of the network.
    pub latency: Duration,
    /// The pieces it first comes with.
    pub have: Bitfield,
    /// When it first comes; [`Instant::NEVER`] if it does not.
    pub arrival: Instant,
}

/// Makes the nodes that run on the hosts.
pub trait Cast: Send {
    /// The node for the `session`th stay (from 0) of `host`, which has `have` and listens at `addr`.
    fn node(
        &mut self,
        host: u32,
        session: u32,
        addr: SocketAddr,
        have: &Bitfield,
        now: Instant,
    ) -> Box<dyn Node>;
}

/// A swarm under way.
pub struct Swarm<'c> {
    config: SwarmConfig,
    classes: Vec<Class>,
    cast: Box<dyn Cast + 'c>,
    queue: Queue<Event>,
    net: Network<Message>,
    hosts: Vec<Host>,
    tracker: TrackerHost,
    ledger: Ledger,
    trace: Trace,
    now: Instant,
    events: u64,
    /// Hosts that will come, or come back.
    to_come: u32,
    /// Hosts that lack a piece and are there or come back.
    unfinished: u32,
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
    class: u16,
    index: u32,
    latency: Duration,
    /// Whether it wants more than it came with and has not left for good.
    wanting: bool,
    deadlines: Deadlines,
}

/// What happens at a time.
#[derive(Clone, Copy, Debug)]
enum Event {
    Net(NetEvent),
    /// A host's node may want to wake up.
    Timer(u32),
    /// A host comes.
    Join(u32),
    /// A deadline of a host's stay may have come.
    Leave(u32),
    /// An announce reaches the tracker, its answer comes back, or a dial to nobody has failed.
    Trip(u32),
}

impl From<NetEvent> for Event {
    fn from(event: NetEvent) -> Self {
        Self::Net(event)
    }
}

impl<'c> Swarm<'c> {
    /// A swarm of these classes without hosts.
    pub fn new(config: SwarmConfig, classes: Vec<Class>, cast: Box<dyn Cast + 'c>) -> Self {
        Self {
            queue: Queue::default(),
            net: Network::new(config.tcp),
            hosts: Vec::new(),
            tracker: TrackerHost::new(config.tracker.clone(), config.tracker_latency, config.seed),
            ledger: Ledger::new(config.content.geometry().pieces()),
            trace: Trace::new(config.detail.clone()),
            now: Instant::ZERO,
            events: 0,
            to_come: 0,
            unfinished: 0,
            inbox: VecDeque::new(),
            notices: Vec::new(),
            outbox: Outbox::default(),
            outputs: Vec::new(),
            config,
            classes,
            cast,
        }
    }

    /// Adds a host: its index, counted from 0.
    pub fn add(&mut self, plan: HostPlan) -> u32 {
        let host = self.net.add_host(plan.links);
        self.ledger.open(plan.class, &plan.have);
        let comes = plan.arrival < Instant::NEVER;
        let wanting = comes && !plan.have.is_full();
        self.hosts.push(Host {
            node: None,
            storage: Storage::new(&self.config.content, plan.have),
            class: plan.class,
            index: plan.index,
            latency: plan.latency,
            wanting,
            deadlines: Deadlines::default(),
            timer: Instant::NEVER,
        });
        if comes {
            self.to_come += 1;
            self.unfinished += u32::from(wanting);
            self.queue.push(plan.arrival, Event::Join(host));
        }
        host
    }

    /// Carries out the next event, unless it is later than `until`; whether it did. Otherwise the time is `until`.
    pub fn step(&mut self, until: Instant) -> bool {
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

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What each host did so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Announces that the tracker answered.
    pub fn announces(&self) -> u64 {
        self.tracker.answered()
    }

    /// Wire bytes that `host` has sent and received.
    pub fn wire_bytes(&self, host: u32) -> (u64, u64) {
        self.net.wire_bytes(host)
    }

    /// Hosts that lack a piece and are there, will come, or will come back.
    pub fn unfinished(&self) -> u32 {
        self.unfinished
    }

    /// Hosts that will come or come back.
    pub fn to_come(&self) -> u32 {
        self.to_come
    }

    /// Hosts whose storage does not hold what was checked, found by checking it again.
    pub fn corrupt(&self) -> u32 {
        let content = &self.config.content;
        self.hosts.iter().filter(|host| !host.storage.equals_original(content)).count() as u32
    }

    /// Panics if bytes are gone or came from nowhere.
    pub fn check_invariants(&self) {
        self.net.check_invariants();
    }

    /// Whether nobody received anything new for `span`, and nobody is to come who could change that.
    pub fn is_stalled(&self, span: Duration) -> bool {
        self.to_come == 0 && self.now.since(self.ledger.progress_at) >= span
    }

    /// Closes the accounts of what is still under way: the run is over.
    pub fn finish_accounts(&mut self) {
        self.ledger.finish(self.now);
    }

    /// The trace of the whole run.
    pub fn finish_trace(self) -> crate::trace::TraceResult {
        self.trace.finish()
    }

    fn carry_out(&mut self, event: Event) {
        match event {
            Event::Net(event) => self.on_net(event),
            Event::Timer(host) => self.on_timer(host),
            Event::Join(host) => self.join(host),
            Event::Leave(host) => self.on_deadline(host),
            Event::Trip(id) => self.on_trip(id),
        }
        self.drain_inbox();
    }
}

/// Where `host` listens.
pub fn addr_of(host: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(BASE + 1 + host)), PORT)
}

/// The host that listens at `addr`, if there is one among the first `hosts`.
fn host_at(addr: SocketAddr, hosts: usize) -> Option<u32> {
    let IpAddr::V4(ip) = addr.ip() else { return None };
    let host = ip.to_bits().checked_sub(BASE + 1)?;
    (addr.port() == PORT && (host as usize) < hosts).then_some(host)
}
