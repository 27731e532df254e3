//! A rate limit that neither loses nor invents a byte.

use crate::time::{Duration, Instant};

/// Byte-nanoseconds in a byte: the level is kept in these, so that no rounding ever happens.
const UNIT: u64 = 1_000_000_000;
/// The rate that stands for "no limit".
const UNLIMITED: u64 = u64::MAX;

/// A token bucket: bytes come in at `rate` and are kept up to `burst`, so that over any span at most
/// `rate * span + burst` bytes are granted. It starts full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenBucket {
    rate: u64,
    /// In byte-nanoseconds, like `level`.
    burst: u64,
    level: u64,
    filled_at: Instant,
}

impl TokenBucket {
    /// A bucket that grants `rate` bytes a second, or anything when that is `None`. A `burst` below what is asked for
    /// at once (a block, say) would never grant it; above 16 GiB it is cut.
    pub fn new(rate: Option<u64>, burst: u64, now: Instant) -> Self {
        let burst = burst.saturating_mul(UNIT);
        Self { rate: rate.unwrap_or(UNLIMITED), burst, level: burst, filled_at: now }
    }

    /// The most that is granted at `now`.
    pub fn available(&self, now: Instant) -> u64 {
        if self.rate == UNLIMITED { u64::MAX } else { self.level_at(now) / UNIT }
    }

    /// When `bytes` can be granted at once; [`Instant::NEVER`] where that is more than the bucket ever holds, or
    /// nothing comes in.
    pub fn ready_at(&self, now: Instant, bytes: u64) -> Instant {
        let level = self.level_at(now);
        let needed = bytes.saturating_mul(UNIT);
        if self.rate == UNLIMITED || needed <= level {
            now
        } else if needed > self.burst || self.rate == 0 {
            Instant::NEVER
        } else {
            now + Duration::from_nanos((needed - level).div_ceil(self.rate))
        }
    }

    /// Other limits from `now` on; what has come in so far stays, up to the new burst.
    pub fn set_rate(&mut self, now: Instant, rate: Option<u64>, burst: u64) {
        self.fill(now);
        self.rate = rate.unwrap_or(UNLIMITED);
        self.burst = burst.saturating_mul(UNIT);
        self.level = self.level.min(self.burst);
    }

    /// Takes up to `want` bytes and says how many were granted.
    pub fn take(&mut self, now: Instant, want: u64) -> u64 {
        if self.rate == UNLIMITED {
            return want;
        }
        self.fill(now);
        let granted = want.min(self.level / UNIT);
        self.level -= granted * UNIT;
        granted
    }

    fn fill(&mut self, now: Instant) {
        self.level = self.level_at(now);
        self.filled_at = now;
    }

    fn level_at(&self, now: Instant) -> u64 {
        let came = self.rate.saturating_mul(now.since(self.filled_at).as_nanos());
        self.level.saturating_add(came).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BURST: u64 = 16_384;

    fn after(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    /// What a bucket grants to someone who asks for `wants` after `pauses`: time and bytes of each grant.
    fn grants(rate: Option<u64>, steps: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let mut bucket = TokenBucket::new(rate, BURST, Instant::ZERO);
        let mut now = 0;
        let step = |&(pause, want): &(u64, u64)| {
            now += pause;
            (now, bucket.take(after(now), want))
        };
        steps.iter().map(step).collect()
    }

    /// Whether some span saw more than `rate * span + burst` bytes.
    fn exceeds(rate: u64, grants: &[(u64, u64)]) -> bool {
        (0..grants.len()).any(|first| {
            let mut sum = 0;
            grants[first..].iter().any(|&(at, bytes)| {
                sum += bytes;
                let span = at - grants[first].0;
                sum.saturating_sub(BURST) as u128 * u128::from(UNIT) > u128::from(rate) * u128::from(span)
            })
        })
    }

    proptest! {
        #[test]
        fn no_span_sees_more_than_its_share(
            rate in 0u64..1 << 34,
            steps in prop::collection::vec((0u64..10_000_000, 0u64..100_000), 1..80),
        ) {
            prop_assert!(!exceeds(rate, &grants(Some(rate), &steps)));
        }

        /// Bytes are granted at `ready_at` and not a nanosecond before.
        #[test]
        fn ready_at_is_exact(rate in 1u64..1 << 34, drained in 0..=BURST, want in 1..=BURST, pause in 0u64..1 << 40) {
            let mut bucket = TokenBucket::new(Some(rate), BURST, Instant::ZERO);
            bucket.take(Instant::ZERO, drained);
            let ready = bucket.ready_at(after(pause), want);
            prop_assert!(bucket.available(ready) >= want);
            if ready > after(pause) {
                prop_assert!(bucket.available(ready - Duration::from_nanos(1)) < want);
            }
        }

        /// Looking often or seldom makes no difference: nothing is lost by rounding.
        #[test]
        fn slices_add_up(rate in 1u64..1 << 30, pauses in prop::collection::vec(0u64..1000, 1..50)) {
            let mut bucket = TokenBucket::new(Some(rate), u64::MAX, Instant::ZERO);
            bucket.take(Instant::ZERO, u64::MAX);
            let mut sliced = bucket;
            let mut now = 0;
            for pause in pauses {
                now += pause;
                sliced.take(after(now), 0);
            }
            prop_assert_eq!(sliced.available(after(now)), bucket.available(after(now)));
        }
    }

    #[test]
    fn no_span_sees_more_than_its_share_negative() {
        let steps = [(0, BURST), (1, 1)];
        assert!(exceeds(1000, &grants(None, &steps)));
        assert!(!exceeds(1000, &grants(Some(1000), &steps)));
    }

    #[test]
    fn a_greedy_taker_gets_all_that_came() {
        let steps = vec![(1_234_567, u64::MAX); 1000];
        let sum: u64 = grants(Some(333_333), &steps).iter().map(|&(_, bytes)| bytes).sum();
        // All that came after the first grant, before which the bucket was full.
        assert_eq!(sum, BURST + 333_333 * 1_234_567 * 999 / UNIT);
    }

    #[test]
    fn a_rate_may_change_on_the_way() {
        let mut bucket = TokenBucket::new(Some(1000), BURST, Instant::ZERO);
        assert_eq!(bucket.take(Instant::ZERO, u64::MAX), BURST);
        bucket.set_rate(after(UNIT), Some(10), BURST);
        assert_eq!(bucket.available(after(2 * UNIT)), 1010);
        bucket.set_rate(after(2 * UNIT), Some(10), 500);
        assert_eq!(bucket.take(after(2 * UNIT), 1000), 500);
        bucket.set_rate(after(2 * UNIT), None, 500);
        assert_eq!(bucket.take(after(2 * UNIT), u64::MAX), u64::MAX);
        assert_eq!(bucket.ready_at(after(2 * UNIT), u64::MAX), after(2 * UNIT));
    }

    #[test]
    fn what_never_comes_is_never_ready() {
        let mut stopped = TokenBucket::new(Some(0), BURST, Instant::ZERO);
        assert_eq!(stopped.take(Instant::ZERO, BURST), BURST);
        assert_eq!(stopped.ready_at(after(1), 1), Instant::NEVER);
        assert_eq!(TokenBucket::new(Some(9), 10, Instant::ZERO).ready_at(after(1), 11), Instant::NEVER);
    }
}
