//! The tracker's side, which keeps nothing about who has connected.

use std::net::IpAddr;

use sha1::{Digest as _, Sha1};

use super::packet::{Answer, Ask, ConnectionId, Family, Reply, Request};
use crate::dice::Dice;
use crate::time::Instant;
use crate::tracker::TrackerFailure;
use crate::tracker::server::Tracker;

/// "A tracker should accept a connection ID until two minutes after it has been sent": that of this minute and of the
/// two before, so for two to three minutes.
const LIFE_MINUTES: u64 = 2;

/// Answers datagrams in front of a [`Tracker`].
///
/// A connection id is the start of SHA-1 over a secret, the minute and the address that it was sent to. Who claims a
/// false address does not see the id and cannot make it up, so that nobody makes the tracker send a long answer to a
/// third party, nor puts a third party into a swarm: without a valid id there is no answer, not even an error, but for
/// the request to connect, whose answer is no longer than itself.
#[derive(Clone, Debug)]
pub struct Server {
    secret: [u8; 20],
}

impl Server {
    /// A server with a secret from `dice`.
    pub fn new(dice: &mut Dice) -> Self {
        let mut secret = [0; 20];
        dice.fill(&mut secret);
        Self { secret }
    }

    /// The datagram that answers one from the address `from`, if any does. `dice` choose the peers.
    pub fn answer(
        &self,
        now: Instant,
        from: IpAddr,
        datagram: &[u8],
        tracker: &mut Tracker,
        dice: &mut Dice,
    ) -> Option<Vec<u8>> {
        let (connection, transaction) = Request::head_of(datagram)?;
        let answer = match Request::decode(datagram) {
            Ok(Request { ask: Ask::Connect, .. }) => Answer::Connect(self.connection_id(minute(now), from)),
            _ if !self.accepts(now, from, connection) => return None,
            Ok(Request { ask: Ask::Announce(_, request), .. }) => {
                match tracker.announce(now, from, &request, dice) {
                    Ok(reply) => Answer::Announce(reply),
                    Err(TrackerFailure::Refused(reason)) => Answer::Error(reason),
                    Err(other) => Answer::Error(other.to_string()),
                }
            }
            Ok(Request { ask: Ask::Scrape(_, torrents), .. }) => {
                let counts = torrents.iter().map(|torrent| tracker.scrape(torrent).unwrap_or_default());
                Answer::Scrape(counts.collect())
            }
            Err(error) => Answer::Error(error.to_string()),
        };
        Some(Reply { transaction, answer }.encode(Family::of(from)))
    }

    fn accepts(&self, now: Instant, from: IpAddr, connection: ConnectionId) -> bool {
        let minute = minute(now);
        (minute.saturating_sub(LIFE_MINUTES)..=minute)
            .any(|minute| self.connection_id(minute, from) == connection)
    }

    fn connection_id(&self, minute: u64, from: IpAddr) -> ConnectionId {
        let octets = match from.to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let hash = Sha1::new().chain_update(self.secret).chain_update(minute.to_be_bytes());
        let hash: [u8; 20] = hash.chain_update(octets).finalize().into();
        let (start, _) = hash.split_first_chunk().expect("20 bytes");
        ConnectionId(u64::from_be_bytes(*start))
    }
}

fn minute(now: Instant) -> u64 {
    now.since(Instant::ZERO).as_secs() / 60
}
