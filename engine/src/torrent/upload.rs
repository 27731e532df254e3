//! What others ask for, how fast they get it, and who gets a slot.

use super::config::BURST;
use super::{Timer, Torrent};
use crate::choker::{ChokeEvent, ChokePeer, ChokeView, Slot};
use crate::node::{Disconnect, Limits, Outbox, Output};
use crate::time::Instant;
use crate::units::{Block, ConnId};
use crate::why::Why;
use crate::wire::Message;

/// The longest block that is served; longer requests break the protocol ("larger than 2^17 ... close", mainline).
const MAX_SERVED_LEN: u32 = 128 * 1024;
/// What a block takes on the wire beyond its bytes.
const PIECE_HEAD_LEN: u32 = 13;

impl Torrent {
    pub(super) fn on_interested(&mut self, conn: ConnId, interested: bool) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        if peer.interested == interested {
            return;
        }
        peer.interested = interested;
        let unchoked = !peer.am_choking;
        self.tell_choker(if interested {
            ChokeEvent::Interested { conn, unchoked }
        } else {
            ChokeEvent::NotInterested { conn, unchoked }
        });
    }

    pub(super) fn on_request(
        &mut self,
        conn: ConnId,
        block: Block,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Disconnect> {
        if !self.pieces.geometry.holds(block) {
            return Err(Disconnect::Misbehaved("a request outside the torrent"));
        }
        if block.len > MAX_SERVED_LEN {
            return Err(Disconnect::Misbehaved("a request for more than 128 KiB"));
        }
        if !self.grants(conn, block, now) {
            // Requests cross a choke on their way, so they are no misbehaviour.
            self.reject(conn, block, out);
            self.show_more(conn, out);
            return Ok(());
        }
        let Some(peer) = self.peers.get_mut(conn) else { return Ok(()) };
        peer.queue.push_back(block);
        self.serve(conn, now, out);
        Ok(())
    }

    /// Whether the request is to be served.
    fn grants(&mut self, conn: ConnId, block: Block, now: Instant) -> bool {
        let Some(peer) = self.peers.get(conn) else { return false };
        let allowed = !peer.am_choking || peer.granted.contains(&block.piece);
        let room = peer.queue.len() < self.config.max_queued as usize;
        let served = allowed && room && self.pieces.have.has(block.piece);
        served && self.super_seed.as_mut().is_none_or(|show| show.grants(conn, block.piece, peer.fast, now))
    }

    /// "If a peer receives a request ... it must respond with exactly one reject or piece" (BEP 6).
    pub(super) fn reject(&self, conn: ConnId, block: Block, out: &mut Outbox) {
        if self.peers.get(conn).is_some_and(|peer| peer.fast) {
            out.send(conn, Message::Reject(block));
        }
    }

    pub(super) fn on_cancel(&mut self, conn: ConnId, block: Block, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        if let Some(at) = peer.queue.iter().position(|queued| *queued == block) {
            peer.queue.remove(at);
            self.reject(conn, block, out);
        } else if self.config.take_back {
            let reject = peer.fast;
            out.push(Output::CancelBlock { conn, block, reject });
        }
    }

    pub(super) fn on_writable(&mut self, conn: ConnId, bytes: u32, now: Instant, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        peer.room = peer.room.saturating_add(bytes).min(peer.buffer);
        if peer.queue.is_empty() {
            return;
        }
        self.serve(conn, now, out);
    }

    /// Hands out the peer's next blocks, as far as its socket buffer and the rate limits go; whether there was one.
    pub(super) fn serve(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) -> bool {
        let mut served = false;
        while let Some(block) = self.peers.get(conn).and_then(|peer| peer.queue.front().copied()) {
            if !self.may_upload(conn, block, now) {
                break;
            }
            let Some(peer) = self.peers.get_mut(conn) else { break };
            served = true;
            peer.queue.pop_front();
            peer.room = peer.room.saturating_sub(PIECE_HEAD_LEN + block.len);
            peer.up.add(now, u64::from(block.len));
            peer.sent_at = now;
            self.uploaded += u64::from(block.len);
            out.push(Output::SendBlock { conn, block });
            if let Some(show) = &mut self.super_seed
                && block.begin + block.len == self.pieces.geometry.len_of(block.piece)
            {
                show.on_served(conn, block.piece, now);
                self.show_more(conn, out);
            }
            self.tell_choker(ChokeEvent::BlockSent(conn));
        }
        served
    }

    /// Whether a block fits the room and the rate limits, which it then takes of; if the limits are in the way, when
    /// they are not is noted.
    fn may_upload(&mut self, conn: ConnId, block: Block, now: Instant) -> bool {
        let Some(peer) = self.peers.get_mut(conn) else { return false };
        // A block larger than the whole buffer goes when the buffer is empty.
        if peer.room < (PIECE_HEAD_LEN + block.len).min(peer.buffer) {
            return false;
        }
        let len = u64::from(block.len);
        let own = peer.limits.as_ref().map_or(now, |limits| limits.up.ready_at(now, len));
        let at = self.up.ready_at(now, len).max(own);
        if at > now {
            self.timers.set_earlier(Timer::Rate, at);
            return false;
        }
        self.up.take(now, len);
        if let Some(limits) = &mut peer.limits {
            limits.up.take(now, len);
        }
        true
    }

    /// A rate limit has room again: those who wait are served in turn.
    pub(super) fn spend_rates(&mut self, now: Instant, out: &mut Outbox) {
        for slot in self.peers.slots_from(self.turn_up) {
            let Some(conn) = self.peers.conn_at(slot) else { continue };
            if self.serve(conn, now, out) {
                self.turn_up = slot + 1;
            }
        }
        for slot in self.peers.slots_from(self.turn_down) {
            let Some(conn) = self.peers.conn_at(slot) else { continue };
            if self.refill(conn, now, out) {
                self.turn_down = slot + 1;
            }
        }
    }

    pub(super) fn set_limits(&mut self, limits: Limits, now: Instant, out: &mut Outbox) {
        self.limits = limits;
        self.up.set_rate(now, limits.up, BURST);
        self.down.set_rate(now, limits.down, BURST);
        for peer in self.peers.iter_mut() {
            // A choker's own cap comes back with its next decision.
            peer.limit(&limits, None, now);
        }
        self.spend_rates(now, out);
    }

    /// The choker learns of something, and may want to decide at once.
    pub(super) fn tell_choker(&mut self, event: ChokeEvent) {
        let now = self.last_input;
        if self.choker.on_event(event, now, &mut self.dice.choker) {
            self.timers.set(Timer::Choke, now);
        }
    }

    /// Lets the choker decide, and carries it out.
    pub(super) fn rechoke(&mut self, now: Instant, out: &mut Outbox) {
        let peers: Vec<ChokePeer> = self.peers(now);
        let view = ChokeView {
            peers: &peers,
            seeding: self.is_complete(),
            pieces: self.pieces.geometry.pieces(),
            piece_len: self.pieces.geometry.piece_len(),
            rate_up: peers.iter().map(|peer| peer.rate_up).sum(),
            limit_up: self.limits.up,
            why: Why::default(),
        };
        let mut slots = Vec::new();
        self.choker.decide(&view, now, &mut self.dice.choker, &mut slots);
        self.timers.set(Timer::Choke, self.choker.next_decision());
        for peer in peers {
            match slots.iter().find(|slot| slot.conn == peer.conn) {
                Some(slot) => self.unchoke(*slot, now, out),
                None => self.choke(peer.conn, now, out),
            }
        }
    }

    fn unchoke(&mut self, slot: Slot, now: Instant, out: &mut Outbox) {
        let limits = self.limits;
        let Some(peer) = self.peers.get_mut(slot.conn) else { return };
        peer.optimistic = slot.optimistic;
        if slot.cap.is_some() || peer.limits.is_some() {
            peer.limit(&limits, slot.cap, now);
        }
        if peer.am_choking {
            peer.am_choking = false;
            peer.choke_changed_at = now;
            peer.sent_at = now;
            out.send(slot.conn, Message::Unchoke);
        }
    }

    fn choke(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        peer.optimistic = false;
        if peer.am_choking {
            return;
        }
        peer.am_choking = true;
        peer.choke_changed_at = now;
        peer.sent_at = now;
        out.send(conn, Message::Choke);
        if let Some(show) = &mut self.super_seed {
            show.on_choked(conn);
        }
        let kept = |block: &Block| peer.granted.contains(&block.piece);
        let dropped: Vec<Block> = peer.queue.iter().filter(|block| !kept(block)).copied().collect();
        peer.queue.retain(kept);
        // A choke "must be followed by rejects for all pending requests" but those for allowed fast pieces (BEP 6).
        for block in dropped {
            self.reject(conn, block, out);
        }
    }
}
