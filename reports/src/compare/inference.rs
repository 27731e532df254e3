//! What a sample tells of a mean, a share or a difference. `docs/reference/comparing.md` has the formulas and their
//! sources.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

use super::signed_rank;
use crate::stats;

/// From so many runs on, the interval of a mean comes from a bootstrap.
pub const BOOTSTRAP_FROM: usize = 15;
/// Beyond so many runs the two agree, and Student's t is quicker.
pub const BOOTSTRAP_TO: usize = 1_000;
/// Samples that a bootstrap draws.
const RESAMPLES: usize = 2_000;
/// The seed of every bootstrap: the same values give the same interval.
const SEED: u64 = 0x746f_7272_656e_746c;
/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// How an interval was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Student's t.
    StudentT,
    /// The bias-corrected and accelerated bootstrap.
    BcaBootstrap,
    /// Wilson's score interval.
    Wilson,
}

impl Method {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StudentT => "student_t",
            Self::BcaBootstrap => "bca_bootstrap",
            Self::Wilson => "wilson",
        }
    }
}

/// A 95 % interval.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How it was found.
    pub method: Method,
}

/// Pairs of values, one of each run, as differences.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Paired {
    /// The mean difference.
    pub mean: f64,
    /// Its interval; needs two pairs.
    pub interval: Option<Interval>,
    /// Cohen's d_z: the mean difference over the standard deviation of the differences.
    pub d_z: Option<f64>,
    /// The paired t test, two-sided. `None` where all differences are the same.
    pub p: Option<f64>,
    /// Wilcoxon's signed-rank test (1945). `None` where all differences are 0.
    pub p_wilcoxon: Option<f64>,
}

/// The interval of the mean of `values`; needs two.
pub fn mean_interval(values: &[f64]) -> Option<Interval> {
    if (BOOTSTRAP_FROM..=BOOTSTRAP_TO).contains(&values.len()) { bca(values) } else { student(values) }
}

/// What the differences of paired values tell; needs one.
pub fn paired(differences: &[f64]) -> Option<Paired> {
    let mean = stats::mean(differences)?;
    let spread = deviation(differences, mean).filter(|spread| *spread > 0.0);
    let n = differences.len() as f64;
    let d_z = spread.map(|spread| mean / spread);
    let p = d_z.and_then(|d_z| {
        let t = d_z * n.sqrt();
        Some(2.0 * StudentsT::new(0.0, 1.0, n - 1.0).ok()?.cdf(-t.abs()))
    });
    let p_wilcoxon = signed_rank::p(differences);
    Some(Paired { mean, interval: mean_interval(differences), d_z, p, p_wilcoxon })
}

/// The interval of a share: `hits` of `trials` (Wilson 1927).
pub fn wilson(hits: u64, trials: u64) -> Option<Interval> {
    if trials == 0 {
        return None;
    }
    let (n, share) = (trials as f64, hits as f64 / trials as f64);
    let scale = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let (low, high) = ((centre - half).max(0.0), (centre + half).min(1.0));
    // Rounding must not push the ends past what was seen.
    Some(Interval { low: low.min(share), high: high.max(share), method: Method::Wilson })
}

/// Holm's correction of p values, in their order (Holm 1979).
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut least = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        least = least.max(p[index] * (p.len() - rank) as f64).min(1.0);
        corrected[index] = least;
    }
    corrected
}

/// The mean, give or take the t quantile times s / sqrt n.
fn student(values: &[f64]) -> Option<Interval> {
    let mean = stats::mean(values)?;
    let spread = deviation(values, mean)?;
    let n = values.len() as f64;
    let half = StudentsT::new(0.0, 1.0, n - 1.0).ok()?.inverse_cdf(0.975) * spread / n.sqrt();
    Some(Interval { low: mean - half, high: mean + half, method: Method::StudentT })
}

/// BCa bootstrap of the mean (Efron 1987).
fn bca(values: &[f64]) -> Option<Interval> {
    let mean = stats::mean(values)?;
    let between = |low, high| Some(Interval { low, high, method: Method::BcaBootstrap });
    if values.iter().all(|value| *value == values[0]) {
        return between(values[0], values[0]);
    }
    let means = resampled_means(values);
    let normal = Normal::standard();
    let count = |holds: fn(&f64, f64) -> bool| means.iter().filter(|value| holds(value, mean)).count() as f64;
    let below = count(|value, mean| *value < mean) + count(|value, mean| *value == mean) / 2.0;
    let least = 0.5 / means.len() as f64;
    let bias = normal.inverse_cdf((below / means.len() as f64).clamp(least, 1.0 - least));
    let sum = |power| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>();
    let acceleration = sum(3) / (6.0 * sum(2).powf(1.5));
    let end = |z: f64| {
        let shifted = bias + z;
        let level = normal.cdf(bias + shifted / (1.0 - acceleration * shifted));
        let rank = (level * (means.len() + 1) as f64).round() as usize;
        means[rank.clamp(1, means.len()) - 1]
    };
    between(end(-Z), end(Z))
}

/// Means of samples drawn with replacement, ascending.
fn resampled_means(values: &[f64]) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let n = values.len() as u64;
    let mut draw = || values[((u64::from(rng.next_u32()) * n) >> 32) as usize];
    let mut means: Vec<f64> =
        (0..RESAMPLES).map(|_| (0..n).map(|_| draw()).sum::<f64>() / n as f64).collect();
    means.sort_by(f64::total_cmp);
    means
}

/// The standard deviation with n - 1; needs two values.
pub(crate) fn deviation(values: &[f64], mean: f64) -> Option<f64> {
    let sum = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (values.len() > 1).then(|| (sum / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "{found} is not {expected}");
    }

    #[test]
    fn the_paired_test_is_that_of_students_sleep_data() {
        // Student (1908), extra hours of sleep with two drugs; R: t.test(extra ~ group, paired = TRUE).
        let one = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let other = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let differences: Vec<f64> = one.iter().zip(other).map(|(one, other)| one - other).collect();
        let found = paired(&differences).expect("ten pairs");
        let interval = found.interval.expect("ten pairs");
        near(found.mean, -1.58, 1e-9);
        near(interval.low, -2.459_885_8, 1e-6);
        near(interval.high, -0.700_114_2, 1e-6);
        near(found.p.expect("they differ"), 0.002_832_89, 1e-7);
        // All nine that differ do so in the same direction: 2/2^9.
        assert_eq!(found.p_wilcoxon, Some(2.0 / 512.0));
        // t / sqrt n = -4.062128 / sqrt 10.
        near(found.d_z.expect("they differ"), -1.284_558, 1e-5);
        assert_eq!(interval.method, Method::StudentT);
    }

    #[test]
    fn differences_that_are_all_the_same_have_no_test() {
        for differences in [&[0.0; 5][..], &[2.0; 20], &[1.0]] {
            let found = paired(differences).expect("a difference");
            assert_eq!((found.mean, found.d_z, found.p), (differences[0], None, None));
        }
        assert_eq!(paired(&[]), None);
        assert_eq!(paired(&[1.0]).expect("one").interval, None);
    }

    #[test]
    fn wilson_is_that_of_newcombes_table() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        for (hits, trials, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let found = wilson(hits, trials).expect("trials");
            near(found.low, low, 5e-5);
            near(found.high, high, 5e-5);
        }
        assert_eq!(wilson(7, 7).map(|all| all.high), Some(1.0));
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn holm_by_hand() {
        // Ascending: 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1 raised to the one before.
        let found = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in found.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            near(*found, expected, 1e-12);
        }
        assert_eq!(holm(&[0.7, 0.9]), [1.0, 1.0]);
        assert_eq!(holm(&[]), Vec::<f64>::new());
    }

    #[test]
    fn the_bootstrap_begins_at_15_runs_and_gives_the_same_every_time() {
        let values: Vec<f64> = (0..15).map(|nth| f64::from(nth * nth % 7)).collect();
        let found = mean_interval(&values).expect("15 values");
        assert_eq!(found.method, Method::BcaBootstrap);
        assert_eq!(mean_interval(&values), Some(found));
        assert_eq!(mean_interval(&values[..14]).expect("14 values").method, Method::StudentT);
        let many = vec![1.0; BOOTSTRAP_TO + 1];
        assert_eq!(mean_interval(&many).expect("many").method, Method::StudentT);
        let alike = mean_interval(&[3.0; 20]).expect("20 values");
        assert_eq!((alike.low, alike.high), (3.0, 3.0));
        assert_eq!(mean_interval(&[3.0]), None);
    }

    #[test]
    fn the_bootstrap_is_near_the_normal_interval_where_nothing_is_skewed() {
        // 0 to 100, evenly: s = 29.3002, so 50 -+ 1.96 s / sqrt 101 = 50 -+ 5.714.
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        let found = mean_interval(&values).expect("101 values");
        near(found.low, 44.286, 0.5);
        near(found.high, 55.714, 0.5);
    }

    #[test]
    fn the_bootstrap_follows_the_skew() {
        // One value far above the rest: the mean may well be much higher, and hardly lower.
        let values: Vec<f64> = (0..20).map(|nth| if nth == 0 { 100.0 } else { f64::from(nth % 3) }).collect();
        let mean = stats::mean(&values).expect("values");
        let found = mean_interval(&values).expect("20 values");
        assert!(found.high - mean > 1.5 * (mean - found.low), "{found:?} about {mean}");
    }

    #[test]
    fn nineteen_of_twenty_intervals_hold_the_mean() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut uniform = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
        let holds = (0..400)
            .filter(|_| {
                let values: Vec<f64> = (0..20).map(|_| uniform()).collect();
                let found = bca(&values).expect("20 values");
                found.low <= 0.5 && 0.5 <= found.high
            })
            .count();
        // 95 % of 400 is 380; 20 values give a bootstrap a little less.
        assert!((360..=395).contains(&holds), "{holds} of 400");
    }
}
