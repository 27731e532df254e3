//! For how long a host had each other one in its peer set, and wanted something of it.
//!
//! Legout, Urvoy-Keller and Michiardi ("Rarest First and Choke Algorithms Are Enough", IMC 2006) characterise how
//! evenly the pieces are spread by a/b: a is the time for which a leecher is interested in a remote one, b the time for
//! which it has that one in its peer set.

use torrentlab_engine::time::{Duration, Instant};

/// Time, and what of it lies in the steady state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spell {
    /// All of it.
    pub all: Duration,
    /// What lies after each piece was with somebody who was no seed from the start ("steady state" in the paper).
    pub steady: Duration,
}

impl Spell {
    /// Adds the time between `from` and `to`; the steady state began at `steady`, if it has.
    pub fn add(&mut self, from: Instant, to: Instant, steady: Option<Instant>) {
        self.all += to.since(from);
        if let Some(steady) = steady {
            self.steady += to.since(from.max(steady));
        }
    }

    /// Adds another one.
    pub fn join(&mut self, other: Self) {
        self.all += other.all;
        self.steady += other.steady;
    }
}

/// What a host had of another, over all connections that have ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tie {
    /// To whom.
    pub peer: u32,
    /// Payload received from it.
    pub payload: u64,
    /// Time for which both were leechers and connected.
    pub connected: Spell,
    /// The part of it for which the host was interested in the peer.
    pub interested: Spell,
}

/// The times of one connection, from one of its ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Since when it is open; `None` once it has ended.
    pub since: Option<Instant>,
    interested_since: Option<Instant>,
    interested: Spell,
}

impl Times {
    /// A connection opened.
    pub fn begin(now: Instant) -> Self {
        Self { since: Some(now), ..Self::default() }
    }

    /// The host wants something of the peer.
    pub fn interested(&mut self, now: Instant) {
        self.interested_since.get_or_insert(now);
    }

    /// It wants nothing more. What is later than `until` does not count.
    pub fn not_interested(&mut self, until: Instant, steady: Option<Instant>) {
        if let Some(since) = self.interested_since.take() {
            self.interested.add(since, until, steady);
        }
    }

    /// It ended: the times for which it was open and wanted. What is later than `until` does not count.
    pub fn end(&mut self, until: Instant, steady: Option<Instant>) -> [Spell; 2] {
        self.not_interested(until, steady);
        let mut connected = Spell::default();
        if let Some(since) = self.since.take() {
            connected.add(since, until, steady);
        }
        [connected, std::mem::take(&mut self.interested)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    fn spell(all: u64, steady: u64) -> Spell {
        Spell { all: Duration::from_secs(all), steady: Duration::from_secs(steady) }
    }

    #[test]
    fn time_counts_until_either_is_done_and_apart_from_the_steady_state_on() {
        let mut times = Times::begin(at(10));
        times.interested(at(12));
        times.interested(at(13));
        times.not_interested(at(20), None);
        times.interested(at(30));
        assert_eq!(times.end(at(50), Some(at(40))), [spell(40, 10), spell(8 + 20, 10)]);
        assert_eq!(times.end(at(60), Some(at(40))), [Spell::default(); 2], "it ends once");

        let mut times = Times::begin(at(10));
        times.interested(at(12));
        assert_eq!(times.end(at(5), Some(at(0))), [Spell::default(); 2], "one was done before they met");
    }
}
