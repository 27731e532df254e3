//! The node, and what it wants done, shared by the tasks that do it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Waker};

use tokio::sync::{Notify, mpsc};

use super::disk::{Op, storage_failed};
use super::outgoing::Outgoing;
use super::platform::Platform;
use super::storage::StorageError;
use crate::node::{Disconnect, Event, Input, Node, Outbox, Output, StorageOp};
use crate::time::Instant;
use crate::tracker::Announce;
use crate::units::{Block, ConnId, ConnSlots, PieceIndex};
use crate::wire::{Message, Payload};

/// Bytes of blocks that wait to be written; beyond, nothing is read from any socket.
pub(super) const MAX_UNWRITTEN: usize = 8 * 1024 * 1024;
/// Bytes of messages that wait for a peer who does not read; beyond, it is cut off.
const MAX_UNSENT: usize = 4 * 1024 * 1024;

/// What all tasks of a driver share. The lock is held for short stretches of pure computation, and tasks of one
/// driver run on one thread at best: there is no queue to hand messages over, and none to fill up.
pub(super) struct Shared<P, N> {
    core: Mutex<Core<P, N>>,
    /// Wakes the driver: there is [`Work`], or the node's time came closer.
    pub(super) work: Arc<Notify>,
}

impl<P: Platform, N: Node> Shared<P, N> {
    pub(super) fn new(platform: P, node: N, room: u32, events: mpsc::UnboundedSender<Event>) -> Self {
        let work = Arc::new(Notify::new());
        let core = Core {
            node,
            platform,
            room,
            outbox: Outbox::default(),
            outputs: Vec::new(),
            inputs: VecDeque::new(),
            slots: ConnSlots::default(),
            lanes: Vec::new(),
            work: Work::default(),
            unwritten: 0,
            paused: Vec::new(),
            armed: Instant::ZERO,
            stopped_at: None,
            events,
            notify: Arc::clone(&work),
        };
        Self { core: Mutex::new(core), work }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core<P, N>> {
        self.core.lock().expect("a broken invariant of the engine has ended a task")
    }
}

/// What is left for the driver to do.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) dials: Vec<SocketAddr>,
    pub(super) announces: Vec<Announce>,
    pub(super) ops: Vec<Op>,
    pub(super) reads: VecDeque<(ConnId, Block)>,
}

impl Work {
    pub(super) fn is_empty(&self) -> bool {
        self.dials.is_empty() && self.announces.is_empty() && self.ops.is_empty() && self.reads.is_empty()
    }
}

/// The sending side of a connection.
#[derive(Debug)]
struct Lane {
    conn: ConnId,
    outgoing: Outgoing,
    /// Wakes the connection's task; `None` while it runs.
    waker: Option<Waker>,
}

impl Lane {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The node and the ends of its connections.
pub(super) struct Core<P, N> {
    pub(super) node: N,
    platform: P,
    /// Bytes of blocks that a connection takes in at once.
    room: u32,
    outbox: Outbox,
    outputs: Vec<Output>,
    /// Inputs that came of carrying out outputs.
    inputs: VecDeque<Input>,
    slots: ConnSlots,
    lanes: Vec<Option<Lane>>,
    pub(super) work: Work,
    /// Bytes of blocks on their way to the disk.
    unwritten: usize,
    /// Connections that wait for the disk.
    paused: Vec<Waker>,
    /// The time that the driver sleeps until.
    armed: Instant,
    stopped_at: Option<Instant>,
    events: mpsc::UnboundedSender<Event>,
    notify: Arc<Notify>,
}

impl<P: Platform, N: Node> Core<P, N> {
    /// Whether the connection is there.
    pub(super) fn is_open(&self, conn: ConnId) -> bool {
        self.slots.is_open(conn)
    }

    /// Whether blocks come in faster than they can be written.
    pub(super) fn is_congested(&self) -> bool {
        self.unwritten > MAX_UNWRITTEN
    }

    /// Tells the node of something, and takes in what it wants done.
    ///
    /// # Panics
    /// Where the node says that its contract was broken: that would be a mistake in this driver.
    pub(super) fn input(&mut self, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            let now = self.platform.now();
            if let Err(misuse) = self.node.handle(now, input, &mut self.outbox) {
                panic!("the driver broke the engine's contract: {misuse}");
            }
            self.carry_out();
        }
        let due = self.node.poll_timeout().is_some_and(|at| at < self.armed);
        if due || !self.work.is_empty() {
            self.notify.notify_one();
        }
    }

    /// Notes when the driver will be back by itself.
    pub(super) fn arm(&mut self) -> Instant {
        self.armed = self.node.poll_timeout().unwrap_or(Instant::NEVER);
        self.armed
    }

    /// Tells the node that its time has come, if it has.
    pub(super) fn timeout(&mut self) {
        if self.node.poll_timeout().is_some_and(|at| at <= self.platform.now()) {
            self.input(Input::Timeout);
        }
    }

    /// Has a peer dialled.
    pub(super) fn dial(&mut self, addr: SocketAddr) {
        self.work.dials.push(addr);
        self.notify.notify_one();
    }

    /// Has the node stop, once.
    pub(super) fn shutdown(&mut self) {
        if self.stopped_at.is_none() {
            self.stopped_at = Some(self.platform.now());
            self.input(Input::Shutdown);
        }
        self.notify.notify_one();
    }

    /// When the node was told to stop.
    pub(super) fn stopped_at(&self) -> Option<Instant> {
        self.stopped_at
    }

    /// Makes room for a new connection and tells the node.
    pub(super) fn connected(&mut self, addr: SocketAddr, outgoing: bool) -> ConnId {
        let conn = self.slots.open();
        if self.lanes.len() <= conn.slot() {
            self.lanes.resize_with(conn.slot() + 1, || None);
        }
        self.lanes[conn.slot()] = Some(Lane { conn, outgoing: Outgoing::default(), waker: None });
        self.input(Input::Connected { conn, addr, outgoing, room: self.room });
        conn
    }

    /// The connection is gone, and not by the node's will.
    pub(super) fn lose(&mut self, conn: ConnId, why: Disconnect) {
        if self.close(conn) {
            self.input(Input::Closed { conn, why });
        }
    }

    /// What a connection that runs has to send; `None` when it was closed.
    pub(super) fn begin(&mut self, conn: ConnId) -> Option<&mut Outgoing> {
        let lane = self.lane(conn)?;
        lane.waker = None;
        Some(&mut lane.outgoing)
    }

    /// Wakes the connection when there is more to send.
    pub(super) fn wait(&mut self, conn: ConnId, cx: &Context<'_>) {
        if let Some(lane) = self.lane(conn) {
            lane.waker = Some(cx.waker().clone());
        }
    }

    /// Wakes the connection when there is more to send or the disk has caught up.
    pub(super) fn wait_for_disk(&mut self, conn: ConnId, cx: &Context<'_>) {
        self.wait(conn, cx);
        self.paused.push(cx.waker().clone());
    }

    /// A block was read from disk.
    pub(super) fn read_done(&mut self, conn: ConnId, block: Block, bytes: bytes::Bytes) {
        if let Some(lane) = self.lane(conn) {
            lane.outgoing.fill(block, bytes);
            lane.wake();
        }
    }

    /// A block could not be read from disk. Whoever cancelled it meanwhile has had an answer.
    pub(super) fn read_failed(&mut self, conn: ConnId, block: Block, why: &StorageError) {
        if self.cancel(conn, block) {
            self.input(storage_failed(StorageOp::Read { conn, block }, why));
        }
    }

    /// Blocks of `bytes` in all were written, or could not be.
    pub(super) fn written(&mut self, bytes: usize, results: Vec<Input>) {
        self.unwritten -= bytes;
        for result in results {
            self.input(result);
        }
        if !self.is_congested() {
            self.paused.drain(..).for_each(Waker::wake);
        }
    }

    fn lane(&mut self, conn: ConnId) -> Option<&mut Lane> {
        self.lanes.get_mut(conn.slot())?.as_mut().filter(|lane| lane.conn == conn)
    }

    fn close(&mut self, conn: ConnId) -> bool {
        let Some(lane) = self.lane(conn) else { return false };
        lane.wake();
        self.lanes[conn.slot()] = None;
        self.slots.close(conn);
        true
    }

    fn carry_out(&mut self) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.outbox.take(&mut outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Dial(addr) => self.work.dials.push(addr),
                Output::Send { conn, message } => self.send(conn, &message),
                Output::Broadcast { piece, targets } => self.broadcast(piece, targets),
                Output::SendBlock { conn, block } => self.send_block(conn, block),
                Output::CancelBlock { conn, block, reject } => {
                    if self.cancel(conn, block) && reject {
                        self.send(conn, &Message::Reject(block));
                    }
                }
                Output::Close { conn, .. } => {
                    self.close(conn);
                }
                Output::Announce(announce) => self.work.announces.push(announce),
                Output::WriteBlock { block, payload } => self.write(block, payload),
                Output::CheckPiece { piece, digests } => self.work.ops.push(Op::Check { piece, digests }),
                // Whoever watches may have stopped watching.
                Output::Event(event) => drop(self.events.send(event)),
            }
        }
        self.outbox.clear();
        self.outputs = outputs;
    }

    fn send(&mut self, conn: ConnId, message: &Message) {
        let Some(lane) = self.lane(conn) else { return };
        lane.outgoing.push(message);
        lane.wake();
        if lane.outgoing.small() > MAX_UNSENT {
            self.close(conn);
            self.inputs.push_back(Input::Closed { conn, why: Disconnect::TimedOut });
        }
    }

    fn broadcast(&mut self, piece: PieceIndex, targets: std::ops::Range<u32>) {
        for at in targets {
            let [conn] = *self.outbox.targets(at..at + 1) else { unreachable!("one target") };
            self.send(conn, &Message::Have(piece));
        }
    }

    fn send_block(&mut self, conn: ConnId, block: Block) {
        if let Some(lane) = self.lane(conn) {
            lane.outgoing.push_block(block);
            self.work.reads.push_back((conn, block));
        }
    }

    /// Drops a block that waits to be sent; whether it did.
    fn cancel(&mut self, conn: ConnId, block: Block) -> bool {
        let freed = self.lane(conn).and_then(|lane| lane.outgoing.cancel(block));
        self.inputs.extend(freed.map(|bytes| Input::Writable { conn, bytes }));
        freed.is_some()
    }

    fn write(&mut self, block: Block, payload: Payload) {
        let Payload::Bytes(bytes) = payload else { panic!("a real peer sends real bytes") };
        self.unwritten += bytes.len();
        self.work.ops.push(Op::Write { block, bytes });
    }
}
