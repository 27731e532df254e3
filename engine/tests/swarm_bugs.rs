//! Bugs that people met in other clients, each with the thread that reports it, and that this engine shall not have.

#[path = "common/script.rs"]
mod script;

use script::{Script, Stage};
use torrentlab_engine::node::Limits;
use torrentlab_engine::torrent::EndgameFrom;
use torrentlab_engine::units::PieceIndex;

/// A torrent of one piece of two blocks, of which `a` was asked for everything and `b` is idle.
const LAST_PIECE: &str = "
    a joins
    b joins
    a < have-all, unchoke
    a > interested, request 0:0, request 0:1
    b < have-all
";

/// transmission#7834, transmission#8935: the last blocks stay in flight to a slow peer.
#[test]
fn the_last_blocks_are_asked_of_an_idle_peer_too() {
    Stage::leecher_of(1, 2).plays(LAST_PIECE).plays(
        "
        b < unchoke
        b > interested, request 0:0
        b < piece 0:0
        a > cancel 0:0
        b > request 0:1
        b < piece 0:1
        a > cancel 0:1, have 0, not-interested
        event Completed
        ",
    );
}

/// The same without an endgame: what a silent peer was asked for goes to others, again and again.
#[test]
fn a_silent_peer_does_not_keep_its_last_block() {
    let stage = Stage::leecher_of(1, 2).with(|config| config.endgame = false);
    stage.plays(LAST_PIECE).plays(
        "
        b < unchoke
        b > interested
        wait 70s
        b > request 0:0, request 0:1
        b < piece 0:0, piece 0:1
        event Completed
        ",
    );
}

/// qBittorrent#8070, #15624: stalls at 99% with a seed connected. Here the piece failed its check and waits for the one
/// peer that is to prove itself, and that peer has its mind elsewhere.
#[test]
fn a_piece_does_not_wait_for_one_peer_that_cannot_send_it() {
    for (excuse, block) in
        [("a < choke", "0:2"), ("a leaves", "0:1"), ("a < reject 0:1", "0:1"), ("wait 70s", "0:1")]
    {
        let mut script = Stage::leecher_of(1, 3).plays(
            "
            a joins
            b joins
            a < extended reqq=1, have-all, unchoke
            b < extended reqq=1, have-all, unchoke
            a > interested, request 0:0
            b > interested, request 0:1
            a < piece 0:0
            a > request 0:2
            b < piece 0:1 bad
            a < piece 0:2
            event HashFailed
            a > request 0:0
            a < piece 0:0
            a > request 0:1
            b > request 0:2, cancel 0:2
            ",
        );
        script.plays(excuse).plays(&format!("b >~ request {block}"));
    }
}

/// transmission#5165: cancels cut the set of interested peers, and a slow swarm collapses.
#[test]
fn a_cancel_takes_no_interest_back() {
    let mut script =
        Stage::leecher_of(1, 3).plays(LAST_PIECE.replace("0:1\n", "0:1, request 0:2\n").as_str());
    script.plays("b < unchoke, piece 0:0, piece 0:1");
    assert_eq!((script.count("a", "cancel"), script.count("a", "not-interested")), (2, 0));
    script.plays("a < piece 0:2 \n a < piece 0:2 \n a closed: both are seeds");
}

/// transmission#6925: leechers that are unchoked but "not interested".
#[test]
fn interest_follows_what_the_other_has_and_not_whether_it_chokes() {
    Stage::leecher().plays(
        "
        a joins
        a < unchoke, have 2
        a > interested, request 2:0, request 2:1
        a < choke, reject 2:0, reject 2:1, unchoke
        a > request 2:0, request 2:1
        a < piece 2:0, piece 2:1
        a > have 2, not-interested
        a < have 1
        a > interested, request 1:0, request 1:1
        ",
    );
}

/// transmission#6971: one failed connect makes a peer unreachable for ever.
#[test]
fn a_failed_dial_is_tried_again() {
    let mut script = Stage { trackers: 1, ..Stage::leecher() }.plays("tracker < a");
    for _ in 0..4 {
        assert!(script.take_dial("a"));
        script.plays("a refuses \n wait 130s");
    }
}

/// libtorrent#1171: slow peers hog a quota. Two peers that stand beside each other among many get the same.
#[test]
fn an_upload_limit_is_shared_evenly_wherever_the_connections_stand() {
    let limits = Limits { up: Some(64 * 1024), ..Limits::default() };
    let mut script =
        Stage { have: full(64), ..Stage::leecher_of(64, 2) }.with(|config| config.limits = limits).plays(
            "
        a joins
        b joins
        c joins
        d joins
        e joins
        f joins
        b < interested
        c < interested
        ",
        );
    for peer in ["b", "c"] {
        let requests: Vec<String> =
            (0..60).map(|piece| format!("request {piece}:0, request {piece}:1")).collect();
        script.plays(&format!("{peer} < {}", requests.join(", ")));
    }
    script.plays("wait 20s");
    let (b, c) = (script.count("b", "piece"), script.count("c", "piece"));
    // The first to ask had what the limit lets through at once: 8 blocks.
    assert!(b.abs_diff(c) <= 8 && b + c >= 80, "{b} and {c} blocks");
}

/// The same for downloads.
#[test]
fn a_download_limit_is_shared_evenly_and_spent_on_blocks_alone() {
    let limits = Limits { down: Some(64 * 1024), ..Limits::default() };
    let mut script = Stage::leecher_of(64, 2).with(|config| config.limits = limits).plays(
        "
        a joins
        b joins
        c joins
        d joins
        b < have-all, unchoke
        c < have-all, unchoke
        a < have 0, unchoke
        d < have 0, unchoke
        ",
    );
    for _ in 0..200 {
        script.plays("wait 0.1s");
        for peer in ["a", "b", "c", "d"] {
            script.answers(peer, |block| format!("piece {block}"));
        }
    }
    let (b, c) = (script.count("b", "request"), script.count("c", "request"));
    assert!(b.abs_diff(c) <= 8 && b + c >= 80, "{b} and {c} blocks");
}

/// qBittorrent#7695: choke and unchoke flap several times a second.
#[test]
fn interest_that_flaps_makes_no_slots_flap() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut script = Stage { standard: true, ..Stage::seed() }.plays("");
    names.iter().for_each(|name| _ = script.plays(&format!("{name} joins \n {name} < interested")));
    for _ in 0..50 {
        script.plays("wait 0.1s");
        names.iter().for_each(|name| _ = script.plays(&format!("{name} < not-interested, interested")));
    }
    let unchokes: usize = names.iter().map(|name| script.count(name, "unchoke")).sum();
    assert!((4..=16).contains(&unchokes), "{unchokes} unchokes in five seconds");
}

/// libtorrent#3747: an endless loop when rejects leave the queue unchanged on a choke.
/// rakshasa/libtorrent#958: stalled requests are not moved on a choke.
#[test]
fn what_is_rejected_on_a_choke_moves_to_others_once() {
    let mut script = Stage::leecher().plays(
        "
        a joins
        b joins
        a < have-all, unchoke
        a > interested, request 0:0, request 0:1, request 1:0, request 1:1
        b < have 0, have 1, unchoke
        b > interested
        a < choke, reject 0:0, reject 0:0, reject 0:1, reject 1:0, reject 1:1, reject 0:0
        b > request 0:0, request 0:1, request 1:0, request 1:1
        wait 50s
        a > nothing
        ",
    );
    assert_eq!(script.count("a", "request") + script.count("b", "request"), 8);
    script.plays("a < unchoke \n a > request 2:0, request 2:1, request 3:0, request 3:1");
}

/// webtorrent#1995: what is asked for beyond the other side's liking is dropped in silence, and then a stall.
#[test]
fn requests_that_were_dropped_in_silence_are_made_again() {
    let mut script = Stage::leecher_of(32, 2).plays("a joins \n a < have-all, unchoke");
    for second in 0..600 {
        // It serves the first two requests that it sees in a second, and forgets the others.
        let mut served = 0;
        script.answers("a", |block| {
            served += 1;
            if served <= 2 { format!("piece {block}") } else { "keep-alive".to_owned() }
        });
        script.plays("wait 1s");
        if script.torrent.is_complete() {
            return;
        }
        assert!(second < 599, "{} pieces in ten minutes", script.torrent.have().count());
    }
}

/// webtorrent#890: the same block requested from a choking peer in a loop.
#[test]
fn a_peer_that_chokes_us_is_asked_for_nothing() {
    let mut script = Stage::leecher().plays(
        "
        a joins
        a < have-all
        a > interested
        wait 100s
        a < choke, choke, have 1, keep-alive
        wait 100s
        ",
    );
    assert_eq!(script.count("a", "request"), 0);
    script.plays("a < unchoke, choke");
    for _ in 0..100 {
        script.answers("a", |block| format!("reject {block}"));
        script.plays("wait 1s");
    }
    assert_eq!(script.count("a", "request"), 4);
}

/// real-clients: libtorrent, aria2 and webtorrent spin on a peer that rejects everything.
#[test]
fn a_peer_that_rejects_everything_makes_nobody_spin() {
    for also in ["keep-alive", "unchoke", "allowed-fast 0"] {
        let mut script = Stage::leecher().plays("a joins \n a < have-all, unchoke");
        for _ in 0..400 {
            script.answers("a", |block| format!("reject {block}, {also}"));
            script.plays("wait 0.1s");
        }
        let asked = script.count("a", "request");
        assert!((8..=40).contains(&asked), "{asked} requests in 40 s, {also} after each reject");
    }
}

/// libtorrent#3843: pieces keep failing near the end. BiglyBT#2855: the last piece is retried for ever.
#[test]
fn the_last_piece_is_got_although_a_polluter_is_always_first() {
    let mut script = Stage::leecher_of(1, 4).plays(
        "
        a joins
        b joins
        c joins
        a < extended reqq=1, have-all, unchoke
        b < extended reqq=1, have-all, unchoke
        c < extended reqq=1, have-all, unchoke
        ",
    );
    for _ in 0..40 {
        script.answers("c", |block| format!("piece {block} bad"));
        script.answers("a", |block| format!("piece {block}"));
        script.answers("c", |block| format!("piece {block} bad"));
        script.answers("b", |block| format!("piece {block}"));
        script.plays("wait 1s");
    }
    assert!(script.torrent.is_complete());
    script.plays("event Banned(10.0.0.99)");
}

/// A polluter may push blocks that nobody asked it for into what another peer alone is to send.
#[test]
fn unasked_blocks_frame_nobody() {
    let script = Stage::leecher_of(1, 2).plays(
        "
        a joins
        c joins
        a < extended reqq=1, have-all, unchoke
        a > interested, request 0:0
        c < piece 0:1 bad
        a < piece 0:0
        event HashFailed
        a > request 0:0
        c < piece 0:1 bad
        event UnexpectedBlock
        a < piece 0:0
        a > request 0:1
        a < piece 0:1
        event Completed
        c closed: banned
        a closed: both are seeds
        ",
    );
    assert_eq!(script.torrent.connections(), 0);
}

/// anacrolix/torrent#364: good peers are banned after chunks vanish from storage.
#[test]
fn nobody_is_blamed_for_storage_that_loses_blocks() {
    let script = Stage::leecher_of(1, 1).plays(
        "
        a joins
        a < have-all, unchoke
        disk lost
        a < piece 0:0
        event StorageFailed
        a stays
        disk free
        a < piece 0:0
        event Completed
        a closed: both are seeds
        ",
    );
    assert_eq!(script.count("a", "request"), 2);
}

/// anacrolix/torrent#889: endless requests after write errors.
#[test]
fn nothing_is_asked_for_while_nothing_can_be_written() {
    let script = Stage::leecher().plays(
        "
        a joins
        a < have-all, unchoke
        disk full
        a < piece 0:0
        a < choke, unchoke, have 1, allowed-fast 2
        wait 100s
        b joins
        b < have-all, unchoke
        wait 100s
        ",
    );
    // The block that could not be written had made place for two more requests.
    assert_eq!((script.count("a", "request"), script.count("b", "request")), (6, 0));
}

/// anacrolix/torrent#1094: 11 to 13% of the data come twice, for blocks are asked of too many.
#[test]
fn a_block_is_asked_of_no_more_than_three_at_once() {
    let mut script = Stage::leecher_of(1, 2).plays("a joins \n a < have-all, unchoke");
    let others = ["b", "c", "d", "e", "f", "g", "h"];
    others.iter().for_each(|name| _ = script.plays(&format!("{name} joins \n {name} < have-all, unchoke")));
    let asked = |script: &Script| {
        ["a"].iter().chain(&others).map(|name| script.count(name, "request 0:0")).sum::<usize>()
    };
    assert_eq!(asked(&script), 3);
    script.plays("wait 30s");
    assert_eq!(asked(&script), 3, "and that does not grow with time");
}

/// Nor is anything asked for twice before all was asked for once.
#[test]
fn nothing_is_asked_twice_before_the_endgame() {
    let mut script = Stage::leecher_of(40, 2)
        .plays(LAST_PIECE.replace("0:1\n", "0:1, request 1:0, request 1:1\n").as_str());
    script.plays("b < unchoke \n wait 1s");
    let twice = (0..40).flat_map(|piece| [format!("request {piece}:0"), format!("request {piece}:1")]);
    for block in twice {
        assert!(script.count("a", &block) + script.count("b", &block) <= 1, "{block} twice");
    }
}

/// libtorrent#8355: super-seeding advertises what it should hide; PR #6342: the first HAVE may never go out.
#[test]
fn a_super_seed_hides_all_but_what_it_shows_and_shows_something_at_once() {
    let stage = Stage { have: full(8), ..Stage::leecher_of(8, 2) }.with(|config| config.super_seeding = true);
    let mut script = stage.plays("a joins \n b joins plainly");
    assert_eq!((script.count("a", "have-none"), script.count("a", "have ")), (1, 2));
    assert_eq!((script.count("b", "bitfield"), script.count("b", "have ")), (0, 2));
    let shown = script.joined("a");
    let shown = shown.split(", ").filter_map(|sent| sent.strip_prefix("have ")).last().unwrap();
    script.plays("a < interested");
    script
        .plays(&format!("a < request {shown}:0, request {shown}:1 \n a >~ piece {shown}:0, piece {shown}:1"));
    assert_eq!(script.count("a", "have "), 3, "one more for the one that was served");
}

/// The same with a peer that got what it was shown elsewhere and says so in a late bitfield, as aria2 does.
#[test]
fn a_super_seed_does_not_wait_for_a_peer_that_got_its_pieces_elsewhere() {
    let stage = Stage { have: full(8), ..Stage::leecher_of(8, 2) }.with(|config| config.super_seeding = true);
    let mut script = stage.plays("a joins");
    script.plays("a < bitfield 11111110");
    let shown = script.joined("a");
    assert!(shown.split(", ").any(|sent| sent == "have 7"), "{shown}");
}

/// libtorrent#7700: seeds redial seeds that they know to be seeds every minute.
#[test]
fn a_known_seed_is_not_redialled_by_a_seed() {
    Stage { trackers: 1, ..Stage::seed() }.plays(
        "
        tracker < a
        dials a
        a answers
        a < hello, id a, have-all
        a closed: both are seeds
        wait 1000s
        tracker < a
        wait 3000s
        dials
        ",
    );
}

/// libtorrent#8708, #4334: announces in lockstep time out by the hundred.
#[test]
fn a_flash_crowd_does_not_announce_in_lockstep() {
    let second_announce = |seed| {
        let mut script = Stage { trackers: 1, seed, ..Stage::seed() }
            .with(|config| config.dial_target = 0)
            .plays("tracker <");
        script.plays("tracker > started");
        (0..1800).find(|_| script.plays("wait 1s").announced()).expect("a second announce")
    };
    let times: std::collections::BTreeSet<usize> = (0..12).map(second_announce).collect();
    let spread = times.last().unwrap() - times.first().unwrap();
    assert!(times.len() >= 10 && spread > 300, "{times:?}");
}

/// transmission's `check_request_timeout`: a peer that answers slowly, but answers, loses the requests that take too long.
#[test]
fn a_request_that_takes_too_long_is_taken_back() {
    let taken_back = |timeout: Option<u64>| {
        let stage = Stage::leecher_of(1, 4).with(|config| {
            config.endgame = false;
            config.request_timeout = timeout.map(torrentlab_engine::time::Duration::from_secs);
        });
        let script = stage.plays(
            "
            a joins
            a < have-all, unchoke
            b joins
            b < have-all, unchoke
            wait 20s
            a < piece 0:0
            wait 20s
            ",
        );
        (script.count("a", "cancel"), script.count("b", "request"))
    };
    assert_eq!(taken_back(None), (0, 0), "they wait for the slow peer");
    assert_eq!(taken_back(Some(25)), (3, 3), "all but the one that came, and another is asked for them");
}

/// "Many peers never announce `completed`": such a client is one of them.
#[test]
fn a_finished_download_is_announced_unless_the_client_does_not() {
    let announced_at_the_end = |tells: bool| {
        let mut script = Stage { trackers: 1, ..Stage::leecher_of(1, 1) }
            .with(|config| config.announce_completed = tells)
            .plays("tracker > started \n tracker < a \n a joins \n a < have-all, unchoke");
        script.announced();
        script.plays("a < piece 0:0 \n event Completed").announced()
    };
    assert!(announced_at_the_end(true));
    assert!(!announced_at_the_end(false));
}

/// aria2 and rqbit wait for the tracker's minimum interval alone: `DefaultBtAnnounce`, `tracker_comms`.
#[test]
fn a_client_may_announce_as_often_as_it_is_allowed_to() {
    let announces_in_an_hour = |often: bool| {
        let script = Stage { trackers: 1, ..Stage::seed() }.with(|config| {
            config.dial_target = 0;
            config.announce_often = often;
        });
        let mut script = script.plays("");
        (0..3600)
            .filter(|_| {
                let announced = script.announced();
                script.plays(if announced { "tracker < \n wait 1s" } else { "wait 1s" });
                announced
            })
            .count()
    };
    // The tracker says 30 min, or 1 min at least, to which the engine adds up to a tenth.
    assert!((54..=60).contains(&announces_in_an_hour(true)), "{}", announces_in_an_hour(true));
    assert!((2..=4).contains(&announces_in_an_hour(false)), "{}", announces_in_an_hour(false));
}

/// libtorrent#1992: a busy loop of announces after a failed look-up.
#[test]
fn a_tracker_that_fails_is_asked_less_and_less() {
    let mut script = Stage { trackers: 1, ..Stage::leecher() }.plays("");
    let mut announces = 0;
    for _ in 0..3600 {
        if script.announced() {
            announces += 1;
            script.plays("tracker fails");
        }
        script.plays("wait 1s");
    }
    assert!((4..=12).contains(&announces), "{announces} announces in an hour");
}

/// Older libtorrent: distributed copies leave the own copy out when the minimum drops.
#[test]
fn distributed_copies_count_what_we_have() {
    let mut stage = Stage::leecher();
    stage.have.insert(PieceIndex(0));
    let mut script = stage.plays("a joins \n a < bitfield 1110");
    assert_eq!(script.torrent.distributed_copies(), 0.75);
    script.plays("b joins \n b < have 3");
    assert_eq!(script.torrent.distributed_copies(), 1.25);
    script.plays("a leaves");
    assert_eq!(script.torrent.distributed_copies(), 0.5);
}

fn full(pieces: u32) -> torrentlab_engine::bitfield::Bitfield {
    torrentlab_engine::bitfield::Bitfield::all(pieces)
}

/// libtorrent's `strict_end_game_mode`: the endgame "when there's at least one request to every piece".
#[test]
fn the_endgame_can_begin_with_the_last_pieces() {
    let twice = |from: EndgameFrom| {
        let stage = Stage::leecher_of(2, 3).with(|config| config.endgame_from = from);
        let mut script = stage.plays("a joins \n a < have-all, unchoke");
        // Four blocks are asked for: one piece, and a block of the other.
        let whole = (0..2).find(|piece| script.count("a", &format!("request {piece}:2")) == 1).unwrap();
        script.plays(&format!("b joins \n b < have {whole}, unchoke \n wait 5s"));
        script.count("b", "request")
    };
    assert_eq!((twice(EndgameFrom::LastBlocks), twice(EndgameFrom::LastPieces)), (0, 1));
}

/// Whoever asks a super-seed for part of a piece and for nothing more must not keep it from others.
#[test]
fn a_super_seed_does_not_keep_a_piece_for_who_never_asks_for_all_of_it() {
    let stage = Stage { have: full(2), ..Stage::leecher_of(2, 2) }.with(|config| config.super_seeding = true);
    let mut script = Script::new(stage);
    script.plays(
        "
        a joins
        b joins
        a < have-none, interested
        b < have-none, interested
        unchoke a
        unchoke b
        a < request 0:0
        a >~ piece 0:0
        b < request 0:0
        b >~ reject 0:0
        ",
    );
    // `a` asks for nothing more.
    script.plays(
        "
        wait 130s
        b < request 0:0
        b >~ piece 0:0
        ",
    );
}
