//! What faults do to paths while connections are under way.
//!
//! A rule that blocks or holds one direction **stops** both flows of a connection, since nothing is acknowledged any
//! more. What lands while its path is blocked is lost; what lands while it is held waits. A flow of which something may
//! be lost goes on at TCP's next retransmission time after the path is open again, with the initial window, and what
//! was lost goes first. One that was only held goes on at once.
//!
//! turmoil's streams have long carried the bytes: only when they count as sent and arrived changes.

use torrentlab_engine::time::{Duration, Instant};

use super::core::{Core, Event, Landing};
use super::flow::{FREE, Segment, State};
use crate::link::End;
use crate::paths::{Effect, Passage, Rule, RuleId, retransmission};

/// A stopped flow.
#[derive(Debug)]
pub(super) struct Stop {
    /// Since when it waits for an acknowledgement, if it does.
    since: Option<Instant>,
    /// Whether something of it, or of what acknowledges it, may be lost.
    cut: bool,
    /// Bytes that were lost.
    lost: u64,
    /// An end that was lost.
    end: Option<End>,
    /// What waits on the way.
    held: Vec<Segment>,
}

impl Core {
    /// Puts a rule in force.
    pub fn impose(&mut self, rule: Rule) -> RuleId {
        let effect = rule.effect;
        let hit = self.hit_by(&rule);
        let id = self.paths.impose(rule);
        for index in hit {
            match effect {
                Effect::Block | Effect::Hold => {
                    let cut = effect == Effect::Block;
                    self.stop(index, cut);
                    self.stop(index ^ 1, cut);
                    if cut {
                        self.lose_held(index);
                    }
                }
                Effect::Delay(by) => self.set_latency(index, |latency| latency + by),
                Effect::Lose(_) => (),
            }
        }
        id
    }

    /// Takes a rule out of force, if it is in force.
    pub fn lift(&mut self, id: RuleId) {
        let Some(rule) = self.paths.lift(id) else { return };
        for index in self.hit_by(&rule) {
            match rule.effect {
                Effect::Block | Effect::Hold => {
                    self.release_held(index);
                    self.plan_resume(index);
                    self.plan_resume(index ^ 1);
                }
                Effect::Delay(by) => self.set_latency(index, |latency| latency.saturating_sub(by)),
                Effect::Lose(_) => (),
            }
        }
    }

    fn hit_by(&self, rule: &Rule) -> Vec<u32> {
        let hit = |&index: &u32| {
            let flow = &self.flows[index as usize];
            flow.held != FREE && rule.applies(flow.from, flow.to)
        };
        (0..self.flows.len() as u32).filter(hit).collect()
    }

    fn set_latency(&mut self, index: u32, change: impl Fn(Duration) -> Duration) {
        let flow = &mut self.flows[index as usize];
        flow.latency = change(flow.latency).max(self.tick);
    }

    /// Whether something passes in the direction of a flow.
    fn passage(&self, index: u32) -> Passage {
        let flow = &self.flows[index as usize];
        self.paths.path(flow.from, flow.to).passage
    }

    fn is_open(&self, index: u32) -> bool {
        self.passage(index).max(self.passage(index ^ 1)) == Passage::Open
    }

    fn stop(&mut self, index: u32, cut: bool) {
        let now = self.now;
        let flow = &mut self.flows[index as usize];
        let since = flow.sender.waits_for_acknowledgement().then_some(now);
        flow.sender.stopped = true;
        let stop = flow.stop.get_or_insert_with(|| {
            Box::new(Stop { since, cut: false, lost: 0, end: None, held: Vec::new() })
        });
        stop.cut |= cut;
        if flow.sender.state == State::Window {
            flow.sender.state = State::Stopped;
        }
    }

    /// A segment would land: whether the path does not let it.
    pub(super) fn is_stopped_short(&mut self, at: Instant, index: u32, segment: Segment) -> bool {
        if self.flows[index as usize].stop.is_none() {
            return false;
        }
        let passage = self.passage(index);
        if passage == Passage::Open {
            return false;
        }
        let flow = &mut self.flows[index as usize];
        let stop = flow.stop.as_mut().expect("it is stopped");
        stop.since.get_or_insert(at);
        if passage == Passage::Held {
            stop.held.push(segment);
        } else {
            stop.lose(segment);
        }
        self.hosts[flow.to as usize].downlink.expect_no_more(segment.bytes + self.tcp.header);
        true
    }

    fn lose_held(&mut self, index: u32) {
        let stop = self.flows[index as usize].stop.as_mut().expect("it is stopped");
        std::mem::take(&mut stop.held).into_iter().for_each(|segment| stop.lose(segment));
    }

    /// What is held of a flow goes on, unless something still holds it, and lands a latency later.
    fn release_held(&mut self, index: u32) {
        if self.passage(index) != Passage::Open {
            return;
        }
        let flow = &mut self.flows[index as usize];
        let Some(stop) = flow.stop.as_mut() else { return };
        let held = std::mem::take(&mut stop.held);
        flow.held += held.len() as u32;
        flow.sender.lands = flow.sender.lands.max(self.now + flow.latency);
        let (to, lands) = (flow.to, flow.sender.lands);
        for segment in held {
            self.hosts[to as usize].downlink.expect(segment.bytes + self.tcp.header);
            self.push_landing(lands, Landing::Segment { flow: index, segment });
        }
    }

    /// Plans when a flow goes on, if both directions of its connection are open.
    fn plan_resume(&mut self, index: u32) {
        let (open, rtt) = (self.is_open(index), self.rtt(index));
        let flow = &mut self.flows[index as usize];
        let Some(stop) = flow.stop.as_ref().filter(|_| open) else { return };
        let resent = stop.since.filter(|_| stop.cut).map(|since| retransmission(since, rtt, self.now));
        flow.held += 1;
        self.push(resent.unwrap_or(self.now), Event::Resume { flow: index });
    }

    fn rtt(&self, index: u32) -> Duration {
        self.flows[index as usize].latency + self.flows[index as usize ^ 1].latency
    }

    /// A flow that was stopped goes on, unless it is stopped again.
    pub(super) fn resume(&mut self, now: Instant, index: u32) {
        if self.is_open(index)
            && let Some(stop) = self.flows[index as usize].stop.take()
        {
            self.go_on(now, index, *stop);
        }
        self.release(index);
    }

    fn go_on(&mut self, now: Instant, index: u32, stop: Stop) {
        let rtt = self.rtt(index);
        let flow = &mut self.flows[index as usize];
        let answered = now + if stop.cut { rtt } else { flow.latency };
        flow.sender.stopped = false;
        if stop.cut {
            flow.sender.restart(&self.tcp);
        }
        flow.acknowledge_withheld(answered);
        if flow.sender.broken {
            if let Some(how) = stop.end {
                self.send_end(now, index, how);
            }
            return;
        }
        flow.sender.send_again(stop.lost);
        flow.sender.ending = flow.sender.ending.or(stop.end);
        let rests = matches!(flow.sender.state, State::Idle | State::Stopped | State::Window);
        if rests && flow.sender.is_backlogged() {
            self.queue(now, index);
        }
    }

    /// A stopped flow has something to send.
    pub(super) fn wait_for_path(&mut self, now: Instant, index: u32) {
        if let Some(stop) = self.flows[index as usize].stop.as_mut() {
            stop.since.get_or_insert(now);
        }
    }
}

impl Stop {
    fn lose(&mut self, segment: Segment) {
        self.lost += u64::from(segment.bytes);
        self.end = self.end.or(segment.end);
    }
}
