//! The smallest scenario that fails in the same way.
//!
//! It is made smaller as data: fewer peers, pieces, faults and options, less time. What is smaller is taken where it
//! fails with the same class of failure, whatever the moment and the hosts; the search ends where nothing smaller does.

use std::fmt;

use torrentlab_scenarios::Scenario;
use torrentlab_scenarios::units::Span;

use crate::failure::Failure;

/// A candidate may run for so many times as long as the failure took, and so many seconds more.
const PATIENCE: (f64, f64) = (3.0, 300.0);

/// How large a scenario is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Measure {
    /// Hosts.
    pub hosts: u32,
    /// Pieces.
    pub pieces: u64,
    /// Faults.
    pub faults: usize,
    /// Seconds until the failure.
    pub seconds: f64,
}

impl Measure {
    /// That of a scenario which fails at `failure`.
    pub fn of(scenario: &Scenario, failure: &Failure) -> Self {
        Self {
            hosts: scenario.class_sizes().values().sum(),
            pieces: scenario.pieces(),
            faults: scenario.fault.len(),
            seconds: failure.at.map_or(0.0, |at| at.as_secs_f64()),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hosts, pieces, faults, seconds } = self;
        write!(f, "{hosts} hosts, {pieces} pieces, {faults} faults, {seconds:.1} s")
    }
}

/// How far the search is.
#[derive(Clone, Debug)]
pub struct Shrinking {
    /// Candidates that were run.
    pub runs: u64,
    /// Candidates that failed in the same way and were taken.
    pub taken: u64,
    /// How large the smallest is that fails.
    pub smallest: Measure,
}

/// The end of the search.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest that fails.
    pub scenario: Scenario,
    /// How it fails.
    pub failure: Failure,
    /// How large it was before.
    pub before: Measure,
    /// How far the search went.
    pub search: Shrinking,
    /// Whether nothing smaller fails; otherwise `go_on` ended the search.
    pub is_minimal: bool,
}

/// Makes `scenario`, which fails with `failure`, smaller. `attempt` runs a candidate and gives its failure, if it fails;
/// `threads` of them go on side by side, which changes nothing of the result. `go_on` is told how far the search is.
pub fn shrink(
    scenario: &Scenario,
    failure: &Failure,
    threads: usize,
    attempt: impl Fn(&Scenario) -> Option<Failure> + Sync,
    mut go_on: impl FnMut(&Shrinking) -> bool,
) -> Shrunk {
    let before = Measure::of(scenario, failure);
    let mut shrunk = Shrunk {
        scenario: scenario.clone(),
        failure: failure.clone(),
        before,
        search: Shrinking { runs: 0, taken: 0, smallest: before },
        is_minimal: false,
    };
    // Where in the list of reductions the last one was taken, and how many were refused since.
    let (mut place, mut refused) = (0, 0);
    let mut candidates = candidates_of(&shrunk.scenario, &shrunk.failure);
    loop {
        if refused >= candidates.len() {
            shrunk.is_minimal = true;
            return shrunk;
        }
        let batch: Vec<usize> = (0..threads.max(1).min(candidates.len() - refused))
            .map(|nth| (place + nth) % candidates.len())
            .collect();
        let results = side_by_side(&batch, |&nth| attempt(&candidates[nth]));
        let same =
            |result: &Option<Failure>| result.as_ref().is_some_and(|found| found.class == failure.class);
        shrunk.search.runs += results.len() as u64;
        match results.iter().position(same) {
            Some(first) => {
                place = batch[first];
                refused = 0;
                shrunk.scenario = candidates[batch[first]].clone();
                shrunk.failure = results[first].clone().unwrap_or_else(|| failure.clone());
                shrunk.search.taken += 1;
                shrunk.search.smallest = Measure::of(&shrunk.scenario, &shrunk.failure);
                candidates = candidates_of(&shrunk.scenario, &shrunk.failure);
            }
            None => {
                place += batch.len();
                refused += batch.len();
            }
        }
        if !go_on(&shrunk.search) {
            return shrunk;
        }
    }
}

/// What is smaller than `scenario`, and may run for as long as a failure may take.
fn candidates_of(scenario: &Scenario, failure: &Failure) -> Vec<Scenario> {
    let mut all = scenario.reductions();
    let Some(at) = failure.at else { return all };
    let at = at.as_secs_f64();
    let patience = Span::from_secs((at * PATIENCE.0 + PATIENCE.1) as u64);
    let most = patience.min(scenario.time_cap);
    all.iter_mut().for_each(|candidate| candidate.time_cap = candidate.time_cap.min(most));
    all.retain(|candidate| candidate != scenario);
    // Just so much time as the failure takes.
    let soon = Span::from_secs(at as u64 + 2);
    if soon < scenario.time_cap {
        all.push(Scenario { time_cap: soon, ..scenario.clone() });
    }
    all
}

fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = items.iter().map(|item| scope.spawn(move || work(item))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use torrentlab_engine::time::Instant;

    use super::*;
    use crate::fuzz::generate;

    fn failure(class: &str) -> Failure {
        Failure::of_checker(class, Instant::from_nanos(5_000_000_000), "planted")
    }

    /// Fails where there are at least three leechers of any class and two pieces.
    fn planted(scenario: &Scenario) -> Option<Failure> {
        let leechers: u32 =
            scenario.class_sizes().iter().filter(|(name, _)| **name != "seed").map(|(_, size)| size).sum();
        match (leechers, scenario.pieces()) {
            (3.., 2..) => Some(failure("planted")),
            (2, _) => Some(failure("another")),
            _ => None,
        }
    }

    fn large() -> Scenario {
        (0..)
            .map(|seed| generate(seed).unwrap())
            .find(|scenario| {
                planted(scenario).is_some_and(|found| found.class.ends_with("planted"))
                    && scenario.fault.len() > 1
            })
            .unwrap()
    }

    #[test]
    fn what_is_left_is_what_the_failure_needs_and_nothing_else() {
        let scenario = large();
        for threads in [1, 3] {
            let shrunk = shrink(&scenario, &failure("planted"), threads, planted, |_| true);
            let Measure { hosts, pieces, faults, .. } = shrunk.search.smallest;
            let lines = |scenario: &Scenario| scenario.brief_toml().lines().count();
            assert!(shrunk.is_minimal);
            assert_eq!((pieces, faults), (2, 0), "{}", shrunk.scenario.brief_toml());
            assert!(
                (3..=4).contains(&hosts) && lines(&shrunk.scenario) < 32,
                "{}",
                shrunk.scenario.brief_toml()
            );
            assert!(lines(&scenario) > lines(&shrunk.scenario) && shrunk.before.hosts >= hosts);
            assert_eq!(shrunk.failure.class, "check:planted");
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let scenario = large();
        let with = |threads| shrink(&scenario, &failure("planted"), threads, planted, |_| true).scenario;
        assert_eq!(with(1), with(4));
    }

    #[test]
    fn another_failure_is_not_taken_for_the_same_negative() {
        let scenario = large();
        let shrunk = shrink(&scenario, &failure("nothing fails so"), 2, planted, |_| true);
        assert_eq!((shrunk.scenario, shrunk.search.taken), (scenario, 0));
    }

    #[test]
    fn the_search_ends_when_it_is_to() {
        let shrunk = shrink(&large(), &failure("planted"), 1, planted, |search| search.runs < 3);
        assert!(!shrunk.is_minimal && shrunk.search.runs == 3);
    }
}
