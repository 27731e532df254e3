//! The tracker, which is the engine's, and the way to it.

use std::net::SocketAddr;

use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::{DialFailure, Input};
use torrentlab_engine::time::Duration;
use torrentlab_engine::tracker::server::{Tracker, TrackerConfig};
use torrentlab_engine::tracker::{
    Announce, AnnounceReply, TrackerFailure, announce_url, encode_announce_reply,
};
use torrentlab_scenarios::Draw;

use super::{Event, Swarm};
use crate::churn::draw;
use crate::link::Pool;
use crate::plan::addr_of;

/// Bytes around an announce URL: request line, `Host`, `User-Agent`, and four segments to open and close.
const REQUEST: u32 = 96 + 4 * 52;
/// Bytes around the body of an answer: status line, `Content-Type`, `Content-Length`, and three segments.
const REPLY: u32 = 90 + 3 * 52;
/// Seeds in an answer to those who connect to seeds alone.
const SEEDS: usize = 50;

/// The tracker and what is on its way to it and from it.
#[derive(Debug)]
pub struct TrackerHost {
    tracker: Tracker,
    latency: Draw,
    /// For whom it gives to whom.
    dice: Dice,
    latency_dice: Dice,
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
    Dial { host: u32, addr: SocketAddr },
}

impl TrackerHost {
    pub fn new(config: TrackerConfig, latency: Draw, seed: u64) -> Self {
        Self {
            tracker: Tracker::new(config),
            latency,
            dice: Dice::stream(seed, ("tracker", 0, "peers")),
            latency_dice: Dice::stream(seed, ("tracker", 0, "latency")),
            trips: Pool::default(),
            answered: 0,
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
            Trip::Dial { host, addr } => {
                self.deliver(host, Input::DialFailed { addr, why: DialFailure::Unreachable });
            }
        }
    }

    fn answer(&mut self, host: u32, session: u32, announce: &Announce) {
        let TrackerHost { tracker, dice, latency, latency_dice, answered, .. } = &mut self.tracker;
        let mut result = tracker.announce(self.now, addr_of(host).ip(), &announce.request, dice);
        let wait = draw(*latency, latency_dice);
        *answered += 1;
        if let (true, Ok(reply)) = (self.class(host).seeds_only, &mut result) {
            reply.peers = self.seeds_present();
        }
        let trip = Trip::Reply { host, session, tracker: announce.tracker, result: Box::new(result) };
        self.set_out(host, trip, wait);
    }

    /// Whom a client of a client–server system knows.
    fn seeds_present(&self) -> Vec<SocketAddr> {
        let present = |&host: &u32| self.class(host).serving && self.attendance.is_present(host);
        (0..self.hosts.len() as u32).filter(present).take(SEEDS).map(addr_of).collect()
    }
}
