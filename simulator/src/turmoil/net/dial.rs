//! How connections begin and end.

use std::net::SocketAddr;

use torrentlab_engine::time::{Duration, Instant};

use super::core::{Core, Event, Landing};
use super::flow::{FREE, Flow, Segment};
use crate::link::{End, Presence};
use crate::paths::Passage;

/// A connection that is being opened.
#[derive(Debug)]
pub(super) struct Dial {
    from: u32,
    /// `None` where no host has the address.
    to: Option<u32>,
    /// Known before its time.
    outcome: Option<(Instant, Outcome)>,
    /// Whether the dialler waits no more.
    given_up: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// It is open, and this is the way there.
    Open(u32),
    /// The other side's system said no.
    Refused,
    /// Nobody answered.
    TimedOut,
}

impl Core {
    /// A host dials: what to ask [`Core::outcome`] about.
    pub fn dial(&mut self, now: Instant, from: u32, addr: SocketAddr) -> u32 {
        let to = self.addrs.get(&addr.ip()).copied();
        let dial = Some(Dial { from, to, outcome: None, given_up: false });
        let id = match self.dials.iter().position(Option::is_none) {
            Some(free) => {
                self.dials[free] = dial;
                free
            }
            None => {
                self.dials.push(dial);
                self.dials.len() - 1
            }
        } as u32;
        self.push(now, Event::Dial { dial: id });
        id
    }

    /// What a dial comes to, and when, as soon as that is known.
    pub fn outcome(&self, dial: u32) -> Option<(Instant, Outcome)> {
        self.dials[dial as usize].as_ref().and_then(|dial| dial.outcome)
    }

    /// The dialler takes what a dial came to, or waits no more.
    pub fn forget(&mut self, id: u32) {
        let dial = self.dials[id as usize].as_mut().expect("its dialler has not forgotten it");
        dial.given_up = true;
        if dial.outcome.is_some() {
            self.dials[id as usize] = None;
        }
    }

    /// The dialler's end of connection `flow` is in use. The other side finds its own by the addresses of its stream:
    /// the dialler's and the listener's.
    pub fn name(&mut self, flow: u32, addrs: (SocketAddr, SocketAddr)) {
        self.named.insert(addrs, flow ^ 1);
        self.ring(self.flows[flow as usize].to);
    }

    /// The listener's end of a connection, and since when it is open, if the dialler has it.
    pub fn accepted(&self, addrs: (SocketAddr, SocketAddr)) -> Option<(Instant, u32)> {
        let &flow = self.named.get(&addrs)?;
        Some((self.flows[flow as usize].opens, flow))
    }

    /// "The three-way handshake" (RFC 9293): the dial sets out.
    pub(super) fn dialled(&mut self, now: Instant, id: u32) {
        let Dial { from, to, .. } = *self.dial_of(id);
        let host = &mut self.hosts[from as usize];
        let leaves = host.uplink.charge(now, self.tcp.header);
        match to {
            Some(to) => {
                let lands = leaves + self.latency_of(from, to);
                self.push(lands, Event::Syn { dial: id });
            }
            None => {
                let at = leaves + host.dial_timeout;
                self.decide(id, at, Outcome::TimedOut);
            }
        }
    }

    /// A dial reaches the other side, which answers or not.
    pub(super) fn syn(&mut self, now: Instant, id: u32) {
        let &mut Dial { from, to, given_up, .. } = self.dial_of(id);
        let to = to.expect("it has reached somebody");
        let back = now + self.latency_of(to, from);
        let passage = self.paths.path(from, to).passage.max(self.paths.path(to, from).passage);
        let host = &self.hosts[to as usize];
        let reached = passage == Passage::Open && !host.hidden;
        match host.presence {
            Presence::Up if reached && !given_up => {
                let flow = self.connect(from, to, back);
                self.decide(id, back, Outcome::Open(flow));
            }
            Presence::Up | Presence::Down if reached => self.decide(id, back, Outcome::Refused),
            _ => {
                let at = now + self.hosts[from as usize].dial_timeout;
                self.decide(id, at, Outcome::TimedOut);
            }
        }
    }

    fn dial_of(&mut self, id: u32) -> &mut Dial {
        self.dials[id as usize].as_mut().expect("it is not decided yet")
    }

    fn decide(&mut self, id: u32, at: Instant, outcome: Outcome) {
        let dial = self.dial_of(id);
        dial.outcome = Some((at, outcome));
        let from = dial.from;
        if dial.given_up {
            self.dials[id as usize] = None;
        }
        self.ring(from);
    }

    /// Makes both ends of a connection, of which the dialler learns at `at`: the flow out of `from`.
    fn connect(&mut self, from: u32, to: u32, at: Instant) -> u32 {
        let (there, back) = (self.latency_of(from, to), self.latency_of(to, from));
        let window = |host: u32| self.hosts[host as usize].window;
        let out = Flow::new(from, to, there, window(to), at, &self.tcp);
        let back = Flow::new(to, from, back, window(from), at + there, &self.tcp);
        match self.free.pop() {
            Some(conn) => {
                let flow = 2 * conn;
                self.flows[flow as usize] = out;
                self.flows[flow as usize + 1] = back;
                flow
            }
            None => {
                self.flows.extend([out, back]);
                self.flows.len() as u32 - 2
            }
        }
    }

    /// A latency of less than a tick could not be kept.
    pub(super) fn latency_of(&self, from: u32, to: u32) -> Duration {
        ((self.latency)(from, to) + self.paths.path(from, to).delay).max(self.tick)
    }

    /// The application sends no more on `flow`: the other side reads the end behind what was taken in.
    pub fn shut(&mut self, now: Instant, index: u32) {
        let flow = &mut self.flows[index as usize];
        if !flow.sender.shut {
            flow.sender.shut = true;
            flow.held += 1;
            self.push(now, Event::Finish { flow: index });
        }
    }

    /// A stream is dropped that sends on `flow`.
    pub fn close(&mut self, now: Instant, index: u32) {
        self.shut(now, index);
        self.flows[index as usize].sender.waker = None;
        self.flows[index as usize ^ 1].receiver.close();
        self.release(index);
    }

    /// A connection was opened that nobody uses.
    pub fn abandon(&mut self, flow: u32) {
        for end in [flow, flow ^ 1] {
            self.close(self.now, end);
        }
    }

    /// A host goes and its connections end: with a segment that says so, or in silence.
    pub fn leave(&mut self, host: u32, how: Option<End>) {
        self.hosts[host as usize].presence = if how.is_some() { Presence::Down } else { Presence::Silent };
        for index in 0..self.flows.len() as u32 {
            let flow = &mut self.flows[index as usize];
            if flow.from != host || flow.held == FREE || flow.sender.broken {
                continue;
            }
            flow.held += 1;
            self.give_up(index);
            self.flows[index as usize ^ 1].receiver.close();
            if let Some(how) = how.filter(|_| !self.flows[index as usize].sender.ended) {
                self.send_end(self.now, index, how);
            }
            self.wake_writer(index);
            self.release(index);
        }
    }

    /// Sends word that the sender's end of a flow is gone, behind everything that is on its way.
    pub(super) fn send_end(&mut self, now: Instant, index: u32, how: End) {
        let flow = &mut self.flows[index as usize];
        flow.held += 1;
        let left = self.hosts[flow.from as usize].uplink.charge(now, self.tcp.header);
        self.hosts[flow.to as usize].downlink.expect(self.tcp.header);
        flow.sender.lands = flow.sender.lands.max(left + flow.latency);
        let segment = Segment { bytes: 0, end: Some(how) };
        self.push_landing(self.flows[index as usize].sender.lands, Landing::Segment { flow: index, segment });
    }
}
