//! Slots in which each host sends one piece (Mundinger, Weber and Weiss, 2008).

use torrentlab_engine::picker::Change;
use torrentlab_engine::time::Duration;
use torrentlab_engine::units::PieceIndex;
use torrentlab_scenarios::schema::Contacts;

use super::{Event, Role, Swarm};

/// How often a host tries its luck before it goes through everybody.
const PROBES: u32 = 8;

/// A piece on its way from one host to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sending {
    from: u32,
    to: u32,
    piece: PieceIndex,
}

impl Swarm {
    /// Everybody sends what there is to send. Whoever comes within a slot waits for the next.
    pub(super) fn begin_slot(&mut self) {
        let gives = |&&host: &&u32| {
            let host = &self.hosts[host as usize];
            host.role != Role::FreeRider && host.have.count() > 0
        };
        let mut senders: Vec<u32> = self.present.hosts().iter().filter(gives).copied().collect();
        let lacks = |&&host: &&u32| !self.hosts[host as usize].due.is_full();
        let mut lacking: Vec<u32> = self.receivers.hosts().iter().filter(lacks).copied().collect();
        self.turns.shuffle(&mut senders);
        for from in senders {
            let Some(at) = self.find_receiver(from, &lacking) else { continue };
            let to = lacking[at];
            let Some(piece) = self.choose(from, to) else { continue };
            self.sendings.push(Sending { from, to, piece });
            let due = &mut self.hosts[to as usize].due;
            due.insert(piece);
            if due.is_full() {
                lacking.swap_remove(at);
            }
        }
        if let Some(slot) = self.slot() {
            self.queue.push(self.now + slot, Event::SlotEnds);
        }
    }

    /// What was sent is there.
    pub(super) fn end_slot(&mut self) {
        for Sending { from, to, piece } in std::mem::take(&mut self.sendings) {
            self.pass(from, to, piece);
        }
        // Behind those who leave now.
        self.queue.push(self.now, Event::SlotBegins);
    }

    /// Who leaves within a slot has sent and received nothing in it.
    pub(super) fn break_off(&mut self, host: u32) {
        let hosts = &mut self.hosts;
        self.sendings.retain(|sending| {
            let broken = sending.from == host || sending.to == host;
            if broken {
                let receiver = &mut hosts[sending.to as usize];
                receiver.due.remove(sending.piece);
                receiver.picker.on_change(&Change::Reopened(sending.piece));
            }
            !broken
        });
    }

    fn slot(&self) -> Option<Duration> {
        match self.model {
            Contacts::Slotted(slotted) => Some(Duration::from_nanos(slotted.slot.as_nanos())),
            Contacts::Random(_) => None,
        }
    }

    /// One of those that lack a piece which `from` has, each as likely as the next, by its place.
    fn find_receiver(&mut self, from: u32, lacking: &[u32]) -> Option<usize> {
        let useful = |swarm: &Self, at: usize| {
            let [from, to] = [from, lacking[at]].map(|host| &swarm.hosts[host as usize]);
            from.have.exceeds(&to.due)
        };
        for _ in 0..PROBES {
            let at = self.hosts[from as usize].contacts.index(lacking.len())?;
            if useful(self, at) {
                return Some(at);
            }
        }
        let all: Vec<usize> = (0..lacking.len()).filter(|&at| useful(self, at)).collect();
        self.hosts[from as usize].contacts.index(all.len()).map(|at| all[at])
    }
}
