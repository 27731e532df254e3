//! Checkers: what must hold in every swarm, judged from outside.
//!
//! A checker hears what hosts are told and what they do ([`Watch`]) and nothing of what an engine
//! believes. All of them share one `model` of the swarm, which is rebuilt from the same. Hosts that are there to break
//! rules ([`Scene::exempt`]) are held to nothing, and those who meet them are. [`CHECKERS`] has all of them by name.
//!
//! A host is judged by what it had been told by then: what is still on its way does not count.
//!
//! | file | its part |
//! |---|---|
//! | `model` | the swarm, as it must be |
//! | `facts` | what the scenario says of each host |
//! | `recent` | what last happened |
//! | the others | the checkers |

mod bans;
mod diversity;
mod endgame;
mod facts;
mod finish;
mod limits;
mod links;
mod liveness;
mod loops;
mod model;
mod pieces;
mod protocol;
mod recent;
mod requests;
mod telling;
mod tracker;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::{ConnId, PieceIndex};

use crate::failure::Failure;
use crate::fault::Action;
use crate::trace::Passage;
use crate::watch::{Scene, Sight, Watch};
use model::Model;
pub use recent::Recent;

/// How often liveness is looked at, at most: its bounds are of tens of seconds.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Held to at the end of a run, by comparing what is stored.
pub(crate) const CONTENT_EQUAL: (&str, &str) =
    ("content-equal", "At the end, what a host holds for checked equals the original.");

/// All checkers: the name that a failure has (`check:` and this), and what it finds.
pub const CHECKERS: &[(&str, &str)] = &[
    pieces::BYTES_CONSERVED,
    links::LINK_CAPS,
    pieces::VERIFIED_ONLY,
    CONTENT_EQUAL,
    (requests::NAME, requests::WHAT),
    (protocol::NAME, protocol::WHAT),
    limits::SLOTS,
    limits::PIPELINE,
    limits::CONNECTIONS,
    limits::HALF_OPEN,
    (endgame::NAME, endgame::WHAT),
    (bans::NAME, bans::WHAT),
    tracker::TRACKER_COUNTS,
    limits::MEMORY,
    links::COPIES,
    liveness::STALL,
    liveness::ENDGAME_STUCK,
    liveness::STARVATION,
    tracker::ANNOUNCE_STORM,
    loops::RECONNECT_LOOP,
    loops::REQUEST_LOOP,
    liveness::INTEREST_STUCK,
    liveness::INTEREST_MISSING,
    (finish::NAME, finish::WHAT),
    diversity::SEED_DIVERSITY,
    diversity::RAREST_HERD,
    telling::HAVE_MISSING,
    telling::CHOKE_FLAPPING,
];

/// A checker. What happened is told to it before the model takes it in.
trait Checker: Send {
    fn came(&mut self, model: &Model, now: Instant, host: u32) {
        let _ = (model, now, host);
    }

    fn input(&mut self, model: &Model, now: Instant, host: u32, input: &Input, found: &mut Found) {
        let _ = (model, now, host, input, found);
    }

    fn output(&mut self, model: &Model, now: Instant, host: u32, output: &Act<'_>, found: &mut Found) {
        let _ = (model, now, host, output, found);
    }

    /// At some samples of the timeline.
    fn look(&mut self, model: &Model, now: Instant, swarm: &dyn Sight, found: &mut Found) {
        let _ = (model, now, swarm, found);
    }
}

/// An output with the targets that it has if it is a broadcast.
struct Act<'a> {
    output: &'a Output,
    targets: &'a [ConnId],
}

/// What was found: the first counts.
#[derive(Debug, Default)]
struct Found(Option<Finding>);

#[derive(Debug)]
struct Finding {
    checker: &'static str,
    at: Instant,
    what: String,
    hosts: Vec<u32>,
    pieces: Vec<u32>,
    /// What last happened to these hosts by then; `None` until it is asked for.
    last_events: Option<Vec<String>>,
}

impl Found {
    /// Something is wrong, in one sentence. The hosts that it is about come in the order in which the sentence names them.
    fn report(
        &mut self,
        checker: &'static str,
        at: Instant,
        hosts: impl IntoIterator<Item = u32>,
        pieces: impl IntoIterator<Item = PieceIndex>,
        what: impl FnOnce() -> String,
    ) {
        if self.0.is_none() {
            let pieces = pieces.into_iter().map(|piece| piece.0).collect();
            let hosts = hosts.into_iter().collect();
            self.0 = Some(Finding { checker, at, what: what(), hosts, pieces, last_events: None });
        }
    }
}

/// All checkers of a run.
pub struct Checks {
    model: Model,
    checkers: Vec<Box<dyn Checker>>,
    found: Found,
    recent: Recent,
    look_at: Instant,
}

impl Checks {
    /// Those of the run of `scene`; what last happened is kept in `recent`.
    pub fn new(scene: &Scene, recent: Recent) -> Self {
        recent.name(scene.names.clone());
        let mut checkers: Vec<Box<dyn Checker>> = vec![Box::new(links::Copies)];
        // In models of contacts nothing is said that could be held to rules.
        if scene.scenario.contacts.is_none() {
            checkers.push(Box::new(protocol::Protocol));
            checkers.push(Box::new(requests::Requests));
            checkers.push(Box::new(pieces::VerifiedOnly));
            checkers.push(Box::new(pieces::BytesConserved::default()));
            checkers.push(Box::new(limits::Limits::default()));
            checkers.push(Box::new(bans::Bans::default()));
            checkers.push(Box::new(endgame::Endgame::default()));
            checkers.push(Box::new(loops::Loops::default()));
            checkers.push(Box::new(tracker::Announces::default()));
            checkers.push(Box::new(diversity::Diversity::default()));
            checkers.push(Box::new(telling::Telling::default()));
            checkers.push(Box::new(links::LinkCaps::default()));
            checkers.push(Box::new(liveness::Liveness::default()));
            checkers.push(Box::new(finish::Finish));
        }
        Self {
            model: Model::new(scene.clone()),
            checkers,
            found: Found::default(),
            recent,
            look_at: Instant::ZERO,
        }
    }

    /// Has `act` tell the checkers something, unless one of them has found something.
    fn tell(&mut self, act: impl Fn(&mut dyn Checker, &Model, &mut Found)) {
        let Self { model, checkers, found, recent, .. } = self;
        if found.0.is_some() {
            return;
        }
        checkers.iter_mut().for_each(|checker| act(&mut **checker, model, found));
        if let Some(finding) = &mut found.0 {
            finding.last_events = Some(recent.words(&finding.hosts));
        }
    }

    fn peer(&self, host: u32, conn: ConnId) -> Option<u32> {
        self.model.conn(host, conn).and_then(|conn| conn.peer)
    }
}

impl Watch for Checks {
    fn came(&mut self, now: Instant, host: u32, _: SocketAddr, have: &Bitfield) {
        self.recent.came(now, host, have.count());
        self.tell(|checker, model, _| checker.came(model, now, host));
        self.model.came(now, host, have);
    }

    fn went(&mut self, now: Instant, host: u32) {
        self.recent.went(now, host);
        self.model.went(host);
    }

    fn input(&mut self, now: Instant, host: u32, input: &Input) {
        let peer = match input {
            Input::Connected { addr, .. } => self.model.scene.names.host_at(*addr),
            Input::Message { conn, .. } | Input::Closed { conn, .. } => self.peer(host, *conn),
            _ => None,
        };
        self.recent.input(now, host, peer, input);
        self.tell(|checker, model, found| checker.input(model, now, host, input, found));
        self.model.input(now, host, input);
    }

    fn output(&mut self, now: Instant, host: u32, output: &Output, targets: &[ConnId]) {
        let peer = match output {
            Output::Send { conn, .. }
            | Output::SendBlock { conn, .. }
            | Output::CancelBlock { conn, .. }
            | Output::Close { conn, .. } => self.peer(host, *conn),
            _ => None,
        };
        self.recent.output(now, host, peer, output);
        let act = Act { output, targets };
        self.tell(|checker, model, found| checker.output(model, now, host, &act, found));
        self.model.output(now, host, output);
    }

    fn fault(&mut self, now: Instant, action: &Action) {
        self.model.fault(now, action);
    }

    fn passage(&mut self, _: Instant, host: u32, passage: Passage) {
        if let Passage::Received { piece, .. } = passage {
            self.model.received(host, piece);
        }
    }

    fn look(&mut self, now: Instant, swarm: &dyn Sight) {
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK_EVERY;
        self.tell(|checker, model, found| checker.look(model, now, swarm, found));
    }

    fn failure(&mut self) -> Option<Failure> {
        let Finding { checker, at, what, hosts, pieces, last_events } = self.found.0.as_ref()?;
        let names = &self.model.scene.names;
        Some(Failure {
            hosts: hosts.iter().map(|&host| names.name(host)).collect(),
            pieces: pieces.clone(),
            last_events: last_events.clone().unwrap_or_default(),
            ..Failure::of_checker(checker, *at, what)
        })
    }
}
