//! Coming and going.

use torrentlab_engine::node::Input;
use torrentlab_engine::time::Instant;
use torrentlab_scenarios::schema::Departure;

use super::{Event, Swarm};
use crate::attendance::Due;
use crate::ledger::Fact;
use crate::link::End;
use crate::plan::{Class, addr_of};

impl Swarm<'_> {
    pub(super) fn class(&self, host: u32) -> &Class {
        self.attendance.class(host)
    }

    /// A host comes, or comes back with the pieces that it had.
    pub(super) fn join(&mut self, host: u32) {
        let session = self.attendance.sessions(host);
        let Some(ends) = self.attendance.join(host, self.now) else { return };
        let state = &mut self.hosts[host as usize];
        state.storage.restart(&self.config.content);
        let node = self.cast.node(host, session, addr_of(host), state.storage.have(), self.now);
        state.node = Some(node);
        self.net.join(host);
        self.note(host, &Fact::Joined);
        self.plan_look(host, Some(ends));
        self.plan_timer(host);
    }

    /// A host has everything.
    pub(super) fn completed(&mut self, host: u32) {
        let leaves = self.attendance.completed(host, self.now);
        self.plan_look(host, leaves);
    }

    /// Has a host leave that has served enough.
    pub(super) fn leave_if_served(&mut self, host: u32) {
        let leaves = self.attendance.served(host, self.ledger.hosts[host as usize].payload_up, self.now);
        self.plan_look(host, leaves);
    }

    /// A host's stay may end.
    pub(super) fn look(&mut self, host: u32) {
        match self.attendance.look(host, self.now) {
            Due::Nothing => {}
            Due::Later(at) => self.plan_look(host, Some(at)),
            Due::Leaves { for_good } => self.leave(host, for_good),
        }
    }

    fn leave(&mut self, host: u32, for_good: bool) {
        let how = match self.class(host).how {
            Departure::Stop => {
                self.deliver(host, Input::Shutdown);
                Some(End::Close)
            }
            Departure::Kill => Some(End::Reset),
            Departure::Vanish => None,
        };
        self.net.leave(self.now, host, how, &mut self.queue);
        self.note(host, &Fact::Left { for_good });
        let state = &mut self.hosts[host as usize];
        state.node = None;
        state.timer = Instant::NEVER;
        self.inbox.retain(|&(to, _)| to != host);
        if let Some(back) = self.attendance.left(host, for_good, self.now) {
            self.queue.push(back, Event::Join(host));
        }
    }

    fn plan_look(&mut self, host: u32, at: Option<Instant>) {
        if let Some(at) = at.filter(|&at| at < Instant::NEVER) {
            self.queue.push(at, Event::Look(host));
        }
    }
}
