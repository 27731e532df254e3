//! Interest, requests, and the blocks that come.

use super::peer::{Asked, Peer};
use super::pieces::{Receipt, Release};
use super::{EndgameFrom, Timer, Torrent};
use crate::choker::ChokeEvent;
use crate::node::{Disconnect, Event, Outbox, Output};
use crate::picker::{Change, PeerView};
use crate::time::{Duration, Instant};
use crate::units::{BLOCK_LEN, Block, ConnId, PieceIndex};
use crate::wire::{Message, Payload};

/// The wait after a peer's first reject; it doubles with each reject in a row, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So many pieces are fetched from everyone at once.
const SHARED_PIECES: u32 = 4;

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
                self.give_back(asked.block, true);
            }
        }
        self.disown(conn);
        self.refill_anew(conn, now, out);
    }

    pub(super) fn on_unchoke(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        if peer.choking {
            peer.choking = false;
            // What was rejected before may have crossed the choke.
            peer.paused_until = now;
        }
        self.refill_anew(conn, now, out);
    }

    pub(super) fn on_allowed_fast(
        &mut self,
        conn: ConnId,
        piece: PieceIndex,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Disconnect> {
        self.require_piece(piece)?;
        if let Some(peer) = self.peers.get_mut(conn)
            && !self.pieces.have.has(piece)
        {
            Peer::hint(&mut peer.allowed, piece);
        }
        self.refill_anew(conn, now, out);
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

    /// One peer fewer is asked for `block`, which may still come `late`.
    pub(super) fn give_back(&mut self, block: Block, late: bool) {
        match self.pieces.release(block, late) {
            Release::Nothing => return,
            Release::Block => {}
            Release::Piece => self.picker.on_change(&Change::Reopened(block.piece)),
        }
        if self.freed.last() != Some(&block.piece) {
            self.freed.push(block.piece);
        }
    }

    /// `conn` can be asked no more for what was kept for it.
    pub(super) fn disown(&mut self, conn: ConnId) {
        self.refill_all |= self.pieces.disown(conn);
    }

    /// Blocks are free again: those who had nothing to send are asked.
    pub(super) fn refill_starved(&mut self, now: Instant, out: &mut Outbox) {
        let all = std::mem::take(&mut self.refill_all);
        let mut freed = std::mem::take(&mut self.freed);
        for slot in self.peers.slots_from(0) {
            let Some(peer) = self.peers.at(slot).filter(|peer| peer.starved) else { continue };
            if all || freed.iter().any(|&piece| peer.serves(piece) && self.pieces.has_free(piece)) {
                self.refill_anew(peer.conn, now, out);
            }
        }
        freed.clear();
        self.freed = freed;
    }

    /// There may be something to ask the peer for that was not there before.
    pub(super) fn refill_anew(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) {
        self.peers.set_starved(conn, false);
        self.refill(conn, now, out);
    }

    /// Asks the peer for as many blocks as its pipeline takes; whether there was one.
    pub(super) fn refill(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) -> bool {
        let Some(peer) = self.peers.get(conn) else { return false };
        let spare = peer.spare_requests(now);
        let mut picked = false;
        for asked in 0..spare {
            if !self.may_download(conn, now) {
                return asked > 0;
            }
            let Some(block) = self.next_block(conn, spare - asked, &mut picked, now) else {
                self.peers.set_starved(conn, true);
                return asked > 0;
            };
            self.ask(conn, block, now, out);
        }
        if spare > 0 && self.takes_whole_pieces(conn, now) {
            while self.peers.get(conn).is_some_and(Peer::takes_requests)
                && self.may_download(conn, now)
                && let Some(block) = self.pieces.ask_own(conn)
            {
                self.ask(conn, block, now, out);
            }
        }
        spare > 0
    }

    /// Whether the peer sends a piece soon enough to be asked for all of it.
    fn takes_whole_pieces(&self, conn: ConnId, now: Instant) -> bool {
        let Some(peer) = self.peers.get(conn).filter(|peer| !peer.snubbed) else { return false };
        let sends = u128::from(peer.down.rate(now)) * u128::from(self.config.whole_pieces.as_nanos());
        sends >= u128::from(self.pieces.geometry.piece_len()) * 1_000_000_000
    }

    /// Whether the rate limits let one more block be asked for; if not, when they do is noted.
    fn may_download(&mut self, conn: ConnId, now: Instant) -> bool {
        let block = u64::from(BLOCK_LEN);
        let Some(peer) = self.peers.get(conn) else { return false };
        let own = peer.limits.as_ref().map_or(now, |limits| limits.down.ready_at(now, block));
        let at = self.down.ready_at(now, block).max(own);
        if at > now {
            self.timers.set_earlier(Timer::Rate, at);
        }
        at <= now
    }

    /// The next block to ask this peer for: of a piece that was begun with it (or whose beginner is gone), of a new
    /// piece, of any other piece under way, or in the endgame one that others were asked for.
    ///
    /// A piece under way is finished before another is begun ("strict priority", Cohen 2003), but with the peer that
    /// it was begun with: if all helped to finish all pieces, a seed would spend itself on those that others have.
    /// Only the first pieces are fetched from everyone at once, to have something to share soon.
    fn next_block(&mut self, conn: ConnId, spare: u32, picked: &mut bool, now: Instant) -> Option<Block> {
        let peer = self.peers.get(conn)?;
        if peer.starved {
            return self.endgame_block(conn);
        }
        let newcomer = self.pieces.have.count() < SHARED_PIECES;
        if let Some(block) = self.pieces.ask_free(conn, newcomer, |piece| peer.serves(piece)) {
            return Some(block);
        }
        if !*picked {
            *picked = true;
            self.begin_pieces(conn, spare, now);
        }
        let peer = self.peers.get(conn)?;
        let block = self.pieces.ask_free(conn, false, |piece| peer.serves(piece));
        let block = block.or_else(|| self.pieces.ask_free(conn, true, |piece| peer.serves(piece)));
        block.or_else(|| self.endgame_block(conn))
    }

    /// Begins as many pieces as `spare` requests reach into.
    fn begin_pieces(&mut self, conn: ConnId, spare: u32, now: Instant) {
        let Some(peer) = self.peers.get(conn) else { return };
        if self.pieces.availability.open_pieces().is_empty() {
            return;
        }
        let begin = spare.div_ceil(self.pieces.geometry.blocks_in(PieceIndex(0))) as usize;
        // Some of those that failed may be left to others.
        let want = begin + self.pieces.failed_pieces();
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
                    &self.pieces.view(now),
                    &view,
                    want - picks.len(),
                    &mut self.dice.picker,
                    &mut picks,
                );
            }
        }
        let mut begun = 0;
        for piece in picks {
            let Some(peer) = self.peers.get(conn) else { return };
            if begun < begin && self.is_eligible(peer, piece) && !self.leave_to_others(peer, piece) {
                self.pieces.begin(piece, conn);
                self.picker.on_change(&Change::Begun(piece));
                begun += 1;
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
        if !self.config.endgame || !peer.asked.is_empty() || peer.snubbed {
            return None;
        }
        let usable = |piece| peer.serves(piece);
        let asked = |block| peer.asked.iter().any(|asked| asked.block == block);
        match self.config.endgame_from {
            EndgameFrom::LastBlocks if self.pieces.all_asked() => self.pieces.ask_again(usable, asked),
            EndgameFrom::LastPieces if self.pieces.all_begun() => {
                self.pieces.ask_any_again(usable, asked, &mut self.dice.picker)
            }
            _ => None,
        }
    }

    fn ask(&mut self, conn: ConnId, block: Block, now: Instant, out: &mut Outbox) {
        self.down.take(now, u64::from(block.len));
        let Some(peer) = self.peers.get_mut(conn) else { return };
        if let Some(limits) = &mut peer.limits {
            limits.down.take(now, u64::from(block.len));
        }
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
        self.downloaded += u64::from(block.len);
        if self.storage_failed {
            out.event(Event::UnexpectedBlock(block));
            return Ok(());
        }
        let asked =
            peer.asked.iter().position(|asked| asked.block == block).and_then(|at| peer.asked.remove(at));
        if let Some(asked) = asked {
            peer.pipeline.on_block(now.since(asked.at), asked.place, self.config.request_queue_time);
            peer.answered = peer.answered.max(asked.at);
        }
        let receipt = self.pieces.receive(block, conn, peer.addr.ip(), asked.is_some());
        // What nobody wants counts for nothing: it must not buy an upload slot.
        let wanted = asked.is_some() || matches!(receipt, Receipt::New { .. });
        if wanted {
            peer.down.add(now, u64::from(block.len));
            peer.served_at = now;
            peer.snubbed = false;
            peer.rejects = 0;
        }
        match receipt {
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
        if wanted {
            self.tell_choker(ChokeEvent::BlockReceived(conn));
            self.refill(conn, now, out);
        }
        Ok(())
    }

    /// Takes back what others were asked for and is here now.
    fn cancel_others(&mut self, block: Block, now: Instant, out: &mut Outbox) {
        for peer in self.peers.iter_mut() {
            if let Some(at) = peer.asked.iter().position(|asked| asked.block == block) {
                peer.asked.remove(at);
                peer.starved = true;
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
        if !peer.choking && now >= peer.paused_until {
            // A peer that rejects everything must not make us spin.
            let pause = FIRST_PAUSE * (1 << peer.rejects.min(16));
            peer.rejects += 1;
            peer.paused_until = now + pause.min(LONGEST_PAUSE);
        }
        self.give_back(block, false);
        self.disown(conn);
        self.refill(conn, now, out);
    }

    /// Finds out that the peer snubs us, or lost some of what we asked for.
    pub(super) fn give_up_lost(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) {
        let patience = self.config.snub_timeout;
        let Some(peer) = self.peers.get_mut(conn) else { return };
        let Some(oldest) = peer.asked.front().copied() else { return };
        if now.since(peer.served_at) > patience {
            // "Snubbed ... does not upload to it anymore, except as an optimistic unchoke" (Cohen 2003).
            if !peer.snubbed {
                peer.snubbed = true;
                out.event(Event::Snubbed(conn));
            }
            // It may have dropped the requests: it is asked anew for one block, once all others had their choice.
            peer.paused_until = now + FIRST_PAUSE;
            self.disown(conn);
            self.take_back(conn, usize::MAX, now, out);
        } else if now.since(oldest.at) > patience && peer.answered > oldest.at {
            // It answers later requests, but not this: some clients drop silently what is too much for them.
            let answered = peer.answered;
            let lost = |asked: &&Asked| asked.at < answered && now.since(asked.at) > patience;
            let lost = peer.asked.iter().take_while(lost).count();
            self.take_back(conn, lost, now, out);
        } else if let Some(timeout) = self.config.request_timeout {
            let late = peer.asked.iter().take_while(|asked| now.since(asked.at) > timeout).count();
            if late > 0 {
                // As above: all others have their choice first.
                peer.paused_until = now + FIRST_PAUSE;
                self.disown(conn);
            }
            self.take_back(conn, late, now, out);
        }
    }

    /// Takes back the first `count` requests.
    fn take_back(&mut self, conn: ConnId, count: usize, now: Instant, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(conn).filter(|_| count > 0) else { return };
        peer.sent_at = now;
        let kept = peer.asked.split_off(count.min(peer.asked.len()));
        for asked in std::mem::replace(&mut peer.asked, kept) {
            out.send(conn, Message::Cancel(asked.block));
            self.give_back(asked.block, true);
        }
    }
}
