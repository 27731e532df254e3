//! What a node believes at a moment, for whoever inspects it. It is put together when it is asked for and costs nothing
//! otherwise.

use std::net::SocketAddr;

use crate::bitfield::Bitfield;
use crate::time::Instant;
use crate::units::{Block, ConnId, PieceIndex};

/// The state of one torrent of one client.
#[derive(Clone, PartialEq, Debug)]
pub struct NodeState {
    /// The pieces that are there and checked.
    pub have: Bitfield,
    /// Its connections, in the order of their slots.
    pub peers: Vec<PeerState>,
    /// Pieces under way, in order.
    pub partial: Vec<PartialState>,
    /// Whether every missing block was asked for at some time: the endgame.
    pub endgame: bool,
    /// Dials under way.
    pub dialing: usize,
    /// Payload bytes sent and received.
    pub transferred: (u64, u64),
    /// When it next wakes up by itself.
    pub wakes_at: Option<Instant>,
}

/// What is known of one peer.
#[derive(Clone, PartialEq, Debug)]
pub struct PeerState {
    /// The connection.
    pub conn: ConnId,
    /// The other end, as the socket has it.
    pub addr: SocketAddr,
    /// Whether the handshake is done.
    pub open: bool,
    /// Whether we choke it, and it us.
    pub am_choking: bool,
    /// Likewise.
    pub choking: bool,
    /// Whether we are interested in it, and it in us.
    pub am_interested: bool,
    /// Likewise.
    pub interested: bool,
    /// Whether its slot is an optimistic one.
    pub optimistic: bool,
    /// Whether it sends nothing of what it was asked for.
    pub snubbed: bool,
    /// The pieces that it has, as far as it has told.
    pub has: Bitfield,
    /// What it was asked for, in order, and when.
    pub asked: Vec<(Block, Instant)>,
    /// Requests that may be out to it.
    pub depth: u32,
    /// What it asked for and was not begun to be sent, in order.
    pub queue: Vec<Block>,
    /// Payload bytes a second from it and to it.
    pub rate_down: u64,
    /// Likewise.
    pub rate_up: u64,
    /// When the connection began.
    pub joined_at: Instant,
}

/// A piece under way.
#[derive(Clone, PartialEq, Debug)]
pub struct PartialState {
    /// Which.
    pub piece: PieceIndex,
    /// Its blocks, in order.
    pub blocks: Vec<BlockState>,
}

/// How far a block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockState {
    /// Nobody was asked for it.
    Free,
    /// So many peers were asked for it.
    Asked(u8),
    /// It is there.
    Done,
}
