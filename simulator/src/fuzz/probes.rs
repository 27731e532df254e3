//! What random runs should meet sometimes: a harness that never sees a piece fail its check says nothing about what
//! happens then ("sometimes assertions", as Antithesis calls them).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use torrentlab_engine::node::{DialFailure, Disconnect, Event, Input, Output};
use torrentlab_engine::time::Instant;
use torrentlab_engine::tracker::TrackerFailure;
use torrentlab_engine::units::ConnId;
use torrentlab_engine::wire::Message;

use crate::watch::{Scene, Watch};

/// Something that should happen sometimes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[expect(missing_docs, reason = "PROBES describes each")]
pub enum Probe {
    EndgameEntered,
    EndgameDuplicate,
    HashFailure,
    Ban,
    Snub,
    LastPieceStall,
    Reject,
    ChokedWithRequests,
    Cancel,
    LateBlock,
    AllowedFastUsed,
    Suggestion,
    DuplicateConnection,
    ConnectedToOneself,
    BothSeeds,
    Replaced,
    Full,
    HandshakeTimeOut,
    Malformed,
    Misbehaved,
    ConnectionReset,
    DialRefused,
    DialTimedOut,
    TrackerTimeOut,
    TrackerRefused,
    TrackerMalformed,
    PeersHeardOf,
    StorageFailed,
    CameBack,
    Finished,
}

/// All of them: name and what it means.
pub const PROBES: [(Probe, &str, &str); 30] = [
    (Probe::EndgameEntered, "endgame", "a host has asked for every missing block"),
    (Probe::EndgameDuplicate, "endgame duplicate", "a block comes that is there already"),
    (Probe::HashFailure, "hash failure", "a piece fails its check"),
    (Probe::Ban, "ban", "an address is banned for wrong bytes"),
    (Probe::Snub, "snub", "a peer sends nothing of what it was asked for"),
    (
        Probe::LastPieceStall,
        "last-piece stall",
        "the last piece takes half a minute or more after the one before",
    ),
    (Probe::Reject, "reject", "a request is rejected (BEP 6)"),
    (Probe::ChokedWithRequests, "choke with requests out", "a host is choked while it waits for blocks"),
    (Probe::Cancel, "cancel", "a request is taken back"),
    (Probe::LateBlock, "late block", "a block comes that nobody waits for any more"),
    (Probe::AllowedFastUsed, "allowed-fast used", "a choked host asks for a piece that it may have (BEP 6)"),
    (Probe::Suggestion, "suggestion", "a piece is suggested (BEP 6)"),
    (Probe::DuplicateConnection, "duplicate connection", "a second connection to the same peer is closed"),
    (Probe::ConnectedToOneself, "connected to oneself", "a host dials its own address"),
    (Probe::BothSeeds, "both are seeds", "two seeds part"),
    (Probe::Replaced, "replaced", "a peer gives way to a newcomer"),
    (Probe::Full, "full", "a host has no connection free"),
    (Probe::HandshakeTimeOut, "silence", "a connection is given up after silence"),
    (Probe::Malformed, "malformed", "bytes come that are no message"),
    (Probe::Misbehaved, "misbehaviour", "a peer is sent away for breaking the protocol"),
    (Probe::ConnectionReset, "reset", "a connection breaks"),
    (Probe::DialRefused, "dial refused", "nobody listens where a host dials"),
    (Probe::DialTimedOut, "dial timed out", "nobody answers where a host dials"),
    (Probe::TrackerTimeOut, "tracker time-out", "the tracker does not answer"),
    (Probe::TrackerRefused, "tracker error", "the tracker answers with an error"),
    (Probe::TrackerMalformed, "tracker garbage", "the tracker's answer means nothing"),
    (Probe::PeersHeardOf, "peer exchange", "a peer tells of others (BEP 11)"),
    (Probe::StorageFailed, "storage failure", "a disk fails"),
    (Probe::CameBack, "return", "a host comes back"),
    (Probe::Finished, "finish", "a host completes"),
];

/// In how many runs each probe was met. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Coverage(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    runs: u64,
    met: BTreeMap<Probe, u64>,
}

impl Coverage {
    /// A watch that counts what it meets here once its run is over, well or not.
    pub fn probes(&self, scene: &Scene) -> Probes {
        let hosts = scene.names.hosts() as usize;
        Probes { coverage: self.clone(), met: BTreeSet::new(), hosts: vec![Host::default(); hosts] }
    }

    /// Runs that are over.
    pub fn runs(&self) -> u64 {
        self.lock().runs
    }

    /// Probes with the number of runs that met them.
    pub fn met(&self) -> Vec<(&'static str, u64)> {
        let counts = self.lock();
        PROBES.iter().map(|(probe, name, _)| (*name, counts.met.get(probe).copied().unwrap_or(0))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Listens for the probes of one run.
#[derive(Debug)]
pub struct Probes {
    coverage: Coverage,
    met: BTreeSet<Probe>,
    hosts: Vec<Host>,
}

#[derive(Clone, Debug, Default)]
struct Host {
    stays: u32,
    missing: u32,
    last_piece_at: Option<Instant>,
    /// Who chokes it, and how many requests are out, by connection.
    conns: BTreeMap<ConnId, (bool, u32)>,
}

impl Probes {
    fn meet(&mut self, probe: Probe) {
        self.met.insert(probe);
    }

    fn event(&mut self, event: &Event) {
        self.meet(match event {
            Event::EndgameEntered => Probe::EndgameEntered,
            Event::DuplicateBlock(_) => Probe::EndgameDuplicate,
            Event::UnexpectedBlock(_) => Probe::LateBlock,
            Event::HashFailed(_) => Probe::HashFailure,
            Event::Banned(_) => Probe::Ban,
            Event::Snubbed(_) => Probe::Snub,
            Event::Completed => Probe::Finished,
            Event::PeersHeardOf { .. } => Probe::PeersHeardOf,
            Event::StorageFailed(_) => Probe::StorageFailed,
            Event::TrackerFailed { why: TrackerFailure::TimedOut, .. } => Probe::TrackerTimeOut,
            Event::TrackerFailed { why: TrackerFailure::Refused(_), .. } => Probe::TrackerRefused,
            Event::TrackerFailed { why: TrackerFailure::Malformed(_), .. } => Probe::TrackerMalformed,
            _ => return,
        });
    }

    fn closed(&mut self, why: &Disconnect) {
        self.meet(match why {
            Disconnect::Duplicate => Probe::DuplicateConnection,
            Disconnect::Oneself => Probe::ConnectedToOneself,
            Disconnect::BothSeeds => Probe::BothSeeds,
            Disconnect::Replaced => Probe::Replaced,
            Disconnect::Full => Probe::Full,
            Disconnect::TimedOut => Probe::HandshakeTimeOut,
            Disconnect::Malformed(_) => Probe::Malformed,
            Disconnect::Misbehaved(_) => Probe::Misbehaved,
            Disconnect::Reset => Probe::ConnectionReset,
            _ => return,
        });
    }

    fn heard(&mut self, host: u32, conn: ConnId, message: &Message) {
        let (choked, out) = self.hosts[host as usize].conns.entry(conn).or_insert((true, 0));
        match message {
            Message::Choke => {
                let waits = *out > 0 && !*choked;
                *choked = true;
                if waits {
                    self.meet(Probe::ChokedWithRequests);
                }
            }
            Message::Unchoke => *choked = false,
            Message::Piece { .. } => *out = out.saturating_sub(1),
            Message::Reject(_) => {
                *out = out.saturating_sub(1);
                self.meet(Probe::Reject);
            }
            Message::Suggest(_) => self.meet(Probe::Suggestion),
            _ => {}
        }
    }
}

impl Watch for Probes {
    fn came(
        &mut self,
        _: Instant,
        host: u32,
        _: std::net::SocketAddr,
        have: &torrentlab_engine::bitfield::Bitfield,
    ) {
        let state = &mut self.hosts[host as usize];
        state.stays += 1;
        let (stays, missing) = (state.stays, have.len() - have.count());
        *state = Host { stays, missing, ..Host::default() };
        if stays > 1 {
            self.meet(Probe::CameBack);
        }
    }

    fn input(&mut self, now: Instant, host: u32, input: &Input) {
        match input {
            Input::Message { conn, message } => self.heard(host, *conn, message),
            Input::Closed { conn, why } => {
                self.hosts[host as usize].conns.remove(conn);
                self.closed(why);
            }
            Input::DialFailed { why: DialFailure::Refused, .. } => self.meet(Probe::DialRefused),
            Input::DialFailed { why: DialFailure::TimedOut, .. } => self.meet(Probe::DialTimedOut),
            Input::PieceChecked { ok: true, .. } => {
                let state = &mut self.hosts[host as usize];
                state.missing = state.missing.saturating_sub(1);
                let waited = state.last_piece_at.replace(now).map_or(0.0, |at| now.since(at).as_secs_f64());
                if state.missing == 0 && waited >= 30.0 {
                    self.meet(Probe::LastPieceStall);
                }
            }
            _ => {}
        }
    }

    fn output(&mut self, _: Instant, host: u32, output: &Output, _: &[ConnId]) {
        match output {
            Output::Event(event) => self.event(event),
            Output::Close { conn, why } => {
                self.hosts[host as usize].conns.remove(conn);
                self.closed(why);
            }
            Output::Send { conn, message: Message::Request(_) } => {
                let (choked, out) = self.hosts[host as usize].conns.entry(*conn).or_insert((true, 0));
                *out += 1;
                if *choked {
                    self.meet(Probe::AllowedFastUsed);
                }
            }
            Output::Send { message: Message::Cancel(_), .. } => self.meet(Probe::Cancel),
            _ => {}
        }
    }
}

impl Drop for Probes {
    /// A run that fails has met what it met.
    fn drop(&mut self) {
        let mut counts = self.coverage.lock();
        counts.runs += 1;
        for probe in &self.met {
            *counts.met.entry(*probe).or_default() += 1;
        }
    }
}
