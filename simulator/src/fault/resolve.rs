//! From what a scenario says of faults to a plan.

use std::collections::BTreeMap;

use torrentlab_engine::dice::Dice;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_scenarios::schema::{FaultKind, RandomFault, RandomFaults};
use torrentlab_scenarios::{Amount, Draw, Group, Member, Scenario, Target, Who};

use super::{Action, FaultPlan, Hits, PlannedFault, Side, What};
use crate::churn::{draw, exponential};

/// Draws when each fault of `scenario` begins, how long it lasts and whom it hits, in the run with this `seed`.
///
/// Each fault has streams of its own, named after its kind, its target and how many others of both stand before it:
/// another fault changes nothing for it.
pub fn resolve(scenario: &Scenario, seed: u64) -> FaultPlan {
    let resolver = Resolver::new(scenario, seed);
    let mut drawn = Vec::new();
    let mut alike: BTreeMap<String, u64> = BTreeMap::new();
    for (position, fault) in scenario.fault.iter().enumerate() {
        let words = format!("{} {}", fault.kind.name(), fault.target);
        let nth = alike.entry(words.clone()).or_default();
        let dice = |purpose: &str| Dice::stream(seed, ("fault", *nth, &format!("{words} {purpose}")));
        let begin = Instant::ZERO + draw(fault.at, &mut dice("at"));
        let lasts = fault.lasts.map(|lasts| draw(lasts, &mut dice("for")));
        let planned = PlannedFault {
            origin: format!("fault.{position}"),
            target: fault.target.to_string(),
            kind: fault.kind,
            hits: resolver.hits(&fault.target, &fault.kind, &mut dice("hosts")),
            begin,
            end: end(&fault.kind, begin, lasts),
        };
        drawn.push((swizzle(&planned, &mut dice("links")), planned));
        *nth += 1;
    }
    if let Some(random) = &scenario.random_faults {
        resolver.random(random, &mut drawn);
    }
    drawn.sort_by_key(|(_, fault)| fault.begin);
    let actions = actions(&drawn);
    FaultPlan { faults: drawn.into_iter().map(|(_, fault)| fault).collect(), actions }
}

/// What is to be done between the beginning and the end of a fault.
type Steps = Vec<(Instant, What)>;

/// When a fault is over.
fn end(kind: &FaultKind, begin: Instant, lasts: Option<Duration>) -> Instant {
    match (kind, lasts) {
        (_, Some(lasts)) => begin + lasts,
        (FaultKind::Restart(_), None) => begin,
        (kind, None) if kind.is_instant() => begin,
        (_, None) => Instant::NEVER,
    }
}

struct Resolver<'s> {
    scenario: &'s Scenario,
    seed: u64,
    /// The first host of each class, and how many there are.
    classes: BTreeMap<&'s str, (u32, u32)>,
    hosts: u32,
}

impl<'s> Resolver<'s> {
    fn new(scenario: &'s Scenario, seed: u64) -> Self {
        let mut hosts = 0;
        let mut classes = BTreeMap::new();
        for (name, count) in scenario.class_sizes() {
            classes.insert(name, (hosts, count));
            hosts += count;
        }
        Self { scenario, seed, classes, hosts }
    }

    /// Faults that begin as a Poisson process.
    fn random(&self, random: &RandomFaults, drawn: &mut Vec<(Steps, PlannedFault)>) {
        let until = Instant::from_nanos(random.until.as_nanos());
        let mut times = Dice::stream(self.seed, ("random faults", 0, "times"));
        let mut begin = Instant::from_nanos(random.from.as_nanos());
        for nth in 0.. {
            begin += Duration::from_secs_f64(exponential(&mut times) / random.rate.per_s());
            if begin >= until {
                return;
            }
            let dice = |purpose| Dice::stream(self.seed, ("random faults", nth, purpose));
            let position = choose(&random.mix, &mut dice("kind"));
            let sort = &random.mix[position];
            let lasts = sort.lasts.map(|lasts: Draw| draw(lasts, &mut dice("for")));
            let end = end(&sort.kind, begin, lasts);
            let planned = PlannedFault {
                origin: format!("random_faults.mix.{position}"),
                target: sort.target.to_string(),
                kind: sort.kind,
                hits: self.hits(&sort.target, &sort.kind, &mut dice("hosts")),
                begin,
                end: if lasts.is_some() { end.min(until) } else { end },
            };
            drawn.push((swizzle(&planned, &mut dice("links")), planned));
        }
    }

    fn hits(&self, target: &Target, kind: &FaultKind, dice: &mut Dice) -> Hits {
        match target {
            Target::Tracker => Hits::Tracker,
            Target::Hosts(group) => {
                let hosts = self.side(group, dice).hosts;
                match kind {
                    FaultKind::Partition | FaultKind::Hold => {
                        let others = (0..self.hosts).filter(|host| hosts.binary_search(host).is_err());
                        links(hosts.clone(), others.collect())
                    }
                    FaultKind::Swizzle | FaultKind::Latency(_) | FaultKind::Loss(_) => {
                        links(hosts, (0..self.hosts).collect())
                    }
                    _ => Hits::Hosts(hosts),
                }
            }
            Target::Links { from, to, both_ways } => {
                Hits::Links { from: self.side(from, dice), to: self.side(to, dice), both_ways: *both_ways }
            }
        }
    }

    fn side(&self, group: &Group, dice: &mut Dice) -> Side {
        let mut side = Side::default();
        for member in &group.0 {
            side.tracker |= member.of == Who::Tracker;
            side.hosts.extend(self.members(member, dice));
        }
        side.hosts.sort_unstable();
        side.hosts.dedup();
        side
    }

    fn members(&self, member: &Member, dice: &mut Dice) -> Vec<u32> {
        let (first, count) = match &member.of {
            Who::Tracker => (0, 0),
            Who::Everyone => (0, self.hosts),
            Who::Name(name) => match self.scenario.class_or_host(name) {
                Some((class, Some(index))) => (self.classes[class].0 + index, 1),
                Some((class, None)) => self.classes[class],
                // A checked scenario names nobody else.
                None => (0, 0),
            },
        };
        let mut hosts: Vec<u32> = (first..first + count).collect();
        if member.amount != Amount::All {
            dice.shuffle(&mut hosts);
            hosts.truncate(member.amount.of(u64::from(count)) as usize);
        }
        hosts
    }
}

fn links(from: Vec<u32>, to: Vec<u32>) -> Hits {
    let side = |hosts| Side { hosts, tracker: false };
    Hits::Links { from: side(from), to: side(to), both_ways: true }
}

/// The position of a sort, each as likely as its weight says.
fn choose(mix: &[RandomFault], dice: &mut Dice) -> usize {
    let mut left = dice.below(mix.iter().map(|sort| u64::from(sort.weight)).sum());
    let chosen = mix.iter().position(|sort| {
        let chosen = left < u64::from(sort.weight);
        left = left.wrapping_sub(u64::from(sort.weight));
        chosen
    });
    chosen.unwrap_or(0)
}

fn actions(drawn: &[(Steps, PlannedFault)]) -> Vec<Action> {
    let mut actions = Vec::new();
    for (fault, (steps, planned)) in (0u32..).zip(drawn) {
        let begin = (planned.begin, What::Begin);
        let end = (planned.end, What::End);
        let all = std::iter::once(&begin).chain(steps).chain(std::iter::once(&end));
        actions.extend(all.map(|&(at, what)| Action { at, fault, what }));
    }
    actions.retain(|action| action.at < Instant::NEVER);
    actions.sort_by_key(|action| action.at);
    actions
}

/// Each link is held at a time in the first half, and released at one in the second.
fn swizzle(fault: &PlannedFault, dice: &mut Dice) -> Steps {
    if fault.kind != FaultKind::Swizzle {
        return Vec::new();
    }
    let half = fault.end.since(fault.begin) / 2;
    let mut within = || Duration::from_nanos(dice.below(half.as_nanos() + 1));
    let steps = |(one, other)| {
        let hold = (fault.begin + within(), What::Hold(one, other));
        [hold, (fault.begin + half + within(), What::Release(one, other))]
    };
    fault.pairs().into_iter().flat_map(steps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWARM: &str = r#"
        schema = 1
        content = { size = "1 MiB", piece_size = "256 KiB" }
        [hosts.leecher]
        count = 10
        links = { up = "1 Mbit/s", down = "2 Mbit/s" }
        [hosts.seed]
        count = 2
        behaviour = "seed"
        links = { up = "1 Mbit/s", down = "2 Mbit/s" }
    "#;

    fn plan(faults: &str, seed: u64) -> FaultPlan {
        resolve(&Scenario::from_toml(&format!("{SWARM}\n{faults}"), "test.toml").unwrap(), seed)
    }

    fn fault(target: &str, kind: &str) -> String {
        format!(
            "[[fault]]\nat = \"10s..90s\"\nfor = {{ exponential = \"1 min\" }}\ntarget = \"{target}\"\nkind = \"{kind}\"\n"
        )
    }

    fn hosts(fault: &PlannedFault) -> Vec<u32> {
        match &fault.hits {
            Hits::Hosts(hosts) => hosts.clone(),
            Hits::Tracker => Vec::new(),
            Hits::Links { from, .. } => from.hosts.clone(),
        }
    }

    #[test]
    fn targets_become_hosts() {
        let table: [(&str, &[u32]); 4] = [
            ("leecher-3", &[3]),
            ("seed", &[10, 11]),
            ("seed-1 + leecher-0", &[0, 11]),
            ("100% of seed", &[10, 11]),
        ];
        for (target, expected) in table {
            assert_eq!(hosts(&plan(&fault(target, "kill"), 1).faults[0]), expected, "{target}");
        }
        let some = |seed| hosts(&plan(&fault("30% of leecher", "kill"), seed).faults[0]);
        assert!(some(1).len() == 3 && some(1).is_sorted() && some(1).iter().all(|&host| host < 10));
        assert!((2..20).any(|seed| some(seed) != some(1)), "another seed hits others");
    }

    #[test]
    fn a_partition_lies_between_its_hosts_and_all_others() {
        let plan = plan(&fault("seed", "partition"), 1);
        let Hits::Links { from, to, both_ways: true } = &plan.faults[0].hits else { panic!("{plan:?}") };
        assert_eq!((&from.hosts[..], &to.hosts[..]), (&[10, 11][..], &(0..10).collect::<Vec<_>>()[..]));
        assert!(plan.faults[0].cuts(10, 3) && plan.faults[0].cuts(3, 11) && !plan.faults[0].cuts(10, 11));
        let one_way = self::plan(&fault("seed -> leecher", "partition"), 1);
        assert!(one_way.faults[0].cuts(10, 3) && !one_way.faults[0].cuts(3, 10));
    }

    #[test]
    fn another_fault_changes_nothing_for_the_others() {
        let (one, other) = (fault("50% of leecher", "kill"), fault("2 of leecher", "stall"));
        let alone = plan(&one, 7).faults;
        for both in [format!("{one}{other}"), format!("{other}{one}")] {
            let both = plan(&both, 7).faults;
            let same = both.iter().find(|fault| fault.kind == FaultKind::Kill).unwrap();
            assert_eq!((&same.hits, same.begin, same.end), (&alone[0].hits, alone[0].begin, alone[0].end));
        }
        let twice = plan(&format!("{one}{one}"), 7).faults;
        assert_ne!(twice[0].begin, twice[1].begin, "two that are alike are two");
    }

    #[test]
    fn what_is_done_is_in_the_order_of_time() {
        let swizzle = "[[fault]]\nat = \"10 s\"\nfor = \"20 s\"\ntarget = \"seed-0\"\nkind = \"swizzle\"\n";
        let plan = plan(swizzle, 3);
        assert!(plan.actions.is_sorted_by_key(|action| action.at));
        let held = |what: fn(u32, u32) -> What| {
            (0..12)
                .filter(|&host| host != 10)
                .map(|host| what(host.min(10), host.max(10)))
                .collect::<Vec<_>>()
        };
        let at = |what: What| plan.actions.iter().position(|action| action.what == what).unwrap();
        assert_eq!(plan.actions.len(), 2 + 2 * 11);
        assert_eq!((at(What::Begin), at(What::End)), (0, 23));
        let holds: Vec<_> = held(What::Hold).into_iter().map(at).collect();
        let releases: Vec<_> = held(What::Release).into_iter().map(at).collect();
        assert!(holds.iter().max() < releases.iter().min());
        assert!(!holds.is_sorted() && !releases.is_sorted(), "in random order");
    }

    #[test]
    fn random_faults_come_at_their_rate_in_their_mix_and_end() {
        let random = "[random_faults]\nrate = \"30 /min\"\nfrom = \"1 min\"\nuntil = \"21 min\"\n\
            [[random_faults.mix]]\nweight = 3\ntarget = \"1 of leecher\"\nkind = \"restart\"\nfor = \"20s..1min\"\n\
            [[random_faults.mix]]\ntarget = \"tracker\"\nkind = \"forgets\"\n";
        let plan = plan(random, 5);
        let (first, last) =
            (Instant::ZERO + Duration::from_secs(60), Instant::ZERO + Duration::from_secs(1_260));
        assert!((540..660).contains(&plan.faults.len()), "{}", plan.faults.len());
        assert!(
            plan.faults.iter().all(|fault| fault.begin >= first && fault.begin < last && fault.end <= last)
        );
        let restarts = plan.faults.iter().filter(|fault| fault.origin == "random_faults.mix.0").count();
        let share = restarts as f64 / plan.faults.len() as f64;
        assert!((0.69..0.81).contains(&share), "{share}");
        let hit: std::collections::BTreeSet<_> = plan.faults.iter().flat_map(hosts).collect();
        assert_eq!(hit.len(), 10, "in time everybody has his turn");
    }
}
