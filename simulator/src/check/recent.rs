//! What last happened to each host, kept as it is and put into words only when somebody asks.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use torrentlab_engine::node::{Disconnect, Event, Input, Output};
use torrentlab_engine::time::Instant;
use torrentlab_engine::tracker::AnnounceEvent;
use torrentlab_engine::units::{BLOCK_LEN, Block, PieceIndex};
use torrentlab_engine::wire::Message;

use crate::names::Names;

/// Events that are kept of each host.
const KEPT: usize = 24;
/// Events that are told at most.
const TOLD: usize = 32;

/// The last events of a run. Clones are the same.
#[derive(Clone, Default)]
pub struct Recent(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    hosts: Vec<VecDeque<Note>>,
    /// How many there were.
    count: u64,
    names: Option<Arc<Names>>,
}

/// One event of a host.
#[derive(Clone, Debug)]
struct Note {
    nth: u64,
    at: Instant,
    /// The host at the other end, if it is about a connection.
    peer: Option<u32>,
    what: Brief,
}

/// What happened, in few bytes.
#[derive(Clone, Debug)]
enum Brief {
    Came(u32),
    Went,
    Heard(Said),
    Said(Said),
    Connected { outgoing: bool },
    Dials(SocketAddr),
    DialFailed(SocketAddr),
    Closed(Disconnect),
    Closes(Disconnect),
    Announces(AnnounceEvent),
    TrackerReplied(Option<usize>),
    Checked(PieceIndex, bool),
    TakesBack(Block),
    StorageFailed,
    StorageRestored,
    Stops,
    Event(Event),
}

/// A message without what it carries.
#[derive(Clone, Copy, Debug)]
enum Said {
    Handshake,
    Bare(&'static str),
    Piece(&'static str, PieceIndex),
    Block(&'static str, Block),
    Extended(u8),
}

impl Recent {
    /// Knows hosts by these names.
    pub(super) fn name(&self, names: Arc<Names>) {
        self.open().names = Some(names);
    }

    pub(super) fn came(&self, now: Instant, host: u32, pieces: u32) {
        self.open().note(now, host, None, Brief::Came(pieces));
    }

    pub(super) fn went(&self, now: Instant, host: u32) {
        self.open().note(now, host, None, Brief::Went);
    }

    pub(super) fn input(&self, now: Instant, host: u32, peer: Option<u32>, input: &Input) {
        let what = match input {
            Input::Connected { outgoing, .. } => Brief::Connected { outgoing: *outgoing },
            Input::DialFailed { addr, .. } => Brief::DialFailed(*addr),
            Input::Message { message, .. } => Brief::Heard(Said::of(message)),
            Input::Closed { why, .. } => Brief::Closed(why.clone()),
            Input::TrackerReply { result, .. } => {
                Brief::TrackerReplied(result.as_ref().as_ref().ok().map(|reply| reply.peers.len()))
            }
            Input::PieceChecked { piece, ok, .. } => Brief::Checked(*piece, *ok),
            Input::StorageFailed { .. } => Brief::StorageFailed,
            Input::StorageRestored => Brief::StorageRestored,
            Input::Shutdown => Brief::Stops,
            Input::Writable { .. } | Input::SetLimits(_) | Input::Timeout => return,
        };
        self.open().note(now, host, peer, what);
    }

    pub(super) fn output(&self, now: Instant, host: u32, peer: Option<u32>, output: &Output) {
        let what = match output {
            Output::Dial(addr) => Brief::Dials(*addr),
            Output::Send { message, .. } => Brief::Said(Said::of(message)),
            Output::Broadcast { piece, .. } => Brief::Said(Said::Piece("have", *piece)),
            Output::SendBlock { block, .. } => Brief::Said(Said::Block("piece", *block)),
            Output::CancelBlock { block, .. } => Brief::TakesBack(*block),
            Output::Close { why, .. } => Brief::Closes(why.clone()),
            Output::Announce(announce) => Brief::Announces(announce.request.event),
            Output::Event(event) => Brief::Event(event.clone()),
            Output::WriteBlock { .. } | Output::CheckPiece { .. } => return,
        };
        self.open().note(now, host, peer, what);
    }

    /// The last events of `hosts`, or of everybody where there are none, oldest first, in words.
    pub fn words(&self, hosts: &[u32]) -> Vec<String> {
        let log = self.open();
        let wanted = |host: u32| hosts.is_empty() || hosts.contains(&host);
        let all = (0u32..).zip(&log.hosts).filter(|(host, _)| wanted(*host));
        let mut notes: Vec<(u32, &Note)> =
            all.flat_map(|(host, notes)| notes.iter().map(move |note| (host, note))).collect();
        notes.sort_unstable_by_key(|(_, note)| note.nth);
        notes.drain(..notes.len().saturating_sub(TOLD));
        notes.into_iter().map(|(host, note)| note.words(host, &log)).collect()
    }

    fn open(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recent")
    }
}

impl Log {
    fn note(&mut self, at: Instant, host: u32, peer: Option<u32>, what: Brief) {
        let place = host as usize;
        if self.hosts.len() <= place {
            self.hosts.resize_with(place + 1, VecDeque::new);
        }
        let notes = &mut self.hosts[place];
        if notes.len() == KEPT {
            notes.pop_front();
        }
        self.count += 1;
        notes.push_back(Note { nth: self.count, at, peer, what });
    }

    fn name(&self, host: u32) -> String {
        self.names.as_ref().map_or_else(|| host.to_string(), |names| names.name(host))
    }

    fn at(&self, addr: SocketAddr) -> String {
        self.names.as_ref().and_then(|names| names.at(addr)).unwrap_or_else(|| addr.to_string())
    }
}

impl Note {
    fn words(&self, host: u32, log: &Log) -> String {
        let peer = || self.peer.map_or_else(|| "somebody".to_owned(), |peer| log.name(peer));
        let what = match &self.what {
            Brief::Came(pieces) => format!("comes with {pieces} pieces"),
            Brief::Went => "is gone".to_owned(),
            Brief::Heard(said) => format!("hears of {}: {said}", peer()),
            Brief::Said(said) if self.peer.is_none() => format!("says to all: {said}"),
            Brief::Said(said) => format!("says to {}: {said}", peer()),
            Brief::Connected { outgoing: true } => format!("is connected to {}", peer()),
            Brief::Connected { outgoing: false } => format!("is dialled by {}", peer()),
            Brief::Dials(addr) => format!("dials {}", log.at(*addr)),
            Brief::DialFailed(addr) => format!("cannot reach {}", log.at(*addr)),
            Brief::Closed(why) => format!("loses {}: {why}", peer()),
            Brief::Closes(why) => format!("parts from {}: {why}", peer()),
            Brief::Announces(event) => {
                let event = match event {
                    AnnounceEvent::Regular => "",
                    AnnounceEvent::Started => ": started",
                    AnnounceEvent::Completed => ": completed",
                    AnnounceEvent::Stopped => ": stopped",
                };
                format!("announces itself{event}")
            }
            Brief::TrackerReplied(Some(peers)) => format!("hears of the tracker: {peers} peers"),
            Brief::TrackerReplied(None) => "hears nothing useful of the tracker".to_owned(),
            Brief::Checked(piece, ok) => {
                format!("finds piece {piece} {}", if *ok { "right" } else { "wrong" })
            }
            Brief::TakesBack(block) => format!("takes back what waits for {}: {}", peer(), of_block(*block)),
            Brief::StorageFailed => "cannot store or read".to_owned(),
            Brief::StorageRestored => "can store again".to_owned(),
            Brief::Stops => "is to stop".to_owned(),
            Brief::Event(event) => format!("tells {event:?}"),
        };
        format!("{:.6} s {} {what}", self.at.as_secs_f64(), log.name(host))
    }
}

impl Said {
    fn of(message: &Message) -> Self {
        match message {
            Message::Hello { .. } => Self::Handshake,
            Message::PeerId(_) => Self::Bare("peer id"),
            Message::KeepAlive => Self::Bare("keep-alive"),
            Message::Choke => Self::Bare("choke"),
            Message::Unchoke => Self::Bare("unchoke"),
            Message::Interested => Self::Bare("interested"),
            Message::NotInterested => Self::Bare("not interested"),
            Message::Have(piece) => Self::Piece("have", *piece),
            Message::Bitfield(_) => Self::Bare("bitfield"),
            Message::Request(block) => Self::Block("request", *block),
            Message::Piece { block, .. } => Self::Block("piece", *block),
            Message::Cancel(block) => Self::Block("cancel", *block),
            Message::Port(_) => Self::Bare("port"),
            Message::Suggest(piece) => Self::Piece("suggest", *piece),
            Message::HaveAll => Self::Bare("have all"),
            Message::HaveNone => Self::Bare("have none"),
            Message::Reject(block) => Self::Block("reject", *block),
            Message::AllowedFast(piece) => Self::Piece("allowed fast", *piece),
            Message::Extended { id, .. } => Self::Extended(*id),
            Message::Unknown(_) => Self::Bare("a message that nobody knows"),
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake => f.write_str("handshake"),
            Self::Bare(name) => f.write_str(name),
            Self::Piece(name, piece) => write!(f, "{name} {piece}"),
            Self::Block(name, block) => write!(f, "{name} {}", of_block(*block)),
            Self::Extended(0) => f.write_str("extension handshake"),
            Self::Extended(id) => write!(f, "message {id} of an extension"),
        }
    }
}

/// A block in words: `block 3 of piece 17`.
pub(super) fn of_block(block: Block) -> String {
    let Block { piece, begin, len } = block;
    match begin % BLOCK_LEN {
        0 => format!("block {} of piece {piece}", begin / BLOCK_LEN),
        _ => format!("{len} bytes from {begin} of piece {piece}"),
    }
}
