//! An event, as it is written.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{DialFailure, Input, Output, StorageOp};
use torrentlab_engine::time::Instant;
use torrentlab_engine::tracker::AnnounceEvent;
use torrentlab_engine::units::{BLOCK_LEN, Block, ConnId};
use torrentlab_engine::wire::{Message, Payload};

use crate::fault::{Action, What};
use crate::trace::Passage;

/// One event. Times are differences, so that they are short.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Nanoseconds since the entry before.
    pub after: u64,
    /// Whose event it is: the host's number, in the order of the scenario's classes; that of a fault for faults.
    pub host: u32,
    /// What happened.
    pub event: Event,
}

/// A connection as one of its ends knows it: slot and generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Conn(pub u32, pub u32);

/// A block of a piece: which of its blocks of 16 KiB, or from which byte on and how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Span {
    /// The piece.
    pub piece: u32,
    /// Which of its blocks it is, from 0.
    pub nth: u32,
    /// First byte and length where it is not a whole block of 16 KiB.
    pub odd: Option<(u32, u32)>,
}

/// An address, written as text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Whereabouts {
    /// IPv4 address and port.
    V4([u8; 4], u16),
    /// IPv6 address and port.
    V6([u8; 16], u16),
}

/// What happened. The first are what a host is told ([`Input`]), the next what it wants done ([`Output`]), the last the
/// rest.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "docs/reference/traces.md has a row for each, and names and types are those of the engine"
)]
pub enum Event {
    Heard { conn: Conn, said: Said },
    Writable { conn: Conn, bytes: u32 },
    Timeout,
    Connected { conn: Conn, addr: Whereabouts, outgoing: bool, room: u32 },
    DialFailed { addr: Whereabouts, why: u8 },
    Closed { conn: Conn, why: String },
    TrackerReplied { tracker: u32, peers: Vec<Whereabouts> },
    TrackerFailed { tracker: u32, why: String },
    Checked { piece: u32, ok: bool, digests: Vec<u64> },
    StorageFailed { what: u8, block: Span, why: String },
    StorageRestored,
    Limits { rates: [Option<u64>; 5] },
    Shutdown,
    Says { conn: Conn, said: Said },
    SendsBlock { conn: Conn, block: Span },
    Writes { block: Span },
    Broadcasts { piece: u32, slots: Vec<u32> },
    TakesBack { conn: Conn, block: Span, reject: bool },
    Dials { addr: Whereabouts },
    Closes { conn: Conn, why: String },
    Announces { tracker: u32, event: u8, left: u64 },
    Checks { piece: u32, digests: bool },
    Tells { what: String },
    Came { addr: Whereabouts, pieces: u32, have: Vec<u8> },
    Went,
    Fault { what: u8, one: u32, other: u32 },
    Passage { from: u32, piece: u32 },
}

/// A message. Blocks are without their bytes, but for the tag that stands for them where it is not the right one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are those of `Message`")]
pub enum Said {
    Piece { block: Span, tag: Option<u64> },
    Request(Span),
    Have(u32),
    Cancel(Span),
    Reject(Span),
    Choke,
    Unchoke,
    Interested,
    NotInterested,
    KeepAlive,
    Bitfield(Vec<u8>),
    HaveAll,
    HaveNone,
    AllowedFast(u32),
    Suggest(u32),
    Hello { reserved: [u8; 8], info_hash: [u8; 20] },
    PeerId([u8; 20]),
    Extended { id: u8, payload: Vec<u8> },
    Port(u16),
    Unknown(u8),
}

impl From<ConnId> for Conn {
    fn from(conn: ConnId) -> Self {
        Self(conn.slot() as u32, conn.generation())
    }
}

impl From<SocketAddr> for Whereabouts {
    fn from(addr: SocketAddr) -> Self {
        match addr.ip() {
            IpAddr::V4(ip) => Self::V4(ip.octets(), addr.port()),
            IpAddr::V6(ip) => Self::V6(ip.octets(), addr.port()),
        }
    }
}

impl From<&Whereabouts> for SocketAddr {
    fn from(addr: &Whereabouts) -> Self {
        match *addr {
            Whereabouts::V4(ip, port) => (ip, port).into(),
            Whereabouts::V6(ip, port) => (ip, port).into(),
        }
    }
}

fn span(block: Block) -> Span {
    let Block { piece, begin, len } = block;
    let whole = begin % BLOCK_LEN == 0 && len == BLOCK_LEN;
    Span { piece: piece.0, nth: begin / BLOCK_LEN, odd: (!whole).then_some((begin, len)) }
}

impl Said {
    /// A message, whose block has this tag if it is right.
    pub fn of(message: &Message) -> Self {
        match message {
            Message::Piece { block, payload } => {
                let right = (u64::from(block.piece.0) << 32 | u64::from(block.begin)) + 1;
                let tag = match payload {
                    Payload::Synthetic { tag, .. } if *tag != right => Some(*tag),
                    _ => None,
                };
                Self::Piece { block: span(*block), tag }
            }
            Message::Request(block) => Self::Request(span(*block)),
            Message::Have(piece) => Self::Have(piece.0),
            Message::Cancel(block) => Self::Cancel(span(*block)),
            Message::Reject(block) => Self::Reject(span(*block)),
            Message::Choke => Self::Choke,
            Message::Unchoke => Self::Unchoke,
            Message::Interested => Self::Interested,
            Message::NotInterested => Self::NotInterested,
            Message::KeepAlive => Self::KeepAlive,
            Message::Bitfield(bits) => Self::Bitfield(bits.to_vec()),
            Message::HaveAll => Self::HaveAll,
            Message::HaveNone => Self::HaveNone,
            Message::AllowedFast(piece) => Self::AllowedFast(piece.0),
            Message::Suggest(piece) => Self::Suggest(piece.0),
            Message::Hello { reserved, info_hash } => {
                Self::Hello { reserved: reserved.0, info_hash: info_hash.0 }
            }
            Message::PeerId(id) => Self::PeerId(id.0),
            Message::Extended { id, payload } => Self::Extended { id: *id, payload: payload.to_vec() },
            Message::Port(port) => Self::Port(*port),
            Message::Unknown(id) => Self::Unknown(*id),
        }
    }
}

impl Event {
    /// A host came.
    pub fn came(addr: SocketAddr, have: &Bitfield) -> Self {
        Self::Came { addr: addr.into(), pieces: have.len(), have: have.to_wire() }
    }

    /// What a host is told.
    pub fn input(input: &Input) -> Self {
        match input {
            Input::Connected { conn, addr, outgoing, room } => Self::Connected {
                conn: (*conn).into(),
                addr: (*addr).into(),
                outgoing: *outgoing,
                room: *room,
            },
            Input::DialFailed { addr, why } => {
                let why = match why {
                    DialFailure::Refused => 0,
                    DialFailure::TimedOut => 1,
                    DialFailure::Unreachable => 2,
                };
                Self::DialFailed { addr: (*addr).into(), why }
            }
            Input::Message { conn, message } => Self::Heard { conn: (*conn).into(), said: Said::of(message) },
            Input::Writable { conn, bytes } => Self::Writable { conn: (*conn).into(), bytes: *bytes },
            Input::Closed { conn, why } => Self::Closed { conn: (*conn).into(), why: why.to_string() },
            Input::TrackerReply { tracker, result } => match result.as_ref() {
                Ok(reply) => {
                    let peers = reply.peers.iter().map(|&addr| addr.into()).collect();
                    Self::TrackerReplied { tracker: *tracker as u32, peers }
                }
                Err(why) => Self::TrackerFailed { tracker: *tracker as u32, why: why.to_string() },
            },
            Input::PieceChecked { piece, ok, digests } => {
                Self::Checked { piece: piece.0, ok: *ok, digests: digests.clone() }
            }
            Input::StorageFailed { op, why } => {
                let (what, block) = match op {
                    StorageOp::Read { block, .. } => (0, span(*block)),
                    StorageOp::Write(block) => (1, span(*block)),
                    StorageOp::Check(piece) => (2, Span { piece: piece.0, nth: 0, odd: None }),
                };
                Self::StorageFailed { what, block, why: why.clone() }
            }
            Input::StorageRestored => Self::StorageRestored,
            Input::SetLimits(limits) => Self::Limits {
                rates: [limits.up, limits.down, limits.up_per_conn, limits.down_per_conn, limits.up_per_slot],
            },
            Input::Shutdown => Self::Shutdown,
            Input::Timeout => Self::Timeout,
        }
    }

    /// What a host wants done; `targets` are those of a broadcast.
    pub fn output(output: &Output, targets: &[ConnId]) -> Self {
        match output {
            Output::Dial(addr) => Self::Dials { addr: (*addr).into() },
            Output::Send { conn, message } => Self::Says { conn: (*conn).into(), said: Said::of(message) },
            Output::Broadcast { piece, .. } => {
                let slots = targets.iter().map(|conn| conn.slot() as u32).collect();
                Self::Broadcasts { piece: piece.0, slots }
            }
            Output::SendBlock { conn, block } => {
                Self::SendsBlock { conn: (*conn).into(), block: span(*block) }
            }
            Output::CancelBlock { conn, block, reject } => {
                Self::TakesBack { conn: (*conn).into(), block: span(*block), reject: *reject }
            }
            Output::Close { conn, why } => Self::Closes { conn: (*conn).into(), why: why.to_string() },
            Output::Announce(announce) => {
                let event = match announce.request.event {
                    AnnounceEvent::Regular => 0,
                    AnnounceEvent::Started => 1,
                    AnnounceEvent::Completed => 2,
                    AnnounceEvent::Stopped => 3,
                };
                Self::Announces { tracker: announce.tracker as u32, event, left: announce.request.left }
            }
            Output::WriteBlock { block, .. } => Self::Writes { block: span(*block) },
            Output::CheckPiece { piece, digests } => Self::Checks { piece: piece.0, digests: *digests },
            Output::Event(event) => Self::Tells { what: format!("{event:?}") },
        }
    }

    /// Something is done about a fault.
    pub fn fault(action: &Action) -> Self {
        let (what, one, other) = match action.what {
            What::Begin => (0, 0, 0),
            What::End => (1, 0, 0),
            What::Hold(one, other) => (2, one, other),
            What::Release(one, other) => (3, one, other),
        };
        Self::Fault { what, one, other }
    }

    /// A host received a piece in a model of contacts. That it came or went is told besides.
    pub fn passage(passage: Passage) -> Option<Self> {
        match passage {
            Passage::Came | Passage::Went => None,
            Passage::Received { from, piece } => Some(Self::Passage { from, piece: piece.0 }),
        }
    }
}

/// The time of an entry `after` the one at `before`.
pub(super) fn time_after(before: Instant, after: u64) -> Instant {
    Instant::from_nanos(before.as_nanos().saturating_add(after))
}
