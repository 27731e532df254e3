//! The same faults in both backends, each with what it must do to a swarm.

use torrentlab_reports::record::RunRecord;
use torrentlab_scenarios::load;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Backend, RunOptions, run};

/// A seed and eight leechers, who need about 13 s without faults.
fn outcome(backend: Backend, faults: &str) -> Result<RunRecord, String> {
    outcome_with(backend, faults, "http")
}

fn outcome_with(backend: Backend, faults: &str, protocol: &str) -> Result<RunRecord, String> {
    let sets = [
        format!("tracker.protocol={protocol}"),
        "content.size=2 MiB".to_owned(),
        "content.piece_size=64 KiB".to_owned(),
        "hosts.leecher.count=8".to_owned(),
        "hosts.leecher.arrival.flash-crowd.within=2 s".to_owned(),
        "time_cap=30 min".to_owned(),
        format!("fault=[{faults}]"),
    ];
    let scenario = load("first-swarm", &sets).unwrap_or_else(|error| panic!("{error}")).scenario;
    let options = RunOptions { backend, check: true, ..RunOptions::default() };
    let outcome = run(&scenario, 1, &Registry::default(), &options, &mut |_| ());
    outcome
        .map(|outcome| {
            assert_eq!(outcome.corrupt, 0, "{backend:?}: {faults}");
            outcome.record
        })
        .map_err(|error| error.to_string())
}

/// The time of the last completion; everyone completes.
fn makespan(backend: Backend, faults: &str) -> f64 {
    let record = outcome(backend, faults).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(record.summary.completed, 8, "{backend:?}: {faults}\n{:#?}", record.summary);
    record.peers.iter().filter_map(|peer| peer.completed_s).fold(0.0, f64::max)
}

const BOTH: [Backend; 2] = [Backend::Des, Backend::Turmoil];

#[test]
fn what_holds_a_swarm_up_holds_it_up_in_both() {
    let cases = [
        ("a dead seed that comes back", r#"{ at = "3 s", for = "60 s", target = "seed", kind = "kill" }"#),
        ("a silent one", r#"{ at = "3 s", for = "60 s", target = "seed", kind = "vanish" }"#),
        ("one that stops", r#"{ at = "3 s", for = "60 s", target = "seed", kind = "stop" }"#),
        ("one that is cut off", r#"{ at = "3 s", for = "60 s", target = "seed", kind = "partition" }"#),
        ("held links", r#"{ at = "3 s", for = "60 s", target = "seed", kind = "hold" }"#),
        ("a slow uplink", r#"{ at = "3 s", for = "60 s", target = "seed", kind.rate.up = "1 kbit/s" }"#),
        ("no tracker at first", r#"{ at = "0 s", for = "60 s", target = "tracker", kind = "down" }"#),
        (
            "a tracker that talks nonsense",
            r#"{ at = "0 s", for = "60 s", target = "tracker", kind.wrong = "garbage" }"#,
        ),
        ("one that refuses", r#"{ at = "0 s", for = "60 s", target = "tracker", kind.wrong = "errors" }"#),
        (
            "one that knows the dead alone",
            r#"{ at = "0 s", for = "60 s", target = "tracker", kind.wrong = "dead-peers" }"#,
        ),
        ("a seed that stalls", r#"{ at = "0 s", for = "60 s", target = "seed", kind = "stall" }"#),
        ("full disks", r#"{ at = "3 s", for = "60 s", target = "leecher", kind = "disk-full" }"#),
        ("a lost disk", r#"{ at = "8 s", for = "60 s", target = "leecher-3", kind.restart.disk = "lost" }"#),
    ];
    for backend in BOTH {
        let undisturbed = makespan(backend, "");
        assert!(undisturbed < 20.0, "{backend:?}: {undisturbed}");
        for (name, fault) in cases {
            let disturbed = makespan(backend, fault);
            // Who has been given addresses at which nobody is asks for others after five minutes.
            assert!((60.0..600.0).contains(&disturbed), "{backend:?}, {name}: {disturbed} s");
        }
    }
}

#[test]
fn what_a_swarm_bears_it_bears_in_both() {
    let cases = [
        ("late packets", r#"{ at = "3 s", for = "20 s", target = "everyone", kind.latency = "100 ms" }"#),
        ("swizzled links", r#"{ at = "3 s", for = "20 s", target = "50% of leecher", kind = "swizzle" }"#),
        ("half behind NAT", r#"{ at = "0 s", target = "50% of leecher", kind = "nat" }"#),
        ("a liar", r#"{ at = "3 s", for = "20 s", target = "leecher-2", kind = "lying-have" }"#),
        ("a tracker that forgets", r#"{ at = "5 s", target = "tracker", kind = "forgets" }"#),
        ("a slow one", r#"{ at = "0 s", for = "20 s", target = "tracker", kind.slow = "3 s" }"#),
        ("a torn disk", r#"{ at = "8 s", for = "10 s", target = "leecher-3", kind.restart.disk = "torn" }"#),
        ("reads that fail", r#"{ at = "5 s", for = "10 s", target = "leecher-1", kind = "read-error" }"#),
    ];
    for backend in BOTH {
        for (name, fault) in cases {
            let disturbed = makespan(backend, fault);
            assert!(disturbed < 150.0, "{backend:?}, {name}: {disturbed} s");
        }
    }
}

/// "If a response is not received after 15 * 2 ^ n seconds, the client should retransmit the request" (BEP 15): who asked
/// in vain asks again within 45 s, and not, as over HTTP, when its tracker client tries again.
#[test]
fn a_tracker_over_udp_is_asked_again() {
    let last =
        |record: &RunRecord| record.peers.iter().filter_map(|peer| peer.completed_s).fold(0.0, f64::max);
    for backend in BOTH {
        let undisturbed = outcome_with(backend, "", "udp").unwrap();
        assert!(undisturbed.summary.completed == 8 && last(&undisturbed) < 20.0, "{backend:?}");
        let down = r#"{ at = "0 s", for = "20 s", target = "tracker", kind = "down" }"#;
        let disturbed = outcome_with(backend, down, "udp").unwrap();
        assert_eq!(disturbed.summary.completed, 8, "{backend:?}");
        assert!((45.0..80.0).contains(&last(&disturbed)), "{backend:?}: {}", last(&disturbed));
        let garbage = r#"{ at = "0 s", for = "20 s", target = "tracker", kind.wrong = "garbage" }"#;
        let disturbed = outcome_with(backend, garbage, "udp").unwrap();
        assert!((45.0..80.0).contains(&last(&disturbed)), "{backend:?}: {}", last(&disturbed));
    }
}

#[test]
fn corrupt_blocks_are_found_in_both() {
    for backend in BOTH {
        let faults = r#"{ at = "0 s", target = "leecher-0", kind = "corrupt" }"#;
        let record = outcome(backend, faults).unwrap();
        assert_eq!(record.summary.completed, 8, "{backend:?}");
        assert!(record.summary.hash_failures > 0, "{backend:?}");
    }
}

#[test]
fn what_turmoil_cannot_do_is_refused_before_the_run() {
    for (kind, target) in
        [(r#"for = "20 s", kind.loss = "1%""#, "everyone"), (r#"kind = "address-change""#, "leecher-1")]
    {
        let fault = format!(r#"{{ at = "3 s", target = "{target}", {kind} }}"#);
        let refused = outcome(Backend::Turmoil, &fault).unwrap_err();
        assert!(refused.contains("fault.0") && refused.contains("--backend des"), "{refused}");
    }
}
