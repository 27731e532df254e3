//! Seeds spend themselves on what is rare.

use std::collections::BTreeMap;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::Output;
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::{ConnId, PieceIndex};
use torrentlab_engine::wire::Message;

use super::model::Model;
use super::{Act, Checker, Found};

pub(super) const SEED_DIVERSITY: (&str, &str) = (
    "seed-diversity",
    "While there are pieces that the seeds served to nobody, and all others came with nothing, the seeds do not serve those \
     who want the rarest first six times as many pieces as different ones.",
);
pub(super) const RAREST_HERD: (&str, &str) = (
    "rarest-herd",
    "Eight hosts who pick the rarest piece do not begin the same one with the same seed, one after the other, while each \
     of them knew sixteen pieces as rare.",
);

/// Pieces that seeds have served before they are judged, and how often each.
const MIN_PIECES: u64 = 16;
const TIMES: u64 = 6;
/// Hosts that begin the same piece, and pieces that were as rare: by chance once in 16^7.
const HERD: usize = 8;
const AS_RARE: usize = 16;

#[derive(Default)]
pub(super) struct Diversity {
    /// Somebody came with some of the pieces: which of them are rare is not known.
    mixed: bool,
    blocks: u64,
    served: Option<Bitfield>,
    /// By seed: the piece that was begun with it last, and by whom.
    herds: BTreeMap<u32, (PieceIndex, Vec<u32>)>,
}

impl Checker for Diversity {
    fn output(&mut self, model: &Model, now: Instant, host: u32, act: &Act<'_>, found: &mut Found) {
        match act.output {
            Output::SendBlock { conn, block } => self.serves(model, now, host, *conn, block.piece, found),
            Output::Send { conn, message: Message::Request(block) }
                if model.host(host).untouched.contains(&block.piece) =>
            {
                self.begins(model, now, host, *conn, block.piece, found);
            }
            _ => {}
        }
    }
}

impl Diversity {
    fn serves(
        &mut self,
        model: &Model,
        now: Instant,
        host: u32,
        conn: ConnId,
        piece: PieceIndex,
        found: &mut Found,
    ) {
        self.mixed |= model.came_with_some;
        if self.mixed || !model.host(host).original_seed || !model.is_judged(host) {
            return;
        }
        let pieces = model.geometry().pieces();
        let served = self.served.get_or_insert_with(|| Bitfield::none(pieces));
        served.insert(piece);
        let to = model.conn(host, conn).and_then(|conn| conn.peer);
        let Some(to) = to.filter(|&to| model.facts(to).rarest_first && model.is_honest(Some(to))) else {
            return;
        };
        self.blocks += 1;
        let sent = self.blocks / u64::from(model.geometry().blocks_in(PieceIndex(0)));
        let different = u64::from(served.count());
        if !served.is_full() && sent >= MIN_PIECES && different * TIMES < sent {
            found.report(SEED_DIVERSITY.0, now, [host, to], [piece], || {
                let name = model.scene.names.name(host);
                format!(
                    "the seeds, such as {name}, have sent as much as {sent} pieces and no more than {different} different ones \
                     of {pieces}"
                )
            });
        }
    }

    /// A host asks a peer for the first block of a piece.
    fn begins(
        &mut self,
        model: &Model,
        now: Instant,
        host: u32,
        conn: ConnId,
        piece: PieceIndex,
        found: &mut Found,
    ) {
        let judged = model.is_judged(host) && model.facts(host).rarest_first;
        let seed = model.conn(host, conn).and_then(|conn| conn.peer);
        let is_seed = |&seed: &u32| model.host(seed).original_seed && model.is_judged(seed);
        let Some(seed) = seed.filter(is_seed).filter(|_| judged) else { return };
        let (last, herd) = self.herds.entry(seed).or_insert((piece, Vec::new()));
        if *last != piece {
            (*last, *herd) = (piece, Vec::new());
        }
        if herd.contains(&host) || as_rare(model, host, piece) < AS_RARE {
            return;
        }
        herd.push(host);
        if herd.len() >= HERD {
            let herd = herd.clone();
            found.report(RAREST_HERD.0, now, [seed].into_iter().chain(herd), [piece], || {
                let name = model.scene.names.name(seed);
                format!("{HERD} hosts have begun piece {piece} with {name} one after the other, though others were as rare")
            });
        }
    }
}

/// Missing pieces that the peers of `host` have as rarely as `piece`, or more rarely.
fn as_rare(model: &Model, host: u32, piece: PieceIndex) -> usize {
    let state = model.host(host);
    let copies = |piece: PieceIndex| state.conns().filter(|conn| conn.peer_has.has(piece)).count();
    let own = copies(piece);
    state.untouched.iter().filter(|&&other| (1..=own).contains(&copies(other))).count()
}
