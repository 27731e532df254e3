//! Whether a scenario's claim holds, judged over the figures alone.

use crate::aggregate::{Aggregate, Spread, common_figures, figures, half_width};
use crate::record::{Bar, Judgement, Summary, Verdict};
use crate::words;

/// The names of the figures that a claim may be about, as they stand in `summary.json`; there is one more for each
/// class, such as `class_p50_s.leecher`.
pub fn figure_names() -> impl Iterator<Item = &'static str> {
    common_figures(&Summary::default()).into_iter().map(|(name, _)| name)
}

/// Judges one run: the claim holds if every figure lies in its range, and is refuted if one does not. A figure that
/// was not reached lies in no range.
pub fn judge(summary: &Summary, bars: &[Bar]) -> Judgement {
    let figures = figures(summary);
    let judged = bars.iter().map(|bar| {
        let value = figures.iter().find(|(name, _)| *name == bar.figure).and_then(|(_, value)| *value);
        let verdict =
            if value.is_some_and(|value| bar.holds(value, value)) { Verdict::Held } else { Verdict::Refuted };
        let measured = value.map_or_else(|| "not reached".to_owned(), words::figure);
        (verdict, format!("{} {measured} (claimed {})", bar.figure, bar.range()))
    });
    combine(judged.collect())
}

/// Judges several runs: a figure's part of the claim holds if the 95% interval of its mean lies in the range, is
/// refuted if it lies outside, and is open if it lies across an end. A figure that some runs did not reach is refuted.
pub fn judge_runs(aggregate: &Aggregate, bars: &[Bar]) -> Judgement {
    let judged = bars.iter().map(|bar| {
        let spread = aggregate.figures.get(&bar.figure).copied().unwrap_or_default();
        let (verdict, measured) = match (spread.low, spread.high) {
            (Some(low), Some(high)) => {
                let verdict = match (bar.holds(low, high), bar.excludes(low, high)) {
                    (true, _) => Verdict::Held,
                    (_, true) => Verdict::Refuted,
                    _ => Verdict::Inconclusive,
                };
                let open =
                    if verdict == Verdict::Inconclusive { would_tell(&spread, bar) } else { String::new() };
                (verdict, format!("{} .. {}{open}", words::figure(low), words::figure(high)))
            }
            _ => (Verdict::Refuted, format!("reached in {} of {} runs", spread.reached, aggregate.runs)),
        };
        (verdict, format!("{} {measured} (claimed {})", bar.figure, bar.range()))
    });
    combine(judged.collect())
}

/// How many runs would tell on which side of an end of the range the mean lies, if mean and spread stay what they are.
fn would_tell(spread: &Spread, bar: &Bar) -> String {
    let (Some(mean), Some(low), Some(high)) = (spread.mean, spread.low, spread.high) else {
        return String::new();
    };
    let across = [bar.from, bar.to].into_iter().flatten().filter(|end| (low..=high).contains(end));
    let distance = across.map(|end| (mean - end).abs()).fold(f64::INFINITY, f64::min);
    match runs_for(spread.reached, (high - low) / 2.0, distance) {
        Some(runs) => format!(", {runs} runs would tell"),
        None => ", more runs than anybody makes would tell".to_owned(),
    }
}

/// The least number of runs whose interval is less than `distance` to either side of the mean, where that of `runs` runs
/// is `half`: t(n - 1) s / sqrt n, with the s that `half` follows from.
fn runs_for(runs: u64, half: f64, distance: f64) -> Option<u64> {
    const MOST: u64 = 1_000_000;
    let deviation = half / half_width(runs)?;
    let enough = |runs: u64| half_width(runs).is_some_and(|width| width * deviation < distance);
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

/// One part refuted refutes the whole; else one part open leaves it open.
fn combine(parts: Vec<(Verdict, String)>) -> Judgement {
    let any = |verdict| parts.iter().any(|(part, _)| *part == verdict);
    let verdict = match () {
        () if parts.is_empty() => Verdict::NotJudged,
        () if any(Verdict::Refuted) => Verdict::Refuted,
        () if any(Verdict::Inconclusive) => Verdict::Inconclusive,
        () => Verdict::Held,
    };
    let why: Vec<String> = parts.into_iter().map(|(_, why)| why).collect();
    Judgement { verdict, why: why.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate;

    fn bar(figure: &str, from: Option<f64>, to: Option<f64>) -> Bar {
        Bar { figure: figure.to_owned(), from, to }
    }

    fn run(makespan_s: Option<f64>) -> Summary {
        Summary { makespan_s, eligible: 4, completed: 4, ..Summary::default() }
    }

    #[test]
    fn a_run_holds_what_lies_in_every_range() {
        let bars = [bar("makespan_s", None, Some(3.0)), bar("completed_share", Some(1.0), Some(1.0))];
        assert_eq!(judge(&run(Some(3.0)), &bars).verdict, Verdict::Held);
        let refuted = judge(&run(Some(3.5)), &bars);
        assert_eq!(refuted.verdict, Verdict::Refuted);
        assert_eq!(refuted.why, "makespan_s 3.5 (claimed at most 3); completed_share 1 (claimed 1)");
        assert_eq!(judge(&run(None), &bars).verdict, Verdict::Refuted, "what was not reached");
        assert_eq!(judge(&run(Some(1.0)), &[]).verdict, Verdict::NotJudged);
    }

    #[test]
    fn runs_hold_what_their_interval_lies_in() {
        let runs =
            |values: &[f64]| aggregate(&values.iter().map(|value| run(Some(*value))).collect::<Vec<_>>());
        let verdict =
            |values: &[f64], from, to| judge_runs(&runs(values), &[bar("makespan_s", from, to)]).verdict;
        // The interval of 1 to 5 is 1.04 .. 4.96.
        let five = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(verdict(&five, Some(1.0), Some(5.0)), Verdict::Held);
        assert_eq!(verdict(&five, Some(2.0), None), Verdict::Inconclusive);
        assert_eq!(verdict(&five, Some(5.0), None), Verdict::Refuted);
        assert_eq!(verdict(&five, None, Some(1.0)), Verdict::Refuted);
        let open = judge_runs(&runs(&five), &[bar("makespan_s", Some(2.0), None)]);
        // The mean is 3, s is sqrt 2.5: t(0.975, 11) s / sqrt 12 = 1.005, and with 13 runs 0.955.
        assert_eq!(open.why, "makespan_s 1.04 .. 4.96, 13 runs would tell (claimed at least 2)");
        let never = judge_runs(&runs(&five), &[bar("makespan_s", Some(3.0), None)]);
        assert!(never.why.contains("more runs than anybody makes"), "{}", never.why);
        let some = aggregate(&[run(Some(1.0)), run(None)]);
        let judged = judge_runs(&some, &[bar("makespan_s", Some(0.0), None)]);
        assert_eq!(judged.verdict, Verdict::Refuted);
        assert!(judged.why.contains("reached in 1 of 2 runs"), "{}", judged.why);
    }
}
