//! One direction of a connection: what waits in its socket buffer, and what its window lets go.

use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::ConnId;

use super::pool::{Fifo, Pool};

/// One direction of a connection, as its sender has it.
#[derive(Debug)]
pub struct Flow {
    /// The host it leads to.
    pub to: u32,
    /// The connection's name at the sender.
    pub conn: ConnId,
    /// Whether the sender's end is open.
    pub open: bool,
    /// Whether it is stopped by what faults do to the path of either direction.
    pub stopped: bool,
    /// Whether packets of it get lost, or did.
    pub lossy: bool,
    /// What it is doing.
    pub state: State,
    /// Events that name it or its chunks.
    pub pending: u32,
    /// Segments received and not acknowledged yet.
    pub unacked: u32,
    /// One-way latency.
    pub latency: Duration,
    /// Bytes that may be under way to the receiver, over all flows, when a chunk of this one sets out.
    pub room: u64,
    /// When the last chunk lands: no later one lands before it.
    pub lands: Instant,
    /// Bytes that may be in flight: the congestion window, which slow start opens up to `window`.
    pub cwnd: u32,
    /// The receive window.
    pub window: u32,
    /// Bytes that have set out and are not acknowledged.
    pub in_flight: u32,
    /// The chunk on the uplink or waiting for room, where `state` says that there is one.
    pub chunk: u32,
    /// Bytes of the first waiting message that have set out.
    pub head_sent: u32,
    /// Bytes that wait.
    pub waiting_bytes: u32,
    /// Bytes of room that senders wait for behind them.
    pub waiting_room: u32,
    /// Messages in the socket buffer.
    pub waiting: Fifo,
    /// Chunks that are through, until their acknowledgement is back.
    pub credits: Fifo,
}

/// What a flow is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing waits.
    Idle,
    /// Something waits for the end of this instant.
    Fresh,
    /// A chunk is on the uplink.
    Serving,
    /// The window is full.
    Window,
    /// A chunk waits for room before the receiver's downlink.
    Room,
    /// Something waits for the path.
    Stopped,
}

/// A message on its way.
#[derive(Debug)]
pub struct Queued<M> {
    /// The message.
    pub message: M,
    /// Its bytes.
    pub bytes: u32,
    /// How much room in the socket buffer its sender gets back.
    pub room: u32,
}

/// A stretch of a flow's bytes that travels as one: usually a block, or the messages of an instant.
#[derive(Debug)]
pub struct Chunk {
    /// Whose.
    pub flow: u32,
    /// Another chunk that lands at the same time, or [`NONE`](super::NONE).
    pub also: u32,
    /// When its first byte set out; then, when that arrives; at last, when its acknowledgement is back.
    pub at: Instant,
    /// Bytes of messages.
    pub bytes: u32,
    /// Bytes with headers.
    pub wire: u32,
    /// Room in the socket buffer that it makes.
    pub room: u32,
    /// Messages that end in it.
    pub messages: Fifo,
    /// What it is.
    pub kind: Kind,
}

/// What a chunk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Bytes that count against the window.
    Data,
    /// Such bytes that have arrived: their acknowledgement is on its way back.
    Credit,
    /// Small messages that left as soon as they were said. They are no matter for the window: even a new connection may
    /// have a hundred of them in flight, and one that is blocked may send a segment more (RFC 3042).
    Small,
    /// The end of the sender's end.
    End(End),
}

/// How an end of a connection closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// In order.
    Close,
    /// By the death of its host.
    Reset,
}

impl Flow {
    /// Takes in the acknowledgements that are back by `now`: "during slow start, a TCP increments cwnd by at most
    /// SMSS bytes for each ACK" (RFC 5681), here by what was acknowledged.
    pub fn reap(&mut self, now: Instant, chunks: &mut Pool<Chunk>) {
        while self.credits.front(chunks).is_some_and(|chunk| chunk.at <= now) {
            let chunk = self.credits.pop(chunks).expect("it is there");
            self.in_flight -= chunk.bytes;
            self.cwnd = self.cwnd.saturating_add(chunk.bytes).min(self.window);
        }
    }

    /// Takes all that waits as one chunk of small messages.
    pub fn cut_small(&mut self, index: u32, now: Instant, header: u32) -> Chunk {
        let bytes = std::mem::take(&mut self.waiting_bytes);
        let messages = std::mem::take(&mut self.waiting);
        Chunk { bytes, wire: bytes + header, messages, kind: Kind::Small, ..Chunk::new(index, now) }
    }

    /// Puts what has left before what waits, to be sent again: these `messages`, of which all but `bytes` had arrived.
    pub fn put_back<M>(&mut self, pool: &mut Pool<Queued<M>>, messages: Fifo, bytes: u32) {
        let mut whole = 0;
        messages.change(pool, |queued| {
            whole += queued.bytes;
            self.waiting_room += queued.room;
        });
        self.head_sent = self.head_sent + whole - bytes;
        self.waiting_bytes += bytes;
        self.waiting.prepend(pool, messages);
    }

    /// Cuts the next chunk: the rest of the first message, as far as the window lets it go, and small messages
    /// behind it that fit into its last segment. `None` when the window is too full for a segment.
    pub fn cut<M>(
        &mut self,
        index: u32,
        now: Instant,
        mss: u32,
        messages: &mut Pool<Queued<M>>,
    ) -> Option<Chunk> {
        let open = self.cwnd.saturating_sub(self.in_flight);
        if open < mss.min(self.waiting_bytes) {
            return None;
        }
        let mut chunk = Chunk::new(index, now);
        while let Some(head) = self.waiting.front(messages) {
            let rest = head.bytes - self.head_sent;
            let first = chunk.messages.is_empty();
            let slack = if first { open } else { slack(chunk.bytes, mss).min(open - chunk.bytes) };
            if rest > slack {
                if first {
                    self.head_sent += slack;
                    chunk.bytes = slack;
                }
                break;
            }
            chunk.bytes += rest;
            chunk.room += head.room;
            self.head_sent = 0;
            self.waiting.move_front(messages, &mut chunk.messages);
        }
        self.waiting_bytes -= chunk.bytes;
        self.waiting_room -= chunk.room;
        self.in_flight += chunk.bytes;
        Some(chunk)
    }
}

impl Chunk {
    /// A chunk of `flow` that begins at `at`, with nothing in it.
    pub fn new(flow: u32, at: Instant) -> Self {
        let messages = Fifo::default();
        Self { flow, also: super::NONE, at, bytes: 0, wire: 0, room: 0, messages, kind: Kind::Data }
    }
}

/// Bytes that still fit into the last segment of `bytes`.
fn slack(bytes: u32, mss: u32) -> u32 {
    bytes.next_multiple_of(mss) - bytes
}
