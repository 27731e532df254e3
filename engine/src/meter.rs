//! How fast bytes come or go.

use crate::time::{Duration, Instant};

/// The span that a rate is taken over: mainline's `max_rate_period` (Cohen 2003 has a "20 second rolling average").
const WINDOW: Duration = Duration::from_secs(20);
/// The span that the first bytes of all are spread over at least: mainline's `fudge`.
const LEAD: Duration = Duration::from_secs(5);

/// Counts bytes and tells their rate over the last 20 s.
///
/// Bytes are summed in windows of 20 s; the rate takes this window whole and the one before in proportion to the part
/// of it that lies in the last 20 s. It does not depend on how often it is asked for, and is exactly 0 after 40 s of
/// silence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meter {
    total: u64,
    /// The total when this window began.
    base: u64,
    /// Bytes of the window before.
    before: u64,
    /// When this window began.
    start: Instant,
}

impl Meter {
    /// A meter that has seen nothing yet.
    pub const fn new(now: Instant) -> Self {
        Self { total: 0, base: 0, before: 0, start: now }
    }

    /// Bytes since the meter was made.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Bytes a second over the last 20 s.
    pub fn rate(&self, now: Instant) -> u64 {
        let Self { total, base, before, start } = self.at(now);
        let elapsed = now.since(start);
        let span = if base == 0 { (elapsed + LEAD).min(WINDOW) } else { WINDOW };
        let of_before = before * WINDOW.saturating_sub(elapsed).as_millis() / WINDOW.as_millis();
        (total - base + of_before) * 1000 / span.as_millis()
    }

    /// Counts `bytes`.
    pub fn add(&mut self, now: Instant, bytes: u64) {
        if now.since(self.start) >= WINDOW {
            *self = self.at(now);
        }
        self.total += bytes;
    }

    /// The meter with the window that `now` lies in.
    fn at(mut self, now: Instant) -> Self {
        match now.since(self.start).as_nanos() / WINDOW.as_nanos() {
            0 => return self,
            1 => self.before = self.total - self.base,
            _ => self.before = 0,
        }
        self.base = self.total;
        self.start += WINDOW * (now.since(self.start).as_nanos() / WINDOW.as_nanos());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at_ms(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    /// A meter that saw `bytes` each `every` milliseconds until `until`, and what it says then.
    fn steady(bytes: u64, every: u64, until: u64) -> (Meter, u64) {
        let mut meter = Meter::new(Instant::ZERO);
        (every..=until).step_by(every as usize).for_each(|ms| meter.add(at_ms(ms), bytes));
        (meter, meter.rate(at_ms(until)))
    }

    #[test]
    fn a_steady_stream_is_told_as_it_is() {
        for (bytes, every, rate) in [(16_384, 100, 163_840), (16_384, 1, 16_384_000), (1, 10, 100)] {
            for until in [20_000, 30_000, 59_900, 60_000] {
                let (_, told) = steady(bytes, every, until);
                assert!(told.abs_diff(rate) <= rate / 100, "{told} for {rate} at {until} ms");
            }
        }
    }

    #[test]
    fn a_young_stream_is_spread_over_five_seconds_more_than_it_lasted() {
        assert_eq!(steady(1000, 1000, 1000).1, 1000 / 6);
        assert_eq!(steady(1000, 1000, 10_000).1, 10_000 / 15);
    }

    #[test]
    fn silence_brings_the_rate_to_nothing() {
        let (meter, rate) = steady(16_384, 100, 60_000);
        let later = |ms: u64| meter.rate(at_ms(60_000 + ms));
        assert!(later(10_000).abs_diff(rate / 2) <= rate / 50);
        assert_eq!(later(40_000), 0);
        assert_eq!(meter.rate(Instant::NEVER), 0);
        assert_eq!(meter.total(), 600 * 16_384);
    }

    #[test]
    fn a_meter_is_small() {
        assert_eq!(size_of::<Meter>(), 32);
    }

    proptest! {
        /// Never more than came in the last 40 s, and asking does not change the answer.
        #[test]
        fn the_rate_is_backed_by_bytes(steps in prop::collection::vec((0u64..30_000, 0u64..1 << 40), 1..50)) {
            let (mut meter, mut now, mut seen) = (Meter::new(Instant::ZERO), 0, Vec::new());
            for (pause, bytes) in steps {
                now += pause;
                meter.add(at_ms(now), bytes);
                seen.push((now, bytes));
                let recent: u64 = seen.iter().filter(|(at, _)| at + 40_000 > now).map(|(_, bytes)| bytes).sum();
                prop_assert!(meter.rate(at_ms(now)) <= recent / 5);
                prop_assert_eq!(meter.total(), seen.iter().map(|(_, bytes)| bytes).sum::<u64>());
            }
        }
    }
}
