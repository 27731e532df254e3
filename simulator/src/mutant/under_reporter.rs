//! A peer that announces no more pieces than it takes to keep others interested.

use std::collections::BTreeMap;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::{Event, Input, Output};
use torrentlab_engine::units::{ConnId, PieceIndex};
use torrentlab_engine::wire::Message;

use super::{Relay, Rule};

/// Strategic piece revelation (Levin, LaCurts, Spring, Bhattacharjee, "BitTorrent is an Auction", SIGCOMM 2008): what
/// others know of, they can trade among themselves, so a peer is told of one piece at a time, and only when it would
/// lose interest. That is the one that most of our peers have, of those that it lacks. Who has everything has nothing
/// more to gain, and tells it.
#[derive(Debug)]
pub struct UnderReporter {
    has: Bitfield,
    dice: Dice,
    done: bool,
    peers: BTreeMap<ConnId, Known>,
}

/// What is known of a peer, and what it knows.
#[derive(Debug)]
struct Known {
    has: Bitfield,
    told: Bitfield,
}

impl UnderReporter {
    /// A rule for a node that has the pieces `has`. Of pieces that are equally common it draws one.
    pub fn new(has: Bitfield, dice: Dice) -> Self {
        Self { done: has.is_full(), has, dice, peers: BTreeMap::new() }
    }

    fn peer(&mut self, conn: ConnId) -> &mut Known {
        let pieces = self.has.len();
        let nothing = || Known { has: Bitfield::none(pieces), told: Bitfield::none(pieces) };
        self.peers.entry(conn).or_insert_with(nothing)
    }

    /// Tells the peer of one piece more, if it wants none of those that it knows of.
    fn keep_interested(&mut self, conn: ConnId, relay: &mut Relay) {
        let Some(peer) = self.peers.get(&conn) else { return };
        if self.done || peer.told.exceeds(&peer.has) {
            return;
        }
        let copies = |piece: PieceIndex| self.peers.values().filter(|peer| peer.has.has(piece)).count();
        let untold = self.has.minus(&peer.has).filter(|piece| !peer.told.has(*piece));
        let lacking: Vec<_> = untold.map(|piece| (piece, copies(piece))).collect();
        let most = lacking.iter().map(|&(_, copies)| copies).max();
        let common: Vec<_> = lacking.into_iter().filter(|&(_, copies)| Some(copies) == most).collect();
        let Some(drawn) = self.dice.index(common.len()) else { return };
        self.tell(conn, common[drawn].0, relay);
    }

    fn tell(&mut self, conn: ConnId, piece: PieceIndex, relay: &mut Relay) {
        self.peer(conn).told.insert(piece);
        relay.to_driver(Output::Send { conn, message: Message::Have(piece) });
    }

    /// Tells everyone everything.
    fn finish(&mut self, relay: &mut Relay) {
        self.done = true;
        for conn in relay.open_conns() {
            let told = self.peer(conn).told.clone();
            let untold = (0..self.has.len()).map(PieceIndex).filter(|piece| !told.has(*piece));
            untold.for_each(|piece| self.tell(conn, piece, relay));
        }
    }

    /// Notes what a peer says that it has, or shows by wanting nothing more.
    fn hear(&mut self, conn: ConnId, message: &Message) {
        let pieces = self.has.len();
        let peer = self.peer(conn);
        match message {
            Message::Have(piece) if piece.get() < pieces as usize => _ = peer.has.insert(*piece),
            Message::HaveAll => peer.has = Bitfield::all(pieces),
            Message::Bitfield(bits) => {
                peer.has = Bitfield::from_wire(bits, pieces).unwrap_or(Bitfield::none(pieces));
            }
            Message::NotInterested => peer.told.iter().for_each(|piece| _ = peer.has.insert(piece)),
            _ => (),
        }
    }
}

impl Rule for UnderReporter {
    fn input(&mut self, input: Input, relay: &mut Relay) {
        let mut lost_interest = None;
        match &input {
            Input::Message { conn, message } => {
                self.hear(*conn, message);
                lost_interest = Some(*conn);
            }
            Input::Closed { conn, .. } => _ = self.peers.remove(conn),
            Input::PieceChecked { piece, ok: true, .. } => _ = self.has.insert(*piece),
            _ => (),
        }
        let gained = matches!(input, Input::PieceChecked { ok: true, .. });
        relay.to_node(input);
        let open = relay.open_conns();
        for conn in open.into_iter().filter(|conn| gained || lost_interest == Some(*conn)) {
            self.keep_interested(conn, relay);
        }
    }

    fn output(&mut self, output: Output, relay: &mut Relay) {
        match output {
            Output::Send { message: Message::Have(_), .. } if !self.done => (),
            Output::Send { conn, message: Message::Bitfield(bits) } if !self.done => {
                let message = Message::Bitfield(vec![0; bits.len()].into());
                relay.to_driver(Output::Send { conn, message });
            }
            Output::Event(Event::Completed) if !self.done => {
                relay.to_driver(output);
                self.finish(relay);
            }
            Output::Close { conn, .. } => {
                self.peers.remove(&conn);
                relay.to_driver(output);
            }
            other => relay.to_driver(other),
        }
    }

    fn opened(&mut self, conn: ConnId, relay: &mut Relay) {
        self.peer(conn);
        self.keep_interested(conn, relay);
    }
}

#[cfg(test)]
mod tests {
    use torrentlab_engine::units::ConnSlots;

    use super::*;

    /// A rule among peers. What it tells is written `0:3`: the first peer is told of the fourth piece.
    struct Swarm {
        rule: UnderReporter,
        relay: Relay,
        slots: ConnSlots,
        conns: Vec<ConnId>,
    }

    /// Pieces as a picture: `#` is there.
    fn pieces(picture: &str) -> Bitfield {
        let mut pieces = Bitfield::none(picture.len() as u32);
        let there = picture.bytes().zip(0..).filter(|(byte, _)| *byte == b'#');
        there.for_each(|(_, piece)| _ = pieces.insert(PieceIndex(piece)));
        pieces
    }

    impl Swarm {
        fn new(has: &str) -> Self {
            let rule = UnderReporter::new(pieces(has), Dice::stream(1, ("test", 0, "revelation")));
            Self { rule, relay: Relay::default(), slots: ConnSlots::default(), conns: Vec::new() }
        }

        fn told(&mut self) -> String {
            let conns = &self.conns;
            let told = self.relay.outputs.drain(..).filter_map(|output| match output {
                Output::Send { conn, message: Message::Have(PieceIndex(piece)) } => {
                    Some(format!("{}:{piece}", conns.iter().position(|other| *other == conn)?))
                }
                _ => None,
            });
            told.collect::<Vec<_>>().join(" ")
        }

        fn joins(&mut self, has: &str) -> String {
            let conn = self.slots.open();
            self.conns.push(conn);
            self.relay.conns.open.insert(conn);
            self.rule.opened(conn, &mut self.relay);
            let early = self.told();
            let message = Message::Bitfield(pieces(has).to_wire().into());
            self.rule.input(Input::Message { conn, message }, &mut self.relay);
            format!("{early} {}", self.told()).trim().to_owned()
        }

        fn says(&mut self, peer: usize, message: Message) -> String {
            self.rule.input(Input::Message { conn: self.conns[peer], message }, &mut self.relay);
            self.told()
        }

        fn gets(&mut self, piece: u32) -> String {
            let input = Input::PieceChecked { piece: PieceIndex(piece), ok: true, digests: Vec::new() };
            self.rule.input(input, &mut self.relay);
            self.told()
        }
    }

    #[test]
    fn a_peer_is_told_of_one_piece_until_it_has_it() {
        let mut swarm = Swarm::new("###.");
        let first = swarm.joins("....");
        assert_eq!(first.len(), 3, "one piece: {first}");
        assert_eq!(swarm.gets(3), "", "it still wants the first");
        let piece = PieceIndex(first[2..].parse().unwrap());
        assert_eq!(swarm.says(0, Message::Have(piece)).len(), 3, "the next");
    }

    #[test]
    fn the_most_common_of_what_it_lacks_is_told_first() {
        let mut swarm = Swarm::new("####");
        swarm.rule.done = false;
        swarm.joins("..##");
        swarm.joins("#.#.");
        swarm.joins("..#.");
        // Of the copies 1, 0, 3, 1 those of the third piece are most.
        let last = swarm.conns.len();
        assert_eq!(swarm.joins("##.#"), format!("{last}:2"));
    }

    #[test]
    fn who_wants_nothing_more_is_told_of_more() {
        let mut swarm = Swarm::new("##..");
        let first = swarm.joins("....");
        let second = swarm.says(0, Message::NotInterested);
        assert!(second.len() == 3 && second != first, "{first}, {second}");
        assert_eq!(swarm.says(0, Message::NotInterested), "", "there is no more");
    }

    #[test]
    fn a_seed_is_told_nothing_once_it_is_known_for_one() {
        let mut swarm = Swarm::new("##..");
        assert!(swarm.joins("####").len() <= 3);
        assert_eq!(swarm.gets(2), "");
    }

    #[test]
    fn who_has_everything_hides_nothing_negative() {
        let mut swarm = Swarm::new("##..");
        swarm.joins("....");
        swarm.gets(2);
        swarm.gets(3);
        swarm.rule.output(Output::Event(Event::Completed), &mut swarm.relay);
        assert_eq!(swarm.told().split(' ').count(), 3, "all but the one that it was told of");
        let have = Output::Send { conn: swarm.conns[0], message: Message::Have(PieceIndex(0)) };
        swarm.rule.output(have, &mut swarm.relay);
        assert_eq!(swarm.told(), "0:0");
    }
}
