//! Carrying out the plan of faults.

use torrentlab_engine::dice::Dice;
use torrentlab_scenarios::schema::{Departure, Disk, FaultKind, Restart};
use torrentlab_scenarios::units::Rate;

use super::Swarm;
use crate::build::rate;
use crate::disk::Failing;
use crate::fault::{Action, Hits, PlannedFault, What};
use crate::mutant::Pollution;
use crate::paths::Rule;

/// A rule that a fault has put in force: the fault, and the link where it is about one link alone.
pub type RuleOf = (u32, Option<(u32, u32)>);

impl Swarm<'_> {
    pub(super) fn on_fault(&mut self, nth: u32) {
        let (action, fault) = self.faults.act(nth);
        let fault = fault.clone();
        self.trace.fault(self.now, &action);
        match action.what {
            What::Begin => self.begin(&action, &fault),
            What::End => self.end(&action, &fault),
            What::Hold(one, other) => self.impose((action.fault, Some((one, other))), fault.held(one, other)),
            What::Release(one, other) => self.lift((action.fault, Some((one, other)))),
        }
    }

    fn begin(&mut self, action: &Action, fault: &PlannedFault) {
        match fault.kind {
            FaultKind::Stop => self.take_down_all(fault, Departure::Stop, Disk::Kept),
            FaultKind::Kill => self.take_down_all(fault, Departure::Kill, Disk::Kept),
            FaultKind::Vanish => self.take_down_all(fault, Departure::Vanish, Disk::Kept),
            FaultKind::Restart(Restart { how, disk }) => self.take_down_all(fault, how, disk),
            FaultKind::AddressChange => self.each(fault, Self::move_away),
            FaultKind::Forgets => self.tracker.forget(),
            _ => {
                if let Some(rule) = fault.rule() {
                    self.impose((action.fault, None), rule);
                }
                self.update(fault);
            }
        }
    }

    fn end(&mut self, action: &Action, fault: &PlannedFault) {
        self.lift((action.fault, None));
        self.update(fault);
    }

    /// Brings what the hosts are like in line with the faults that are under way.
    fn update(&mut self, fault: &PlannedFault) {
        match fault.kind {
            FaultKind::Rate(_) => self.each(fault, Self::update_rates),
            FaultKind::Corrupt(_) => self.each(fault, Self::update_pollution),
            FaultKind::DiskFull => self.each(fault, Self::update_full),
            FaultKind::ReadError => self.each(fault, Self::update_unreadable),
            // Whoever is concerned asks when it matters, and nodes that misbehave know when.
            _ => {}
        }
    }

    fn update_rates(&mut self, host: u32) {
        let change = self.faults.rates(host);
        let (up, down) = self.hosts[host as usize].rates;
        let new = |own: Option<u64>, changed: Option<Rate>| changed.map_or(own, rate);
        self.net.set_rate(self.now, host, new(up, change.up), new(down, change.down), &mut self.queue);
    }

    fn update_pollution(&mut self, host: u32) {
        let (class, index) = self.attendance.name(host);
        let dice = Dice::stream(self.config.seed, (class, index, "pollution"));
        let spoils = self.faults.pollution(host);
        self.pollute(host, spoils.map(|spoils| Pollution::new(spoils, dice)));
    }

    fn update_full(&mut self, host: u32) {
        let full = self.faults.is_under(host, FaultKind::DiskFull);
        self.disk(host).disk.set_full(full);
    }

    fn update_unreadable(&mut self, host: u32) {
        let unreadable = self.faults.is_under(host, FaultKind::ReadError);
        let all = self.config.content.geometry().total_len();
        let disk = &mut self.disk(host).disk;
        disk.heal_reads();
        if unreadable {
            disk.fail_reads(0, all, Failing::UntilWritten);
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

    fn impose(&mut self, of: RuleOf, rule: Rule) {
        let id = self.net.impose(self.now, rule, &mut self.queue);
        self.rules.insert(of, id);
    }

    fn lift(&mut self, of: RuleOf) {
        if let Some(id) = self.rules.remove(&of) {
            self.net.lift(self.now, id, &mut self.queue);
        }
    }
}
