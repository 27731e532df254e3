//! The checks of whole pieces, and storage that fails.

use super::{Timer, Torrent};
use crate::node::{Disconnect, Event, Misuse, Outbox, StorageOp};
use crate::picker::Change;
use crate::time::Instant;
use crate::units::{Block, ConnId, PieceIndex};
use crate::wire::Message;

impl Torrent {
    pub(super) fn on_checked(
        &mut self,
        piece: PieceIndex,
        ok: bool,
        digests: Vec<u64>,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Misuse> {
        if !self.pieces.is_checking(piece) {
            if self.storage_failed {
                return Ok(());
            }
            return Err(Misuse::NotChecking(piece));
        }
        let wanted = !ok || self.pieces.has_failed(piece);
        if wanted && digests.len() != self.pieces.geometry.blocks_in(piece) as usize {
            return Err(Misuse::NoDigests(piece));
        }
        if ok {
            let culprits = self.pieces.verified(piece, &digests);
            self.on_verified(piece, now, out);
            for ip in culprits {
                self.ban(ip, now, out);
            }
        } else {
            let culprit = self.pieces.failed(piece, digests);
            self.endgame = false;
            self.refill_all = true;
            self.picker.on_change(&Change::Reopened(piece));
            out.event(Event::HashFailed(piece));
            if let Some(ip) = culprit {
                self.ban(ip, now, out);
            }
        }
        Ok(())
    }

    fn on_verified(&mut self, piece: PieceIndex, now: Instant, out: &mut Outbox) {
        self.picker.on_change(&Change::Got(piece));
        out.event(Event::PieceVerified(piece));
        let mut sated: Vec<ConnId> = Vec::new();
        for peer in self.peers.iter_mut().filter(|peer| peer.is_open()) {
            peer.sent_at = now;
            if peer.am_interested && peer.has.has(piece) && !peer.has.exceeds(&self.pieces.have) {
                sated.push(peer.conn);
            }
        }
        out.broadcast(piece, self.peers.iter().filter(|peer| peer.is_open()).map(|peer| peer.conn));
        for conn in sated {
            self.update_interest(conn, now, out);
        }
        if self.is_complete() {
            self.on_complete(now, out);
        }
    }

    fn on_complete(&mut self, now: Instant, out: &mut Outbox) {
        out.event(Event::Completed);
        if self.config.announce_completed {
            self.tracker.set_completed();
        }
        // At once: whoever waited for this may stop the torrent next.
        self.announce_if_due(now, out);
        self.timers.set(Timer::Choke, now);
        self.book.start_seeding();
        let seeds: Vec<ConnId> =
            self.peers.iter().filter(|peer| peer.is_seed()).map(|peer| peer.conn).collect();
        for conn in seeds {
            self.close(conn, Disconnect::BothSeeds, now, out);
        }
    }

    pub(super) fn on_storage_failed(&mut self, op: StorageOp, why: String, out: &mut Outbox) {
        match op {
            StorageOp::Read { conn, block } => self.reject(conn, block, out),
            StorageOp::Write(Block { piece, .. }) | StorageOp::Check(piece) => {
                if self.pieces.lost(piece) {
                    self.picker.on_change(&Change::Reopened(piece));
                }
                self.storage_failed = true;
                self.stop_asking(out);
            }
        }
        out.event(Event::StorageFailed(why));
    }

    pub(super) fn on_storage_restored(&mut self, now: Instant, out: &mut Outbox) {
        self.storage_failed = false;
        for slot in self.peers.slots_from(0) {
            let Some(conn) = self.peers.conn_at(slot) else { continue };
            self.update_interest(conn, now, out);
            self.refill_anew(conn, now, out);
        }
    }

    /// Nothing can be stored: requests are taken back, and nobody interests us.
    fn stop_asking(&mut self, out: &mut Outbox) {
        let mut lost = Vec::new();
        for peer in self.peers.iter_mut() {
            for asked in peer.asked.drain(..) {
                out.send(peer.conn, Message::Cancel(asked.block));
                lost.push(asked.block);
            }
            if peer.am_interested {
                peer.am_interested = false;
                out.send(peer.conn, Message::NotInterested);
            }
        }
        for block in lost {
            self.give_back(block, false);
        }
    }
}
