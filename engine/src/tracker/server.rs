//! The tracker: who is in which swarm.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::dice::Dice;
use crate::time::{Duration, Instant};
use crate::tracker::choice::{AtRandom, Choice};
use crate::tracker::swarm::{Member, Swarm};
use crate::tracker::{AnnounceEvent, AnnounceReply, AnnounceRequest, Family, SwarmCounts, TrackerFailure};
use crate::units::InfoHash;

/// A member that misses two regular announces, and is this much late besides, is gone.
pub const EXPIRY_SLACK: Duration = Duration::from_secs(60);
/// The most members that one announce clears away: more than the one that it can add, so that none pile up.
const EXPIRED_AT_ONCE: usize = 64;

/// How a tracker behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrackerConfig {
    /// What members are told to wait between regular announces.
    pub interval: Duration,
    /// A member that was silent for so many intervals, and [`EXPIRY_SLACK`], is gone.
    pub expire_after: u32,
    /// What they are told to wait before any other announce.
    pub min_interval: Option<Duration>,
    /// How many peers a member gets that does not say how many it wants.
    pub default_numwant: u32,
    /// The most peers that a member gets.
    pub max_numwant: u32,
    /// The most swarms: what is beyond is refused.
    pub max_swarms: usize,
    /// The most members of a swarm: who is beyond gets peers, but is not given to others.
    pub max_members: usize,
    /// The only torrents that are tracked; `None` tracks all.
    pub only: Option<BTreeSet<InfoHash>>,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1800),
            expire_after: 2,
            min_interval: None,
            default_numwant: 50,
            max_numwant: 200,
            max_swarms: 10_000,
            max_members: 1_000_000,
            only: None,
        }
    }
}

/// How many announces a tracker has answered, by event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TrackerStats {
    /// [`AnnounceEvent::Regular`]
    pub regular: u64,
    /// [`AnnounceEvent::Started`]
    pub started: u64,
    /// [`AnnounceEvent::Completed`]
    pub completed: u64,
    /// [`AnnounceEvent::Stopped`]
    pub stopped: u64,
    /// Announces of any event that were refused.
    pub refused: u64,
}

/// A tracker's state: a member is an address and port, so that nobody can announce in another's name.
#[derive(Debug)]
pub struct Tracker {
    config: TrackerConfig,
    choice: Box<dyn Choice>,
    swarms: BTreeMap<InfoHash, Swarm>,
    /// When each member is gone unless it announces before.
    expiry: BTreeSet<(Instant, InfoHash, SocketAddr)>,
    stats: TrackerStats,
}

impl Tracker {
    /// A tracker without swarms, which names members at random.
    pub fn new(config: TrackerConfig) -> Self {
        Self {
            config,
            choice: Box::new(AtRandom),
            swarms: BTreeMap::new(),
            expiry: BTreeSet::new(),
            stats: TrackerStats { regular: 0, started: 0, completed: 0, stopped: 0, refused: 0 },
        }
    }

    /// The same tracker, which chooses whom it names so.
    pub fn with_choice(self, choice: Box<dyn Choice>) -> Self {
        Self { choice, ..self }
    }

    /// Announces so far.
    pub const fn stats(&self) -> TrackerStats {
        self.stats
    }

    /// Members and downloads of a swarm (BEP 48); `None` when nobody is in it. Who has expired lately may be counted.
    pub fn scrape(&self, info_hash: &InfoHash) -> Option<SwarmCounts> {
        self.swarms.get(info_hash).map(Swarm::counts)
    }

    /// Answers an announce that came from the address `from`. The work is O(log members), and what the choice of peers
    /// takes: O(numwant log numwant) at random.
    ///
    /// # Errors
    /// [`TrackerFailure::Refused`] where the torrent is not tracked, or there are too many.
    pub fn announce(
        &mut self,
        now: Instant,
        from: IpAddr,
        request: &AnnounceRequest,
        dice: &mut Dice,
    ) -> Result<AnnounceReply, TrackerFailure> {
        self.answer(now, from, request, &[Family::V4, Family::V6], dice)
    }

    /// As [`Tracker::announce`], with peers of the family of `from` alone: a datagram holds no others (BEP 15).
    ///
    /// # Errors
    /// The same.
    pub fn announce_in_family(
        &mut self,
        now: Instant,
        from: IpAddr,
        request: &AnnounceRequest,
        dice: &mut Dice,
    ) -> Result<AnnounceReply, TrackerFailure> {
        self.answer(now, from, request, &[Family::of(from)], dice)
    }

    fn answer(
        &mut self,
        now: Instant,
        from: IpAddr,
        request: &AnnounceRequest,
        families: &[Family],
        dice: &mut Dice,
    ) -> Result<AnnounceReply, TrackerFailure> {
        self.expire(now);
        let info_hash = request.info_hash;
        if let Err(reason) = self.admit(&info_hash) {
            self.stats.refused += 1;
            return Err(TrackerFailure::Refused(reason.to_owned()));
        }
        self.count(request.event);
        let addr = SocketAddr::new(from.to_canonical(), request.port);
        let swarm = self.swarms.entry(info_hash).or_default();
        let old = swarm.remove(addr);
        if let Some(old) = old {
            self.expiry.remove(&(old.expires, info_hash, addr));
        }
        // "The number of peers that have ever completed downloading" (BEP 48): a seed does not do so again.
        let already_seed = old.is_some_and(|old| old.seed);
        swarm.downloads += u64::from(request.event == AnnounceEvent::Completed && !already_seed);

        let seed = request.left == 0;
        let mut peers = Vec::new();
        if request.event != AnnounceEvent::Stopped {
            let want = request.numwant.unwrap_or(self.config.default_numwant).min(self.config.max_numwant);
            peers = self.choice.choose(addr, &swarm.candidates(seed, families, now), want as usize, dice);
            // Port 0 cannot be dialled.
            if swarm.len() < self.config.max_members && addr.port() != 0 {
                let expires = now + self.config.interval * u64::from(self.config.expire_after) + EXPIRY_SLACK;
                swarm.insert(Member { addr, expires, seed });
                self.expiry.insert((expires, info_hash, addr));
            }
        }
        let counts = swarm.counts();
        if swarm.is_empty() {
            self.swarms.remove(&info_hash);
        }
        Ok(AnnounceReply {
            interval: self.config.interval,
            min_interval: self.config.min_interval,
            complete: Some(counts.complete),
            incomplete: Some(counts.incomplete),
            peers,
            warning: None,
        })
    }

    /// Whether the torrent is tracked.
    fn admit(&self, info_hash: &InfoHash) -> Result<(), &'static str> {
        if self.config.only.as_ref().is_some_and(|only| !only.contains(info_hash)) {
            return Err("this tracker does not serve this torrent");
        }
        if self.swarms.len() >= self.config.max_swarms && !self.swarms.contains_key(info_hash) {
            return Err("this tracker serves too many torrents");
        }
        Ok(())
    }

    fn count(&mut self, event: AnnounceEvent) {
        *match event {
            AnnounceEvent::Regular => &mut self.stats.regular,
            AnnounceEvent::Started => &mut self.stats.started,
            AnnounceEvent::Completed => &mut self.stats.completed,
            AnnounceEvent::Stopped => &mut self.stats.stopped,
        } += 1;
    }

    /// Clears away members of any swarm that have not announced for too long.
    fn expire(&mut self, now: Instant) {
        for _ in 0..EXPIRED_AT_ONCE {
            let Some(&(expires, info_hash, addr)) = self.expiry.first().filter(|first| first.0 <= now) else {
                return;
            };
            self.expiry.remove(&(expires, info_hash, addr));
            let swarm = self.swarms.get_mut(&info_hash).expect("a member's swarm exists");
            swarm.remove(addr).expect("a member that expires is in its swarm");
            if swarm.is_empty() {
                self.swarms.remove(&info_hash);
            }
        }
    }

    /// Checks that the indices agree with each other.
    ///
    /// # Panics
    /// When they do not.
    pub fn check_invariants(&self) {
        for (info_hash, swarm) in &self.swarms {
            assert!(!swarm.is_empty(), "{info_hash} is kept without members");
            swarm.check_invariants();
            for member in swarm.members() {
                let Member { addr, expires, .. } = *member;
                assert!(self.expiry.contains(&(expires, *info_hash, addr)), "{addr} never expires");
            }
        }
        let members: usize = self.swarms.values().map(Swarm::len).sum();
        assert_eq!(self.expiry.len(), members, "one expiry a member");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::PeerId;
    use AnnounceEvent::{Completed, Regular, Started, Stopped};
    use proptest::prelude::*;

    const NOBODY: [IpAddr; 0] = [];

    /// A tracker with time and dice; members are numbers.
    struct Setup {
        tracker: Tracker,
        dice: Dice,
        now: Instant,
    }

    fn setup(config: TrackerConfig) -> Setup {
        let dice = Dice::stream(1, ("test", 0, "tracker"));
        Setup { tracker: Tracker::new(config), dice, now: Instant::ZERO }
    }

    fn ip(member: u32) -> IpAddr {
        std::net::Ipv4Addr::from(0x0a00_0000 + member).into()
    }

    fn request(torrent: u8, event: AnnounceEvent, left: u64, numwant: Option<u32>) -> AnnounceRequest {
        AnnounceRequest {
            info_hash: InfoHash([torrent; 20]),
            peer_id: PeerId([0; 20]),
            port: 6881,
            uploaded: 0,
            downloaded: 0,
            left,
            event,
            numwant,
            key: 0,
        }
    }

    impl Setup {
        fn ask(&mut self, member: u32, request: &AnnounceRequest) -> Result<AnnounceReply, TrackerFailure> {
            let reply = self.tracker.announce(self.now, ip(member), request, &mut self.dice);
            self.tracker.check_invariants();
            reply
        }

        /// Who is told to `member` of torrent 1, in order.
        fn peers(&mut self, member: u32, event: AnnounceEvent, left: u64) -> Vec<IpAddr> {
            let reply = self.ask(member, &request(1, event, left, None)).unwrap();
            let mut peers: Vec<_> = reply.peers.iter().map(SocketAddr::ip).collect();
            peers.sort();
            peers
        }

        fn counts(&self) -> Option<(u32, u32, u64)> {
            let counts = self.tracker.scrape(&InfoHash([1; 20]))?;
            Some((counts.complete, counts.incomplete, counts.downloaded))
        }
    }

    #[test]
    fn members_learn_of_each_other_and_not_of_themselves() {
        let mut s = setup(TrackerConfig::default());
        assert_eq!(s.peers(1, Started, 9), NOBODY);
        assert_eq!(s.peers(2, Started, 9), [ip(1)]);
        assert_eq!(s.peers(3, Started, 0), [ip(1), ip(2)]);
        assert_eq!(s.peers(1, Regular, 9), [ip(2), ip(3)]);
        assert_eq!(s.counts(), Some((1, 2, 0)));
        assert_eq!(s.tracker.scrape(&InfoHash([2; 20])), None);
    }

    #[test]
    fn seeds_are_not_given_to_seeds() {
        let mut s = setup(TrackerConfig::default());
        s.peers(1, Started, 0);
        s.peers(2, Started, 0);
        s.peers(3, Started, 9);
        assert_eq!(s.peers(1, Regular, 0), [ip(3)]);
        assert_eq!(s.peers(3, Regular, 9), [ip(1), ip(2)]);
    }

    #[test]
    fn completed_counts_once_and_may_be_missing() {
        let mut s = setup(TrackerConfig::default());
        s.peers(1, Started, 9);
        s.peers(1, Completed, 0);
        s.peers(1, Completed, 0);
        assert_eq!(s.counts(), Some((1, 0, 1)));
        s.peers(2, Started, 9);
        s.peers(2, Regular, 0);
        assert_eq!(s.counts(), Some((2, 0, 1)), "a seed all the same");
        let stats = s.tracker.stats();
        assert_eq!((stats.started, stats.completed, stats.regular, stats.stopped), (2, 2, 1, 0));
    }

    #[test]
    fn stopped_removes_and_gets_no_peers() {
        let mut s = setup(TrackerConfig::default());
        s.peers(1, Started, 9);
        s.peers(2, Started, 9);
        assert_eq!(s.peers(1, Stopped, 9), NOBODY);
        assert_eq!(s.peers(2, Regular, 9), NOBODY);
        assert_eq!(s.peers(3, Stopped, 9), NOBODY, "a stranger");
        s.peers(2, Stopped, 9);
        assert_eq!(s.counts(), None);
    }

    #[test]
    fn nobody_stops_another() {
        let mut s = setup(TrackerConfig::default());
        s.peers(1, Started, 9);
        s.peers(2, Stopped, 9);
        assert_eq!(s.peers(3, Started, 9), [ip(1)]);
    }

    #[test]
    fn silent_members_expire_after_three_intervals_and_slack_where_it_is_configured_so() {
        let interval = Duration::from_secs(100);
        let mut s = setup(TrackerConfig { interval, expire_after: 3, ..TrackerConfig::default() });
        s.peers(1, Started, 9);
        s.now = Instant::ZERO + interval * 3 + EXPIRY_SLACK - Duration::from_nanos(1);
        assert_eq!(s.peers(2, Started, 9), [ip(1)]);
        s.now += Duration::from_nanos(1);
        assert_eq!(s.peers(2, Regular, 9), NOBODY);
    }

    #[test]
    fn silent_members_expire_after_two_intervals_and_slack() {
        let interval = Duration::from_secs(100);
        let mut s = setup(TrackerConfig { interval, ..TrackerConfig::default() });
        s.peers(1, Started, 9);
        s.peers(2, Started, 9);
        s.now += interval;
        s.peers(2, Regular, 9);
        s.now = Instant::ZERO + interval * 2 + EXPIRY_SLACK - Duration::from_nanos(1);
        assert_eq!(s.peers(3, Started, 9), [ip(1), ip(2)]);
        s.now += Duration::from_nanos(1);
        assert_eq!(s.peers(3, Regular, 9), [ip(2)]);
        s.now += interval * 10;
        s.ask(1, &request(2, Started, 9, None)).unwrap();
        assert_eq!(s.counts(), None, "an announce for another torrent clears away the swarm");
    }

    #[test]
    fn a_crowd_that_vanished_is_not_given_out_while_it_is_cleared_away() {
        let mut s = setup(TrackerConfig::default());
        for member in 0..10 * EXPIRED_AT_ONCE as u32 {
            s.peers(member, Started, 9);
        }
        s.now += Duration::from_secs(24 * 3600);
        assert_eq!(s.peers(100_000, Started, 9), NOBODY);
        assert!(s.counts().unwrap().1 > 1, "bounded work");
        for _ in 0..10 {
            s.peers(100_000, Regular, 9);
        }
        assert_eq!(s.counts(), Some((0, 1, 0)));
    }

    #[test]
    fn numwant_is_kept_to_and_limited() {
        let mut s = setup(TrackerConfig { max_numwant: 60, ..TrackerConfig::default() });
        for member in 0..100 {
            s.peers(member, Started, 9);
        }
        for (numwant, given) in [(None, 50), (Some(0), 0), (Some(7), 7), (Some(u32::MAX), 60)] {
            assert_eq!(s.ask(0, &request(1, Regular, 9, numwant)).unwrap().peers.len(), given);
        }
    }

    #[test]
    fn everybody_is_given_out_equally_often() {
        let mut s = setup(TrackerConfig::default());
        for member in 0..20 {
            s.peers(member, Started, u64::from(member % 4));
        }
        let mut told = BTreeMap::new();
        let mut first = BTreeMap::new();
        for _ in 0..1900 {
            let peers = s.ask(1, &request(1, Regular, 9, Some(4))).unwrap().peers;
            *first.entry(peers[0]).or_insert(0) += 1;
            peers.iter().for_each(|peer| *told.entry(*peer).or_insert(0) += 1);
        }
        assert_eq!(told.len(), 19);
        assert!(told.values().all(|count| (300..500).contains(count)), "400 each: {told:?}");
        assert!(first.values().all(|count| (60..140).contains(count)), "100 each: {first:?}");
    }

    #[test]
    fn strangers_torrents_and_too_many_are_refused() {
        let only = Some(BTreeSet::from([InfoHash([1; 20])]));
        let mut s = setup(TrackerConfig { only, ..TrackerConfig::default() });
        assert!(s.ask(1, &request(1, Started, 9, None)).is_ok());
        assert!(matches!(s.ask(1, &request(2, Started, 9, None)), Err(TrackerFailure::Refused(_))));

        let mut s = setup(TrackerConfig { max_swarms: 1, max_members: 2, ..TrackerConfig::default() });
        assert!(s.ask(1, &request(1, Started, 9, None)).is_ok());
        assert!(matches!(s.ask(1, &request(2, Started, 9, None)), Err(TrackerFailure::Refused(_))));
        assert_eq!(s.tracker.stats().refused, 1);
        s.peers(2, Started, 9);
        assert_eq!(s.peers(3, Started, 9), [ip(1), ip(2)]);
        assert_eq!(s.peers(2, Regular, 9), [ip(1)], "the third is not a member");
    }

    #[test]
    fn who_cannot_be_dialled_is_not_given_out() {
        let mut s = setup(TrackerConfig::default());
        s.ask(1, &AnnounceRequest { port: 0, ..request(1, Started, 9, None) }).unwrap();
        assert_eq!(s.peers(2, Started, 9), NOBODY);
    }

    proptest! {
        /// The indices agree whatever happens, and replies hold neither the asker nor anybody twice.
        #[test]
        fn any_announces(
            steps in prop::collection::vec((0u32..12, 0u8..3, 0u64..2, 0usize..4, 0u64..2000), 0..120),
            in_family: bool,
        ) {
            let mut s = setup(TrackerConfig { max_members: 6, max_swarms: 2, ..TrackerConfig::default() });
            for (member, torrent, left, event, wait) in steps {
                s.now += Duration::from_secs(wait);
                let from: IpAddr = match member % 3 {
                    0 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, member as u16].into(),
                    _ => ip(member),
                };
                let request = request(torrent, [Regular, Started, Completed, Stopped][event], left, Some(4));
                let reply = if in_family {
                    s.tracker.announce_in_family(s.now, from, &request, &mut s.dice)
                } else {
                    s.tracker.announce(s.now, from, &request, &mut s.dice)
                };
                s.tracker.check_invariants();
                let Ok(reply) = reply else { continue };
                let ips: BTreeSet<_> = reply.peers.iter().map(SocketAddr::ip).collect();
                prop_assert_eq!(ips.len(), reply.peers.len());
                prop_assert!(!ips.contains(&from));
                prop_assert!(!in_family || ips.iter().all(|ip| Family::of(*ip) == Family::of(from)));
            }
        }
    }
}
