//! The tracker, which is the engine's, and the way to it.

use std::net::SocketAddr;

use torrentlab_engine::dice::Dice;
use torrentlab_engine::net::{HTTP_TIMEOUT, WrongReply};
use torrentlab_engine::node::{DialFailure, Input};
use torrentlab_engine::time::Duration;
use torrentlab_engine::tracker::server::{Tracker, TrackerConfig};
use torrentlab_engine::tracker::udp::{ATTEMPTS, FIRST_TIMEOUT};
use torrentlab_engine::tracker::{
    Announce, AnnounceReply, TrackerFailure, announce_url, encode_announce_reply,
};
use torrentlab_scenarios::Draw;
use torrentlab_scenarios::schema::{TrackerProtocol, WrongAnswer};

use super::{Event, Swarm};
use crate::churn::draw;
use crate::fault::{TrackerState, wrong_reply};
use crate::link::Pool;
use crate::matchmaker::{Matchmaker, new_tracker};
use crate::plan::SwarmConfig;

/// Bytes around an announce URL: request line, `Host`, `User-Agent`, and four segments to open and close.
const HTTP_REQUEST: u32 = 96 + 4 * 52;
/// Bytes around the body of an answer: status line, `Content-Type`, `Content-Length`, and three segments.
const HTTP_REPLY: u32 = 90 + 3 * 52;
/// Bytes of a datagram's headers: IPv4 and UDP.
const DATAGRAM: u32 = 28;
/// Bytes of the request to connect, and of its answer (BEP 15).
const UDP_CONNECT: u32 = 16;
/// Bytes of an announce, and of its answer without peers (BEP 15).
const UDP_ANNOUNCE: (u32, u32) = (98, 20);
/// Bytes of a peer in an answer over UDP: address and port.
const UDP_PEER: u32 = 6;
/// Seeds in an answer to those who connect to seeds alone.
const SEEDS: usize = 50;

/// The tracker and what is on its way to it and from it.
#[derive(Debug)]
pub struct TrackerHost {
    config: TrackerConfig,
    matchmaker: Option<Matchmaker>,
    protocol: TrackerProtocol,
    tracker: Tracker,
    latency: Draw,
    /// For whom it gives to whom.
    dice: Dice,
    latency_dice: Dice,
    slow_dice: Dice,
    trips: Pool<Trip>,
    answered: u64,
}

/// Something on its way that is not between two hosts.
#[derive(Debug)]
pub enum Trip {
    /// An announce, to the tracker, which had no answer to it so many times before.
    Request { host: u32, session: u32, attempt: u32, announce: Box<Announce> },
    /// Its answer.
    Reply { host: u32, session: u32, tracker: usize, result: Box<Result<AnnounceReply, TrackerFailure>> },
    /// A dial to an address where nobody is.
    Dial { host: u32, addr: SocketAddr, why: DialFailure },
}

impl TrackerHost {
    pub fn new(config: &SwarmConfig) -> Self {
        let dice = |purpose| Dice::stream(config.seed, ("tracker", 0, purpose));
        Self {
            tracker: new_tracker(&config.tracker, config.matchmaker.as_ref()),
            config: config.tracker.clone(),
            matchmaker: config.matchmaker.clone(),
            protocol: config.tracker_protocol,
            latency: config.tracker_latency,
            dice: dice("peers"),
            latency_dice: dice("latency"),
            slow_dice: dice("slow"),
            trips: Pool::default(),
            answered: 0,
        }
    }

    /// Forgets all peers.
    pub fn forget(&mut self) {
        self.tracker = new_tracker(&self.config, self.matchmaker.as_ref());
    }

    fn answer_wrongly(&self, wrong: WrongAnswer) -> Result<AnnounceReply, TrackerFailure> {
        match (wrong_reply(wrong, &self.config), self.protocol) {
            (WrongReply::Bytes(_), TrackerProtocol::Http) => {
                Err(TrackerFailure::Malformed("this is no bencoding".to_owned()))
            }
            // What names no request is passed over.
            (WrongReply::Bytes(_), TrackerProtocol::Udp) => Err(TrackerFailure::TimedOut),
            (WrongReply::Refusal(reason), _) => Err(TrackerFailure::Refused(reason.to_owned())),
            (WrongReply::Reply(reply), _) => Ok(reply),
        }
    }

    /// Bytes on the wire of an announce, to the tracker and from it, without its answer.
    fn request_bytes(&self, announce: &Announce) -> (u32, u32) {
        match self.protocol {
            TrackerProtocol::Http => {
                let url = announce_url("http://tracker.example/announce", &announce.request);
                (url.len() as u32 + HTTP_REQUEST, 0)
            }
            TrackerProtocol::Udp => {
                let connect = UDP_CONNECT + DATAGRAM;
                (connect + UDP_ANNOUNCE.0 + DATAGRAM, connect)
            }
        }
    }

    fn reply_bytes(&self, reply: &AnnounceReply) -> u32 {
        match self.protocol {
            TrackerProtocol::Http => encode_announce_reply(reply, true).len() as u32 + HTTP_REPLY,
            TrackerProtocol::Udp => UDP_ANNOUNCE.1 + reply.peers.len() as u32 * UDP_PEER + DATAGRAM,
        }
    }

    /// Announces answered.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Keeps a trip until its event comes, which names it so.
    pub fn remember(&mut self, trip: Trip) -> u32 {
        self.trips.insert(trip)
    }
}

impl Swarm<'_> {
    pub(super) fn announce(&mut self, host: u32, announce: Announce) {
        let session = self.ledger.hosts[host as usize].sessions;
        self.ask(
            host,
            Trip::Request { host, session, attempt: 0, announce: Box::new(announce) },
            Duration::ZERO,
        );
    }

    /// An announce sets out after `wait`, once a connection is open or a connection id has come: after a round trip.
    fn ask(&mut self, host: u32, request: Trip, wait: Duration) {
        if let Trip::Request { announce, .. } = &request {
            let (up, down) = self.tracker.request_bytes(announce);
            self.net.charge(self.now, host, up, down);
        }
        self.set_out(host, request, wait + self.hosts[host as usize].latency * 2);
    }

    /// A trip between `host` and the middle of the network begins after `wait`.
    fn set_out(&mut self, host: u32, trip: Trip, wait: Duration) {
        let latency = self.hosts[host as usize].latency;
        let id = self.tracker.remember(trip);
        self.queue.push(self.now + wait + latency, Event::Trip(id));
    }

    pub(super) fn on_trip(&mut self, id: u32) {
        match self.tracker.trips.remove(id) {
            Trip::Request { host, session, attempt, announce } => {
                self.answer(host, session, attempt, announce);
            }
            Trip::Reply { host, session, tracker, result } => {
                if self.ledger.hosts[host as usize].sessions == session {
                    if let Ok(reply) = result.as_ref() {
                        self.net.charge(self.now, host, 0, self.tracker.reply_bytes(reply));
                    }
                    self.deliver(host, Input::TrackerReply { tracker, result });
                }
            }
            Trip::Dial { host, addr, why } => self.deliver(host, Input::DialFailed { addr, why }),
        }
    }

    fn answer(&mut self, host: u32, session: u32, attempt: u32, announce: Box<Announce>) {
        let TrackerState { down, wrong, slower } = self.faults.tracker();
        let tracker = &mut self.tracker;
        let mut wait = draw(tracker.latency, &mut tracker.latency_dice);
        wait += slower.iter().fold(Duration::ZERO, |sum, &more| sum + draw(more, &mut tracker.slow_dice));
        let mut result = Err(TrackerFailure::TimedOut);
        if !down && self.faults.reaches_tracker(host) {
            tracker.answered += 1;
            result = match wrong {
                Some(wrong) => tracker.answer_wrongly(wrong),
                None => self.answer_rightly(host, &announce),
            };
        }
        let latency = self.hosts[host as usize].latency;
        let timeout = |attempt: u32| FIRST_TIMEOUT * (1u64 << attempt);
        let lost = result == Err(TrackerFailure::TimedOut);
        let patience = match self.tracker.protocol {
            TrackerProtocol::Http => HTTP_TIMEOUT,
            TrackerProtocol::Udp if lost && attempt + 1 < ATTEMPTS => {
                // It came here by way of a round trip and a half.
                let wait = timeout(attempt).saturating_sub(latency * 3);
                return self.ask_again(host, session, attempt + 1, announce, wait);
            }
            // A late answer is as good as another until the client gives up.
            TrackerProtocol::Udp => {
                (attempt..ATTEMPTS).map(timeout).fold(Duration::ZERO, |sum, one| sum + one)
            }
        };
        // There and back, twice, is time too.
        let patience = patience.saturating_sub(latency * 4);
        if lost || wait > patience {
            (wait, result) = (patience, Err(TrackerFailure::TimedOut));
        }
        let trip = Trip::Reply { host, session, tracker: announce.tracker, result: Box::new(result) };
        self.set_out(host, trip, wait);
    }

    /// A client that is still there sends its request again.
    fn ask_again(&mut self, host: u32, session: u32, attempt: u32, announce: Box<Announce>, wait: Duration) {
        if self.attendance.is_present(host) && self.ledger.hosts[host as usize].sessions == session {
            self.ask(host, Trip::Request { host, session, attempt, announce }, wait);
        }
    }

    fn answer_rightly(&mut self, host: u32, announce: &Announce) -> Result<AnnounceReply, TrackerFailure> {
        let from = self.addr(host).ip();
        let TrackerHost { tracker, dice, .. } = &mut self.tracker;
        let mut reply = tracker.announce(self.now, from, &announce.request, dice)?;
        if self.class(host).seeds_only {
            reply.peers = self.seeds_present();
        }
        Ok(reply)
    }

    /// Whom a client of a client–server system knows.
    fn seeds_present(&self) -> Vec<SocketAddr> {
        let present = |&host: &u32| self.class(host).serving && self.attendance.is_present(host);
        (0..self.hosts.len() as u32).filter(present).take(SEEDS).map(|host| self.addr(host)).collect()
    }
}
