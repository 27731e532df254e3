//! An event in words.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use torrentlab_engine::time::Instant;
use torrentlab_engine::units::BLOCK_LEN;
use torrentlab_scenarios::{Scenario, ScenarioError};

use super::entry::Span;
use super::{Conn, Entry, Event, Head, Said, Whereabouts};
use crate::names::Names;

/// Says what events mean. It must be told of each in turn, to know who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Words {
    names: Names,
    peers: BTreeMap<(u32, Conn), String>,
}

impl Words {
    /// For the trace with this head.
    ///
    /// # Errors
    /// Where the scenario in it cannot be read.
    pub fn of(head: &Head) -> Result<Self, ScenarioError> {
        let scenario = Scenario::from_toml(&head.scenario, "the trace's scenario")?;
        Ok(Self::with(Names::of(&scenario)))
    }

    /// For hosts with these names.
    pub fn with(names: Names) -> Self {
        Self { names, peers: BTreeMap::new() }
    }

    /// The names of the hosts.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Learns who is connected to whom.
    pub fn learn(&mut self, entry: &Entry) {
        if let Event::Connected { conn, addr, .. } = &entry.event {
            self.peers.insert((entry.host, *conn), self.at(addr));
        }
    }

    /// An event at `at` in words: time, host, and what happened.
    pub fn say(&self, at: Instant, entry: &Entry) -> String {
        let Entry { host, event, .. } = entry;
        let who = match event {
            Event::Fault { .. } => format!("fault {host}"),
            _ => self.names.name(*host),
        };
        format!("{:.6} s {who} {}", at.as_secs_f64(), self.what(*host, event))
    }

    fn at(&self, addr: &Whereabouts) -> String {
        let addr = SocketAddr::from(addr);
        self.names.at(addr).unwrap_or_else(|| addr.to_string())
    }

    fn peer(&self, host: u32, conn: Conn) -> String {
        self.peers.get(&(host, conn)).cloned().unwrap_or_else(|| format!("connection {}.{}", conn.0, conn.1))
    }

    fn what(&self, host: u32, event: &Event) -> String {
        let peer = |conn: &Conn| self.peer(host, *conn);
        match event {
            Event::Came { have, .. } => {
                format!("comes with {} pieces", have.iter().map(|byte| byte.count_ones()).sum::<u32>())
            }
            Event::Went => "is gone".to_owned(),
            Event::Heard { conn, said } => format!("hears of {}: {}", peer(conn), said_words(said)),
            Event::Says { conn, said } => format!("says to {}: {}", peer(conn), said_words(said)),
            Event::Broadcasts { piece, slots } => format!("says to {} peers: have {piece}", slots.len()),
            Event::SendsBlock { conn, block } => format!("sends to {}: {}", peer(conn), span_words(*block)),
            Event::TakesBack { conn, block, .. } => {
                format!("takes back what waits for {}: {}", peer(conn), span_words(*block))
            }
            Event::Connected { conn, outgoing: true, .. } => format!("is connected to {}", peer(conn)),
            Event::Connected { conn, outgoing: false, .. } => format!("is dialled by {}", peer(conn)),
            Event::Dials { addr } => format!("dials {}", self.at(addr)),
            Event::DialFailed { addr, why } => {
                let why = ["refused", "timed out", "unreachable"].get(usize::from(*why)).unwrap_or(&"failed");
                format!("cannot reach {}: {why}", self.at(addr))
            }
            Event::Closed { conn, why } => format!("loses {}: {why}", peer(conn)),
            Event::Closes { conn, why } => format!("parts from {}: {why}", peer(conn)),
            Event::Writable { conn, bytes } => format!("has room for {bytes} bytes more to {}", peer(conn)),
            Event::Timeout => "wakes up".to_owned(),
            Event::Announces { event, left, .. } => {
                let event =
                    ["", ", started", ", completed", ", stopped"].get(usize::from(*event)).unwrap_or(&"");
                format!("announces itself{event}: {left} bytes left")
            }
            Event::TrackerReplied { peers, .. } => format!("hears of the tracker: {} peers", peers.len()),
            Event::TrackerFailed { why, .. } => format!("hears nothing useful of the tracker: {why}"),
            Event::Writes { block } => format!("stores {}", span_words(*block)),
            Event::Checks { piece, .. } => format!("has piece {piece} checked"),
            Event::Checked { piece, ok, .. } => {
                format!("finds piece {piece} {}", if *ok { "right" } else { "wrong" })
            }
            Event::StorageFailed { what, block, why } => {
                let what = ["read", "write", "check"].get(usize::from(*what)).unwrap_or(&"use");
                format!("cannot {what} {}: {why}", span_words(*block))
            }
            Event::StorageRestored => "can store again".to_owned(),
            Event::Limits { .. } => "is given other limits".to_owned(),
            Event::Shutdown => "is to stop".to_owned(),
            Event::Tells { what } => format!("tells {what}"),
            Event::Fault { what, one, other } => match what {
                0 => "begins".to_owned(),
                1 => "ends".to_owned(),
                2 => format!("holds {} and {}", self.names.name(*one), self.names.name(*other)),
                _ => format!("lets {} and {} go on", self.names.name(*one), self.names.name(*other)),
            },
            Event::Passage { from, piece } => format!("receives piece {piece} of {}", self.names.name(*from)),
        }
    }
}

fn said_words(said: &Said) -> String {
    match said {
        Said::Piece { block, tag: None } => format!("piece {}", span_words(*block)),
        Said::Piece { block, tag: Some(_) } => format!("piece {}, with wrong bytes", span_words(*block)),
        Said::Request(block) => format!("request {}", span_words(*block)),
        Said::Have(piece) => format!("have {piece}"),
        Said::Cancel(block) => format!("cancel {}", span_words(*block)),
        Said::Reject(block) => format!("reject {}", span_words(*block)),
        Said::Choke => "choke".to_owned(),
        Said::Unchoke => "unchoke".to_owned(),
        Said::Interested => "interested".to_owned(),
        Said::NotInterested => "not interested".to_owned(),
        Said::KeepAlive => "keep-alive".to_owned(),
        Said::Bitfield(bits) => {
            format!("bitfield of {} pieces", bits.iter().map(|byte| byte.count_ones()).sum::<u32>())
        }
        Said::HaveAll => "have all".to_owned(),
        Said::HaveNone => "have none".to_owned(),
        Said::AllowedFast(piece) => format!("allowed fast {piece}"),
        Said::Suggest(piece) => format!("suggest {piece}"),
        Said::Hello { .. } => "handshake".to_owned(),
        Said::PeerId(_) => "peer id".to_owned(),
        Said::Extended { id: 0, .. } => "extension handshake".to_owned(),
        Said::Extended { id, .. } => format!("message {id} of an extension"),
        Said::Port(port) => format!("port {port}"),
        Said::Unknown(id) => format!("a message of kind {id}, which nobody knows"),
    }
}

/// `block 3 of piece 17`.
fn span_words(Span { piece, nth, odd }: Span) -> String {
    match odd {
        Some((begin, len)) if begin % BLOCK_LEN != 0 => format!("{len} bytes from {begin} of piece {piece}"),
        _ => format!("block {nth} of piece {piece}"),
    }
}
