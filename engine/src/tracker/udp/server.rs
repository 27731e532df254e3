//! The tracker's side, which keeps nothing about who has connected.

use std::net::IpAddr;

use sha1::{Digest as _, Sha1};

use super::packet::{Answer, Ask, ConnectionId, Reply, Request};
use crate::dice::Dice;
use crate::time::Instant;
use crate::tracker::server::Tracker;
use crate::tracker::{Family, TrackerFailure};

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
                match tracker.announce_in_family(now, from, &request, dice) {
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::time::Duration;
    use crate::tracker::server::TrackerConfig;
    use crate::tracker::{AnnounceEvent, AnnounceRequest, SwarmCounts};
    use crate::units::{InfoHash, PeerId};

    const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    const TRANSACTION: u32 = 0x0102_0304;

    /// A server with its tracker, dice and time.
    struct Setup {
        server: Server,
        tracker: Tracker,
        dice: Dice,
        now: Instant,
    }

    fn setup(config: TrackerConfig) -> Setup {
        let mut dice = Dice::stream(1, ("test", 0, "tracker"));
        let server = Server::new(&mut dice);
        Setup { server, tracker: Tracker::new(config), dice, now: Instant::ZERO }
    }

    fn announce(event: AnnounceEvent) -> Box<AnnounceRequest> {
        Box::new(AnnounceRequest {
            info_hash: InfoHash([1; 20]),
            peer_id: PeerId([2; 20]),
            port: 6881,
            uploaded: 0,
            downloaded: 0,
            left: 5,
            event,
            numwant: None,
            key: 3,
        })
    }

    impl Setup {
        fn answer(&mut self, from: IpAddr, datagram: &[u8]) -> Option<Answer> {
            let datagram = self.server.answer(self.now, from, datagram, &mut self.tracker, &mut self.dice)?;
            let reply = Reply::decode(&datagram, Family::of(from)).unwrap();
            assert_eq!(reply.transaction, TRANSACTION);
            Some(reply.answer)
        }

        fn ask(&mut self, from: IpAddr, ask: Ask) -> Option<Answer> {
            self.answer(from, &Request { transaction: TRANSACTION, ask }.encode())
        }

        fn connect(&mut self, from: IpAddr) -> ConnectionId {
            match self.ask(from, Ask::Connect) {
                Some(Answer::Connect(connection)) => connection,
                other => panic!("{other:?}"),
            }
        }

        /// Whether an announce is answered at all.
        fn heard(&mut self, from: IpAddr, connection: ConnectionId) -> bool {
            self.ask(from, Ask::Announce(connection, announce(AnnounceEvent::Started))).is_some()
        }
    }

    #[test]
    fn connect_announce_scrape() {
        let mut s = setup(TrackerConfig::default());
        for (from, others) in [(NEAR, vec![]), (FAR, vec![(NEAR, 6881).into()])] {
            let connection = s.connect(from);
            let answer = s.ask(from, Ask::Announce(connection, announce(AnnounceEvent::Started)));
            let Some(Answer::Announce(reply)) = answer else { panic!("{answer:?}") };
            assert_eq!((reply.peers, reply.interval), (others, TrackerConfig::default().interval));
        }
        let connection = s.connect(NEAR);
        let torrents = vec![InfoHash([7; 20]), InfoHash([1; 20])];
        let swarm = SwarmCounts { complete: 0, incomplete: 2, downloaded: 0 };
        let counts = Answer::Scrape(vec![SwarmCounts::default(), swarm]);
        assert_eq!(s.ask(NEAR, Ask::Scrape(connection, torrents)), Some(counts));
    }

    #[test]
    fn an_id_holds_for_its_own_address_alone() {
        let mut s = setup(TrackerConfig::default());
        let connection = s.connect(NEAR);
        assert!(s.heard(NEAR, connection));
        let mapped = Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().into();
        assert!(s.heard(mapped, connection), "the same address");
        assert!(!s.heard(FAR, connection));
        assert!(!s.heard(NEAR, ConnectionId(connection.0 ^ 1)));
        assert_ne!(connection, setup_with_another_secret().connect(NEAR));
    }

    fn setup_with_another_secret() -> Setup {
        let server = Server::new(&mut Dice::stream(2, ("test", 0, "tracker")));
        Setup { server, ..setup(TrackerConfig::default()) }
    }

    #[test]
    fn an_id_holds_for_two_minutes_whenever_it_was_given_and_for_three_at_most() {
        for given_s in [0, 59, 60, 119] {
            let mut s = setup(TrackerConfig::default());
            s.now += Duration::from_secs(given_s);
            let connection = s.connect(NEAR);
            s.now += Duration::from_secs(120);
            assert!(s.heard(NEAR, connection), "given at {given_s} s");
            s.now += Duration::from_secs(60);
            assert!(!s.heard(NEAR, connection), "given at {given_s} s");
        }
    }

    #[test]
    fn who_has_no_id_gets_nothing_and_changes_nothing() {
        let mut s = setup(TrackerConfig::default());
        let forged = ConnectionId(0x1234);
        let announce =
            Request { transaction: 1, ask: Ask::Announce(forged, announce(AnnounceEvent::Started)) };
        let scrape = Request { transaction: 1, ask: Ask::Scrape(forged, vec![InfoHash([1; 20])]) };
        let (announce, scrape) = (announce.encode(), scrape.encode());
        let datagrams =
            [&announce[..], &announce[..97], &scrape, &scrape[..35], &[], &[0; 15], &[0; 16], &[0xff; 2000]];
        for datagram in datagrams {
            assert_eq!(s.answer(NEAR, datagram), None, "{datagram:?}");
        }
        assert_eq!(s.tracker.scrape(&InfoHash([1; 20])), None);
    }

    #[test]
    fn the_answer_to_connect_is_no_longer_than_the_question() {
        let s = &mut setup(TrackerConfig::default());
        let connect = Request { transaction: 1, ask: Ask::Connect }.encode();
        let answer = s.server.answer(s.now, NEAR, &connect, &mut s.tracker, &mut s.dice).unwrap();
        assert!(answer.len() <= connect.len());
    }

    #[test]
    fn refusals_and_malformed_requests_are_told_to_who_has_an_id() {
        let mut s = setup(TrackerConfig { max_swarms: 0, ..TrackerConfig::default() });
        let connection = s.connect(NEAR);
        let announce = Ask::Announce(connection, announce(AnnounceEvent::Started));
        let refused = Answer::Error("this tracker serves too many torrents".to_owned());
        assert_eq!(s.ask(NEAR, announce.clone()), Some(refused));
        let announce = Request { transaction: TRANSACTION, ask: announce }.encode();
        let short = Answer::Error("the packet is too short".to_owned());
        assert_eq!(s.answer(NEAR, &announce[..97]), Some(short));
        let unknown = [&announce[..8], &[0, 0, 0, 9], &announce[12..16]].concat();
        assert_eq!(s.answer(NEAR, &unknown), Some(Answer::Error("action 9 is unknown".to_owned())));
    }

    #[test]
    fn each_event_arrives_as_itself() {
        let mut s = setup(TrackerConfig::default());
        let connection = s.connect(NEAR);
        let events = [
            AnnounceEvent::Started,
            AnnounceEvent::Regular,
            AnnounceEvent::Completed,
            AnnounceEvent::Stopped,
        ];
        for event in events {
            assert!(s.ask(NEAR, Ask::Announce(connection, announce(event))).is_some());
        }
        let stats = s.tracker.stats();
        assert_eq!((stats.started, stats.regular, stats.completed, stats.stopped), (1, 1, 1, 1));
    }

    #[test]
    fn who_asks_for_few_among_many_of_the_other_family_gets_those_of_its_own() {
        let mut s = setup(TrackerConfig::default());
        let few: Vec<IpAddr> = (1..4u16).map(|n| [0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into()).collect();
        let many = (1..100u8).map(|n| IpAddr::from([10, 0, 0, n]));
        for from in many.chain(few.iter().copied()) {
            let connection = s.connect(from);
            assert!(s.heard(from, connection));
        }
        let connection = s.connect(few[0]);
        let two = AnnounceRequest { numwant: Some(2), ..*announce(AnnounceEvent::Regular) };
        let answer = s.ask(few[0], Ask::Announce(connection, Box::new(two)));
        let Some(Answer::Announce(reply)) = answer else { panic!("{answer:?}") };
        let mut told: Vec<_> = reply.peers.iter().map(|peer| peer.ip()).collect();
        told.sort();
        assert_eq!(told, few[1..]);
    }
}
