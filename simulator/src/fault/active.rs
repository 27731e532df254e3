//! Which faults are under way, and what that means to whom.

use torrentlab_engine::units::PieceIndex;
use torrentlab_scenarios::Draw;
use torrentlab_scenarios::schema::{Corrupt, FaultKind, RateChange, WrongAnswer};

use super::{Action, FaultPlan, Hits, PlannedFault, What};
use crate::mutant::Spoils;

/// The faults of a run, and those of them that are under way.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    plan: FaultPlan,
    /// By position in the plan, in the order in which they began.
    active: Vec<u32>,
}

/// What is the matter with the tracker.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TrackerState {
    /// It does not answer.
    pub down: bool,
    /// It answers so.
    pub wrong: Option<WrongAnswer>,
    /// It takes so much longer, all together.
    pub slower: Vec<Draw>,
}

impl Faults {
    /// None of these has begun.
    pub fn new(plan: FaultPlan) -> Self {
        Self { plan, active: Vec::new() }
    }

    /// All faults of the run.
    pub fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    /// Takes note of the `nth` action of the plan, whose time has come: what it is, and about which fault.
    pub fn act(&mut self, nth: u32) -> (Action, &PlannedFault) {
        let action = self.plan.actions[nth as usize];
        match action.what {
            What::Begin => self.active.push(action.fault),
            What::End => self.active.retain(|&fault| fault != action.fault),
            What::Hold(..) | What::Release(..) => {}
        }
        (action, &self.plan.faults[action.fault as usize])
    }

    /// How many faults are under way.
    pub fn count(&self) -> u32 {
        self.active.len() as u32
    }

    /// Whether `host` is under a fault of this kind.
    pub fn is_under(&self, host: u32, kind: FaultKind) -> bool {
        self.active().any(|fault| fault.kind == kind && fault.hits(host))
    }

    /// Whether `host` cannot be dialled.
    pub fn is_behind_nat(&self, host: u32) -> bool {
        self.is_under(host, FaultKind::Nat)
    }

    /// Whether `host` and the tracker reach each other.
    pub fn reaches_tracker(&self, host: u32) -> bool {
        !self.active().any(|fault| match &fault.hits {
            Hits::Links { from, to, .. } if fault.kind == FaultKind::Partition => {
                from.tracker && to.has(host) || to.tracker && from.has(host)
            }
            _ => false,
        })
    }

    /// What is the matter with the tracker; of two ways to answer wrongly the later one counts.
    pub fn tracker(&self) -> TrackerState {
        let mut state = TrackerState::default();
        for fault in self.active() {
            match fault.kind {
                FaultKind::Down => state.down = true,
                FaultKind::Wrong(wrong) => state.wrong = Some(wrong),
                FaultKind::Slow(more) => state.slower.push(more),
                _ => {}
            }
        }
        state
    }

    /// The rates that `host` has in place of its own; of two changes the later one counts.
    pub fn rates(&self, host: u32) -> RateChange {
        let mut rates = RateChange::default();
        for fault in self.active().filter(|fault| fault.hits(host)) {
            if let FaultKind::Rate(change) = fault.kind {
                rates = RateChange { up: change.up.or(rates.up), down: change.down.or(rates.down) };
            }
        }
        rates
    }

    /// How `host` spoils what it serves; of two ways the later one counts.
    pub fn pollution(&self, host: u32) -> Option<Spoils> {
        let spoils = |fault: &PlannedFault| match fault.kind {
            FaultKind::Corrupt(Corrupt { piece: Some(piece), .. }) => Some(Spoils::Piece(PieceIndex(piece))),
            FaultKind::Corrupt(Corrupt { share, .. }) if share.ppm() < 1_000_000 => {
                Some(Spoils::Some(share.fraction()))
            }
            FaultKind::Corrupt(_) => Some(Spoils::All),
            _ => None,
        };
        self.active().filter(|fault| fault.hits(host)).filter_map(spoils).last()
    }

    fn active(&self) -> impl Iterator<Item = &PlannedFault> {
        self.active.iter().map(|&fault| &self.plan.faults[fault as usize])
    }
}
