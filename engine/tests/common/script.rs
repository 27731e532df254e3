//! One torrent among peers that are played by hand, line by line.
//!
//! | line | meaning |
//! |---|---|
//! | `a joins` | peer `a` connects and shakes hands (`joins plainly`: without the Fast extension) |
//! | `a connects` | `a` connects and says nothing; `a answers`: it takes our dial |
//! | `a leaves` | its connection breaks |
//! | `a < unchoke, have 3` | `a` sends these to the torrent |
//! | `a > interested` | since the last such line the torrent sent `a` exactly this; `nothing` may stand there |
//! | `a >~ cancel 0:1` | it sent this among other things |
//! | `a closed: both are seeds` | the torrent closed the connection, for a reason that contains this |
//! | `choke a`, `unchoke a` | the torrent's choker will have it so within a second |
//! | `hold`, `drain` | blocks stay in the socket buffers; they leave them |
//! | `disk full`, `disk lost`, `disk free` | writes fail from now on; reads do; both work again |
//! | `wait 60s` | time passes |
//! | `tracker > started`, `tracker < a b` | it was sent these announces; it answers with these peers (`tracker fails`) |
//! | `dials a b` | these were dialled since the last such line |
//! | `event Snubbed` | an event that begins so happened since the last such line |
//!
//! `pex +b(reachable) +c -d` is a message of peer exchange; `80.0.0.1:9` may stand for a peer.
//!
//! A block is `piece:nth`, or `piece:begin+len` where it is no block of ours.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::choker::{ChokeEvent, ChokeView, Choker, Slot, Standard, StandardConfig};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::{DialFailure, Disconnect, Input, Node, Outbox, Output, StorageOp};
use torrentlab_engine::picker::Sequential;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::torrent::{Config, Setup, Streams, Torrent};
use torrentlab_engine::tracker::{AnnounceReply, TrackerFailure};
use torrentlab_engine::units::{BLOCK_LEN, Block, ConnId, ConnSlots, Geometry, InfoHash, PeerId, PieceIndex};
use torrentlab_engine::wire::{
    Contact, ContactFlags, ExtensionHandshake, Message, Payload, PeerExchange, Reserved,
};

pub const INFO_HASH: InfoHash = InfoHash([9; 20]);
pub const OUR_ID: PeerId = PeerId(*b"-TL0100-ourselves000");
/// Takes two blocks.
const ROOM: u32 = 40_000;

/// What a case starts from.
pub struct Stage {
    pub pieces: u32,
    pub blocks_per_piece: u32,
    pub have: Bitfield,
    pub trackers: usize,
    pub config: Config,
    /// Mainline's choker in place of one that lets itself be told.
    pub standard: bool,
    /// For the dice.
    pub seed: u64,
}

impl Stage {
    pub fn leecher() -> Self {
        Self::leecher_of(4, 2)
    }

    pub fn seed() -> Self {
        Self { have: Bitfield::all(4), ..Self::leecher() }
    }

    pub fn leecher_of(pieces: u32, blocks_per_piece: u32) -> Self {
        let config = Config::new(OUR_ID, 6881);
        Self {
            pieces,
            blocks_per_piece,
            have: Bitfield::none(pieces),
            trackers: 0,
            config,
            standard: false,
            seed: 1,
        }
    }

    pub fn with(mut self, tune: impl FnOnce(&mut Config)) -> Self {
        tune(&mut self.config);
        self
    }

    pub fn plays(self, lines: &str) -> Script {
        let mut script = Script::new(self);
        script.plays(lines);
        script
    }
}

/// The torrent and its surroundings.
pub struct Script {
    pub torrent: Torrent,
    pub now: Instant,
    geometry: Geometry,
    conns: ConnSlots,
    peers: BTreeMap<String, Peer>,
    refused: Arc<Mutex<BTreeSet<ConnId>>>,
    stored: BTreeMap<Block, u64>,
    disk_full: bool,
    disk_lost: bool,
    /// What the torrent is to be given once its outputs are carried out.
    inputs: VecDeque<Input>,
    hold: bool,
    dials: Vec<SocketAddr>,
    announces: Vec<String>,
    events: Vec<String>,
}

#[derive(Default)]
struct Peer {
    conn: Option<ConnId>,
    /// What it was sent since it was last looked at, and ever.
    fresh: Vec<String>,
    all: Vec<String>,
    in_socket: u32,
    closed: Option<Disconnect>,
    handshake: Option<ExtensionHandshake>,
}

impl Script {
    pub fn new(stage: Stage) -> Self {
        let piece_len = stage.blocks_per_piece * BLOCK_LEN;
        // The last block is short.
        let geometry =
            Geometry::new(u64::from(stage.pieces) * u64::from(piece_len) - 100, piece_len).unwrap();
        let refused = Arc::new(Mutex::new(BTreeSet::new()));
        let mut dice = Streams::new(stage.seed, "scripted", 0);
        let puppet = Puppet { refused: Arc::clone(&refused), next: Instant::ZERO };
        let standard = || Standard::new(StandardConfig::default(), Instant::ZERO, &mut dice.choker);
        let choker: Box<dyn Choker> =
            if stage.standard { Box::new({ standard }()) } else { Box::new(puppet) };
        let setup = Setup {
            info_hash: INFO_HASH,
            geometry,
            tiers: vec![1; stage.trackers],
            have: stage.have,
            config: stage.config,
            picker: Box::new(Sequential),
            choker,
            dice,
        };
        let mut script = Self {
            torrent: Torrent::new(setup, Instant::ZERO),
            now: Instant::ZERO,
            geometry,
            conns: ConnSlots::default(),
            peers: BTreeMap::new(),
            refused,
            stored: BTreeMap::new(),
            disk_full: false,
            disk_lost: false,
            inputs: VecDeque::new(),
            hold: false,
            dials: Vec::new(),
            announces: Vec::new(),
            events: Vec::new(),
        };
        script.settle(Instant::ZERO);
        script
    }

    /// Plays the lines in order.
    pub fn plays(&mut self, lines: &str) -> &mut Self {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.line(line);
            self.settle(self.now);
        }
        self
    }

    /// How many messages that begin with `what` the peer was sent in all.
    pub fn count(&self, name: &str, what: &str) -> usize {
        self.peers[name].all.iter().filter(|sent| sent.starts_with(what)).count()
    }

    /// All that the peer was sent so far.
    pub fn joined(&self, name: &str) -> String {
        self.peers[name].all.join(", ")
    }

    /// The extension handshake that the peer was sent.
    pub fn handshake(&self, name: &str) -> &ExtensionHandshake {
        self.peers[name].handshake.as_ref().expect("a handshake")
    }

    /// Whom the torrent dialled since this was last asked.
    pub fn take_dials(&mut self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.dials)
    }

    /// Whether the peer was dialled since this was last asked.
    pub fn take_dial(&mut self, name: &str) -> bool {
        let before = self.dials.len();
        self.dials.retain(|addr| *addr != listens(name));
        self.dials.len() < before
    }

    /// Lets the peer answer each request that it was not asked about before.
    pub fn answers(&mut self, name: &str, mut answer: impl FnMut(&str) -> String) {
        if self.peers[name].closed.is_some() {
            return;
        }
        for sent in self.fresh(name) {
            if let Some(block) = sent.strip_prefix("request ") {
                self.sends(name, &answer(block));
            }
        }
        self.settle(self.now);
    }

    /// Whether there was an announce since this was last asked.
    pub fn announced(&mut self) -> bool {
        !std::mem::take(&mut self.announces).is_empty()
    }

    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["wait", time] => {
                let secs: f64 = time.trim_end_matches('s').parse().unwrap();
                self.settle(self.now + Duration::from_secs_f64(secs));
            }
            ["hold"] => self.hold = true,
            ["drain"] => self.drain(),
            ["disk", "full"] => self.disk_full = true,
            ["disk", "lost"] => self.disk_lost = true,
            ["disk", "free"] => {
                (self.disk_full, self.disk_lost) = (false, false);
                self.input(Input::StorageRestored);
            }
            ["choke", name] => _ = self.refused.lock().unwrap().insert(self.conn(name)),
            ["unchoke", name] => _ = self.refused.lock().unwrap().remove(&self.conn(name)),
            ["event", start] => {
                let events = std::mem::take(&mut self.events);
                assert!(events.iter().any(|event| event.starts_with(start)), "{line}: {events:?}");
            }
            ["dials", ref names @ ..] => {
                let mut wanted: Vec<_> = names.iter().map(|name| place(name)).collect();
                wanted.sort_unstable();
                self.dials.sort_unstable();
                assert_eq!(std::mem::take(&mut self.dials), wanted, "{line}");
            }
            ["tracker", "fails"] => {
                self.input(Input::TrackerReply {
                    tracker: 0,
                    result: Box::new(Err(TrackerFailure::TimedOut)),
                });
            }
            ["tracker", "<", ref names @ ..] => self.tracker_replies(names),
            ["tracker", ">", ref events @ ..] => {
                let wanted = if events == ["nothing"] { &[][..] } else { events };
                assert_eq!(std::mem::take(&mut self.announces), wanted, "{line}");
            }
            ["shutdown"] => self.input(Input::Shutdown),
            [name, "connects"] => _ = self.connects(name, false),
            [name, "answers"] => _ = self.connects(name, true),
            [name, "refuses"] => {
                self.input(Input::DialFailed { addr: listens(name), why: DialFailure::Refused });
            }
            [name, "joins"] => self.joins(name, Reserved::OURS),
            [name, "joins", "plainly"] => self.joins(name, Reserved::default()),
            [name, "leaves"] => {
                let conn = self.conn(name);
                self.conns.close(conn);
                self.input(Input::Closed { conn, why: Disconnect::Reset });
            }
            [name, "<", ..] => self.sends(name, line.split_once('<').unwrap().1),
            [name, ">", ..] => {
                let wanted = list(line.split_once('>').unwrap().1);
                assert_eq!(self.fresh(name), wanted, "{line}");
            }
            [name, ">~", ..] => {
                let sent = self.fresh(name);
                for wanted in list(line.split_once('~').unwrap().1) {
                    assert!(sent.contains(&wanted), "{line}: {sent:?}");
                }
            }
            [name, "closed:", ..] => {
                let wanted = line.split_once(": ").unwrap().1;
                let why = self.peers[name].closed.as_ref().map(ToString::to_string);
                assert!(why.as_ref().is_some_and(|why| why.contains(wanted)), "{line}: {why:?}");
            }
            [name, "stays"] => assert_eq!(self.peers[name].closed, None, "{line}"),
            _ => panic!("no such line: {line}"),
        }
    }

    fn conn(&self, name: &str) -> ConnId {
        self.peers[name].conn.unwrap()
    }

    fn fresh(&mut self, name: &str) -> Vec<String> {
        std::mem::take(&mut self.peers.get_mut(name).unwrap().fresh)
    }

    fn connects(&mut self, name: &str, outgoing: bool) -> ConnId {
        let addr = if outgoing { listens(name) } else { SocketAddr::new(listens(name).ip(), 50_000) };
        self.connects_at(name, addr, outgoing)
    }

    /// The peer connects from `addr`, or has taken our dial there.
    pub fn connects_at(&mut self, name: &str, addr: SocketAddr, outgoing: bool) -> ConnId {
        let conn = self.conns.open();
        self.peers.insert(name.to_owned(), Peer { conn: Some(conn), ..Peer::default() });
        self.input(Input::Connected { conn, addr, outgoing, room: ROOM });
        conn
    }

    fn joins(&mut self, name: &str, reserved: Reserved) {
        let conn = self.connects(name, false);
        self.input(Input::Message { conn, message: Message::Hello { reserved, info_hash: INFO_HASH } });
        self.input(Input::Message { conn, message: Message::PeerId(id_of(name)) });
        self.fresh(name);
    }

    fn sends(&mut self, name: &str, messages: &str) {
        for text in list(messages) {
            if self.peers[name].closed.is_none() {
                let (conn, message) = (self.conn(name), self.parse(&text));
                self.input(Input::Message { conn, message });
            }
        }
    }

    fn tracker_replies(&mut self, names: &[&str]) {
        let reply = AnnounceReply {
            interval: Duration::from_secs(1800),
            min_interval: Some(Duration::from_secs(60)),
            complete: None,
            incomplete: None,
            peers: names.iter().map(|name| listens(name)).collect(),
            warning: None,
        };
        self.input(Input::TrackerReply { tracker: 0, result: Box::new(Ok(reply)) });
    }

    /// Carries out every timer up to `end`.
    fn settle(&mut self, end: Instant) {
        let mut calls = 0;
        while let Some(due) = self.torrent.poll_timeout().filter(|due| *due <= end) {
            calls = if due > self.now { 0 } else { calls + 1 };
            assert!(calls < 100, "a timer that does not let time pass");
            self.now = self.now.max(due);
            self.input(Input::Timeout);
        }
        self.now = end;
    }

    fn drain(&mut self) {
        self.hold = false;
        for name in self.peers.keys().cloned().collect::<Vec<_>>() {
            let peer = self.peers.get_mut(&name).unwrap();
            let (conn, bytes) = (peer.conn.unwrap(), std::mem::take(&mut peer.in_socket));
            self.input(Input::Writable { conn, bytes });
        }
    }

    fn input(&mut self, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            let mut out = Outbox::default();
            self.torrent.handle(self.now, input, &mut out).expect("the script keeps the contract");
            self.torrent.check_invariants();
            let mut outputs = Vec::new();
            out.take(&mut outputs);
            for output in outputs {
                self.output(output, &out);
            }
        }
    }

    fn output(&mut self, output: Output, out: &Outbox) {
        match output {
            Output::Dial(addr) => self.dials.push(addr),
            Output::Send { conn, message } => {
                if let Message::Extended { id: 0, payload } = &message {
                    self.peer(conn).handshake = Some(ExtensionHandshake::decode(payload).unwrap());
                }
                self.sent(conn, self.show(&message));
            }
            Output::Broadcast { piece, targets } => {
                out.targets(targets).iter().for_each(|conn| self.sent(*conn, format!("have {piece}")));
            }
            Output::SendBlock { conn, block } if self.disk_lost => {
                let (op, why) = (StorageOp::Read { conn, block }, "no such file".to_owned());
                self.inputs.push_back(Input::StorageFailed { op, why });
                self.inputs.push_back(Input::Writable { conn, bytes: block.len + 13 });
            }
            Output::SendBlock { conn, block } => {
                self.sent(conn, format!("piece {}", self.show_block(block)));
                let bytes = block.len + 13;
                if self.hold {
                    self.peer(conn).in_socket += bytes;
                } else {
                    self.inputs.push_back(Input::Writable { conn, bytes });
                }
            }
            Output::CancelBlock { conn, block, .. } => {
                self.sent(conn, format!("(cancel-block {})", self.show_block(block)));
            }
            Output::Close { conn, why } => {
                self.conns.close(conn);
                self.peer(conn).closed = Some(why);
            }
            Output::Announce(announce) => {
                self.announces.push(format!("{:?}", announce.request.event).to_lowercase());
            }
            Output::WriteBlock { block, .. } if self.disk_full => {
                let why = "no space left".to_owned();
                self.inputs.push_back(Input::StorageFailed { op: StorageOp::Write(block), why });
            }
            Output::WriteBlock { block, payload: Payload::Synthetic { tag, .. } } => {
                self.stored.insert(block, tag);
            }
            Output::WriteBlock { .. } => panic!("real bytes in a script"),
            Output::CheckPiece { piece, .. } if self.disk_lost => {
                let why = "no such file".to_owned();
                self.inputs.push_back(Input::StorageFailed { op: StorageOp::Check(piece), why });
            }
            Output::CheckPiece { piece, .. } => {
                let blocks = (0..self.geometry.blocks_in(piece)).map(|nth| self.geometry.block(piece, nth));
                let digests: Vec<u64> = blocks.map(|block| self.stored[&block]).collect();
                let ok = digests.iter().all(|tag| *tag == 0);
                self.inputs.push_back(Input::PieceChecked { piece, ok, digests });
            }
            Output::Event(event) => self.events.push(format!("{event:?}")),
        }
    }

    fn peer(&mut self, conn: ConnId) -> &mut Peer {
        let mut peers = self.peers.values_mut();
        peers.find(|peer| peer.conn == Some(conn)).expect("output for a connection that nobody has")
    }

    fn sent(&mut self, conn: ConnId, text: String) {
        let peer = self.peer(conn);
        assert!(peer.closed.is_none(), "{text} on a closed connection");
        peer.fresh.push(text.clone());
        peer.all.push(text);
    }

    fn parse(&self, text: &str) -> Message {
        let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
        let number = || rest.parse().unwrap_or_else(|_| panic!("{text}: a number"));
        match kind {
            "hello" => {
                let info_hash = if rest == "other" { InfoHash([8; 20]) } else { INFO_HASH };
                Message::Hello { reserved: Reserved::OURS, info_hash }
            }
            "id" => Message::PeerId(if rest == "ours" { OUR_ID } else { id_of(rest) }),
            "keep-alive" => Message::KeepAlive,
            "choke" => Message::Choke,
            "unchoke" => Message::Unchoke,
            "interested" => Message::Interested,
            "not-interested" => Message::NotInterested,
            "have" => Message::Have(PieceIndex(number())),
            "bitfield" => {
                let bytes = rest.as_bytes().chunks(8).map(|bits| {
                    (0..).zip(bits).map(|(at, bit)| u8::from(*bit == b'1') << (7 - at)).sum::<u8>()
                });
                Message::Bitfield(bytes.collect::<Vec<_>>().into())
            }
            "request" => Message::Request(self.parse_block(rest)),
            "cancel" => Message::Cancel(self.parse_block(rest)),
            "reject" => Message::Reject(self.parse_block(rest)),
            "piece" => {
                let (block, tag) = rest.strip_suffix(" bad").map_or((rest, 0), |block| (block, 1));
                let block = self.parse_block(block);
                Message::Piece { block, payload: Payload::Synthetic { len: block.len, tag } }
            }
            "port" => Message::Port(number() as u16),
            "suggest" => Message::Suggest(PieceIndex(number())),
            "have-all" => Message::HaveAll,
            "have-none" => Message::HaveNone,
            "allowed-fast" => Message::AllowedFast(PieceIndex(number())),
            "extended" => extended(rest),
            "pex" => exchange(rest),
            "unknown" => Message::Unknown(number() as u8),
            _ => panic!("no such message: {text}"),
        }
    }

    fn parse_block(&self, text: &str) -> Block {
        let (piece, place) = text.split_once(':').unwrap_or_else(|| panic!("{text}: a block"));
        let piece = PieceIndex(piece.parse().unwrap());
        match place.split_once('+') {
            Some((begin, len)) => Block { piece, begin: begin.parse().unwrap(), len: len.parse().unwrap() },
            None => self.geometry.block(piece, place.parse().unwrap()),
        }
    }

    fn show_block(&self, block: Block) -> String {
        let Block { piece, begin, len } = block;
        let nth = begin / BLOCK_LEN;
        let ours = self.geometry.block(piece, nth) == block;
        if ours { format!("{piece}:{nth}") } else { format!("{piece}:{begin}+{len}") }
    }

    fn show(&self, message: &Message) -> String {
        match message {
            Message::Hello { .. } => "hello".to_owned(),
            Message::PeerId(_) => "id".to_owned(),
            Message::KeepAlive => "keep-alive".to_owned(),
            Message::NotInterested => "not-interested".to_owned(),
            Message::HaveAll => "have-all".to_owned(),
            Message::HaveNone => "have-none".to_owned(),
            Message::Have(piece) => format!("have {piece}"),
            Message::AllowedFast(piece) => format!("allowed-fast {piece}"),
            Message::Bitfield(bytes) => {
                let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
                format!("bitfield {bits}")
            }
            Message::Request(block) => format!("request {}", self.show_block(*block)),
            Message::Cancel(block) => format!("cancel {}", self.show_block(*block)),
            Message::Reject(block) => format!("reject {}", self.show_block(*block)),
            Message::Extended { id: 0, .. } => "extended".to_owned(),
            Message::Extended { id, payload } => show_exchange(*id, payload),
            other => format!("{other:?}").to_lowercase(),
        }
    }
}

/// `a, b` as a list; `nothing` is the empty one.
fn list(text: &str) -> Vec<String> {
    let parts = text.split(',').map(|part| part.trim().to_owned());
    parts.filter(|part| !part.is_empty() && part != "nothing").collect()
}

/// The extension handshake `reqq=2 port=7000 pex=3 sees=1.2.3.4 upload-only`, or bytes that are none: `garbage`.
fn extended(fields: &str) -> Message {
    let mut hello = ExtensionHandshake::default();
    for field in fields.split_whitespace() {
        match field.split_once('=') {
            Some(("reqq", reqq)) => hello.reqq = Some(reqq.parse().unwrap()),
            Some(("pex", id)) => _ = hello.messages.insert(PeerExchange::NAME.into(), id.parse().unwrap()),
            Some(("sees", ip)) => hello.your_ip = Some(ip.parse().unwrap()),
            Some(("port", port)) => hello.port = Some(port.parse().unwrap()),
            None if field == "upload-only" => hello.upload_only = true,
            None if field == "garbage" => return Message::Extended { id: 0, payload: vec![b'd'].into() },
            _ => panic!("no such field: {field}"),
        }
    }
    Message::Extended { id: 0, payload: hello.encode() }
}

/// The id that the torrent gives to messages of peer exchange.
const OUR_PEX: u8 = 1;
/// The id that peers here give to them.
const THEIR_PEX: u8 = 3;

/// A message of peer exchange, or what is none: `pex garbage`.
fn exchange(changes: &str) -> Message {
    if changes == "garbage" {
        return Message::Extended { id: OUR_PEX, payload: vec![b'd'].into() };
    }
    let mut message = PeerExchange::default();
    for change in changes.split_whitespace() {
        let (name, flags) = change[1..].split_once('(').unwrap_or((&change[1..], ""));
        let addr = place(name);
        let flags = ContactFlags::new(flags.contains("seed"), flags.contains("reachable"));
        match change.as_bytes()[0] {
            b'+' => message.added.push(Contact { addr, flags }),
            b'-' => message.dropped.push(addr),
            _ => panic!("neither + nor -: {change}"),
        }
    }
    Message::Extended { id: OUR_PEX, payload: message.encode() }
}

fn show_exchange(id: u8, payload: &[u8]) -> String {
    assert_eq!(id, THEIR_PEX, "the id that the peer wants it under");
    let message = PeerExchange::decode(payload).expect("a message of peer exchange");
    let name = |addr: SocketAddr| match addr.ip() {
        IpAddr::V4(ip) if ip.octets()[..3] == [10, 0, 0] && addr.port() == 6881 => {
            char::from(ip.octets()[3]).to_string()
        }
        _ => addr.to_string(),
    };
    let added = message.added.iter().map(|contact| {
        let flags = [(contact.flags.seed(), "(seed)"), (contact.flags.reachable(), "(reachable)")];
        let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, text)| *text).collect();
        format!("+{}{flags}", name(contact.addr))
    });
    let mut words: Vec<String> =
        added.chain(message.dropped.iter().map(|addr| format!("-{}", name(*addr)))).collect();
    words.sort_unstable();
    format!("pex {}", words.join(" "))
}

/// Where the peer of this name or address listens.
fn place(name: &str) -> SocketAddr {
    name.parse().unwrap_or_else(|_| listens(name))
}

/// Where a peer listens: told by the first letter of its name, so that `a2` is another client on the host of `a`.
fn listens(name: &str) -> SocketAddr {
    let host = name.as_bytes()[0];
    let port = 6881 + name.len() as u16 - 1;
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), port)
}

/// Of the first letter too, so that `a'` is `a` once more.
fn id_of(name: &str) -> PeerId {
    let mut id = *b"-XX0000-            ";
    let name = name.trim_end_matches('\'').as_bytes();
    id[8..8 + name.len()].copy_from_slice(name);
    PeerId(id)
}

/// Unchokes all that are interested but those who are refused.
#[derive(Debug)]
struct Puppet {
    refused: Arc<Mutex<BTreeSet<ConnId>>>,
    next: Instant,
}

impl Choker for Puppet {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, _dice: &mut Dice, out: &mut Vec<Slot>) {
        self.next = now + Duration::from_secs(1);
        let refused = self.refused.lock().unwrap();
        let served = view.peers.iter().filter(|peer| peer.interested && !refused.contains(&peer.conn));
        out.extend(served.map(|peer| Slot { conn: peer.conn, optimistic: false, cap: None }));
    }

    fn next_decision(&self) -> Instant {
        self.next
    }

    fn on_event(&mut self, event: ChokeEvent, _now: Instant, _dice: &mut Dice) -> bool {
        matches!(event, ChokeEvent::Interested { .. } | ChokeEvent::NotInterested { .. })
    }
}
