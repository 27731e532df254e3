//! Peers that bring bugs to light. Checkers ask nothing of them.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use torrentlab_engine::node::{Input, Misuse, Node, Outbox, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::torrent::{Setup, Torrent};
use torrentlab_engine::tracker::{Announce, AnnounceEvent, AnnounceRequest};

use crate::mutant::{Mutant, Stall};
use crate::registry::Registry;

pub(super) fn register(registry: &mut Registry) {
    registry.register_rogue("silent-giver", |setup, now| {
        Box::new(Mutant::new(Torrent::new(setup, now), Stall::default()))
    });
    registry.register_rogue("mute-caller", |setup, now| Box::new(MuteCaller::new(&setup, now)));
}

/// Dials everybody whom the tracker names, once, and says nothing on the connection: not even a handshake.
#[derive(Debug)]
struct MuteCaller {
    request: AnnounceRequest,
    announce_at: Instant,
    called: BTreeSet<SocketAddr>,
}

impl MuteCaller {
    fn new(setup: &Setup, now: Instant) -> Self {
        let request = AnnounceRequest {
            info_hash: setup.info_hash,
            peer_id: setup.config.peer_id,
            port: setup.config.listen_port,
            uploaded: 0,
            downloaded: 0,
            left: 1,
            event: AnnounceEvent::Started,
            numwant: None,
            key: 0,
        };
        Self { request, announce_at: now, called: BTreeSet::new() }
    }
}

impl Node for MuteCaller {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
        match input {
            Input::Timeout => {
                self.announce_at = now + Duration::from_secs(60);
                let request = Box::new(self.request.clone());
                self.request.event = AnnounceEvent::Regular;
                out.push(Output::Announce(Announce { tracker: 0, request }));
            }
            Input::TrackerReply { result, .. } => {
                let named = result.into_iter().flat_map(|reply| reply.peers);
                for addr in named.filter(|addr| self.called.insert(*addr)) {
                    out.push(Output::Dial(addr));
                }
            }
            Input::Shutdown => self.announce_at = Instant::NEVER,
            _ => {}
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (self.announce_at < Instant::NEVER).then_some(self.announce_at)
    }
}
