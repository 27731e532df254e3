//! Peer exchange (BEP 11) and canonical priority (BEP 40), against peers that are played by hand.

#[path = "common/script.rs"]
mod script;

use script::Stage;

/// `a` wants to hear of others; `b` and `c` tell where they listen.
const THREE: &str = "
    a joins
    a < extended pex=3
    b joins
    b < extended port=6881
    c joins
    c < extended port=6881
";

#[test]
fn a_peer_is_told_of_the_others_and_later_of_what_changed() {
    let mut script = Stage::leecher().plays(THREE);
    script.plays(
        "
        wait 3s
        a > pex +b +c
        b leaves
        d joins
        d < extended port=6881 upload-only
        wait 54s
        a > nothing
        wait 5s
        a > pex +d(seed) -b
        wait 300s
        a > keep-alive
        ",
    );
}

#[test]
fn nobody_is_told_of_itself_or_where_there_is_nobody_to_tell_of() {
    Stage::leecher().plays(
        "
        a joins
        a < extended pex=3 port=6881
        wait 100s
        a > nothing
        b joins
        b < extended pex=3 port=6881
        wait 3s
        a > pex +b
        b > pex +a
        ",
    );
}

/// "A peer must only be included in an added field once a connection is successfully established", and the port of an
/// incoming connection is not where its peer listens.
#[test]
fn who_cannot_be_dialled_is_not_told_of() {
    Stage::leecher().plays(
        "
        a joins
        a < extended pex=3
        b connects
        c joins
        d joins plainly
        wait 10s
        a > nothing
        c < extended port=6881
        wait 2s
        a > pex +c
        ",
    );
}

#[test]
fn whom_we_dialled_is_reachable_and_who_has_everything_is_a_seed() {
    Stage { trackers: 1, ..Stage::leecher() }.plays(
        "
        tracker < b c d
        dials b c d
        a joins
        a < extended pex=3
        b answers
        b < hello, id b, have-all
        c answers
        c < hello, id c
        d answers
        wait 3s
        a > pex +b(seed)(reachable) +c(reachable)
        ",
    );
}

#[test]
fn who_wants_no_messages_gets_none() {
    for handshake in ["extended", "extended pex=0", "extended pex=3, extended pex=0"] {
        let mut script = Stage::leecher().plays(&THREE.replace("extended pex=3", handshake));
        script.plays("wait 100s \n a > nothing");
    }
}

#[test]
fn nothing_is_told_or_heard_where_it_is_off_or_the_torrent_is_private() {
    let off = Stage::leecher().with(|config| config.peer_exchange = false);
    let private = Stage::leecher().with(|config| config.private = true);
    for stage in [off, private] {
        let mut script = stage.plays(THREE);
        script.plays("a < pex +d, pex garbage \n wait 100s \n a > nothing \n dials \n a stays");
        assert!(!script.joined("a").contains("pex"));
        assert_eq!(script.handshake("a").messages.get("ut_pex"), None);
    }
    assert_eq!(Stage::leecher().plays(THREE).handshake("a").messages["ut_pex"], 1);
}

#[test]
fn whom_a_peer_tells_of_is_dialled_like_those_of_the_tracker() {
    Stage { trackers: 1, ..Stage::leecher() }.plays(
        "
        tracker < b
        dials b
        a joins
        a < pex +b +c -d
        dials c
        event PeersHeardOf
        c refuses
        wait 60s
        dials c
        c answers
        c < hello, id c
        a < pex +b +c
        wait 60s
        dials
        ",
    );
}

#[test]
fn a_full_torrent_dials_the_reachable_first() {
    let stage = Stage::leecher().with(|config| config.dial_target = 2);
    stage.plays("a joins \n a < pex +b +c(reachable) \n dials c");
}

#[test]
fn a_seed_does_not_dial_whom_it_hears_to_be_a_seed() {
    Stage::seed().plays("a joins \n a < pex +b(seed) +c \n dials c");
    Stage::leecher().plays("a joins \n a < pex +b(seed) +c \n dials b c");
}

#[test]
fn nonsense_and_ourselves_are_passed_over() {
    Stage::leecher().plays(
        "
        a joins
        a < extended sees=10.0.0.9, pex +10.0.0.9:6881 +0.0.0.0:6881 +224.0.0.1:6881 +10.0.0.1:0 +b
        dials b
        ",
    );
}

/// As libtorrent does, but for who is local too.
#[test]
fn who_is_local_is_not_told_of_abroad_nor_believed_from_there() {
    let mut script = Stage::leecher().plays(THREE);
    script.connects_at("x", "80.1.2.3:9".parse().unwrap(), false);
    script.plays(
        "
        x < hello, id x, extended pex=3 port=6881
        x < pex +10.0.0.200:1 +127.0.0.1:1 +192.168.0.1:1 +80.1.2.4:1 +80.1.2.4:2
        dials 80.1.2.4:1
        x > hello, id, have-none, extended
        wait 3s
        x > nothing
        a > pex +80.1.2.3:6881 +b +c
        ",
    );
}

#[test]
fn a_peer_that_floods_is_not_listened_to() {
    let many = |from: u32, to: u32| -> String {
        (from..to).map(|n| format!(" +{}:1", std::net::Ipv4Addr::from(0x5000_0000 + n))).collect()
    };
    let unlimited = |config: &mut torrentlab_engine::torrent::Config| {
        (config.half_open, config.dial_target, config.max_connections) = (500, 500, 500);
    };
    let mut script = Stage::leecher().with(unlimited).plays("a joins");
    script.plays(&format!("a < pex{}", many(0, 150)));
    assert_eq!(script.take_dials().len(), 50, "one peer is believed so much");
    script.plays(&format!("a < pex{} \n wait 29s \n a < pex{}", many(150, 151), many(151, 152)));
    assert_eq!(script.take_dials().len(), 0, "and one message in half a minute");
    script.plays("a < pex garbage \n a stays");
    script.plays(&format!("b joins \n b < pex{}", many(200, 201)));
    assert_eq!(script.take_dials().len(), 1, "another may tell of more");
    script.plays("wait 30s \n a < pex garbage \n a closed: a message of peer exchange that is not one");
}

#[test]
fn the_canonically_first_are_dialled_first() {
    let dialled = |canonical, seed| {
        let stage = Stage { trackers: 1, seed, ..Stage::leecher() }.with(|config| {
            (config.half_open, config.canonical_priority) = (1, canonical);
            config.address = Some("10.0.0.1".parse().unwrap());
        });
        stage.plays("tracker < a b c d e f g h").take_dials()
    };
    let own = "10.0.0.1:6881".parse().unwrap();
    let highest = (b'a'..=b'h').map(|name| std::net::SocketAddr::from(([10, 0, 0, name], 6881)));
    let highest = highest.max_by_key(|addr| torrentlab_engine::priority::canonical_priority(own, *addr));
    assert!((0..20).all(|seed| dialled(true, seed) == [highest.unwrap()]));
    assert!((0..20).any(|seed| dialled(false, seed) != [highest.unwrap()]), "else by chance");
}

/// Of 10.0.0.1, the priorities of the peers at 10.0.0.97 ("a") and on.
#[test]
fn who_has_the_lowest_priority_gives_way() {
    let own = "10.0.0.1:6881".parse().unwrap();
    let rank = |name: &u8| {
        let addr = std::net::SocketAddr::from(([10, 0, 0, *name], 6881));
        torrentlab_engine::priority::canonical_priority(own, addr)
    };
    let mut names: Vec<u8> = (b'a'..=b'd').collect();
    names.sort_by_key(rank);
    let [lowest, low, high, highest] = std::array::from_fn(|at| char::from(names[at]));
    let joins = |name: char| format!("{name} joins \n {name} < have 0, interested");
    for canonical in [true, false] {
        let stage = Stage::leecher().with(|config| {
            (config.max_connections, config.canonical_priority) = (2, canonical);
            config.address = Some("10.0.0.1".parse().unwrap());
        });
        let mut script = stage.plays(&format!("{} \n {}", joins(low), joins(highest)));
        script.plays(&format!("{lowest} connects \n {lowest} closed: too many connections"));
        if canonical {
            script.plays(&format!("{} \n {low} closed: replaced \n {highest} stays", joins(high)));
        } else {
            script.plays(&format!("{high} connects \n {high} closed: too many connections"));
        }
    }
}
