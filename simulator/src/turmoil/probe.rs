//! What the accounts and the trace are written from: a decorator around each node that sees what its driver sees.

use std::sync::{Arc, Mutex, MutexGuard};

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Input, Misuse, Node, Outbox, Output, StorageOp};
use torrentlab_engine::state::NodeState;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::{BLOCK_LEN, Block, ConnId, Geometry, PieceIndex};
use torrentlab_engine::wire::Message;

use crate::attendance::Attendance;
use crate::ledger::{Fact, Ledger};
use crate::plan::host_of;
use crate::trace::Trace;

/// What is known of a swarm. Clones are the same books; hosts take turns, so nobody ever waits for them.
#[derive(Clone)]
pub struct Books(Arc<Mutex<Pages>>);

/// The books, open.
pub struct Pages {
    pub ledger: Ledger,
    pub trace: Trace,
    pub attendance: Attendance,
    /// The pieces that each host has and has checked.
    pub have: Vec<Bitfield>,
    /// Announces that were answered.
    pub answered: u64,
    /// Stays that came nearer to their ends: when to look at which host.
    pub looks: Vec<(Instant, u32)>,
    /// How late timers went off, all together, and how many they were.
    pub late: (Duration, u64),
}

impl Books {
    pub fn new(pages: Pages) -> Self {
        Self(Arc::new(Mutex::new(pages)))
    }

    pub fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().expect("an entry has broken an invariant before")
    }
}

impl Pages {
    /// Enters what happened to `host`.
    pub fn note(&mut self, now: Instant, host: u32, fact: &Fact) {
        self.ledger.note(now, host, &self.have[host as usize], fact);
    }

    fn plan_look(&mut self, host: u32, at: Option<Instant>) {
        self.looks.extend(at.map(|at| (at, host)));
    }
}

/// A node that can be looked at from outside its driver. Clones are the same.
#[derive(Clone)]
pub struct SharedNode(Arc<Mutex<Box<dyn Node>>>);

impl SharedNode {
    pub fn new(node: Box<dyn Node>) -> Self {
        Self(Arc::new(Mutex::new(node)))
    }

    fn open(&self) -> MutexGuard<'_, Box<dyn Node>> {
        self.0.lock().expect("the node has broken an invariant before")
    }

    /// What the node believes.
    pub fn state(&self, now: Instant) -> Option<NodeState> {
        self.open().state(now)
    }
}

/// A node and what is noted of it.
pub struct Probe {
    books: Books,
    node: SharedNode,
    host: u32,
    /// Which stay of the host's it is: of one that is over nothing more is noted.
    session: u32,
    geometry: Geometry,
    /// Open connections and to whom, by slot.
    conns: Vec<Option<(ConnId, u32)>>,
    /// Blocks that are stored, checked or not.
    held: Vec<bool>,
    /// When the node was last told of anything.
    last_handled: Instant,
}

impl Probe {
    /// Watches `node` in the `session`th stay (from 0) of `host`.
    pub fn new(books: Books, node: SharedNode, host: u32, session: u32, geometry: Geometry) -> Self {
        let mut held = vec![false; geometry.blocks() as usize];
        for piece in books.open().have[host as usize].iter() {
            blocks(geometry, piece).for_each(|nth| held[nth] = true);
        }
        let last_handled = Instant::ZERO;
        Self { books, node, host, session, geometry, conns: Vec::new(), held, last_handled }
    }

    fn is_over(&self, pages: &Pages) -> bool {
        let attendance = &pages.attendance;
        !attendance.is_present(self.host) || attendance.sessions(self.host) != self.session + 1
    }

    fn note_input(&mut self, pages: &mut Pages, now: Instant, input: &Input) {
        match input {
            Input::Connected { conn, addr, .. } => {
                let hosts = pages.have.len();
                let peer = host_of(addr.ip(), hosts).expect("nobody else dials or is dialled");
                if self.conns.len() <= conn.slot() {
                    self.conns.resize(conn.slot() + 1, None);
                }
                self.conns[conn.slot()] = Some((*conn, peer));
                pages.note(now, self.host, &Fact::Connected { conn: *conn, peer });
            }
            Input::Closed { conn, .. } => self.closed(pages, now, *conn),
            Input::Message { conn, message } => self.note_message(pages, now, *conn, message),
            Input::PieceChecked { piece, ok, .. } => self.checked(pages, now, *piece, *ok),
            Input::StorageFailed { op: StorageOp::Write(block), .. } => self.hold(*block, false),
            Input::TrackerReply { result, .. } => pages.answered += u64::from(result.is_ok()),
            _ => {}
        }
    }

    fn note_message(&mut self, pages: &mut Pages, now: Instant, conn: ConnId, message: &Message) {
        let Some((_, peer)) = self.conns.get(conn.slot()).copied().flatten() else { return };
        match message {
            Message::Piece { block, payload } => {
                let block = self.geometry.holds(*block).then_some(*block);
                let duplicate = block.is_some_and(|block| self.held[self.index(block)]);
                let fact = Fact::BlockReceived { conn, block, bytes: payload.len(), duplicate };
                pages.note(now, self.host, &fact);
                let served = pages.ledger.hosts[peer as usize].payload_up;
                let leaves = pages.attendance.served(peer, served, now);
                pages.plan_look(peer, leaves);
            }
            Message::Unchoke => pages.note(now, self.host, &Fact::Unchoked { conn }),
            Message::Choke => pages.note(now, self.host, &Fact::Choked { conn }),
            _ => {}
        }
    }

    fn checked(&mut self, pages: &mut Pages, now: Instant, piece: PieceIndex, ok: bool) {
        if !ok {
            blocks(self.geometry, piece).for_each(|nth| self.held[nth] = false);
            let bytes = self.geometry.len_of(piece);
            return pages.note(now, self.host, &Fact::Failed { piece, bytes });
        }
        pages.have[self.host as usize].insert(piece);
        pages.note(now, self.host, &Fact::Verified { piece });
        if pages.have[self.host as usize].is_full() {
            let leaves = pages.attendance.completed(self.host, now);
            pages.plan_look(self.host, leaves);
        }
    }

    fn note_output(&mut self, pages: &mut Pages, now: Instant, output: &Output) {
        match output {
            Output::Send { message: Message::Request(_), .. } => {
                pages.note(now, self.host, &Fact::Requested);
            }
            Output::Send { conn, message: Message::Interested } if self.is_open(*conn) => {
                pages.note(now, self.host, &Fact::Interested { conn: *conn });
            }
            Output::Send { conn, message: Message::NotInterested } if self.is_open(*conn) => {
                pages.note(now, self.host, &Fact::NotInterested { conn: *conn });
            }
            Output::Close { conn, .. } => self.closed(pages, now, *conn),
            Output::WriteBlock { block, .. } => self.hold(*block, true),
            _ => {}
        }
    }

    fn closed(&mut self, pages: &mut Pages, now: Instant, conn: ConnId) {
        let place = self.conns.get_mut(conn.slot());
        if let Some(place) = place.filter(|place| place.is_some_and(|(open, _)| open == conn)) {
            *place = None;
            pages.note(now, self.host, &Fact::Closed { conn });
        }
    }

    fn is_open(&self, conn: ConnId) -> bool {
        self.conns.get(conn.slot()).copied().flatten().is_some_and(|(open, _)| open == conn)
    }

    fn hold(&mut self, block: Block, held: bool) {
        let index = self.index(block);
        self.held[index] = held;
    }

    fn index(&self, block: Block) -> usize {
        blocks(self.geometry, block.piece).start + (block.begin / BLOCK_LEN) as usize
    }
}

impl Node for Probe {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
        let books = self.books.clone();
        {
            let mut pages = books.open();
            pages.trace.input(now, self.host, &input);
            if let (Input::Timeout, Some(due)) = (&input, self.node.open().poll_timeout()) {
                // A node may ask for a time that is over, which is none that anybody missed.
                pages.late.0 += now.since(due.max(self.last_handled));
                pages.late.1 += 1;
            }
            if !self.is_over(&pages) {
                self.note_input(&mut pages, now, &input);
            }
        }
        self.last_handled = now;
        self.node.open().handle(now, input, out)?;
        let mut pages = books.open();
        let is_over = self.is_over(&pages);
        for output in out.outputs() {
            let targets = match output {
                Output::Broadcast { targets, .. } => out.targets(targets.clone()),
                _ => &[],
            };
            pages.trace.output(now, self.host, output, targets);
            if !is_over {
                self.note_output(&mut pages, now, output);
            }
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.node.open().poll_timeout()
    }
}

/// Where the blocks of `piece` are in a list of all blocks.
fn blocks(geometry: Geometry, piece: PieceIndex) -> std::ops::Range<usize> {
    let first = piece.get() * geometry.piece_len().div_ceil(BLOCK_LEN) as usize;
    first..first + geometry.blocks_in(piece) as usize
}
