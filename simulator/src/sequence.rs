//! What two hosts say to each other, for a message-sequence diagram.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::{BLOCK_LEN, Block, ConnId};
use torrentlab_engine::wire::Message;
use torrentlab_reports::plots::{Exchange, Kind};

use crate::watch::{Scene, Watch};

/// Messages of a kind that follow upon each other within this time are one arrow.
const TOGETHER_S: f64 = 0.25;

/// Listens to two hosts for a while.
#[derive(Clone, Debug)]
pub struct Listening {
    hosts: [u32; 2],
    window: (Instant, Instant),
    said: Arc<Mutex<Vec<Said>>>,
}

/// A message on its way.
#[derive(Clone, Debug)]
struct Said {
    from: usize,
    said_at: Instant,
    heard_at: Option<Instant>,
    what: What,
}

/// A message without what it carries.
#[derive(Clone, PartialEq, Eq, Debug)]
struct What {
    kind: Kind,
    name: &'static str,
    piece: Option<u32>,
    block: Option<(u32, u32)>,
}

impl Listening {
    /// For what `hosts` say to each other in `window`.
    pub fn new(hosts: [u32; 2], window: (Instant, Instant)) -> Self {
        Self { hosts, window, said: Arc::default() }
    }

    /// The watch that listens.
    pub fn watch(&self, scene: &Scene) -> Box<dyn Watch> {
        Box::new(Listener {
            listening: self.clone(),
            scene: scene.clone(),
            conns: Default::default(),
            on_way: Default::default(),
        })
    }

    /// What they said, in order; what follows upon each other is put together.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        fold(&said)
    }
}

struct Listener {
    listening: Listening,
    scene: Scene,
    /// By end: its connections to the other one.
    conns: [Vec<ConnId>; 2],
    /// By end: what it said that has not come, in order.
    on_way: [VecDeque<usize>; 2],
}

impl Listener {
    fn end(&self, host: u32) -> Option<usize> {
        self.listening.hosts.iter().position(|&one| one == host)
    }

    fn says(&mut self, now: Instant, end: usize, conn: ConnId, what: What) {
        let (from, to) = self.listening.window;
        if now < from || now > to || !self.conns[end].contains(&conn) {
            return;
        }
        let said = Said { from: end, said_at: now, heard_at: None, what };
        let mut all = self.listening.said.lock().unwrap_or_else(PoisonError::into_inner);
        self.on_way[end].push_back(all.len());
        all.push(said);
    }

    /// The earliest such message that has not come is this one.
    fn hears(&mut self, now: Instant, end: usize, what: &What) {
        let mut all = self.listening.said.lock().unwrap_or_else(PoisonError::into_inner);
        let on_way = &mut self.on_way[1 - end];
        let first = on_way.iter().position(|&nth| all[nth].what == *what);
        if let Some(nth) = first.and_then(|at| on_way.remove(at)) {
            all[nth].heard_at = Some(now);
        }
    }
}

impl Watch for Listener {
    fn input(&mut self, now: Instant, host: u32, input: &Input) {
        let Some(end) = self.end(host) else { return };
        match input {
            Input::Connected { conn, addr, .. }
                if self.scene.names.host_at(*addr) == Some(self.listening.hosts[1 - end]) =>
            {
                self.conns[end].push(*conn);
            }
            Input::Message { conn, message } if self.conns[end].contains(conn) => {
                self.hears(now, end, &What::of(message));
            }
            Input::Closed { conn, .. } => self.conns[end].retain(|open| open != conn),
            _ => {}
        }
    }

    fn output(&mut self, now: Instant, host: u32, output: &Output, targets: &[ConnId]) {
        let Some(end) = self.end(host) else { return };
        match output {
            Output::Send { conn, message } => self.says(now, end, *conn, What::of(message)),
            Output::SendBlock { conn, block } => {
                self.says(now, end, *conn, What::block("piece", Kind::Piece, *block))
            }
            Output::Broadcast { piece, .. } => {
                for &conn in targets {
                    self.says(now, end, conn, What::of(&Message::Have(*piece)));
                }
            }
            Output::Close { conn, .. } => self.conns[end].retain(|open| open != conn),
            _ => {}
        }
    }
}

impl What {
    fn bare(name: &'static str, kind: Kind) -> Self {
        Self { kind, name, piece: None, block: None }
    }

    fn block(name: &'static str, kind: Kind, block: Block) -> Self {
        let nth = block.begin / BLOCK_LEN;
        Self { kind, name, piece: Some(block.piece.0), block: Some((nth, block.begin % BLOCK_LEN)) }
    }

    fn of(message: &Message) -> Self {
        let piece = |name, piece: u32| Self { piece: Some(piece), ..Self::bare(name, Kind::Have) };
        match message {
            Message::Hello { .. } => Self::bare("handshake", Kind::Handshake),
            Message::PeerId(_) => Self::bare("peer id", Kind::Handshake),
            Message::Extended { id: 0, .. } => Self::bare("extension handshake", Kind::Handshake),
            Message::Extended { .. } => Self::bare("message of an extension", Kind::Handshake),
            Message::KeepAlive => Self::bare("keep-alive", Kind::Other),
            Message::Choke => Self::bare("choke", Kind::Choke),
            Message::Unchoke => Self::bare("unchoke", Kind::Choke),
            Message::Interested => Self::bare("interested", Kind::Interest),
            Message::NotInterested => Self::bare("not interested", Kind::Interest),
            Message::Have(have) => piece("have", have.0),
            Message::AllowedFast(allowed) => piece("allowed fast", allowed.0),
            Message::Suggest(suggested) => piece("suggest", suggested.0),
            Message::Bitfield(_) => Self::bare("bitfield", Kind::Have),
            Message::HaveAll => Self::bare("have all", Kind::Have),
            Message::HaveNone => Self::bare("have none", Kind::Have),
            Message::Request(block) => Self::block("request", Kind::Request, *block),
            Message::Piece { block, .. } => Self::block("piece", Kind::Piece, *block),
            Message::Cancel(block) => Self::block("cancel", Kind::Refusal, *block),
            Message::Reject(block) => Self::block("reject", Kind::Refusal, *block),
            Message::Port(_) => Self::bare("port", Kind::Other),
            Message::Unknown(_) => Self::bare("a message of unknown kind", Kind::Other),
        }
    }
}

/// Puts together what has the same name, goes the same way, and follows upon each other.
fn fold(said: &[Said]) -> Vec<Exchange> {
    let mut groups: Vec<Vec<&Said>> = Vec::new();
    // The group under way of each direction.
    let mut open: [Option<usize>; 2] = [None, None];
    for one in said {
        let fits = |group: &Vec<&Said>| {
            let last = group[group.len() - 1];
            let gap_s = one.said_at.since(last.said_at).as_secs_f64();
            last.what.name == one.what.name
                && last.heard_at.is_some() == one.heard_at.is_some()
                && gap_s <= TOGETHER_S
        };
        match open[one.from].filter(|&at| fits(&groups[at])) {
            Some(at) => groups[at].push(one),
            None => {
                open[one.from] = Some(groups.len());
                groups.push(vec![one]);
            }
        }
    }
    groups.iter().map(|group| exchange(group)).collect()
}

fn exchange(group: &[&Said]) -> Exchange {
    let (first, last) = (group[0], group[group.len() - 1]);
    let s = Instant::as_secs_f64;
    let heard_s = first.heard_at.zip(last.heard_at).map(|(first, last)| (s(first), s(last)));
    Exchange {
        from: first.from,
        said_s: (s(first.said_at), s(last.said_at)),
        heard_s,
        kind: first.what.kind,
        label: label(group),
    }
}

/// `request 12:0-3, 14:7 (5)`.
fn label(group: &[&Said]) -> String {
    let mut parts: VecDeque<String> = VecDeque::new();
    let mut run: Option<(u32, u32, u32)> = None;
    let end = |run: Option<(u32, u32, u32)>, parts: &mut VecDeque<String>| match run {
        Some((piece, from, to)) if from == to => parts.push_back(format!("{piece}:{from}")),
        Some((piece, from, to)) => parts.push_back(format!("{piece}:{from}-{to}")),
        None => {}
    };
    for said in group {
        match (said.what.piece, said.what.block, run) {
            (Some(piece), Some((nth, _)), Some((before, from, to))) if piece == before && nth == to + 1 => {
                run = Some((piece, from, nth));
            }
            (Some(piece), Some((nth, _)), _) => {
                end(run, &mut parts);
                run = Some((piece, nth, nth));
            }
            (Some(piece), None, _) => parts.push_back(piece.to_string()),
            _ => {}
        }
    }
    end(run, &mut parts);
    let more = if parts.len() > 3 { ", ..." } else { "" };
    let named: Vec<String> = parts.into_iter().take(3).collect();
    let count = if group.len() > 1 { format!(" ({})", group.len()) } else { String::new() };
    let lost = if group[0].heard_at.is_none() { " – never came" } else { "" };
    let list = if named.is_empty() { String::new() } else { format!(" {}{more}", named.join(", ")) };
    format!("{}{list}{count}{lost}", group[0].what.name)
}
