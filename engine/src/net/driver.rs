//! Drives one node on a platform: listens, dials, announces, keeps its time, and has the slow work done.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::select;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::announce::announce;
use super::conn::{Conn, Incoming};
use super::core::Shared;
use super::disk::{Content, Op, Writer};
use super::platform::Platform;
use super::storage::StorageError;
use crate::dice::Dice;
use crate::node::{DialFailure, Event, Input, Limits, Node, PROBE_EVERY};
use crate::time::{Duration, Instant};
use crate::tracker::{Announce, AnnounceReply, TrackerFailure};
use crate::units::{Block, ConnId};

/// How long `stopped` and the last writes may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after the system could not accept, for want of file descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Blocks that are read from disk at once.
const READ_BLOCKS: usize = 64;

/// What a driver needs beside its node.
pub struct Setup<P: Platform> {
    /// The world.
    pub platform: P,
    /// Where peers dial in; the node announces its port.
    pub listener: P::Listener,
    /// The trackers' URLs, in the order of the node's announce-list.
    pub trackers: Vec<String>,
    /// For what trackers over UDP need to be hard to guess.
    pub dice: Dice,
    /// What is shared.
    pub content: Content,
    /// What connections are given.
    pub tuning: Tuning,
}

/// What a driver gives its connections; the default suits real sockets.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Bytes of blocks that a connection takes in at once, read ahead from storage. What the system's own socket buffer
    /// holds comes on top.
    pub room: u32,
    /// A dial that takes longer has failed.
    pub dial_timeout: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { room: 512 * 1024, dial_timeout: Duration::from_secs(10) }
    }
}

/// Drives a node until it is shut down. Connections are tasks of the runtime that calls [`Driver::run`]; one thread
/// is enough, and fastest.
pub struct Driver<P: Platform, N> {
    setup: Setup<P>,
    shared: Arc<Shared<P, N>>,
    tasks: JoinSet<Done>,
    /// `None` while it works.
    writer: Option<Writer>,
    reading: bool,
    announcing: usize,
    /// Nothing is accepted before this.
    accept_at: Instant,
    /// When to see whether storage that failed works again; [`Instant::NEVER`] while it works.
    probe_at: Instant,
}

/// What a task has come to.
enum Done {
    Conn,
    Dialled,
    Announced { tracker: usize, result: Result<AnnounceReply, TrackerFailure> },
    Wrote { writer: Writer, bytes: usize, results: Vec<Input> },
    Probed { writer: Writer, works: bool },
    Read(Vec<(ConnId, Block, Result<Bytes, StorageError>)>),
}

/// Talks to a driver that runs. Clones talk to the same one.
pub struct Handle<P, N>(Arc<Shared<P, N>>);

impl<P, N> Clone for Handle<P, N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Platform, N: Node> Handle<P, N> {
    /// Looks at the node.
    pub fn inspect<T>(&self, look: impl FnOnce(&N) -> T) -> T {
        look(&self.0.lock().node)
    }

    /// Changes the node's limits.
    pub fn set_limits(&self, limits: Limits) {
        self.0.lock().input(Input::SetLimits(limits));
    }

    /// Dials a peer whom nobody told the node of.
    pub fn dial(&self, addr: SocketAddr) {
        self.0.lock().dial(addr);
    }

    /// Stops: `stopped` is announced and everything closed, in a few seconds at most. Then [`Driver::run`] ends.
    pub fn shutdown(&self) {
        self.0.lock().shutdown();
    }
}

impl<P: Platform, N: Node + 'static> Driver<P, N> {
    /// A driver, what to talk to it with, and what its node tells. Nothing happens before [`Driver::run`].
    pub fn new(setup: Setup<P>, node: N) -> (Self, Handle<P, N>, mpsc::UnboundedReceiver<Event>) {
        let (tell, events) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(setup.platform.clone(), node, setup.tuning.room, tell));
        let driver = Self {
            writer: Some(Writer::new(setup.content.clone())),
            setup,
            shared: Arc::clone(&shared),
            tasks: JoinSet::new(),
            reading: false,
            announcing: 0,
            accept_at: Instant::ZERO,
            probe_at: Instant::NEVER,
        };
        (driver, Handle(shared), events)
    }

    /// Drives the node until it was shut down.
    ///
    /// # Panics
    /// Where an invariant of the engine is broken.
    pub async fn run(mut self) {
        loop {
            self.start_work();
            if self.is_finished() {
                return;
            }
            let wake_at = self.shared.lock().arm();
            let wake_at = wake_at.min(self.next_probe());
            let accepts = self.now() >= self.accept_at;
            let wake_at = if accepts { wake_at } else { wake_at.min(self.accept_at) };
            let platform = &self.setup.platform;
            select! {
                biased;
                () = platform.sleep_until(wake_at), if wake_at != Instant::NEVER => self.shared.lock().timeout(),
                Some(done) = self.tasks.join_next() => match done {
                    Ok(done) => self.on_done(done),
                    Err(failed) => std::panic::resume_unwind(failed.into_panic()),
                },
                accepted = platform.accept(&self.setup.listener), if accepts => self.on_accepted(accepted),
                () = self.shared.work.notified() => {}
            }
        }
    }

    fn now(&self) -> Instant {
        self.setup.platform.now()
    }

    /// When storage that failed is tried again; not before what is under way has come to its end.
    fn next_probe(&self) -> Instant {
        let may_probe = self.writer.is_some() && self.shared.lock().stopped_at().is_none();
        if may_probe { self.probe_at } else { Instant::NEVER }
    }

    fn is_finished(&self) -> bool {
        let core = self.shared.lock();
        let Some(stopped_at) = core.stopped_at() else { return false };
        let idle = core.work.is_empty() && self.announcing == 0 && self.writer.is_some();
        idle || self.now() >= stopped_at + STOP_TIMEOUT
    }

    /// Starts what the node asked for since.
    fn start_work(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut core = shared.lock();
        for addr in core.work.dials.drain(..) {
            self.tasks.spawn(dial(
                Arc::clone(&self.shared),
                self.setup.platform.clone(),
                addr,
                self.setup.tuning.dial_timeout,
                self.pieces(),
            ));
        }
        for announce in core.work.announces.drain(..) {
            self.announcing += 1;
            let url = self.setup.trackers[announce.tracker].clone();
            let dice = Dice::stream(self.setup.dice.next_u64(), ("announce", 0, "transactions"));
            self.tasks.spawn(announce_to(self.setup.platform.clone(), url, announce, dice));
        }
        if !core.work.ops.is_empty()
            && let Some(writer) = self.writer.take()
        {
            let ops = std::mem::take(&mut core.work.ops);
            self.tasks.spawn(write(self.setup.platform.clone(), writer, ops));
        }
        // With nothing under way, so that every write and check was answered.
        if self.now() >= self.probe_at
            && core.stopped_at().is_none()
            && let Some(writer) = self.writer.take()
        {
            self.probe_at = Instant::NEVER;
            self.tasks.spawn(probe(self.setup.platform.clone(), writer));
        }
        if !core.work.reads.is_empty() && !self.reading {
            self.reading = true;
            let count = core.work.reads.len().min(READ_BLOCKS);
            let reads = core.work.reads.drain(..count).collect();
            self.tasks.spawn(read(self.setup.platform.clone(), self.setup.content.clone(), reads));
        }
    }

    fn on_done(&mut self, done: Done) {
        let mut core = self.shared.lock();
        match done {
            Done::Conn | Done::Dialled => {}
            Done::Announced { tracker, result } => {
                self.announcing -= 1;
                core.input(Input::TrackerReply { tracker, result: Box::new(result) });
            }
            Done::Wrote { writer, bytes, results } => {
                if writer.has_failed() && self.probe_at == Instant::NEVER {
                    self.probe_at = self.setup.platform.now() + PROBE_EVERY;
                }
                self.writer = Some(writer);
                core.written(bytes, results);
            }
            Done::Probed { writer, works } => {
                self.writer = Some(writer);
                if works {
                    core.input(Input::StorageRestored);
                } else {
                    self.probe_at = self.setup.platform.now() + PROBE_EVERY;
                }
            }
            Done::Read(blocks) => {
                self.reading = false;
                for (conn, block, result) in blocks {
                    match result {
                        Ok(bytes) => core.read_done(conn, block, bytes),
                        Err(why) => core.read_failed(conn, block, &why),
                    }
                }
            }
        }
    }

    fn on_accepted(&mut self, accepted: io::Result<(P::Stream, SocketAddr)>) {
        match accepted {
            Ok((stream, addr)) => {
                let conn = self.shared.lock().connected(addr, false);
                let incoming = Incoming::new(self.pieces());
                let task = Conn { shared: Arc::clone(&self.shared), conn, stream, incoming };
                self.tasks.spawn(async {
                    task.run().await;
                    Done::Conn
                });
            }
            Err(_) => self.accept_at = self.now() + ACCEPT_PAUSE,
        }
    }

    fn pieces(&self) -> u32 {
        self.setup.content.geometry.pieces()
    }
}

/// Dials, and stays with the connection until its end.
async fn dial<P: Platform, N: Node>(
    shared: Arc<Shared<P, N>>,
    platform: P,
    addr: SocketAddr,
    timeout: Duration,
    pieces: u32,
) -> Done {
    let give_up = platform.sleep_until(platform.now() + timeout);
    let dialled = select! {
        biased;
        dialled = platform.connect(addr) => dialled.map_err(|error| failure(&error)),
        () = give_up => Err(DialFailure::TimedOut),
    };
    match dialled {
        Ok(stream) => {
            let conn = shared.lock().connected(addr, true);
            Conn { shared, conn, stream, incoming: Incoming::new(pieces) }.run().await;
        }
        Err(why) => shared.lock().input(Input::DialFailed { addr, why }),
    }
    Done::Dialled
}

fn failure(error: &io::Error) -> DialFailure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => DialFailure::Refused,
        io::ErrorKind::TimedOut => DialFailure::TimedOut,
        _ => DialFailure::Unreachable,
    }
}

async fn announce_to<P: Platform>(platform: P, url: String, asked: Announce, dice: Dice) -> Done {
    let result = announce(&platform, &url, &asked.request, dice).await;
    Done::Announced { tracker: asked.tracker, result }
}

async fn write<P: Platform>(platform: P, mut writer: Writer, ops: Vec<Op>) -> Done {
    let bytes = ops.iter().map(Op::bytes).sum();
    let work = move || {
        let results = writer.run(ops);
        Done::Wrote { writer, bytes, results }
    };
    platform.blocking(work).await
}

async fn probe<P: Platform>(platform: P, mut writer: Writer) -> Done {
    let work = move || {
        let works = writer.probe();
        Done::Probed { writer, works }
    };
    platform.blocking(work).await
}

async fn read<P: Platform>(platform: P, content: Content, reads: Vec<(ConnId, Block)>) -> Done {
    let work = move || {
        let blocks: Vec<Block> = reads.iter().map(|&(_, block)| block).collect();
        let results = reads.into_iter().zip(content.read(&blocks));
        Done::Read(results.map(|((conn, block), result)| (conn, block, result)).collect())
    };
    platform.blocking(work).await
}
