//! What goes wrong: the faults of a scenario with everything drawn, before the run begins.
//!
//! | file | its part |
//! |---|---|
//! | `resolve` | from a scenario and a seed to a [`FaultPlan`] |
//! | `active` | which of them are under way |
//! | `wrong` | what a tracker says that is out of order |

mod active;
mod resolve;
mod wrong;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::Node;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_scenarios::schema::FaultKind;

use crate::mutant::{Answer, Liar, Mutant, Stall};
use crate::paths::{Effect, Hosts, Rule};

pub use active::{Faults, TrackerState};
pub use resolve::resolve;
pub use wrong::{is_dead, wrong_reply};

/// The faults of a run, in the order in which they begin.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FaultPlan {
    /// The faults.
    pub faults: Vec<PlannedFault>,
    /// What is to be done about them, in the order of time.
    pub actions: Vec<Action>,
}

/// A fault with everything drawn.
#[derive(Clone, PartialEq, Debug)]
pub struct PlannedFault {
    /// Where the scenario says so: `fault.0`, or `random_faults.mix.2`.
    pub origin: String,
    /// Whom it hits, in the scenario's words.
    pub target: String,
    /// What happens.
    pub kind: FaultKind,
    /// To whom.
    pub hits: Hits,
    /// From when.
    pub begin: Instant,
    /// Until when; [`Instant::NEVER`] for good. A fault without a duration ends as it begins.
    pub end: Instant,
}

/// Whom a fault hits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hits {
    /// The tracker.
    Tracker,
    /// These hosts, in the order of their indices.
    Hosts(Vec<u32>),
    /// What goes from the first to the second.
    Links {
        /// From these.
        from: Side,
        /// To those.
        to: Side,
        /// And back.
        both_ways: bool,
    },
}

/// One end of the links that a fault hits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Side {
    /// These hosts, in the order of their indices.
    pub hosts: Vec<u32>,
    /// And the tracker.
    pub tracker: bool,
}

/// Something to be done at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Action {
    /// When.
    pub at: Instant,
    /// About which fault, by its position in the plan.
    pub fault: u32,
    /// What.
    pub what: What,
}

/// What is to be done about a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// It begins.
    Begin,
    /// It is over.
    End,
    /// The link between two hosts is held (of a swizzle).
    Hold(u32, u32),
    /// It is released.
    Release(u32, u32),
}

impl FaultPlan {
    /// The faults under which nodes misbehave.
    pub fn misbehaviour(&self) -> Vec<PlannedFault> {
        let mutates = |fault: &&PlannedFault| matches!(fault.kind, FaultKind::Stall | FaultKind::LyingHave);
        self.faults.iter().filter(mutates).cloned().collect()
    }

    /// When the last thing is to be done that the plan knows of.
    pub fn last_action(&self) -> Instant {
        self.actions.last().map_or(Instant::ZERO, |action| action.at)
    }
}

impl PlannedFault {
    /// Whether it hits this host.
    pub fn hits(&self, host: u32) -> bool {
        matches!(&self.hits, Hits::Hosts(hosts) if hosts.binary_search(&host).is_ok())
    }

    /// Whether it has hosts break the rules of the protocol.
    pub fn misbehaves(&self) -> bool {
        matches!(self.kind, FaultKind::Stall | FaultKind::LyingHave | FaultKind::Corrupt(_))
    }

    /// Whether it keeps the tracker from answering, or from hearing somebody.
    pub fn is_about_tracker(&self) -> bool {
        match &self.hits {
            Hits::Tracker => true,
            Hits::Links { from, to, .. } => from.tracker || to.tracker,
            Hits::Hosts(_) => false,
        }
    }

    /// Whether it hits what goes from one host to another.
    pub fn cuts(&self, one: u32, other: u32) -> bool {
        let Hits::Links { from, to, both_ways } = &self.hits else { return false };
        from.has(one) && to.has(other) || *both_ways && from.has(other) && to.has(one)
    }

    /// What it does to paths for as long as it is under way, if it does that.
    pub fn rule(&self) -> Option<Rule> {
        let Hits::Links { from, to, both_ways } = &self.hits else { return None };
        let effect = match self.kind {
            FaultKind::Partition => Effect::Block,
            FaultKind::Hold => Effect::Hold,
            FaultKind::Latency(more) => Effect::Delay(Duration::from_nanos(more.as_nanos())),
            FaultKind::Loss(share) => Effect::Lose(share.ppm()),
            _ => return None,
        };
        let side = |side: &Side| Hosts::Just(side.hosts.iter().copied().collect());
        Some(Rule { from: side(from), to: side(to), both_ways: *both_ways, effect })
    }

    /// What a swizzle does to one of its [pairs](PlannedFault::pairs) while that is held.
    pub fn held(&self, one: u32, other: u32) -> Rule {
        let both_ways = matches!(self.hits, Hits::Links { both_ways: true, .. });
        Rule { from: Hosts::one(one), to: Hosts::one(other), both_ways, effect: Effect::Hold }
    }

    /// Has the node of `host`, which begins with `have`, misbehave while the fault is under way, if that is what it is.
    pub fn mutate(&self, host: u32, have: &Bitfield, node: Box<dyn Node>) -> Box<dyn Node> {
        let (from, until) = (self.begin, self.end);
        match self.kind {
            _ if !self.hits(host) => node,
            FaultKind::Stall => Box::new(Mutant::new(node, Stall::default()).during(from, until)),
            FaultKind::LyingHave => {
                let liar = Liar::new(have.clone(), Answer::Silence);
                Box::new(Mutant::new(node, liar).during(from, until))
            }
            _ => node,
        }
    }

    /// The links that it hits: from the first host to the second, or, where it hits both ways, each link once with the
    /// lower host first.
    pub fn pairs(&self) -> Vec<(u32, u32)> {
        let Hits::Links { from, to, both_ways } = &self.hits else { return Vec::new() };
        let all = from.hosts.iter().flat_map(|&one| to.hosts.iter().map(move |&other| (one, other)));
        let ordered = |(one, other): (u32, u32)| {
            if *both_ways { (one.min(other), one.max(other)) } else { (one, other) }
        };
        let mut pairs: Vec<_> = all.filter(|(one, other)| one != other).map(ordered).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }
}

impl Side {
    fn has(&self, host: u32) -> bool {
        self.hosts.binary_search(&host).is_ok()
    }
}
