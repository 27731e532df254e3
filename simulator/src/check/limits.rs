//! Limits that a host keeps: of slots, of connections, of requests.

use std::collections::BTreeMap;

use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::{ConnId, PieceIndex};
use torrentlab_engine::wire::Message;

use super::model::{Conn, Model};
use super::{Act, Checker, Found};
use crate::watch::Sight;

pub(super) const SLOTS: (&str, &str) = (
    "slots",
    "No more interested peers are unchoked than `limits.slots`, where the choker counts them, for longer than three \
     seconds; a free rider unchokes nobody.",
);
pub(super) const PIPELINE: (&str, &str) = (
    "pipeline",
    "No more requests are out to a peer than it holds, if it says so (`reqq` of its extension handshake), nor than \
     `limits.max_requests` and one piece.",
);
pub(super) const CONNECTIONS: (&str, &str) =
    ("connections", "No more connections are open than `limits.connections`, once a host has had its say.");
pub(super) const HALF_OPEN: (&str, &str) = (
    "half-open",
    "A connection on which no handshake comes within `limits.handshake_timeout`, or nothing for `limits.peer_timeout`, is \
     given up ten seconds later at the latest.",
);
pub(super) const MEMORY: (&str, &str) = (
    "memory",
    "What waits is bounded: the requests of a peer by `limits.reqq`, and the simulator's queue of events by its hosts and \
     connections.",
);

/// How long slots may overlap: libtorrent's choker deals once a second.
const OVERLAP: Duration = Duration::from_secs(3);
/// How often a client looks for silence, at least.
const SWEEP: Duration = Duration::from_secs(10);
/// Events in the simulator's queue for each host, and for each end of a connection.
const EVENTS_PER_HOST: u64 = 64;
const EVENTS_PER_END: u64 = 64;

/// Since when a host has too many peers unchoked.
#[derive(Default)]
pub(super) struct Limits {
    over: BTreeMap<u32, Instant>,
}

impl Checker for Limits {
    fn came(&mut self, _: &Model, _: Instant, host: u32) {
        self.over.remove(&host);
    }

    fn input(&mut self, model: &Model, now: Instant, host: u32, input: &Input, found: &mut Found) {
        if !model.is_judged(host) {
            return;
        }
        let (state, facts) = (model.host(host), model.facts(host));
        if state.open > facts.connections {
            let (open, most) = (state.open, facts.connections);
            tell(model, now, host, None, CONNECTIONS.0, found, || {
                format!("has {open} connections, of {most} at most")
            });
        }
        if let Input::Closed { conn, .. } = input {
            self.end_if_under(model, host, *conn);
        }
        let Input::Message { conn, message } = input else { return };
        let Some(conn) = model.conn(host, *conn) else { return };
        match message {
            Message::Interested if !conn.interested && !conn.am_choking => {
                self.count_slots(model, now, host, 1, found);
            }
            Message::NotInterested => self.end_if_under(model, host, conn.id),
            // Without the Fast extension what is too much is dropped without a word.
            Message::Request(_) if conn.fast() && conn.waiting.len() > facts.reqq => {
                let (waiting, most) = (conn.waiting.len(), facts.reqq);
                tell(model, now, host, Some(conn), MEMORY.0, found, || {
                    format!("holds {waiting} requests, of {most} at most, of")
                });
            }
            _ => {}
        }
    }

    fn output(&mut self, model: &Model, now: Instant, host: u32, act: &Act<'_>, found: &mut Found) {
        if let Output::Close { conn, .. } = act.output {
            self.end_if_under(model, host, *conn);
        }
        let Output::Send { conn, message } = act.output else { return };
        let Some(conn) = model.conn(host, *conn).filter(|_| model.is_judged(host)) else { return };
        match message {
            Message::Unchoke => {
                if model.facts(host).slots == Some(0) {
                    tell(model, now, host, Some(conn), SLOTS.0, found, || {
                        "serves nobody by its scenario, and unchokes".to_owned()
                    });
                }
                self.count_slots(model, now, host, usize::from(conn.interested), found);
            }
            Message::Choke => self.end_if_under(model, host, conn.id),
            Message::Request(_) => {
                let facts = model.facts(host);
                // Of a peer that sends a piece soon enough all of one is asked for (`limits.whole_pieces`).
                let piece = model.geometry().blocks_in(PieceIndex(0)) as usize;
                let most = conn.reqq.min(facts.max_requests + piece);
                if conn.asked.len() >= most {
                    tell(model, now, host, Some(conn), PIPELINE.0, found, || {
                        format!("has more than {most} requests out to")
                    });
                }
            }
            _ => {}
        }
    }

    fn look(&mut self, model: &Model, now: Instant, swarm: &dyn Sight, found: &mut Found) {
        let over: Vec<u32> = self.over.keys().copied().collect();
        over.into_iter().for_each(|host| self.count_slots(model, now, host, 0, found));
        for (host, state) in model.all().filter(|(host, _)| model.is_judged(*host)) {
            let facts = model.facts(host);
            let is_dead = |conn: &&Conn| {
                let no_handshake =
                    !conn.heard.peer_id && now.since(conn.since) > facts.handshake_timeout + SWEEP;
                no_handshake || now.since(conn.heard_at) > facts.peer_timeout + SWEEP
            };
            if let Some(conn) = state.conns().find(is_dead) {
                let silent = now.since(conn.heard_at).as_secs();
                tell(model, now, host, Some(conn), HALF_OPEN.0, found, || {
                    format!("keeps a connection, on which it has heard nothing for {silent} s, to")
                });
            }
        }
        let Some(queued) = swarm.queued() else { return };
        let ends: u64 = model.hosts.iter().map(|host| host.open as u64).sum();
        let planned = model.scene.faults.actions.len() as u64;
        let most = EVENTS_PER_HOST * (1 + model.hosts.len() as u64) + EVENTS_PER_END * ends + planned;
        if queued as u64 > most {
            found.report(MEMORY.0, now, [], [], || {
                format!(
                    "{queued} events are queued, where {ends} ends of connections account for {most} at most"
                )
            });
        }
    }
}

impl Limits {
    /// Counts the slots of `host`, of which it is about to give `more`.
    fn count_slots(&mut self, model: &Model, now: Instant, host: u32, more: usize, found: &mut Found) {
        let Some(slots) = model.facts(host).slots else { return };
        let taken = served(model, host).count() + more;
        if taken <= slots || !model.is_judged(host) {
            self.over.remove(&host);
            return;
        }
        let since = *self.over.entry(host).or_insert(now);
        if now.since(since) > OVERLAP {
            let peers = served(model, host).filter_map(|conn| conn.peer);
            let name = |host| model.scene.names.name(host);
            found.report(SLOTS.0, now, [host].into_iter().chain(peers), [], || {
                format!("{} serves {taken} peers who are interested, and has {slots} slots", name(host))
            });
        }
    }

    /// `conn` is about to lose its slot.
    fn end_if_under(&mut self, model: &Model, host: u32, conn: ConnId) {
        if !self.over.contains_key(&host) {
            return;
        }
        let left = served(model, host).filter(|served| served.id != conn).count();
        if model.facts(host).slots.is_none_or(|slots| left <= slots) {
            self.over.remove(&host);
        }
    }
}

fn served(model: &Model, host: u32) -> impl Iterator<Item = &Conn> {
    model.host(host).conns().filter(|conn| !conn.am_choking && conn.interested)
}

fn tell(
    model: &Model,
    now: Instant,
    host: u32,
    conn: Option<&Conn>,
    checker: &'static str,
    found: &mut Found,
    what: impl FnOnce() -> String,
) {
    let peer = conn.and_then(|conn| conn.peer);
    let name = |host| model.scene.names.name(host);
    found.report(checker, now, [host].into_iter().chain(peer), [], || {
        let whom = match (conn, peer) {
            (None, _) => String::new(),
            (_, Some(peer)) => format!(" {}", name(peer)),
            (_, None) => " a peer".to_owned(),
        };
        format!("{} {}{whom}", name(host), what())
    });
}
