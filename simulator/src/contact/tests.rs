//! The models against what theory says of them, and against values worked out by hand.

use torrentlab_scenarios::Scenario;

use crate::registry::Registry;
use crate::run::{Backend, Outcome, RunOptions, run};

/// A seed and `hosts` hosts; `more` goes into the class of hosts.
fn scenario(contacts: &str, pieces: u32, hosts: u32, more: &str) -> Scenario {
    let text = format!(
        "schema = 1\ncontent = {{ size = \"{pieces} MB\", piece_size = \"1 MB\" }}\ncontacts.{contacts}\n\
         record.sample = \"1 s\"\n[hosts.seed]\ncount = 1\nbehaviour = \"seed\"\n\
         [hosts.user]\ncount = {hosts}\npicker.rarest-first.random_first = 0\n{more}\n"
    );
    Scenario::from_toml(&text, "test.toml").unwrap_or_else(|error| panic!("{error}"))
}

fn outcome(scenario: &Scenario, seed: u64) -> Outcome {
    let options = RunOptions { check: true, ..RunOptions::default() };
    run(scenario, seed, &Registry::default(), &options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"))
}

const SLOTTED: &str = "slotted.slot = \"1 s\"";
const RANDOM: &str = "random.rate = \"1 /s\"";

/// The slots until all had everything.
fn slots(pieces: u32, hosts: u32, more: &str, seed: u64) -> f64 {
    let summary = outcome(&scenario(SLOTTED, pieces, hosts, more), seed).record.summary;
    assert_eq!(summary.ended_by, "all_done");
    summary.makespan_s.expect("all have everything")
}

#[test]
fn to_one_host_the_server_sends_a_piece_in_each_slot() {
    for pieces in [1, 2, 7] {
        assert_eq!(slots(pieces, 1, "", 1), f64::from(pieces));
    }
}

/// Who has the piece sends it to one who lacks it: those who have it double in each slot.
#[test]
fn one_piece_takes_1_plus_log2_n_slots() {
    for (hosts, expected) in [(1, 1.0), (2, 2.0), (3, 2.0), (4, 3.0), (7, 3.0), (8, 4.0), (100, 7.0)] {
        assert_eq!(slots(1, hosts, "", 1), expected, "{hosts} hosts");
    }
}

/// Without doubling, where nobody passes anything on.
#[test]
fn one_piece_takes_1_plus_log2_n_slots_negative() {
    for hosts in [1, 3, 8] {
        assert_eq!(slots(1, hosts, "behaviour = \"free-rider\"", 1), f64::from(hosts));
    }
}

/// By hand: the server has 2 pieces, and A and B nothing. In slot 1 one piece goes out, say to A. In slot 2 the server sends
/// the other one, to A or B, and A its own to B. If B got both, A has the last one in slot 3, else B has.
#[test]
fn two_pieces_to_two_hosts_take_three_slots() {
    for seed in 1..=20 {
        assert_eq!(slots(2, 2, "", seed), 3.0);
    }
}

#[test]
fn rarest_first_is_near_the_bound_and_never_under_it() {
    for seed in 1..=5 {
        let stretch = outcome(&scenario(SLOTTED, 32, 15, ""), seed).record.summary.stretch_last.unwrap();
        assert!((1.0..=1.1).contains(&stretch), "{stretch} with seed {seed}");
    }
}

#[test]
fn rarest_first_is_near_the_bound_and_never_under_it_negative() {
    for seed in 1..=5 {
        let mut scenario = scenario(SLOTTED, 32, 15, "");
        scenario.hosts.get_mut("user").unwrap().picker = torrentlab_scenarios::Strategy::named("random");
        let stretch = outcome(&scenario, seed).record.summary.stretch_last.unwrap();
        assert!(stretch > 1.1, "{stretch} with seed {seed}");
    }
}

/// A clock of rate 1 strikes as often as pieces are needed after a gamma-distributed time of mean and variance 4.
#[test]
fn at_random_the_server_alone_takes_as_many_seconds_as_pieces() {
    let one = scenario(RANDOM, 4, 1, "");
    let times = (1..=400).map(|seed| outcome(&one, seed).record.summary.makespan_s.unwrap());
    let mean = times.sum::<f64>() / 400.0;
    assert!((mean - 4.0).abs() < 4.0 * (4.0_f64 / 400.0).sqrt(), "{mean}");
}

/// Of 2 hosts, the one with the piece finds the other at once; and a seed that never calls gives nothing.
#[test]
fn contacts_go_to_others_that_came_for_the_content() {
    let text = "random = { rate = \"1 /s\", seed_rate = \"0 /s\" }";
    let mut scenario = scenario(text, 1, 1, "pieces = \"all\"\n[hosts.late]\ncount = 1");
    let run = outcome(&scenario, 1);
    let sent = |outcome: &Outcome, host: &str| {
        outcome.record.peers.iter().find(|peer| peer.host == host).map(|peer| peer.payload_up_bytes)
    };
    assert_eq!((sent(&run, "user-0"), sent(&run, "seed-0")), (Some(1_000_000), Some(0)));
    scenario.hosts.get_mut("user").unwrap().pieces = None;
    scenario.time_cap = torrentlab_scenarios::units::Span::from_secs(100);
    assert_eq!(outcome(&scenario, 1).record.summary.completed, 0, "nobody who has it calls");
}

#[test]
fn bytes_and_hosts_are_conserved_as_they_come_and_go() {
    let churn = "arrival.poisson = \"5 /s\"\nstay = { exponential = \"2 s\" }\n\
                 session = { length.exponential = \"4 s\", gap.exponential = \"2 s\" }";
    for contacts in [SLOTTED, RANDOM, "slotted.slot = \"300 ms\""] {
        let mut scenario = scenario(contacts, 20, 200, churn);
        scenario.until =
            torrentlab_scenarios::schema::Until::Time(torrentlab_scenarios::units::Span::from_secs(80));
        let record = outcome(&scenario, 3).record;
        let up: u64 = record.peers.iter().map(|peer| peer.payload_up_bytes).sum();
        let down: u64 = record.peers.iter().map(|peer| peer.payload_down_bytes).sum();
        assert_eq!(up, down, "{contacts}");
        assert!(record.summary.completed > 100 && record.peers.iter().any(|peer| peer.sessions > 1));
        assert!(
            record
                .peers
                .iter()
                .all(|peer| peer.payload_down_bytes
                    == 1_000_000 * u64::from(peer.pieces - peer.initial_pieces))
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_another() {
    for contacts in [SLOTTED, RANDOM] {
        let scenario = scenario(contacts, 10, 30, "stay = \"10 s\"");
        let [first, again, other] = [1, 1, 2].map(|seed| outcome(&scenario, seed));
        assert_eq!(first.trace.hash, again.trace.hash);
        assert_eq!(first.record.peers, again.record.peers);
        assert_ne!(first.trace.hash, other.trace.hash);
    }
}

/// The slope of the number of leechers in `missing-piece` with so many newcomers a second, as a mean of 5 runs of 300 s.
fn one_club_slope(newcomers_per_s: &str) -> f64 {
    let sets =
        [format!("hosts.newcomer.arrival.poisson={newcomers_per_s} /s"), "until.time=300 s".to_owned()];
    let scenario = torrentlab_scenarios::load("missing-piece", &sets).unwrap().scenario;
    let slopes = (1..=5).map(|seed| outcome(&scenario, seed).record.summary.fit["club"].slope_per_s.unwrap());
    slopes.sum::<f64>() / 5.0
}

/// More come than the seed's contacts let go: the one club grows by lambda - U_s = 2 a second.
#[test]
fn the_one_club_grows_where_more_come_than_the_seed_serves() {
    let slope = one_club_slope("3");
    assert!((slope - 2.0).abs() < 0.3, "{slope}");
}

#[test]
fn the_one_club_grows_where_more_come_than_the_seed_serves_negative() {
    let slope = one_club_slope("0.5");
    assert!((-0.65..-0.35).contains(&slope), "{slope}");
}

#[test]
fn what_carries_bytes_is_refused() {
    let options = RunOptions { backend: Backend::Turmoil, ..RunOptions::default() };
    let scenario = scenario(SLOTTED, 4, 4, "");
    let error = run(&scenario, 1, &Registry::default(), &options, &mut |_| ()).expect_err("no bytes");
    assert!(
        error.to_string().starts_with("contacts: hosts that meet by `contacts` exchange no bytes"),
        "{error}"
    );
}

/// In each slot a host sends one piece: nobody sends more pieces than there are slots.
#[test]
fn nobody_sends_more_than_a_piece_a_slot() {
    let record = outcome(&scenario(SLOTTED, 32, 15, ""), 1).record;
    let slots = record.summary.makespan_s.unwrap();
    let most = record.peers.iter().map(|peer| peer.payload_up_bytes).max().unwrap();
    assert!(most as f64 / 1e6 <= slots, "{most} bytes in {slots} slots");
    assert!(record.summary.upload_utilisation.unwrap() <= 1.0);
}
