//! How connections begin and end.

use torrentlab_engine::time::Instant;

use super::flow::{Flow, State};
use super::{Dial, End, Fifo, NetEvent, Network, Notice, Presence};
use crate::paths::{Passage, retransmission};
use crate::queue::Queue;
use torrentlab_engine::time::Duration;
use torrentlab_engine::units::ConnId;

impl<M> Network<M> {
    /// A dial reaches the other side.
    pub(super) fn syn<E: Copy + From<NetEvent>>(&mut self, now: Instant, id: u32, queue: &mut Queue<E>) {
        let dial = self.dials.get_mut(id);
        let presence = self.hosts[dial.to as usize].presence;
        let back = self.paths.path(dial.to, dial.from);
        let passes = self.paths.path(dial.from, dial.to).passage.max(back.passage) == Passage::Open;
        dial.answered = passes && presence != Presence::Silent;
        dial.accepted = passes && presence == Presence::Up;
        let rest = if dial.answered {
            dial.latency + back.delay
        } else {
            self.hosts[dial.from as usize].links.dial_timeout
        };
        queue.push(now + rest, NetEvent::SynAck(id).into());
    }

    /// The answer to a dial is back.
    pub(super) fn syn_ack<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        id: u32,
        queue: &mut Queue<E>,
        notices: &mut Vec<Notice>,
    ) {
        let dial = self.dials.get_mut(id);
        let open = |one, other| self.paths.path(one, other).passage == Passage::Open;
        if dial.answered && !(open(dial.from, dial.to) && open(dial.to, dial.from)) {
            (dial.accepted, dial.answered) = (false, false);
            let rest = self.hosts[dial.from as usize].links.dial_timeout;
            return queue.push(now + rest, NetEvent::SynAck(id).into());
        }
        let Dial { from, to, stay, latency, accepted, answered } = self.dials.remove(id);
        if self.hosts[from as usize].stay != stay || !self.is_up(from) {
            return;
        }
        if !accepted || !self.is_up(to) {
            return notices.push(Notice::DialFailed { host: from, peer: to, answered });
        }
        let flow = self.connect(from, to, latency);
        let conn = self.flows[flow as usize].conn;
        notices.push(Notice::Connected { host: from, conn, peer: to, outgoing: true });
        self.flows[flow as usize].pending += 1;
        let latency = self.flows[flow as usize].latency;
        queue.push(now + latency, NetEvent::Accepted(flow).into());
    }

    /// A connection is open at the side that was dialled, too.
    pub(super) fn accepted(&mut self, flow: u32, notices: &mut Vec<Notice>) {
        let back = &self.flows[flow as usize ^ 1];
        if back.open {
            let host = self.flows[flow as usize].to;
            notices.push(Notice::Connected { host, conn: back.conn, peer: back.to, outgoing: false });
        }
        self.flows[flow as usize].pending -= 1;
        self.free_if_done(flow);
    }

    /// Makes both ends of a connection: the flow out of `from`.
    fn connect(&mut self, from: u32, to: u32, latency: Duration) -> u32 {
        let index = self.free.pop().unwrap_or(self.flows.len() as u32 / 2);
        let flow = 2 * index;
        let there = self.hosts[from as usize].open(flow);
        let back = self.hosts[to as usize].open(flow + 1);
        let pair = [self.flow(there, from, to, latency), self.flow(back, to, from, latency)];
        for (at, end) in (flow as usize..).zip(pair) {
            match self.flows.get_mut(at) {
                Some(old) => *old = end,
                None => self.flows.push(end),
            }
        }
        self.set_loss(flow);
        self.set_loss(flow + 1);
        flow
    }

    fn flow(&self, conn: ConnId, from: u32, to: u32, latency: Duration) -> Flow {
        let receiver = &self.hosts[to as usize].links;
        let latency = latency + self.paths.path(from, to).delay;
        Flow {
            to,
            conn,
            open: true,
            stopped: false,
            lossy: false,
            state: State::Idle,
            pending: 0,
            unacked: 0,
            latency,
            room: receiver.room(latency),
            lands: Instant::ZERO,
            cwnd: (self.tcp.mss * self.tcp.initial_window).min(receiver.window.max(self.tcp.mss)),
            window: receiver.window.max(self.tcp.mss),
            in_flight: 0,
            chunk: 0,
            head_sent: 0,
            waiting_bytes: 0,
            waiting_room: 0,
            waiting: Fifo::default(),
            credits: Fifo::default(),
        }
    }

    /// Ends the sender's end of a flow and drops what has not set out; the other side learns of it where `how` is
    /// given.
    pub(super) fn end<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        index: u32,
        how: Option<End>,
        queue: &mut Queue<E>,
    ) {
        let from = self.sender(index);
        let flow = &mut self.flows[index as usize];
        if !flow.open {
            return;
        }
        flow.open = false;
        let (conn, to, chunk, state) = (flow.conn, flow.to, flow.chunk, flow.state);
        flow.state = State::Idle;
        let mut waiting = std::mem::take(&mut flow.waiting);
        waiting.clear(&mut self.messages);
        self.hosts[from as usize].close(conn);
        if matches!(state, State::Serving | State::Room) {
            self.chunks.remove(chunk).messages.clear(&mut self.messages);
            if state == State::Serving {
                self.hosts[from as usize].uplink.abandon(now, index);
                self.plan(from, queue);
            } else {
                self.hosts[to as usize].downlink.give_up(index);
                self.admit(now, to, queue);
            }
        }
        match how {
            Some(how) => self.send_end(now, index, how, queue),
            None => _ = self.silent.insert(index, None),
        }
        // To forget what is stopped may leave nothing that names the connection: it is freed once, at the end.
        self.flows[index as usize].pending += 1;
        if !self.flows[index as usize ^ 1].open {
            self.forget_stops(now, index, queue);
        }
        self.release(index);
    }

    /// Something came for an end that went in silence, which is flow `index`'s: whose host is back answers with a
    /// reset (RFC 9293: "If the connection does not exist (CLOSED), then a reset is sent in response").
    pub(super) fn came_for_silent<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        index: u32,
        queue: &mut Queue<E>,
    ) {
        let Some(unanswered) = self.silent.get_mut(&index) else { return };
        if self.hosts[self.flows[index as usize ^ 1].to as usize].presence == Presence::Silent {
            unanswered.get_or_insert(now);
        } else {
            self.silent.remove(&index);
            self.send_end(now, index, End::Reset, queue);
        }
    }

    /// Answers, at their times, what will be sent again to ends of `host` that went in silence.
    pub(super) fn reset_forgotten<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        host: u32,
        queue: &mut Queue<E>,
    ) {
        let of_host = |index: &u32| self.flows[*index as usize ^ 1].to == host;
        let unanswered = self.silent.iter().filter(|(index, _)| of_host(index));
        let unanswered: Vec<_> = unanswered.filter_map(|(&index, since)| Some((index, (*since)?))).collect();
        for (index, since) in unanswered {
            self.silent.remove(&index);
            let latency = self.flows[index as usize].latency;
            let again = retransmission(since, latency * 2, now) + latency;
            self.set_out_end(again, index, End::Reset, queue);
        }
    }

    /// Forgets a connection that is closed at both ends and that no event names.
    pub(super) fn free_if_done(&mut self, flow: u32) {
        let both = flow as usize & !1..=flow as usize | 1;
        if self.flows[both.clone()].iter().all(|flow| !flow.open && flow.pending == 0) {
            for index in both {
                self.flows[index].credits.clear(&mut self.chunks);
                self.losses.remove(&(index as u32));
                self.silent.remove(&(index as u32));
            }
            self.free.push(flow / 2);
        }
    }

    /// The way out of an open connection.
    pub(super) fn flow_of(&self, host: u32, conn: ConnId) -> Option<u32> {
        self.hosts[host as usize].flow_of(conn)
    }
}
