//! What the world is made of, and how its time goes on.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Waker;

use tokio::sync::Notify;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::time::{Duration, Instant};

use super::dial::Dial;
use super::downlink::Downlink;
use super::flow::{Flow, Segment};
use super::uplink::Uplink;
use crate::link::{Links, Presence, Tcp};
use crate::paths::Paths;

/// All hosts, flows and what is under way.
///
/// Hosts run one after the other, each for a whole tick, so what one does at some time may be told after another has
/// gone on beyond it. That harms nobody: senders are settled when the tick is over, in the order of time, and nothing
/// that leaves a host in one tick lands before the next is over. So what lands in the next tick is known as it begins.
pub(super) struct Core {
    pub tcp: Tcp,
    pub tick: Duration,
    pub latency: Box<dyn Fn(u32, u32) -> Duration + Send>,
    pub addrs: BTreeMap<IpAddr, u32>,
    pub names: BTreeMap<String, IpAddr>,
    pub hosts: Vec<Host>,
    /// Both directions of connection `c` are flows `2c` (from whoever dialled) and `2c + 1`.
    pub flows: Vec<Flow>,
    pub free: Vec<u32>,
    pub dials: Vec<Option<Dial>>,
    /// The listeners' ends that nobody has accepted yet, by the addresses of their streams.
    pub named: BTreeMap<(SocketAddr, SocketAddr), u32>,
    pub paths: Paths,
    /// Everything before this is settled.
    pub now: Instant,
    events: BinaryHeap<Planned<Event>>,
    landings: BinaryHeap<Planned<Landing>>,
    /// Keeps things of the same time in order.
    sequence: u64,
    wakers: Vec<Waker>,
    /// Flows that somebody waits to write to; some of them nobody does any more.
    writers: Vec<u32>,
}

/// Who is to be woken, when nobody holds the world.
#[must_use]
pub(super) struct Calls {
    bells: Vec<Arc<Notify>>,
    wakers: Vec<Waker>,
}

impl Calls {
    pub fn make(self) {
        self.bells.iter().for_each(|bell| bell.notify_waiters());
        self.wakers.into_iter().for_each(Waker::wake);
    }
}

pub(super) struct Host {
    pub uplink: Uplink,
    pub downlink: Downlink,
    pub presence: Presence,
    /// Whether dials do not reach it.
    pub hidden: bool,
    pub window: u32,
    pub dial_timeout: Duration,
    pub jitter: Duration,
    pub dice: Dice,
    /// Rings when a dial of this host or to it has come further.
    pub bell: Arc<Notify>,
    /// Whether it is to ring when the tick is settled.
    pub rung: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A flow takes in bytes.
    Write { flow: u32, bytes: u32 },
    /// A flow takes in its end.
    Finish { flow: u32 },
    /// A host's uplink has sent a segment.
    Left { host: u32 },
    /// An acknowledgement that a flow waits for is back.
    Credit { flow: u32 },
    /// A host's downlink has room for those that wait.
    Room { host: u32 },
    /// The sender of a flow learns that nobody reads.
    Broken { flow: u32 },
    /// A host dials.
    Dial { dial: u32 },
    /// A dial reaches the other side.
    Syn { dial: u32 },
    /// A flow that was stopped may go on.
    Resume { flow: u32 },
    /// Something else takes time of a host's uplink.
    Charge { host: u32, wire: u32 },
}

/// The last byte of something reaches the receiver's downlink.
#[derive(Clone, Copy, Debug)]
pub(super) enum Landing {
    Segment { flow: u32, segment: Segment },
    Datagram { host: u32, wire: u32 },
}

/// Something planned. Earlier ones come first, and of the same time those that were planned first.
#[derive(Clone, Copy)]
struct Planned<T> {
    at: Instant,
    sequence: u64,
    what: T,
}

impl<T> PartialEq for Planned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl<T> Eq for Planned<T> {}

impl<T> PartialOrd for Planned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Planned<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The greatest leaves a heap first.
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl Core {
    pub fn new(tcp: Tcp, tick: Duration, latency: Box<dyn Fn(u32, u32) -> Duration + Send>) -> Self {
        Self {
            tcp,
            tick,
            latency,
            addrs: BTreeMap::new(),
            names: BTreeMap::new(),
            hosts: Vec::new(),
            flows: Vec::new(),
            free: Vec::new(),
            dials: Vec::new(),
            named: BTreeMap::new(),
            paths: Paths::default(),
            now: Instant::ZERO,
            events: BinaryHeap::new(),
            landings: BinaryHeap::new(),
            sequence: 0,
            wakers: Vec::new(),
            writers: Vec::new(),
        }
    }

    pub fn add_host(&mut self, addr: IpAddr, links: Links) -> u32 {
        let host = self.hosts.len() as u32;
        let known = self.addrs.insert(addr, host);
        assert!(known.is_none(), "{addr} is the address of two hosts");
        self.hosts.push(Host::new(links));
        host
    }

    /// Settles everything before `to`, the clock of all hosts: who is to be woken.
    pub fn advance(&mut self, to: Instant) -> Calls {
        while let Some(planned) = self.events.peek().copied().filter(|planned| planned.at < to) {
            self.events.pop();
            self.handle(planned.at, planned.what);
        }
        self.now = to;
        let known = to + self.tick;
        while let Some(planned) = self.landings.peek().copied().filter(|planned| planned.at < known) {
            self.landings.pop();
            self.land(planned.at, planned.what);
        }
        self.wake_writers();
        let rung = |host: &mut Host| std::mem::take(&mut host.rung).then(|| Arc::clone(&host.bell));
        let bells = self.hosts.iter_mut().filter_map(rung).collect();
        Calls { bells, wakers: std::mem::take(&mut self.wakers) }
    }

    /// Whoever waits to write to `flow` is woken by `waker`, once there is much room.
    pub fn await_room(&mut self, flow: u32, waker: &Waker) {
        match &mut self.flows[flow as usize].sender.waker {
            Some(old) => old.clone_from(waker),
            none => {
                *none = Some(waker.clone());
                self.writers.push(flow);
            }
        }
    }

    fn wake_writers(&mut self) {
        let mut writers = std::mem::take(&mut self.writers);
        writers.retain(|&flow| {
            let sender = &self.flows[flow as usize].sender;
            let waits = sender.waker.is_some();
            let wakes = waits && sender.buffered + u64::from(self.tcp.mss) <= self.intake(self.now, flow);
            if wakes {
                self.wake_writer(flow);
            }
            waits && !wakes
        });
        self.writers = writers;
    }

    /// The application has put bytes into a flow.
    pub fn write(&mut self, now: Instant, flow: u32, bytes: u32) {
        let index = flow as usize;
        self.flows[index].sender.buffered += u64::from(bytes);
        self.flows[index].held += 1;
        self.push(now, Event::Write { flow, bytes });
    }

    fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Write { flow, bytes } => self.written(now, flow, bytes),
            Event::Finish { flow } => self.finished(now, flow),
            Event::Left { host } => self.left(now, host),
            Event::Credit { flow } => self.credited(now, flow),
            Event::Room { host } => {
                self.hosts[host as usize].downlink.asked_again();
                self.admit(now, host);
            }
            Event::Broken { flow } => self.broken(now, flow),
            Event::Dial { dial } => self.dialled(now, dial),
            Event::Syn { dial } => self.syn(now, dial),
            Event::Resume { flow } => self.resume(now, flow),
            Event::Charge { host, wire } => _ = self.hosts[host as usize].uplink.charge(now, wire),
        }
    }

    pub fn push(&mut self, at: Instant, event: Event) {
        self.sequence += 1;
        self.events.push(Planned { at: at.max(self.now), sequence: self.sequence, what: event });
    }

    pub fn push_landing(&mut self, at: Instant, landing: Landing) {
        self.sequence += 1;
        self.landings.push(Planned { at, sequence: self.sequence, what: landing });
    }

    /// Has whoever writes to a flow woken when the tick is settled.
    pub fn wake_writer(&mut self, flow: u32) {
        self.wakers.extend(self.flows[flow as usize].sender.waker.take());
    }

    /// Has whoever reads from a flow woken when the tick is settled.
    pub fn wake_reader(&mut self, flow: u32) {
        self.wakers.extend(self.flows[flow as usize].receiver.waker.take());
    }

    /// Has those woken who wait for dials at a host.
    pub fn ring(&mut self, host: u32) {
        self.hosts[host as usize].rung = true;
    }
}

impl Host {
    fn new(links: Links) -> Self {
        Self {
            uplink: Uplink::new(links.up),
            downlink: Downlink::new(links.down, links.queue),
            presence: Presence::Down,
            hidden: false,
            window: links.window,
            dial_timeout: links.dial_timeout,
            jitter: links.jitter,
            dice: links.dice,
            bell: Arc::new(Notify::new()),
            rung: false,
        }
    }

    /// How late the next thing that is sent will be.
    pub fn draw_jitter(&mut self) -> Duration {
        if self.jitter == Duration::ZERO {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.dice.below(self.jitter.as_nanos() + 1))
    }
}
