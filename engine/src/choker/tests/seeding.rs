use super::*;

/// A seed with 4 slots, one of them optimistic, whose peers have so many of 100 pieces.
fn seed(by: SeedChoking, rates: &[u64], pieces: &[u32]) -> Swarm {
    let seeding = Seeding::Libtorrent { by, quota: 1_000 };
    let mut swarm =
        Swarm::with(true, rates, |config, now, dice| Standard::new(config, now, dice).seeding(seeding));
    for (peer, &pieces) in swarm.peers.iter_mut().zip(pieces) {
        peer.pieces = pieces;
    }
    swarm
}

#[test]
fn the_fastest_keep_their_slots_and_one_slot_goes_round() {
    let mut swarm = seed(SeedChoking::FastestUpload, &[10, 90, 20, 80, 30, 70, 1, 1], &[]);
    swarm.run(300);
    let before = swarm.seconds.clone();
    swarm.run(600);
    let times: Vec<_> = swarm.seconds.iter().zip(before).map(|(after, before)| after - before).collect();
    for (peer, &seconds) in times.iter().enumerate() {
        assert_eq!(seconds > 530, [1, 3, 5].contains(&peer), "{times:?}");
        assert!(seconds >= 90, "the turn comes to all: {times:?}");
    }
}

#[test]
fn those_in_the_middle_of_the_download_come_last_against_leeches() {
    //                                                   0  1   2   3   4   5   6   7
    let mut swarm = seed(SeedChoking::AntiLeech, &[5; 8], &[1, 99, 50, 40, 60, 30, 97, 45]);
    swarm.rechoke();
    assert_eq!(swarm.regular(), [0, 1, 6]);
    // One that hides what it was sent is believed up to the middle.
    swarm.peers[0].sent = 40 << 18;
    swarm.peers[3].pieces = 100;
    swarm.rechoke();
    assert_eq!(swarm.regular(), [1, 3, 6]);
}

/// Without it they are served like others: mainline's seed asks nobody how far it is.
#[test]
fn those_in_the_middle_of_the_download_are_served_like_others_negative() {
    let time = |mut swarm: Swarm| {
        for (peer, pieces) in swarm.peers.iter_mut().zip([1, 99, 50, 40, 60, 30, 97, 45]) {
            peer.pieces = pieces;
        }
        swarm.run(1600);
        swarm.seconds[2]
    };
    let plain = time(Swarm::with_rates(4, true, &[5; 8]));
    let against = time(seed(SeedChoking::AntiLeech, &[5; 8], &[]));
    assert!(plain > 450 && against < 300, "{plain} s, {against} s");
}

#[test]
fn by_quota_slots_go_on_to_those_who_waited_longest() {
    let mut swarm = seed(SeedChoking::RoundRobin, &[100; 12], &[]);
    swarm.run(1200);
    // 1,200 s of four slots are 400 s for each of twelve.
    assert!(swarm.seconds.iter().all(|seconds| (250..520).contains(seconds)), "{:?}", swarm.seconds);
}

#[test]
fn without_a_quota_that_is_reached_slots_stay_where_they_are_negative() {
    let mut swarm = seed(SeedChoking::RoundRobin, &[1; 12], &[]);
    swarm.run(900);
    let mut times = swarm.seconds.clone();
    times.sort_unstable();
    assert!(times[9..].iter().all(|&seconds| seconds > 800), "three regular slots: {times:?}");
}

#[test]
fn while_leeching_no_policy_for_seeds_counts() {
    for by in [SeedChoking::RoundRobin, SeedChoking::FastestUpload, SeedChoking::AntiLeech] {
        let mut swarm = seed(by, &[], &[]);
        swarm.seeding = false;
        let mut swarm = swarm.join_at(&[10, 50, 20, 40, 30, 0, 0]);
        swarm.run(100);
        assert_eq!(swarm.regular(), [1, 3, 4], "{by:?}");
    }
}

#[test]
fn libtorrent_seeds_by_the_same_policies() {
    let mut swarm = Swarm::new(Slots::Fixed(4), true);
    let config = LibtorrentConfig {
        slots: Slots::Fixed(4),
        optimistic: 1,
        rechoke_every: SECOND * 15,
        optimistic_every: SECOND * 30,
        quota: 1_000,
        seeding: SeedChoking::AntiLeech,
    };
    swarm.choker = Box::new(Libtorrent::new(config, Instant::ZERO, &mut swarm.dice));
    let mut swarm = swarm.join_at(&[5; 8]);
    for (peer, pieces) in swarm.peers.iter_mut().zip([1, 99, 50, 40, 60, 30, 97, 45]) {
        peer.pieces = pieces;
    }
    swarm.run(900);
    for ends in [0, 1, 6] {
        assert!(swarm.seconds[ends] > 500, "{:?}", swarm.seconds);
    }
    assert!(swarm.seconds[2] < 300, "{:?}", swarm.seconds);
}
