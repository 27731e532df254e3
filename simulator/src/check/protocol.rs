//! Which messages are allowed when: an automaton for each end of each connection.

use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::{Block, ConnId};
use torrentlab_engine::wire::Message;

use super::model::{Conn, Model};
use super::recent::of_block;
use super::{Act, Checker, Found};
use crate::watch::Sight;

pub(super) const NAME: &str = "protocol";
pub(super) const WHAT: &str = "A message comes where BEP 3, 6 or 10 allows it: the handshake first, what the sender has right \
after it, nothing twice, a block or a reject as the one answer to each request, nothing after the end.";

/// How long a choke may wait for the rejects that it "must be followed by" (BEP 6).
const REJECTS_WITHIN: Duration = Duration::from_secs(60);

pub(super) struct Protocol;

impl Checker for Protocol {
    fn output(&mut self, model: &Model, now: Instant, host: u32, act: &Act<'_>, found: &mut Found) {
        if !model.is_judged(host) {
            return;
        }
        match act.output {
            Output::Send { conn, message } => {
                let wrong = match model.conn(host, *conn) {
                    Some(conn) => wrong_message(conn, message),
                    None => Some("on a connection that has ended"),
                };
                if let Some(wrong) = wrong {
                    tell(model, now, host, *conn, &format!("{} {wrong}", name(message)), found);
                }
            }
            Output::SendBlock { conn, block } => {
                let wrong = match model.conn(host, *conn) {
                    Some(conn) => wrong_block(conn, *block),
                    None => Some("on a connection that has ended"),
                };
                if let Some(wrong) = wrong {
                    tell(model, now, host, *conn, &format!("{} {wrong}", of_block(*block)), found);
                }
            }
            Output::Broadcast { piece, .. } => {
                let wrong = |conn: &&ConnId| !model.conn(host, **conn).is_some_and(|conn| conn.said.peer_id);
                if let Some(conn) = act.targets.iter().find(wrong) {
                    let what = format!("have {piece} where there is no handshake, or no connection");
                    tell(model, now, host, *conn, &what, found);
                }
            }
            _ => {}
        }
    }

    fn input(&mut self, model: &Model, now: Instant, host: u32, input: &Input, found: &mut Found) {
        // A connection that opens where one is open would be the driver's mistake.
        if let Input::Connected { conn, .. } = input
            && model.conn(host, *conn).is_some()
        {
            tell(model, now, host, *conn, "nothing: its connection opens a second time", found);
        }
    }

    fn look(&mut self, model: &Model, now: Instant, _: &dyn Sight, found: &mut Found) {
        for (host, state) in model.all().filter(|(host, _)| model.is_judged(*host)) {
            for conn in state.conns().filter(|conn| conn.am_choking && conn.fast()) {
                let kept = |block: Block| conn.granted.contains(&block.piece);
                let old = conn
                    .waiting
                    .iter()
                    .find(|waiting| now.since(waiting.since) > REJECTS_WITHIN && !kept(waiting.block));
                if let Some(old) = old {
                    let what = format!("neither {} nor a reject, though it chokes", of_block(old.block));
                    tell(model, now, host, conn.id, &what, found);
                }
            }
        }
    }
}

fn tell(model: &Model, now: Instant, host: u32, conn: ConnId, what: &str, found: &mut Found) {
    let peer = model.conn(host, conn).and_then(|conn| conn.peer);
    let name = |host| model.scene.names.name(host);
    found.report(NAME, now, [host].into_iter().chain(peer), [], || {
        let to = peer.map_or_else(|| "a peer".to_owned(), name);
        format!("{} sends {to} {what}", name(host))
    });
}

/// What is wrong about a message, if anything is.
fn wrong_message(conn: &Conn, message: &Message) -> Option<&'static str> {
    let fast = |wrong: Option<&'static str>| {
        if conn.fast() { wrong } else { Some("though the Fast extension is not agreed on") }
    };
    let when = |is_wrong: bool, what| is_wrong.then_some(what);
    match message {
        Message::Hello { .. } => return when(conn.said.hello.is_some(), "a second time"),
        Message::PeerId(_) => {
            return when(conn.said.hello.is_none(), "before the rest of the handshake")
                .or_else(|| when(conn.said.peer_id, "a second time"));
        }
        _ if !conn.said.peer_id => return Some("before its handshake"),
        _ => {}
    }
    let first = conn.fast() && !conn.said.more;
    match message {
        Message::Bitfield(_) => when(conn.said.more, "when it has said something else already"),
        Message::HaveAll | Message::HaveNone => {
            fast(when(conn.said.more, "when it has said something else already"))
        }
        _ if first => Some("before it has said what it has, which the Fast extension demands"),
        Message::Choke => when(conn.am_choking, "though it chokes already"),
        Message::Unchoke => when(!conn.am_choking, "though it does not choke"),
        Message::Interested => when(conn.am_interested, "though it is interested already"),
        Message::NotInterested => when(!conn.am_interested, "though it is not interested"),
        Message::Cancel(block) => when(!conn.asked.contains(block), "of which no request is out"),
        Message::Piece { block, .. } => wrong_block(conn, *block),
        Message::Reject(block) => {
            fast(when(!conn.waits_for(*block), "of what nobody asked for, or which is answered"))
        }
        Message::Suggest(_) | Message::AllowedFast(_) => fast(None),
        Message::Extended { .. } if !conn.extended() => {
            Some("though the extension protocol is not agreed on")
        }
        Message::Extended { id, .. } => {
            when(*id != 0 && !conn.extensions.contains(id), "with an id that the other end did not give")
        }
        Message::Unknown(_) => Some("of no known kind"),
        _ => None,
    }
}

fn wrong_block(conn: &Conn, block: Block) -> Option<&'static str> {
    if !conn.waits_for(block) {
        Some("that it did not ask for, or that is answered")
    } else if conn.am_choking && !conn.granted.contains(&block.piece) {
        Some("though it chokes")
    } else {
        None
    }
}

fn name(message: &Message) -> String {
    match message {
        Message::Hello { .. } => "a handshake".to_owned(),
        Message::PeerId(_) => "its peer id".to_owned(),
        Message::KeepAlive => "a keep-alive".to_owned(),
        Message::Choke => "choke".to_owned(),
        Message::Unchoke => "unchoke".to_owned(),
        Message::Interested => "interested".to_owned(),
        Message::NotInterested => "not interested".to_owned(),
        Message::Have(piece) => format!("have {piece}"),
        Message::Bitfield(_) => "a bitfield".to_owned(),
        Message::Request(block) => format!("a request for {}", of_block(*block)),
        Message::Piece { block, .. } => of_block(*block),
        Message::Cancel(block) => format!("a cancel for {}", of_block(*block)),
        Message::Port(_) => "its DHT port".to_owned(),
        Message::Suggest(piece) => format!("suggest {piece}"),
        Message::HaveAll => "have all".to_owned(),
        Message::HaveNone => "have none".to_owned(),
        Message::Reject(block) => format!("a reject for {}", of_block(*block)),
        Message::AllowedFast(piece) => format!("allowed fast {piece}"),
        Message::Extended { id: 0, .. } => "an extension handshake".to_owned(),
        Message::Extended { .. } => "a message of an extension".to_owned(),
        Message::Unknown(_) => "a message".to_owned(),
    }
}
