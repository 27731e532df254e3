//! What happened, as a hash: every input that was delivered to a node and every output that was taken from one.

use crate::fault::{Action, What};
use std::net::SocketAddr;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{DialFailure, Input, Output, StorageOp};
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::{Block, ConnId, PieceIndex};
use torrentlab_engine::wire::{Message, Payload};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::recount::Recount;
use crate::watch::Watches;

/// Bytes that are gathered before they are hashed.
const BUFFER: usize = 8 * 1024;
/// Events of which a [`Detail::Chunks`] trace keeps one hash.
const CHUNK: u64 = 4096;

/// What is kept beside the hash of everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Detail {
    /// Nothing.
    #[default]
    Hash,
    /// A hash of each 4,096 events: enough to find where two runs part.
    Chunks,
    /// Those events of this chunk, in words.
    Words(u64),
}

/// XXH3-128 over the little-endian encodings of all events, in order.
pub struct Trace {
    hasher: Box<Xxh3>,
    buffer: Vec<u8>,
    events: u64,
    detail: Detail,
    chunks: Vec<u64>,
    words: Vec<String>,
    recount: Recount,
    watches: Watches,
}

/// What happens to a host where there are no nodes: in [`crate::contact`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    /// It came (back).
    Came,
    /// It went.
    Went,
    /// It received a piece.
    Received {
        /// From whom.
        from: u32,
        /// Which.
        piece: PieceIndex,
    },
}

/// The hash of a run and what else was kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TraceResult {
    /// XXH3-128 of everything.
    pub hash: u128,
    /// How many events there were.
    pub events: u64,
    /// A hash of each chunk, if asked for.
    pub chunks: Vec<u64>,
    /// The events of a chunk, if asked for.
    pub words: Vec<String>,
}

impl Trace {
    /// A trace of nothing so far.
    pub fn new(detail: Detail) -> Self {
        Self {
            hasher: Box::new(Xxh3::new()),
            buffer: Vec::with_capacity(2 * BUFFER),
            events: 0,
            detail,
            chunks: Vec::new(),
            words: Vec::new(),
            recount: Recount::default(),
            watches: Watches::default(),
        }
    }

    /// Who is told besides. Set before the run begins.
    pub fn watches(&mut self) -> &mut Watches {
        &mut self.watches
    }

    /// A host came with `have`, and listens at `addr`. It is no event of the trace, and nor is that it goes.
    pub fn came(&mut self, now: Instant, host: u32, addr: SocketAddr, have: &Bitfield) {
        self.recount.came(host, have);
        self.watches.tell(|watch| watch.came(now, host, addr, have));
    }

    /// A host went.
    pub fn went(&mut self, now: Instant, host: u32) {
        self.recount.went(host);
        self.watches.tell(|watch| watch.went(now, host));
    }

    /// Distributed copies, by what was traced.
    pub fn distributed_copies(&self) -> f64 {
        self.recount.distributed_copies()
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// An input is about to be delivered.
    pub fn input(&mut self, now: Instant, host: u32, input: &Input) {
        self.before(now, "host", host, input);
        self.watches.tell(|watch| watch.input(now, host, input));
        let kind = |kind: u8| Head { now, host, kind, conn: None };
        match input {
            Input::Connected { conn, addr, outgoing, room } => {
                self.put(
                    kind(1).on(*conn),
                    u64::from(addr.port()),
                    u64::from(*room) << 1 | u64::from(*outgoing),
                );
            }
            Input::DialFailed { addr, why } => {
                let why = match why {
                    DialFailure::Refused => 0,
                    DialFailure::TimedOut => 1,
                    DialFailure::Unreachable => 2,
                };
                self.put(kind(2), u64::from(addr.port()), why);
            }
            Input::Message { conn, message } => self.message(kind(64).on(*conn), message),
            Input::Writable { conn, bytes } => self.put(kind(3).on(*conn), u64::from(*bytes), 0),
            Input::Closed { conn, why } => {
                self.put(kind(4).on(*conn), 0, 0);
                self.bytes(why.to_string().as_bytes());
            }
            Input::TrackerReply { tracker, result } => {
                self.put(kind(5), *tracker as u64, u64::from(result.is_ok()));
                for addr in result.iter().flat_map(|reply| &reply.peers) {
                    self.bytes(addr.to_string().as_bytes());
                }
            }
            Input::PieceChecked { piece, ok, digests } => {
                self.put(kind(6), u64::from(piece.0), u64::from(*ok));
                digests.iter().for_each(|digest| self.bytes(&digest.to_le_bytes()));
                if *ok {
                    self.recount.got(host, *piece);
                }
            }
            Input::StorageFailed { op, .. } => match op {
                StorageOp::Read { block, .. } => self.block(kind(7), *block),
                StorageOp::Write(block) => self.block(kind(8), *block),
                StorageOp::Check(piece) => self.put(kind(9), u64::from(piece.0), 0),
            },
            Input::SetLimits(limits) => {
                let rate = |rate: Option<u64>| rate.unwrap_or(u64::MAX);
                self.put(kind(10), rate(limits.up), rate(limits.down));
                self.put(kind(10), rate(limits.up_per_conn), rate(limits.down_per_conn));
            }
            Input::Shutdown => self.put(kind(11), 0, 0),
            Input::Timeout => self.put(kind(12), 0, 0),
            Input::StorageRestored => self.put(kind(13), 0, 0),
        }
    }

    /// An output was taken; `targets` are those of a broadcast.
    pub fn output(&mut self, now: Instant, host: u32, output: &Output, targets: &[ConnId]) {
        self.before(now, "host", host, output);
        self.watches.tell(|watch| watch.output(now, host, output, targets));
        let kind = |kind: u8| Head { now, host, kind, conn: None };
        match output {
            Output::Dial(addr) => {
                self.put(kind(32), u64::from(addr.port()), 0);
                self.bytes(addr.ip().to_string().as_bytes());
            }
            Output::Send { conn, message } => self.message(kind(128).on(*conn), message),
            Output::Broadcast { piece, .. } => {
                self.put(kind(33), u64::from(piece.0), targets.len() as u64);
                for conn in targets {
                    self.buffer.extend_from_slice(&(conn.slot() as u32).to_le_bytes());
                }
            }
            Output::SendBlock { conn, block } => self.block(kind(34).on(*conn), *block),
            Output::CancelBlock { conn, block, reject } => {
                self.block(kind(if *reject { 41 } else { 35 }).on(*conn), *block);
            }
            Output::Close { conn, why } => {
                self.put(kind(36).on(*conn), 0, 0);
                self.bytes(why.to_string().as_bytes());
            }
            Output::Announce(announce) => {
                self.put(kind(37), announce.request.left, announce.request.event as u64);
            }
            Output::WriteBlock { block, .. } => self.block(kind(38), *block),
            Output::CheckPiece { piece, digests } => {
                self.put(kind(39), u64::from(piece.0), u64::from(*digests))
            }
            // What a node tells of itself has no effect, and its words may change.
            Output::Event(_) => self.put(kind(40), 0, 0),
        }
    }

    /// Something was done about a fault.
    pub fn fault(&mut self, now: Instant, action: &Action) {
        self.before(now, "fault", action.fault, &action.what);
        self.watches.tell(|watch| watch.fault(now, action));
        let head = |kind: u8| Head { now, host: action.fault, kind, conn: None };
        match action.what {
            What::Begin => self.put(head(48), 0, 0),
            What::End => self.put(head(49), 0, 0),
            What::Hold(one, other) => self.put(head(50), u64::from(one), u64::from(other)),
            What::Release(one, other) => self.put(head(51), u64::from(one), u64::from(other)),
        }
    }

    /// Something happened to a host that has no node.
    pub fn passage(&mut self, now: Instant, host: u32, passage: Passage) {
        self.before(now, "host", host, &passage);
        self.watches.tell(|watch| watch.passage(now, host, passage));
        let head = |kind: u8| Head { now, host, kind, conn: None };
        match passage {
            Passage::Came => self.put(head(56), 0, 0),
            Passage::Went => self.put(head(57), 0, 0),
            Passage::Received { from, piece } => {
                self.put(head(58), u64::from(from), u64::from(piece.0));
                self.recount.got(host, piece);
            }
        }
    }

    /// The hash of everything.
    pub fn finish(&mut self) -> TraceResult {
        self.end_chunk();
        self.flush();
        TraceResult {
            hash: self.hasher.digest128(),
            events: self.events,
            chunks: std::mem::take(&mut self.chunks),
            words: std::mem::take(&mut self.words),
        }
    }

    fn before(&mut self, now: Instant, who: &str, which: u32, event: &impl std::fmt::Debug) {
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
        if self.detail != Detail::Hash {
            if self.events > 0 && self.events.is_multiple_of(CHUNK) {
                self.end_chunk();
            }
            if self.detail == Detail::Words(self.events / CHUNK) {
                self.words.push(format!("{now:?} {who} {which}: {event:?}"));
            }
        }
        self.events += 1;
    }

    fn end_chunk(&mut self) {
        if self.detail == Detail::Chunks {
            self.flush();
            // The state so far: chunks after the first that differs all differ.
            self.chunks.push(xxh3_64(&self.hasher.digest128().to_le_bytes()));
        }
    }

    fn flush(&mut self) {
        self.hasher.update(&self.buffer);
        self.buffer.clear();
    }

    fn message(&mut self, head: Head, message: &Message) {
        let kind = |kind: u8| Head { kind: head.kind + kind, ..head };
        match message {
            Message::Hello { reserved, info_hash } => {
                self.put(kind(0), u64::from_le_bytes(reserved.0), 0);
                self.bytes(&info_hash.0);
            }
            Message::PeerId(id) => {
                self.put(kind(1), 0, 0);
                self.bytes(&id.0);
            }
            Message::KeepAlive => self.put(kind(2), 0, 0),
            Message::Choke => self.put(kind(3), 0, 0),
            Message::Unchoke => self.put(kind(4), 0, 0),
            Message::Interested => self.put(kind(5), 0, 0),
            Message::NotInterested => self.put(kind(6), 0, 0),
            Message::Have(piece) => self.put(kind(7), u64::from(piece.0), 0),
            Message::Bitfield(bits) => {
                self.put(kind(8), bits.len() as u64, 0);
                self.bytes(bits);
            }
            Message::Request(block) => self.block(kind(9), *block),
            Message::Piece { block, payload } => {
                self.block(kind(10), *block);
                if let Payload::Synthetic { tag, .. } = payload {
                    self.buffer.extend_from_slice(&tag.to_le_bytes());
                }
            }
            Message::Cancel(block) => self.block(kind(11), *block),
            Message::Port(port) => self.put(kind(12), u64::from(*port), 0),
            Message::Suggest(piece) => self.put(kind(13), u64::from(piece.0), 0),
            Message::HaveAll => self.put(kind(14), 0, 0),
            Message::HaveNone => self.put(kind(15), 0, 0),
            Message::Reject(block) => self.block(kind(16), *block),
            Message::AllowedFast(piece) => self.put(kind(17), u64::from(piece.0), 0),
            Message::Extended { id, payload } => {
                self.put(kind(18), u64::from(*id), payload.len() as u64);
                self.bytes(payload);
            }
            Message::Unknown(id) => self.put(kind(19), u64::from(*id), 0),
        }
    }

    fn block(&mut self, head: Head, block: Block) {
        self.put(head, u64::from(block.piece.0) << 32 | u64::from(block.begin), u64::from(block.len));
    }

    fn put(&mut self, head: Head, one: u64, two: u64) {
        let conn =
            head.conn.map_or(u64::MAX, |conn| (conn.slot() as u64) << 32 | u64::from(conn.generation()));
        let words = [head.now.as_nanos(), u64::from(head.host) << 8 | u64::from(head.kind), conn, one, two];
        let mut bytes = [0; 40];
        for (at, word) in bytes.chunks_exact_mut(8).zip(words) {
            at.copy_from_slice(&word.to_le_bytes());
        }
        self.buffer.extend_from_slice(&bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.buffer.extend_from_slice(bytes);
    }
}

/// What every event begins with.
#[derive(Clone, Copy)]
struct Head {
    now: Instant,
    host: u32,
    kind: u8,
    conn: Option<ConnId>,
}

impl Head {
    fn on(self, conn: ConnId) -> Self {
        Self { conn: Some(conn), ..self }
    }
}

/// Where two runs part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The number of the first event that differs, counted from 0.
    pub event: u64,
    /// What it was in the first run; `None` where that had ended.
    pub first: Option<String>,
    /// What it was in the second.
    pub second: Option<String>,
}

/// Finds the first event in which two runs differ. Each is run twice: once for the hashes of its chunks, once for the
/// words of the first chunk that differs. `None` when there is none.
pub fn first_difference<E>(
    mut first: impl FnMut(Detail) -> Result<TraceResult, E>,
    mut second: impl FnMut(Detail) -> Result<TraceResult, E>,
) -> Result<Option<Difference>, E> {
    let (a, b) = (first(Detail::Chunks)?, second(Detail::Chunks)?);
    if a.hash == b.hash {
        return Ok(None);
    }
    let chunk = a.chunks.iter().zip(&b.chunks).take_while(|(a, b)| a == b).count() as u64;
    let (a, b) = (first(Detail::Words(chunk))?.words, second(Detail::Words(chunk))?.words);
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (first, second) = (a.get(same).cloned(), b.get(same).cloned());
    Ok(Some(Difference { event: chunk * CHUNK + same as u64, first, second }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use torrentlab_engine::units::PieceIndex;

    /// A trace of `events` checks of which one is of another piece.
    fn run(events: u64, odd: Option<u64>, detail: Detail) -> TraceResult {
        let mut trace = Trace::new(detail);
        for nth in 0..events {
            let piece = PieceIndex(if odd == Some(nth) { 7 } else { 1 });
            trace.output(Instant::from_nanos(nth), 3, &Output::CheckPiece { piece, digests: false }, &[]);
        }
        trace.finish()
    }

    #[test]
    fn what_is_kept_beside_does_not_change_the_hash() {
        let hash = run(10_000, None, Detail::Hash).hash;
        assert_eq!(run(10_000, None, Detail::Chunks).hash, hash);
        assert_eq!(run(10_000, None, Detail::Words(1)).hash, hash);
        assert_ne!(run(10_000, Some(9_999), Detail::Hash).hash, hash);
    }

    #[test]
    fn the_first_difference_is_named() {
        let find = |a: (u64, Option<u64>), b: (u64, Option<u64>)| {
            let trace = |(events, odd)| move |detail| Ok::<_, ()>(run(events, odd, detail));
            first_difference(trace(a), trace(b)).unwrap()
        };
        assert_eq!(find((9_000, Some(5)), (9_000, Some(5))), None);
        for odd in [0, 4_095, 4_096, 8_999] {
            let found = find((9_000, None), (9_000, Some(odd))).unwrap();
            assert_eq!(found.event, odd);
            assert!(found.second.unwrap().contains("piece: PieceIndex(7)"));
        }
        let longer = find((4_096, None), (4_097, None)).unwrap();
        assert_eq!((longer.event, longer.first), (4_096, None));
        assert!(longer.second.is_some());
    }
}
