//! The network of `des`: connections between hosts whose access links are the bottlenecks.
//!
//! A message waits in its connection's **socket buffer**; the connection's **window** (slow start from the initial
//! window up to the receive window) lets a chunk go, usually a whole block; the **uplink** serves the chunks of all
//! flows at once, as segments that take turns would; after the **latency** the **downlink** takes chunks in, first
//! come, first served. When it has, the message is delivered, and acknowledgements cost the receiver's
//! uplink their bytes. One latency after a chunk's first segments were through the window has its bytes back; later
//! where the sender's uplink is faster than they came, so that what is sent next is never ahead of the acknowledgements
//! of single segments.
//!
//! Nothing is lost to congestion. A chunk that would find more than `queue` bytes before the receiver's downlink waits at its sender
//! and asks again in turn: what TCP comes to when flows share a full buffer.
//!
//! **Small messages** on an idle flow, up to a segment of them, cost both links their bytes like everything else, but
//! they neither ask for room nor take any of the window, and one that finds the downlink idle is through as it lands.
//! They are most of all messages, and these rules would hardly ever delay one.
//!
//! `docs/reference/links.md` has formula and source of each part, and compares the times of flows with those of Linux.
//!
//! What is lost at random is the matter of [`loss`], and what faults do to links and paths that of `fault`.
//!
//! All times are whole nanoseconds and every rounding is in favour of the cap: the bytes that leave or enter a host in
//! `[a, b]` are at most rate · (b - a) and one chunk for each active flow.

mod carry;
mod downlink;
mod fault;
mod flow;
mod host;
pub mod loss;
mod open;
mod pool;
mod uplink;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::ConnId;

use crate::paths::Paths;
use crate::queue::Queue;
use fault::Stop;
use flow::{Chunk, Flow, Kind, Queued, State};
use pool::Fifo;

pub use flow::End;
use host::Host;
pub use host::{Links, Presence};
use loss::Loss;
pub use pool::Pool;

/// What all links have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tcp {
    /// Bytes of data in a full segment.
    pub mss: u32,
    /// Bytes of headers on each segment and acknowledgement.
    pub header: u32,
    /// Segments that one acknowledgement answers; 0 where acknowledgements cost nothing.
    pub segments_per_ack: u32,
    /// Segments that a new connection may have in flight (RFC 6928).
    pub initial_window: u32,
    /// Whether a message waits behind everything that its own connection has queued, as in every TCP. Without, messages
    /// that make no room overtake what does in the socket buffer.
    pub head_of_line: bool,
}

impl Tcp {
    /// Acknowledges what may be of so many segments: the bytes that this takes.
    fn acknowledge(&self, unacked: &mut u32) -> u32 {
        if self.segments_per_ack == 0 || *unacked < self.segments_per_ack {
            return 0;
        }
        let acks = *unacked / self.segments_per_ack;
        *unacked %= self.segments_per_ack;
        acks * self.header
    }
}

/// Something that the network wants to be told of at its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NetEvent {
    /// An uplink may have finished a chunk.
    Uplink(u32),
    /// A chunk's last byte has arrived.
    Landed(u32),
    /// A chunk may be through the downlink.
    Through(u32),
    /// A flow's window may have opened.
    Credit(u32),
    /// A dial reaches the other side.
    Syn(u32),
    /// Its answer is back.
    SynAck(u32),
    /// The answer's answer reaches the other side: the connection is open there too.
    Accepted(u32),
    /// A flow that was stopped may go on.
    Resume(u32),
    /// What waited for lost segments of a flow is whole.
    Whole(u32),
}

/// Something that happened to a host.
#[derive(Debug)]
pub enum Notice {
    /// A connection is open.
    Connected {
        /// Whose.
        host: u32,
        /// Its name there.
        conn: ConnId,
        /// The other side.
        peer: u32,
        /// Whether the host dialled.
        outgoing: bool,
    },
    /// A dial came to nothing.
    DialFailed {
        /// Whose.
        host: u32,
        /// Whom it dialled.
        peer: u32,
        /// Whether there was an answer.
        answered: bool,
    },
    /// Messages came.
    Messages {
        /// To whom.
        host: u32,
        /// On which connection.
        conn: ConnId,
        /// From whom.
        peer: u32,
        /// What: all of them must be taken, with [`Network::take`].
        parcel: Parcel,
    },
    /// A socket buffer has room again.
    Room {
        /// Whose.
        host: u32,
        /// Of which connection.
        conn: ConnId,
        /// Bytes.
        bytes: u32,
    },
    /// The other side closed.
    Closed {
        /// Whose connection.
        host: u32,
        /// Which.
        conn: ConnId,
        /// How.
        how: End,
    },
}

/// Messages that arrived together.
#[derive(Debug)]
pub struct Parcel {
    messages: Fifo,
    /// The way back to their sender.
    back: u32,
}

/// Bytes of messages, from setting out to their end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Have set out.
    pub sent: u64,
    /// Came to an open connection.
    pub delivered: u64,
    /// Came too late, or to nobody.
    pub lost: u64,
    /// Are between the two.
    pub in_transit: u64,
}

/// Hosts, their links, and the connections between them, which carry messages of type `M`.
#[derive(Debug)]
pub struct Network<M> {
    tcp: Tcp,
    hosts: Vec<Host>,
    /// Both directions of connection `c` are flows `2c` (from whoever dialled) and `2c + 1`.
    flows: Vec<Flow>,
    free: Vec<u32>,
    dials: Pool<Dial>,
    messages: Pool<Queued<M>>,
    chunks: Pool<Chunk>,
    /// Flows that have something to send since the last flush.
    fresh: Vec<u32>,
    totals: Totals,
    paths: Paths,
    /// What is known of each stopped flow.
    stops: BTreeMap<u32, Stop>,
    /// What is known of each lossy flow.
    losses: BTreeMap<u32, Loss>,
    /// Ends that went in silence, by the flow that led out of them, and since when something for them is not
    /// acknowledged.
    silent: BTreeMap<u32, Option<Instant>>,
}

#[derive(Clone, Copy, Debug)]
struct Dial {
    from: u32,
    to: u32,
    /// Which stay of the dialling host it belongs to.
    stay: u32,
    latency: Duration,
    /// Known once the dial has reached the other side.
    accepted: bool,
    answered: bool,
}

impl<M> Network<M> {
    /// A network without hosts.
    pub fn new(tcp: Tcp) -> Self {
        Self {
            tcp,
            hosts: Vec::new(),
            flows: Vec::new(),
            free: Vec::new(),
            dials: Pool::default(),
            messages: Pool::default(),
            chunks: Pool::default(),
            fresh: Vec::new(),
            totals: Totals::default(),
            paths: Paths::default(),
            stops: BTreeMap::new(),
            losses: BTreeMap::new(),
            silent: BTreeMap::new(),
        }
    }

    /// Adds a host, which is not there yet: its index, counted from 0.
    pub fn add_host(&mut self, links: Links) -> u32 {
        self.hosts.push(Host::new(links, self.tcp.mss + self.tcp.header));
        self.hosts.len() as u32 - 1
    }

    /// Wire bytes that `host` has sent and received.
    pub fn wire_bytes(&self, host: u32) -> (u64, u64) {
        let host = &self.hosts[host as usize];
        (host.uplink.sent_bytes, host.downlink.received_bytes)
    }

    /// Bytes of messages, from setting out to their end.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The host at the other end of a connection; `None` when the connection is dead.
    pub fn peer(&self, host: u32, conn: ConnId) -> Option<u32> {
        self.flow_of(host, conn).map(|flow| self.flows[flow as usize].to)
    }

    /// Whether a connection is open.
    pub fn is_open(&self, host: u32, conn: ConnId) -> bool {
        self.flow_of(host, conn).is_some()
    }

    /// Takes the next message out of a parcel, until there is none.
    pub fn take(&mut self, parcel: &mut Parcel) -> Option<M> {
        parcel.messages.pop(&mut self.messages).map(|queued| queued.message)
    }

    /// Whether the connection `conn` on which a parcel came is still open.
    pub fn is_wanted(&self, conn: ConnId, parcel: &Parcel) -> bool {
        // As `is_open`, by way of what delivery has just touched.
        let back = &self.flows[parcel.back as usize];
        back.open && back.conn == conn
    }

    /// Bytes that a socket buffer of `host` takes.
    pub fn socket_buffer(&self, host: u32) -> u32 {
        self.hosts[host as usize].links.socket_buffer
    }

    /// How long a dial of `host` waits for an answer.
    pub fn dial_timeout(&self, host: u32) -> Duration {
        self.hosts[host as usize].links.dial_timeout
    }

    /// The open connections of `host`.
    pub fn conns(&self, host: u32) -> Vec<ConnId> {
        let flows = self.hosts[host as usize].open_flows();
        flows.into_iter().map(|flow| self.flows[flow as usize].conn).collect()
    }

    /// `host` can be reached from now on. Whoever believes in a connection with it from before it went in silence
    /// learns better when it next sends something, or sends again what was not acknowledged.
    pub fn join<E: Copy + From<NetEvent>>(&mut self, now: Instant, host: u32, queue: &mut Queue<E>) {
        let joined = &mut self.hosts[host as usize];
        joined.presence = Presence::Up;
        joined.stay += 1;
        self.reset_forgotten(now, host, queue);
    }

    /// `host` goes and its connections end: so that the others learn of it after one latency (`how` is given), or in
    /// silence, and then nobody answers a dial either.
    pub fn leave<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        host: u32,
        how: Option<End>,
        queue: &mut Queue<E>,
    ) {
        for flow in self.hosts[host as usize].open_flows() {
            self.end(now, flow, how, queue);
        }
        self.hosts[host as usize].presence = if how.is_some() { Presence::Down } else { Presence::Silent };
    }

    /// Opens a connection over a path of this one-way `latency`. [`Notice::Connected`] or [`Notice::DialFailed`]
    /// comes a round trip later, or after the host's dial time-out.
    pub fn dial<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        from: u32,
        to: u32,
        latency: Duration,
        queue: &mut Queue<E>,
    ) {
        let host = &mut self.hosts[from as usize];
        host.uplink.charge(now, self.tcp.header);
        let dial = Dial { from, to, stay: host.stay, latency, accepted: false, answered: false };
        let leaves = host.uplink.small_leaves(now, self.tcp.header);
        let latency = latency + self.paths.path(from, to).delay;
        queue.push(leaves + latency, NetEvent::Syn(self.dials.insert(dial)).into());
    }

    /// Puts a message of `bytes` into the socket buffer of a connection; whether that is open. `room` bytes come back
    /// as [`Notice::Room`] when the message has left. Call [`Network::flush`] when an instant's messages are all
    /// there.
    pub fn send(&mut self, host: u32, conn: ConnId, message: M, bytes: u32, room: u32) -> bool {
        let Some(index) = self.flow_of(host, conn) else { return false };
        let flow = &mut self.flows[index as usize];
        let queued = Queued { message, bytes, room };
        if self.tcp.head_of_line || room > 0 {
            flow.waiting.push(&mut self.messages, queued);
        } else {
            let begun = usize::from(flow.head_sent > 0);
            flow.waiting.insert_before(&mut self.messages, begun, queued, |other| other.room > 0);
        }
        flow.waiting_bytes += bytes;
        flow.waiting_room += room;
        if flow.state == State::Idle {
            flow.state = State::Fresh;
            self.fresh.push(index);
        }
        true
    }

    /// Takes the first message that `wanted` holds for out of a socket buffer, unless it has begun to leave: its
    /// `room`.
    pub fn cancel(&mut self, host: u32, conn: ConnId, wanted: impl Fn(&M) -> bool) -> Option<u32> {
        let flow = self.flow_of(host, conn)?;
        let flow = &mut self.flows[flow as usize];
        let begun = usize::from(flow.head_sent > 0);
        let queued =
            // What makes no room has left before, and is sent again.
            flow.waiting.remove_first(&mut self.messages, begun, |queued| queued.room > 0 && wanted(&queued.message))?;
        flow.waiting_bytes -= queued.bytes;
        flow.waiting_room -= queued.room;
        Some(queued.room)
    }

    /// Charges `host` for an exchange with someone outside, of so many bytes each way with all headers.
    pub fn charge(&mut self, now: Instant, host: u32, up: u32, down: u32) {
        let host = &mut self.hosts[host as usize];
        host.uplink.charge(now, up);
        host.downlink.take(now, down);
    }

    /// Sends what was put into idle socket buffers of `host` since the last flush. The small messages of an instant to
    /// one connection share a segment, and those that arrive together share an event.
    pub fn flush<E: Copy + From<NetEvent>>(&mut self, now: Instant, host: u32, queue: &mut Queue<E>) {
        if self.fresh.is_empty() {
            return;
        }
        let mut fresh = std::mem::take(&mut self.fresh);
        let mut wire = 0;
        fresh.retain_mut(|index| {
            let chunk = self.cut_small(now, *index, queue);
            wire += chunk.map_or(0, |chunk| self.chunks.get(chunk).wire);
            *index = chunk.unwrap_or(NONE);
            chunk.is_some()
        });
        let uplink = &mut self.hosts[host as usize].uplink;
        uplink.charge(now, wire);
        let mut batch: Option<(Instant, u32)> = None;
        for &id in &fresh {
            let chunk = self.chunks.get(id);
            let leaves = self.hosts[host as usize].uplink.small_leaves(now, chunk.wire);
            let lands = self.set_out(leaves, host, id, leaves);
            match batch {
                Some((at, last)) if at == lands => self.chunks.get_mut(last).also = id,
                _ => queue.push(lands, NetEvent::Landed(id).into()),
            }
            batch = Some((lands, id));
        }
        fresh.clear();
        self.fresh = fresh;
        self.plan(host, queue);
    }

    /// Closes a connection: what waits to be sent is dropped, what is under way arrives, and then the other side
    /// learns of it.
    pub fn close<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        host: u32,
        conn: ConnId,
        queue: &mut Queue<E>,
    ) {
        if let Some(flow) = self.flow_of(host, conn) {
            self.end(now, flow, Some(End::Close), queue);
        }
    }

    /// Goes on at the time of an event that the network planned; what hosts are to be told goes to `notices`.
    pub fn handle<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        event: NetEvent,
        queue: &mut Queue<E>,
        notices: &mut Vec<Notice>,
    ) {
        match event {
            NetEvent::Uplink(host) => self.uplink_wakes(now, host, queue, notices),
            NetEvent::Landed(chunk) => self.landed(now, chunk, queue, notices),
            NetEvent::Through(host) => {
                if let Some(chunk) = self.hosts[host as usize].downlink.leave_queue(now) {
                    self.through(now, chunk, queue, notices);
                }
            }
            NetEvent::Credit(flow) => self.credit(now, flow, queue),
            NetEvent::Syn(dial) => self.syn(now, dial, queue),
            NetEvent::SynAck(dial) => self.syn_ack(now, dial, queue, notices),
            NetEvent::Accepted(flow) => self.accepted(flow, notices),
            NetEvent::Resume(flow) => self.resume(now, flow, queue),
            NetEvent::Whole(flow) => self.whole(now, flow, queue, notices),
        }
    }

    /// Panics if bytes are gone or came from nowhere.
    pub fn check_invariants(&self) {
        let Totals { sent, delivered, lost, in_transit } = self.totals;
        assert_eq!(sent, delivered + lost + in_transit, "bytes are conserved: {:?}", self.totals);
        let counted: u64 = self
            .chunks
            .iter()
            .filter(|chunk| chunk.kind != Kind::Credit)
            .map(|chunk| u64::from(chunk.bytes))
            .sum();
        let serving = |flow: &&Flow| matches!(flow.state, State::Serving | State::Room);
        let cut: u64 =
            self.flows.iter().filter(serving).map(|flow| u64::from(self.chunks.get(flow.chunk).bytes)).sum();
        assert_eq!(in_transit, counted - cut, "what is in transit is somewhere");
    }
}

/// No chunk.
const NONE: u32 = u32::MAX;
