//! Coming and going.

use std::net::SocketAddr;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Disconnect, Input};
use torrentlab_engine::time::Instant;
use torrentlab_scenarios::schema::{Departure, Disk};

use super::{Event, Swarm};
use crate::attendance::Due;
use crate::content::Storage;
use crate::ledger::Fact;
use crate::link::End;
use crate::plan::{Class, MAX_PLACES, addr_of, host_at};

impl Swarm<'_> {
    pub(super) fn class(&self, host: u32) -> &Class {
        self.attendance.class(host)
    }

    /// A host comes, or comes back with the pieces that it had.
    pub(super) fn join(&mut self, host: u32) {
        if let Some(checked) = self.recheck(host) {
            return self.queue.push(checked, Event::Join(host));
        }
        let session = self.attendance.sessions(host);
        let Some(ends) = self.attendance.join(host, self.now) else { return };
        let addr = self.addr(host);
        let state = &mut self.hosts[host as usize];
        state.storage.restart(&self.config.content);
        let node = self.cast.node(host, session, addr, state.storage.have(), self.now);
        state.node = Some(node);
        self.net.join(self.now, host, &mut self.queue);
        self.trace.came(self.now, host, addr, self.hosts[host as usize].storage.have());
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
        self.depart(host, self.class(host).how, for_good);
        if let Some(back) = self.attendance.left(host, for_good, self.now) {
            self.queue.push(back, Event::Join(host));
        }
    }

    /// A host goes.
    fn depart(&mut self, host: u32, how: Departure, for_good: bool) {
        let end = match how {
            Departure::Stop => {
                self.deliver(host, Input::Shutdown);
                Some(End::Close)
            }
            Departure::Kill => Some(End::Reset),
            Departure::Vanish => None,
        };
        self.net.leave(self.now, host, end, &mut self.queue);
        self.trace.went(self.now, host);
        self.note(host, &Fact::Left { for_good, how });
        let state = &mut self.hosts[host as usize];
        state.node = None;
        state.timer = Instant::NEVER;
        self.stop_disk(host);
        self.inbox.retain(|&(to, _)| to != host);
    }

    /// A fault takes a host down until `back`, or for good; what it had is gone where `disk` says so.
    pub(super) fn take_down(&mut self, host: u32, how: Departure, back: Instant, disk: Disk) {
        let comes_back = back < Instant::NEVER;
        if !self.attendance.is_present(host) {
            if !comes_back && self.attendance.sessions(host) > 0 {
                self.attendance.stays_away(host, self.now);
            }
            return;
        }
        self.depart(host, how, !comes_back);
        self.attendance.taken_down(host, comes_back);
        if comes_back {
            self.queue.push(back, Event::Join(host));
            match disk {
                Disk::Kept => {}
                Disk::Torn => self.tear(host),
                Disk::Lost => self.lose(host),
            }
        }
    }

    /// What a host had is gone, while it is away.
    fn lose(&mut self, host: u32) {
        let nothing = Bitfield::none(self.config.content.geometry().pieces());
        self.hosts[host as usize].storage = Storage::new(&self.config.content, nothing);
        self.note(host, &Fact::Lost);
        self.attendance.wants_again(host);
    }

    /// A host moves to another address: its connections break at its own end, and the others hear no more of it.
    pub(super) fn move_away(&mut self, host: u32) {
        if !self.attendance.is_present(host) {
            return;
        }
        let conns = self.net.conns(host);
        self.net.leave(self.now, host, None, &mut self.queue);
        self.net.join(self.now, host, &mut self.queue);
        self.hosts[host as usize].moves += 1;
        for conn in conns {
            self.note(host, &Fact::Closed { conn });
            self.deliver(host, Input::Closed { conn, why: Disconnect::Reset });
        }
    }

    /// Where a host listens now.
    pub(super) fn addr(&self, host: u32) -> SocketAddr {
        addr_of(host + self.hosts[host as usize].moves * self.hosts.len() as u32)
    }

    /// Who listens, or listened, at an address, and whether it is still the right one.
    pub(super) fn host_at(&self, addr: SocketAddr) -> Option<(u32, bool)> {
        let hosts = self.hosts.len();
        let place = host_at(addr, MAX_PLACES)?;
        let host = place % hosts as u32;
        let moves = place / hosts as u32;
        let current = self.hosts[host as usize].moves;
        (moves <= current).then_some((host, moves == current))
    }

    fn plan_look(&mut self, host: u32, at: Option<Instant>) {
        if let Some(at) = at.filter(|&at| at < Instant::NEVER) {
            self.queue.push(at, Event::Look(host));
        }
    }
}
