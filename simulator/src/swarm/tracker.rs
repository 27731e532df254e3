//! The tracker, which is the engine's, and the way to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::{DialFailure, Input};
use torrentlab_engine::time::Duration;
use torrentlab_engine::tracker::server::{Tracker, TrackerConfig};
use torrentlab_engine::tracker::{
    Announce, AnnounceReply, TrackerFailure, announce_url, encode_announce_reply,
};
use torrentlab_scenarios::Draw;
use torrentlab_scenarios::schema::WrongAnswer;

use super::{Event, Swarm};
use crate::churn::draw;
use crate::fault::TrackerState;
use crate::link::Pool;
use crate::plan::PORT;

/// Bytes around an announce URL: request line, `Host`, `User-Agent`, and four segments to open and close.
const REQUEST: u32 = 96 + 4 * 52;
/// Bytes around the body of an answer: status line, `Content-Type`, `Content-Length`, and three segments.
const REPLY: u32 = 90 + 3 * 52;
/// How long a client waits for the answer to an announce, as the engine's driver does.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Where nobody is, and nothing says so: TEST-NET-1 (RFC 5737).
const DEAD_NET: [u8; 3] = [192, 0, 2];
/// How many dead peers a tracker that is out of order gives.
const DEAD_PEERS: u8 = 50;
/// Seeds in an answer to those who connect to seeds alone.
const SEEDS: usize = 50;

/// The tracker and what is on its way to it and from it.
#[derive(Debug)]
pub struct TrackerHost {
    config: TrackerConfig,
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
    /// An announce, to the tracker.
    Request { host: u32, session: u32, announce: Box<Announce> },
    /// Its answer.
    Reply { host: u32, session: u32, tracker: usize, result: Box<Result<AnnounceReply, TrackerFailure>> },
    /// A dial to an address where nobody is.
    Dial { host: u32, addr: SocketAddr, why: DialFailure },
}

impl TrackerHost {
    pub fn new(config: TrackerConfig, latency: Draw, seed: u64) -> Self {
        Self {
            tracker: Tracker::new(config.clone()),
            config,
            latency,
            dice: Dice::stream(seed, ("tracker", 0, "peers")),
            latency_dice: Dice::stream(seed, ("tracker", 0, "latency")),
            slow_dice: Dice::stream(seed, ("tracker", 0, "slow")),
            trips: Pool::default(),
            answered: 0,
        }
    }

    /// Forgets all peers.
    pub fn forget(&mut self) {
        self.tracker = Tracker::new(self.config.clone());
    }

    fn answer_wrongly(&self, wrong: WrongAnswer) -> Result<AnnounceReply, TrackerFailure> {
        let [a, b, c] = DEAD_NET;
        match wrong {
            WrongAnswer::Garbage => Err(TrackerFailure::Malformed("this is no bencoding".to_owned())),
            WrongAnswer::Errors => Err(TrackerFailure::Refused("the tracker is out of order".to_owned())),
            WrongAnswer::DeadPeers => Ok(AnnounceReply {
                interval: self.config.interval,
                min_interval: self.config.min_interval,
                complete: None,
                incomplete: None,
                peers: (1..=DEAD_PEERS)
                    .map(|last| (Ipv4Addr::from_octets([a, b, c, last]), PORT).into())
                    .collect(),
                warning: None,
            }),
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

/// Whether an address is one of those that [`WrongAnswer::DeadPeers`] gives.
pub fn is_dead(addr: SocketAddr) -> bool {
    matches!(addr.ip(), IpAddr::V4(ip) if ip.octets()[..3] == DEAD_NET)
}

impl Swarm<'_> {
    pub(super) fn announce(&mut self, host: u32, announce: Announce) {
        let url = announce_url("http://tracker.example/announce", &announce.request);
        self.net.charge(self.now, host, url.len() as u32 + REQUEST, 0);
        let session = self.ledger.hosts[host as usize].sessions;
        self.set_out(host, Trip::Request { host, session, announce: Box::new(announce) }, Duration::ZERO);
    }

    /// A trip between `host` and the middle of the network begins after `wait`.
    fn set_out(&mut self, host: u32, trip: Trip, wait: Duration) {
        let latency = self.hosts[host as usize].latency;
        let id = self.tracker.remember(trip);
        self.queue.push(self.now + wait + latency, Event::Trip(id));
    }

    pub(super) fn on_trip(&mut self, id: u32) {
        match self.tracker.trips.remove(id) {
            Trip::Request { host, session, announce } => self.answer(host, session, &announce),
            Trip::Reply { host, session, tracker, result } => {
                if self.ledger.hosts[host as usize].sessions == session {
                    if let Ok(reply) = result.as_ref() {
                        let bytes = encode_announce_reply(reply, true).len() as u32 + REPLY;
                        self.net.charge(self.now, host, 0, bytes);
                    }
                    self.deliver(host, Input::TrackerReply { tracker, result });
                }
            }
            Trip::Dial { host, addr, why } => self.deliver(host, Input::DialFailed { addr, why }),
        }
    }

    fn answer(&mut self, host: u32, session: u32, announce: &Announce) {
        let TrackerState { down, wrong, slower } = self.faults.tracker();
        let latency = self.hosts[host as usize].latency;
        let tracker = &mut self.tracker;
        let mut wait = draw(tracker.latency, &mut tracker.latency_dice);
        wait += slower.iter().fold(Duration::ZERO, |sum, &more| sum + draw(more, &mut tracker.slow_dice));
        let mut result = Err(TrackerFailure::TimedOut);
        if !down && self.faults.reaches_tracker(host) {
            tracker.answered += 1;
            result = match wrong {
                Some(wrong) => tracker.answer_wrongly(wrong),
                None => self.answer_rightly(host, announce),
            };
        }
        // There and back is time too.
        let patience = TIMEOUT.saturating_sub(latency * 2);
        if wait > patience || result == Err(TrackerFailure::TimedOut) {
            (wait, result) = (patience, Err(TrackerFailure::TimedOut));
        }
        let trip = Trip::Reply { host, session, tracker: announce.tracker, result: Box::new(result) };
        self.set_out(host, trip, wait);
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
