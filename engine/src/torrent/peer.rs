//! What is known of one connected peer.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::config::BURST;
use super::connect::USELESS_AFTER;
use super::exchange::Exchange;
use crate::addresses::canonical;
use crate::bitfield::Bitfield;
use crate::bucket::TokenBucket;
use crate::choker::ChokePeer;
use crate::meter::Meter;
use crate::node::{Disconnect, Limits};
use crate::state::PeerState;
use crate::time::{Duration, Instant};
use crate::units::{Block, ConnId, PeerId, PieceIndex};

/// Requests out to a peer that just unchoked us.
const FIRST_DEPTH: u32 = 4;
/// The most suggestions and fast pieces that are remembered of one peer.
const MAX_HINTS: usize = 32;

/// How far the handshake has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Neither protocol nor torrent are known.
    Hello,
    /// The peer id is missing.
    PeerId,
    /// Done.
    Open,
}

/// A block that we asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub block: Block,
    /// Its place in the line of requests to that peer, counted from 1.
    pub place: u32,
    pub at: Instant,
}

/// A connection that was just opened, as [`Input::Connected`](crate::node::Input::Connected) has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewLink {
    pub conn: ConnId,
    pub addr: SocketAddr,
    pub outgoing: bool,
    pub room: u32,
}

/// One connected peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub conn: ConnId,
    pub addr: SocketAddr,
    pub outgoing: bool,
    /// Where it can be dialled, if known.
    pub listens: Option<SocketAddr>,
    pub stage: Stage,
    pub id: PeerId,
    pub fast: bool,
    pub extended: bool,
    /// It said that it only uploads (BEP 21).
    pub upload_only: bool,
    /// It said where it sees us.
    pub sees_us: bool,
    /// Who told whom of whom, if it exchanges peers.
    pub exchange: Option<Box<Exchange>>,
    pub has: Bitfield,

    pub am_choking: bool,
    pub am_interested: bool,
    pub choking: bool,
    pub interested: bool,
    pub optimistic: bool,
    pub choke_changed_at: Instant,

    pub joined_at: Instant,
    pub heard_at: Instant,
    pub sent_at: Instant,
    pub down: Meter,
    pub up: Meter,
    pub limits: Option<Box<PeerBuckets>>,

    /// What we asked for, in order.
    pub asked: VecDeque<Asked>,
    pub pipeline: Pipeline,
    /// When it last sent a block that we wanted, or was first asked.
    pub served_at: Instant,
    /// When the latest of the requests that it answered was made.
    pub answered: Instant,
    pub snubbed: bool,
    /// It could be asked for more, had there been anything; it is not looked at again until that may have changed.
    pub starved: bool,
    /// Until when it is not asked, since it rejects; and how often in a row it did.
    pub paused_until: Instant,
    pub rejects: u32,
    /// Pieces that it serves even while it chokes us (BEP 6).
    pub allowed: Vec<PieceIndex>,
    /// Pieces that it would like to serve (BEP 6).
    pub suggested: Vec<PieceIndex>,

    /// What it asked for and we did not begin to send, in order.
    pub queue: VecDeque<Block>,
    /// Pieces that we serve it even while we choke it (BEP 6).
    pub granted: Vec<PieceIndex>,
    /// Bytes that its socket buffer takes, and that it takes when empty.
    pub room: u32,
    pub buffer: u32,
}

/// The limits of one connection.
#[derive(Debug)]
pub(super) struct PeerBuckets {
    pub up: TokenBucket,
    pub down: TokenBucket,
}

impl Peer {
    pub fn new(link: NewLink, pieces: u32, pipeline: Pipeline, now: Instant) -> Self {
        let NewLink { conn, addr, outgoing, room } = link;
        Self {
            conn,
            addr,
            outgoing,
            listens: outgoing.then_some(addr),
            stage: Stage::Hello,
            id: PeerId([0; 20]),
            fast: false,
            extended: false,
            upload_only: false,
            sees_us: false,
            exchange: None,
            has: Bitfield::none(pieces),
            am_choking: true,
            am_interested: false,
            choking: true,
            interested: false,
            optimistic: false,
            choke_changed_at: Instant::ZERO,
            joined_at: now,
            heard_at: now,
            sent_at: now,
            down: Meter::new(now),
            up: Meter::new(now),
            limits: None,
            asked: VecDeque::new(),
            pipeline,
            served_at: now,
            answered: Instant::ZERO,
            snubbed: false,
            starved: false,
            paused_until: Instant::ZERO,
            rejects: 0,
            allowed: Vec::new(),
            suggested: Vec::new(),
            queue: VecDeque::new(),
            granted: Vec::new(),
            room,
            buffer: room,
        }
    }

    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether it wants nothing of anybody.
    pub fn is_seed(&self) -> bool {
        self.has.is_full() || self.upload_only
    }

    /// Where others could dial it, if it is there and that is known.
    pub fn contact(&self) -> Option<SocketAddr> {
        self.listens.filter(|_| self.is_open()).map(canonical)
    }

    /// Whether the connection, which ended for the reason `why`, was worth a new one.
    pub fn was_of_use(&self, why: &Disconnect, now: Instant) -> bool {
        let to_blame = matches!(why, Disconnect::Misbehaved(_) | Disconnect::Malformed(_));
        let used = self.down.total() + self.up.total() > 0 || now.since(self.joined_at) >= USELESS_AFTER;
        self.is_open() && used && !to_blame
    }

    /// Whether neither side wants anything of the other.
    pub fn is_idle(&self) -> bool {
        !self.interested && !self.am_interested
    }

    /// Whether it can be asked for a block of `piece`.
    pub fn serves(&self, piece: PieceIndex) -> bool {
        self.has.has(piece) && (!self.choking || self.allowed.contains(&piece))
    }

    /// How many more requests may be out to it.
    pub fn spare_requests(&self, now: Instant) -> u32 {
        let may_ask =
            self.am_interested && (!self.choking || !self.allowed.is_empty()) && now >= self.paused_until;
        let target = match (may_ask, self.snubbed) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => self.pipeline.depth,
        };
        target.saturating_sub(self.asked.len() as u32)
    }

    /// Whether it holds one request more, as far as it has told.
    pub fn takes_requests(&self) -> bool {
        self.asked.len() < self.pipeline.reqq as usize
    }

    /// Lines that are empty keep no memory: of many peers only a few are served or serve at a time.
    pub fn give_back_memory(&mut self) {
        if self.asked.is_empty() {
            self.asked = VecDeque::new();
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    /// Remembers a piece that it allows or suggests; a flood of them is forgotten.
    pub fn hint(hints: &mut Vec<PieceIndex>, piece: PieceIndex) {
        if hints.len() < MAX_HINTS && !hints.contains(&piece) {
            hints.push(piece);
        }
    }

    /// The peer as a choker sees it.
    pub fn choke_view(&self, now: Instant) -> ChokePeer {
        ChokePeer {
            conn: self.conn,
            addr: self.addr,
            interested: self.interested,
            interesting: self.am_interested,
            unchoked: !self.am_choking,
            optimistic: self.optimistic,
            snubbed: self.snubbed,
            choking: self.choking,
            seed: self.is_seed(),
            pieces: self.has.count(),
            rate_down: self.down.rate(now),
            rate_up: self.up.rate(now),
            received: self.down.total(),
            sent: self.up.total(),
            joined_at: self.joined_at,
            changed_at: self.choke_changed_at,
        }
    }

    /// The peer as whoever inspects the torrent sees it.
    pub fn state(&self, now: Instant) -> PeerState {
        PeerState {
            conn: self.conn,
            addr: self.addr,
            open: self.is_open(),
            am_choking: self.am_choking,
            choking: self.choking,
            am_interested: self.am_interested,
            interested: self.interested,
            optimistic: self.optimistic,
            snubbed: self.snubbed,
            has: self.has.clone(),
            asked: self.asked.iter().map(|asked| (asked.block, asked.at)).collect(),
            depth: self.pipeline.depth,
            queue: self.queue.iter().copied().collect(),
            rate_down: self.down.rate(now),
            rate_up: self.up.rate(now),
            joined_at: self.joined_at,
        }
    }

    /// Sets the limits of the connection; `cap` is that of its slot.
    pub fn limit(&mut self, limits: &Limits, cap: Option<u64>, now: Instant) {
        let up = [limits.up_per_conn, limits.up_per_slot, cap].into_iter().flatten().min();
        match &mut self.limits {
            None if up.is_none() && limits.down_per_conn.is_none() => {}
            None => {
                let (up, down) =
                    (TokenBucket::new(up, BURST, now), TokenBucket::new(limits.down_per_conn, BURST, now));
                self.limits = Some(Box::new(PeerBuckets { up, down }));
            }
            Some(buckets) => {
                buckets.up.set_rate(now, up, BURST);
                buckets.down.set_rate(now, limits.down_per_conn, BURST);
            }
        }
    }
}

/// How many requests are out to one peer: as many as it serves in the time of a bare way there and back and
/// `request_queue_time` on top (the bandwidth-delay product). Each block tells how many that is, by Little's law: it
/// was the `place`th in line and took so long, so the line moves at `place` blocks in that time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pipeline {
    pub depth: u32,
    /// However slow the other side is.
    min: u32,
    /// What the other side takes (`reqq`, BEP 10) and we bear.
    max: u32,
    /// What the other side takes.
    reqq: u32,
    /// The shortest time from request to block.
    base: Duration,
}

impl Pipeline {
    pub fn new(min: u32, max: u32) -> Self {
        Self { depth: FIRST_DEPTH.max(min).min(max), min, max, reqq: u32::MAX, base: Duration::MAX }
    }

    /// A block came `took` after it was asked for as the `place`th in line.
    pub fn on_block(&mut self, took: Duration, place: u32, queue_time: Duration) {
        self.base = self.base.min(took);
        let served = u128::from(place) * u128::from((self.base + queue_time).as_nanos());
        let target = served.div_ceil(u128::from(took.as_nanos().max(1)));
        // One step a block, so that one odd time does not count for much.
        if target > u128::from(self.depth) {
            self.depth = (self.depth + 1).min(self.max);
        } else if target < u128::from(self.depth) {
            self.depth = (self.depth - 1).max(self.min.min(self.max));
        }
    }

    /// The other side says how many requests it takes.
    pub fn cap(&mut self, reqq: u32) {
        self.reqq = reqq.max(1);
        self.max = self.max.min(self.reqq);
        self.depth = self.depth.min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torrent::config::MIN_REQUESTS;

    /// Runs a sender of `rate` blocks a second at a round trip of `rtt_ms` and gives the depth that results.
    fn settled_depth(rate: u64, rtt_ms: u64, queue_ms: u64) -> u32 {
        let mut pipeline = Pipeline::new(MIN_REQUESTS, 10_000);
        let (rtt, service) = (Duration::from_millis(rtt_ms), Duration::from_nanos(1_000_000_000 / rate));
        let mut out: VecDeque<(Instant, u32)> = VecDeque::new();
        let (mut now, mut sender_free) = (Instant::ZERO, Instant::ZERO);
        for _ in 0..5_000 {
            while (out.len() as u32) < pipeline.depth {
                out.push_back((now, out.len() as u32 + 1));
            }
            let (asked, place) = out.pop_front().unwrap();
            sender_free = sender_free.max(asked + rtt) + service;
            now = now.max(sender_free);
            pipeline.on_block(now.since(asked), place, Duration::from_millis(queue_ms));
        }
        pipeline.depth
    }

    #[test]
    fn the_depth_follows_rate_and_round_trip() {
        for (rate, rtt_ms, queue_ms) in [(10, 50, 1000), (100, 50, 1000), (100, 500, 1000), (1000, 200, 500)]
        {
            let product = rate * (rtt_ms + queue_ms) / 1000;
            let depth = u64::from(settled_depth(rate, rtt_ms, queue_ms));
            assert!(
                (product..=product * 5 / 4 + 2).contains(&depth),
                "{rate}/s, {rtt_ms} ms: {depth}, product {product}"
            );
        }
        assert_eq!(settled_depth(1, 10, 100), MIN_REQUESTS, "a slow peer is never left without a request");
    }

    #[test]
    fn the_least_is_kept_unless_the_other_side_takes_less() {
        let mut pipeline = Pipeline::new(32, 500);
        assert_eq!(pipeline.depth, 32, "from the start");
        for _ in 0..100 {
            pipeline.on_block(Duration::from_secs(60), 1, Duration::from_secs(1));
        }
        assert_eq!(pipeline.depth, 32, "a block a minute");
        pipeline.cap(5);
        assert_eq!(pipeline.depth, 5, "`reqq`");
        assert_eq!(Pipeline::new(9, 3).depth, 3, "the most is the most");
    }
}
