//! Downloads that stand still although they could go on, and interest that is out of date.

use std::collections::BTreeMap;

use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::{BLOCK_LEN, ConnId};

use super::model::{Conn, Host, Model};
use super::{Checker, Found};
use crate::watch::Sight;

pub(super) const STALL: (&str, &str) = (
    "stall",
    "A host that peers unchoke who have what it lacks stores a new block within three snub time-outs, two minutes, and the \
     time that such a peer and it need for twenty blocks on each of their connections.",
);
pub(super) const ENDGAME_STUCK: (&str, &str) = (
    "endgame-stuck",
    "The same where all but the last piece, or all but one in a hundred, are there: the end of a download does not hang \
     on one peer.",
);
pub(super) const STARVATION: (&str, &str) = (
    "starvation",
    "A host that wants something of a peer whose choker gives everybody a turn is unchoked by somebody within the time of \
     three turns for each connection of that peer, and five minutes.",
);
pub(super) const INTEREST_STUCK: (&str, &str) = (
    "interest-stuck",
    "A host is not interested for half a minute in a peer that has nothing that it lacks.",
);
pub(super) const INTEREST_MISSING: (&str, &str) = (
    "interest-missing",
    "A host is interested, within half a minute, in a peer that has something that it lacks, unless it can store nothing.",
);

/// Blocks on each of its connections that a peer has time for.
const BLOCKS: u64 = 20;
const SLACK: Duration = Duration::from_secs(120);
/// Turns that a peer may wait for, for each connection of whoever gives them.
const TURNS: u64 = 3;
const STARVATION_SLACK: Duration = Duration::from_secs(300);
const INTEREST_WITHIN: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Liveness {
    /// By host and connection: since when its interest is not what it should be.
    out_of_date: BTreeMap<(u32, ConnId), Instant>,
}

impl Checker for Liveness {
    fn came(&mut self, _: &Model, _: Instant, host: u32) {
        self.out_of_date.retain(|&(of, _), _| of != host);
    }

    fn look(&mut self, model: &Model, now: Instant, _: &dyn Sight, found: &mut Found) {
        for (number, host) in model.all().filter(|(number, _)| model.is_judged(*number)) {
            self.look_at_interest(model, now, number, host, found);
            let wants = model.facts(number).healthy && !host.have.is_full() && !host.storage_failed;
            if let Some(quiet) = model.quiet_since().filter(|_| wants) {
                look_for_stall(model, now, number, host, quiet, found);
                look_for_starvation(model, now, number, host, quiet, found);
            }
        }
    }
}

impl Liveness {
    fn look_at_interest(&mut self, model: &Model, now: Instant, number: u32, host: &Host, found: &mut Found) {
        for conn in host.conns().filter(|conn| conn.is_open()) {
            let wanted = conn.peer_has.exceeds(&host.have) && !host.storage_failed;
            if conn.am_interested == wanted {
                self.out_of_date.remove(&(number, conn.id));
                continue;
            }
            let since = *self.out_of_date.entry((number, conn.id)).or_insert(now);
            if now.since(since) < INTEREST_WITHIN {
                continue;
            }
            let (checker, is) = match wanted {
                true => (INTEREST_MISSING.0, "is not interested in"),
                false => (INTEREST_STUCK.0, "is interested in"),
            };
            found.report(checker, now, [number].into_iter().chain(conn.peer), [], || {
                let name = |host| model.scene.names.name(host);
                let peer = conn.peer.map_or_else(|| "a peer".to_owned(), name);
                let has = if wanted { "something" } else { "nothing" };
                format!("{} {is} {peer}, which has {has} that it lacks", name(number))
            });
        }
    }
}

fn look_for_stall(model: &Model, now: Instant, number: u32, host: &Host, quiet: Instant, found: &mut Found) {
    let still = now.since(host.progress_at.max(quiet));
    let least = model.facts(number).snub_timeout * 3 + SLACK;
    if still <= least {
        return;
    }
    let gives = |conn: &&Conn| {
        conn.is_open() && conn.am_interested && !conn.choking && may_have_of(model, host, conn)
    };
    // Each of them alone should have sent something.
    let is_overdue = |conn: &&Conn| {
        let peer =
            conn.peer.map_or(Duration::ZERO, |peer| time_for_blocks(model, peer, model.facts(peer).sure_up));
        let patience = least + peer + time_for_blocks(model, number, model.facts(number).sure_down);
        still > patience && now.since(conn.unchoked_at) > patience
    };
    let Some(conn) = host.conns().filter(gives).find(is_overdue) else { return };
    let (pieces, lacking) = (host.have.len(), host.have.len() - host.have.count());
    let is_end = !host.have.is_empty() && (lacking == 1 || lacking <= pieces / 100);
    let checker = if is_end { ENDGAME_STUCK.0 } else { STALL.0 };
    found.report(checker, now, [number].into_iter().chain(conn.peer), host.missing(), || {
        let name = |host| model.scene.names.name(host);
        let giver = conn.peer.map_or_else(String::new, name);
        let still = still.as_secs();
        format!(
            "{} lacks {lacking} of {pieces} pieces and has stored nothing new for {still} s, though {giver} has some of them \
             and does not choke it",
            name(number)
        )
    });
}

fn look_for_starvation(
    model: &Model,
    now: Instant,
    number: u32,
    host: &Host,
    quiet: Instant,
    found: &mut Found,
) {
    if host.is_unchoked() {
        return;
    }
    let since = host.unchoked_at.max(quiet).max(model.came_at);
    let is_overdue = |conn: &&Conn| {
        let turn = conn.peer.and_then(|peer| Some((model.facts(peer).turn?, model.host(peer).open as u64)));
        let Some((turn, open)) = turn else { return false };
        let since = since.max(conn.since).max(conn.am_interested_at);
        let bound = turn * (TURNS * open.max(1)) + STARVATION_SLACK;
        conn.am_interested && may_have_of(model, host, conn) && now.since(since) > bound
    };
    let Some(conn) = host.conns().find(is_overdue) else { return };
    found.report(STARVATION.0, now, [number].into_iter().chain(conn.peer), host.missing(), || {
        let name = |host| model.scene.names.name(host);
        let giver = conn.peer.map_or_else(String::new, name);
        format!(
            "{} was unchoked by nobody for {} s, though it is interested in {giver} and others, which serves",
            name(number),
            now.since(since).as_secs()
        )
    });
}

/// Whether the peer has something that `host` lacks, and can be expected to give it.
fn may_have_of(model: &Model, host: &Host, conn: &Conn) -> bool {
    let Some(peer) = conn.peer else { return false };
    let (facts, state) = (model.facts(peer), model.host(peer));
    // Who shows its pieces one by one may have none to give for now, and says so with a reject.
    let shows_all = !facts.super_seeding || !state.original_seed;
    let serves = model.is_judged(peer) && facts.serves && shows_all && !state.storage_failed;
    serves && conn.peer_has.exceeds(&host.have)
}

/// How long some blocks on each connection of `host` take.
fn time_for_blocks(model: &Model, host: u32, rate: u64) -> Duration {
    let connections = model.host(host).open.max(1) as u64;
    Duration::of_transfer(BLOCKS * u64::from(BLOCK_LEN) * connections, rate)
}
