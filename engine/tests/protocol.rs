//! Handshakes, connections and trackers (BEP 3, 6, 10, 21), and what real clients demand and tolerate, against a peer that
//! is played by hand.

#[path = "common/script.rs"]
mod script;

use script::Stage;
use torrentlab_engine::bitfield::Bitfield;

#[test]
fn the_handshake_is_answered_after_its_first_48_bytes() {
    Stage::leecher().plays(
        "
        a connects
        a > nothing
        a < hello
        a > hello, id
        a < id a
        a > have-none, extended
        ",
    );
}

#[test]
fn who_dials_speaks_first() {
    Stage { trackers: 1, ..Stage::leecher() }.plays(
        "
        tracker > started
        tracker < a
        dials a
        a answers
        a > hello, id
        a < hello, id a
        a > have-none, extended
        ",
    );
}

#[test]
fn what_the_first_message_says_depends_on_what_we_have_and_on_the_fast_extension() {
    let mut some = Bitfield::none(4);
    some.insert(torrentlab_engine::units::PieceIndex(2));
    for (have, with_fast, plain) in [
        (Bitfield::none(4), "have-none, extended", "nothing"),
        (Bitfield::all(4), "have-all, extended", "bitfield 11110000"),
        (some, "bitfield 00100000, extended", "bitfield 00100000"),
    ] {
        let stage = Stage { have: have.clone(), ..Stage::leecher() };
        stage.plays(&format!("a connects \n a < hello, id a \n a > hello, id, {with_fast}"));
        let script = Stage { have, ..Stage::leecher() }.plays("a joins plainly");
        assert_eq!(script.joined("a"), format!("hello, id, {plain}").replace(", nothing", ""));
    }
}

#[test]
fn a_connection_that_breaks_the_protocol_is_closed() {
    for (messages, why) in [
        ("hello other", "another torrent"),
        ("have 1", "before the handshake"),
        ("id a", "a second peer id"),
        ("hello, hello", "a second handshake"),
        ("hello, id ours", "connected to ourselves"),
        ("hello, id a, hello", "a second handshake"),
        ("hello, id a, id a", "a second peer id"),
        ("hello, id a, have 4", "a piece that the torrent does not have"),
        ("hello, id a, suggest 4", "a piece that the torrent does not have"),
        ("hello, id a, allowed-fast 4", "a piece that the torrent does not have"),
        ("hello, id a, bitfield 111100001", "a bitfield of the wrong length"),
        ("hello, id a, bitfield", "a bitfield of the wrong length"),
        ("hello, id a, unknown 99", "a message of unknown kind"),
        ("hello, id a, extended garbage", "an extension handshake that is not one"),
        ("hello, id a, request 4:0+100", "a request outside the torrent"),
        ("hello, id a, request 0:0+0", "a request outside the torrent"),
        ("hello, id a, request 0:16385+16384", "a request outside the torrent"),
        ("hello, id a, request 0:4294967295+4294967295", "a request outside the torrent"),
        ("hello, id a, request 3:16384+16384", "a request outside the torrent"),
        ("hello, id a, piece 4:0+16384", "a block outside the torrent"),
    ] {
        let lines = format!("a connects \n a < {messages} \n a closed: {why}");
        Stage::leecher().plays(&lines);
    }
}

#[test]
fn messages_of_the_fast_extension_need_it_agreed_on() {
    for message in ["have-all", "have-none", "suggest 0", "allowed-fast 0", "reject 0:0"] {
        let lines = format!("a joins plainly \n a < {message} \n a closed: of the Fast extension");
        Stage::leecher().plays(&lines);
    }
}

#[test]
fn what_real_clients_do_is_borne() {
    for messages in [
        "port 6881",
        "keep-alive, keep-alive",
        "bitfield 11111111",
        "have 0, bitfield 1000",
        "have 0, have-all",
        "have-none, have-none",
        "have 1, have 1",
        "choke, choke, unchoke, unchoke",
        "interested, interested, not-interested, not-interested",
        "reject 0:0",
        "cancel 0:0",
        "suggest 0, suggest 0",
        "request 0:0",
        "extended, extended reqq=0",
    ] {
        Stage::leecher().plays(&format!("a joins \n a < {messages} \n a stays"));
    }
}

#[test]
fn a_late_bitfield_adds_and_takes_nothing_away() {
    Stage::leecher().plays(
        "
        a joins
        a < have 0, unchoke
        a > interested, request 0:0, request 0:1
        a < bitfield 0100
        a > request 1:0, request 1:1
        a < have-none, piece 0:0
        a > nothing
        a < have-all
        a > request 2:0, request 2:1
        ",
    );
}

#[test]
fn two_connections_of_one_peer_become_one() {
    Stage::leecher().plays(
        "
        a joins
        a' connects
        a' < hello, id a
        a' closed: already connected
        a stays
        a2 connects
        a2 < hello, id a2
        a2 stays
        ",
    );
}

#[test]
fn of_two_cross_dials_both_sides_keep_the_one_of_the_smaller_id() {
    // "-TL" < "-XX": ours is the smaller.
    Stage { trackers: 1, ..Stage::leecher() }.plays(
        "
        tracker < a
        a' joins
        a answers
        a < hello, id a
        a' closed: already connected
        a stays
        ",
    );
}

#[test]
fn seeds_drop_seeds_however_they_learn_of_it() {
    for messages in ["have-all", "bitfield 1111", "bitfield 1110, have 3", "extended upload-only"] {
        Stage::seed().plays(&format!("a joins \n a < {messages} \n a closed: both are seeds"));
        Stage::leecher().plays(&format!("a joins \n a < {messages} \n a stays"));
    }
}

#[test]
fn a_seed_is_dropped_when_we_become_one() {
    Stage::leecher_of(1, 1).plays(
        "
        a joins
        b joins
        a < have-all, unchoke
        a > interested, request 0:0
        a < piece 0:0
        a closed: both are seeds
        b > have 0
        event Completed
        ",
    );
}

#[test]
fn silence_is_ended_by_a_keep_alive_and_a_silent_peer_by_a_time_out() {
    Stage::leecher().plays(
        "
        a joins
        wait 109s
        a > nothing
        wait 4s
        a > keep-alive
        wait 66s
        a stays
        wait 5s
        a closed: timed out
        ",
    );
}

#[test]
fn keep_alives_keep_a_connection() {
    let mut script = Stage::leecher().plays("a joins");
    for _ in 0..20 {
        script.plays("wait 120s \n a < keep-alive \n a stays");
    }
}

#[test]
fn an_unfinished_handshake_is_timed_out() {
    for begun in ["a connects", "a connects \n a < hello"] {
        Stage::leecher().plays(begun).plays("wait 19s \n a stays \n wait 4s \n a closed: timed out");
    }
}

#[test]
fn the_end_is_told_to_trackers_that_know_of_us_and_to_peers() {
    Stage { trackers: 1, ..Stage::leecher() }.plays(
        "
        tracker > started
        tracker < a
        b joins
        shutdown
        tracker > stopped
        b closed: shutting down
        wait 1000s
        tracker > nothing
        ",
    );
}

#[test]
fn a_completed_download_is_announced_once_and_without_trackers_by_nobody() {
    let lines = "
        a joins
        a < have-all, unchoke, piece 0:0
        event Completed
    ";
    Stage { trackers: 1, ..Stage::leecher_of(1, 1) }
        .plays("tracker > started \n tracker <")
        .plays(lines)
        .plays(
            "
        tracker > completed
        tracker <
        wait 50s
        tracker > nothing
        ",
        );
    Stage::leecher_of(1, 1).plays(lines).plays("wait 1s \n tracker > nothing");
}

#[test]
fn whoever_has_all_the_connections_it_may_have_does_not_ask_for_more_peers() {
    let stage = Stage { trackers: 1, ..Stage::leecher() }.with(|config| config.max_connections = 1);
    stage.plays(
        "
        tracker > started
        a joins
        tracker <
        wait 150s
        a < keep-alive
        wait 150s
        tracker > nothing
        a leaves
        wait 10s
        tracker > regular
        ",
    );
}

#[test]
fn a_peer_that_misbehaves_is_redialled_later_each_time() {
    let mut script = Stage { trackers: 1, ..Stage::leecher() }.plays("tracker < a \n dials a");
    let mut waits = Vec::new();
    for _ in 0..4 {
        script.plays("a answers \n a < hello, id a, unknown 99 \n a closed: unknown");
        let closed_at = script.now;
        while !script.take_dial("a") {
            script.plays("wait 1s");
        }
        waits.push(script.now.since(closed_at).as_secs());
    }
    assert!(waits[3] > 3 * waits[0], "{waits:?}");
}
