//! Swarms of real engines on a tiny network: what a torrent does among others.

mod common;

use common::{LATENCY, Net};
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Disconnect, Event, Input, Limits};
use torrentlab_engine::time::Duration;
use torrentlab_engine::units::PieceIndex;
use torrentlab_engine::wire::Message;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_seed_and_its_leechers_all_end_with_everything() {
    for seed in 0..5 {
        let mut net = Net::new(30, 4, seed);
        net.add(net.all(), 200_000, |_| ());
        for _ in 0..12 {
            net.add(net.none(), 100_000, |_| ());
        }
        assert!(net.run_all_complete(MINUTE * 20), "seed {seed}: not all are complete at {}", net.now);
        let content = net.geometry.blocks();
        let sent: usize = net.hosts.iter().map(|host| host.sent.len()).sum();
        let twice = sent as u64 - content * 12;
        assert!(twice <= 12 * 16, "seed {seed}: {twice} blocks sent twice in the endgames");
        assert!(net.hosts[0].sent.len() as u64 <= content * 5, "seed {seed}: the seed did most of the work");
    }
}

#[test]
fn the_same_seed_replays_and_another_does_not() {
    let log = |seed| {
        let mut net = Net::new(10, 2, seed);
        net.log = Some(Vec::new());
        net.add(net.all(), 100_000, |_| ());
        for _ in 0..5 {
            net.add(net.none(), 50_000, |_| ());
        }
        assert!(net.run_all_complete(MINUTE * 10));
        net.log.unwrap()
    };
    assert!(log(1) == log(1));
    assert!(log(1) != log(2));
}

#[test]
fn without_a_seed_nobody_finishes_and_partial_seeds_complete_each_other() {
    let mut net = Net::new(8, 2, 3);
    net.add(net.none(), 100_000, |_| ());
    net.add(net.none(), 100_000, |_| ());
    assert!(!net.run_all_complete(MINUTE * 5));

    let mut net = Net::new(8, 2, 3);
    let half = |odd: u32| {
        let mut set = Bitfield::none(8);
        (0..8).filter(|piece| piece % 2 == odd).for_each(|piece| _ = set.insert(PieceIndex(piece)));
        set
    };
    net.add(half(0), 100_000, |_| ());
    net.add(half(1), 100_000, |_| ());
    assert!(net.run_all_complete(MINUTE * 5));
}

#[test]
fn endgame_saves_the_last_blocks_from_a_slow_peer() {
    let finish = |endgame: bool| {
        let mut net = Net::new(6, 8, 11);
        net.add(net.all(), 200_000, |_| ());
        net.add(net.all(), 600, |_| ()); // 27 s a block
        net.add(net.none(), 100_000, |config| config.endgame = endgame);
        let done = net.run(MINUTE * 30, |net| net.hosts[2].torrent.is_complete());
        assert!(done, "endgame {endgame}: stuck");
        assert_eq!(net.count(2, |event| *event == Event::EndgameEntered), 1);
        (net.now, net.count(2, |event| matches!(event, Event::DuplicateBlock(_))))
    };
    let ((with, twice), (without, _)) = (finish(true), finish(false));
    assert!(with.as_secs_f64() * 3.0 < without.as_secs_f64(), "{with} with, {without} without");
    assert!(twice <= 4, "{twice} blocks came twice");
}

#[test]
fn a_polluter_is_found_and_banned_and_nobody_else() {
    for seed in 0..8 {
        let mut net = Net::new(20, 4, seed);
        net.add(net.all(), 100_000, |_| ());
        net.add(net.all(), 100_000, |_| ());
        let polluter = net.add(net.all(), 100_000, |_| ());
        net.hosts[polluter].spoils = [3, 7, 8].map(PieceIndex).into();
        for _ in 0..4 {
            net.add(net.none(), 50_000, |_| ());
        }
        assert!(net.run_all_complete(MINUTE * 30), "seed {seed}: a polluter keeps others from finishing");
        let guilty = net.hosts[polluter].addr.ip();
        for host in &net.hosts {
            let banned = |event: &&(_, Event)| matches!(event.1, Event::Banned(ip) if ip != guilty);
            assert_eq!(host.events.iter().find(banned), None, "seed {seed}: an innocent is banned");
        }
        let failures: usize = (3..7).map(|host| net.count(host, |e| matches!(e, Event::HashFailed(_)))).sum();
        assert!(failures > 0, "seed {seed}: the polluter never got to spoil anything");
    }
}

#[test]
fn a_polluter_that_is_the_only_source_is_banned_at_once() {
    let mut net = Net::new(4, 2, 5);
    let polluter = net.add(net.all(), 100_000, |_| ());
    net.hosts[polluter].spoils = [2].map(PieceIndex).into();
    net.add(net.none(), 100_000, |_| ());
    assert!(!net.run_all_complete(MINUTE * 10));
    assert_eq!(net.count(1, |event| matches!(event, Event::HashFailed(_))), 1, "no loop of retries");
    assert_eq!(net.count(1, |event| matches!(event, Event::Banned(_))), 1);
}

#[test]
fn a_super_seed_serves_each_piece_once_before_any_twice() {
    for seed in 0..5 {
        let mut net = Net::new(40, 2, seed);
        let seeder = net.add(net.all(), 100_000, |config| config.super_seeding = true);
        for _ in 0..10 {
            net.add(net.none(), 100_000, |_| ());
        }
        assert!(net.run_all_complete(MINUTE * 20), "seed {seed}: super-seeding is stuck");
        let sent = &net.hosts[seeder].sent;
        let first_copy = &sent[..net.geometry.blocks() as usize];
        let unique: std::collections::BTreeSet<_> = first_copy.iter().collect();
        assert!(
            unique.len() * 100 >= first_copy.len() * 95,
            "seed {seed}: {} of {}",
            unique.len(),
            first_copy.len()
        );
        assert!((sent.len() as u64) < net.geometry.blocks() * 3, "seed {seed}: {} blocks", sent.len());
    }
}

#[test]
fn a_plain_seed_too_serves_mostly_what_nobody_else_has() {
    for seed in 0..5 {
        let mut net = Net::new(60, 8, seed);
        let seeder = net.add(net.all(), 100_000, |_| ());
        for _ in 0..20 {
            net.add(net.none(), 25_000, |_| ());
        }
        assert!(net.run_all_complete(MINUTE * 60), "seed {seed}");
        let first_copy = &net.hosts[seeder].sent[..net.geometry.blocks() as usize];
        let unique: std::collections::BTreeSet<_> = first_copy.iter().collect();
        assert!(
            unique.len() * 100 >= first_copy.len() * 60,
            "seed {seed}: {} of {}",
            unique.len(),
            first_copy.len()
        );
    }
}

#[test]
fn a_super_seed_does_not_wait_for_a_peer_that_left_nor_for_the_impossible() {
    let mut net = Net::new(12, 2, 1);
    net.add(net.all(), 100_000, |config| config.super_seeding = true);
    let gone = net.add(net.none(), 100_000, |_| ());
    net.add(net.none(), 100_000, |_| ());
    net.run(Duration::from_secs(3), |_| false);
    net.kill(gone);
    assert!(net.run_all_complete(MINUTE * 10), "one leecher alone gets everything from a super-seed");
}

#[test]
fn the_upload_limit_holds_and_without_it_is_exceeded() {
    let sent_in_a_minute = |limit: Option<u64>| {
        let mut net = Net::new(100, 4, 2);
        net.add(net.all(), 1_000_000, |config| config.limits = Limits { up: limit, ..Limits::default() });
        for _ in 0..3 {
            net.add(net.none(), 100_000, |_| ());
        }
        net.run(MINUTE, |_| false);
        net.hosts[0].torrent.transferred().0
    };
    let cap = 20_000 * 60 + 128 * 1024;
    let limited = sent_in_a_minute(Some(20_000));
    assert!(limited <= cap && limited * 10 >= cap * 8, "{limited} of {cap}");
    assert!(sent_in_a_minute(None) > cap * 2, "the limit is what held it back");
}

#[test]
fn the_download_limit_holds() {
    let mut net = Net::new(100, 4, 2);
    net.add(net.all(), 1_000_000, |_| ());
    net.add(net.none(), 100_000, |config| config.limits = Limits { down: Some(30_000), ..Limits::default() });
    net.run(MINUTE, |_| false);
    let (_, received) = net.hosts[1].torrent.transferred();
    let cap = 30_000 * 60 + 128 * 1024;
    assert!(received <= cap && received * 10 >= cap * 8, "{received} of {cap}");
}

#[test]
fn limits_can_change_while_it_runs() {
    let mut net = Net::new(100, 4, 2);
    net.add(net.all(), 1_000_000, |config| config.limits = Limits { up: Some(10_000), ..Limits::default() });
    net.add(net.none(), 100_000, |_| ());
    net.run(MINUTE, |_| false);
    let before = net.hosts[0].torrent.transferred().0;
    net.input(0, Input::SetLimits(Limits::default()));
    assert!(net.run_all_complete(MINUTE), "{before} bytes in the first minute");
}

#[test]
fn two_seeds_part_and_do_not_meet_again() {
    let mut net = Net::new(4, 2, 1);
    net.add(net.all(), 100_000, |_| ());
    net.add(net.all(), 100_000, |_| ());
    net.run(MINUTE * 10, |_| false);
    assert!(net.hosts.iter().all(|host| host.torrent.connections() == 0));
    let partings =
        net.hosts.iter().flat_map(|host| &host.closed).filter(|why| **why == Disconnect::BothSeeds).count();
    assert!((1..=4).contains(&partings), "{partings} connections of two seeds in ten minutes");
}

#[test]
fn cross_dials_leave_one_connection_and_oneself_is_recognised() {
    let mut net = Net::new(4, 2, 1);
    net.add(net.all(), 100, |_| ());
    net.add(net.none(), 100, |_| ());
    let (a, b) = (net.hosts[0].addr, net.hosts[1].addr);
    net.connect(0, b);
    net.connect(1, a);
    net.run(Duration::from_secs(5), |_| false);
    assert_eq!((net.hosts[0].torrent.connections(), net.hosts[1].torrent.connections()), (1, 1));

    net.connect(0, a);
    net.run(Duration::from_secs(5), |_| false);
    assert!(net.hosts[0].closed.contains(&Disconnect::Oneself));
    assert_eq!(net.hosts[0].torrent.connections(), 1);
}

#[test]
fn a_full_host_refuses_and_replaces_its_least_useful_peer() {
    let mut net = Net::new(4, 2, 1);
    let small = net.add(net.none(), 10_000, |config| config.max_connections = 2);
    net.add(net.none(), 10_000, |_| ());
    net.add(net.none(), 10_000, |_| ());
    net.run(Duration::from_secs(10), |_| false);
    assert_eq!(net.hosts[small].torrent.connections(), 2);
    let seed = net.add(net.all(), 100_000, |_| ());
    net.run(Duration::from_secs(10), |_| false);
    assert!(net.hosts[small].closed.contains(&Disconnect::Full), "too young to be replaced");
    assert!(net.run(MINUTE * 10, |net| net.hosts[small].torrent.is_complete()));
    assert!(net.hosts[small].torrent.connections() <= 2 && net.hosts[seed].torrent.is_complete());
}

#[test]
fn a_kill_frees_what_was_asked_for() {
    let mut net = Net::new(10, 8, 4);
    let first = net.add(net.all(), 20_000, |_| ());
    net.add(net.none(), 100_000, |_| ());
    net.run(Duration::from_secs(20), |_| false);
    net.kill(first);
    net.add(net.all(), 100_000, |_| ());
    assert!(net.run(MINUTE * 10, |net| net.hosts[1].torrent.is_complete()));
}

#[test]
fn a_shut_down_torrent_says_so_and_does_nothing_more() {
    let mut net = Net::new(4, 2, 1);
    net.add(net.all(), 100_000, |_| ());
    net.add(net.none(), 1_000, |_| ());
    net.run(Duration::from_secs(4), |_| false);
    net.input(1, Input::Shutdown);
    net.run(LATENCY * 2, |_| false);
    assert_eq!(net.hosts[1].torrent.connections(), 0);
    assert_eq!(net.hosts[0].torrent.connections(), 0, "the other side sees it at once");
    let seed = net.hosts[0].addr;
    net.connect(1, seed);
    assert_eq!(net.hosts[1].torrent.connections(), 0);
}

#[test]
fn allowed_fast_pieces_are_served_while_choked() {
    let mut net = Net::new(64, 2, 1);
    net.add_with_slots(0, net.all(), 100_000, |config| config.allowed_fast = 10);
    net.add(net.none(), 100_000, |_| ());
    net.run(MINUTE, |_| false);
    assert_eq!(net.hosts[1].torrent.have().count(), 10);

    let mut net = Net::new(64, 2, 1);
    net.add_with_slots(0, net.all(), 100_000, |_| ());
    net.add(net.none(), 100_000, |_| ());
    net.run(MINUTE, |_| false);
    assert!(net.hosts[1].torrent.have().is_empty(), "nothing is served without a slot or a grant");
}

#[test]
fn messages_of_the_fast_extension_need_it_agreed_on() {
    let mut net = Net::new(4, 2, 1);
    net.add(net.all(), 100_000, |config| config.fast = false);
    net.add(net.none(), 100_000, |_| ());
    net.log = Some(Vec::new());
    assert!(net.run_all_complete(MINUTE * 5));
    let log = net.log.as_ref().unwrap();
    assert!(log.iter().all(|(.., line)| !line.contains("HaveAll") && !line.contains("Reject")));
    assert!(log.iter().any(|(.., line)| line.contains(&format!("{:?}", Message::Unchoke))));
}
