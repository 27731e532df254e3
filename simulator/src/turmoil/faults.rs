//! Carrying out the plan of faults, byte for byte. What each means is the same as in the other backend
//! ([`crate::fault`]); what cannot be had here is refused before the run.

use std::sync::Arc;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::net::Content;
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::PieceIndex;
use torrentlab_scenarios::schema::{Departure, Disk, FaultKind, Restart};

use super::storage::Store;
use super::{Event, Swarm, TRACKER};
use crate::build::rate;
use crate::disk::Failing;
use crate::fault::{Action, FaultPlan, Hits, PlannedFault, What};
use crate::ledger::Fact;
use crate::link::End;
use crate::mutant::Pollution;
use crate::paths::{Effect, Hosts, Rule};

/// A rule that a fault has put in force: the fault, and the link where it is about one link alone.
pub type RuleOf = (u32, Option<(u32, u32)>);

/// Why a fault of the plan cannot be had here: where the scenario says so, and the reason.
pub fn refused(plan: &FaultPlan) -> Option<(&str, &'static str)> {
    plan.faults.iter().find_map(|fault| {
        let why = match fault.kind {
            FaultKind::Loss(_) => "turmoil's TCP does not send again what is lost",
            FaultKind::AddressChange => "a host of turmoil keeps its address",
            _ => return None,
        };
        Some((fault.origin.as_str(), why))
    })
}

impl Swarm<'_> {
    pub(super) fn on_fault(&mut self, nth: u32) {
        let (action, fault) = self.faults.act(nth);
        let fault = fault.clone();
        self.books.open().trace.fault(self.now, &action);
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
            FaultKind::Forgets => self.restart_tracker(),
            FaultKind::Down => {
                let tracker = Hosts::one(self.tracker_host());
                self.impose((action.fault, None), Rule::between(tracker, Hosts::all(), Effect::Block));
            }
            _ => {
                if let Some(rule) = fault.rule() {
                    self.impose((action.fault, None), self.with_tracker(rule, fault));
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
            FaultKind::Nat => self.each(fault, |swarm, host| {
                swarm.world.hide(host, swarm.faults.is_behind_nat(host));
            }),
            FaultKind::Corrupt(_) => self.each(fault, Self::update_pollution),
            FaultKind::DiskFull => self.each(fault, |swarm, host| {
                let full = swarm.faults.is_under(host, FaultKind::DiskFull);
                swarm.hosts[host as usize].store.with_disk(|disk| disk.set_full(full));
            }),
            FaultKind::ReadError => self.each(fault, Self::update_unreadable),
            FaultKind::Slow(_) | FaultKind::Wrong(_) => {
                *self.condition.lock().expect("nobody panics with it") = self.faults.tracker();
            }
            // Nodes that misbehave know when.
            _ => {}
        }
    }

    fn update_rates(&mut self, host: u32) {
        let change = self.faults.rates(host);
        let (up, down) = self.hosts[host as usize].rates;
        self.world.set_rate(host, change.up.map_or(up, rate), change.down.map_or(down, rate));
    }

    fn update_pollution(&mut self, host: u32) {
        let (class, index) = {
            let pages = self.books.open();
            let (class, index) = pages.attendance.name(host);
            (class.to_owned(), index)
        };
        let dice = Dice::stream(self.seed, (&class, index, "pollution"));
        let spoils = self.faults.pollution(host);
        self.hosts[host as usize].store.pollute(spoils.map(|spoils| Pollution::new(spoils, dice)));
    }

    fn update_unreadable(&mut self, host: u32) {
        let unreadable = self.faults.is_under(host, FaultKind::ReadError);
        let all = self.content.geometry.total_len();
        self.hosts[host as usize].store.with_disk(|disk| {
            disk.heal_reads();
            if unreadable {
                disk.fail_reads(0, all, Failing::UntilWritten);
            }
        });
    }

    fn each(&mut self, fault: &PlannedFault, mut act: impl FnMut(&mut Self, u32)) {
        let Hits::Hosts(hosts) = &fault.hits else { return };
        hosts.iter().for_each(|&host| act(self, host));
    }

    fn impose(&mut self, of: RuleOf, rule: Rule) {
        let id = self.world.impose(rule);
        self.rules.insert(of, id);
    }

    fn lift(&mut self, of: RuleOf) {
        if let Some(id) = self.rules.remove(&of) {
            self.world.lift(id);
        }
    }

    /// The tracker, as the world counts hosts.
    fn tracker_host(&self) -> u32 {
        self.hosts.len() as u32
    }

    /// A rule about hosts is about the tracker too where the fault says so.
    fn with_tracker(&self, mut rule: Rule, fault: &PlannedFault) -> Rule {
        if let Hits::Links { from, to, .. } = &fault.hits {
            for (side, hosts) in [(from, &mut rule.from), (to, &mut rule.to)] {
                if let (true, Hosts::Just(hosts)) = (side.tracker, hosts) {
                    hosts.insert(self.hosts.len() as u32);
                }
            }
        }
        rule
    }

    /// The tracker starts anew and knows nobody.
    fn restart_tracker(&mut self) {
        let tracker = self.tracker_host();
        self.world.leave(tracker, Some(End::Reset));
        self.sim.crash(TRACKER);
        self.world.join(tracker);
        self.sim.bounce(TRACKER);
    }

    fn take_down_all(&mut self, fault: &PlannedFault, how: Departure, disk: Disk) {
        let back = fault.end;
        self.each(fault, |swarm, host| swarm.take_down(host, how, back, disk));
    }

    /// A fault takes a host down until `back`, or for good; what it had is gone where `disk` says so.
    fn take_down(&mut self, host: u32, how: Departure, back: Instant, disk: Disk) {
        let comes_back = back < Instant::NEVER;
        {
            let attendance = &mut self.books.open().attendance;
            if !attendance.is_present(host) {
                if !comes_back && attendance.sessions(host) > 0 {
                    attendance.stays_away(host, self.now);
                }
                return;
            }
        }
        self.depart(host, how, !comes_back);
        self.books.open().attendance.taken_down(host, comes_back);
        if comes_back {
            let back = match disk {
                Disk::Kept => back,
                Disk::Torn => self.tear(host, back),
                Disk::Lost => {
                    self.lose(host);
                    back
                }
            };
            self.agenda.push(back, Event::Join(host));
        }
    }

    /// The power of a host went; when it has checked what is left, if it begins at `back`.
    fn tear(&mut self, host: u32, back: Instant) -> Instant {
        let store = &self.hosts[host as usize].store;
        store.power_off(self.now);
        let content = Content { storage: store.clone(), ..self.content.clone() };
        let mut left = Bitfield::none(self.content.geometry.pieces());
        for piece in (0..self.content.geometry.pieces()).map(PieceIndex) {
            // What cannot be read is not there.
            if content.is_right(piece).unwrap_or(false) {
                left.insert(piece);
            }
        }
        let checked = store.finish(back);
        self.now_has(host, left);
        checked
    }

    /// What a host had is gone, while it is away.
    fn lose(&mut self, host: u32) {
        let nothing = Bitfield::none(self.content.geometry.pieces());
        let state = &mut self.hosts[host as usize];
        state.store = Arc::new(Store::new(state.store.original(), &nothing, state.disk.clone()));
        self.now_has(host, nothing);
    }

    fn now_has(&mut self, host: u32, have: Bitfield) {
        let mut pages = self.books.open();
        if !have.is_full() {
            pages.attendance.wants_again(host);
        }
        pages.have[host as usize] = have;
        pages.note(self.now, host, &Fact::Lost);
    }
}
