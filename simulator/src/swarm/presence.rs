//! Coming and going.

use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::Input;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_scenarios::Draw;
use torrentlab_scenarios::schema::Departure;

use super::{Class, Event, Swarm, addr_of};
use crate::churn::draw;
use crate::ledger::Fact;
use crate::link::End;

/// When a host's stay ends.
#[derive(Debug)]
pub struct Deadlines {
    /// The session.
    session: Instant,
    /// For good.
    for_good: Instant,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { session: Instant::NEVER, for_good: Instant::NEVER }
    }
}

impl Swarm<'_> {
    pub(super) fn class(&self, host: u32) -> &Class {
        &self.classes[self.hosts[host as usize].class as usize]
    }

    /// A host comes, or comes back with the pieces that it had.
    pub(super) fn join(&mut self, host: u32) {
        self.to_come -= 1;
        let (leave_at, session) = (self.class(host).leave_at, self.class(host).session);
        let state = &mut self.hosts[host as usize];
        state.deadlines.for_good = state.deadlines.for_good.min(leave_at);
        if state.deadlines.for_good <= self.now {
            return self.give_up(host);
        }
        state.storage.restart(&self.config.content);
        let sessions = self.ledger.hosts[host as usize].sessions;
        let node = self.cast.node(host, sessions, addr_of(host), state.storage.have(), self.now);
        state.node = Some(node);
        self.net.join(host);
        self.note(host, &Fact::Joined);
        let ends = session.map(|(length, _)| self.now + self.draw(host, length, "session", sessions));
        let state = &mut self.hosts[host as usize];
        state.deadlines.session = ends.unwrap_or(Instant::NEVER);
        let next = state.deadlines.session.min(state.deadlines.for_good);
        self.plan_leave(host, next);
        self.plan_timer(host);
    }

    /// A host has everything.
    pub(super) fn completed(&mut self, host: u32) {
        self.give_up(host);
        if let Some(stay) = self.class(host).stay {
            let leaves = self.now + self.draw(host, stay, "stay", 0);
            self.leave_by(host, leaves);
        }
    }

    /// Has a host leave that has served enough.
    pub(super) fn leave_if_served(&mut self, host: u32) {
        let limit = self.class(host).leave_after_bytes;
        if limit.is_some_and(|limit| self.ledger.hosts[host as usize].payload_up >= limit) {
            self.leave_by(host, self.now);
        }
    }

    /// A deadline may have come.
    pub(super) fn on_deadline(&mut self, host: u32) {
        let state = &self.hosts[host as usize];
        if state.node.is_none() {
            return;
        }
        let Deadlines { session, for_good } = state.deadlines;
        let gap = self.class(host).session.and_then(|(_, gap)| gap);
        if for_good <= self.now {
            self.leave(host, None);
        } else if session <= self.now {
            self.leave(host, gap);
        } else {
            self.plan_leave(host, session.min(for_good));
        }
    }

    /// A host leaves, for good unless it comes back after `gap`.
    fn leave(&mut self, host: u32, gap: Option<Draw>) {
        let how = match self.class(host).how {
            Departure::Stop => {
                self.deliver(host, Input::Shutdown);
                Some(End::Close)
            }
            Departure::Kill => Some(End::Reset),
            Departure::Vanish => None,
        };
        self.net.leave(self.now, host, how, &mut self.queue);
        self.note(host, &Fact::Left { for_good: gap.is_none() });
        let state = &mut self.hosts[host as usize];
        state.node = None;
        state.timer = Instant::NEVER;
        self.inbox.retain(|&(to, _)| to != host);
        match gap {
            Some(gap) => {
                let sessions = self.ledger.hosts[host as usize].sessions;
                let back = self.now + self.draw(host, gap, "gap", sessions);
                self.to_come += 1;
                self.queue.push(back, Event::Join(host));
            }
            None => self.give_up(host),
        }
    }

    /// A host wants nothing any more.
    fn give_up(&mut self, host: u32) {
        let wanting = &mut self.hosts[host as usize].wanting;
        self.unfinished -= u32::from(std::mem::take(wanting));
    }

    fn leave_by(&mut self, host: u32, at: Instant) {
        let deadlines = &mut self.hosts[host as usize].deadlines;
        if at < deadlines.for_good {
            deadlines.for_good = at;
            self.plan_leave(host, at);
        }
    }

    fn plan_leave(&mut self, host: u32, at: Instant) {
        if at < Instant::NEVER {
            self.queue.push(at, Event::Leave(host));
        }
    }

    /// Draws a time for a host from a stream of its own.
    fn draw(&self, host: u32, from: Draw, purpose: &str, nth: u32) -> Duration {
        let index = u64::from(self.hosts[host as usize].index);
        let purpose = format!("{purpose} {nth}");
        draw(from, &mut Dice::stream(self.config.seed, (&self.class(host).name, index, &purpose)))
    }
}
