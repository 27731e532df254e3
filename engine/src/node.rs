//! The contract between an engine and whoever drives it: one way in, one way out.

use std::net::SocketAddr;

use thiserror::Error;

use crate::state::NodeState;
use crate::time::{Duration, Instant};
use crate::tracker::{Announce, AnnounceReply, TrackerFailure};
use crate::units::{Block, ConnId, PieceIndex};
use crate::wire::{Message, Payload};

/// How often a driver looks whether storage that failed works again, to send [`Input::StorageRestored`].
pub const PROBE_EVERY: Duration = Duration::from_secs(10);

/// A member of a swarm: the engine's [`Torrent`](crate::torrent::Torrent), or a scripted, faulty or foreign one.
///
/// The drain rule: after each call the driver carries out everything in the [`Outbox`], in order, before the next
/// call, and calls [`Node::handle`] with [`Input::Timeout`] at [`Node::poll_timeout`] or later, never earlier.
pub trait Node: Send {
    /// Takes in what happened at `now` and writes what is to be done to `out`.
    ///
    /// # Errors
    /// Where the driver broke the contract. A peer's misbehaviour is no error: the node closes its connection.
    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse>;

    /// When the node next wants [`Input::Timeout`]; `None` when it waits for something else. Constant time.
    fn poll_timeout(&self) -> Option<Instant>;

    /// What it believes at `now`, for whoever inspects it; `None` if it does not tell.
    fn state(&self, now: Instant) -> Option<NodeState> {
        let _ = now;
        None
    }
}

impl<N: Node + ?Sized> Node for Box<N> {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
        (**self).handle(now, input, out)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (**self).poll_timeout()
    }

    fn state(&self, now: Instant) -> Option<NodeState> {
        (**self).state(now)
    }
}

/// Something that happened to a node.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection is open, dialled by us or by the other side. The driver has chosen `conn`.
    Connected {
        /// The connection from now on.
        conn: ConnId,
        /// The other end, as the socket has it.
        addr: SocketAddr,
        /// Whether we dialled.
        outgoing: bool,
        /// Bytes of blocks that the connection's socket buffer takes in at once.
        room: u32,
    },
    /// A dial came to nothing.
    DialFailed {
        /// Whom we dialled.
        addr: SocketAddr,
        /// Why.
        why: DialFailure,
    },
    /// A message came.
    Message {
        /// From whom.
        conn: ConnId,
        /// What.
        message: Message,
    },
    /// Blocks left the socket buffer.
    Writable {
        /// Whose.
        conn: ConnId,
        /// Bytes of room made.
        bytes: u32,
    },
    /// The connection is gone; not sent for a connection that the node closed.
    Closed {
        /// Which.
        conn: ConnId,
        /// Why.
        why: Disconnect,
    },
    /// The answer to [`Output::Announce`].
    TrackerReply {
        /// Which tracker.
        tracker: usize,
        /// What it said.
        result: Box<Result<AnnounceReply, TrackerFailure>>,
    },
    /// The answer to [`Output::CheckPiece`].
    PieceChecked {
        /// Which piece.
        piece: PieceIndex,
        /// Whether its hash is right.
        ok: bool,
        /// A digest of each block, in order: required where `ok` is false or [`Output::CheckPiece`] asked for them.
        digests: Vec<u64>,
    },
    /// Storage did not do what was asked.
    StorageFailed {
        /// What.
        op: StorageOp,
        /// Why, for the user.
        why: String,
    },
    /// Storage that had failed works again, and every write and check from before was answered: the download goes on.
    StorageRestored,
    /// Other limits from now on.
    SetLimits(Limits),
    /// Announce `stopped` and close everything. A node that was shut down does nothing more.
    Shutdown,
    /// The time of [`Node::poll_timeout`] has come.
    Timeout,
}

/// Why a dial failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DialFailure {
    /// Nobody listens there.
    Refused,
    /// No answer.
    TimedOut,
    /// No way there.
    Unreachable,
}

/// Why a connection ended.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// The other side closed it.
    #[error("closed by the other side")]
    Remote,
    /// It broke.
    #[error("connection reset")]
    Reset,
    /// Bytes that are no message.
    #[error("malformed: {0}")]
    Malformed(String),
    /// A message that breaks the protocol.
    #[error("misbehaved: {0}")]
    Misbehaved(&'static str),
    /// We are connected to ourselves.
    #[error("connected to ourselves")]
    Oneself,
    /// A second connection to the same peer.
    #[error("already connected to this peer")]
    Duplicate,
    /// The other side wants another torrent.
    #[error("another torrent")]
    WrongTorrent,
    /// Its address is banned.
    #[error("banned")]
    Banned,
    /// No connection is free.
    #[error("too many connections")]
    Full,
    /// Neither side can want anything of the other.
    #[error("both are seeds")]
    BothSeeds,
    /// Gave its place to a newcomer.
    #[error("replaced by another peer")]
    Replaced,
    /// Silence for too long.
    #[error("timed out")]
    TimedOut,
    /// We are stopping.
    #[error("shutting down")]
    Shutdown,
}

/// What storage was asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StorageOp {
    /// Read a block for a peer, as [`Output::SendBlock`] asks.
    Read {
        /// The peer's connection, which still waits for it.
        conn: ConnId,
        /// The block.
        block: Block,
    },
    /// Write a block.
    Write(Block),
    /// Read a piece and check its hash.
    Check(PieceIndex),
}

/// Rates that may change while a node runs, in payload bytes a second; `None` is unlimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// All uploads together.
    pub up: Option<u64>,
    /// All downloads together.
    pub down: Option<u64>,
    /// Uploads on each connection.
    pub up_per_conn: Option<u64>,
    /// Downloads on each connection.
    pub down_per_conn: Option<u64>,
    /// Uploads in each unchoke slot.
    pub up_per_slot: Option<u64>,
}

/// Something that a node wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Open a connection.
    Dial(SocketAddr),
    /// Send a message (never [`Message::Piece`]).
    Send {
        /// To whom.
        conn: ConnId,
        /// What.
        message: Message,
    },
    /// Tell many peers of a piece: [`Outbox::targets`] are told [`Message::Have`].
    Broadcast {
        /// The piece.
        piece: PieceIndex,
        /// Which of the outbox's targets.
        targets: std::ops::Range<u32>,
    },
    /// Read a block from storage and send it. It takes its wire length of the room.
    SendBlock {
        /// To whom.
        conn: ConnId,
        /// Which.
        block: Block,
    },
    /// Drop a block that still waits to be sent, if it does; its room comes back as [`Input::Writable`].
    CancelBlock {
        /// On which connection.
        conn: ConnId,
        /// Which.
        block: Block,
        /// Send [`Message::Reject`] in its place: "exactly one reject or piece" answers each request (BEP 6).
        reject: bool,
    },
    /// End a connection; nothing more is heard of it.
    Close {
        /// Which.
        conn: ConnId,
        /// Why.
        why: Disconnect,
    },
    /// Ask a tracker.
    Announce(Announce),
    /// Store a block.
    WriteBlock {
        /// Which.
        block: Block,
        /// Its bytes.
        payload: Payload,
    },
    /// Check the hash of a piece after every write before this.
    CheckPiece {
        /// Which.
        piece: PieceIndex,
        /// Give the digests even if it is right: the piece has failed before.
        digests: bool,
    },
    /// Tell whoever watches.
    Event(Event),
}

/// What a node tells of itself beyond its deeds: for progress, metrics and traces.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Every piece is there and checked.
    Completed,
    /// A piece arrived whole and its hash is right.
    PieceVerified(PieceIndex),
    /// A piece arrived whole and its hash is wrong.
    HashFailed(PieceIndex),
    /// A block came that was already there.
    DuplicateBlock(Block),
    /// A block came that nobody (or nobody any more) waits for.
    UnexpectedBlock(Block),
    /// A peer sent nothing of what was asked for too long.
    Snubbed(ConnId),
    /// Every missing block is asked for.
    EndgameEntered,
    /// A peer was proven to send wrong bytes and is banned.
    Banned(std::net::IpAddr),
    /// The tracker cannot be used for now.
    TrackerFailed {
        /// Which tracker.
        tracker: usize,
        /// Why.
        why: TrackerFailure,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// The tracker answered.
    TrackerReplied {
        /// Which tracker.
        tracker: usize,
        /// Peers in the answer.
        peers: usize,
        /// Its warning, if any.
        warning: Option<String>,
    },
    /// A peer told of others of whom we had not heard (BEP 11).
    PeersHeardOf {
        /// The peer that told.
        conn: ConnId,
        /// How many.
        peers: usize,
    },
    /// Nothing more is downloaded until [`Input::StorageRestored`].
    StorageFailed(String),
}

/// The driver broke the contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// Time went backwards.
    #[error("input at {now}, which is before {last}")]
    TimeWentBack {
        /// The input's time.
        now: Instant,
        /// The last input's time.
        last: Instant,
    },
    /// A connection id was given out twice.
    #[error("connection {0:?} is already open")]
    ConnReused(ConnId),
    /// A check that was not asked for.
    #[error("piece {0} was not given to be checked")]
    NotChecking(PieceIndex),
    /// Digests are missing where they are required.
    #[error("piece {0} failed and has not one digest a block")]
    NoDigests(PieceIndex),
}

/// What a node wants done, in order. One outbox is lent to node after node and keeps its memory.
#[derive(Debug, Default)]
pub struct Outbox {
    outputs: Vec<Output>,
    targets: Vec<ConnId>,
}

impl Outbox {
    /// Adds an output.
    pub fn push(&mut self, output: Output) {
        self.outputs.push(output);
    }

    /// Adds a message to one connection.
    pub fn send(&mut self, conn: ConnId, message: Message) {
        self.push(Output::Send { conn, message });
    }

    /// Adds an event.
    pub fn event(&mut self, event: Event) {
        self.push(Output::Event(event));
    }

    /// Adds a `have` to each of `conns`, as one output.
    pub fn broadcast(&mut self, piece: PieceIndex, conns: impl IntoIterator<Item = ConnId>) {
        let start = self.targets.len() as u32;
        self.targets.extend(conns);
        let targets = start..self.targets.len() as u32;
        if !targets.is_empty() {
            self.push(Output::Broadcast { piece, targets });
        }
    }

    /// The connections of an [`Output::Broadcast`].
    pub fn targets(&self, range: std::ops::Range<u32>) -> &[ConnId] {
        &self.targets[range.start as usize..range.end as usize]
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// The outputs so far.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Swaps the outputs with `into` (which is cleared first), so that they can be carried out while the outbox is
    /// read for targets. Call [`Outbox::clear`] afterwards.
    pub fn take(&mut self, into: &mut Vec<Output>) {
        into.clear();
        std::mem::swap(&mut self.outputs, into);
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.outputs.clear();
        self.targets.clear();
    }
}
