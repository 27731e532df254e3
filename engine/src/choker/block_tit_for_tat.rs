//! Pairwise block-level tit for tat: Bharambe, Herley, Padmanabhan, "Analyzing and Improving a BitTorrent Network's
//! Performance Mechanisms", INFOCOM 2006.
//!
//! With U_ab the blocks that A has sent to B, and D_ab those that it has had from B, A sends B another one only while
//! U_ab ≤ D_ab + Δ. Δ is the threshold of unfairness: the most that a free rider gets on a connection, but for what is
//! handed out to the socket buffer at once.

use std::collections::{BTreeMap, BTreeSet};

use super::deal::Deal;
use super::rotation::Rotation;
use super::rounds::Rounds;
use super::{ChokeEvent, ChokePeer, ChokeView, Choker, Slot, StandardConfig, leeching, seeding};
use crate::dice::Dice;
use crate::time::Instant;
use crate::units::{BLOCK_LEN, ConnId};
use crate::why::Reason;

/// Mainline's choker among those alone that owe us no more than a threshold; while seeding, mainline's.
///
/// Whoever owes more is choked at once, and may have a slot again as soon as it owes no more. What its socket buffer
/// holds by then is still sent.
#[derive(Debug)]
pub struct BlockTitForTat {
    rounds: Rounds,
    rotation: Rotation,
    /// Δ, in bytes.
    threshold: i64,
    /// How much more each peer was sent than it sent, to the block.
    owed: BTreeMap<ConnId, i64>,
    /// Who owed too much at the last decision.
    debtors: BTreeSet<ConnId>,
    seeding: bool,
}

impl BlockTitForTat {
    /// A choker that lets peers owe `threshold` bytes.
    pub fn new(config: StandardConfig, threshold: u64, now: Instant, dice: &mut Dice) -> Self {
        Self {
            rounds: Rounds::new(config, now, dice),
            rotation: Rotation::default(),
            threshold: i64::try_from(threshold).unwrap_or(i64::MAX),
            owed: BTreeMap::new(),
            debtors: BTreeSet::new(),
            seeding: false,
        }
    }

    /// Those who owe us no more than the threshold; to have been choked for debt keeps nobody waiting.
    fn creditworthy(&mut self, view: &ChokeView<'_>) -> Vec<ChokePeer> {
        let mut worthy = Vec::new();
        let before = std::mem::take(&mut self.debtors);
        for peer in view.peers {
            let owed = peer.sent as i64 - peer.received as i64;
            self.owed.insert(peer.conn, owed);
            if owed > self.threshold {
                self.debtors.insert(peer.conn);
            } else {
                let changed_at = if before.contains(&peer.conn) { Instant::ZERO } else { peer.changed_at };
                worthy.push(ChokePeer { changed_at, ..*peer });
            }
        }
        worthy
    }

    /// A peer owes `bytes` more, or less; whether that crosses the threshold.
    fn owes(&mut self, conn: ConnId, bytes: i64) -> bool {
        let owed = self.owed.entry(conn).or_default();
        let before = *owed > self.threshold;
        *owed += bytes;
        !self.seeding && before != (*owed > self.threshold)
    }
}

impl Choker for BlockTitForTat {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, dice: &mut Dice, out: &mut Vec<Slot>) {
        let start = out.len();
        self.seeding = view.seeding;
        let round = self.rounds.begin(view, now);
        if view.seeding {
            seeding::deal(&Deal::new(view, now, round, &self.rounds), &mut self.rotation, out);
            self.rounds.note(view, &out[start..]);
        } else {
            let peers = self.creditworthy(view);
            let worthy = ChokeView { peers: &peers, ..*view };
            let deal = Deal::new(&worthy, now, round, &self.rounds);
            leeching::deal(&deal, &mut self.rotation, dice, out);
            self.rounds.note(&worthy, &out[start..]);
            view.why.smallest_first(|| {
                let debtors =
                    self.debtors.iter().filter(|conn| view.peer(**conn).is_some_and(|peer| peer.interested));
                debtors.map(|&conn| {
                    let owed = self.owed.get(&conn).copied().unwrap_or_default();
                    Reason::new(conn, owed as f64, "bytes that it owes")
                        .with_note("owes more than the threshold")
                })
            });
        }
    }

    fn next_decision(&self) -> Instant {
        self.rounds.next()
    }

    fn on_event(&mut self, event: ChokeEvent, _now: Instant, dice: &mut Dice) -> bool {
        self.rotation.on_event(event, dice);
        match event {
            ChokeEvent::BlockSent(conn) => self.owes(conn, i64::from(BLOCK_LEN)),
            ChokeEvent::BlockReceived(conn) => self.owes(conn, -i64::from(BLOCK_LEN)),
            ChokeEvent::Left { conn, .. } => {
                self.owed.remove(&conn);
                self.debtors.remove(&conn);
                self.rounds.on_event(event)
            }
            _ => self.rounds.on_event(event),
        }
    }
}
