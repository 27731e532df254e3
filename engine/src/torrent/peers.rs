//! The table of connected peers.

use super::peer::Peer;
use crate::units::ConnId;

/// Peers by the slot of their connection, which the driver keeps dense.
#[derive(Debug, Default)]
pub(super) struct Peers {
    slots: Vec<Option<Peer>>,
    count: usize,
}

impl Peers {
    pub fn len(&self) -> usize {
        self.count
    }

    /// The peer at `conn`; a dead id has none.
    pub fn get(&self, conn: ConnId) -> Option<&Peer> {
        self.slots.get(conn.slot())?.as_ref().filter(|peer| peer.conn == conn)
    }

    pub fn get_mut(&mut self, conn: ConnId) -> Option<&mut Peer> {
        self.slots.get_mut(conn.slot())?.as_mut().filter(|peer| peer.conn == conn)
    }

    /// The peer in the slot of `conn`, of whatever generation.
    pub fn in_slot(&self, conn: ConnId) -> Option<&Peer> {
        self.slots.get(conn.slot())?.as_ref()
    }

    pub fn insert(&mut self, peer: Peer) {
        let slot = peer.conn.slot();
        if self.slots.len() <= slot {
            // A few at a time: doubling would leave a third of a large swarm's memory unused.
            self.slots.reserve_exact((slot + 1 - self.slots.len()).next_multiple_of(4));
            self.slots.resize_with(slot + 1, || None);
        }
        debug_assert!(self.slots[slot].is_none(), "slot {slot} is taken");
        self.slots[slot] = Some(peer);
        self.count += 1;
    }

    pub fn remove(&mut self, conn: ConnId) -> Option<Peer> {
        self.get(conn)?;
        self.count -= 1;
        self.slots[conn.slot()].take()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.slots.iter().flatten()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.slots.iter_mut().flatten()
    }

    pub fn set_starved(&mut self, conn: ConnId, starved: bool) {
        if let Some(peer) = self.get_mut(conn) {
            peer.starved = starved;
        }
    }

    /// All slots, for [`Peers::conn_at`]: so each peer can be worked on while the others are looked at. Whose turn it
    /// is comes first.
    pub fn slots_from(&self, turn: usize) -> impl Iterator<Item = usize> + use<> {
        let slots = self.slots.len();
        let turn = turn.min(slots);
        (turn..slots).chain(0..turn)
    }

    /// Who is in `slot` now.
    pub fn at(&self, slot: usize) -> Option<&Peer> {
        self.slots.get(slot)?.as_ref()
    }

    /// The connection in `slot`.
    pub fn conn_at(&self, slot: usize) -> Option<ConnId> {
        self.at(slot).map(|peer| peer.conn)
    }
}
