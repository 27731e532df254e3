//! Wilcoxon's signed-rank test (Biometrics Bulletin 1, 1945): do the differences of pairs lie about 0? `statrs` has none.

use statrs::distribution::{ContinuousCDF as _, Normal};

/// Up to so many differences the distribution is the exact one; beyond, it is all but normal.
const EXACT_TO: usize = 50;

/// The two-sided p value of `differences`; `None` where none of them differs from 0. Zeros are left out, and equal sizes
/// share the mean of their ranks.
pub(super) fn p(differences: &[f64]) -> Option<f64> {
    let ranks = doubled_ranks(differences);
    if ranks.is_empty() {
        return None;
    }
    Some(if ranks.len() <= EXACT_TO { exact(&ranks) } else { normal(&ranks) })
}

/// Twice the rank of the size of each difference but 0, and whether the difference is above 0: twice, so that the mean
/// rank of equal sizes is a whole number.
fn doubled_ranks(differences: &[f64]) -> Vec<(u64, bool)> {
    let mut sizes: Vec<(f64, bool)> = differences
        .iter()
        .filter(|difference| **difference != 0.0)
        .map(|difference| (difference.abs(), *difference > 0.0))
        .collect();
    sizes.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut ranks = Vec::with_capacity(sizes.len());
    for alike in sizes.chunk_by(|(a, _), (b, _)| a == b) {
        let (first, last) = (ranks.len() as u64 + 1, (ranks.len() + alike.len()) as u64);
        ranks.extend(alike.iter().map(|(_, above)| (first + last, *above)));
    }
    ranks
}

/// The sum of the doubled ranks of the differences above 0, and that of all.
fn sums(ranks: &[(u64, bool)]) -> (u64, u64) {
    let above = ranks.iter().filter(|(_, above)| *above);
    (above.map(|(rank, _)| rank).sum(), ranks.iter().map(|(rank, _)| rank).sum())
}

/// Of all ways to give the ranks a sign, each as likely as the next, the share whose smaller sum is no greater than this one.
fn exact(ranks: &[(u64, bool)]) -> f64 {
    let (above, all) = sums(ranks);
    let least = above.min(all - above) as usize;
    let mut shares = vec![0.0; least + 1];
    shares[0] = 1.0;
    for (rank, _) in ranks {
        let rank = *rank as usize;
        for sum in (0..=least).rev() {
            let without = if sum >= rank { shares[sum - rank] } else { 0.0 };
            shares[sum] = (shares[sum] + without) / 2.0;
        }
    }
    (2.0 * shares.iter().sum::<f64>()).min(1.0)
}

/// By the normal distribution, corrected for continuity and for equal sizes, as R's `wilcox.test` does.
fn normal(ranks: &[(u64, bool)]) -> f64 {
    let n = ranks.len() as f64;
    let (above, all) = sums(ranks);
    let distance = (above as f64 - all as f64 / 2.0).abs() / 2.0;
    let alike = ranks.chunk_by(|(a, _), (b, _)| a == b).map(|alike| alike.len() as f64);
    let ties: f64 = alike.map(|count| count * count * count - count).sum();
    let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0).sqrt();
    let z = (distance - 0.5).max(0.0) / deviation;
    (2.0 * Normal::standard().cdf(-z)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "{found} is not {expected}");
    }

    #[test]
    #[expect(clippy::approx_constant, reason = "a measured value is 3.14")]
    fn it_is_rs_on_the_depression_scores_of_hollander_and_wolfe() {
        // Hollander and Wolfe (1973), p. 29 f.; R: wilcox.test(x, y, paired = TRUE) gives V = 40, p-value = 0.03906.
        let first = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
        let second = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
        let differences: Vec<f64> = first.iter().zip(second).map(|(one, other)| one - other).collect();
        assert_eq!(sums(&doubled_ranks(&differences)).0, 2 * 40);
        near(p(&differences).expect("they differ"), 20.0 / 512.0, 1e-12);
    }

    #[test]
    fn the_normal_one_is_rs_on_students_sleep_data() {
        // R: wilcox.test(extra ~ group, paired = TRUE) cannot be exact with ties and a zero: V = 0, p-value = 0.009091.
        let differences = [-1.2, -2.4, -1.3, -1.3, 0.0, -1.0, -1.8, -0.8, -4.6, -1.4];
        near(normal(&doubled_ranks(&differences)), 0.009_091, 5e-7);
    }

    /// The greatest sum that is significant at 0.05, two-sided, in the tables (Wilcoxon and Wilcox, 1964).
    #[test]
    fn the_exact_one_is_that_of_the_tables() {
        for (n, critical) in
            [(6, 0), (7, 2), (8, 3), (9, 5), (10, 8), (12, 13), (15, 25), (20, 52), (25, 89), (30, 137)]
        {
            let with_sum = |sum: u64| {
                // Any signs with this sum will do: the greatest ranks that still fit.
                let mut rest = sum;
                let mut ranks: Vec<(u64, bool)> = (1..=n)
                    .rev()
                    .map(|rank| {
                        let above = rank <= rest;
                        rest -= if above { rank } else { 0 };
                        (2 * rank, above)
                    })
                    .collect();
                ranks.reverse();
                exact(&ranks)
            };
            assert!(with_sum(critical) <= 0.05, "{n}: {}", with_sum(critical));
            assert!(with_sum(critical + 1) > 0.05, "{n}: {}", with_sum(critical + 1));
        }
    }

    #[test]
    fn equal_sizes_share_their_rank_and_zeros_have_none() {
        // Sizes 1, 1, 2 have the ranks 1.5, 1.5, 3: signs -, +, + make 1.5 of 6, and two of eight ways make no more
        // but 0: -1, -1' and none of them: 0, 1.5, 1.5.
        assert_eq!(doubled_ranks(&[2.0, 0.0, -1.0, 1.0]), [(3, false), (3, true), (6, true)]);
        assert_eq!(p(&[2.0, 0.0, -1.0, 1.0]), Some(2.0 * 3.0 / 8.0));
        assert_eq!((p(&[0.0, 0.0]), p(&[])), (None, None));
        assert_eq!(p(&[5.0]), Some(1.0), "one pair tells nothing");
    }

    #[test]
    fn the_two_agree_where_one_takes_over_from_the_other() {
        let differences: Vec<f64> =
            (1..=50).map(|nth| f64::from(nth) * if nth % 3 == 0 { -1.0 } else { 1.0 }).collect();
        let ranks = doubled_ranks(&differences);
        near(exact(&ranks), normal(&ranks), 0.002);
        assert!(exact(&ranks) < 0.05, "{}", exact(&ranks));
        let many: Vec<f64> = (0..2100).map(|nth| f64::from(nth % 7) - 3.0).collect();
        near(p(&many).expect("they differ"), 1.0, 0.01);
    }
}
