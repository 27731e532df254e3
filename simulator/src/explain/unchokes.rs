//! The decorator of a choker.

use std::cell::RefCell;
use std::fmt;

use torrentlab_engine::choker::{ChokeEvent, ChokePeer, ChokeView, Choker, Slot};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::ConnId;
use torrentlab_engine::why::{Reasons, Why};
use torrentlab_reports::record::{Decision, Explanation, Outcome, ReasonRow};

use super::listener::Listener;
use super::ranks::{Ranked, rank};

/// A choker that is asked why.
pub(super) struct Unchokes {
    inner: Box<dyn Choker>,
    listener: Listener,
}

impl fmt::Debug for Unchokes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Unchokes {
    pub fn new(inner: Box<dyn Choker>, listener: Listener) -> Self {
        Self { inner, listener }
    }

    fn explain(
        &self,
        view: &ChokeView<'_>,
        now: Instant,
        reasons: &Reasons<ConnId>,
        slots: &[Slot],
    ) -> Explanation {
        let slot = |conn| slots.iter().find(|slot| slot.conn == conn);
        let concerned = view.peers.iter().filter(|peer| peer.interested || slot(peer.conn).is_some());
        let mut ranked = rank(concerned.map(|peer| peer.conn), reasons, |conn| slot(conn).is_some());
        let outcome = |conn| match slot(conn) {
            Some(slot) if slot.optimistic => Outcome::Optimistic,
            Some(_) => Outcome::Regular,
            None => Outcome::Choked,
        };
        ranked.sort_by_key(|candidate| outcome(candidate.of));
        let candidates = ranked.len() as u32;
        let row = |(candidate, peer): (Ranked<ConnId>, &ChokePeer)| {
            let said = candidate.reason;
            let waits = !peer.unchoked && peer.interested;
            let waited = now.since(peer.changed_at.max(peer.joined_at)).as_secs_f64();
            ReasonRow {
                peer: self.listener.peer(peer.addr),
                outcome: outcome(peer.conn),
                score: said.map(|reason| reason.score),
                score_of: said.map_or("", |reason| reason.meaning).to_owned(),
                rank: said.map(|_| candidate.rank),
                equals: said.map(|_| candidate.equals),
                rivals: said.filter(|_| candidate.is_chosen).map(|_| candidate.rivals),
                note: said.map_or("", |reason| reason.note).to_owned(),
                candidates,
                interested: Some(peer.interested),
                was_unchoked: Some(peer.unchoked),
                rate_down_bytes_per_s: Some(peer.rate_down),
                rate_up_bytes_per_s: Some(peer.rate_up),
                received_bytes: Some(peer.received),
                sent_bytes: Some(peer.sent),
                waited_s: waits.then_some(waited),
                cap_bytes_per_s: slot(peer.conn).and_then(|slot| slot.cap),
                remark: reasons.remark.to_owned(),
                ..ReasonRow::new(now.as_secs_f64(), Decision::Unchoke)
            }
        };
        let peers = ranked.into_iter().filter_map(|candidate| Some((candidate, view.peer(candidate.of)?)));
        Explanation { rows: peers.map(row).collect(), next: None }
    }
}

impl Choker for Unchokes {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, dice: &mut Dice, out: &mut Vec<Slot>) {
        let start = out.len();
        let reasons = RefCell::default();
        self.inner.decide(&ChokeView { why: Why::asked(&reasons), ..*view }, now, dice, out);
        let explanation = self.explain(view, now, &reasons.into_inner(), &out[start..]);
        // Where nobody wants anything there is nothing to decide.
        if !explanation.rows.is_empty() {
            self.listener.hear(explanation);
        }
    }

    fn next_decision(&self) -> Instant {
        self.inner.next_decision()
    }

    fn on_event(&mut self, event: ChokeEvent, now: Instant, dice: &mut Dice) -> bool {
        self.inner.on_event(event, now, dice)
    }
}
