//! What is announced and served is there, and what arrives was sent.

use std::collections::BTreeMap;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Input, Output, StorageOp};
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::{Block, PieceIndex};
use torrentlab_engine::wire::{Message, Payload};

use super::model::Model;
use super::recent::of_block;
use super::{Act, Checker, Found};
use crate::content::tag;
use crate::fault::Hits;

pub(super) const VERIFIED_ONLY: (&str, &str) =
    ("verified-only", "A host announces and serves pieces that it came with or has checked, and no others.");
pub(super) const BYTES_CONSERVED: (&str, &str) = (
    "bytes-conserved",
    "A block that arrives was sent by the other end of the connection, no more often than it was sent, whole and with its \
     own content; and a piece whose blocks all came from peers who keep the rules is never found wrong.",
);

/// Only what was checked is announced and served.
pub(super) struct VerifiedOnly;

impl Checker for VerifiedOnly {
    fn output(&mut self, model: &Model, now: Instant, host: u32, act: &Act<'_>, found: &mut Found) {
        if !model.is_judged(host) {
            return;
        }
        let have = &model.host(host).have;
        let lacks = |piece: PieceIndex| !have.has(piece);
        let mut tell = |does: &str, piece: PieceIndex| {
            found.report(VERIFIED_ONLY.0, now, [host], [piece], || {
                let name = model.scene.names.name(host);
                format!("{name} {does} piece {piece}, which it does not have or has not checked")
            });
        };
        match act.output {
            Output::Broadcast { piece, .. } | Output::Send { message: Message::Have(piece), .. }
                if lacks(*piece) =>
            {
                tell("announces", *piece);
            }
            Output::Send { message: Message::HaveAll, .. } if !have.is_full() => {
                let piece = Bitfield::all(have.len()).minus(have).next();
                tell("announces", piece.unwrap_or_default());
            }
            Output::Send { message: Message::Bitfield(bits), .. } => {
                let told = Bitfield::from_wire(bits, have.len());
                if let Some(piece) = told.as_ref().and_then(|told| told.minus(have).next()) {
                    tell("announces", piece);
                }
            }
            Output::SendBlock { block, .. } | Output::Send { message: Message::Piece { block, .. }, .. }
                if lacks(block.piece) =>
            {
                tell("serves", block.piece);
            }
            _ => {}
        }
    }
}

/// What arrives was sent, and is what it should be.
#[derive(Default)]
pub(super) struct BytesConserved {
    /// Blocks under way from one host to another.
    under_way: BTreeMap<(u32, u32), Vec<Block>>,
    /// By host and piece: whether a block came from somebody who may spoil it.
    doubtful: BTreeMap<(u32, PieceIndex), bool>,
}

impl Checker for BytesConserved {
    fn came(&mut self, _: &Model, _: Instant, host: u32) {
        self.under_way.retain(|&(_, to), _| to != host);
        self.doubtful.retain(|&(of, _), _| of != host);
    }

    fn input(&mut self, model: &Model, now: Instant, host: u32, input: &Input, found: &mut Found) {
        match input {
            Input::Message { conn, message: Message::Piece { block, payload } } => {
                let Some(conn) = model.conn(host, *conn) else { return };
                let honest = model.is_honest(conn.peer);
                if model.geometry().holds(*block) && !model.host(host).have.has(block.piece) {
                    *self.doubtful.entry((host, block.piece)).or_default() |= !honest;
                }
                let Some(peer) = conn.peer.filter(|_| honest) else { return };
                let mut tell = |how: &str| {
                    found.report(BYTES_CONSERVED.0, now, [host, peer], [block.piece], || {
                        let name = |host| model.scene.names.name(host);
                        format!("{} receives {} of {}, {how}", name(host), of_block(*block), name(peer))
                    });
                };
                let sent = self.under_way.get_mut(&(peer, host));
                let at = sent.as_ref().and_then(|sent| sent.iter().position(|other| other == block));
                match (sent, at) {
                    (Some(sent), Some(at)) => _ = sent.remove(at),
                    _ => tell("which did not send it, or not so often"),
                }
                let original = match payload {
                    Payload::Synthetic { tag: other, .. } => *other == tag(*block),
                    Payload::Bytes(_) => true,
                };
                if payload.len() != block.len || !original {
                    tell("with other content than it has");
                }
            }
            Input::PieceChecked { piece, ok, .. } => {
                let doubtful = self.doubtful.remove(&(host, *piece)).unwrap_or(true);
                if !ok && !doubtful && !has_bad_disk(model, host) {
                    found.report(BYTES_CONSERVED.0, now, [host], [*piece], || {
                        let name = model.scene.names.name(host);
                        format!("{name} finds piece {piece} wrong, whose blocks came from peers who keep the rules")
                    });
                }
            }
            Input::Closed { conn, .. } => self.ended(model, host, *conn),
            Input::StorageFailed { op: StorageOp::Read { conn, block }, .. } => {
                let peer = model.conn(host, *conn).and_then(|conn| conn.peer);
                let sent = peer.and_then(|peer| self.under_way.get_mut(&(host, peer)));
                let at = sent.as_ref().and_then(|sent| sent.iter().rposition(|other| other == block));
                if let (Some(sent), Some(at)) = (sent, at) {
                    sent.remove(at);
                }
            }
            _ => {}
        }
    }

    fn output(&mut self, model: &Model, _: Instant, host: u32, act: &Act<'_>, _: &mut Found) {
        match act.output {
            Output::SendBlock { conn, block }
            | Output::Send { conn, message: Message::Piece { block, .. } } => {
                if let Some(peer) = model.conn(host, *conn).and_then(|conn| conn.peer) {
                    self.under_way.entry((host, peer)).or_default().push(*block);
                }
            }
            Output::Close { conn, .. } => self.ended(model, host, *conn),
            _ => {}
        }
    }
}

impl BytesConserved {
    /// The end of `host` of a connection is gone: what was on its way to it is lost, unless there is another one.
    fn ended(&mut self, model: &Model, host: u32, conn: torrentlab_engine::units::ConnId) {
        let Some(conn) = model.conn(host, conn) else { return };
        let Some(peer) = conn.peer else { return };
        let other = model.host(host).conns().any(|other| other.id != conn.id && other.peer == Some(peer));
        if !other {
            self.under_way.remove(&(peer, host));
        }
    }
}

/// Whether what a host has stored may change by itself.
fn has_bad_disk(model: &Model, host: u32) -> bool {
    use torrentlab_scenarios::schema::FaultKind::{DiskFull, ReadError, Restart};
    model.scene.faults.faults.iter().any(|fault| {
        matches!(fault.kind, DiskFull | ReadError | Restart(_))
            && matches!(&fault.hits, Hits::Hosts(hosts) if hosts.contains(&host))
    })
}
