//! From what a strategy says of its candidates to their places.

use std::collections::BTreeMap;

use torrentlab_engine::why::{Reason, Reasons};

/// A candidate in its place.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ranked<T> {
    /// What the strategy says of it; `None` where it says nothing.
    pub reason: Option<Reason<T>>,
    pub of: T,
    /// From 1; equal ones share it. After all others where nothing is said.
    pub rank: u32,
    pub equals: u32,
    pub is_chosen: bool,
    /// If it was chosen: how many that rank as high or higher were not.
    pub rivals: u32,
}

/// All `candidates`, best first and equal ones in order; those of which nothing is said come last. Of what is said of the
/// same candidate twice the later counts.
pub fn rank<T: Copy + Ord>(
    candidates: impl IntoIterator<Item = T>,
    reasons: &Reasons<T>,
    is_chosen: impl Fn(T) -> bool,
) -> Vec<Ranked<T>> {
    let mut said: BTreeMap<T, (usize, u32)> = BTreeMap::new();
    let last: BTreeMap<T, usize> =
        reasons.candidates.iter().enumerate().map(|(at, reason)| (reason.of, at)).collect();
    let mut rank = 0;
    let mut before: Option<&Reason<T>> = None;
    for (at, reason) in reasons.candidates.iter().enumerate() {
        if last.get(&reason.of) == Some(&at) {
            rank += u32::from(before.is_none_or(|before| !before.equals(reason)));
            before = Some(reason);
            said.insert(reason.of, (at, rank));
        }
    }
    let place = |of: T| {
        let known = said.get(&of).copied();
        let reason = known.map(|(at, _)| reasons.candidates[at]).filter(|reason| reason.score.is_finite());
        let rank = known.map_or(rank + 1, |(_, rank)| rank);
        Ranked { reason, of, rank, equals: 0, is_chosen: is_chosen(of), rivals: 0 }
    };
    let mut ranked: Vec<Ranked<T>> = candidates.into_iter().map(place).collect();
    ranked.sort_by_key(|candidate| (candidate.rank, candidate.of));
    let mut left = 0;
    for group in ranked.chunk_by_mut(|a, b| a.rank == b.rank) {
        left += group.iter().filter(|candidate| !candidate.is_chosen).count() as u32;
        let equals = group.len() as u32;
        for candidate in group {
            candidate.equals = equals;
            candidate.rivals = left;
        }
    }
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Piece, rank, equals and rivals.
    fn places(reasons: &[(u32, f64)], candidates: &[u32], chosen: &[u32]) -> Vec<(u32, u32, u32, u32)> {
        let candidates_said = reasons.iter().map(|&(of, score)| Reason::new(of, score, "copies")).collect();
        let reasons = Reasons { candidates: candidates_said, remark: "" };
        let ranked = rank(candidates.iter().copied(), &reasons, |of| chosen.contains(&of));
        ranked.into_iter().map(|each| (each.of, each.rank, each.equals, each.rivals)).collect()
    }

    #[test]
    fn equal_ones_share_a_place_and_those_left_out_are_rivals() {
        let said = [(4, 1.0), (2, 2.0), (9, 2.0), (1, 2.0), (3, 5.0)];
        assert_eq!(
            places(&said, &[1, 2, 3, 4, 9], &[4, 9]),
            [(4, 1, 1, 0), (1, 2, 3, 2), (2, 2, 3, 2), (9, 2, 3, 2), (3, 3, 1, 3)]
        );
    }

    #[test]
    fn the_last_word_counts_and_silence_comes_last() {
        let said = [(4, 1.0), (2, 2.0), (4, 3.0)];
        assert_eq!(places(&said, &[2, 4, 7], &[2]), [(2, 1, 1, 0), (4, 2, 1, 1), (7, 3, 1, 2)]);
        assert_eq!(places(&[], &[7, 2], &[]), [(2, 1, 2, 2), (7, 1, 2, 2)]);
    }
}
