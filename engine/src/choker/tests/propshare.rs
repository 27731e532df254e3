use super::*;

fn propshare(capacity: Option<u64>, rates: &[u64]) -> Swarm {
    Swarm::with(false, rates, |rounds, now, dice| {
        PropShare::new(PropShareConfig { rounds, capacity, reserve_ppm: 200_000 }, now, dice)
    })
}

#[test]
fn each_gets_the_part_that_its_bid_is_of_all_bids() {
    let mut swarm = propshare(Some(100_000), &[1_000, 2_000, 3_000, 2_000, 0, 0]);
    swarm.run(30);
    assert_eq!(swarm.caps[..4], [10_000, 20_000, 30_000, 20_000].map(Some));
    assert_eq!(swarm.regular(), [0, 1, 2, 3]);
    let optimistic: Vec<_> = [4, 5].into_iter().filter(|&peer| swarm.peers[peer].unchoked).collect();
    let [optimistic] = optimistic[..] else { panic!("one slot for newcomers: {optimistic:?}") };
    assert_eq!(swarm.caps[optimistic], Some(20_000), "a fifth is for newcomers");
    swarm.peers[0].rate_down = 9_000;
    swarm.run(20);
    assert_eq!(swarm.caps[..4], [45_000, 10_000, 15_000, 10_000].map(Some));
}

#[test]
fn who_gives_nothing_shares_the_reserve_in_turn() {
    let mut swarm = propshare(Some(100_000), &[5_000, 0, 0, 0, 0]);
    swarm.run(30);
    let before = swarm.seconds.clone();
    swarm.run(480);
    let times: Vec<_> = swarm.seconds.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(times[0], times[1..].iter().sum::<u64>(), "{times:?}");
    assert!(times[1..].iter().all(|&seconds| seconds.abs_diff(times[0] / 4) <= 10), "{times:?}");
}

#[test]
fn all_of_it_is_for_newcomers_as_long_as_nobody_gives() {
    let mut swarm = propshare(Some(100_000), &[0; 6]);
    swarm.rechoke();
    assert_eq!(swarm.served(), 4);
    assert_eq!(swarm.caps.iter().flatten().sum::<u64>(), 100_000);
}

#[test]
fn shares_are_never_more_than_there_is() {
    let mut swarm = propshare(Some(77_777), &[1, 10, 100, 1_000, 10_000, 100_000, 0, 3, 7]);
    for round in 0..30 {
        swarm.peers[round % 9].rate_down = (round as u64 * 7919) % 50_000;
        swarm.rechoke();
        let spent: u64 = swarm.caps.iter().flatten().sum();
        assert!(spent <= 77_777, "{spent}");
    }
}

#[test]
fn without_a_capacity_nothing_is_shared_out_negative() {
    let mut swarm = propshare(None, &[1_000, 2_000, 3_000, 2_000, 0, 0]);
    swarm.run(30);
    assert!(swarm.caps.iter().all(Option::is_none));
    assert_eq!(swarm.regular(), [0, 1, 2, 3]);
}
