//! Accounts by hand.

use torrentlab_engine::units::{BLOCK_LEN, ConnSlots};

use super::*;

#[test]
fn unchoke_time_is_entered_by_the_class_that_gives_and_the_class_that_takes() {
    let mut ledger = Ledger::new(Geometry::new(1, BLOCK_LEN).expect("a shape"), Census::new(1));
    let none = Bitfield::none(1);
    [0, 1, 1].iter().for_each(|&class| ledger.open(class, &none, false));
    let mut note = |secs: u64, host, fact| {
        ledger.note(Instant::ZERO + Duration::from_secs(secs), host, &none, &fact);
    };
    let mut slots = ConnSlots::default();
    let (first, second) = (slots.open(), slots.open());
    (0..3).for_each(|host| note(0, host, Fact::Joined));
    note(0, 0, Fact::Connected { conn: first, peer: 1 });
    note(0, 1, Fact::Connected { conn: first, peer: 0 });
    note(0, 1, Fact::Connected { conn: second, peer: 2 });
    note(1, 0, Fact::Unchoked { conn: first });
    note(2, 1, Fact::Unchoked { conn: second });
    note(4, 0, Fact::Choked { conn: first });
    note(5, 0, Fact::Unchoked { conn: first });
    note(7, 1, Fact::Closed { conn: second });
    ledger.finish(Instant::ZERO + Duration::from_secs(10));
    let secs = Duration::from_secs;
    let expected = [((1, 0), secs(3 + 5)), ((1, 1), secs(5))];
    assert_eq!(ledger.unchoking, BTreeMap::from(expected), "nobody was unchoked by class 0");
    assert_eq!(ledger.hosts[2].unchoking_own, secs(5));
}

/// A ledger of two pieces with a seed (host 0) and leechers of class 1, 1, 2 and 2, all of whom come at 0 s.
struct Lab {
    ledger: Ledger,
    have: Vec<Bitfield>,
}

/// The names of a host's connections, by their peers.
fn lab_conns() -> [ConnId; 5] {
    let mut slots = ConnSlots::default();
    [(); 5].map(|()| slots.open())
}

impl Lab {
    fn new() -> Self {
        let mut ledger = Ledger::new(Geometry::new(2, 1).expect("a shape"), Census::new(2));
        let mut have = vec![Bitfield::none(2); 5];
        have[0] = Bitfield::all(2);
        [0, 1, 1, 2, 2].iter().zip(&have).for_each(|(&class, have)| ledger.open(class, have, false));
        let mut lab = Self { ledger, have };
        (0..5).for_each(|host| lab.note(0, host, Fact::Joined));
        lab
    }

    /// Everybody is connected with everybody from then on.
    fn connected(secs: u64) -> Self {
        let mut lab = Self::new();
        for host in 0..5 {
            for (conn, peer) in lab_conns().into_iter().zip(0..) {
                lab.note(secs, host, Fact::Connected { conn, peer });
            }
        }
        lab
    }

    fn note(&mut self, secs: u64, host: u32, fact: Fact) {
        let now = Instant::ZERO + Duration::from_secs(secs);
        self.ledger.note(now, host, &self.have[host as usize], &fact);
    }

    fn got(&mut self, secs: u64, host: u32, piece: u32) {
        self.have[host as usize].insert(PieceIndex(piece));
        self.note(secs, host, Fact::Verified { piece: PieceIndex(piece) });
    }

    fn unchoked(&mut self, secs: u64, giver: u32, taker: u32) {
        self.note(secs, taker, Fact::Unchoked { conn: lab_conns()[giver as usize] });
    }

    fn finish(mut self, secs: u64) -> Ledger {
        self.ledger.finish(Instant::ZERO + Duration::from_secs(secs));
        self.ledger
    }
}

#[test]
fn clustering_is_about_leechers_while_they_are() {
    let mut lab = Lab::connected(0);
    lab.unchoked(10, 0, 1); // The seed's is no leecher's.
    lab.unchoked(10, 1, 0); // Nor does it count what a seed gets.
    lab.unchoked(10, 1, 2); // From its own class, until 1 is done.
    lab.unchoked(10, 1, 3); // From another class, until 1 is done.
    lab.unchoked(10, 3, 4); // From its own class, until 3 goes without a word.
    [0, 1].into_iter().for_each(|piece| lab.got(40, 1, piece));
    lab.note(70, 3, Fact::Left { for_good: true, how: Departure::Vanish });
    let ledger = lab.finish(100);
    let clustering = |own, proportional_s| Clustering { own: Duration::from_secs(own), proportional_s };
    // Of class 1, host 1 gave 30 s twice while 1 of the 3 others was of its class. Of class 2, host 3 gave 30 s while
    // that was 1 of 3, and 30 s while it was 1 of 2.
    let expected = [clustering(0, 0.0), clustering(30, 20.0), clustering(60, 10.0 + 15.0)];
    for (class, expected) in expected.into_iter().enumerate() {
        let Clustering { own, proportional_s } = ledger.clustering[class];
        assert_eq!(own, expected.own, "class {class}");
        assert!((proportional_s - expected.proportional_s).abs() < 1e-9, "class {class}: {proportional_s}");
    }
}

#[test]
fn interest_counts_while_both_are_leechers() {
    let mut lab = Lab::connected(10);
    let to = |peer: usize| lab_conns()[peer];
    lab.note(20, 1, Fact::Interested { conn: to(0) });
    lab.note(20, 1, Fact::Interested { conn: to(2) });
    lab.got(30, 2, 0);
    lab.got(30, 1, 1); // Both pieces are with somebody but the seed: the steady state.
    lab.note(40, 1, Fact::NotInterested { conn: to(2) });
    lab.note(50, 1, Fact::Interested { conn: to(2) });
    lab.got(60, 2, 1); // Host 2 is a leecher no more.
    lab.note(70, 1, Fact::Closed { conn: to(3) });
    let ledger = lab.finish(100);
    let spell = |all, steady| Spell { all: Duration::from_secs(all), steady: Duration::from_secs(steady) };
    let tie = |peer| ledger.hosts[1].ties.iter().find(|tie| tie.peer == peer);
    assert!(tie(0).is_none(), "with a seed there is no exchange");
    let of = |peer| tie(peer).map(|tie| (tie.connected, tie.interested));
    assert_eq!(of(2), Some((spell(60 - 10, 60 - 30), spell(20 + 10, 10 + 10))));
    assert_eq!(of(3), Some((spell(70 - 10, 70 - 30), Spell::default())));
    assert_eq!(of(4), Some((spell(100 - 10, 100 - 30), Spell::default())));
    assert_eq!(ledger.steady_since, Some(Instant::ZERO + Duration::from_secs(30)));
}

#[test]
fn what_came_with_somebody_was_never_rare() {
    let mut ledger = Ledger::new(Geometry::new(2, 1).expect("a shape"), Census::new(2));
    let (mut one, all) = (Bitfield::none(2), Bitfield::all(2));
    one.insert(PieceIndex(1));
    [&all, &one].into_iter().for_each(|have| ledger.open(0, have, false));
    ledger.note(Instant::from_nanos(1), 0, &all, &Fact::Joined);
    ledger.note(Instant::from_nanos(2), 1, &one, &Fact::Joined);
    assert_eq!(ledger.steady_since, None);
    ledger.note(Instant::from_nanos(3), 1, &all, &Fact::Verified { piece: PieceIndex(0) });
    assert_eq!(ledger.steady_since, Some(Instant::from_nanos(3)));
}
