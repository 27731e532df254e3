//! Carrying out the plan of faults.

use torrentlab_scenarios::schema::{Departure, Disk, FaultKind, Restart};

use super::Swarm;
use crate::fault::{Hits, PlannedFault, What};

impl Swarm<'_> {
    pub(super) fn on_fault(&mut self, nth: u32) {
        let (action, fault) = self.faults.act(nth);
        self.trace.fault(self.now, &action);
        if action.what == What::Begin {
            let fault = fault.clone();
            self.begin(&fault);
        }
    }

    fn begin(&mut self, fault: &PlannedFault) {
        match fault.kind {
            FaultKind::Stop => self.take_down_all(fault, Departure::Stop, Disk::Kept),
            FaultKind::Kill => self.take_down_all(fault, Departure::Kill, Disk::Kept),
            FaultKind::Vanish => self.take_down_all(fault, Departure::Vanish, Disk::Kept),
            FaultKind::Restart(Restart { how, disk }) => self.take_down_all(fault, how, disk),
            FaultKind::AddressChange => self.each(fault, |swarm, host| swarm.move_away(host)),
            FaultKind::Forgets => self.tracker.forget(),
            // Whoever is concerned asks `faults` when it matters.
            _ => {}
        }
    }

    fn take_down_all(&mut self, fault: &PlannedFault, how: Departure, disk: Disk) {
        let back = fault.end;
        self.each(fault, |swarm, host| swarm.take_down(host, how, back, disk));
    }

    fn each(&mut self, fault: &PlannedFault, mut act: impl FnMut(&mut Self, u32)) {
        let Hits::Hosts(hosts) = &fault.hits else { return };
        for &host in hosts {
            act(self, host);
            self.drain_inbox();
        }
    }
}
