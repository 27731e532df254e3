//! A strategic unchoker: it chooses as others do, and serves for as little of the time as it can.

use std::collections::BTreeMap;

use torrentlab_engine::choker::{ChokeEvent, ChokePeer, ChokeView, Choker, Slot};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::ConnId;

/// Has those that `inner` unchokes choked for the first part of each of its periods, and unchoked for the rest: it bets
/// that its peers, who compare rates over some 20 s, do not mind. Seeds serve all the time.
///
/// The definition is ours. That a strategic client gives just as much as keeps it reciprocated is BitTyrant's idea
/// (Piatek et al., NSDI 2007), which varies the rate; this varies the time.
#[derive(Debug)]
pub(super) struct LateUnchoker<C> {
    inner: C,
    wait: Duration,
    opens: Instant,
    closed: bool,
    /// Whom `inner` has unchoked, and when it last changed its mind about each.
    dealt: Vec<Slot>,
    changed: BTreeMap<ConnId, Instant>,
}

impl<C: Choker> LateUnchoker<C> {
    /// A choker that serves nobody for `wait` from each decision that `inner` takes by itself.
    pub(super) fn new(inner: C, wait: Duration) -> Self {
        let (opens, dealt, changed) = (Instant::ZERO, Vec::new(), BTreeMap::new());
        Self { inner, wait, opens, closed: false, dealt, changed }
    }

    fn dealt(&self, conn: ConnId) -> Option<&Slot> {
        self.dealt.iter().find(|slot| slot.conn == conn)
    }

    /// The peer as it would be if all were served that `inner` unchokes.
    fn as_dealt(&self, peer: &ChokePeer) -> ChokePeer {
        let slot = self.dealt(peer.conn);
        ChokePeer {
            unchoked: slot.is_some(),
            optimistic: slot.is_some_and(|slot| slot.optimistic),
            changed_at: self.changed.get(&peer.conn).copied().unwrap_or(Instant::ZERO),
            ..*peer
        }
    }
}

impl<C: Choker> Choker for LateUnchoker<C> {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, dice: &mut Dice, out: &mut Vec<Slot>) {
        if now >= self.inner.next_decision() {
            self.opens = now + self.wait;
        }
        let peers: Vec<_> = view.peers.iter().map(|peer| self.as_dealt(peer)).collect();
        let mut dealt = Vec::new();
        self.inner.decide(&ChokeView { peers: &peers, ..*view }, now, dice, &mut dealt);
        self.dealt = dealt;
        for peer in &peers {
            if peer.unchoked != self.dealt(peer.conn).is_some() {
                self.changed.insert(peer.conn, now);
            }
        }
        self.closed = now < self.opens && !view.seeding;
        if self.closed {
            view.why.remark("nobody is served in the first part of the period");
        } else {
            out.extend(&self.dealt);
        }
    }

    fn next_decision(&self) -> Instant {
        let next = self.inner.next_decision();
        if self.closed { next.min(self.opens) } else { next }
    }

    fn on_event(&mut self, event: ChokeEvent, now: Instant, dice: &mut Dice) -> bool {
        let holds = |conn| self.dealt(conn).is_some();
        let event = match event {
            ChokeEvent::Left { conn, .. } => ChokeEvent::Left { conn, unchoked: holds(conn) },
            ChokeEvent::Interested { conn, .. } => ChokeEvent::Interested { conn, unchoked: holds(conn) },
            ChokeEvent::NotInterested { conn, .. } => {
                ChokeEvent::NotInterested { conn, unchoked: holds(conn) }
            }
            other => other,
        };
        if let ChokeEvent::Left { conn, .. } = event {
            self.dealt.retain(|slot| slot.conn != conn);
            self.changed.remove(&conn);
        }
        self.inner.on_event(event, now, dice)
    }
}

#[cfg(test)]
mod tests {
    use torrentlab_engine::units::ConnSlots;
    use torrentlab_engine::why::Why;

    use super::*;

    /// Unchokes everyone, every ten seconds.
    #[derive(Debug)]
    struct Everyone(Instant);

    impl Choker for Everyone {
        fn decide(&mut self, view: &ChokeView<'_>, now: Instant, _: &mut Dice, out: &mut Vec<Slot>) {
            if now >= self.0 {
                self.0 = now + Duration::from_secs(10);
            }
            out.extend(view.peers.iter().map(|peer| Slot::regular(peer.conn)));
        }

        fn next_decision(&self) -> Instant {
            self.0
        }
    }

    /// For each of 30 seconds, whether the peer has a slot.
    fn picture(wait: u64, seeding: bool) -> String {
        let mut choker = LateUnchoker::new(Everyone(Instant::ZERO), Duration::from_secs(wait));
        let conn = ConnSlots::default().open();
        let mut dice = Dice::stream(1, ("test", 0, "late"));
        let mut served = false;
        let second = |secs: u64| {
            let now = Instant::ZERO + Duration::from_secs(secs);
            if choker.next_decision() <= now {
                let peers = [peer(conn, served)];
                let (pieces, piece_len, rate_up, limit_up) = (1, 1, 0, None);
                let why = Why::default();
                let view = ChokeView { peers: &peers, seeding, pieces, piece_len, rate_up, limit_up, why };
                let mut out = Vec::new();
                choker.decide(&view, now, &mut dice, &mut out);
                served = !out.is_empty();
            }
            if served { '+' } else { '-' }
        };
        (0..30).map(second).collect()
    }

    fn peer(conn: ConnId, unchoked: bool) -> ChokePeer {
        ChokePeer {
            conn,
            addr: ([10, 0, 0, 1], 6881).into(),
            interested: true,
            interesting: true,
            unchoked,
            optimistic: false,
            snubbed: false,
            choking: false,
            seed: false,
            pieces: 0,
            rate_down: 0,
            rate_up: 0,
            received: 0,
            sent: 0,
            joined_at: Instant::ZERO,
            changed_at: Instant::ZERO,
        }
    }

    #[test]
    fn it_serves_late_in_each_period() {
        assert_eq!(picture(7, false), "-------+++-------+++-------+++");
        assert_eq!(picture(3, false), "---+++++++---+++++++---+++++++");
    }

    #[test]
    fn without_a_wait_and_as_a_seed_it_serves_all_the_time_negative() {
        assert_eq!(picture(0, false), "+".repeat(30));
        assert_eq!(picture(7, true), "+".repeat(30));
    }
}
