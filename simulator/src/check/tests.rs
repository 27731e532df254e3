//! Each checker is fed a swarm by hand in which something is wrong, and its `_negative` twin the same without it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use torrentlab_engine::node::{Disconnect, Event};
use torrentlab_engine::tracker::{Announce, AnnounceEvent, AnnounceReply, AnnounceRequest, TrackerFailure};
use torrentlab_engine::units::{Block, ConnSlots, Geometry, InfoHash, PeerId};
use torrentlab_engine::wire::{ExtensionHandshake, Message, Payload, Reserved};
use torrentlab_scenarios::load;

use super::*;
use crate::content::tag;
use crate::fault;
use crate::names::Names;
use crate::plan::addr_of;
use crate::recount::Recount;
use crate::run::Backend;

/// A swarm of leechers and one seed, which comes last, that does what it is told.
struct Feed {
    checks: Checks,
    geometry: Geometry,
    now: Instant,
    slots: Vec<ConnSlots>,
    conns: BTreeMap<(u32, u32), ConnId>,
    have: Vec<Bitfield>,
    fake: Fake,
    /// Whether they speak the Fast extension.
    fast: bool,
    /// Nobody sends a keep-alive.
    silent: bool,
}

/// What can be seen of it.
struct Fake {
    wire: Vec<(u64, u64)>,
    recount: Recount,
    more_copies: f64,
    queued: usize,
}

impl Sight for Fake {
    fn wire_bytes(&self, host: u32) -> (u64, u64) {
        self.wire[host as usize]
    }

    fn distributed_copies(&self) -> f64 {
        self.recount.distributed_copies() + self.more_copies
    }

    fn queued(&self) -> Option<usize> {
        Some(self.queued)
    }
}

impl Feed {
    /// 64 pieces of two blocks; `sets` on top of `first-swarm` with ten leechers.
    fn new(sets: &[&str]) -> Self {
        let mut all = vec!["content.size=2 MiB", "content.piece_size=32 KiB", "hosts.leecher.count=10"];
        all.extend(sets);
        let sets: Vec<String> = all.iter().map(|set| (*set).to_owned()).collect();
        let scenario = load("first-swarm", &sets).unwrap_or_else(|error| panic!("{error}")).scenario;
        let geometry =
            Geometry::new(scenario.content.size.bytes(), scenario.content.piece_size.bytes() as u32);
        let geometry = geometry.unwrap();
        let names = Names::of(&scenario);
        let hosts = names.hosts() as usize;
        let scene = Scene {
            faults: Arc::new(fault::resolve(&scenario, 1)),
            scenario: Arc::new(scenario),
            seed: 1,
            backend: Backend::Des,
            geometry,
            names: Arc::new(names),
            exempt: vec![false; hosts].into(),
        };
        Self {
            checks: Checks::new(&scene, Recent::default()),
            geometry,
            now: Instant::ZERO,
            slots: (0..hosts).map(|_| ConnSlots::default()).collect(),
            conns: BTreeMap::new(),
            have: vec![Bitfield::none(geometry.pieces()); hosts],
            fake: Fake {
                wire: vec![(0, 0); hosts],
                recount: Recount::default(),
                more_copies: 0.0,
                queued: 0,
            },
            fast: true,
            silent: false,
        }
    }

    fn seed(&self) -> u32 {
        self.have.len() as u32 - 1
    }

    fn came(&mut self, host: u32, have: Bitfield) {
        self.checks.came(self.now, host, addr_of(host), &have);
        self.fake.recount.came(host, &have);
        self.have[host as usize] = have;
    }

    fn input(&mut self, host: u32, input: Input) {
        self.checks.input(self.now, host, &input);
    }

    fn output(&mut self, host: u32, output: Output) {
        self.checks.output(self.now, host, &output, &[]);
    }

    fn conn(&self, host: u32, peer: u32) -> ConnId {
        self.conns[&(host, peer)]
    }

    /// `host` says something to `peer`, which hears it at once.
    fn say(&mut self, host: u32, peer: u32, message: Message) {
        let (here, there) = (self.conn(host, peer), self.conn(peer, host));
        self.output(host, Output::Send { conn: here, message: message.clone() });
        self.input(peer, Input::Message { conn: there, message });
    }

    /// Opens a connection without a word.
    fn dial(&mut self, host: u32, peer: u32) {
        for (one, other, outgoing) in [(host, peer, true), (peer, host, false)] {
            let conn = self.slots[one as usize].open();
            self.conns.insert((one, other), conn);
            self.input(one, Input::Connected { conn, addr: addr_of(other), outgoing, room: 65_536 });
        }
    }

    fn close(&mut self, host: u32, peer: u32) {
        let (here, there) = (self.conn(host, peer), self.conn(peer, host));
        self.output(host, Output::Close { conn: here, why: Disconnect::Full });
        self.input(peer, Input::Closed { conn: there, why: Disconnect::Remote });
        self.slots[host as usize].close(here);
        self.slots[peer as usize].close(there);
        self.conns.remove(&(host, peer));
        self.conns.remove(&(peer, host));
    }

    /// Connects two, with handshakes and what they have.
    fn meet(&mut self, host: u32, peer: u32) {
        self.dial(host, peer);
        let mut reserved = Reserved::OURS;
        if !self.fast {
            reserved.0[7] = 0;
        }
        for (one, other) in [(host, peer), (peer, host)] {
            self.say(one, other, Message::Hello { reserved, info_hash: InfoHash([1; 20]) });
        }
        for (one, other) in [(host, peer), (peer, host)] {
            self.say(one, other, Message::PeerId(PeerId([one as u8; 20])));
        }
        for (one, other) in [(host, peer), (peer, host)] {
            let have = &self.have[one as usize];
            let message = match (self.fast, have.is_empty(), have.is_full()) {
                (true, true, _) => Some(Message::HaveNone),
                (true, _, true) => Some(Message::HaveAll),
                (false, true, _) => None,
                _ => Some(Message::Bitfield(have.to_wire().into())),
            };
            message.into_iter().for_each(|message| self.say(one, other, message));
        }
        for (one, other) in [(host, peer), (peer, host)] {
            let (own, others) = (&self.have[one as usize], &self.have[other as usize]);
            if others.exceeds(own) {
                self.say(one, other, Message::Interested);
            }
        }
    }

    /// A leecher that came, met the seed and was unchoked by it.
    fn served(&mut self, host: u32) {
        let seed = self.seed();
        if self.have[seed as usize].is_empty() {
            self.came(seed, Bitfield::all(self.geometry.pieces()));
        }
        self.came(host, Bitfield::none(self.geometry.pieces()));
        self.meet(host, seed);
        self.say(seed, host, Message::Unchoke);
    }

    fn block(&self, piece: u32, nth: u32) -> Block {
        self.geometry.block(PieceIndex(piece), nth)
    }

    fn ask(&mut self, host: u32, peer: u32, block: Block) {
        self.say(host, peer, Message::Request(block));
    }

    fn payload(block: Block) -> Payload {
        Payload::Synthetic { len: block.len, tag: tag(block) }
    }

    /// `peer` sends a block, and `host` stores it.
    fn give(&mut self, peer: u32, host: u32, block: Block) {
        let (here, there) = (self.conn(peer, host), self.conn(host, peer));
        self.output(peer, Output::SendBlock { conn: here, block });
        let payload = Self::payload(block);
        self.input(host, Input::Message { conn: there, message: Message::Piece { block, payload } });
        if !self.have[host as usize].has(block.piece) {
            self.output(host, Output::WriteBlock { block, payload: Self::payload(block) });
        }
    }

    fn checked(&mut self, host: u32, piece: u32, ok: bool) {
        let piece = PieceIndex(piece);
        self.input(host, Input::PieceChecked { piece, ok, digests: Vec::new() });
        if ok {
            self.fake.recount.got(host, piece);
            self.have[host as usize].insert(piece);
        }
    }

    /// `host` fetches a piece from `peer`, and tells it.
    fn fetch(&mut self, host: u32, peer: u32, piece: u32) {
        for nth in 0..self.geometry.blocks_in(PieceIndex(piece)) {
            let block = self.block(piece, nth);
            self.ask(host, peer, block);
            self.give(peer, host, block);
        }
        self.checked(host, piece, true);
        self.say(host, peer, Message::Have(PieceIndex(piece)));
    }

    /// Time passes.
    fn pass(&mut self, seconds: u64) {
        for second in 0..seconds {
            self.now += Duration::from_secs(1);
            let open: Vec<(u32, u32)> = self.conns.keys().copied().collect();
            let speak = second % 60 == 0 && !self.silent;
            for (host, peer) in open.into_iter().filter(|_| speak) {
                self.say(host, peer, Message::KeepAlive);
            }
            self.checks.look(self.now, &self.fake);
        }
    }

    fn announce(&mut self, host: u32, event: AnnounceEvent) {
        let left = if self.have[host as usize].is_full() { 0 } else { 1 };
        let request = AnnounceRequest {
            info_hash: InfoHash([1; 20]),
            peer_id: PeerId([host as u8; 20]),
            port: 6881,
            uploaded: 0,
            downloaded: 0,
            left,
            event,
            numwant: None,
            key: 0,
        };
        self.output(host, Output::Announce(Announce { tracker: 0, request: Box::new(request) }));
    }

    fn reply(&mut self, host: u32, result: Result<(u32, u32), TrackerFailure>) {
        let reply = |(complete, incomplete)| AnnounceReply {
            interval: Duration::from_secs(1800),
            min_interval: Some(Duration::from_secs(60)),
            complete: Some(complete),
            incomplete: Some(incomplete),
            peers: Vec::new(),
            warning: None,
        };
        self.input(host, Input::TrackerReply { tracker: 0, result: Box::new(result.map(reply)) });
    }
}

/// Two tests: one in which `act` does something wrong, and one in which it does not.
macro_rules! twins {
    ($wrong:ident, $right:ident, $checker:expr, $sets:expr, $act:expr) => {
        #[test]
        fn $wrong() {
            let mut feed = Feed::new(&$sets);
            let act: fn(&mut Feed, bool) = $act;
            act(&mut feed, true);
            let failure = feed.checks.failure().expect("nothing is found");
            assert_eq!(failure.class, format!("check:{}", $checker), "{failure}");
        }

        #[test]
        fn $right() {
            let mut feed = Feed::new(&$sets);
            let act: fn(&mut Feed, bool) = $act;
            act(&mut feed, false);
            assert_eq!(feed.checks.failure().map(|failure| failure.to_string()), None);
        }
    };
}

twins!(a_message_before_the_handshake, a_message_after_it_negative, "protocol", [], |feed, wrong| {
    if !wrong {
        return feed.served(0);
    }
    feed.came(0, Bitfield::none(64));
    feed.came(1, Bitfield::all(64));
    feed.dial(0, 1);
    feed.say(0, 1, Message::Interested);
});

twins!(a_second_bitfield, one_bitfield_negative, "protocol", [], |feed, wrong| {
    feed.served(0);
    if wrong {
        feed.say(0, 10, Message::HaveNone);
    }
});

twins!(a_second_unchoke, one_unchoke_negative, "protocol", [], |feed, wrong| {
    feed.served(0);
    feed.say(10, 0, Message::Choke);
    feed.say(10, 0, Message::Unchoke);
    if wrong {
        feed.say(10, 0, Message::Unchoke);
    }
});

twins!(a_block_twice, a_block_once_negative, "protocol", [], |feed, wrong| {
    feed.served(0);
    let block = feed.block(3, 0);
    feed.ask(0, 10, block);
    feed.give(10, 0, block);
    if wrong {
        feed.give(10, 0, block);
    }
});

twins!(a_reject_after_the_block, a_reject_in_its_place_negative, "protocol", [], |feed, wrong| {
    feed.served(0);
    let block = feed.block(3, 0);
    feed.ask(0, 10, block);
    if wrong {
        feed.give(10, 0, block);
    }
    feed.say(10, 0, Message::Reject(block));
});

twins!(rejects_that_do_not_follow_a_choke, rejects_that_do_negative, "protocol", [], |feed, wrong| {
    feed.served(0);
    let block = feed.block(3, 0);
    feed.ask(0, 10, block);
    feed.say(10, 0, Message::Choke);
    if !wrong {
        feed.say(10, 0, Message::Reject(block));
    }
    feed.pass(70);
});

twins!(a_message_after_the_end, a_message_before_the_end_negative, "protocol", [], |feed, wrong| {
    feed.served(0);
    let conn = feed.conn(0, 10);
    if !wrong {
        feed.output(0, Output::Send { conn, message: Message::KeepAlive });
    }
    feed.close(10, 0);
    if wrong {
        feed.output(0, Output::Send { conn, message: Message::KeepAlive });
    }
});

twins!(
    an_extension_that_nobody_named,
    an_extension_that_was_named_negative,
    "protocol",
    [],
    |feed, wrong| {
        feed.served(0);
        if !wrong {
            let messages = [("ut_pex".to_owned(), 7)].into();
            let payload = ExtensionHandshake { messages, ..ExtensionHandshake::default() }.encode();
            feed.say(10, 0, Message::Extended { id: 0, payload });
        }
        feed.say(0, 10, Message::Extended { id: 7, payload: Vec::new().into() });
    }
);

twins!(a_fast_message_without_the_extension, one_with_it_negative, "protocol", [], |feed, wrong| {
    feed.fast = !wrong;
    feed.served(0);
    feed.say(10, 0, Message::AllowedFast(PieceIndex(1)));
});

twins!(a_cancel_of_nothing, a_cancel_of_a_request_negative, "protocol", [], |feed, wrong| {
    feed.served(0);
    let block = feed.block(3, 0);
    if !wrong {
        feed.ask(0, 10, block);
    }
    feed.say(0, 10, Message::Cancel(block));
});

twins!(a_request_of_who_chokes, a_request_of_who_does_not_negative, "requests", [], |feed, wrong| {
    feed.served(0);
    if wrong {
        feed.say(10, 0, Message::Choke);
    }
    let block = feed.block(3, 0);
    feed.ask(0, 10, block);
});

twins!(a_request_for_what_a_peer_lacks, a_request_for_what_it_has_negative, "requests", [], |feed, wrong| {
    feed.came(0, Bitfield::none(64));
    let mut have = Bitfield::none(64);
    have.insert(PieceIndex(3));
    feed.came(1, have);
    feed.meet(0, 1);
    feed.say(1, 0, Message::Unchoke);
    let block = feed.block(if wrong { 4 } else { 3 }, 0);
    let conn = feed.conn(0, 1);
    feed.output(0, Output::Send { conn, message: Message::Request(block) });
});

twins!(a_request_while_it_is_out, a_request_after_a_reject_negative, "requests", [], |feed, wrong| {
    feed.served(0);
    let block = feed.block(3, 0);
    feed.ask(0, 10, block);
    if !wrong {
        feed.say(10, 0, Message::Reject(block));
    }
    feed.ask(0, 10, block);
});

twins!(a_request_of_a_second_peer, one_in_the_endgame_negative, "requests", [], |feed, wrong| {
    feed.served(0);
    feed.came(1, Bitfield::all(64));
    feed.meet(0, 1);
    feed.say(1, 0, Message::Unchoke);
    let asked = if wrong { 63 } else { 64 };
    for piece in 0..asked {
        for nth in 0..2 {
            let block = feed.block(piece, nth);
            feed.ask(0, 10, block);
        }
    }
    let block = feed.block(0, 0);
    feed.ask(0, 1, block);
});

twins!(a_request_off_the_grid, a_request_on_it_negative, "requests", [], |feed, wrong| {
    feed.served(0);
    let mut block = feed.block(3, 0);
    block.len -= u32::from(wrong);
    feed.ask(0, 10, block);
});

twins!(
    a_piece_announced_unchecked,
    a_piece_announced_after_its_check_negative,
    "verified-only",
    [],
    |feed, wrong| {
        feed.served(0);
        if wrong {
            feed.say(0, 10, Message::Have(PieceIndex(3)));
        }
        feed.fetch(0, 10, 3);
    }
);

twins!(
    a_piece_served_unchecked,
    a_piece_served_after_its_check_negative,
    "verified-only",
    [],
    |feed, wrong| {
        feed.served(0);
        feed.came(1, Bitfield::none(64));
        feed.meet(0, 1);
        if !wrong {
            feed.fetch(0, 10, 3);
            feed.say(0, 1, Message::Have(PieceIndex(3)));
            feed.say(1, 0, Message::Interested);
        }
        feed.say(0, 1, Message::Unchoke);
        // The other one may ask for what it likes here.
        let (block, conn) = (feed.block(3, 0), feed.conn(0, 1));
        feed.input(0, Input::Message { conn, message: Message::Request(block) });
        feed.output(0, Output::SendBlock { conn, block });
    }
);

twins!(a_block_from_nowhere, a_block_that_was_sent_negative, "bytes-conserved", [], |feed, wrong| {
    feed.served(0);
    let block = feed.block(3, 0);
    feed.ask(0, 10, block);
    if !wrong {
        return feed.give(10, 0, block);
    }
    let (conn, payload) = (feed.conn(0, 10), Feed::payload(block));
    feed.input(0, Input::Message { conn, message: Message::Piece { block, payload } });
});

twins!(a_block_with_other_content, a_block_with_its_own_negative, "bytes-conserved", [], |feed, wrong| {
    feed.served(0);
    let (block, other) = (feed.block(3, 0), feed.block(4, 0));
    feed.ask(0, 10, block);
    let (here, there) = (feed.conn(10, 0), feed.conn(0, 10));
    feed.output(10, Output::SendBlock { conn: here, block });
    let payload = Feed::payload(if wrong { other } else { block });
    feed.input(0, Input::Message { conn: there, message: Message::Piece { block, payload } });
});

twins!(
    a_piece_that_is_wrong_by_itself,
    a_piece_that_is_right_negative,
    "bytes-conserved",
    [],
    |feed, wrong| {
        feed.served(0);
        for nth in 0..2 {
            let block = feed.block(3, nth);
            feed.ask(0, 10, block);
            feed.give(10, 0, block);
        }
        feed.checked(0, 3, !wrong);
    }
);

twins!(more_slots_than_there_are, as_many_as_there_are_negative, "slots", [], |feed, wrong| {
    for host in 0..if wrong { 5 } else { 4 } {
        feed.served(host);
    }
    feed.pass(10);
});

twins!(
    a_free_rider_that_serves,
    a_seed_that_serves_negative,
    "slots",
    ["hosts.leecher.behaviour=free-rider"],
    |feed, wrong| {
        feed.served(0);
        if wrong {
            feed.say(0, 10, Message::Unchoke);
        }
    }
);

twins!(more_requests_than_a_peer_holds, as_many_as_it_holds_negative, "pipeline", [], |feed, wrong| {
    feed.served(0);
    let payload = ExtensionHandshake { reqq: Some(10), ..ExtensionHandshake::default() }.encode();
    feed.say(10, 0, Message::Extended { id: 0, payload });
    for nth in 0..if wrong { 11 } else { 10 } {
        let block = feed.block(nth, 0);
        feed.ask(0, 10, block);
    }
});

twins!(
    too_many_connections,
    as_many_as_allowed_negative,
    "connections",
    ["hosts.leecher.limits.connections=3"],
    |feed, wrong| {
        feed.came(0, Bitfield::none(64));
        for peer in 1..if wrong { 5 } else { 4 } {
            feed.came(peer, Bitfield::none(64));
            feed.meet(peer, 0);
        }
    }
);

twins!(a_handshake_that_never_comes, a_handshake_that_comes_negative, "half-open", [], |feed, wrong| {
    feed.came(0, Bitfield::none(64));
    feed.came(1, Bitfield::none(64));
    feed.silent = true;
    if wrong {
        feed.dial(0, 1)
    } else {
        feed.meet(0, 1)
    }
    feed.pass(40);
});

twins!(a_peer_that_is_silent, a_peer_that_says_something_negative, "half-open", [], |feed, wrong| {
    feed.came(0, Bitfield::none(64));
    feed.came(1, Bitfield::none(64));
    feed.meet(0, 1);
    feed.silent = wrong;
    feed.pass(240);
});

twins!(
    too_many_requests_held,
    as_many_as_told_negative,
    "memory",
    ["hosts.seed.limits.reqq=5"],
    |feed, wrong| {
        feed.served(0);
        for nth in 0..if wrong { 7 } else { 5 } {
            let (block, conn) = (feed.block(nth, 0), feed.conn(10, 0));
            feed.input(10, Input::Message { conn, message: Message::Request(block) });
        }
    }
);

twins!(a_queue_that_grows, a_queue_that_does_not_negative, "memory", [], |feed, wrong| {
    feed.fake.queued = if wrong { 10_000 } else { 500 };
    feed.pass(1);
});

twins!(a_link_that_carries_too_much, a_link_that_carries_enough_negative, "link-caps", [], |feed, wrong| {
    // 4 Mbit/s, and 192 KiB in buffers.
    feed.pass(1);
    for _ in 0..20 {
        feed.fake.wire[10].0 += if wrong { 10_000_000 } else { 5 * 450_000 };
        feed.pass(5);
    }
});

twins!(copies_that_are_counted_wrong, copies_that_are_counted_right_negative, "copies", [], |feed, wrong| {
    feed.served(0);
    feed.fake.more_copies = f64::from(wrong);
    feed.pass(1);
});

twins!(an_innocent_who_is_banned, nobody_who_is_banned_negative, "bans", [], |feed, wrong| {
    feed.served(0);
    if wrong {
        feed.output(0, Output::Event(Event::Banned(addr_of(10).ip())));
    }
});

twins!(a_banned_peer_that_is_dialled, another_that_is_dialled_negative, "bans", [], |feed, wrong| {
    feed.served(0);
    let nobody: IpAddr = "192.0.2.1".parse().unwrap();
    feed.output(0, Output::Event(Event::Banned(nobody)));
    let addr = if wrong { SocketAddr::new(nobody, 1) } else { addr_of(3) };
    feed.output(0, Output::Dial(addr));
});

twins!(
    a_tracker_that_counts_the_dead,
    a_tracker_that_counts_the_living_negative,
    "tracker-counts",
    [],
    |feed, wrong| {
        feed.served(0);
        for host in [0, 10] {
            feed.announce(host, AnnounceEvent::Started);
            feed.pass(1);
        }
        feed.reply(0, Ok((1, if wrong { 2 } else { 1 })));
    }
);

twins!(a_tracker_that_forgets, a_tracker_that_remembers_negative, "tracker-counts", [], |feed, wrong| {
    feed.served(0);
    feed.announce(10, AnnounceEvent::Started);
    feed.pass(1);
    feed.reply(10, Ok((1, 0)));
    feed.announce(0, AnnounceEvent::Started);
    feed.pass(1);
    feed.reply(0, Ok((u32::from(!wrong), 1)));
});

twins!(an_announce_storm, announces_at_their_time_negative, "announce-storm", [], |feed, wrong| {
    feed.came(0, Bitfield::none(64));
    for _ in 0..6 {
        feed.announce(0, AnnounceEvent::Started);
        feed.reply(0, Err(TrackerFailure::TimedOut));
        feed.pass(if wrong { 1 } else { 8 });
    }
});

twins!(a_reconnect_loop, a_reconnect_now_and_then_negative, "reconnect-loop", [], |feed, wrong| {
    feed.came(0, Bitfield::none(64));
    feed.came(1, Bitfield::none(64));
    for _ in 0..12 {
        feed.meet(0, 1);
        feed.pass(1);
        feed.close(1, 0);
        feed.pass(if wrong { 5 } else { 60 });
    }
});

twins!(a_request_loop, a_request_now_and_then_negative, "request-loop", [], |feed, wrong| {
    feed.served(0);
    let block = feed.block(3, 0);
    for _ in 0..60 {
        feed.ask(0, 10, block);
        feed.say(10, 0, Message::Reject(block));
        feed.pass(if wrong { 1 } else { 20 });
        // Something else goes on.
        let (payload, other) = (Feed::payload(block), feed.geometry.block(PieceIndex(5), 0));
        feed.output(0, Output::WriteBlock { block: other, payload });
        feed.checked(0, 5, false);
    }
});

twins!(interest_that_stays, interest_that_is_taken_back_negative, "interest-stuck", [], |feed, wrong| {
    let mut have = Bitfield::none(64);
    have.insert(PieceIndex(3));
    feed.came(1, have);
    feed.served(0);
    feed.meet(0, 1);
    feed.fetch(0, 10, 3);
    if !wrong {
        feed.say(0, 1, Message::NotInterested);
    }
    feed.pass(60);
});

twins!(interest_that_is_missing, interest_that_is_told_negative, "interest-missing", [], |feed, wrong| {
    feed.served(0);
    feed.came(1, Bitfield::none(64));
    feed.meet(0, 1);
    feed.fetch(0, 10, 3);
    feed.say(0, 1, Message::Have(PieceIndex(3)));
    if !wrong {
        feed.say(1, 0, Message::Interested);
    }
    feed.pass(60);
});

twins!(a_stall, a_download_that_goes_on_negative, "stall", [], |feed, wrong| {
    feed.served(0);
    for piece in 0..8 {
        feed.pass(60);
        if !wrong {
            feed.fetch(0, 10, piece);
        }
    }
});

twins!(an_end_that_hangs, an_end_that_comes_negative, "endgame-stuck", [], |feed, wrong| {
    feed.served(0);
    for piece in 0..if wrong { 63 } else { 64 } {
        feed.fetch(0, 10, piece);
    }
    if !wrong {
        feed.say(0, 10, Message::NotInterested);
    }
    feed.pass(600);
});

twins!(a_host_that_starves, a_host_that_has_its_turn_negative, "starvation", [], |feed, wrong| {
    feed.served(0);
    feed.say(10, 0, Message::Choke);
    for piece in 0..10 {
        feed.pass(60);
        if !wrong {
            feed.say(10, 0, Message::Unchoke);
            feed.fetch(0, 10, piece);
            feed.say(10, 0, Message::Choke);
        }
    }
});

// Nobody is connected: nothing else is wrong.
twins!(a_host_that_never_finishes, a_host_that_does_negative, "must-finish", [], |feed, wrong| {
    feed.served(0);
    if !wrong {
        for piece in 0..64 {
            feed.fetch(0, 10, piece);
        }
        feed.say(0, 10, Message::NotInterested);
    }
    feed.close(0, 10);
    feed.pass(6000);
});

twins!(
    a_host_that_cannot_finish_yet,
    a_host_whose_fault_lasts_negative,
    "must-finish",
    ["fault=[{ at = \"0 s\", for = \"1000 s\", target = \"tracker\", kind = \"down\" }]"],
    |feed, wrong| {
        feed.served(0);
        feed.close(0, 10);
        let actions = feed.checks.model.scene.faults.actions.clone();
        feed.checks.fault(feed.now, &actions[0]);
        if wrong {
            feed.checks.fault(feed.now, &actions[1]);
        }
        feed.pass(10_000);
    }
);

twins!(
    blocks_that_come_again_and_again,
    blocks_that_come_once_negative,
    "endgame-bounded",
    [],
    |feed, wrong| {
        feed.served(0);
        feed.came(1, Bitfield::all(64));
        feed.meet(0, 1);
        feed.say(1, 0, Message::Unchoke);
        for piece in 0..64 {
            for nth in 0..2 {
                let block = feed.block(piece, nth);
                feed.ask(0, 10, block);
            }
        }
        for piece in 0..64 {
            for nth in 0..2 {
                let block = feed.block(piece, nth);
                if wrong {
                    feed.ask(0, 1, block);
                }
                feed.give(10, 0, block);
                if wrong {
                    feed.give(1, 0, block);
                }
            }
        }
    }
);

twins!(a_block_that_is_not_cancelled, a_block_that_is_negative, "endgame-bounded", [], |feed, wrong| {
    feed.served(0);
    feed.came(1, Bitfield::all(64));
    feed.meet(0, 1);
    feed.say(1, 0, Message::Unchoke);
    for piece in 0..64 {
        for nth in 0..2 {
            let block = feed.block(piece, nth);
            feed.ask(0, 10, block);
        }
    }
    let block = feed.block(7, 0);
    feed.ask(0, 1, block);
    feed.give(10, 0, block);
    if !wrong {
        feed.say(0, 1, Message::Cancel(block));
    }
    feed.pass(30);
});

twins!(a_seed_that_serves_the_same, a_seed_that_serves_all_negative, "seed-diversity", [], |feed, wrong| {
    for host in 0..10 {
        feed.served(host);
        for piece in 0..3 {
            feed.fetch(host, 10, if wrong { piece } else { 3 * host + piece });
        }
        feed.say(10, host, Message::Choke);
    }
});

twins!(a_herd, a_crowd_negative, "rarest-herd", [], |feed, wrong| {
    for host in 0..8 {
        feed.served(host);
        let block = feed.block(if wrong { 3 } else { host % 4 }, 0);
        feed.ask(host, 10, block);
        feed.say(10, host, Message::Choke);
        feed.say(10, host, Message::Reject(block));
    }
});

#[test]
fn who_is_there_to_break_rules_is_held_to_none() {
    let mut feed = Feed::new(&[]);
    feed.checks.model.hosts[0].exempt = true;
    feed.served(0);
    feed.say(0, 10, Message::HaveAll);
    feed.say(0, 10, Message::Unknown(99));
    assert_eq!(feed.checks.failure(), None);
    feed.say(10, 0, Message::Unknown(99));
    assert!(feed.checks.failure().is_some(), "who meets it is");
}

#[test]
fn a_failure_names_the_hosts_and_what_last_happened_to_them() {
    let mut feed = Feed::new(&[]);
    feed.served(0);
    feed.served(1);
    feed.say(10, 1, Message::Choke);
    let block = feed.block(3, 1);
    feed.ask(1, 10, block);
    let failure = feed.checks.failure().expect("it asks who chokes");
    assert_eq!((failure.hosts, failure.pieces), (vec!["leecher-1".to_owned(), "seed-0".to_owned()], vec![3]));
    assert_eq!(failure.what, "leecher-1 asks seed-0 for block 1 of piece 3, which chokes it");
    let last = failure.last_events.last().unwrap();
    assert_eq!(last, "0.000000 s leecher-1 says to seed-0: request block 1 of piece 3");
    assert!(
        failure.last_events.iter().all(|event| !event.contains("leecher-0 ")),
        "{:?}",
        failure.last_events
    );
}

#[test]
fn each_checker_has_a_name_of_its_own_and_says_what_it_finds() {
    let mut names: Vec<&str> = CHECKERS.iter().map(|(name, _)| *name).collect();
    let kebab = |name: &&str| name.chars().all(|char| char.is_ascii_lowercase() || char == '-');
    assert!(names.iter().all(kebab), "{names:?}");
    assert!(CHECKERS.iter().all(|(_, what)| what.ends_with('.') && what.len() > 40));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CHECKERS.len());
}
