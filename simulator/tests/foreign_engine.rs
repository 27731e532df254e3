//! Somebody else's engine runs beside ours, and the checkers find its mistake.

#[allow(dead_code, reason = "the example has a `main`")]
#[path = "../examples/foreign_engine.rs"]
mod foreign_engine;

use foreign_engine::{Mistake, mixed_swarm};

#[test]
fn two_engines_share_a_swarm_and_keep_the_rules() {
    for seed in 1..=5 {
        let report = mixed_swarm(Mistake::No, seed).unwrap();
        report.assert_ok();
        assert_eq!(report.completed(), 12);
    }
}

#[test]
fn its_mistake_is_found_negative() {
    let error = mixed_swarm(Mistake::DeafToChokes, 1).unwrap_err();
    let failure = error.failure().expect("a checker finds it");
    assert_eq!(failure.class, "check:requests", "{failure}");
    assert!(failure.hosts[0].starts_with("tiny-"), "{failure}");
}
