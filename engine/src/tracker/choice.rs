//! Whom of a swarm a tracker names to a member.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::dice::Dice;
use crate::time::Instant;
use crate::tracker::swarm::Member;

/// Chooses whom a member is told of. Real trackers draw them ([`AtRandom`]); whoever knows more of the members than
/// their addresses may do otherwise.
pub trait Choice: fmt::Debug + Send {
    /// Up to `want` of the candidates for the member that listens at `asker`, none of them twice, in the order of the
    /// answer.
    fn choose(
        &mut self,
        asker: SocketAddr,
        candidates: &Candidates<'_>,
        want: usize,
        dice: &mut Dice,
    ) -> Vec<SocketAddr>;
}

/// Any of them, each set of them as likely as the next: "a random list of peers" (Cohen 2003).
#[derive(Clone, Copy, Debug)]
pub struct AtRandom;

impl Choice for AtRandom {
    fn choose(
        &mut self,
        _: SocketAddr,
        candidates: &Candidates<'_>,
        want: usize,
        dice: &mut Dice,
    ) -> Vec<SocketAddr> {
        candidates.sample(want, dice)
    }
}

/// Those who may be named: of the right families, no seeds where a seed asks, and never the asker.
#[derive(Debug)]
pub struct Candidates<'a> {
    pub(super) groups: SmallVec<[&'a [Member]; 4]>,
    pub(super) now: Instant,
}

impl Candidates<'_> {
    /// All of them who have not expired, in an order without meaning.
    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let alive = self.groups.iter().copied().flatten().filter(|member| member.expires > self.now);
        alive.map(|member| member.addr)
    }

    /// Up to `want` of them in random order, each set of them as likely as the next (Floyd's sampling), in
    /// O(want log want).
    pub fn sample(&self, want: usize, dice: &mut Dice) -> Vec<SocketAddr> {
        let all = self.groups.iter().map(|group| group.len()).sum::<usize>();
        let mut chosen = BTreeSet::new();
        for last in all.saturating_sub(want)..all {
            let drawn = dice.below(last as u64 + 1) as usize;
            if !chosen.insert(drawn) {
                chosen.insert(last);
            }
        }
        let member = |at: usize| self.nth(at).expect("below their number");
        let alive = chosen.into_iter().map(member).filter(|member| member.expires > self.now);
        let mut addrs: Vec<_> = alive.map(|member| member.addr).collect();
        dice.shuffle(&mut addrs);
        addrs
    }

    /// The member at this position in all the groups, one after the other.
    fn nth(&self, mut at: usize) -> Option<&Member> {
        for group in &self.groups {
            match group.get(at) {
                Some(member) => return Some(member),
                None => at -= group.len(),
            }
        }
        None
    }
}
