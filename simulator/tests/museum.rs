//! Every bug of the museum is caught, by the checker that its scenario names, and its healthy twin passes.

use torrentlab_scenarios::schema::{Bug, Until};
use torrentlab_scenarios::{Scenario, bugs, load};
use torrentlab_simulator::failure::Failure;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Outcome, RunError, RunOptions, run};

fn checked(scenario: &Scenario, seed: u32) -> Result<Outcome, Failure> {
    let options = RunOptions { check: true, ..RunOptions::default() };
    match run(scenario, u64::from(seed), &Registry::default(), &options, &mut |_| ()) {
        Ok(outcome) => Ok(outcome),
        Err(RunError::Failed { failure, .. }) => Err(*failure),
        Err(error) => panic!("{}: {error}", scenario.name),
    }
}

fn exhibits() -> impl Iterator<Item = (&'static str, Scenario, Bug)> {
    bugs().iter().map(|entry| {
        let scenario = load(entry.name, &[]).unwrap_or_else(|error| panic!("{error}")).scenario;
        let bug = scenario.bug.clone().unwrap_or_else(|| panic!("{} tells no bug", entry.name));
        (entry.name, scenario, bug)
    })
}

#[test]
fn every_bug_is_caught_by_its_checker() {
    let mut missed = Vec::new();
    for (name, scenario, bug) in exhibits() {
        for seed in 1..=2 {
            let class = checked(&scenario, seed).map_or_else(|failure| failure.class, |_| "none".to_owned());
            if class != bug.caught_by {
                missed.push(format!("{name}, seed {seed}: {class} in place of {}", bug.caught_by));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn the_healthy_twin_of_every_bug_passes_negative() {
    let mut failed = Vec::new();
    for (name, _, bug) in exhibits() {
        if bug.healthy.is_empty() {
            continue;
        }
        let scenario = load(name, &bug.healthy).unwrap_or_else(|error| panic!("{error}")).scenario;
        for seed in 1..=2 {
            match checked(&scenario, seed) {
                Err(failure) => failed.push(format!("{name}, seed {seed}: {failure}")),
                Ok(outcome) => {
                    // The peers of a bug may leave or stay without the content; those whom it is about have it.
                    let peers = outcome.record.peers.iter().filter(|peer| peer.class == "leecher");
                    let unfinished = peers.filter(|peer| peer.completed_s.is_none()).count();
                    if unfinished > 0
                        || scenario.until == Until::AllDone && outcome.record.info.ended_by != "all_done"
                    {
                        failed.push(format!(
                            "{name}, seed {seed}: {unfinished} do not finish, {}",
                            outcome.record.info.ended_by
                        ));
                    }
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
