//! Downloads that stand still although they could go on.

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::{BLOCK_LEN, PieceIndex};

use super::model::{Conn, Model};
use super::{Checker, Found};
use crate::watch::Sight;

pub(super) const STALL: (&str, &str) = (
    "stall",
    "A host that peers unchoke who have what it lacks stores a new block within the time that these peers need for \
     twenty blocks on each of their connections, three snub time-outs and two minutes.",
);
pub(super) const ENDGAME_STUCK: (&str, &str) = (
    "endgame-stuck",
    "The same where all but the last piece, or all but one in a hundred, are there: the end of a download does not hang \
     on one peer.",
);

/// Blocks on each of its connections that a peer has time for.
const BLOCKS: u64 = 20;
const SLACK: Duration = Duration::from_secs(120);

pub(super) struct Liveness;

impl Checker for Liveness {
    fn look(&mut self, model: &Model, now: Instant, _: &dyn Sight, found: &mut Found) {
        let Some(quiet) = model.quiet_since() else { return };
        for (number, host) in model.all() {
            let facts = model.facts(number);
            let wants = facts.healthy && !host.have.is_full() && !host.storage_failed;
            if !model.is_judged(number) || !wants {
                continue;
            }
            let still = now.since(host.progress_at.max(quiet));
            let least = facts.snub_timeout * 3 + SLACK;
            if still <= least {
                continue;
            }
            let gives = |conn: &&Conn| {
                conn.is_open()
                    && conn.am_interested
                    && !conn.choking
                    && conn.peer.is_some_and(|peer| gives(model, peer))
                    && conn.peer_has.exceeds(&host.have)
            };
            // Each of them alone should have sent something.
            let patience = |conn: &Conn| {
                let peer = conn.peer.map_or(0, |peer| time_for_blocks(model, peer));
                least + Duration::from_nanos(peer) + Duration::from_nanos(time_for_own(model, number))
            };
            let overdue = |conn: &&Conn| {
                still > patience(conn) && now.since(conn.since.max(host.unchoked_at)) > patience(conn)
            };
            let Some(conn) = host.conns().filter(gives).find(overdue) else { continue };
            let missing: Vec<PieceIndex> = Bitfield::all(host.have.len()).minus(&host.have).take(8).collect();
            let lacking = host.have.len() - host.have.count();
            let is_end = host.have.count() > 0 && (lacking == 1 || lacking <= host.have.len() / 100);
            let checker = if is_end { ENDGAME_STUCK.0 } else { STALL.0 };
            found.report(checker, now, [number].into_iter().chain(conn.peer), missing, || {
                let name = |host| model.scene.names.name(host);
                let giver = conn.peer.map_or_else(String::new, name);
                format!(
                    "{} lacks {lacking} of {} pieces and has stored nothing new for {:.0} s, though {giver} has some of \
                     them and does not choke it",
                    name(number),
                    host.have.len(),
                    still.as_secs_f64()
                )
            });
        }
    }
}

/// Whether something can be expected of a peer that unchokes.
fn gives(model: &Model, peer: u32) -> bool {
    let facts = model.facts(peer);
    // Who shows its pieces one by one may have none to give for now, and says so with a reject.
    let shows_all = !facts.super_seeding || !model.host(peer).original_seed;
    model.is_judged(peer) && facts.serves && shows_all && !model.host(peer).storage_failed
}

/// Nanoseconds that a peer needs for some blocks on each of its connections.
fn time_for_blocks(model: &Model, peer: u32) -> u64 {
    let bytes = BLOCKS * u64::from(BLOCK_LEN) * model.host(peer).open.max(1) as u64;
    Duration::of_transfer(bytes, model.facts(peer).sure_up).as_nanos()
}

fn time_for_own(model: &Model, host: u32) -> u64 {
    let bytes = BLOCKS * u64::from(BLOCK_LEN) * model.host(host).open.max(1) as u64;
    Duration::of_transfer(bytes, model.facts(host).sure_down).as_nanos()
}
