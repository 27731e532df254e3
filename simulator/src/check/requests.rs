//! What may be asked of whom.

use torrentlab_engine::node::Output;
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::{BLOCK_LEN, Block};
use torrentlab_engine::wire::Message;
use torrentlab_scenarios::schema::EndgameFrom;

use super::facts::Facts;
use super::model::{Conn, Host, Model};
use super::recent::of_block;
use super::{Act, Checker, Found};

pub(super) const NAME: &str = "requests";
pub(super) const WHAT: &str = "A request is for a whole block that the asker lacks, of a peer that has announced it and \
does not choke, and for none that is asked for already: of the same peer never, of another one not before the endgame.";

pub(super) struct Requests;

impl Checker for Requests {
    fn output(&mut self, model: &Model, now: Instant, host: u32, act: &Act<'_>, found: &mut Found) {
        let Output::Send { conn, message: Message::Request(block) } = act.output else { return };
        let Some(conn) = model.conn(host, *conn).filter(|_| model.is_judged(host)) else { return };
        if let Some(wrong) = wrong(model, host, conn, *block) {
            let name = |host| model.scene.names.name(host);
            found.report(NAME, now, [host].into_iter().chain(conn.peer), [block.piece], || {
                let of = conn.peer.map_or_else(|| "a peer".to_owned(), name);
                format!("{} asks {of} for {}, {wrong}", name(host), of_block(*block))
            });
        }
    }
}

fn wrong(model: &Model, number: u32, conn: &Conn, block: Block) -> Option<&'static str> {
    let geometry = model.geometry();
    let (host, facts) = (model.host(number), model.facts(number));
    let Block { piece, begin, .. } = block;
    if !geometry.holds(block) {
        Some("which is not in the torrent")
    } else if begin % BLOCK_LEN != 0 || block != geometry.block(piece, begin / BLOCK_LEN) {
        Some("which is not one of the blocks of 16 KiB that all are asked for")
    } else if host.holds(block) {
        Some("which it has")
    } else if !conn.peer_has.has(piece) {
        Some("which that peer has not announced")
    } else if !conn.serves(piece) {
        Some("which chokes it")
    } else if !conn.am_interested {
        Some("without saying that it is interested")
    } else if conn.asked.contains(&block) {
        Some("which that peer was asked for already")
    } else if host.block(block).asked > 0 && !is_endgame(host, facts, block) {
        Some("which another peer was asked for, and it is not the end")
    } else {
        None
    }
}

/// Whether a block may be asked for that others were asked for.
fn is_endgame(host: &Host, facts: &Facts, block: Block) -> bool {
    match facts.endgame {
        None => false,
        // "Once all sub-pieces which a peer doesn't have are actively being requested" (Cohen 2003).
        Some(EndgameFrom::LastBlocks) => host.free == 0,
        // "At least one request to every piece that's left to download" (libtorrent).
        Some(EndgameFrom::LastPieces) => {
            let all_begun = host.untouched.is_empty() || facts.asks_slowly;
            all_begun && host.has_all_asked(block.piece)
        }
    }
}
