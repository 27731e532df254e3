//! BitTyrant: Piatek, Isdal, Anderson, Krishnamurthy, Venkataramani, "Do incentives build robustness in BitTorrent?",
//! NSDI 2007.
//!
//! Of each peer p two rates are estimated: d_p, what it gives when it unchokes us, and u_p, what it has to be given for
//! that. Each round peers are ranked by d_p / u_p and unchoked in that order, each with just u_p, until the capacity is
//! spent. Then u_p rises by δ where a peer that has a slot does not reciprocate, and falls by γ where it has
//! reciprocated for r rounds.
//!
//! Where the paper leaves room: d_p of a peer that chokes us follows from how fast it announces pieces, as its upload
//! capacity in equal parts, which it takes to be the same as its download; until there is such a figure it is the
//! first estimate. d_p of one that unchokes us is what it sent in a round that it unchoked us for, from beginning to end.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::deal::Deal;
use super::rotation::Rotation;
use super::rounds::Rounds;
use super::{ChokeEvent, ChokePeer, ChokeView, Choker, Slot, StandardConfig, seeding};
use crate::dice::Dice;
use crate::time::{Duration, Instant};
use crate::units::ConnId;
use crate::why::Reason;

/// δ: u_p rises by 20%.
const RISE: (u64, u64) = (6, 5);
/// γ: u_p falls by 10%.
const FALL: (u64, u64) = (9, 10);
/// r: after so many rounds of reciprocation.
const ROUNDS: u32 = 3;
/// Into how many parts a peer's capacity is taken to be split.
const PARTS: u64 = 4;
/// u_p falls to this and no further: a block of 16 KiB in 16 s.
const LEAST: u64 = 1024;

/// The constants of a [`BitTyrant`] choker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BitTyrantConfig {
    /// The rounds; and the slots while seeding, when this is mainline's choker.
    pub rounds: StandardConfig,
    /// What there is to be spent, in payload bytes a second; at most the limit of the moment. `None` is no end of it.
    pub capacity: Option<u64>,
    /// The first estimate of u_p. The paper's is just above what most peers give, as it measured that.
    pub offer: u64,
    /// The first estimate of d_p. The paper's is the measured capacity of peers in equal parts.
    pub expect: u64,
}

/// The strategic client: it gives each peer as little as it takes, and those first that give most for it.
///
/// How many are unchoked follows from the capacity: neither slots nor optimistic slots count while leeching.
#[derive(Debug)]
pub struct BitTyrant {
    config: BitTyrantConfig,
    rounds: Rounds,
    rotation: Rotation,
    peers: BTreeMap<ConnId, Estimate>,
    last_round: Instant,
    /// Capacity that the last decision left over.
    spare: u64,
}

/// What is known of a peer.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    /// u_p and d_p.
    up: u64,
    down: u64,
    /// At how many round ends in a row it did not choke us.
    reciprocated: u32,
    /// What it had sent at the last round.
    received: u64,
    /// What it had when it joined, and when that was.
    first: Option<(u32, Instant)>,
}

impl BitTyrant {
    /// A choker that first spends its capacity within the first round.
    pub fn new(config: BitTyrantConfig, now: Instant, dice: &mut Dice) -> Self {
        let rounds = Rounds::new(config.rounds, now, dice);
        let spare = config.capacity.unwrap_or(u64::MAX);
        let (rotation, peers) = (Rotation::default(), BTreeMap::new());
        Self { config, rounds, rotation, peers, last_round: now, spare }
    }

    /// u_p and d_p of a peer.
    pub fn estimate(&self, conn: ConnId) -> Option<(u64, u64)> {
        self.peers.get(&conn).map(|peer| (peer.up, peer.down))
    }

    /// Learns from the round that ends.
    fn learn(&mut self, view: &ChokeView<'_>, now: Instant) {
        let took = now.since(self.last_round);
        self.last_round = now;
        for peer in view.peers {
            let Some(estimate) = self.peers.get_mut(&peer.conn) else { continue };
            estimate.learn(peer, took, now, view.piece_len);
        }
    }

    fn deal(&mut self, deal: &Deal<'_>, dice: &mut Dice, out: &mut Vec<Slot>) {
        let capacity = [self.config.capacity, deal.view.limit_up].into_iter().flatten().min();
        let mut left = capacity.unwrap_or(u64::MAX);
        let known = |peer: &ChokePeer| self.peers.get(&peer.conn).copied();
        let peers = deal.view.peers.iter().filter(|peer| deal.may_serve(peer));
        let mut ranked: Vec<_> = peers.filter_map(|peer| Some((peer, known(peer)?))).collect();
        dice.shuffle(&mut ranked);
        ranked.sort_by(|(a, x), (b, y)| deal.holds(b).cmp(&deal.holds(a)).then_with(|| x.compare(y)));
        let start = out.len();
        for &(peer, Estimate { up, .. }) in &ranked {
            // The first is served even if the capacity is less than it takes.
            if up > left && out.len() > start {
                break;
            }
            out.push(Slot::regular(peer.conn).capped(Some(up.min(left))));
            left = left.saturating_sub(up);
        }
        self.spare = left;
        let served = out.len() - start;
        deal.view.why.say(|| {
            let reason = |(nth, (peer, estimate)): (usize, &(&ChokePeer, Estimate))| {
                let reason = deal.note_held(peer, estimate.reason(peer));
                if nth < served { reason } else { reason.with_note("the capacity is spent on others") }
            };
            ranked.iter().enumerate().map(reason)
        });
        deal.say_barred();
    }
}

impl Estimate {
    fn learn(&mut self, peer: &ChokePeer, took: Duration, now: Instant, piece_len: u32) {
        let (first, since) = *self.first.get_or_insert((peer.pieces, now));
        let received = peer.received - self.received;
        self.received = peer.received;
        if !peer.interesting {
            // It has nothing to give, which says nothing about what it would.
            self.reciprocated = 0;
        } else if peer.choking {
            self.reciprocated = 0;
            let pieces = u64::from(peer.pieces.saturating_sub(first));
            if let Some(rate) = per_second(pieces * u64::from(piece_len), now.since(since))
                && pieces > 0
            {
                self.down = rate / PARTS;
            }
            if peer.unchoked && peer.interested {
                self.up = scale(self.up, RISE);
            }
        } else {
            self.reciprocated += 1;
            if let Some(rate) = per_second(received, took).filter(|_| self.reciprocated > 1) {
                self.down = rate;
            }
            if peer.unchoked && self.reciprocated >= ROUNDS {
                self.up = scale(self.up, FALL).max(LEAST);
            }
        }
    }

    /// d / u, as a reason.
    fn reason(&self, peer: &ChokePeer) -> Reason<ConnId> {
        let gain = self.down as f64 / self.up.max(1) as f64;
        Reason::new(peer.conn, gain, "bytes expected from it for each byte to it")
    }

    /// The higher d / u first.
    fn compare(&self, other: &Self) -> Ordering {
        let cross = |down: u64, up: u64| u128::from(down) * u128::from(up);
        cross(other.down, self.up).cmp(&cross(self.down, other.up))
    }
}

impl Choker for BitTyrant {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, dice: &mut Dice, out: &mut Vec<Slot>) {
        let start = out.len();
        let round = self.rounds.begin(view, now);
        if round.is_some() {
            self.learn(view, now);
        }
        let deal = Deal::new(view, now, round, &self.rounds);
        if view.seeding {
            seeding::deal(&deal, &mut self.rotation, out);
        } else {
            self.deal(&deal, dice, out);
        }
        self.rounds.note(view, &out[start..]);
    }

    fn next_decision(&self) -> Instant {
        self.rounds.next()
    }

    fn on_event(&mut self, event: ChokeEvent, _now: Instant, dice: &mut Dice) -> bool {
        self.rotation.on_event(event, dice);
        match event {
            ChokeEvent::Joined(conn) => {
                let BitTyrantConfig { offer, expect, .. } = self.config;
                let up = offer.max(LEAST);
                let new = Estimate { up, down: expect, reciprocated: 0, received: 0, first: None };
                self.peers.insert(conn, new);
            }
            ChokeEvent::Left { conn, .. } => _ = self.peers.remove(&conn),
            _ => (),
        }
        let freed = self.rounds.on_event(event);
        freed || matches!(event, ChokeEvent::Interested { unchoked: false, .. } if self.spare > 0)
    }
}

/// Bytes a second, if there was time.
fn per_second(bytes: u64, took: Duration) -> Option<u64> {
    let nanos = u128::from(took.as_nanos());
    (nanos > 0).then(|| (u128::from(bytes) * 1_000_000_000 / nanos) as u64)
}

fn scale(rate: u64, (by, of): (u64, u64)) -> u64 {
    rate.saturating_mul(by) / of
}
