//! Requests, blocks, chokes and cancels (BEP 3, 6, 10), and what real clients demand and tolerate, against a peer that is
//! played by hand.

#[path = "common/script.rs"]
mod script;

use script::Stage;
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::time::Duration;

/// A seed that serves `a`, which may ask for anything.
fn serving(tune: impl FnOnce(&mut Stage)) -> script::Script {
    let mut stage = Stage::seed();
    tune(&mut stage);
    stage.plays(
        "
        a joins
        a < interested
        a > unchoke
        ",
    )
}

/// A leecher that asked the seed `a` for four blocks.
const ASKED: &str = "
    a joins
    a < have-all, unchoke
    a > interested, request 0:0, request 0:1, request 1:0, request 1:1
";

#[test]
fn an_unchoke_before_interest_is_remembered() {
    Stage::leecher().plays(
        "
        a joins
        a < unchoke
        a > nothing
        a < have 0
        a > interested, request 0:0, request 0:1
        ",
    );
}

#[test]
fn requests_of_odd_shape_are_served_up_to_128_kib() {
    let mut script = serving(|stage| {
        (stage.pieces, stage.blocks_per_piece) = (2, 16);
        stage.have = Bitfield::all(2);
    });
    script.plays(
        "
        a < request 0:1000+1000, request 0:16383+2
        a > piece 0:1000+1000, piece 0:16383+2
        a < request 0:0+131072
        a > piece 0:0+131072
        a < request 0:0+131073
        a closed: more than 128 KiB
        ",
    );
}

#[test]
fn a_request_that_cannot_be_served_is_rejected_with_the_fast_extension_alone() {
    for (joins, answer) in [("joins", "reject 0:0"), ("joins plainly", "nothing")] {
        Stage::seed().plays(&format!("a {joins} \n a < request 0:0 \n a > {answer} \n a stays"));
        let lacking = format!(
            "a {joins} \n a < interested \n a > unchoke \n a < request 0:0 \n a > {answer} \n a stays"
        );
        Stage::leecher().plays(&lacking);
    }
}

#[test]
fn a_flood_of_requests_beyond_reqq_is_rejected() {
    serving(|stage| stage.config.max_queued = 3).plays(
        "
        hold
        a < request 0:0, request 0:1, request 1:0, request 1:1, request 2:0, request 2:1
        a > piece 0:0, piece 0:1, reject 2:1
        drain
        a > piece 1:0, piece 1:1, piece 2:0
        ",
    );
}

#[test]
fn a_cancel_drops_what_waits_and_reaches_for_what_is_in_the_socket() {
    serving(|_| ()).plays(
        "
        hold
        a < request 0:0, request 0:1, request 1:0, request 1:1
        a > piece 0:0, piece 0:1
        a < cancel 1:0
        a > reject 1:0
        a < cancel 0:1
        a > (cancel-block 0:1)
        drain
        a > piece 1:1
        ",
    );
}

#[test]
fn a_choke_drops_what_waits() {
    serving(|_| ()).plays(
        "
        hold
        a < request 0:0, request 0:1, request 1:0, request 1:1
        a > piece 0:0, piece 0:1
        choke a
        wait 1s
        a > choke, reject 1:0, reject 1:1
        a < request 2:0
        a > reject 2:0
        drain
        a > nothing
        unchoke a
        wait 1s
        a > unchoke
        ",
    );
}

#[test]
fn each_request_is_answered_once() {
    serving(|_| ()).plays(
        "
        hold
        a < request 0:0, request 0:1, request 1:0, request 1:0
        drain
        a > piece 0:0, piece 0:1, piece 1:0, piece 1:0
        ",
    );
}

#[test]
fn allowed_fast_pieces_are_asked_for_while_choked_and_no_others() {
    Stage::leecher().plays(
        "
        a joins
        a < have-all
        a > interested
        a < allowed-fast 2
        a > request 2:0, request 2:1
        a < reject 2:0, reject 2:1
        a > nothing
        wait 100s
        a > nothing
        ",
    );
}

#[test]
fn a_suggested_piece_comes_first() {
    Stage::leecher().plays(
        "
        a joins
        a < have-all, suggest 3, unchoke
        a > interested, request 3:0, request 3:1, request 0:0, request 0:1
        ",
    );
}

#[test]
fn no_more_is_asked_for_at_once_than_reqq_says() {
    Stage::leecher().plays(
        "
        a joins
        a < extended reqq=1, have-all, unchoke
        a > interested, request 0:0
        a < piece 0:0
        a > request 0:1
        ",
    );
}

#[test]
fn a_choke_takes_requests_back_at_once_without_the_fast_extension() {
    Stage::leecher_of(1, 2).plays(
        "
        a joins plainly
        b joins
        a < bitfield 1, unchoke
        b < bitfield 1, unchoke
        a > interested, request 0:0, request 0:1
        b > interested, request 0:0
        a < choke
        b > request 0:1
        ",
    );
}

#[test]
fn with_the_fast_extension_a_choke_takes_nothing_back_until_it_is_rejected() {
    Stage::leecher_of(1, 2).plays(
        "
        a joins
        b joins
        a < have 0, unchoke
        a > interested, request 0:0, request 0:1
        a < choke
        b < have 0, unchoke
        b > interested, request 0:0
        a < reject 0:1
        b > request 0:1
        a < piece 0:0
        b > cancel 0:0
        ",
    );
}

#[test]
fn a_block_that_comes_late_is_taken() {
    let mut script = Stage::leecher().plays(
        "
        a joins plainly
        a < bitfield 1000, unchoke, choke
        a < piece 0:0
        b joins
        b < bitfield 1000, unchoke
        b > interested, request 0:1
        b < piece 0:1
        a >~ have 0
        ",
    );
    script.plays("event PieceVerified");
}

#[test]
fn blocks_that_nobody_wants_are_told_and_buy_nothing() {
    let mut script = Stage::leecher().plays(
        "
        a joins
        a < piece 0:0, piece 0:0, piece 2:1
        event UnexpectedBlock
        a stays
        ",
    );
    let now = script.now;
    assert!(script.torrent.peers(now).iter().all(|peer| peer.received == 0 && peer.rate_down == 0));
    script.plays(
        "
        b joins
        b < have-all, unchoke, piece 0:0, piece 0:0
        event DuplicateBlock
        ",
    );
    assert_eq!(script.torrent.peers(now).iter().map(|peer| peer.received).sum::<u64>(), 16_384);
}

#[test]
fn the_last_block_is_short_and_one_piece_is_a_torrent() {
    let mut script = Stage::leecher_of(1, 1).plays(
        "
        a joins plainly
        a < bitfield 1, unchoke
        a > interested, request 0:0
        a < piece 0:0
        a > have 0, not-interested
        event Completed
        ",
    );
    assert!(script.torrent.is_complete() && script.torrent.left() == 0);
    script.plays("b joins \n b < interested \n b > unchoke \n b < request 0:0 \n b > piece 0:0");
}

#[test]
fn a_hundred_thousand_pieces_are_no_trouble() {
    Stage::leecher_of(100_000, 1).plays(
        "
        a joins
        b joins
        a < have-all, unchoke
        a > interested, request 0:0, request 1:0, request 2:0, request 3:0
        b < have 99999, unchoke
        b > interested, request 99999:0
        a < piece 0:0
        b < piece 99999:0
        b > have 0, have 99999, not-interested
        ",
    );
}

#[test]
fn interest_is_told_once_and_taken_back_when_nothing_is_left() {
    Stage::leecher().plays(
        "
        a joins
        a < have 0, have 1
        a > interested
        a < unchoke
        a > request 0:0, request 0:1, request 1:0, request 1:1
        a < piece 0:0, piece 0:1
        a > have 0
        a < piece 1:0, piece 1:1
        a > have 1, not-interested
        a < have 2
        a > interested, request 2:0, request 2:1
        ",
    );
}

#[test]
fn a_snubbed_peer_is_asked_for_one_block_until_it_serves_again() {
    let mut script = Stage::leecher().plays(ASKED);
    script.plays(
        "
        wait 59s
        a > nothing
        wait 6s
        event Snubbed
        a > cancel 0:0, cancel 0:1, cancel 1:0, cancel 1:1, request 0:0
        a < piece 0:0
        a >~ request 0:1, request 1:0
        ",
    );
}

#[test]
fn a_full_disk_stops_the_download_and_a_free_one_goes_on() {
    let mut script = Stage::leecher().plays(ASKED);
    script.plays(
        "
        disk full
        a < piece 0:0
        event StorageFailed
        a >~ cancel 0:1, cancel 1:0, cancel 1:1, not-interested
        a < piece 0:1, unchoke, have 3
        wait 100s
        a > nothing
        disk free
        a > interested, request 0:0, request 0:1, request 1:0, request 1:1, request 2:0
        a < piece 0:0, piece 0:1
        a >~ have 0
        ",
    );
    assert_eq!(script.torrent.have().count(), 1);
}

#[test]
fn a_block_that_cannot_be_read_is_rejected_with_the_fast_extension_alone() {
    for (joins, answer) in [("joins", "reject 0:0"), ("joins plainly", "nothing")] {
        let mut stage = Stage::leecher();
        stage.have.insert(torrentlab_engine::units::PieceIndex(0));
        stage.plays(&format!(
            "
            a {joins}
            a < interested
            unchoke a
            a >~ unchoke
            disk lost
            a < request 0:0
            event StorageFailed
            a > {answer}
            disk free
            a < request 0:1
            a > piece 0:1
            "
        ));
    }
}

#[test]
fn a_seed_whose_disk_is_full_serves_on() {
    let mut stage = Stage::leecher();
    stage.have.insert(torrentlab_engine::units::PieceIndex(0));
    stage.plays(
        "
        a joins
        a < interested, have 1, unchoke
        disk full
        a < piece 1:0, request 0:0
        a >~ piece 0:0
        ",
    );
}

/// libtorrent's `incoming_cancel` looks among the requests that wait, and there alone.
#[test]
fn without_take_back_a_cancel_does_not_reach_for_what_is_in_the_socket() {
    serving(|stage| stage.config.take_back = false).plays(
        "
        hold
        a < request 0:0, request 0:1, request 1:0
        a > piece 0:0, piece 0:1
        a < cancel 0:1, cancel 1:0
        a > reject 1:0
        ",
    );
}

/// "The message sender MAY list pieces that the message sender does not have" (BEP 6).
#[test]
fn pieces_that_are_not_there_yet_are_allowed_and_rejected_until_they_are() {
    let script = Stage::leecher().with(|config| config.allowed_fast = 4).plays(
        "
        a joins
        b joins
        a < request 0:0
        b < have-all, unchoke
        b < piece 0:0, piece 0:1
        a < request 0:1
        ",
    );
    assert_eq!(script.count("a", "allowed-fast"), 4);
    assert_eq!((script.count("a", "reject 0:0"), script.count("a", "piece 0:1")), (1, 1));
}

/// libtorrent's `whole_pieces_threshold`.
#[test]
fn a_peer_that_sends_a_piece_soon_enough_is_asked_for_all_of_it() {
    let asked = |whole_pieces_s: u64| {
        let stage = Stage::leecher_of(3, 12).with(|config| {
            config.whole_pieces = Duration::from_secs(whole_pieces_s);
            config.max_requests = 4;
        });
        let mut script = stage.plays("a joins \n a < have-all, unchoke \n wait 1s");
        script.answers("a", |block| format!("piece {block}"));
        script.count("a", "request")
    };
    // Four blocks came in a second: a piece of twelve takes some seconds.
    assert_eq!((asked(20), asked(0)), (12, 8));
}

/// "The number of outstanding request messages this client supports without dropping any" (BEP 10).
#[test]
fn a_whole_piece_is_asked_for_no_further_than_reqq() {
    let most = |reqq: u32| {
        let stage = Stage::leecher_of(3, 12).with(|config| config.whole_pieces = Duration::from_secs(20));
        let mut script =
            stage.plays(&format!("a joins \n a < extended reqq={reqq}, have-all, unchoke \n wait 1s"));
        script.answers("a", |block| format!("piece {block}"));
        script.count("a", "request")
    };
    // Those that are answered at once make place for as many more.
    assert_eq!((most(6), most(20)), (10, 12));
}
