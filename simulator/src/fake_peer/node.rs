//! A fake peer in a simulated swarm.

use std::fmt;
use std::sync::Arc;

use torrentlab_engine::node::{Disconnect, Input, Misuse, Node, Outbox, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::torrent::Setup;
use torrentlab_engine::tracker::{Announce, AnnounceEvent, AnnounceRequest};
use torrentlab_engine::units::{ConnId, InfoHash, PeerId};
use torrentlab_engine::wire::Message;

use super::part::{Act, Part, Play, Verdict};

/// When somebody to dial is looked for again where the tracker named nobody.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// A peer that plays a script on the first connection that it has, and closes all others. It announces itself to the
/// tracker, and is dialled, or dials itself whom the tracker names first.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use torrentlab_simulator::Swarm;
/// use torrentlab_simulator::content::Content;
/// use torrentlab_simulator::fake_peer::{FakePeer, Play};
///
/// // The builder's swarm has 4 MiB in pieces of 256 KiB.
/// let content = Content::Synthetic(torrentlab_engine::units::Geometry::new(4 << 20, 256 << 10).unwrap());
/// let play = Play::parse("joins \n < have-all, unchoke \n > request \n < choke \n > reject", &content).unwrap();
/// let verdict = Arc::new(Mutex::new(None));
/// let told = Arc::clone(&verdict);
/// let swarm = Swarm::builder()
///     .peers(3)
///     .class("fake", 1)
///     .rogue("fake", move |setup, now| {
///         let told = Arc::clone(&told);
///         Box::new(FakePeer::new(&setup, now, play.clone(), move |verdict| *told.lock().unwrap() = Some(verdict)))
///     })
///     .set("until={ time = \"2 min\" }")
///     .run()
///     .unwrap();
/// assert_eq!(swarm.completion_s("leecher").len(), 3);
/// # // Engines answer a choke with nothing: it is the one that chokes who rejects (BEP 6).
/// assert!(verdict.lock().unwrap().take().unwrap().is_err());
/// ```
pub struct FakePeer {
    info_hash: InfoHash,
    peer_id: PeerId,
    port: u16,
    dials: bool,
    /// When to announce; `None` once that is done.
    announce_at: Option<Instant>,
    has_dialled: bool,
    conn: Option<ConnId>,
    part: Part,
    tell: Option<Tell>,
}

type Tell = Arc<dyn Fn(Verdict) + Send + Sync>;

impl FakePeer {
    /// A peer of the torrent of `setup` that joins at `now` and waits to be dialled. `tell` is told how it went, once.
    pub fn new(
        setup: &Setup,
        now: Instant,
        play: Play,
        tell: impl Fn(Verdict) + Send + Sync + 'static,
    ) -> Self {
        Self {
            info_hash: setup.info_hash,
            peer_id: setup.config.peer_id,
            port: setup.config.listen_port,
            dials: false,
            announce_at: Some(now),
            has_dialled: false,
            conn: None,
            part: Part::new(play),
            tell: Some(Arc::new(tell)),
        }
    }

    /// Has it dial the first peer that the tracker names.
    #[must_use]
    pub fn dialling(self) -> Self {
        Self { dials: true, ..self }
    }

    fn announce(&self, out: &mut Outbox) {
        // It pretends to lack a byte, so that the tracker names seeds to it, and it to seeds.
        let request = AnnounceRequest {
            info_hash: self.info_hash,
            peer_id: self.peer_id,
            port: self.port,
            uploaded: 0,
            downloaded: 0,
            left: 1,
            event: AnnounceEvent::Started,
            numwant: Some(u32::from(self.dials)),
            key: 0,
        };
        out.push(Output::Announce(Announce { tracker: 0, request: Box::new(request) }));
    }

    /// Carries out what the part wants, and tells its verdict.
    fn act(&mut self, conn: ConnId, out: &mut Outbox) {
        for act in self.part.take_acts() {
            match act {
                Act::Say(message) => out.send(conn, message),
                // A driver sends bytes as they are where it takes them for the second part of a handshake.
                Act::Bytes(bytes) => bytes.chunks(20).for_each(|bytes| {
                    let mut id = [0; 20];
                    id[..bytes.len()].copy_from_slice(bytes);
                    out.send(conn, Message::PeerId(PeerId(id)));
                }),
                Act::HangUp => out.push(Output::Close { conn, why: Disconnect::Shutdown }),
            }
        }
        if let (Some(verdict), Some(tell)) =
            (self.part.verdict(), self.tell.take_if(|_| self.part.verdict().is_some()))
        {
            tell(verdict.clone());
        }
    }
}

impl Node for FakePeer {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
        match input {
            Input::Timeout => {
                if self.announce_at.is_some_and(|at| at <= now) {
                    self.announce_at = None;
                    self.announce(out);
                }
                self.part.timeout(now);
            }
            Input::TrackerReply { result, .. } if self.dials && !self.has_dialled => {
                match result.ok().and_then(|reply| reply.peers.first().copied()) {
                    Some(addr) => {
                        self.has_dialled = true;
                        out.push(Output::Dial(addr));
                    }
                    None => self.announce_at = Some(now + ASK_AGAIN),
                }
            }
            Input::Connected { conn, outgoing, .. } => {
                if self.conn.is_some() || outgoing != self.dials {
                    out.push(Output::Close { conn, why: Disconnect::Full });
                } else {
                    self.conn = Some(conn);
                    self.part.open(now);
                }
            }
            Input::Message { conn, message } if self.conn == Some(conn) => self.part.hear(&message, now),
            Input::Closed { conn, why } if self.conn == Some(conn) => match why {
                Disconnect::Malformed(why) => self.part.malformed(&why),
                _ => self.part.closed(now),
            },
            _ => {}
        }
        if let Some(conn) = self.conn {
            self.act(conn, out);
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.announce_at.into_iter().chain(self.part.due()).min()
    }
}

impl fmt::Debug for FakePeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakePeer").field("part", &self.part).finish_non_exhaustive()
    }
}
