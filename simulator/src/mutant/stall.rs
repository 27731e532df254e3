//! A peer that unchokes and never sends.

use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::units::{Block, ConnId};
use torrentlab_engine::wire::{Message, Payload};

use super::{Relay, Rule};

/// Takes requests and keeps every block back, until it is over. What was cancelled meanwhile is not sent.
#[derive(Debug, Default)]
pub struct Stall {
    kept: Vec<(ConnId, Block)>,
}

impl Rule for Stall {
    fn output(&mut self, output: Output, relay: &mut Relay) {
        match output {
            Output::SendBlock { conn, block } => self.kept.push((conn, block)),
            Output::CancelBlock { conn, block, reject } => {
                let Some(at) = self.kept.iter().position(|kept| *kept == (conn, block)) else {
                    return relay.to_driver(Output::CancelBlock { conn, block, reject });
                };
                self.kept.remove(at);
                // As the driver does it: the room comes back, and the request has its answer (BEP 6).
                let payload = Payload::Synthetic { len: block.len, tag: 0 };
                let bytes = Message::Piece { block, payload }.wire_len();
                relay.to_node(Input::Writable { conn, bytes });
                if reject {
                    relay.to_driver(Output::Send { conn, message: Message::Reject(block) });
                }
            }
            other => relay.to_driver(other),
        }
    }

    fn end(&mut self, relay: &mut Relay) {
        self.kept.drain(..).for_each(|(conn, block)| relay.to_driver(Output::SendBlock { conn, block }));
    }
}
