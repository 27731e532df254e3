use super::*;

fn random(rates: &[u64]) -> Swarm {
    Swarm::with(false, rates, Random::new)
}

fn round_robin(rates: &[u64]) -> Swarm {
    Swarm::with(false, rates, RoundRobin::new)
}

#[test]
fn at_random_everyone_is_served_as_long_whatever_it_gives() {
    let mut swarm = random(&[900, 500, 100, 50, 10, 1, 0, 0, 0, 0]);
    swarm.run(10_000);
    let mean = swarm.seconds.iter().sum::<u64>() / 10;
    assert!(swarm.seconds.iter().all(|&seconds| seconds.abs_diff(mean) < mean / 10), "{:?}", swarm.seconds);
    assert!(swarm.changes.iter().all(|&changes| changes > 100), "each rechoke is drawn anew");
}

/// What [`at_random_everyone_is_served_as_long_whatever_it_gives`] is not.
#[test]
fn by_tit_for_tat_whoever_gives_is_served_longer_negative() {
    let mut swarm = Swarm::with_rates(4, false, &[900, 500, 100, 50, 10, 1, 0, 0, 0, 0]);
    swarm.run(10_000);
    assert!(swarm.seconds[0] > 9_000 && swarm.seconds[9] < 2_500, "{:?}", swarm.seconds);
}

#[test]
fn in_turn_a_slot_lasts_a_round() {
    let mut swarm = round_robin(&[0; 8]);
    swarm.rechoke();
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(swarm.unchoked());
        swarm.rechoke();
    }
    assert_eq!(seen[0], seen[2]);
    assert_eq!(seen[1], seen[3]);
    let both: BTreeSet<_> = seen[0].iter().chain(&seen[1]).collect();
    assert_eq!(both.len(), 8, "{seen:?}");
}

#[test]
fn in_turn_everyone_is_served_as_long() {
    let mut swarm = round_robin(&[900, 0, 40, 7, 0, 0, 0]);
    swarm.rechoke();
    let before = swarm.seconds.clone();
    swarm.run(700);
    let times: Vec<_> = swarm.seconds.iter().zip(before).map(|(after, before)| after - before).collect();
    assert!(times.iter().all(|&seconds| seconds == times[0]), "{times:?}");
}

#[test]
fn controls_keep_to_the_slots_and_leave_none_free() {
    for make in [random, round_robin] {
        for seeding in [false, true] {
            let mut swarm = make(&[]);
            swarm.seeding = seeding;
            for peers in 1..=6 {
                let peer = swarm.join();
                swarm.set_interest(peer, true);
                assert_eq!(swarm.served(), peers.min(4));
            }
            swarm.run(100);
            assert_eq!(swarm.served(), 4);
            swarm.set_interest(swarm.unchoked()[0], false);
            assert_eq!((swarm.served(), swarm.unchoked().len()), (4, 4));
        }
    }
}

#[test]
fn everyone_has_a_slot_from_the_start_and_keeps_it() {
    for seeding in [false, true] {
        let mut swarm = Swarm::with(seeding, &[], |_, _, _| Everyone);
        for peers in 1..=20 {
            let peer = swarm.join();
            assert_eq!(swarm.unchoked().len(), peers, "before it is interested");
            swarm.set_interest(peer, true);
            swarm.set_interest(peer, false);
        }
        swarm.run(100);
        assert!(swarm.changes.iter().all(|&changes| changes == 1), "{:?}", swarm.changes);
        swarm.leave();
        assert_eq!(swarm.unchoked().len(), 19);
    }
}
