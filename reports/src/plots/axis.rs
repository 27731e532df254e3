//! An axis: a range, round ticks, and a unit that suits the range.

use crate::words;

/// A quantity along one side of a plot. Positions and ticks are in the quantity's base unit; the words beside
/// them are in the unit that the label names.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// The quantity, with its unit.
    pub label: String,
    /// Where the ticks stand, and what is written there.
    pub ticks: Vec<(f64, String)>,
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    /// From 0 to a little above `high`, with about `count` ticks.
    pub fn linear(label: &str, high: f64, count: usize) -> Self {
        Self::scaled(label, high, 1.0, count)
    }

    /// Indices from 0 to exactly `high`, none of them broken.
    pub fn index(label: &str, high: u32) -> Self {
        let high = f64::from(high.max(1));
        let step = round_step(high / 6.0).max(1.0);
        let ticks = (0..=(high / step) as u32)
            .map(|nth| f64::from(nth) * step)
            .map(|at| (at, tick_text(at, 0)))
            .collect();
        Self { label: label.to_owned(), ticks, low: 0.0, high, logarithmic: false }
    }

    /// A time from 0 to exactly `high_s` seconds.
    pub fn time(what: &str, high_s: f64) -> Self {
        let (unit_s, unit) = time_unit(high_s);
        let mut axis = Self::scaled(&format!("{what} ({unit})"), high_s, unit_s, 8);
        axis.high = positive(high_s);
        axis.ticks.retain(|(at, _)| *at <= axis.high * (1.0 + 1e-9));
        axis
    }

    /// A time from `low_s` to `high_s` seconds, each ten times as far as the last.
    pub fn log_time(what: &str, low_s: f64, high_s: f64) -> Self {
        let (unit_s, unit) = time_unit(low_s * 10.0);
        let (low, high) = (positive(low_s) / 1.15, positive(high_s).max(low_s) * 1.15);
        let first = libm::floor(libm::log10(low / unit_s)) as i32;
        let last = libm::ceil(libm::log10(high / unit_s)) as i32;
        let decades = f64::from(last - first);
        let steps: &[f64] = if decades > 4.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let ticks = (first..=last)
            .flat_map(|power| steps.iter().map(move |step| step * libm::pow(10.0, f64::from(power))))
            .map(|value| (value * unit_s, words::figure(value)))
            .filter(|(at, _)| (low..=high).contains(at))
            .collect();
        Self { label: format!("{what} ({unit}, logarithmic)"), ticks, low, high, logarithmic: true }
    }

    /// Counts from 1 to a little above `high`, each step twice as far as the last.
    pub fn doublings(label: &str, high: f64) -> Self {
        const MOST_TICKS: u32 = 10;
        let doublings = libm::ceil(libm::log2(positive(high).clamp(2.0, 1e15))) as u32;
        let step = doublings.div_ceil(MOST_TICKS);
        let ticks = (0..=doublings / step).map(|nth| 1_u64 << (nth * step));
        let ticks = ticks.map(|count| (count as f64, words::count(count))).collect();
        let high = libm::pow(2.0, f64::from(doublings)) * 1.1;
        Self { label: label.to_owned(), ticks, low: 1.0, high, logarithmic: true }
    }

    /// A rate from 0 to a little above `high` bytes per second.
    pub fn rate(what: &str, high: f64) -> Self {
        let (unit, name) = match high {
            _ if high >= 1e9 => (1e9, "GB/s"),
            _ if high >= 1e6 => (1e6, "MB/s"),
            _ if high >= 1e3 => (1e3, "kB/s"),
            _ => (1.0, "B/s"),
        };
        Self::scaled(&format!("{what} ({name})"), high, unit, 5)
    }

    /// A share from 0 to 100 %.
    pub fn percent(label: &str) -> Self {
        let ticks = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| (share, format!("{} %", share * 100.0)));
        Self { label: label.to_owned(), ticks: ticks.to_vec(), low: 0.0, high: 1.0, logarithmic: false }
    }

    /// Through `points` in scale, which stand there as ticks in the words given: linear, or logarithmic where they are
    /// far apart.
    pub fn through(label: &str, points: &[(f64, String)]) -> Self {
        const LOG_FROM: f64 = 20.0;
        let values = || points.iter().map(|(value, _)| *value);
        let (least, most) =
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        let logarithmic = least > 0.0 && most / least > LOG_FROM;
        let (low, high) = if logarithmic {
            let room = libm::pow(most / least, 0.06);
            (least / room, most * room)
        } else {
            let room = if most > least { (most - least) * 0.06 } else { 1.0 };
            (least - room, most + room)
        };
        let label = if logarithmic { format!("{label} (logarithmic)") } else { label.to_owned() };
        let mut ticks = points.to_vec();
        ticks.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        Self { label, ticks, low, high, logarithmic }
    }

    fn scaled(label: &str, high: f64, unit: f64, count: usize) -> Self {
        let high = positive(high) / unit;
        let step = round_step(high / count as f64);
        let steps = libm::ceil(high / step - 1e-9) as u32;
        let decimals = (-libm::floor(libm::log10(step))).clamp(0.0, 6.0) as usize;
        let ticks = (0..=steps)
            .map(|index| f64::from(index) * step)
            .map(|value| (value * unit, tick_text(value, decimals)))
            .collect();
        let high = f64::from(steps) * step * unit;
        Self { label: label.to_owned(), ticks, low: 0.0, high, logarithmic: false }
    }

    /// Where `value` stands between the axis's ends, 0 to 1; what lies outside stands at the nearer end.
    pub fn position(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            libm::log(value.max(self.low) / self.low) / libm::log(self.high / self.low)
        } else {
            (value - self.low) / (self.high - self.low)
        };
        share.clamp(0.0, 1.0)
    }

    /// The greatest value on the axis.
    pub fn high(&self) -> f64 {
        self.high
    }
}

/// A range needs a length: an empty one becomes 0 to 1.
fn positive(high: f64) -> f64 {
    if high.is_finite() && high > 0.0 { high } else { 1.0 }
}

/// The next of 1, 2, 5, 10, 20, 50... at or above `step`.
fn round_step(step: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(step)));
    let factors = [1.0, 2.0, 5.0, 10.0];
    factors.iter().map(|factor| factor * power).find(|&round| round >= step * 0.999).unwrap_or(10.0 * power)
}

fn tick_text(value: f64, decimals: usize) -> String {
    if decimals == 0 { words::count(value.round() as u64) } else { format!("{value:.decimals$}") }
}

fn time_unit(high_s: f64) -> (f64, &'static str) {
    match high_s {
        _ if high_s > 3.0 * 86_400.0 => (86_400.0, "days"),
        _ if high_s > 3.0 * 3_600.0 => (3_600.0, "h"),
        _ if high_s > 20.0 * 60.0 => (60.0, "min"),
        _ => (1.0, "s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_of(axis: &Axis) -> String {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_and_reach_the_end() {
        let cases = [
            (Axis::linear("", 3.2, 5), "0 1 2 3 4"),
            (Axis::linear("", 0.31, 4), "0.0 0.1 0.2 0.3 0.4"),
            (Axis::linear("", 4200.0, 5), "0 1,000 2,000 3,000 4,000 5,000"),
            (Axis::linear("", 0.0, 5), "0.0 0.2 0.4 0.6 0.8 1.0"),
            (Axis::index("", 3), "0 1 2 3"),
            (Axis::index("", 256), "0 50 100 150 200 250"),
            (Axis::index("", u32::MAX), "0 1,000,000,000 2,000,000,000 3,000,000,000 4,000,000,000"),
            (Axis::time("time", 330.0), "0 50 100 150 200 250 300"),
            (Axis::time("time", 7200.0), "0 20 40 60 80 100 120"),
            (Axis::log_time("time", 30.0, 900.0), "50 100 200 500 1,000"),
            (Axis::doublings("", 100.0), "1 2 4 8 16 32 64 128"),
            (Axis::doublings("", 3000.0), "1 4 16 64 256 1,024 4,096"),
            (Axis::doublings("", 0.0), "1 2"),
            (Axis::rate("rate", 2.3e6), "0.0 0.5 1.0 1.5 2.0 2.5"),
        ];
        for (axis, expected) in cases {
            assert_eq!(words_of(&axis), expected, "{}", axis.label);
        }
    }

    #[test]
    fn positions_run_from_end_to_end() {
        let axis = Axis::time("time", 200.0);
        assert_eq!([0.0, 50.0, 200.0, 300.0, -1.0].map(|t| axis.position(t)), [0.0, 0.25, 1.0, 1.0, 0.0]);
        let log = Axis::log_time("time", 1.15, 100.0 / 1.15);
        assert!((log.position(10.0) - 0.5).abs() < 1e-9);
        assert_eq!(log.position(0.0), 0.0);
    }

    #[test]
    fn an_axis_through_points_is_in_scale() {
        let points = |values: &[f64]| values.iter().map(|&v| (v, v.to_string())).collect::<Vec<_>>();
        let axis = Axis::through("x", &points(&[10.0, 2.0, 6.0]));
        assert_eq!(words_of(&axis), "2 6 10");
        assert!((axis.position(6.0) - 0.5).abs() < 1e-9);
        let log = Axis::through("x", &points(&[1.0, 10.0, 100.0]));
        assert_eq!(log.label, "x (logarithmic)");
        assert!((log.position(10.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn odd_ranges_are_survived() {
        for high in [0.0, -1.0, f64::INFINITY, f64::NAN, 1e-9, 1e300, u64::MAX as f64] {
            assert!(Axis::linear("", high, 5).ticks.len() < 20, "{high}");
            assert!(Axis::time("", high).ticks.len() < 20, "{high}");
            assert!(Axis::log_time("", 1.0, high).ticks.len() < 2000, "{high}");
            assert!(Axis::doublings("", high).ticks.len() < 20, "{high}");
            assert!(Axis::rate("", high).ticks.len() < 20, "{high}");
        }
    }
}
