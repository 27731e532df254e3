//! A host, as the network sees it.

use torrentlab_engine::dice::Dice;
use torrentlab_engine::time::Duration;
use torrentlab_engine::units::{ConnId, ConnSlots};

use super::downlink::Downlink;
use super::uplink::Uplink;

/// The access links of a host.
#[derive(Clone, Debug)]
pub struct Links {
    /// Wire bytes a second out; `None` is unlimited.
    pub up: Option<u64>,
    /// Wire bytes a second in; `None` is unlimited.
    pub down: Option<u64>,
    /// Bytes that wait in a connection's socket buffer.
    pub socket_buffer: u32,
    /// Bytes that a connection may have in flight to this host.
    pub window: u32,
    /// Wire bytes that wait before the downlink.
    pub queue: u32,
    /// What is sent is late by up to so much, drawn each time.
    pub jitter: Duration,
    /// Packets lost on the way in or out, of a million.
    pub loss: u32,
    /// How long a dial waits for an answer.
    pub dial_timeout: Duration,
    /// What jitter and loss are drawn from.
    pub dice: Dice,
}

/// Whether a host answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// It takes part.
    Up,
    /// It does not, and its system says so.
    Down,
    /// It is as if its cable were cut.
    Silent,
}

/// The slot is free.
const NO_FLOW: u32 = u32::MAX;

#[derive(Debug)]
pub struct Host {
    pub links: HostLinks,
    pub uplink: Uplink,
    pub downlink: Downlink,
    pub presence: Presence,
    /// How often it joined.
    pub stay: u32,
    slots: ConnSlots,
    /// The last connection in each slot, and the flow that leads out of it; [`NO_FLOW`] when it is closed.
    flows: Vec<(ConnId, u32)>,
}

/// What is left of [`Links`] when the links are made.
#[derive(Debug)]
pub struct HostLinks {
    pub down: Option<u64>,
    pub socket_buffer: u32,
    pub window: u32,
    pub queue: u32,
    pub dial_timeout: Duration,
    jitter: Duration,
    pub loss: u32,
    pub dice: Box<Dice>,
}

impl HostLinks {
    /// Wire bytes that may be under way here when something sets out that takes `latency`.
    pub fn room(&self, latency: Duration) -> u64 {
        let in_pipe = self.down.map_or(0, |rate| {
            (u128::from(rate) * u128::from(latency.as_nanos()) / 1_000_000_000).min(u128::from(u64::MAX / 2))
                as u64
        });
        u64::from(self.queue) + in_pipe
    }
}

impl Host {
    pub fn new(links: Links, segment: u32) -> Self {
        let Links { up, down, socket_buffer, window, queue, jitter, loss, dial_timeout, dice } = links;
        let dice = Box::new(dice);
        Self {
            links: HostLinks { down, socket_buffer, window, queue, dial_timeout, jitter, loss, dice },
            uplink: Uplink::new(up, segment),
            downlink: Downlink::new(down),
            presence: Presence::Down,
            stay: 0,
            slots: ConnSlots::default(),
            flows: Vec::new(),
        }
    }

    /// Names a connection whose way out is `flow`.
    pub fn open(&mut self, flow: u32) -> ConnId {
        let conn = self.slots.open();
        match self.flows.get_mut(conn.slot()) {
            Some(closed) => *closed = (conn, flow),
            // Slots are dense: this is the next one.
            None => self.flows.push((conn, flow)),
        }
        conn
    }

    pub fn close(&mut self, conn: ConnId) {
        self.slots.close(conn);
        self.flows[conn.slot()].1 = NO_FLOW;
    }

    /// The way out of an open connection.
    pub fn flow_of(&self, conn: ConnId) -> Option<u32> {
        let &(open, flow) = self.flows.get(conn.slot())?;
        (open == conn && flow != NO_FLOW).then_some(flow)
    }

    /// The ways out of all open connections, by slot.
    pub fn open_flows(&self) -> Vec<u32> {
        self.flows.iter().map(|&(_, flow)| flow).filter(|&flow| flow != NO_FLOW).collect()
    }

    /// How late the next thing that is sent will be.
    pub fn jitter(&mut self) -> Duration {
        if self.links.jitter == Duration::ZERO {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.links.dice.below(self.links.jitter.as_nanos() + 1))
    }
}
