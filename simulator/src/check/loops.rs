//! What goes round and round: connections that come to nothing, blocks that are asked for again and again.

use std::collections::{BTreeMap, VecDeque};

use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::{Block, ConnId};
use torrentlab_engine::wire::Message;

use super::model::Model;
use super::recent::of_block;
use super::{Act, Checker, Found};

pub(super) const RECONNECT_LOOP: (&str, &str) = (
    "reconnect-loop",
    "A host is not connected to the same peer, within five minutes and without a block, more than three times more often \
     than its doubling waits between redials allow.",
);
pub(super) const REQUEST_LOOP: (&str, &str) =
    ("request-loop", "A block is not asked of the same peer more than forty times in ten minutes.");

/// Connections that last less, without a block, came to nothing.
const SHORT: Duration = Duration::from_secs(60);
const RECONNECT_WINDOW: Duration = Duration::from_secs(300);
/// On top of what the waits allow.
const MORE_CONNECTIONS: usize = 3;
/// An address that failed so often is forgotten, and may be heard of anew after a minute.
const GIVE_UP_AFTER: u32 = 8;
const REQUEST_WINDOW: Duration = Duration::from_secs(600);
const MOST_REQUESTS: usize = 40;
/// Only blocks that were asked for so often are counted by peer.
const OFTEN: u8 = 8;

#[derive(Default)]
pub(super) struct Loops {
    /// By who dialled and whom: when connections ended that came to nothing.
    in_vain: BTreeMap<(u32, u32), VecDeque<Instant>>,
    /// By who asked whom.
    asked: BTreeMap<(u32, u32, Block), VecDeque<Instant>>,
}

impl Checker for Loops {
    fn came(&mut self, _: &Model, _: Instant, host: u32) {
        self.in_vain.retain(|&(from, to), _| from != host && to != host);
        self.asked.retain(|&(from, _, _), _| from != host);
    }

    fn input(&mut self, model: &Model, now: Instant, host: u32, input: &Input, found: &mut Found) {
        if let Input::Closed { conn, .. } = input {
            self.ended(model, now, host, *conn, found);
        }
    }

    fn output(&mut self, model: &Model, now: Instant, host: u32, act: &Act<'_>, found: &mut Found) {
        match act.output {
            Output::Close { conn, .. } => self.ended(model, now, host, *conn, found),
            Output::Send { conn, message: Message::Request(block) } => {
                self.asks(model, now, host, *conn, *block, found);
            }
            _ => {}
        }
    }
}

impl Loops {
    fn ended(&mut self, model: &Model, now: Instant, host: u32, conn: ConnId, found: &mut Found) {
        let Some(conn) = model.conn(host, conn).filter(|conn| conn.outgoing) else { return };
        let in_vain = conn.blocks_in + conn.blocks_out == 0 && now.since(conn.since) < SHORT;
        let Some(peer) = conn.peer.filter(|_| in_vain && model.is_judged(host)) else { return };
        let times = self.in_vain.entry((host, peer)).or_default();
        let count = count(times, now, RECONNECT_WINDOW);
        if count > redials(model.facts(host).redial) + MORE_CONNECTIONS {
            found.report(RECONNECT_LOOP.0, now, [host, peer], [], || {
                let name = |host| model.scene.names.name(host);
                let seconds = RECONNECT_WINDOW.as_secs();
                format!("{} has connected to {} in vain {count} times in {seconds} s", name(host), name(peer))
            });
        }
    }

    fn asks(
        &mut self,
        model: &Model,
        now: Instant,
        host: u32,
        conn: ConnId,
        block: Block,
        found: &mut Found,
    ) {
        if model.host(host).block(block).times < OFTEN || !model.is_judged(host) {
            return;
        }
        let Some(peer) = model.conn(host, conn).and_then(|conn| conn.peer) else { return };
        let count = count(self.asked.entry((host, peer, block)).or_default(), now, REQUEST_WINDOW);
        if count > MOST_REQUESTS {
            found.report(REQUEST_LOOP.0, now, [host, peer], [block.piece], || {
                let name = |host| model.scene.names.name(host);
                let (block, seconds) = (of_block(block), REQUEST_WINDOW.as_secs());
                format!("{} has asked {} for {block} {count} times in {seconds} s", name(host), name(peer))
            });
        }
    }
}

/// Notes that it happens now, and counts how often it did of late.
fn count(times: &mut VecDeque<Instant>, now: Instant, window: Duration) -> usize {
    while times.front().is_some_and(|&at| now.since(at) > window) {
        times.pop_front();
    }
    times.push_back(now);
    times.len()
}

/// How often the waits between redials let a peer be dialled at most. They are "give or take half".
fn redials((first, longest): (Duration, Duration)) -> usize {
    let (mut at, mut count, mut failures) = (Duration::ZERO, 0, 0);
    while at <= RECONNECT_WINDOW {
        count += 1;
        let wait = (first * (1 << failures)).min(longest) / 2;
        failures = (failures + 1) % GIVE_UP_AFTER;
        let least = if failures == 0 { SHORT } else { Duration::from_secs(1) };
        at += wait.max(least);
    }
    count
}
