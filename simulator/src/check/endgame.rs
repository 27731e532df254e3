//! The endgame costs little.

use std::collections::BTreeMap;

use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::Block;
use torrentlab_engine::wire::Message;
use torrentlab_scenarios::schema::EndgameFrom;

use super::model::Model;
use super::recent::of_block;
use super::{Act, Checker, Found};
use crate::watch::Sight;

pub(super) const NAME: &str = "endgame-bounded";
pub(super) const WHAT: &str = "A host receives no more blocks twice than 64, a fifth of all (all, where the endgame begins with \
the last pieces), and one for each request that it gave up; and what others were asked for too is cancelled when it comes \
(BEP 3).";

/// Blocks that anybody may receive twice.
const FEW: u64 = 64;
/// How soon others are told that a block is not wanted any more.
const CANCEL_WITHIN: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Endgame {
    hosts: BTreeMap<u32, Twice>,
}

#[derive(Default)]
struct Twice {
    blocks: u64,
    /// Requests that were given up, whose blocks may come all the same.
    given_up: u64,
    /// Blocks that came and that others were asked for, too.
    wanted: Vec<(Instant, Block)>,
}

impl Checker for Endgame {
    fn came(&mut self, _: &Model, _: Instant, host: u32) {
        self.hosts.remove(&host);
    }

    fn input(&mut self, model: &Model, now: Instant, host: u32, input: &Input, found: &mut Found) {
        let Input::Message { conn, message } = input else { return };
        let Some(conn) = model.conn(host, *conn).filter(|_| model.is_judged(host)) else { return };
        match message {
            Message::Piece { block, .. } if model.is_honest(conn.peer) && model.host(host).holds(*block) => {
                let twice = self.hosts.entry(host).or_default();
                twice.blocks += 1;
                let all = model.geometry().blocks();
                let share = match model.facts(host).endgame {
                    Some(EndgameFrom::LastPieces) => all,
                    _ => all / 5,
                };
                let most = FEW + share + twice.given_up;
                if twice.blocks > most {
                    found.report(NAME, now, [host].into_iter().chain(conn.peer), [block.piece], || {
                        format!("{} has received more than {most} blocks twice", model.scene.names.name(host))
                    });
                }
            }
            Message::Choke if !conn.fast() => {
                self.hosts.entry(host).or_default().given_up += conn.asked.len() as u64;
            }
            _ => {}
        }
    }

    fn output(&mut self, model: &Model, now: Instant, host: u32, act: &Act<'_>, _: &mut Found) {
        if !model.is_judged(host) {
            return;
        }
        let state = model.host(host);
        match act.output {
            Output::Send { message: Message::Cancel(block), .. } if !state.holds(*block) => {
                self.hosts.entry(host).or_default().given_up += 1;
            }
            Output::WriteBlock { block, .. } if state.block(*block).asked > 0 => {
                self.hosts.entry(host).or_default().wanted.push((now, *block));
            }
            _ => {}
        }
    }

    fn look(&mut self, model: &Model, now: Instant, _: &dyn Sight, found: &mut Found) {
        for (&host, twice) in &mut self.hosts {
            let state = model.host(host);
            twice.wanted.retain(|&(since, block)| {
                let mut asked = state.conns().filter(|conn| conn.asked.contains(&block));
                let Some(conn) = asked.next().filter(|_| state.holds(block)) else { return false };
                if now.since(since) > CANCEL_WITHIN {
                    found.report(NAME, now, [host].into_iter().chain(conn.peer), [block.piece], || {
                        let name = |host| model.scene.names.name(host);
                        let peer = conn.peer.map_or_else(|| "a peer".to_owned(), name);
                        format!(
                            "{} has {} and does not cancel that {peer} sends it",
                            name(host),
                            of_block(block)
                        )
                    });
                }
                true
            });
        }
    }
}
