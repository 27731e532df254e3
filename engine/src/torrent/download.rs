//! Interest, requests, the blocks that come, and the checks of whole pieces.

use super::peer::{Asked, Peer};
use super::pieces::{Receipt, Release};
use super::{Timer, Torrent};
use crate::choker::ChokeEvent;
use crate::node::{Disconnect, Event, Misuse, Outbox, Output, StorageOp};
use crate::picker::{Change, PeerView};
use crate::time::{Duration, Instant};
use crate::units::{Block, ConnId, PieceIndex};
use crate::wire::{Message, Payload};

/// The wait after a peer's first reject; it doubles with each reject in a row, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Torrent {
    /// Tells the peer whether we want something of it, when that has changed.
    pub(super) fn update_interest(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        let wanted = peer.has.exceeds(&self.pieces.have) && !self.storage_failed;
        if peer.am_interested != wanted {
            peer.am_interested = wanted;
            peer.sent_at = now;
            out.send(conn, if wanted { Message::Interested } else { Message::NotInterested });
        }
    }

    pub(super) fn on_choke(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        peer.choking = true;
        if !peer.fast {
            // "Choke no longer implicitly rejects all pending requests" with the Fast extension (BEP 6); without it,
            // it does.
            let lost = std::mem::take(&mut peer.asked);
            for asked in lost {
                self.give_back(asked.block);
            }
        }
        self.refill(conn, now, out);
    }

    pub(super) fn on_unchoke(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        peer.choking = false;
        peer.paused_until = Instant::ZERO;
        peer.rejects = 0;
        self.refill(conn, now, out);
    }

    pub(super) fn on_allowed_fast(
        &mut self,
        conn: ConnId,
        piece: PieceIndex,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Disconnect> {
        self.require_piece(piece)?;
        if let Some(peer) = self.peers.get_mut(conn) {
            Peer::hint(&mut peer.allowed, piece);
        }
        self.refill(conn, now, out);
        Ok(())
    }

    pub(super) fn on_suggest(&mut self, conn: ConnId, piece: PieceIndex) -> Result<(), Disconnect> {
        self.require_piece(piece)?;
        if let Some(peer) = self.peers.get_mut(conn) {
            Peer::hint(&mut peer.suggested, piece);
        }
        Ok(())
    }

    fn require_piece(&self, piece: PieceIndex) -> Result<(), Disconnect> {
        let known = self.pieces.geometry.contains(piece);
        known.then_some(()).ok_or(Disconnect::Misbehaved("a piece that the torrent does not have"))
    }

    /// One peer fewer is asked for `block`.
    pub(super) fn give_back(&mut self, block: Block) {
        match self.pieces.release(block) {
            Release::Nothing => return,
            Release::Block => {}
            Release::Piece => self.picker.on_change(&Change::Reopened(block.piece)),
        }
        self.refill_all = true;
    }

    /// Asks the peer for as many blocks as its pipeline takes.
    pub(super) fn refill(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) {
        let Some(peer) = self.peers.get(conn) else { return };
        let mut spare = peer.spare_requests(now);
        if spare == 0 || self.storage_failed {
            return;
        }
        let mut picked = false;
        while spare > 0 && self.may_download(conn, now) {
            let Some(block) = self.next_block(conn, spare, &mut picked, now) else { break };
            self.ask(conn, block, now, out);
            spare -= 1;
        }
    }

    /// Whether the rate limits let one more block be asked for; if not, when they do is noted.
    fn may_download(&mut self, conn: ConnId, now: Instant) -> bool {
        let block = u64::from(crate::units::BLOCK_LEN);
        let Some(peer) = self.peers.get_mut(conn) else { return false };
        let own = peer.limits.as_ref().map_or(now, |limits| limits.down.ready_at(now, block));
        let at = self.down.ready_at(now, block).max(own);
        if at > now {
            self.timers.set_earlier(Timer::Rate, at);
            return false;
        }
        self.down.take(now, block);
        if let Some(limits) = &mut peer.limits {
            limits.down.take(now, block);
        }
        true
    }

    /// The next block to ask this peer for: of a piece under way, of a new piece, or in the endgame one that others
    /// were asked for.
    fn next_block(&mut self, conn: ConnId, spare: u32, picked: &mut bool, now: Instant) -> Option<Block> {
        let peer = self.peers.get(conn)?;
        if let Some(block) = self.pieces.ask_free(conn, |piece| peer.serves(piece)) {
            return Some(block);
        }
        if !*picked {
            *picked = true;
            self.begin_pieces(conn, spare, now);
            let peer = self.peers.get(conn)?;
            if let Some(block) = self.pieces.ask_free(conn, |piece| peer.serves(piece)) {
                return Some(block);
            }
        }
        self.endgame_block(conn)
    }

    /// Begins as many pieces as `spare` requests reach into.
    fn begin_pieces(&mut self, conn: ConnId, spare: u32, now: Instant) {
        let Some(peer) = self.peers.get(conn) else { return };
        if self.pieces.availability.open_pieces().is_empty() {
            return;
        }
        let want = spare.div_ceil(self.pieces.geometry.blocks_in(PieceIndex(0))) as usize;
        let mut picks = Vec::new();
        if peer.choking {
            picks.extend(
                peer.allowed.iter().copied().filter(|piece| self.is_eligible(peer, *piece)).take(want),
            );
        } else {
            picks.extend(
                peer.suggested.iter().copied().filter(|piece| self.is_eligible(peer, *piece)).take(want),
            );
            if picks.len() < want {
                let view = PeerView { addr: peer.addr, has: &peer.has, rate_down: peer.down.rate(now) };
                self.picker.pick(
                    &self.pieces.view(),
                    &view,
                    want - picks.len(),
                    &mut self.dice.picker,
                    &mut picks,
                );
            }
        }
        for piece in picks {
            let Some(peer) = self.peers.get(conn) else { return };
            if self.is_eligible(peer, piece) && !self.leave_to_others(peer, piece) {
                self.pieces.begin(piece, conn);
                self.picker.on_change(&Change::Begun(piece));
            }
        }
    }

    fn is_eligible(&self, peer: &Peer, piece: PieceIndex) -> bool {
        self.pieces.availability.is_open(piece) && peer.has.has(piece)
    }

    /// After a failed check those who sent part of it come last, so that the next download tells who was wrong.
    fn leave_to_others(&self, peer: &Peer, piece: PieceIndex) -> bool {
        self.pieces.is_suspect(piece, peer.addr.ip())
            && self.peers.iter().any(|other| {
                other.serves(piece) && !other.snubbed && !self.pieces.is_suspect(piece, other.addr.ip())
            })
    }

    /// "To keep that from happening, once all sub-pieces which a peer doesn't have are actively being requested it
    /// sends requests for all sub-pieces to all peers" (Cohen 2003); here to those alone that have nothing else to
    /// send, one block at a time, so that little is sent twice.
    fn endgame_block(&mut self, conn: ConnId) -> Option<Block> {
        let peer = self.peers.get(conn)?;
        if !self.config.endgame || !self.pieces.all_asked() || !peer.asked.is_empty() || peer.snubbed {
            return None;
        }
        self.pieces.ask_again(
            |piece| peer.serves(piece),
            |block| peer.asked.iter().any(|asked| asked.block == block),
        )
    }

    fn ask(&mut self, conn: ConnId, block: Block, now: Instant, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        if peer.asked.is_empty() {
            peer.served_at = now;
        }
        peer.asked.push_back(Asked { block, place: peer.asked.len() as u32 + 1, at: now });
        peer.sent_at = now;
        out.send(conn, Message::Request(block));
        if !self.endgame && self.pieces.all_asked() {
            self.endgame = true;
            out.event(Event::EndgameEntered);
        }
    }

    pub(super) fn on_block(
        &mut self,
        conn: ConnId,
        block: Block,
        payload: Payload,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Disconnect> {
        if !self.pieces.geometry.holds(block) {
            return Err(Disconnect::Misbehaved("a block outside the torrent"));
        }
        let Some(peer) = self.peers.get_mut(conn) else { return Ok(()) };
        let source = peer.addr.ip();
        peer.down.add(now, u64::from(block.len));
        self.downloaded += u64::from(block.len);
        let asked =
            peer.asked.iter().position(|asked| asked.block == block).and_then(|at| peer.asked.remove(at));
        if let Some(asked) = asked {
            peer.pipeline.on_block(now.since(asked.at), asked.place, self.config.request_queue_time);
            peer.served_at = now;
            peer.snubbed = false;
            peer.rejects = 0;
        }
        match self.pieces.receive(block, source, asked.is_some()) {
            Receipt::Duplicate => out.event(Event::DuplicateBlock(block)),
            Receipt::Unexpected => out.event(Event::UnexpectedBlock(block)),
            Receipt::New { cancel_others, piece_whole } => {
                out.push(Output::WriteBlock { block, payload });
                if cancel_others {
                    self.cancel_others(block, now, out);
                }
                if piece_whole {
                    let digests = self.pieces.has_failed(block.piece);
                    out.push(Output::CheckPiece { piece: block.piece, digests });
                }
            }
        }
        self.tell_choker(ChokeEvent::BlockReceived(conn));
        self.refill(conn, now, out);
        Ok(())
    }

    /// Takes back what others were asked for and is here now.
    fn cancel_others(&mut self, block: Block, now: Instant, out: &mut Outbox) {
        for peer in self.peers.iter_mut() {
            if let Some(at) = peer.asked.iter().position(|asked| asked.block == block) {
                peer.asked.remove(at);
                peer.sent_at = now;
                out.send(peer.conn, Message::Cancel(block));
            }
        }
        self.refill_all = true;
    }

    pub(super) fn on_reject(&mut self, conn: ConnId, block: Block, now: Instant, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        let Some(at) = peer.asked.iter().position(|asked| asked.block == block) else { return };
        peer.asked.remove(at);
        peer.allowed.retain(|piece| *piece != block.piece);
        if !peer.choking {
            // A peer that rejects everything must not make us spin.
            let pause = FIRST_PAUSE * (1 << peer.rejects.min(16));
            peer.rejects += 1;
            peer.paused_until = now + pause.min(LONGEST_PAUSE);
        }
        self.give_back(block);
        self.refill(conn, now, out);
    }

    pub(super) fn on_checked(
        &mut self,
        piece: PieceIndex,
        ok: bool,
        digests: Vec<u64>,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Misuse> {
        if !self.pieces.is_checking(piece) {
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
        self.tracker.set_completed();
        self.timers.set(Timer::Announce, now);
        self.timers.set(Timer::Choke, now);
        self.book.start_seeding();
        let seeds: Vec<ConnId> =
            self.peers.iter().filter(|peer| peer.is_seed()).map(|peer| peer.conn).collect();
        for conn in seeds {
            self.close(conn, Disconnect::BothSeeds, now, out);
        }
    }

    /// Finds out that the peer snubs us, or lost some of what we asked for.
    pub(super) fn give_up_lost(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) {
        let patience = self.config.snub_timeout;
        let Some(peer) = self.peers.get_mut(conn) else { return };
        let Some(oldest) = peer.asked.front().copied() else { return };
        if now.since(peer.served_at) > patience && !peer.snubbed {
            // "Snubbed ... does not upload to it anymore, except as an optimistic unchoke" (Cohen 2003).
            peer.snubbed = true;
            out.event(Event::Snubbed(conn));
            self.take_back(conn, 1, now, out);
        } else if now.since(oldest.at) > patience && peer.served_at > oldest.at {
            // It serves, but not this: some clients drop silently what is too much for them.
            let lost = peer.asked.iter().take_while(|asked| now.since(asked.at) > patience).count();
            let kept = peer.asked.len() - lost;
            peer.asked.rotate_left(lost);
            self.take_back(conn, kept, now, out);
        }
    }

    /// Takes back all but the first `kept` requests.
    fn take_back(&mut self, conn: ConnId, kept: usize, now: Instant, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        peer.sent_at = now;
        for asked in peer.asked.split_off(kept) {
            out.send(conn, Message::Cancel(asked.block));
            self.give_back(asked.block);
        }
    }

    pub(super) fn on_storage_failed(&mut self, op: StorageOp, why: String, out: &mut Outbox) {
        match op {
            // The peer's request stays unanswered; it asks elsewhere in time.
            StorageOp::Read(_) => {}
            StorageOp::Write(Block { piece, .. }) | StorageOp::Check(piece) => {
                self.pieces.lost(piece);
                self.picker.on_change(&Change::Reopened(piece));
                self.storage_failed = true;
                self.stop_asking(out);
            }
        }
        out.event(Event::StorageFailed(why));
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
            self.give_back(block);
        }
    }
}
