//! A peer that plays a part: it joins the swarm and shakes hands by itself, and then says what it is told to say,
//! whether the protocol allows it or not.

use std::fmt;

use torrentlab_engine::node::{Input, Misuse, Node, Outbox, Output};
use torrentlab_engine::time::Instant;
use torrentlab_engine::torrent::Setup;
use torrentlab_engine::tracker::{Announce, AnnounceEvent, AnnounceRequest};
use torrentlab_engine::units::{ConnId, InfoHash, PeerId};
use torrentlab_engine::wire::{Message, Reserved};

/// What a scripted peer answers to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Cue<'m> {
    /// The handshake with a peer is done.
    Open,
    /// The peer said this.
    Message(&'m Message),
}

/// A scripted peer. `play` is asked at each cue, and what it gives is said to the peer that gave the cue.
///
/// It announces itself to the tracker and waits for others to dial it. [`Registry::register_node`] puts it in the
/// place of the engine for a class of hosts.
///
/// [`Registry::register_node`]: crate::registry::Registry::register_node
pub struct Script<P> {
    info_hash: InfoHash,
    peer_id: PeerId,
    port: u16,
    /// When to announce; `None` once that is done.
    announce_at: Option<Instant>,
    play: P,
}

impl<P: FnMut(ConnId, Cue<'_>) -> Vec<Message> + Send> Script<P> {
    /// A peer of the torrent of `setup` that joins at `now`.
    pub fn new(setup: &Setup, now: Instant, play: P) -> Self {
        Self {
            info_hash: setup.info_hash,
            peer_id: setup.config.peer_id,
            port: setup.config.listen_port,
            announce_at: Some(now),
            play,
        }
    }

    fn say(&mut self, conn: ConnId, cue: Cue<'_>, out: &mut Outbox) {
        (self.play)(conn, cue).into_iter().for_each(|message| out.send(conn, message));
    }

    fn announce(&self, out: &mut Outbox) {
        // It pretends to lack a byte, so that the tracker gives it to seeds too.
        let request = AnnounceRequest {
            info_hash: self.info_hash,
            peer_id: self.peer_id,
            port: self.port,
            uploaded: 0,
            downloaded: 0,
            left: 1,
            event: AnnounceEvent::Started,
            numwant: Some(0),
            key: 0,
        };
        out.push(Output::Announce(Announce { tracker: 0, request: Box::new(request) }));
    }
}

impl<P: FnMut(ConnId, Cue<'_>) -> Vec<Message> + Send> Node for Script<P> {
    fn handle(&mut self, _: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
        match input {
            Input::Timeout => {
                self.announce_at = None;
                self.announce(out);
            }
            Input::Connected { conn, .. } => {
                out.send(conn, Message::Hello { reserved: Reserved::OURS, info_hash: self.info_hash });
                out.send(conn, Message::PeerId(self.peer_id));
            }
            Input::Message { message: Message::Hello { .. }, .. } => {}
            Input::Message { conn, message: Message::PeerId(_) } => self.say(conn, Cue::Open, out),
            Input::Message { conn, message } => self.say(conn, Cue::Message(&message), out),
            _ => {}
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.announce_at
    }
}

impl<P> fmt::Debug for Script<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("peer_id", &self.peer_id).finish_non_exhaustive()
    }
}
