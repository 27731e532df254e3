//! The two backends agree: six scenarios, five seeds each, in both, and how far their figures are apart. The same
//! bounds are broken as soon as one of them gets a network or a client that is a little different.
//!
//! Two minutes of both processors, so it runs when it is asked for:
//! `cargo test --release -p torrentlab-simulator --test agree -- --ignored`. With `UPDATE=1` before it, it writes the
//! table of `docs/reference/backends.md`.

mod figures;
mod table;

use std::sync::OnceLock;

use figures::{Figures, Pair, figures, pairs};
use torrentlab_reports::record::RunRecord;
use torrentlab_scenarios::units::Span;
use torrentlab_scenarios::{Draw, Scenario, Slots, read};
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Backend, News, RunOptions, run, side_by_side};

const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];
const SCENARIOS: [&str; 6] = [
    include_str!("even.toml"),
    include_str!("small-and-far.toml"),
    include_str!("two-classes.toml"),
    include_str!("slow-seed.toml"),
    include_str!("staggered.toml"),
    include_str!("phones.toml"),
];

/// A scenario and what both backends make of it.
struct Case {
    scenario: Scenario,
    des: Figures,
    turmoil: Figures,
    /// The tick, and the mean by which timers were late, ms.
    tick_ms: (f64, f64),
}

fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let case = |text| {
            let scenario =
                read(text, "scenario.toml", &[]).unwrap_or_else(|error| panic!("{error}")).scenario;
            let bytes = runs(&scenario, Backend::Turmoil);
            let ticks = bytes.iter().filter_map(|run| run.info.tick);
            let late = ticks.clone().map(|tick| tick.mean_delay_ms).sum::<f64>() / bytes.len() as f64;
            let tick_ms = (ticks.map(|tick| tick.ms).fold(0.0, f64::max), late);
            let des = figures(&runs(&scenario, Backend::Des));
            Case { turmoil: figures(&bytes), des, tick_ms, scenario }
        };
        SCENARIOS.into_iter().map(case).collect()
    })
}

/// One run for each seed; everyone completes.
fn runs(scenario: &Scenario, backend: Backend) -> Vec<RunRecord> {
    let registry = Registry::default();
    let options = RunOptions { backend, check: true, ..RunOptions::default() };
    let mut records = Vec::new();
    let work = |seed, tell: &mut dyn FnMut(_)| {
        let outcome =
            run(scenario, seed, &registry, &options, tell).unwrap_or_else(|error| panic!("{error}"));
        let (summary, name) = (&outcome.record.summary, &scenario.name);
        assert_eq!((summary.unfinished, outcome.corrupt), (0, 0), "{name}, {backend:?}, seed {seed}");
        outcome.record
    };
    side_by_side(&SEEDS, 2, work, |news| {
        if let News::Done(seed, record) = news {
            records.push((seed, record));
        }
    });
    records.sort_by_key(|(seed, _)| *seed);
    records.into_iter().map(|(_, record)| record).collect()
}

/// What is out of bounds where the default backend's scenarios are changed in such a way.
fn out_of_bounds(change: impl Fn(&mut Scenario)) -> Vec<String> {
    let differing = |case: &Case| {
        let mut changed = case.scenario.clone();
        change(&mut changed);
        let pairs = pairs(&figures(&runs(&changed, Backend::Des)), &case.turmoil);
        let differing = pairs.into_iter().filter(|pair| !pair.agrees());
        differing.map(|pair| told(&case.scenario.name, &pair)).collect::<Vec<_>>()
    };
    cases().iter().flat_map(differing).collect()
}

fn told(scenario: &str, pair: &Pair) -> String {
    format!(
        "{scenario}, {}: {:.3} in des, {:.3} in turmoil, {:+.1}",
        pair.name,
        pair.des,
        pair.turmoil,
        pair.difference()
    )
}

#[test]
#[ignore = "takes minutes"]
fn the_backends_agree() {
    let mut apart = Vec::new();
    for case in cases() {
        let pairs = pairs(&case.des, &case.turmoil);
        apart.extend(pairs.iter().filter(|pair| !pair.agrees()).map(|pair| told(&case.scenario.name, pair)));
    }
    table::check(cases());
    assert!(apart.is_empty(), "out of bounds:\n{}", apart.join("\n"));
}

#[test]
#[ignore = "takes minutes"]
fn a_tick_is_at_most_a_tenth_of_the_smallest_latency() {
    for case in cases() {
        let hosts = case.scenario.hosts.values();
        let least = hosts.map(|class| match class.links.latency {
            Draw::Fixed(span) | Draw::Uniform { from: span, .. } => span.as_nanos(),
            other => panic!("{other:?} has no least value"),
        });
        let between_two_ms = 2.0 * least.min().unwrap() as f64 / 1e6;
        assert!(case.tick_ms.0 * 10.0 <= between_two_ms, "{}: {:?}", case.scenario.name, case.tick_ms);
    }
}

#[test]
#[ignore = "takes minutes"]
fn half_the_latency_is_out_of_bounds_negative() {
    let half = |span: Span| Span::from_nanos(span.as_nanos() / 2);
    let apart = out_of_bounds(|scenario| {
        for class in scenario.hosts.values_mut() {
            class.links.latency = match class.links.latency {
                Draw::Fixed(span) => Draw::Fixed(half(span)),
                Draw::Uniform { from, to } => Draw::Uniform { from: half(from), to: half(to) },
                other => panic!("{other:?} cannot be halved"),
            };
        }
    });
    println!("{}", apart.join("\n"));
    assert!(!apart.is_empty());
}

#[test]
#[ignore = "takes minutes"]
fn one_slot_more_is_out_of_bounds_negative() {
    let apart = out_of_bounds(|scenario| {
        for class in scenario.hosts.values_mut() {
            let Slots::Fixed(slots) = class.limits.slots else { panic!("a fixed number of slots") };
            class.limits.slots = Slots::Fixed(slots + 1);
        }
    });
    println!("{}", apart.join("\n"));
    assert!(!apart.is_empty());
}

#[test]
#[ignore = "takes minutes"]
fn messages_that_overtake_blocks_are_out_of_bounds_negative() {
    let apart = out_of_bounds(|scenario| scenario.network.head_of_line = false);
    println!("{}", apart.join("\n"));
    assert!(!apart.is_empty());
}
