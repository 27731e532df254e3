//! A peer that announces pieces which it lacks.

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::units::{ConnId, PieceIndex};
use torrentlab_engine::wire::Message;

use super::{Relay, Rule};

/// What a liar does when it is asked for what it lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// What an honest client does: it rejects the request, where the Fast extension has a message for that.
    Reject,
    /// Nothing.
    Silence,
}

/// Tells every peer that it has every piece. A `have` cannot be taken back, so that lasts when the rule is over.
#[derive(Debug)]
pub struct Liar {
    has: Bitfield,
    answer: Answer,
}

impl Liar {
    /// A rule for a node that has the pieces `has`.
    pub fn new(has: Bitfield, answer: Answer) -> Self {
        Self { has, answer }
    }

    fn lie_to(&self, conn: ConnId, relay: &mut Relay) {
        for piece in (0..self.has.len()).map(PieceIndex).filter(|piece| !self.has.has(*piece)) {
            relay.to_driver(Output::Send { conn, message: Message::Have(piece) });
        }
    }
}

impl Rule for Liar {
    fn input(&mut self, input: Input, relay: &mut Relay) {
        match &input {
            Input::Message { message: Message::Request(block), .. }
                if self.answer == Answer::Silence && !self.has.has(block.piece) =>
            {
                return;
            }
            Input::PieceChecked { piece, ok: true, .. } => _ = self.has.insert(*piece),
            _ => (),
        }
        relay.to_node(input);
    }

    fn opened(&mut self, conn: ConnId, relay: &mut Relay) {
        self.lie_to(conn, relay);
    }

    fn begin(&mut self, relay: &mut Relay) {
        relay.open_conns().into_iter().for_each(|conn| self.lie_to(conn, relay));
    }
}
