//! Whom to dial, the handshake, and who may stay.

use std::net::{IpAddr, SocketAddr};

use super::peer::{NewLink, Peer, Pipeline, Stage};
use super::{Timer, Torrent, exchange};
use crate::bitfield::Bitfield;
use crate::choker::ChokeEvent;
use crate::node::{Disconnect, Event, Outbox, Output};
use crate::time::{Duration, Instant};
use crate::units::{ConnId, InfoHash, PeerId, PieceIndex};
use crate::wire::{ExtensionHandshake, Message, PeerExchange, Reserved, allowed_fast_set};

/// A peer that wants nothing and has nothing for so long gives its place to a newcomer.
pub(super) const USELESS_AFTER: Duration = Duration::from_secs(60);

impl Torrent {
    /// Dials as long as connections are wanted and an address may be tried.
    pub(super) fn dial(&mut self, now: Instant, out: &mut Outbox) {
        while self.wants_dials() {
            let own = self.config.canonical_priority.then_some(&self.own);
            let Some(addr) = self.book.next_dial(now, own, &mut self.dice.dial) else { break };
            self.dialing += 1;
            out.push(Output::Dial(addr));
        }
        let at = if self.wants_dials() { self.book.next_due() } else { Instant::NEVER };
        self.timers.set(Timer::Dial, at);
    }

    fn wants_dials(&self) -> bool {
        self.dialing < self.config.half_open && self.peers.len() + self.dialing < self.dial_target()
    }

    /// How many connections are enough.
    pub(super) fn dial_target(&self) -> usize {
        self.config.dial_target.min(self.config.max_connections)
    }

    pub(super) fn on_dial_failed(&mut self, addr: SocketAddr, now: Instant) {
        self.dialing = self.dialing.saturating_sub(1);
        self.book.failed(addr, now, &mut self.dice.dial);
        self.timers.set_earlier(Timer::Dial, now);
    }

    pub(super) fn on_connected(&mut self, link: NewLink, now: Instant, out: &mut Outbox) {
        if link.outgoing {
            self.dialing = self.dialing.saturating_sub(1);
            self.book.connected(link.addr, now);
            self.timers.set_earlier(Timer::Dial, now);
        }
        if let Err(why) = self.admit(&link, now, out) {
            if link.outgoing {
                self.book.failed(link.addr, now, &mut self.dice.dial);
            }
            return out.push(Output::Close { conn: link.conn, why });
        }
        let pipeline = Pipeline::new(self.config.min_requests, self.config.max_requests);
        let mut peer = Peer::new(link, self.pieces.geometry.pieces(), pipeline, now);
        peer.limit(&self.limits, None, now);
        self.peers.insert(peer);
        if link.outgoing {
            self.greet(link.conn, out);
        }
    }

    /// Whether there is a place for a new connection; if need be, the least useful peer gives up its own.
    fn admit(&mut self, link: &NewLink, now: Instant, out: &mut Outbox) -> Result<(), Disconnect> {
        if self.book.is_banned(link.addr.ip()) {
            return Err(Disconnect::Banned);
        }
        if self.peers.len() < self.config.max_connections {
            return Ok(());
        }
        let useless = self.peers.iter().filter(|peer| peer.is_open() && peer.is_idle());
        let oldest = useless.min_by_key(|peer| peer.joined_at.max(peer.choke_changed_at));
        match oldest.filter(|peer| now.since(peer.joined_at) >= USELESS_AFTER).map(|peer| peer.conn) {
            Some(conn) => {
                self.close(conn, Disconnect::Replaced, now, out);
                Ok(())
            }
            None => self.give_way(link, now, out),
        }
    }

    /// Whether somebody makes place for a new connection by canonical priority. "Find the lowest rank peer and disconnect
    /// that if it's lower rank than the incoming connection" (libtorrent's `torrent::attach_peer`).
    fn give_way(&mut self, link: &NewLink, now: Instant, out: &mut Outbox) -> Result<(), Disconnect> {
        if !self.config.canonical_priority {
            return Err(Disconnect::Full);
        }
        let rank = |peer: &Peer| self.own.priority_of(peer.listens.unwrap_or(peer.addr));
        let lowest = self.peers.iter().min_by_key(|peer| rank(peer));
        let lower = lowest.filter(|peer| rank(peer) < self.own.priority_of(link.addr));
        let conn = lower.map(|peer| peer.conn).ok_or(Disconnect::Full)?;
        self.close(conn, Disconnect::Replaced, now, out);
        Ok(())
    }

    /// Sends our handshake.
    fn greet(&mut self, conn: ConnId, out: &mut Outbox) {
        let mut reserved = Reserved::OURS;
        if !self.config.fast {
            reserved.0[7] &= !0x04;
        }
        out.send(conn, Message::Hello { reserved, info_hash: self.info_hash });
        out.send(conn, Message::PeerId(self.config.peer_id));
    }

    pub(super) fn on_hello(
        &mut self,
        conn: ConnId,
        reserved: Reserved,
        info_hash: InfoHash,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Disconnect> {
        let config_fast = self.config.fast;
        let Some(peer) = self.peers.get_mut(conn) else { return Ok(()) };
        if peer.stage != Stage::Hello {
            return Err(Disconnect::Misbehaved("a second handshake"));
        }
        if info_hash != self.info_hash {
            return Err(Disconnect::WrongTorrent);
        }
        peer.stage = Stage::PeerId;
        peer.fast = config_fast && reserved.fast();
        peer.extended = reserved.extended();
        peer.sent_at = now;
        if !peer.outgoing {
            // "Client A waits for the peer id of client B" would be a deadlock: the answer goes out after 48 bytes.
            self.greet(conn, out);
        }
        Ok(())
    }

    pub(super) fn on_peer_id(
        &mut self,
        conn: ConnId,
        id: PeerId,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Disconnect> {
        let Some(peer) = self.peers.get_mut(conn) else { return Ok(()) };
        if peer.stage != Stage::PeerId {
            return Err(Disconnect::Misbehaved("a second peer id"));
        }
        let (addr, outgoing) = (peer.addr, peer.outgoing);
        if id == self.config.peer_id {
            if outgoing {
                self.book.is_ourselves(addr, now);
            }
            return Err(Disconnect::Oneself);
        }
        let twin =
            self.peers.iter().find(|other| other.is_open() && other.id == id && other.addr.ip() == addr.ip());
        if let Some(twin) = twin {
            // Both ends must close the same one of two connections dialled at once: the one that the peer with the
            // smaller id dialled is kept. Of two in one direction the old one is.
            let ours_first = self.config.peer_id < id;
            if twin.outgoing == outgoing || twin.outgoing == ours_first {
                return Err(Disconnect::Duplicate);
            }
            let old = twin.conn;
            self.close(old, Disconnect::Duplicate, now, out);
        }
        if let Some(peer) = self.peers.get_mut(conn) {
            peer.id = id;
            peer.stage = Stage::Open;
            let contact = peer.contact();
            self.note_contact(conn, contact, true);
        }
        self.introduce(conn, now, out);
        Ok(())
    }

    /// Says what we have and who we are, right after the handshake.
    fn introduce(&mut self, conn: ConnId, now: Instant, out: &mut Outbox) {
        let exchanges = self.exchanges();
        let Some(peer) = self.peers.get_mut(conn) else { return };
        peer.sent_at = now;
        let have = &self.pieces.have;
        let hidden = self.super_seed.is_some();
        // "Have All and Have None ... MUST appear only immediately after the handshake" (BEP 6).
        if have.is_empty() || hidden {
            if peer.fast {
                out.send(conn, Message::HaveNone);
            }
        } else if have.is_full() && peer.fast {
            out.send(conn, Message::HaveAll);
        } else {
            out.send(conn, Message::Bitfield(have.to_wire().into()));
        }
        if peer.extended {
            let messages = exchanges.then(|| (PeerExchange::NAME.to_owned(), exchange::OUR_ID));
            let handshake = ExtensionHandshake {
                messages: messages.into_iter().collect(),
                port: peer.outgoing.then_some(self.config.listen_port).filter(|port| *port != 0),
                client: Some(self.config.client.clone()),
                your_ip: Some(peer.addr.ip()),
                reqq: Some(self.config.max_queued),
                upload_only: have.is_full() && !hidden,
                ..ExtensionHandshake::default()
            };
            out.send(conn, Message::Extended { id: 0, payload: handshake.encode() });
        }
        self.grant_fast(conn, out);
        self.show_more(conn, out);
        self.tell_choker(ChokeEvent::Joined(conn));
    }

    /// "Allowed Fast is an advisory message which means 'if you ask for this piece, I'll give it to you even if you're
    /// choked' ... The message sender MAY list pieces that the message sender does not have" (BEP 6).
    fn grant_fast(&mut self, conn: ConnId, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        if !peer.fast || self.config.allowed_fast == 0 || self.super_seed.is_some() {
            return;
        }
        let IpAddr::V4(ip) = peer.addr.ip() else { return };
        peer.granted =
            allowed_fast_set(ip, self.info_hash, self.pieces.geometry.pieces(), self.config.allowed_fast);
        for &piece in &peer.granted {
            out.send(conn, Message::AllowedFast(piece));
        }
    }

    pub(super) fn on_extended(
        &mut self,
        conn: ConnId,
        id: u8,
        payload: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Disconnect> {
        let complete = self.is_complete();
        if id == exchange::OUR_ID {
            return self.on_peer_exchange(conn, payload, now, out);
        }
        let Some(peer) = self.peers.get_mut(conn) else { return Ok(()) };
        if id != 0 {
            // Nothing that we named in our handshake.
            return Ok(());
        }
        let handshake = ExtensionHandshake::decode(payload)
            .map_err(|_| Disconnect::Misbehaved("an extension handshake that is not one"))?;
        if let Some(reqq) = handshake.reqq {
            peer.pipeline.cap(reqq);
        }
        peer.upload_only = handshake.upload_only;
        // Each peer has one vote.
        if let Some(ip) = handshake.your_ip.filter(|_| !std::mem::replace(&mut peer.sees_us, true)) {
            self.own.vote(ip);
        }
        if let (None, Some(port)) = (peer.listens, handshake.port) {
            let listens = SocketAddr::new(peer.addr.ip(), port);
            peer.listens = Some(listens);
            let contact = peer.contact();
            self.book.connected(listens, now);
            self.note_contact(conn, contact, true);
        }
        if let Some(&id) = handshake.messages.get(PeerExchange::NAME) {
            self.on_exchange_id(conn, id);
        }
        if complete && handshake.upload_only && self.super_seed.is_none() {
            self.close(conn, Disconnect::BothSeeds, now, out);
        }
        Ok(())
    }

    /// The peer has `pieces`, as its first message or (which other clients do) later.
    pub(super) fn on_pieces(
        &mut self,
        conn: ConnId,
        pieces: Bitfield,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Disconnect> {
        let Some(peer) = self.peers.get_mut(conn) else { return Ok(()) };
        // What a peer had it still has: a late bitfield only adds.
        let new: Vec<PieceIndex> = pieces.minus(&peer.has).collect();
        if pieces.is_full() && !new.is_empty() {
            self.pieces.availability.remove_peer(&peer.has);
            self.pieces.availability.add_peer(&pieces);
            peer.has = pieces;
        } else {
            new.iter().for_each(|&piece| _ = self.gain(conn, piece, out));
        }
        self.part_from_seed(conn)?;
        self.update_interest(conn, now, out);
        self.refill_anew(conn, now, out);
        Ok(())
    }

    pub(super) fn on_have(
        &mut self,
        conn: ConnId,
        piece: PieceIndex,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Disconnect> {
        if !self.pieces.geometry.contains(piece) {
            return Err(Disconnect::Misbehaved("a piece that the torrent does not have"));
        }
        if !self.gain(conn, piece, out) {
            return Ok(());
        }
        self.part_from_seed(conn)?;
        if !self.pieces.have.has(piece) {
            self.update_interest(conn, now, out);
            if self.pieces.has_free(piece) {
                self.refill_anew(conn, now, out);
            } else {
                self.refill(conn, now, out);
            }
        }
        Ok(())
    }

    /// Notes that the peer has `piece`; whether that is news.
    fn gain(&mut self, conn: ConnId, piece: PieceIndex, out: &mut Outbox) -> bool {
        let Some(peer) = self.peers.get_mut(conn) else { return false };
        if !peer.has.insert(piece) {
            return false;
        }
        self.pieces.availability.add_have(piece, &peer.has);
        if let Some(show) = &mut self.super_seed {
            for sharer in show.on_have(conn, piece) {
                self.show_more(sharer, out);
            }
        }
        true
    }

    /// Shows the peer pieces, while super-seeding, as far as it may see them.
    pub(super) fn show_more(&mut self, conn: ConnId, out: &mut Outbox) {
        let Some(show) = &mut self.super_seed else { return };
        while let Some(piece) = show.show(conn, &self.peers, &mut self.dice.picker) {
            out.send(conn, Message::Have(piece));
        }
    }

    fn part_from_seed(&self, conn: ConnId) -> Result<(), Disconnect> {
        let seed = self.peers.get(conn).is_some_and(|peer| peer.has.is_full());
        if seed && self.is_complete() { Err(Disconnect::BothSeeds) } else { Ok(()) }
    }

    /// Ends a connection from our side.
    pub(super) fn close(&mut self, conn: ConnId, why: Disconnect, now: Instant, out: &mut Outbox) {
        if self.peers.get(conn).is_some() {
            self.forget(conn, &why, now);
            out.push(Output::Close { conn, why });
        }
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, conn: ConnId, why: &Disconnect, now: Instant) {
        let Some(peer) = self.peers.remove(conn) else { return };
        self.note_contact(conn, peer.contact(), false);
        for asked in &peer.asked {
            self.give_back(asked.block, false);
        }
        self.disown(conn);
        self.pieces.availability.remove_peer(&peer.has);
        if let Some(addr) = peer.listens {
            if peer.is_seed() {
                self.book.is_seed(addr);
            }
            if peer.was_of_use(why, now) {
                self.book.parted(addr, now, &mut self.dice.dial);
            } else {
                self.book.failed(addr, now, &mut self.dice.dial);
            }
        }
        if let Some(show) = &mut self.super_seed {
            show.on_left(conn);
        }
        if peer.is_open() {
            self.tell_choker(ChokeEvent::Left { conn, unchoked: !peer.am_choking });
        }
        self.timers.set_earlier(Timer::Dial, now);
    }

    /// Bans who was proven to send wrong bytes.
    pub(super) fn ban(&mut self, ip: IpAddr, now: Instant, out: &mut Outbox) {
        self.book.ban(ip);
        out.event(Event::Banned(ip));
        let conns: Vec<ConnId> =
            self.peers.iter().filter(|peer| peer.addr.ip() == ip).map(|peer| peer.conn).collect();
        for conn in conns {
            self.close(conn, Disconnect::Banned, now, out);
        }
    }

    /// Closes what is silent, keeps alive what is idle, and finds who snubs us.
    pub(super) fn sweep(&mut self, now: Instant, out: &mut Outbox) {
        let stuck = self.super_seed.as_mut().map(|show| show.settle(&self.peers)).unwrap_or_default();
        for conn in stuck {
            self.show_more(conn, out);
        }
        for slot in self.peers.slots_from(0) {
            let Some(conn) = self.peers.conn_at(slot) else { continue };
            let Some(peer) = self.peers.get_mut(conn) else { continue };
            let patience =
                if peer.is_open() { self.config.idle_timeout } else { self.config.handshake_timeout };
            let since = if peer.is_open() { peer.heard_at } else { peer.joined_at };
            if now.since(since) > patience {
                self.close(conn, Disconnect::TimedOut, now, out);
                continue;
            }
            if peer.is_open() && now.since(peer.sent_at) > self.config.keep_alive {
                peer.sent_at = now;
                out.send(conn, Message::KeepAlive);
            }
            peer.give_back_memory();
            self.give_up_lost(conn, now, out);
            self.refill_anew(conn, now, out);
        }
        self.tell_of_peers(now, out);
    }
}
