//! The formulas behind the figures, over plain numbers.

/// How the pieces of the content are spread over the hosts present.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Health {
    /// m + |{i: c_i > m}| / n, with c_i the copies of piece i, m their minimum and n the number of pieces
    /// (libtorrent's `distributed_copies`): the whole part counts complete copies.
    pub distributed_copies: f64,
    /// m: copies of the rarest piece.
    pub availability_min: u32,
    /// Mean copies of a piece.
    pub availability_mean: f64,
    /// Pieces of which there are m copies.
    pub rarest_pieces: u32,
    /// Shannon entropy of the shares c_i / sum c, over its greatest value ln n: 1 where all pieces are equally
    /// common. 1 for a single piece, 0 where there are no copies at all.
    pub piece_entropy: f64,
}

impl Health {
    /// The health of a swarm with `copies[i]` copies of piece i.
    pub fn of(copies: &[u32]) -> Self {
        let Some(&min) = copies.iter().min() else { return Self::default() };
        let rarest = copies.iter().filter(|&&count| count == min).count();
        let pieces = copies.len() as f64;
        let total: u64 = copies.iter().map(|&count| u64::from(count)).sum();
        Self {
            distributed_copies: f64::from(min) + (copies.len() - rarest) as f64 / pieces,
            availability_min: min,
            availability_mean: total as f64 / pieces,
            rarest_pieces: rarest as u32,
            piece_entropy: entropy(copies, total),
        }
    }
}

fn entropy(copies: &[u32], total: u64) -> f64 {
    match (copies.len(), total) {
        (_, 0) => 0.0,
        (1, _) => 1.0,
        (pieces, _) => {
            let shares =
                copies.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) / total as f64);
            // `libm` rather than the system's logarithm: the figure is the same bytes on every machine.
            shares.map(|share| -share * libm::log(share)).sum::<f64>() / libm::log(pieces as f64)
        }
    }
}

/// The nearest-rank quantile of `population` values of which only `sorted`, ascending, were observed; the others
/// are censored above all of them. The value of rank ceil(q * population), or `None` if that one is censored.
pub fn quantile(sorted: &[f64], population: usize, q: f64) -> Option<f64> {
    let rank = (q * population as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

/// The mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Jain's fairness index (sum x)² / (n sum x²), from 1/n to 1; `None` where all are 0.
pub fn jain(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    (squares > 0.0).then(|| sum * sum / (values.len() as f64 * squares))
}

/// The effective number of sources 1 / sum p_i², with p_i the share of the bytes that came from source i;
/// `None` if nothing came.
pub fn effective_sources(bytes_by_source: impl IntoIterator<Item = u64>) -> Option<f64> {
    let (mut sum, mut squares) = (0.0, 0.0);
    for bytes in bytes_by_source {
        sum += bytes as f64;
        squares += bytes as f64 * bytes as f64;
    }
    (squares > 0.0).then(|| sum * sum / squares)
}

/// A line through points.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Line {
    /// How much it rises from one unit to the next.
    pub slope: f64,
    /// The share of the variance that it accounts for; `None` where there is none.
    pub r2: Option<f64>,
}

/// The line of least squares through points (x, y); `None` if they have not two different x at least.
pub fn least_squares(points: &[(f64, f64)]) -> Option<Line> {
    let xs: Vec<f64> = points.iter().map(|point| point.0).collect();
    let ys: Vec<f64> = points.iter().map(|point| point.1).collect();
    let (mean_x, mean_y) = (mean(&xs)?, mean(&ys)?);
    let products =
        |of: fn(f64, f64) -> f64| -> f64 { points.iter().map(|&(x, y)| of(x - mean_x, y - mean_y)).sum() };
    let (xx, xy, yy) = (products(|x, _| x * x), products(|x, y| x * y), products(|_, y| y * y));
    (xx > 0.0).then(|| Line { slope: xy / xx, r2: (yy > 0.0).then(|| xy * xy / (xx * yy)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributed_copies_by_hand() {
        let cases: &[(&[u32], f64)] =
            &[(&[], 0.0), (&[0, 0], 0.0), (&[1, 0], 0.5), (&[1, 1], 1.0), (&[2, 3, 5, 2], 2.5), (&[4], 4.0)];
        for (copies, expected) in cases {
            assert_eq!(Health::of(copies).distributed_copies, *expected, "{copies:?}");
        }
        let health = Health::of(&[2, 3, 5, 2]);
        assert_eq!((health.availability_min, health.availability_mean, health.rarest_pieces), (2, 3.0, 2));
    }

    #[test]
    fn entropy_is_one_when_even_and_falls_with_skew() {
        assert_eq!(Health::of(&[3, 3, 3, 3]).piece_entropy, 1.0);
        assert_eq!(Health::of(&[9]).piece_entropy, 1.0);
        assert_eq!(Health::of(&[0, 0]).piece_entropy, 0.0);
        assert_eq!(Health::of(&[5, 0]).piece_entropy, 0.0);
        // Shares 1/4 and 3/4: (1/4 ln 4 + 3/4 ln 4/3) / ln 2.
        assert!((Health::of(&[1, 3]).piece_entropy - 0.811_278).abs() < 1e-6);
    }

    #[test]
    fn quantiles_are_nearest_ranks_and_censored_ones_are_none() {
        let done = [10.0, 20.0, 30.0, 40.0];
        let cases = [
            (4, 0.5, Some(20.0)),
            (4, 0.51, Some(30.0)),
            (4, 0.95, Some(40.0)),
            (4, 1.0, Some(40.0)),
            (4, 0.0, Some(10.0)),
            (8, 0.5, Some(40.0)),
            (9, 0.5, None),
            (8, 0.95, None),
        ];
        for (population, q, expected) in cases {
            assert_eq!(quantile(&done, population, q), expected, "{q} of {population}");
        }
        assert_eq!(quantile(&[], 0, 0.5), None);
    }

    #[test]
    fn jain_by_hand() {
        assert_eq!(jain(&[5.0, 5.0, 5.0]), Some(1.0));
        assert_eq!(jain(&[5.0, 0.0, 0.0, 0.0]), Some(0.25));
        assert_eq!(jain(&[1.0, 3.0]), Some(0.8));
        assert_eq!(jain(&[0.0, 0.0]), None);
        assert_eq!(jain(&[]), None);
    }

    #[test]
    fn effective_sources_by_hand() {
        assert_eq!(effective_sources([10, 10, 10, 10]), Some(4.0));
        assert_eq!(effective_sources([10, 0]), Some(1.0));
        assert_eq!(effective_sources([1, 3]), Some(1.6));
        assert_eq!(effective_sources([]), None);
    }

    #[test]
    fn a_line_through_points() {
        let line = least_squares(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]).expect("a line");
        assert_eq!(line, Line { slope: 2.0, r2: Some(1.0) });
        // x and y less their means: (-1, -1), (0, 1), (1, 0): xy = 1, xx = 2, yy = 2.
        let line = least_squares(&[(0.0, 0.0), (1.0, 2.0), (2.0, 1.0)]).expect("a line");
        assert_eq!(line, Line { slope: 0.5, r2: Some(0.25) });
        assert_eq!(least_squares(&[(0.0, 4.0), (1.0, 4.0)]), Some(Line { slope: 0.0, r2: None }));
        assert_eq!(least_squares(&[(1.0, 0.0), (1.0, 2.0)]), None);
        assert_eq!(least_squares(&[]), None);
    }
}
