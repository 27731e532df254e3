//! Trackers that know more of hosts than their addresses, and name those that suit each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use torrentlab_engine::dice::Dice;
use torrentlab_engine::tracker::choice::{Candidates, Choice};
use torrentlab_engine::tracker::server::{Tracker, TrackerConfig};

use crate::plan::home_of;

/// What hosts have to have in common.
#[derive(Clone, Debug)]
pub enum Likeness {
    /// Their region, by host: biased neighbour selection (Bindal et al., ICDCS 2006).
    Region(Arc<[u16]>),
    /// The rate of their uplinks in bytes a second, by host: bandwidth matching (Bharambe, Herley, Padmanabhan, INFOCOM
    /// 2006).
    Uplink(Arc<[u64]>),
}

/// Names those who are like the asker, and a few others, so that the swarm does not fall apart.
///
/// The others are the same each time, as long as they are there: somebody who asks often does not come to know ever more of
/// them. The work is O(members).
#[derive(Clone, Debug)]
pub struct Matchmaker {
    likeness: Likeness,
    outside: usize,
    /// The others that each host was told of.
    named: BTreeMap<u32, Vec<SocketAddr>>,
}

/// A tracker that knows of nobody yet, and draws whom it names unless it has a matchmaker.
pub fn new_tracker(config: &TrackerConfig, matchmaker: Option<&Matchmaker>) -> Tracker {
    let tracker = Tracker::new(config.clone());
    match matchmaker {
        Some(matchmaker) => tracker.with_choice(Box::new(matchmaker.clone())),
        None => tracker,
    }
}

impl Matchmaker {
    /// A tracker that names those who are alike, all but `outside`.
    pub fn new(likeness: Likeness, outside: usize) -> Self {
        Self { likeness, outside, named: BTreeMap::new() }
    }

    fn hosts(&self) -> usize {
        match &self.likeness {
            Likeness::Region(regions) => regions.len(),
            Likeness::Uplink(rates) => rates.len(),
        }
    }

    /// Brings those to the front who are like `asker`; how many of them may take one of `places`.
    fn prefer(&self, asker: u32, candidates: &mut [SocketAddr], places: usize) -> usize {
        let host = |addr: &SocketAddr| home_of(*addr, self.hosts());
        match &self.likeness {
            Likeness::Region(regions) => {
                let own = regions[asker as usize];
                let abroad = |addr: &SocketAddr| host(addr).is_none_or(|host| regions[host as usize] != own);
                candidates.sort_by_key(abroad);
                candidates.partition_point(|addr| !abroad(addr))
            }
            Likeness::Uplink(rates) => {
                let own = rates[asker as usize];
                let apart = |addr: &SocketAddr| {
                    let rate = host(addr).map_or(0, |host| rates[host as usize]);
                    rate.max(own) as f64 / rate.min(own).max(1) as f64
                };
                candidates.sort_by(|a, b| apart(a).total_cmp(&apart(b)));
                places.min(candidates.len())
            }
        }
    }
}

impl Choice for Matchmaker {
    fn choose(
        &mut self,
        asker: SocketAddr,
        candidates: &Candidates<'_>,
        want: usize,
        dice: &mut Dice,
    ) -> Vec<SocketAddr> {
        let Some(host) = home_of(asker, self.hosts()) else { return candidates.sample(want, dice) };
        let outside = self.outside.min(want);
        let mut all: Vec<SocketAddr> = candidates.iter().collect();
        dice.shuffle(&mut all);
        let alike = self.prefer(host, &mut all, want - outside);
        let mut others = all.split_off(alike);
        all.truncate(want - outside);
        // Which of them are near is nothing to go by: they are drawn.
        dice.shuffle(&mut others);
        let before = self.named.remove(&host).unwrap_or_default();
        others.sort_by_key(|addr| !before.contains(addr));
        others.truncate(outside);
        all.extend(&others);
        if !others.is_empty() {
            self.named.insert(host, others);
        }
        dice.shuffle(&mut all);
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use torrentlab_engine::time::Instant;
    use torrentlab_engine::tracker::{AnnounceEvent, AnnounceRequest};
    use torrentlab_engine::units::{InfoHash, PeerId};

    use super::*;
    use crate::plan::{PORT, addr_of, host_at};

    fn request(seed: bool, numwant: u32) -> AnnounceRequest {
        AnnounceRequest {
            info_hash: InfoHash([1; 20]),
            peer_id: PeerId([0; 20]),
            port: PORT,
            uploaded: 0,
            downloaded: 0,
            left: u64::from(!seed),
            event: AnnounceEvent::Started,
            numwant: Some(numwant),
            key: 0,
        }
    }

    /// A tracker of a swarm whose hosts are so; the first `seeds` are seeds.
    struct Setup {
        tracker: Tracker,
        dice: Dice,
        hosts: usize,
        seeds: u32,
    }

    impl Setup {
        fn new(likeness: Likeness, outside: usize, seeds: u32) -> Self {
            let matchmaker = Matchmaker::new(likeness, outside);
            let hosts = matchmaker.hosts();
            let tracker = new_tracker(&TrackerConfig::default(), Some(&matchmaker));
            Self { tracker, dice: Dice::stream(1, ("test", 0, "tracker")), hosts, seeds }
        }

        fn regions(regions: &[u16], outside: usize) -> Self {
            Self::new(Likeness::Region(regions.into()), outside, 0)
        }

        /// Whom `host` is told of.
        fn ask(&mut self, host: u32, numwant: u32) -> Vec<u32> {
            let request = request(host < self.seeds, numwant);
            let reply = self.tracker.announce(Instant::ZERO, addr_of(host).ip(), &request, &mut self.dice);
            let peers = reply.unwrap().peers;
            peers.iter().map(|&addr| host_at(addr, self.hosts).expect("a host")).collect()
        }

        fn all_join(mut self) -> Self {
            (0..self.hosts as u32).for_each(|host| _ = self.ask(host, 0));
            self
        }
    }

    #[test]
    fn of_each_answer_all_but_a_few_are_of_the_own_region() {
        let regions: Vec<u16> = (0..60).map(|host| host % 3).collect();
        let mut setup = Setup::regions(&regions, 2).all_join();
        for host in 0..60 {
            let peers = setup.ask(host, 10);
            let own = peers.iter().filter(|&&peer| regions[peer as usize] == regions[host as usize]).count();
            assert_eq!((peers.len(), own), (10, 8), "{peers:?}");
        }
    }

    #[test]
    fn who_is_alone_in_a_region_is_told_of_a_few_others_and_of_no_more_by_asking_again() {
        let mut setup = Setup::regions(&[0, 1, 1, 1, 1, 1, 1, 1], 2).all_join();
        let first: BTreeSet<u32> = setup.ask(0, 50).into_iter().collect();
        assert_eq!(first.len(), 2);
        for _ in 0..20 {
            assert_eq!(setup.ask(0, 50).into_iter().collect::<BTreeSet<_>>(), first);
        }
    }

    #[test]
    fn others_take_the_place_of_those_who_left() {
        let mut setup = Setup::regions(&[0, 1, 1, 1, 1, 1, 1, 1], 2).all_join();
        let first = setup.ask(0, 50);
        let stop = AnnounceRequest { event: AnnounceEvent::Stopped, ..request(false, 0) };
        setup.tracker.announce(Instant::ZERO, addr_of(first[0]).ip(), &stop, &mut setup.dice).unwrap();
        let then = setup.ask(0, 50);
        assert!(then.len() == 2 && then.contains(&first[1]) && !then.contains(&first[0]), "{then:?}");
    }

    #[test]
    fn like_uplinks_meet_by_their_ratio() {
        let rates = [100, 100, 100, 110, 400, 1500, 1500, u64::MAX];
        let mut setup = Setup::new(Likeness::Uplink(rates.into()), 0, 0).all_join();
        let mut told = |host, want| setup.ask(host, want).into_iter().collect::<BTreeSet<_>>();
        assert_eq!(told(0, 3), BTreeSet::from([1, 2, 3]));
        assert_eq!(told(4, 3), BTreeSet::from([3, 5, 6]), "3.8 times as fast is nearer than 4 times as slow");
        assert_eq!(told(7, 2), BTreeSet::from([5, 6]), "unlimited is next to the fastest");
    }

    #[test]
    fn one_place_is_for_anybody_so_that_classes_do_not_part() {
        let rates: Vec<u64> = (0..40).map(|host| if host < 20 { 1 } else { 1000 }).collect();
        let mut setup = Setup::new(Likeness::Uplink(rates.into()), 1, 0).all_join();
        let of_others: usize =
            (0..20).map(|host| setup.ask(host, 10).iter().filter(|&&peer| peer >= 20).count()).sum();
        assert!((5..=20).contains(&of_others), "{of_others} of 20, drawn from 10 alike and 20 others each");
    }

    proptest! {
        #[test]
        fn answers_name_neither_the_asker_nor_anybody_twice_and_no_more_than_wanted(
            kinds in prop::collection::vec(0u16..4, 1..40),
            asks in prop::collection::vec((0u32..40, 0u32..30), 1..40),
            outside in 0usize..5,
            seeds in 0u32..5,
            by_rate in any::<bool>(),
        ) {
            let rates: Vec<u64> = kinds.iter().map(|&kind| 10u64.pow(u32::from(kind))).collect();
            let likeness = || match by_rate {
                true => Likeness::Uplink(rates.clone().into()),
                false => Likeness::Region(kinds.clone().into()),
            };
            let hosts = kinds.len() as u32;
            let play = || {
                let mut setup = Setup::new(likeness(), outside, seeds);
                asks.iter().map(|&(host, want)| (host % hosts, want, setup.ask(host % hosts, want))).collect::<Vec<_>>()
            };
            let answers = play();
            for (host, want, peers) in &answers {
                let distinct: BTreeSet<u32> = peers.iter().copied().collect();
                prop_assert_eq!(distinct.len(), peers.len(), "twice");
                prop_assert!(!distinct.contains(host), "the asker");
                prop_assert!(peers.len() <= *want as usize);
                prop_assert!(*host >= seeds || peers.iter().all(|&peer| peer >= seeds), "a seed to a seed");
                if !by_rate {
                    let abroad = peers.iter().filter(|&&peer| kinds[peer as usize] != kinds[*host as usize]);
                    prop_assert!(abroad.count() <= outside);
                }
            }
            prop_assert_eq!(&answers, &play(), "the same again");
        }
    }
}
