//! The members of one torrent's swarm, as its tracker knows them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::time::Instant;
use crate::tracker::choice::Candidates;
use crate::tracker::{Family, SwarmCounts};

/// Seeds stand apart, so that they are not given to each other, and so do the families of addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Swarm {
    /// By [`group`].
    groups: [Vec<Member>; 4],
    places: BTreeMap<SocketAddr, Place>,
    /// "The number of peers that have ever completed downloading" (BEP 48).
    pub(super) downloads: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) addr: SocketAddr,
    pub(super) expires: Instant,
    pub(super) seed: bool,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    group: usize,
    at: usize,
}

const fn group(seed: bool, family: Family) -> usize {
    match (seed, family) {
        (true, Family::V4) => 0,
        (true, Family::V6) => 1,
        (false, Family::V4) => 2,
        (false, Family::V6) => 3,
    }
}

impl Swarm {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn counts(&self) -> SwarmCounts {
        let [seeds, seeds6, leechers, leechers6] = self.groups.each_ref().map(Vec::len);
        let count = |members: usize| u32::try_from(members).unwrap_or(u32::MAX);
        SwarmCounts {
            complete: count(seeds + seeds6),
            incomplete: count(leechers + leechers6),
            downloaded: self.downloads,
        }
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.groups.iter().flatten()
    }

    pub(super) fn insert(&mut self, member: Member) {
        let group = group(member.seed, Family::of(member.addr.ip()));
        self.places.insert(member.addr, Place { group, at: self.groups[group].len() });
        self.groups[group].push(member);
    }

    pub(super) fn remove(&mut self, addr: SocketAddr) -> Option<Member> {
        let Place { group, at } = self.places.remove(&addr)?;
        let member = self.groups[group].swap_remove(at);
        if let Some(moved) = self.groups[group].get(at) {
            self.places.insert(moved.addr, Place { group, at });
        }
        Some(member)
    }

    /// Members of these families who may be named to somebody who is no member now. A seed gets leechers only.
    pub(super) fn candidates(&self, for_seed: bool, families: &[Family], now: Instant) -> Candidates<'_> {
        let kinds: &[bool] = if for_seed { &[false] } else { &[true, false] };
        let groups = kinds.iter().flat_map(|&seed| families.iter().map(move |&family| group(seed, family)));
        Candidates { groups: groups.map(|group| &self.groups[group][..]).collect(), now }
    }

    /// Checks that the indices agree with each other.
    ///
    /// # Panics
    /// When they do not.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.places.len(), self.members().count(), "one place a member");
        for (addr, place) in &self.places {
            let member = self.groups[place.group][place.at];
            assert_eq!(member.addr, *addr, "the place of {addr}");
            assert_eq!(place.group, group(member.seed, Family::of(addr.ip())), "the group of {addr}");
        }
    }
}
