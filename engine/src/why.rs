//! Why a strategy chose as it did, for whoever asks.
//!
//! The views of a [`Picker`](crate::picker::Picker) and of a [`Choker`](crate::choker::Choker) have a [`Why`]. The engine
//! never asks; a decorator around the strategy does, which hands on the view with a place for [`Reasons`] in it. So
//! reasons come from where the decision is taken, cost a comparison when nobody asks, and change nothing when somebody
//! does: a strategy must not throw dice to give them.

use std::cell::RefCell;
use std::fmt;

/// What a strategy says of one candidate: a piece or a peer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reason<T> {
    /// The candidate.
    pub of: T,
    /// What it went by.
    pub score: f64,
    /// What the score is, with its unit: `"copies"`, `"bytes/s that it sends us"`.
    pub meaning: &'static str,
    /// What else there is to say of it, such as `"snubs us"`; empty if nothing.
    pub note: &'static str,
}

impl<T> Reason<T> {
    /// A candidate and its score.
    pub const fn new(of: T, score: f64, meaning: &'static str) -> Self {
        Self { of, score, meaning, note: "" }
    }

    /// The same with something else to say.
    pub fn with_note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    /// Whether another has the same score, of the same kind.
    pub fn equals(&self, other: &Self) -> bool {
        self.score == other.score && self.meaning == other.meaning
    }
}

/// What a strategy said of one decision.
#[derive(Clone, PartialEq, Debug)]
pub struct Reasons<T> {
    /// The candidates, best first; those with equal scores one after the other.
    pub candidates: Vec<Reason<T>>,
    /// What holds for all of them; empty if nothing was said.
    pub remark: &'static str,
}

impl<T> Default for Reasons<T> {
    fn default() -> Self {
        Self { candidates: Vec::new(), remark: "" }
    }
}

/// Where a strategy says why, if anybody asked.
pub struct Why<'a, T>(Option<&'a RefCell<Reasons<T>>>);

impl<'a, T> Why<'a, T> {
    /// Somebody asks, and finds the answer in `reasons`.
    pub const fn asked(reasons: &'a RefCell<Reasons<T>>) -> Self {
        Self(Some(reasons))
    }

    /// Whether anybody asked.
    pub const fn is_asked(self) -> bool {
        self.0.is_some()
    }

    /// Says why, best first, if anybody asked; else `reasons` is not called. What is said later comes behind it.
    pub fn say<I: IntoIterator<Item = Reason<T>>>(self, reasons: impl FnOnce() -> I) {
        self.say_sorted(reasons, |_| ());
    }

    /// The same in the order of the scores, the smallest first; equal ones stay in their order.
    pub fn smallest_first<I: IntoIterator<Item = Reason<T>>>(self, reasons: impl FnOnce() -> I) {
        self.say_sorted(reasons, |said| said.sort_by(|a, b| a.score.total_cmp(&b.score)));
    }

    /// The same with the largest score first.
    pub fn largest_first<I: IntoIterator<Item = Reason<T>>>(self, reasons: impl FnOnce() -> I) {
        self.say_sorted(reasons, |said| said.sort_by(|a, b| b.score.total_cmp(&a.score)));
    }

    /// Says what holds for all candidates.
    pub fn remark(self, remark: &'static str) {
        if let Some(place) = self.0 {
            place.borrow_mut().remark = remark;
        }
    }

    fn say_sorted<I: IntoIterator<Item = Reason<T>>>(
        self,
        reasons: impl FnOnce() -> I,
        sort: impl FnOnce(&mut [Reason<T>]),
    ) {
        if let Some(place) = self.0 {
            let mut said: Vec<_> = reasons().into_iter().collect();
            sort(&mut said);
            place.borrow_mut().candidates.append(&mut said);
        }
    }
}

/// Nobody asks.
impl<T> Default for Why<'_, T> {
    fn default() -> Self {
        Self(None)
    }
}

// Not derived: a copy of the question needs no copies of candidates.
impl<T> Clone for Why<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Why<'_, T> {}

impl<T> fmt::Debug for Why<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_asked() { "Why(asked)" } else { "Why" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_sorted_and_equal_ones_stay_in_their_order() {
        let place = RefCell::default();
        let why = Why::asked(&place);
        let said = [("a", 2.0), ("b", 1.0), ("c", 2.0)].map(|(of, score)| Reason::new(of, score, "copies"));
        why.smallest_first(|| said);
        why.largest_first(|| said);
        why.say(|| said.map(|reason| reason.with_note("so")));
        why.remark("because");
        let Reasons { candidates, remark } = place.into_inner();
        let order: String = candidates.iter().map(|reason| reason.of).collect();
        assert_eq!((order.as_str(), remark), ("bacacbabc", "because"));
        assert!(candidates[1].equals(&candidates[2]) && !candidates[0].equals(&candidates[1]));
        assert_eq!(candidates[8].note, "so");
    }

    #[test]
    fn where_nobody_asks_nothing_is_worked_out_negative() {
        let why = Why::<u32>::default();
        why.remark("because");
        why.say(|| -> [Reason<u32>; 0] { panic!("nobody asked") });
    }
}
