//! What peers must be told, and how often they are told something else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::{ConnId, PieceIndex};
use torrentlab_engine::wire::Message;
use torrentlab_scenarios::schema::Behaviour;

use super::model::Model;
use super::{Act, Checker, Found};
use crate::watch::Sight;

pub(super) const HAVE_MISSING: (&str, &str) = (
    "have-missing",
    "A piece that was checked is announced within half a minute to every peer that is connected and lacks it, unless the \
     host shows its pieces one by one.",
);
pub(super) const CHOKE_FLAPPING: (&str, &str) =
    ("choke-flapping", "A peer is not choked and unchoked more than sixty times a minute.");

const TELL_WITHIN: Duration = Duration::from_secs(30);
const FLAPPING_WINDOW: Duration = Duration::from_secs(60);
const MOST_CHANGES: usize = 60;

#[derive(Default)]
pub(super) struct Telling {
    /// By host: the pieces that were checked of late, in the order of time.
    fresh: BTreeMap<u32, VecDeque<(Instant, PieceIndex)>>,
    /// By host and connection: what the peer was told.
    told: BTreeMap<(u32, ConnId), Told>,
}

#[derive(Default)]
struct Told {
    pieces: BTreeSet<PieceIndex>,
    all: bool,
    /// When it was choked or unchoked.
    changes: VecDeque<Instant>,
}

impl Telling {
    fn of(&mut self, host: u32, conn: ConnId) -> &mut Told {
        self.told.entry((host, conn)).or_default()
    }
}

impl Checker for Telling {
    fn came(&mut self, _: &Model, _: Instant, host: u32) {
        self.fresh.remove(&host);
        self.told.retain(|&(of, _), _| of != host);
    }

    fn input(&mut self, _: &Model, now: Instant, host: u32, input: &Input, _: &mut Found) {
        match input {
            Input::PieceChecked { piece, ok: true, .. } => {
                self.fresh.entry(host).or_default().push_back((now, *piece));
            }
            Input::Closed { conn, .. } => _ = self.told.remove(&(host, *conn)),
            _ => {}
        }
    }

    fn output(&mut self, model: &Model, now: Instant, host: u32, act: &Act<'_>, found: &mut Found) {
        match act.output {
            Output::Broadcast { piece, .. } => {
                act.targets.iter().for_each(|&conn| _ = self.of(host, conn).pieces.insert(*piece));
            }
            Output::Send { conn, message: Message::Have(piece) } => {
                self.of(host, *conn).pieces.insert(*piece);
            }
            Output::Send { conn, message: Message::HaveAll } => self.of(host, *conn).all = true,
            Output::Send { conn, message: Message::Bitfield(bits) } => {
                let pieces = Bitfield::from_wire(bits, model.geometry().pieces());
                let told = self.of(host, *conn);
                pieces.iter().for_each(|pieces| told.pieces.extend(pieces.iter()));
            }
            Output::Send { conn, message: Message::Choke | Message::Unchoke } => {
                self.changes(model, now, host, *conn, found);
            }
            Output::Close { conn, .. } => _ = self.told.remove(&(host, *conn)),
            _ => {}
        }
    }

    fn look(&mut self, model: &Model, now: Instant, _: &dyn Sight, found: &mut Found) {
        let hides = |host: u32| {
            let class = model.scene.scenario.hosts.values().nth(usize::from(model.host(host).class));
            model.facts(host).super_seeding
                || class.is_none_or(|class| class.behaviour == Behaviour::UnderReporter)
        };
        for (&host, fresh) in &mut self.fresh {
            while let Some(&(at, piece)) = fresh.front().filter(|(at, _)| now.since(*at) >= TELL_WITHIN) {
                fresh.pop_front();
                if !model.is_judged(host) || hides(host) || !model.host(host).have.has(piece) {
                    continue;
                }
                let untold = |conn: ConnId| {
                    self.told.get(&(host, conn)).is_none_or(|told| !told.all && !told.pieces.contains(&piece))
                };
                let lacks = model.host(host).conns().find(|conn| {
                    conn.is_open() && conn.since < at && !conn.peer_has.has(piece) && untold(conn.id)
                });
                if let Some(conn) = lacks {
                    found.report(HAVE_MISSING.0, now, [host].into_iter().chain(conn.peer), [piece], || {
                        let name = |host| model.scene.names.name(host);
                        let peer = conn.peer.map_or_else(|| "a peer".to_owned(), name);
                        let seconds = now.since(at).as_secs();
                        format!("{} has had piece {piece} for {seconds} s and has not told {peer}, which lacks it", name(host))
                    });
                }
            }
        }
    }
}

impl Telling {
    fn changes(&mut self, model: &Model, now: Instant, host: u32, conn: ConnId, found: &mut Found) {
        let changes = &mut self.of(host, conn).changes;
        changes.push_back(now);
        while changes.front().is_some_and(|&at| now.since(at) > FLAPPING_WINDOW) {
            changes.pop_front();
        }
        let count = changes.len();
        if count > MOST_CHANGES && model.is_judged(host) {
            let peer = model.conn(host, conn).and_then(|conn| conn.peer);
            found.report(CHOKE_FLAPPING.0, now, [host].into_iter().chain(peer), [], || {
                let name = |host| model.scene.names.name(host);
                let peer = peer.map_or_else(|| "a peer".to_owned(), name);
                format!("{} has choked and unchoked {peer} {count} times in a minute", name(host))
            });
        }
    }
}
