mod bittyrant;
mod block_tit_for_tat;
mod control;
mod propshare;
mod seeding;

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::time::Duration;
use crate::units::ConnSlots;
use crate::why::Reasons;

const SECOND: Duration = Duration::from_secs(1);

/// Every choker says of all that it chooses among why they have a slot or none; whoever has none for another reason than
/// that others come before it, is told which.
fn assert_explained(view: &ChokeView<'_>, reasons: &Reasons<ConnId>, slots: &[Slot]) {
    let Reasons { candidates, remark } = reasons;
    if candidates.is_empty() && !remark.is_empty() {
        return;
    }
    for peer in view.peers {
        let slot = slots.iter().any(|slot| slot.conn == peer.conn);
        let said: Vec<_> = candidates.iter().filter(|reason| reason.of == peer.conn).collect();
        assert!(!said.is_empty() || !(slot || peer.interested), "nothing is said of {peer:?}");
    }
}

/// A choker among peers whose rates and wishes the test sets; time goes on second by second.
struct Swarm {
    choker: Box<dyn Choker>,
    conns: ConnSlots,
    peers: Vec<ChokePeer>,
    /// For each peer: seconds unchoked, and how often it was choked or unchoked.
    seconds: Vec<u64>,
    changes: Vec<u32>,
    /// What each peer may be sent a second in its slot.
    caps: Vec<Option<u64>>,
    dice: Dice,
    now: Instant,
    seeding: bool,
}

impl Swarm {
    fn new(slots: Slots, seeding: bool) -> Self {
        let mut dice = Dice::stream(7, ("test", 0, "choker"));
        let config = StandardConfig { slots, ..StandardConfig::default() };
        Self {
            choker: Box::new(Standard::new(config, Instant::ZERO, &mut dice)),
            conns: ConnSlots::default(),
            peers: Vec::new(),
            seconds: Vec::new(),
            changes: Vec::new(),
            caps: Vec::new(),
            dice,
            now: Instant::ZERO,
            seeding,
        }
    }

    /// A swarm of interested peers that send us at these rates (or, when we seed, that we send to at these rates).
    fn with_rates(slots: usize, seeding: bool, rates: &[u64]) -> Self {
        Self::new(Slots::Fixed(slots), seeding).join_at(rates)
    }

    /// The same with libtorrent's choker, 4 slots and a quota of 1,000 bytes.
    fn libtorrent(seeding: bool, rates: &[u64]) -> Self {
        let mut swarm = Self::new(Slots::Fixed(4), seeding);
        let config = LibtorrentConfig {
            slots: Slots::Fixed(4),
            optimistic: 1,
            rechoke_every: SECOND * 15,
            optimistic_every: SECOND * 30,
            quota: 1_000,
            seeding: SeedChoking::RoundRobin,
        };
        swarm.choker = Box::new(Libtorrent::new(config, Instant::ZERO, &mut swarm.dice));
        swarm.join_at(rates)
    }

    /// The same with another choker, which has 4 slots where it counts them.
    fn with<C: Choker + 'static>(
        seeding: bool,
        rates: &[u64],
        make: impl FnOnce(StandardConfig, Instant, &mut Dice) -> C,
    ) -> Self {
        let mut swarm = Self::new(Slots::Fixed(4), seeding);
        swarm.choker = Box::new(make(StandardConfig::default(), Instant::ZERO, &mut swarm.dice));
        swarm.join_at(rates)
    }

    fn join_at(mut self, rates: &[u64]) -> Self {
        for &rate in rates {
            let peer = self.join();
            self.peers[peer].rate_down = if self.seeding { 0 } else { rate };
            self.peers[peer].rate_up = if self.seeding { rate } else { 0 };
            self.set_interest(peer, true);
        }
        self
    }

    fn join(&mut self) -> usize {
        let conn = self.conns.open();
        self.peers.push(ChokePeer {
            conn,
            addr: ([10, 0, 0, 1], 6881).into(),
            interested: false,
            interesting: true,
            unchoked: false,
            optimistic: false,
            snubbed: false,
            choking: false,
            seed: false,
            pieces: 0,
            rate_down: 0,
            rate_up: 0,
            received: 0,
            sent: 0,
            joined_at: self.now,
            changed_at: Instant::ZERO,
        });
        self.seconds.push(0);
        self.changes.push(0);
        self.caps.push(None);
        self.tell(ChokeEvent::Joined(conn));
        self.peers.len() - 1
    }

    fn set_interest(&mut self, peer: usize, interested: bool) {
        let ChokePeer { conn, unchoked, interested: before, .. } = self.peers[peer];
        self.peers[peer].interested = interested;
        match (before, interested) {
            (false, true) => self.tell(ChokeEvent::Interested { conn, unchoked }),
            (true, false) => self.tell(ChokeEvent::NotInterested { conn, unchoked }),
            _ => {}
        }
    }

    /// The last peer goes.
    fn leave(&mut self) {
        let Some(ChokePeer { conn, unchoked, .. }) = self.peers.pop() else { return };
        self.seconds.pop();
        self.changes.pop();
        self.caps.pop();
        self.tell(ChokeEvent::Left { conn, unchoked });
    }

    fn tell(&mut self, event: ChokeEvent) {
        if self.choker.on_event(event, self.now, &mut self.dice) {
            self.decide();
        }
    }

    fn decide(&mut self) {
        let reasons = RefCell::default();
        let view = ChokeView {
            peers: &self.peers,
            seeding: self.seeding,
            pieces: 100,
            piece_len: 1 << 18,
            rate_up: 0,
            limit_up: None,
            why: Why::asked(&reasons),
        };
        let mut slots = Vec::new();
        self.choker.decide(&view, self.now, &mut self.dice, &mut slots);
        assert_explained(&view, &reasons.borrow(), &slots);
        let distinct: BTreeSet<_> = slots.iter().map(|slot| slot.conn).collect();
        assert_eq!(distinct.len(), slots.len(), "two slots for one peer: {slots:?}");
        for ((peer, changes), cap) in self.peers.iter_mut().zip(&mut self.changes).zip(&mut self.caps) {
            let slot = slots.iter().find(|slot| slot.conn == peer.conn);
            if peer.unchoked != slot.is_some() {
                peer.changed_at = self.now;
                *changes += 1;
            }
            peer.unchoked = slot.is_some();
            peer.optimistic = slot.is_some_and(|slot| slot.optimistic);
            *cap = slot.and_then(|slot| slot.cap);
        }
        assert!(self.choker.next_decision() > self.now);
    }

    /// Lets time pass until `at`, deciding as often as the choker wants.
    fn run_until(&mut self, at: Instant) {
        while self.now < at {
            let next = self.choker.next_decision().min(self.now + SECOND).min(at);
            if next == self.choker.next_decision() {
                self.now = next;
                self.decide();
            } else {
                for ((peer, seconds), cap) in self.peers.iter_mut().zip(&mut self.seconds).zip(&self.caps) {
                    *seconds += u64::from(peer.unchoked);
                    peer.received += peer.rate_down;
                    peer.sent += if peer.unchoked { peer.rate_up.min(cap.unwrap_or(u64::MAX)) } else { 0 };
                }
                self.now = next;
            }
        }
    }

    fn run(&mut self, secs: u64) {
        self.run_until(self.now + SECOND * secs);
    }

    /// Runs until just after the next rechoke.
    fn rechoke(&mut self) {
        self.run_until(self.choker.next_decision());
    }

    fn unchoked(&self) -> Vec<usize> {
        (0..self.peers.len()).filter(|&peer| self.peers[peer].unchoked).collect()
    }

    /// Those with a regular slot.
    fn regular(&self) -> Vec<usize> {
        self.unchoked().into_iter().filter(|&peer| !self.peers[peer].optimistic).collect()
    }

    fn interested(&self) -> usize {
        self.peers.iter().filter(|peer| peer.interested).count()
    }

    /// Interested peers that have a slot.
    fn served(&self) -> usize {
        self.peers.iter().filter(|peer| peer.unchoked && peer.interested).count()
    }
}

#[test]
fn the_three_best_uploaders_have_the_regular_slots() {
    let mut swarm = Swarm::with_rates(4, false, &[10, 50, 20, 40, 30, 0, 0]);
    swarm.rechoke();
    assert_eq!(swarm.regular(), [1, 3, 4]);
    swarm.run(100);
    assert_eq!(swarm.regular(), [1, 3, 4]);
    swarm.peers[0].rate_down = 35;
    swarm.rechoke();
    assert_eq!(swarm.regular(), [0, 1, 3]);
}

#[test]
fn the_optimistic_slot_goes_round_every_30_s() {
    let mut swarm = Swarm::with_rates(4, false, &[90, 91, 92, 0, 0, 0, 0, 0]);
    swarm.run(10);
    let before = swarm.seconds.clone();
    swarm.run(5 * 30);
    let turns: Vec<_> = (3..8).map(|peer| swarm.seconds[peer] - before[peer]).collect();
    assert!(turns.iter().all(|secs| (25..=35).contains(secs)), "{turns:?}");
}

/// After libtorrent's simulation/test_optimistic_unchoke.cpp: 20 idle peers, one slot, equal times.
#[test]
fn twenty_idle_peers_share_one_slot_equally() {
    for seeding in [false, true] {
        let mut swarm = Swarm::with_rates(1, seeding, &[0; 20]);
        swarm.rechoke();
        let before = swarm.seconds.clone();
        swarm.run(20 * 30 * 4);
        let times: Vec<_> = swarm.seconds.iter().zip(before).map(|(after, before)| after - before).collect();
        let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!(most - least <= 30 && *least >= 90, "seeding {seeding}: {times:?}");
    }
}

#[test]
fn slots_that_nobody_earned_go_round_too() {
    let mut swarm = Swarm::with_rates(4, false, &[0; 12]);
    swarm.rechoke();
    swarm.run(90);
    assert!(swarm.seconds.iter().all(|&secs| secs > 0), "{:?}", swarm.seconds);
    assert_eq!(swarm.served(), 4);
}

#[test]
fn a_snubbing_peer_loses_its_regular_slot() {
    let mut swarm = Swarm::with_rates(4, false, &[90, 80, 70, 60, 50]);
    swarm.rechoke();
    assert_eq!(swarm.regular(), [0, 1, 2]);
    swarm.peers[0].snubbed = true;
    swarm.rechoke();
    assert_eq!(swarm.regular(), [1, 2, 3]);
    swarm.peers.iter_mut().for_each(|peer| peer.snubbed = true);
    swarm.rechoke();
    assert_eq!((swarm.regular().len(), swarm.served()), (0, 4), "all slots are optimistic");
}

#[test]
fn a_better_uploader_without_interest_displaces_the_worst_when_it_becomes_interested() {
    let mut swarm = Swarm::with_rates(4, false, &[90, 80, 70, 60, 10]);
    swarm.set_interest(0, false);
    swarm.set_interest(4, false);
    swarm.rechoke();
    assert_eq!(swarm.regular(), [0, 1, 2, 3], "the best is unchoked beside the three downloaders");
    assert!(!swarm.peers[4].unchoked, "the worst is not");
    swarm.set_interest(0, true);
    assert_eq!(swarm.regular(), [0, 1, 2]);
}

#[test]
fn free_slots_are_filled_at_once() {
    for seeding in [false, true] {
        let mut swarm = Swarm::with_rates(4, seeding, &[]);
        for peers in 1..=6 {
            let peer = swarm.join();
            swarm.set_interest(peer, true);
            assert_eq!(swarm.served(), peers.min(4));
        }
        swarm.set_interest(swarm.unchoked()[0], false);
        assert_eq!(swarm.served(), 4);
        swarm.leave();
        assert_eq!(swarm.served(), 4);
        swarm.leave();
        assert_eq!(swarm.served(), 3);
    }
}

#[test]
fn slots_are_dealt_in_a_phase_of_each_hosts_own() {
    let phase = |seed| {
        let mut dice = Dice::stream(seed, ("host", 0, "choker"));
        Standard::new(StandardConfig::default(), Instant::ZERO, &mut dice).next_decision().as_nanos()
            / 1_000_000_000
    };
    let phases: BTreeSet<_> = (0..200).map(phase).collect();
    assert_eq!(phases, (0..10).collect());
}

#[test]
fn a_late_driver_does_not_shift_the_phase() {
    let mut swarm = Swarm::with_rates(4, false, &[1, 2]);
    let phase = swarm.choker.next_decision();
    swarm.now = phase + SECOND * 47;
    swarm.decide();
    assert_eq!(swarm.choker.next_decision(), phase + SECOND * 50);
}

#[test]
fn a_seed_serves_fast_peers_longer_and_everyone_some_time() {
    let rates: Vec<_> = (0..20).map(|peer| if peer < 2 { 500_000 } else { 10_000 }).collect();
    let mut swarm = Swarm::with_rates(4, true, &rates);
    swarm.run(1200);
    let (fast, slow) = swarm.seconds.split_at(2);
    assert!(slow.iter().all(|&secs| secs >= 60), "{slow:?}");
    assert!(fast.iter().all(|secs| secs > slow.iter().max().unwrap()), "{fast:?} {slow:?}");
}

#[test]
fn slots_follow_the_bandwidth_where_they_are_by_rate() {
    for (rates, slots) in
        [(vec![0; 9], 1), (vec![1 << 20; 9], 9), (vec![3000; 9], 2), (vec![9000, 5000, 5000], 3)]
    {
        let mut swarm = Swarm::with_rates(0, true, &rates);
        swarm.choker = Box::new(Standard::new(
            StandardConfig { slots: Slots::ByRate, ..StandardConfig::default() },
            Instant::ZERO,
            &mut swarm.dice,
        ));
        let joined: Vec<_> = swarm.peers.iter().map(|peer| peer.conn).collect();
        joined.into_iter().for_each(|conn| swarm.tell(ChokeEvent::Joined(conn)));
        swarm.rechoke();
        assert_eq!(swarm.served(), slots, "{rates:?}");
    }
}

/// qBittorrent#7695: peers were choked and unchoked several times a second.
#[test]
fn interest_that_comes_and_goes_does_not_make_slots_flap() {
    for seeding in [false, true] {
        let mut swarm = Swarm::with_rates(4, seeding, &[90, 80, 70, 60, 50, 40, 30, 20, 10]);
        swarm.rechoke();
        let (rounds, before) = (30, swarm.changes.clone());
        for step in 0..rounds * 100 {
            swarm.set_interest(step % 3, step % 2 == 0);
            swarm.run_until(swarm.now + SECOND / 10);
        }
        for (peer, (after, before)) in swarm.changes.iter().zip(before).enumerate() {
            let changes = after - before;
            assert!(changes <= 3 * rounds as u32, "seeding {seeding}: {changes} changes of peer {peer}");
        }
    }
}

/// A choker whose slots are counted.
fn of_kind(kind: usize, slots: usize, dice: &mut Dice) -> Box<dyn Choker> {
    let config = StandardConfig { slots: Slots::Fixed(slots), ..StandardConfig::default() };
    let seeding = |by| Seeding::Libtorrent { by, quota: 1_000 };
    match kind {
        0 => Box::new(Standard::new(config, Instant::ZERO, dice)),
        1 => Box::new(Random::new(config, Instant::ZERO, dice)),
        2 => Box::new(RoundRobin::new(config, Instant::ZERO, dice)),
        3 => Box::new(BlockTitForTat::new(config, u64::MAX, Instant::ZERO, dice)),
        4 => Box::new(Standard::new(config, Instant::ZERO, dice).seeding(seeding(SeedChoking::RoundRobin))),
        5 => {
            Box::new(Standard::new(config, Instant::ZERO, dice).seeding(seeding(SeedChoking::FastestUpload)))
        }
        _ => Box::new(Standard::new(config, Instant::ZERO, dice).seeding(seeding(SeedChoking::AntiLeech))),
    }
}

proptest! {
    /// However peers come, go and change their mind: no more are served than there are slots, and after a rechoke none
    /// waits while a slot is free.
    #[test]
    fn slots_are_neither_exceeded_nor_left_free(
        seeding: bool,
        kind in 0usize..7,
        slots in 0usize..6,
        ops in prop::collection::vec((0u8..7, any::<prop::sample::Index>(), 0u64..4000), 0..150),
    ) {
        let mut swarm = Swarm::new(Slots::Fixed(slots), seeding);
        swarm.choker = of_kind(kind, slots, &mut swarm.dice);
        for (op, which, amount) in ops {
            let peer = which.index(swarm.peers.len().max(1));
            match op {
                0 | 1 => _ = swarm.join(),
                2 => swarm.leave(),
                _ if swarm.peers.is_empty() => {}
                3 | 4 => swarm.set_interest(peer, amount % 3 > 0),
                5 => {
                    swarm.peers[peer].rate_down = amount;
                    swarm.peers[peer].rate_up = amount / 2;
                    swarm.peers[peer].snubbed = amount % 5 == 0;
                }
                _ if amount % 4 > 0 => swarm.run_until(swarm.now + Duration::from_millis(amount)),
                _ => {
                    swarm.rechoke();
                    prop_assert_eq!(swarm.served(), slots.min(swarm.interested()));
                }
            }
            prop_assert!(swarm.served() <= slots);
        }
    }
}

#[test]
fn libtorrent_gives_free_slots_away_at_once_and_no_more_than_there_are() {
    let swarm = Swarm::libtorrent(false, &[0; 6]);
    assert_eq!(swarm.unchoked(), [0, 1, 2, 3]);
}

#[test]
fn libtorrent_serves_those_who_send_most_and_one_in_turn() {
    let mut swarm = Swarm::libtorrent(false, &[10, 50, 20, 40, 30, 0, 0, 0]);
    swarm.run(600);
    // Of the four best, three have regular slots at a time; nobody can do without one of these for long.
    for peer in [1, 3, 4, 2] {
        assert!(swarm.seconds[peer] > 300, "{:?}", swarm.seconds);
    }
    for peer in [0, 5, 6, 7] {
        assert!((15..200).contains(&swarm.seconds[peer]), "{:?}", swarm.seconds);
    }
}

#[test]
fn a_libtorrent_seed_shares_its_slots_out() {
    let mut swarm = Swarm::libtorrent(true, &[100; 12]);
    swarm.run(600);
    // 600 s of four slots are 200 s for each of twelve.
    assert!(swarm.seconds.iter().all(|seconds| (100..320).contains(seconds)), "{:?}", swarm.seconds);
}

#[test]
fn a_libtorrent_seed_does_not_let_the_fastest_go_on_beyond_their_quota() {
    let longest = |rate: u64| {
        let mut swarm = Swarm::libtorrent(true, &[rate, rate, rate, 1, 1, 1, 1, 1]);
        swarm.run(300);
        swarm.seconds[..3].iter().sum::<u64>()
    };
    // The quota is 1,000 bytes: at 3 bytes a second it is never reached in a round, at 100 soon.
    let (slow, fast) = (longest(3), longest(100));
    assert!(fast < slow * 4 / 5, "{fast} s with the quota used up, {slow} s without");
}

#[test]
fn libtorrent_deals_a_slot_anew_within_a_second_of_its_coming_back() {
    let mut swarm = Swarm::libtorrent(false, &[10; 6]);
    swarm.run(40);
    let idle = swarm.regular()[0];
    swarm.set_interest(idle, false);
    assert_eq!((swarm.served(), swarm.peers[idle].unchoked), (3, false), "it is choked at once");
    swarm.run(1);
    assert_eq!(swarm.served(), 4);
}
