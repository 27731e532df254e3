//! Whether a scenario's claims hold, judged over the figures of runs alone.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use crate::aggregate::{common_figures, figures, half_width};
use crate::compare::inference::deviation;
use crate::record::{Claim, Judgement, Range, Relation, Summary, Verdict};
use crate::stats;
use crate::words;

/// The names of the figures that a claim may be about, as they stand in `summary.json`; there are more for each class,
/// such as `class_p50_s.leecher`, and for each line, such as `fit.flood.r2`.
pub fn figure_names() -> impl Iterator<Item = &'static str> {
    // Some figures stand there only where they mean something.
    let all = Summary { cross_region_share: Some(0.0), ..Summary::default() };
    common_figures(&all).into_iter().map(|(name, _)| name)
}

/// The runs of a cell, by its settings; seed by seed the same in each. `None` where the cell was not run.
pub type Cells<'a> = dyn Fn(&[String]) -> Option<Vec<&'a Summary>> + 'a;

/// What came of a claim over several runs.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Judged {
    /// Held if the interval of the mean lies in the range, refuted if it lies outside, open if it lies across an end.
    pub verdict: Verdict,
    /// How many runs.
    pub runs: u64,
    /// How many of them reached the figure. Unless all did, the claim is refuted.
    pub reached: u64,
    /// The mean over the runs.
    pub mean: Option<f64>,
    /// The lower end of its interval by Student's t, at the claim's level; of one run, the value.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// Of a trend: the one-sided p value of its direction, by the t test over the runs.
    pub p: Option<f64>,
    /// How many runs would tell, where it is open: `None` if nobody would make so many.
    pub would_tell: Option<u64>,
}

/// Judges a claim; `None` where a cell that it needs was not run.
pub fn judge_claim(claim: &Claim, cells: &Cells<'_>) -> Option<Judged> {
    values(claim, &claim.measured, cells).map(|values| judge_values(claim, &values))
}

/// Judges a claim under its negative control; `None` where it has none, or a cell was not run.
pub fn judge_control(claim: &Claim, cells: &Cells<'_>) -> Option<Judged> {
    let controlled = claim.controlled.as_ref()?;
    values(claim, controlled, cells).map(|values| judge_values(claim, &values))
}

/// Judges those claims that runs of the scenario as it is can tell. One refuted refutes the whole; else one open leaves
/// it open.
pub fn judge(runs: &[&Summary], claims: &[Claim]) -> Judgement {
    let cells: &Cells<'_> = &|settings| settings.is_empty().then(|| runs.to_vec());
    let of_one_cell = claims.iter().filter(|claim| claim.is_of_one_cell());
    let judged = of_one_cell.filter_map(|claim| Some((claim, judge_claim(claim, cells)?)));
    let judged: Vec<_> = judged.collect();
    let any = |verdict| judged.iter().any(|(_, judged)| judged.verdict == verdict);
    let verdict = match () {
        () if judged.is_empty() => Verdict::NotJudged,
        () if any(Verdict::Refuted) => Verdict::Refuted,
        () if any(Verdict::Inconclusive) => Verdict::Inconclusive,
        () => Verdict::Held,
    };
    // Two experiments may claim the same.
    let mut why: Vec<String> = Vec::new();
    for line in judged.iter().map(|(claim, judged)| judged.why(claim)) {
        if !why.contains(&line) {
            why.push(line);
        }
    }
    Judgement { verdict, why: why.join("; ") }
}

impl Judged {
    /// The figure, what was measured and what was claimed, in a line.
    pub fn why(&self, claim: &Claim) -> String {
        let open = match (self.verdict, self.would_tell) {
            (Verdict::Inconclusive, Some(runs)) => format!(", {runs} runs would tell"),
            (Verdict::Inconclusive, None) => ", more runs than anybody makes would tell".to_owned(),
            _ => String::new(),
        };
        format!("{} {}{open} (claimed {})", claim.measure(), self.measured(), claim.range)
    }

    /// What was measured: the value of one run, the interval of several.
    pub fn measured(&self) -> String {
        match (self.low, self.high) {
            (Some(low), Some(_)) if self.runs == 1 => words::figure(low),
            (Some(low), Some(high)) => format!("{} .. {}", words::figure(low), words::figure(high)),
            _ if self.runs == 1 => "not reached".to_owned(),
            _ => format!("reached in {} of {} runs", self.reached, self.runs),
        }
    }
}

/// What is held against the range, run by run; `None` for a run that did not reach it.
fn values(claim: &Claim, measured: &[Vec<String>], cells: &Cells<'_>) -> Option<Vec<Option<f64>>> {
    let of_cell = |settings: &[String]| {
        let runs = cells(settings)?;
        Some(runs.into_iter().map(|run| value(run, &claim.metric)).collect::<Vec<_>>())
    };
    let columns = measured.iter().map(|cell| of_cell(cell)).collect::<Option<Vec<_>>>()?;
    let first = columns.first()?;
    let with = |reference: Vec<Option<f64>>, relate: fn(f64, f64) -> f64| {
        let pairs = first.iter().zip(reference);
        pairs
            .map(|(value, other)| Some(relate((*value)?, other?)).filter(|value| value.is_finite()))
            .collect()
    };
    Some(match &claim.relation {
        Relation::Itself => first.clone(),
        Relation::Over(cell) => with(of_cell(cell)?, |value, other| value / other),
        Relation::Minus(cell) => with(of_cell(cell)?, |value, other| value - other),
        Relation::PerDoubling { values, .. } => (0..first.len())
            .map(|run| {
                let points = values
                    .iter()
                    .zip(&columns)
                    .map(|(x, column)| Some((libm::log2(*x), column.get(run).copied().flatten()?)));
                Some(stats::least_squares(&points.collect::<Option<Vec<_>>>()?)?.slope)
            })
            .collect(),
    })
}

fn value(run: &Summary, metric: &str) -> Option<f64> {
    figures(run).into_iter().find(|(name, _)| name == metric).and_then(|(_, value)| value)
}

fn judge_values(claim: &Claim, values: &[Option<f64>]) -> Judged {
    let reached: Vec<f64> = values.iter().flatten().copied().collect();
    let judged = Judged {
        verdict: Verdict::Refuted,
        runs: values.len() as u64,
        reached: reached.len() as u64,
        ..Judged::default()
    };
    let Some(mean) = stats::mean(&reached).filter(|_| reached.len() == values.len()) else { return judged };
    let deviation = deviation(&reached, mean);
    // A single run is judged by its value.
    let half = half_width(judged.runs, claim.confidence).zip(deviation).map_or(0.0, |(width, s)| width * s);
    let (low, high) = (mean - half, mean + half);
    let verdict = match claim.range {
        range if range.holds(low, high) => Verdict::Held,
        range if range.excludes(low, high) => Verdict::Refuted,
        _ => Verdict::Inconclusive,
    };
    let is_trend = matches!(claim.relation, Relation::PerDoubling { .. });
    Judged {
        verdict,
        mean: Some(mean),
        low: Some(low),
        high: Some(high),
        p: deviation.filter(|_| is_trend).and_then(|s| one_sided(mean / s, judged.runs)),
        would_tell: would_tell(claim, judged.runs, mean, half),
        ..judged
    }
}

/// How likely a mean so many standard deviations from 0, in this direction, is without a trend. `None` where the runs do
/// not differ.
fn one_sided(mean: f64, runs: u64) -> Option<f64> {
    let student = StudentsT::new(0.0, 1.0, runs as f64 - 1.0).ok()?;
    mean.is_finite().then(|| student.cdf(-mean.abs() * (runs as f64).sqrt()))
}

/// How many runs would tell on which side of an end of the range the mean lies, if mean and spread stay what they are.
fn would_tell(claim: &Claim, runs: u64, mean: f64, half: f64) -> Option<u64> {
    let Range { from, to } = claim.range;
    let across = [from, to].into_iter().flatten().filter(|end| (mean - end).abs() <= half);
    let distance = across.map(|end| (mean - end).abs()).fold(f64::INFINITY, f64::min);
    if distance.is_infinite() { None } else { runs_for(runs, claim.confidence, half, distance) }
}

/// The least number of runs whose interval is less than `distance` to either side of the mean, where that of `runs` runs
/// is `half`: t(n - 1) s / sqrt n, with the s that `half` follows from.
fn runs_for(runs: u64, level: f64, half: f64, distance: f64) -> Option<u64> {
    const MOST: u64 = 1_000_000;
    let deviation = half / half_width(runs, level)?;
    let enough = |runs: u64| half_width(runs, level).is_some_and(|width| width * deviation < distance);
    let (mut too_few, mut enough_runs) = (runs, runs.saturating_mul(2));
    while !enough(enough_runs) {
        if enough_runs > MOST {
            return None;
        }
        (too_few, enough_runs) = (enough_runs, enough_runs * 2);
    }
    while enough_runs - too_few > 1 {
        let middle = too_few.midpoint(enough_runs);
        if enough(middle) {
            enough_runs = middle;
        } else {
            too_few = middle;
        }
    }
    Some(enough_runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(metric: &str, from: Option<f64>, to: Option<f64>) -> Claim {
        Claim { metric: metric.to_owned(), range: Range { from, to }, ..Claim::default() }
    }

    fn run(makespan_s: Option<f64>) -> Summary {
        Summary { makespan_s, eligible: 4, completed: 4, ..Summary::default() }
    }

    fn judged(values: &[f64], claim: Claim) -> Judgement {
        let runs: Vec<Summary> = values.iter().map(|value| run(Some(*value))).collect();
        judge(&runs.iter().collect::<Vec<_>>(), &[claim])
    }

    #[test]
    fn a_run_holds_what_lies_in_every_range() {
        let claims = [claim("makespan_s", None, Some(3.0)), claim("completed_share", Some(1.0), Some(1.0))];
        assert_eq!(judge(&[&run(Some(3.0))], &claims).verdict, Verdict::Held);
        let refuted = judge(&[&run(Some(3.5))], &claims);
        assert_eq!(refuted.verdict, Verdict::Refuted);
        assert_eq!(refuted.why, "makespan_s 3.5 (claimed at most 3); completed_share 1 (claimed 1)");
        let never = judge(&[&run(None)], &claims);
        assert_eq!(never.verdict, Verdict::Refuted, "what was not reached");
        assert!(never.why.starts_with("makespan_s not reached (claimed"), "{}", never.why);
        assert_eq!(judge(&[&run(Some(1.0))], &[]).verdict, Verdict::NotJudged);
        let twice = [claims[0].clone(), claims[0].clone()];
        assert_eq!(judge(&[&run(Some(3.0))], &twice).why, "makespan_s 3 (claimed at most 3)", "said once");
    }

    #[test]
    fn runs_hold_what_their_interval_lies_in() {
        // The interval of 1 to 5 is 1.04 .. 4.96.
        let five = [1.0, 2.0, 3.0, 4.0, 5.0];
        let verdict = |from, to| judged(&five, claim("makespan_s", from, to)).verdict;
        assert_eq!(verdict(Some(1.0), Some(5.0)), Verdict::Held);
        assert_eq!(verdict(Some(2.0), None), Verdict::Inconclusive);
        assert_eq!(verdict(Some(5.0), None), Verdict::Refuted);
        assert_eq!(verdict(None, Some(1.0)), Verdict::Refuted);
        let open = judged(&five, claim("makespan_s", Some(2.0), None));
        // The mean is 3, s is sqrt 2.5: t(0.975, 11) s / sqrt 12 = 1.005, and with 13 runs 0.955.
        assert_eq!(open.why, "makespan_s 1.04 .. 4.96, 13 runs would tell (claimed at least 2)");
        let never = judged(&five, claim("makespan_s", Some(3.0), None));
        assert!(never.why.contains("more runs than anybody makes"), "{}", never.why);
        let some = judge(&[&run(Some(1.0)), &run(None)], &[claim("makespan_s", Some(0.0), None)]);
        assert_eq!(some.verdict, Verdict::Refuted);
        assert!(some.why.contains("reached in 1 of 2 runs"), "{}", some.why);
    }

    #[test]
    fn a_wider_level_holds_less() {
        // t(0.95, 4) = 2.1318 and t(0.99, 4) = 3.7469 times sqrt 0.5: 3 -+ 1.507 and 3 -+ 2.649.
        let five = [1.0, 2.0, 3.0, 4.0, 5.0];
        let at = |confidence, from| {
            judged(&five, Claim { confidence, ..claim("makespan_s", Some(from), None) }).verdict
        };
        assert_eq!(at(0.9, 1.49), Verdict::Held);
        assert_eq!(at(0.9, 1.5), Verdict::Inconclusive);
        assert_eq!(at(0.98, 0.35), Verdict::Held);
        assert_eq!(at(0.98, 0.36), Verdict::Inconclusive);
    }

    /// Cells by the text of their settings.
    fn of_cells(claim: &Claim, cells: &[(&str, [f64; 3])]) -> (Option<Judged>, Option<Judged>) {
        let cells: Vec<(&str, Vec<Summary>)> = cells
            .iter()
            .map(|(name, values)| (*name, values.map(|value| run(Some(value))).to_vec()))
            .collect();
        let find = |settings: &[String]| {
            let cell = cells.iter().find(|(name, _)| *name == settings.join(" "));
            cell.map(|(_, runs)| runs.iter().collect())
        };
        (judge_claim(claim, &find), judge_control(claim, &find))
    }

    fn cell(settings: &str) -> Vec<String> {
        settings.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn cells_are_held_against_each_other_seed_by_seed() {
        let cells = [("", [1.0, 2.0, 4.0]), ("x=1", [1.2, 2.4, 4.8]), ("y=1", [1.2, 2.4, 8.0])];
        let over = |control: &str| Claim {
            measured: vec![cell("x=1")],
            relation: Relation::Over(Vec::new()),
            controlled: Some(vec![cell(control)]),
            ..claim("makespan_s", Some(1.19), Some(1.21))
        };
        let (held, control) = of_cells(&over("y=1"), &cells);
        let held = held.expect("both cells are there");
        assert_eq!(
            (held.verdict, held.mean.map(|mean| (mean * 1e6).round())),
            (Verdict::Held, Some(1_200_000.0))
        );
        assert_eq!(
            held.why(&over("y=1")),
            "makespan_s (x=1) / makespan_s (as it is) 1.2 .. 1.2 (claimed 1.19 to 1.21)"
        );
        assert_eq!(control.expect("it is there").verdict, Verdict::Inconclusive, "1.2, 1.2, 2 lies across");
        assert_eq!(of_cells(&over("z=1"), &cells).1, None, "a cell that was not run");
        let minus = Claim {
            measured: vec![cell("x=1")],
            relation: Relation::Minus(cell("y=1")),
            ..claim("makespan_s", None, Some(-5.0))
        };
        let (difference, control) = of_cells(&minus, &cells);
        // 0, 0, -3.2: mean -1.07, s 1.85; t(0.975, 2) = 4.303: -5.66 .. 3.52.
        let difference = difference.expect("both cells are there");
        assert_eq!((difference.verdict, control), (Verdict::Inconclusive, None));
        assert!(difference.low.is_some_and(|low| (low + 5.656).abs() < 1e-2), "{difference:?}");
        assert_eq!(judge(&[], &[minus]).verdict, Verdict::NotJudged, "one cell cannot tell");
    }

    #[test]
    fn a_trend_is_a_slope_for_each_seed() {
        let trend = Claim {
            measured: vec![cell("n=1"), cell("n=2"), cell("n=4")],
            relation: Relation::PerDoubling { field: "n".to_owned(), values: vec![1.0, 2.0, 4.0] },
            confidence: 0.98,
            ..claim("makespan_s", Some(0.0), None)
        };
        // Slopes 1, 2, 3: t = 2 / (1 / sqrt 3) = 3.4641 with 2 degrees; one-sided p = 0.0371.
        let cells = [("n=1", [0.0, 0.0, 0.0]), ("n=2", [1.0, 2.0, 3.0]), ("n=4", [2.0, 4.0, 6.0])];
        let judged = of_cells(&trend, &cells).0.expect("all cells are there");
        assert_eq!((judged.verdict, judged.mean), (Verdict::Inconclusive, Some(2.0)), "{judged:?}");
        assert!(judged.p.is_some_and(|p| (p - 0.037_09).abs() < 1e-4), "{judged:?}");
        assert_eq!(trend.measure(), "makespan_s per doubling of n");
        assert_eq!(of_cells(&trend, &cells[..2]).0, None);
        let clear = [("n=1", [0.0, 0.1, 0.0]), ("n=2", [1.0, 1.0, 1.1]), ("n=4", [2.0, 2.0, 2.1])];
        let judged = of_cells(&trend, &clear).0.expect("all cells are there");
        assert_eq!(judged.verdict, Verdict::Held);
        assert!(judged.p.is_some_and(|p| p < 0.01), "{judged:?}");
    }
}
