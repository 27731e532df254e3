//! Who is banned, and that he stays so.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use torrentlab_engine::node::{Event, Output};
use torrentlab_engine::time::Instant;

use super::model::Model;
use super::{Act, Checker, Found};

pub(super) const NAME: &str = "bans";
pub(super) const WHAT: &str = "Nobody is banned who keeps the rules, and whoever is banned is not dialled and hears nothing \
more but the end of the connection.";

/// Bans that a host remembers for sure.
const REMEMBERED: usize = 1000;

#[derive(Default)]
pub(super) struct Bans {
    /// By host: whom it banned in this stay.
    banned: BTreeSet<(u32, IpAddr)>,
}

impl Checker for Bans {
    fn came(&mut self, _: &Model, _: Instant, host: u32) {
        self.banned.retain(|(by, _)| *by != host);
    }

    fn output(&mut self, model: &Model, now: Instant, host: u32, act: &Act<'_>, found: &mut Found) {
        if let Output::Event(Event::Banned(ip)) = act.output {
            let whom = model.scene.names.host_at(SocketAddr::new(*ip, 0));
            if model.is_judged(host) && model.is_honest(whom) {
                found.report(NAME, now, [host].into_iter().chain(whom), [], || {
                    let name = |host| model.scene.names.name(host);
                    let whom = whom.map_or_else(String::new, name);
                    format!("{} bans {whom}, which keeps the rules", name(host))
                });
            }
            self.banned.insert((host, *ip));
        }
        if self.banned.is_empty() || !model.is_judged(host) || self.banned.len() > REMEMBERED {
            return;
        }
        let conn = match act.output {
            Output::Send { conn, .. } | Output::SendBlock { conn, .. } => Some(conn),
            Output::Broadcast { .. } => act
                .targets
                .iter()
                .find(|conn| self.is_banned(host, model.conn(host, **conn).map(|conn| conn.addr))),
            _ => None,
        };
        let addr = match act.output {
            Output::Dial(addr) => Some(*addr),
            _ => conn.and_then(|conn| model.conn(host, *conn)).map(|conn| conn.addr),
        };
        if let Some(addr) = addr.filter(|addr| self.is_banned(host, Some(*addr))) {
            let whom = model.scene.names.host_at(addr);
            found.report(NAME, now, [host].into_iter().chain(whom), [], || {
                let name = |host| model.scene.names.name(host);
                let whom = whom.map_or_else(|| addr.to_string(), name);
                format!("{} has banned {whom}, and still has to do with it", name(host))
            });
        }
    }
}

impl Bans {
    fn is_banned(&self, by: u32, addr: Option<SocketAddr>) -> bool {
        addr.is_some_and(|addr| self.banned.contains(&(by, addr.ip())))
    }
}
