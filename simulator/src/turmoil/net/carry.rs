//! How segments travel: from their flow over both links to the receiver, and the window's bytes back.

use torrentlab_engine::time::Instant;

use super::core::{Core, Event, Landing};
use super::flow::{FREE, Segment, State};
use crate::link::{End, Presence};

/// Jitter is drawn anew after so many bytes that follow upon each other.
const JITTER_RUN: u32 = 16 * 1024;
/// Segments that a flow takes in beyond what the uplink sends before it can be told of more.
const AHEAD: u64 = 2;

impl Core {
    /// Bytes that a flow takes in at most: what its share of the uplink carries in two ticks and a few segments, but no
    /// more than its window lets go in that time and one segment. All else waits where it can still be cancelled.
    pub fn intake(&self, now: Instant, flow: u32) -> u64 {
        let flow = &self.flows[flow as usize];
        let uplink = &self.hosts[flow.from as usize].uplink;
        let mss = u64::from(self.tcp.mss);
        let let_go = flow.sender.may_leave_by(now + self.tick * 2) + mss;
        let carried = uplink.rate().map(|rate| {
            let in_two_ticks = u128::from(rate) * u128::from(self.tick.as_nanos()) * 2 / 1_000_000_000;
            in_two_ticks as u64 / uplink.active().max(1) + AHEAD * mss
        });
        carried.unwrap_or(let_go).min(let_go)
    }

    pub(super) fn written(&mut self, now: Instant, index: u32, bytes: u32) {
        let sender = &mut self.flows[index as usize].sender;
        if sender.broken {
            sender.buffered -= u64::from(bytes);
        } else {
            sender.waiting += u64::from(bytes);
            self.ready(now, index);
        }
        self.release(index);
    }

    pub(super) fn finished(&mut self, now: Instant, index: u32) {
        let sender = &mut self.flows[index as usize].sender;
        if !sender.broken {
            sender.ending = Some(End::Close);
            self.ready(now, index);
        }
        self.release(index);
    }

    /// A flow has something to send: it takes its turn on the uplink, unless it is about it.
    fn ready(&mut self, now: Instant, index: u32) {
        let flow = &mut self.flows[index as usize];
        if flow.sender.stopped {
            self.wait_for_path(now, index);
        }
        let flow = &mut self.flows[index as usize];
        if flow.sender.state == State::Idle {
            // What comes after a pause meets other traffic on its path.
            flow.sender.run = 0;
            self.queue(now, index);
        }
    }

    /// A flow takes its turn on the uplink.
    pub(super) fn queue(&mut self, now: Instant, index: u32) {
        let flow = &mut self.flows[index as usize];
        flow.sender.state = State::Queued;
        let host = flow.from;
        self.hosts[host as usize].uplink.queue(index);
        self.serve(now, host);
    }

    /// Puts the next segment on a host's uplink, if that is free.
    fn serve(&mut self, now: Instant, host: u32) {
        while let Some(index) = self.hosts[host as usize].uplink.next() {
            let sender = &mut self.flows[index as usize].sender;
            if let Some(segment) = sender.cut(now, self.tcp.mss) {
                sender.state = State::Serving;
                sender.segment = segment;
                let wire = segment.bytes + self.tcp.header;
                let left = self.hosts[host as usize].uplink.begin(now, index, wire);
                return self.push(left, Event::Left { host });
            }
            self.await_credit(index);
            self.free_if_done(index);
        }
    }

    /// A segment has left its uplink: it sets out, or waits until there is room for it at the receiver.
    pub(super) fn left(&mut self, now: Instant, host: u32) {
        let index = self.hosts[host as usize].uplink.finish();
        let wire = self.wire(index);
        let flow = &mut self.flows[index as usize];
        let (to, latency) = (flow.to, flow.latency);
        if flow.sender.broken && flow.sender.segment.end.is_none() {
            flow.sender.state = State::Idle;
        } else if self.hosts[to as usize].downlink.admit(now, index, wire, latency) {
            self.set_out(now, index);
        } else {
            self.flows[index as usize].sender.state = State::Room;
            self.plan_room(to);
        }
        self.free_if_done(index);
        self.serve(now, host);
    }

    /// The segment of a flow is on its way, and the flow takes its turn again.
    fn set_out(&mut self, now: Instant, index: u32) {
        let wire = self.wire(index);
        let flow = &mut self.flows[index as usize];
        let sender = &mut flow.sender;
        if sender.run == 0 {
            sender.jitter = self.hosts[flow.from as usize].draw_jitter();
        }
        sender.run += wire;
        if sender.run >= JITTER_RUN {
            sender.run = 0;
        }
        sender.lands = sender.lands.max(now + flow.latency + sender.jitter);
        let landing = Landing::Segment { flow: index, segment: sender.segment };
        flow.held += 1;
        let (to, lands) = (flow.to, sender.lands);
        sender.state = State::Idle;
        let backlogged = sender.is_backlogged();
        self.hosts[to as usize].downlink.expect(wire);
        self.push_landing(lands, landing);
        if backlogged {
            self.queue(now, index);
        }
    }

    /// Lets those go on who wait for room at `host`, in order.
    pub(super) fn admit(&mut self, now: Instant, host: u32) {
        while let Some(index) = self.hosts[host as usize].downlink.first_waiting() {
            let (wire, latency) = (self.wire(index), self.flows[index as usize].latency);
            if !self.hosts[host as usize].downlink.readmit(now, wire, latency) {
                break;
            }
            self.set_out(now, index);
        }
        self.plan_room(host);
    }

    fn plan_room(&mut self, host: u32) {
        if let Some(at) = self.hosts[host as usize].downlink.plan() {
            self.push(at, Event::Room { host });
        }
    }

    /// Something reaches the receiver's downlink.
    pub(super) fn land(&mut self, at: Instant, landing: Landing) {
        match landing {
            Landing::Segment { flow, segment } => {
                if !self.is_stopped_short(at, flow, segment) {
                    self.land_segment(at, flow, segment);
                }
                self.release(flow);
            }
            Landing::Datagram { host, wire } => _ = self.hosts[host as usize].downlink.land(at, wire),
        }
    }

    fn land_segment(&mut self, at: Instant, index: u32, segment: Segment) {
        let flow = &mut self.flows[index as usize];
        let (to, latency) = (flow.to, flow.latency);
        let through = self.hosts[to as usize].downlink.land(at, segment.bytes + self.tcp.header);
        if flow.receiver.open {
            if let Some(end) = segment.end {
                self.arrive_end(through, index, end);
            } else {
                flow.arrive(through, segment.bytes);
                self.acknowledge(through, index);
                self.await_credit(index);
            }
            self.wake_reader(index);
        } else if segment.end.is_none() && self.hosts[to as usize].presence != Presence::Silent {
            self.break_at(through + latency, index);
        }
        self.plan_room(to);
    }

    fn arrive_end(&mut self, through: Instant, index: u32, end: End) {
        self.flows[index as usize].receiver.end.get_or_insert((through, end));
        if end == End::Reset {
            self.break_at(through, index ^ 1);
        }
    }

    /// "The receiver may delay its acknowledgement": one for every few segments, which leaves at once.
    fn acknowledge(&mut self, at: Instant, index: u32) {
        if self.tcp.segments_per_ack == 0 {
            return;
        }
        let flow = &mut self.flows[index as usize];
        flow.receiver.unacked += 1;
        if flow.receiver.unacked == self.tcp.segments_per_ack {
            flow.receiver.unacked = 0;
            self.hosts[flow.to as usize].uplink.acknowledge_at(at, self.tcp.header);
        }
    }

    /// Has a flow that its window stops go on when the next acknowledgement is back. If none is on its way yet, that
    /// is done when one sets out.
    fn await_credit(&mut self, index: u32) {
        let flow = &mut self.flows[index as usize];
        if let Some(at) = flow.sender.plan_credit() {
            flow.held += 1;
            self.push(at, Event::Credit { flow: index });
        }
    }

    pub(super) fn credited(&mut self, now: Instant, index: u32) {
        self.flows[index as usize].sender.credit_planned = false;
        if self.flows[index as usize].sender.state == State::Window {
            self.queue(now, index);
        }
        self.release(index);
    }

    /// The application has read: whoever was kept back by that goes on.
    pub fn read(&mut self, now: Instant, index: u32, bytes: u64) {
        let flow = &mut self.flows[index as usize];
        flow.read(now, bytes);
        self.await_credit(index);
    }

    fn break_at(&mut self, at: Instant, index: u32) {
        let flow = &mut self.flows[index as usize];
        if !flow.sender.broken {
            flow.held += 1;
            self.push(at, Event::Broken { flow: index });
        }
    }

    /// The sender of a flow learns that nobody reads: the connection is reset.
    pub(super) fn broken(&mut self, now: Instant, index: u32) {
        self.give_up(index);
        self.flows[index as usize ^ 1].receiver.end.get_or_insert((now, End::Reset));
        self.wake_writer(index);
        self.wake_reader(index ^ 1);
        self.release(index);
    }

    /// Drops what a flow has not sent. What is on the uplink is lost.
    pub fn give_up(&mut self, index: u32) {
        let flow = &mut self.flows[index as usize];
        flow.sender.give_up();
        match flow.sender.state {
            State::Room => {
                flow.sender.state = State::Idle;
                self.hosts[flow.to as usize].downlink.give_up(index);
            }
            State::Window | State::Stopped => flow.sender.state = State::Idle,
            State::Idle | State::Queued | State::Serving => {}
        }
    }

    /// Forgets a connection that nothing names any more.
    pub fn release(&mut self, index: u32) {
        self.flows[index as usize].held -= 1;
        self.free_if_done(index);
    }

    fn free_if_done(&mut self, index: u32) {
        let both = &mut self.flows.as_chunks_mut::<2>().0[index as usize / 2];
        if both.iter().all(|flow| flow.held == 0 && flow.sender.state == State::Idle) {
            both.iter_mut().for_each(|flow| flow.held = FREE);
            self.free.push(index / 2);
        }
    }

    fn wire(&self, index: u32) -> u32 {
        let Segment { bytes, .. } = self.flows[index as usize].sender.segment;
        bytes + self.tcp.header
    }
}
