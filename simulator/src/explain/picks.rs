//! The decorator of a picker.

use std::cell::RefCell;
use std::fmt;

use torrentlab_engine::dice::Dice;
use torrentlab_engine::picker::{Change, PeerView, Picker, SwarmView};
use torrentlab_engine::units::PieceIndex;
use torrentlab_engine::why::{Reasons, Why};
use torrentlab_reports::record::{Decision, Explanation, Outcome, ReasonRow};

use super::listener::Listener;
use super::ranks::{Ranked, rank};

/// So many candidates have a row, beside those that are picked.
const SHOWN: usize = 16;

/// A picker that is asked why.
pub(super) struct Picks {
    inner: Box<dyn Picker>,
    listener: Listener,
}

impl fmt::Debug for Picks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Picks {
    pub fn new(inner: Box<dyn Picker>, listener: Listener) -> Self {
        Self { inner, listener }
    }

    fn explain(
        &self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        reasons: &Reasons<PieceIndex>,
        picked: &[PieceIndex],
    ) -> Explanation {
        let mut ranked = rank(view.offered_by(peer), reasons, |piece| picked.contains(&piece));
        let candidates = ranked.len() as u32;
        let next = next(&ranked);
        let mut shown = 0;
        ranked.retain(|candidate| {
            shown += 1;
            shown <= SHOWN || candidate.is_chosen
        });
        let from = self.listener.peer(peer.addr);
        let row = |candidate: Ranked<PieceIndex>| {
            let said = candidate.reason;
            ReasonRow {
                peer: from.clone(),
                piece: Some(candidate.of.get() as u32),
                outcome: if candidate.is_chosen { Outcome::Picked } else { Outcome::PassedOver },
                score: said.map(|reason| reason.score),
                score_of: said.map_or("", |reason| reason.meaning).to_owned(),
                rank: said.map(|_| candidate.rank),
                equals: said.map(|_| candidate.equals),
                rivals: said.filter(|_| candidate.is_chosen).map(|_| candidate.rivals),
                note: said.map_or("", |reason| reason.note).to_owned(),
                candidates,
                rate_down_bytes_per_s: Some(peer.rate_down),
                remark: reasons.remark.to_owned(),
                ..ReasonRow::new(view.now.as_secs_f64(), Decision::Pick)
            }
        };
        Explanation { rows: ranked.into_iter().map(row).collect(), next }
    }
}

/// What comes behind the equals of the last candidate that was picked.
fn next(ranked: &[Ranked<PieceIndex>]) -> Option<(f64, String, u32)> {
    let last = ranked.iter().rev().find(|candidate| candidate.is_chosen)?.rank;
    let next = ranked.iter().find(|candidate| candidate.rank > last)?;
    let reason = next.reason?;
    Some((reason.score, reason.meaning.to_owned(), next.equals))
}

impl Picker for Picks {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        let start = out.len();
        let reasons = RefCell::default();
        self.inner.pick(&SwarmView { why: Why::asked(&reasons), ..*view }, peer, want, dice, out);
        let explanation = self.explain(view, peer, &reasons.into_inner(), &out[start..]);
        // A peer that has nothing to begin is no decision.
        if !explanation.rows.is_empty() {
            self.listener.hear(explanation);
        }
    }

    fn on_change(&mut self, change: &Change) {
        self.inner.on_change(change);
    }
}
