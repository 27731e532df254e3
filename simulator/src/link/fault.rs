//! What faults do to links and paths while flows are under way.
//!
//! A rule that blocks or holds one direction **stops** both flows of a connection, for what arrives is not
//! acknowledged. What is on its way is not looked for: it lands at its time, and only then is found to be lost or held.
//! A flow of which something may be lost goes on at TCP's next retransmission time, with the initial window; what was
//! lost is sent again before all else. One that was only held goes on at once, as if nothing had been.

use std::collections::btree_map::Entry;

use torrentlab_engine::time::{Duration, Instant};

use super::flow::{Chunk, End, Kind, State};
use super::{Fifo, NetEvent, Network};
use crate::paths::{Effect, Passage, Rule, RuleId, retransmission};
use crate::queue::Queue;

/// A stopped flow.
#[derive(Debug)]
pub struct Stop {
    /// When it stopped.
    at: Instant,
    /// Since when it waits for an acknowledgement, if it does.
    since: Option<Instant>,
    /// Whether something of it, or of what acknowledges it, may be lost.
    cut: bool,
    /// Whether its acknowledgements are stopped.
    deaf: bool,
    /// All that lands up to here is lost.
    lost_until: Option<Instant>,
    /// Messages that were lost, and the bytes of their flow that were.
    lost: Fifo,
    lost_bytes: u32,
    /// An end of the sender's end that was lost.
    end: Option<End>,
    /// Chunks that wait on the way.
    held: Fifo,
}

impl<M> Network<M> {
    /// Changes the rates of a host's links from now on, in wire bytes a second; `None` is unlimited.
    pub fn set_rate<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        host: u32,
        up: Option<u64>,
        down: Option<u64>,
        queue: &mut Queue<E>,
    ) {
        // A link of no rate at all would stop the clock.
        let (up, down) = (up.map(|rate| rate.max(1)), down.map(|rate| rate.max(1)));
        let segment = self.tcp.mss + self.tcp.header;
        let changed = &mut self.hosts[host as usize];
        changed.uplink.set_rate(now, up, segment);
        changed.links.down = down;
        for through in changed.downlink.set_rate(now, down) {
            queue.push(through, NetEvent::Through(host).into());
        }
        for flow in self.flows.iter_mut().filter(|flow| flow.to == host) {
            flow.room = changed.links.room(flow.latency);
        }
        self.plan(host, queue);
        self.admit(now, host, queue);
    }

    /// Puts a rule in force.
    pub fn impose<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        rule: Rule,
        queue: &mut Queue<E>,
    ) -> RuleId {
        let effect = rule.effect;
        let hit = self.hit_by(&rule);
        let id = self.paths.impose(rule);
        for index in hit {
            match effect {
                Effect::Block | Effect::Hold => {
                    self.stop(now, index, effect == Effect::Block, queue);
                    self.stop(now, index ^ 1, effect == Effect::Block, queue);
                    self.stops.get_mut(&(index ^ 1)).expect("it is stopped").deaf = true;
                    if effect == Effect::Block {
                        self.lose_held(now, index, queue);
                    }
                }
                Effect::Delay(by) => self.set_latency(index, |latency| latency + by),
                Effect::Lose(_) => self.set_loss(index),
            }
        }
        id
    }

    /// Takes a rule out of force, if it is in force.
    pub fn lift<E: Copy + From<NetEvent>>(&mut self, now: Instant, id: RuleId, queue: &mut Queue<E>) {
        let Some(rule) = self.paths.lift(id) else { return };
        for index in self.hit_by(&rule) {
            match rule.effect {
                Effect::Block | Effect::Hold => {
                    // Once both ends are closed, it does not matter any more.
                    let Some(stop) = self.stops.get_mut(&index) else { continue };
                    if rule.effect == Effect::Block {
                        stop.lost_until = Some(self.flows[index as usize].lands);
                    }
                    self.release_held(now, index, queue);
                    self.plan_resume(now, index, queue);
                    self.plan_resume(now, index ^ 1, queue);
                }
                Effect::Delay(by) => self.set_latency(index, |latency| latency.saturating_sub(by)),
                Effect::Lose(_) => self.set_loss(index),
            }
        }
    }

    /// The flows of a connection that is not forgotten to which a rule applies.
    fn hit_by(&self, rule: &Rule) -> Vec<u32> {
        let live = |&index: &u32| {
            let flow = &self.flows[index as usize];
            let named = flow.open || flow.pending > 0;
            named && rule.applies(self.sender(index), flow.to)
        };
        (0..self.flows.len() as u32).filter(live).collect()
    }

    fn set_latency(&mut self, index: u32, change: impl Fn(Duration) -> Duration) {
        let flow = &mut self.flows[index as usize];
        flow.latency = change(flow.latency);
        flow.room = self.hosts[flow.to as usize].links.room(flow.latency);
        self.set_loss(index);
        self.set_loss(index ^ 1);
    }

    /// What lies between the two ends of a flow, in its direction.
    fn passage(&self, index: u32) -> Passage {
        self.paths.path(self.sender(index), self.flows[index as usize].to).passage
    }

    fn stop<E: Copy + From<NetEvent>>(&mut self, now: Instant, index: u32, cut: bool, queue: &mut Queue<E>) {
        let flow = &mut self.flows[index as usize];
        let waits = flow.in_flight > 0 || !flow.waiting.is_empty() || flow.lands > now;
        if flow.state == State::Window {
            flow.state = State::Stopped;
        }
        let stop = match self.stops.entry(index) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                flow.stopped = true;
                flow.pending += 1;
                entry.insert(Stop::new(now, waits.then_some(now)))
            }
        };
        stop.cut |= cut;
        if cut {
            self.take_back(now, index, queue);
        }
    }

    /// Takes a flow's chunk off the uplink, or from before the receiver's downlink: it waits again.
    fn take_back<E: Copy + From<NetEvent>>(&mut self, now: Instant, index: u32, queue: &mut Queue<E>) {
        let from = self.sender(index);
        let flow = &mut self.flows[index as usize];
        let (to, state) = (flow.to, flow.state);
        if !matches!(state, State::Serving | State::Room) {
            return;
        }
        let chunk = self.chunks.remove(flow.chunk);
        flow.state = State::Stopped;
        flow.in_flight -= chunk.bytes;
        if state == State::Room {
            // Its sender has been given the room.
            chunk.messages.change(&mut self.messages, |queued| queued.room = 0);
        }
        flow.put_back(&mut self.messages, chunk.messages, chunk.bytes);
        if state == State::Serving {
            self.hosts[from as usize].uplink.abandon(now, index);
            self.plan(from, queue);
        } else {
            self.hosts[to as usize].downlink.give_up(index);
            self.admit(now, to, queue);
        }
    }

    /// A stopped flow has something to send.
    pub(super) fn wait_for_path(&mut self, now: Instant, index: u32) {
        let flow = &mut self.flows[index as usize];
        flow.state = State::Idle;
        if !flow.waiting.is_empty() {
            flow.state = State::Stopped;
            self.stops.get_mut(&index).expect("it is stopped").since.get_or_insert(now);
        }
    }

    /// A chunk of a stopped flow would land: whether it does not.
    pub(super) fn is_stopped_short<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        id: u32,
        queue: &mut Queue<E>,
    ) -> bool {
        let index = self.chunks.get(id).flow;
        let passage = self.passage(index);
        let stop = self.stops.get_mut(&index).expect("it is stopped");
        if passage == Passage::Blocked || stop.lost_until.is_some_and(|until| now <= until) {
            self.lose(now, id, queue);
            return true;
        }
        if passage == Passage::Held {
            stop.held.push_slot(&mut self.chunks, id);
        }
        passage == Passage::Held
    }

    /// A chunk on its way is lost. What its sender would send again waits for that.
    fn lose<E: Copy + From<NetEvent>>(&mut self, now: Instant, id: u32, queue: &mut Queue<E>) {
        let Chunk { flow: index, bytes, wire, mut messages, kind, .. } = self.chunks.remove(id);
        let flow = &mut self.flows[index as usize];
        let stop = self.stops.get_mut(&index).expect("it is stopped");
        let to = flow.to;
        self.totals.in_transit -= u64::from(bytes);
        self.totals.lost += u64::from(bytes);
        if kind == Kind::Data {
            flow.in_flight -= bytes;
            self.hosts[to as usize].downlink.drained(wire);
        }
        if let Kind::End(how) = kind {
            stop.end = Some(how);
        }
        stop.since.get_or_insert(now);
        if flow.open {
            stop.lost_bytes += bytes;
            messages.change(&mut self.messages, |queued| queued.room = 0);
            while !messages.is_empty() {
                messages.move_front(&mut self.messages, &mut stop.lost);
            }
        } else {
            messages.clear(&mut self.messages);
        }
        self.release(index);
        self.admit(now, to, queue);
    }

    /// What is held of a flow is lost.
    fn lose_held<E: Copy + From<NetEvent>>(&mut self, now: Instant, index: u32, queue: &mut Queue<E>) {
        while let Some(id) = self.stops.get_mut(&index).and_then(|stop| stop.held.pop_slot(&self.chunks)) {
            self.lose(now, id, queue);
        }
    }

    /// What is held of a flow goes on, unless something still holds it, and lands one latency later.
    fn release_held<E: Copy + From<NetEvent>>(&mut self, now: Instant, index: u32, queue: &mut Queue<E>) {
        if self.passage(index) != Passage::Open {
            return;
        }
        let stop = self.stops.get_mut(&index).expect("it is stopped");
        let flow = &mut self.flows[index as usize];
        while let Some(id) = stop.held.pop_slot(&self.chunks) {
            flow.lands = flow.lands.max(now + flow.latency);
            self.chunks.get_mut(id).at = flow.lands;
            queue.push(flow.lands, NetEvent::Landed(id).into());
        }
    }

    /// Plans when a flow goes on, if both directions of its connection are open.
    fn plan_resume<E: Copy + From<NetEvent>>(&mut self, now: Instant, index: u32, queue: &mut Queue<E>) {
        if self.passage(index) != Passage::Open || self.passage(index ^ 1) != Passage::Open {
            return;
        }
        let rtt = self.rtt(index);
        let stop = &self.stops[&index];
        let mut at = now;
        if stop.cut {
            at = stop.since.map_or(now, |since| retransmission(since, rtt, now));
            // What is on its way is lost, and must be known to be before it can be sent again.
            at = at.max(stop.lost_until.map_or(now, |until| until + Duration::from_nanos(1)));
        }
        self.flows[index as usize].pending += 1;
        queue.push(at, NetEvent::Resume(index).into());
    }

    pub(super) fn rtt(&self, index: u32) -> Duration {
        self.flows[index as usize].latency + self.flows[index as usize ^ 1].latency
    }

    /// A flow that was stopped goes on, unless it is stopped again.
    pub(super) fn resume<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        index: u32,
        queue: &mut Queue<E>,
    ) {
        let open = self.passage(index) == Passage::Open && self.passage(index ^ 1) == Passage::Open;
        if open && self.stops.get(&index).is_some_and(|stop| stop.lost_until.is_none_or(|until| now > until))
        {
            self.go_on(now, index, queue);
        }
        self.release(index);
    }

    fn go_on<E: Copy + From<NetEvent>>(&mut self, now: Instant, index: u32, queue: &mut Queue<E>) {
        let mut stop = self.stops.remove(&index).expect("it is stopped");
        let rtt = self.rtt(index);
        let back = self.flows[index as usize ^ 1].latency;
        let flow = &mut self.flows[index as usize];
        flow.stopped = false;
        if stop.deaf {
            let acknowledged = now + if stop.cut { rtt } else { back };
            flow.credits.change(&mut self.chunks, |credit| {
                if credit.at > stop.at {
                    credit.at = credit.at.max(acknowledged);
                }
            });
        }
        flow.reap(now, &mut self.chunks);
        if stop.cut {
            flow.cwnd = flow.window.min(self.tcp.mss * self.tcp.initial_window);
        }
        if flow.open {
            flow.put_back(&mut self.messages, stop.lost, stop.lost_bytes);
        } else {
            stop.lost.clear(&mut self.messages);
        }
        if matches!(flow.state, State::Idle | State::Stopped) {
            self.start(now, index, queue);
            self.plan(self.sender(index), queue);
        }
        if let Some(how) = stop.end {
            self.send_end(now, index, how, queue);
        }
        self.release(index);
    }

    /// Both ends of a connection are closed: nothing of it is sent again.
    pub(super) fn forget_stops<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        index: u32,
        queue: &mut Queue<E>,
    ) {
        for index in [index & !1, index | 1] {
            self.lose_held(now, index, queue);
            if let Some(mut stop) = self.stops.remove(&index) {
                stop.lost.clear(&mut self.messages);
                self.flows[index as usize].stopped = false;
                self.release(index);
            }
        }
    }
}

impl Stop {
    fn new(at: Instant, since: Option<Instant>) -> Self {
        Self {
            at,
            since,
            cut: false,
            deaf: false,
            lost_until: None,
            lost: Fifo::default(),
            lost_bytes: 0,
            end: None,
            held: Fifo::default(),
        }
    }
}
