//! Strategies that are wrong.

use torrentlab_engine::choker::{ChokeView, Choker, Slot};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::picker::{PeerView, Picker, SwarmView};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::torrent::Torrent;
use torrentlab_engine::units::PieceIndex;

use crate::registry::Registry;

pub(super) fn register(registry: &mut Registry) {
    registry.register_node("bug-same-rarest", |mut setup, now| {
        setup.picker = Box::new(SameRarest);
        Box::new(Torrent::new(setup, now))
    });
    registry.register_node("bug-no-newcomers", |mut setup, now| {
        setup.choker = Box::new(FriendsOnly { next: now, slots: 4 });
        Box::new(Torrent::new(setup, now))
    });
    registry.register_node("bug-choke-flapping", |mut setup, now| {
        setup.choker = Box::new(Flapping { next: now, slots: 4 });
        Box::new(Torrent::new(setup, now))
    });
}

/// Rarest first, where the lowest number breaks each tie, as it does for everybody else.
#[derive(Debug)]
struct SameRarest;

impl Picker for SameRarest {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        _: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        let mut open: Vec<PieceIndex> = view.availability.open_pieces().to_vec();
        open.retain(|&piece| peer.has.has(piece));
        open.sort_by_key(|&piece| (view.availability.copies_of(piece), piece));
        out.extend(open.into_iter().take(want));
    }
}

/// Tit for tat without optimistic slots, seeding or not: who gave nothing gets nothing.
#[derive(Debug)]
struct FriendsOnly {
    next: Instant,
    slots: usize,
}

impl Choker for FriendsOnly {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, _: &mut Dice, out: &mut Vec<Slot>) {
        self.next = now + Duration::from_secs(10);
        let mut friends: Vec<_> =
            view.peers.iter().filter(|peer| peer.interested && peer.received > 0).collect();
        friends.sort_by_key(|peer| std::cmp::Reverse(peer.rate_down));
        out.extend(friends.iter().take(self.slots).map(|peer| Slot::regular(peer.conn)));
    }

    fn next_decision(&self) -> Instant {
        self.next
    }
}

/// Chooses anew four times a second.
#[derive(Debug)]
struct Flapping {
    next: Instant,
    slots: usize,
}

impl Choker for Flapping {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, dice: &mut Dice, out: &mut Vec<Slot>) {
        self.next = now + Duration::from_millis(250);
        let mut interested: Vec<_> =
            view.peers.iter().filter(|peer| peer.interested).map(|peer| peer.conn).collect();
        dice.shuffle(&mut interested);
        out.extend(interested.into_iter().take(self.slots).map(Slot::regular));
    }

    fn next_decision(&self) -> Instant {
        self.next
    }
}
