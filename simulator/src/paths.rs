//! Who reaches whom, and how well: what faults do to the paths between hosts. Plain data, for both backends.

use std::collections::{BTreeMap, BTreeSet};

use torrentlab_engine::time::{Duration, Instant};

/// The least variance that Linux's retransmission time-out allows for (`TCP_RTO_MIN`).
const RTO_MIN: Duration = Duration::from_millis(200);
/// "A maximum value MAY be placed on RTO" (RFC 6298, 2.5): Linux's `TCP_RTO_MAX`.
const RTO_MAX: Duration = Duration::from_secs(120);

/// A set of hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hosts {
    /// Those named.
    Just(BTreeSet<u32>),
    /// All others.
    AllBut(BTreeSet<u32>),
}

/// What happens to what goes from certain hosts to certain others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Whose packets.
    pub from: Hosts,
    /// To whom.
    pub to: Hosts,
    /// Whether the same happens on the way back.
    pub both_ways: bool,
    /// What happens.
    pub effect: Effect,
}

/// What a [`Rule`] does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Everything is lost.
    Block,
    /// Everything waits on the way until the rule is lifted.
    Hold,
    /// Everything is later by so much.
    Delay(Duration),
    /// So many of a million packets are lost, each for itself.
    Lose(u32),
}

/// Names a rule in force.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RuleId(u32);

/// Whether something passes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Passage {
    /// It does.
    #[default]
    Open,
    /// It waits on the way.
    Held,
    /// It is lost.
    Blocked,
}

/// What all rules together do to what goes from one host to another.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Path {
    /// Whether it passes: the worst that any rule says.
    pub passage: Passage,
    /// How much later it is: the sum of what the rules say.
    pub delay: Duration,
    /// The chance that a packet passes: losses are independent.
    pub kept: f64,
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    rules: BTreeMap<RuleId, Rule>,
    next: u32,
}

impl Hosts {
    /// One host.
    pub fn one(host: u32) -> Self {
        Self::Just(BTreeSet::from([host]))
    }

    /// All hosts.
    pub const fn all() -> Self {
        Self::AllBut(BTreeSet::new())
    }

    /// Whether `host` is among them.
    pub fn contains(&self, host: u32) -> bool {
        match self {
            Self::Just(hosts) => hosts.contains(&host),
            Self::AllBut(others) => !others.contains(&host),
        }
    }
}

impl Rule {
    /// A rule for both ways between two sets of hosts.
    pub fn between(one: Hosts, other: Hosts, effect: Effect) -> Self {
        Self { from: one, to: other, both_ways: true, effect }
    }

    /// Whether it is about what goes from `from` to `to`.
    pub fn applies(&self, from: u32, to: u32) -> bool {
        let is = |one, other| self.from.contains(one) && self.to.contains(other);
        is(from, to) || self.both_ways && is(to, from)
    }
}

impl Paths {
    /// Puts a rule in force.
    pub fn impose(&mut self, rule: Rule) -> RuleId {
        let id = RuleId(self.next);
        self.next += 1;
        self.rules.insert(id, rule);
        id
    }

    /// Takes a rule out of force; `None` if it was not in force.
    pub fn lift(&mut self, id: RuleId) -> Option<Rule> {
        self.rules.remove(&id)
    }

    /// What the rules do to what goes from `from` to `to`.
    pub fn path(&self, from: u32, to: u32) -> Path {
        let mut path = Path { passage: Passage::Open, delay: Duration::ZERO, kept: 1.0 };
        for rule in self.rules.values().filter(|rule| rule.applies(from, to)) {
            match rule.effect {
                Effect::Block => path.passage = Passage::Blocked,
                Effect::Hold => path.passage = path.passage.max(Passage::Held),
                Effect::Delay(by) => path.delay += by,
                Effect::Lose(ppm) => path.kept *= 1.0 - f64::from(ppm) / 1e6,
            }
        }
        path
    }
}

/// The retransmission time-out of a connection whose round trips take `rtt`: "SRTT + max (G, K*RTTVAR)" (RFC 6298),
/// where Linux lets the second term not fall below 200 ms (`tcp_rtt_estimator`).
pub fn retransmission_timeout(rtt: Duration) -> Duration {
    rtt + RTO_MIN
}

/// When TCP first sends again at or after `from` what was sent at `since` and is not acknowledged. "The host MUST set
/// RTO <- RTO * 2 ("back off the timer")" (RFC 6298, 5.5), here up to 120 s.
pub fn retransmission(since: Instant, rtt: Duration, from: Instant) -> Instant {
    let (mut at, mut timeout) = (since, retransmission_timeout(rtt));
    loop {
        at += timeout;
        if at >= from {
            return at;
        }
        timeout = (timeout * 2).min(RTO_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn the_worst_rule_counts_and_delays_and_losses_add_up() {
        let mut paths = Paths::default();
        let group = |hosts: &[u32]| Hosts::Just(hosts.iter().copied().collect());
        let one_way =
            Rule { from: group(&[0, 1]), to: Hosts::one(2), both_ways: false, effect: Effect::Block };
        let block = paths.impose(one_way);
        paths.impose(Rule::between(Hosts::one(0), Hosts::all(), Effect::Hold));
        paths.impose(Rule::between(Hosts::all(), Hosts::all(), Effect::Delay(MS(5))));
        paths.impose(Rule::between(Hosts::one(2), Hosts::one(3), Effect::Delay(MS(7))));
        paths.impose(Rule::between(Hosts::one(3), Hosts::AllBut([1].into()), Effect::Lose(100_000)));
        paths.impose(Rule::between(Hosts::one(3), Hosts::one(2), Effect::Lose(500_000)));
        let passages = [(0, 2), (2, 0), (1, 2), (2, 1)].map(|(from, to)| paths.path(from, to).passage);
        assert_eq!(passages, [Passage::Blocked, Passage::Held, Passage::Blocked, Passage::Open]);
        assert_eq!(paths.path(2, 3).delay, MS(12));
        assert!((paths.path(2, 3).kept - 0.45).abs() < 1e-12 && paths.path(1, 3).kept == 1.0);
        assert!(paths.lift(block).is_some() && paths.lift(block).is_none());
        assert_eq!(paths.path(0, 2).passage, Passage::Held);
        assert_eq!(paths.path(1, 2).passage, Passage::Open);
    }

    #[test]
    fn what_is_lost_is_sent_again_at_doubling_distances() {
        let after =
            |ms| retransmission(Instant::ZERO, MS(100), Instant::ZERO + MS(ms)).as_nanos() / 1_000_000;
        // 300 ms, and then 600, 1,200, ..., 76,800 and 120,000 twice.
        let expected = [(0, 300), (300, 300), (301, 900), (2_000, 2_100), (100_000, 153_300)];
        for (healed, again) in expected {
            assert_eq!(after(healed), again, "healed after {healed} ms");
        }
        assert_eq!(after(153_301), 273_300);
        assert_eq!(after(273_301), 393_300);
    }
}
