//! Several runs of one scenario, with different seeds, as one: median, mean and 95 % interval of each figure.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::record::decimal::rounded;
use crate::record::folder::{json_bytes, read_json, write_files};
use crate::record::{FittedLine, RecordError, Summary};
use crate::stats;

const FILE: &str = "aggregate.json";

/// What several runs have in common, and how far they differ (`aggregate.json`, `aggregate.csv`).
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// The scenario's name.
    pub scenario: String,
    /// How many runs.
    pub runs: u64,
    /// Their seeds.
    pub seeds: Vec<u64>,
    /// The spread of each figure by its name in `summary.json`, as `completion_s.p50`.
    pub figures: BTreeMap<String, Spread>,
}

/// One figure over the runs. A run that did not reach it is right-censored: it counts for the median as greater
/// than all others, and the mean and its interval are given only where every run reached it.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// How many runs reached it.
    pub reached: u64,
    /// The least.
    pub min: Option<f64>,
    /// The median, by nearest rank.
    pub median: Option<f64>,
    /// The greatest; only where every run reached it.
    pub max: Option<f64>,
    /// The mean.
    pub mean: Option<f64>,
    /// The lower end of the mean's 95 % interval by Student's t; needs two runs.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

/// The aggregate of `summaries`, one for each run.
pub fn aggregate(summaries: &[Summary]) -> Aggregate {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for summary in summaries {
        for (name, value) in figures(summary) {
            values.entry(name).or_default().extend(value);
        }
    }
    Aggregate {
        scenario: summaries.first().map_or_else(String::new, |summary| summary.scenario.clone()),
        runs: summaries.len() as u64,
        seeds: summaries.iter().map(|summary| summary.seed).collect(),
        figures: values.into_iter().map(|(name, values)| (name, spread(values, summaries.len()))).collect(),
    }
}

impl Aggregate {
    /// Writes `aggregate.json` and `aggregate.csv` to `dir`.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), RecordError> {
        let json = json_bytes(dir, FILE, self)?;
        write_files(dir, &[("aggregate.csv", self.to_csv().into_bytes()), (FILE, json)])
    }

    /// Reads what was written to `dir`; `None` if nothing was.
    ///
    /// # Errors
    /// Where the file is malformed, or not to be read.
    pub fn read(dir: &Path) -> Result<Option<Self>, RecordError> {
        if dir.join(FILE).exists() { read_json(dir, FILE).map(Some) } else { Ok(None) }
    }

    /// The figures in the order of `summary.json`, those of classes and lines last.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Spread)> {
        let one = common_figures(&Summary::default()).into_iter();
        let common = one.filter_map(|(name, _)| Some((name, self.figures.get(name)?)));
        let of_scenario = |name: &str| is_of_class(name) || name.starts_with(FIT);
        let others = self.figures.iter().filter(move |(name, _)| of_scenario(name));
        common.chain(others.map(|(name, spread)| (name.as_str(), spread)))
    }

    fn to_csv(&self) -> String {
        let mut text = "figure,reached,min,median,max,mean,low,high\n".to_owned();
        for (name, spread) in self.rows() {
            let Spread { reached, min, median, max, mean, low, high } = spread;
            let cells = [min, median, max, mean, low, high]
                .map(|cell| cell.map_or_else(String::new, |v| v.to_string()));
            text.push_str(&format!("{name},{reached},{}\n", cells.join(",")));
        }
        text
    }
}

/// What the names of the figures of classes begin with.
const CLASS_FIGURES: [&str; 2] = ["class_p50_s.", "clustering."];

/// Figures of runs of a given length.
const STEADY: [&str; 1] = ["download_by_little_s"];

/// Figures of those who watch.
const WATCHING: [&str; 4] = ["startup_p50_s", "stalls_mean", "stalled_mean_s", "late_share_mean"];

/// What the names of figures of lines begin with.
const FIT: &str = "fit.";

/// The figures of one run by name, in the order of `summary.json`, those of classes and lines last.
pub(crate) fn figures(summary: &Summary) -> Vec<(String, Option<f64>)> {
    let watched = summary.late_share_mean.is_some();
    let common = common_figures(summary).into_iter();
    let common = common.filter(|(name, _)| watched || !WATCHING.contains(name));
    let steady = summary.download_by_little_s.is_some();
    let common = common.filter(|(name, _)| steady || !STEADY.contains(name));
    let common = common.map(|(name, value)| (name.to_owned(), value));
    common.chain(class_figures(summary)).chain(fit_figures(&summary.fit)).collect()
}

/// The figures of the classes, by name.
pub(crate) fn class_figures(summary: &Summary) -> impl Iterator<Item = (String, Option<f64>)> {
    let [p50_s, clustering] = CLASS_FIGURES;
    let medians = summary.class_p50_s.iter().map(move |(class, value)| (format!("{p50_s}{class}"), *value));
    let indices = summary.clustering.iter();
    medians.chain(indices.map(move |(class, value)| (format!("{clustering}{class}"), Some(*value))))
}

fn is_of_class(figure: &str) -> bool {
    CLASS_FIGURES.iter().any(|prefix| figure.starts_with(prefix))
}

/// The names of the figures that a claim may be about for a class of hosts.
pub fn class_figure_names(class: &str) -> [String; 2] {
    CLASS_FIGURES.map(|prefix| format!("{prefix}{class}"))
}

/// The figures of lines.
fn fit_figures(fits: &BTreeMap<String, FittedLine>) -> impl Iterator<Item = (String, Option<f64>)> {
    fits.iter().flat_map(|(name, fit)| {
        [("slope_per_s", fit.slope_per_s), ("doubling_s", fit.doubling_s), ("r2", fit.r2)]
            .map(|(figure, value)| (format!("{FIT}{name}.{figure}"), value))
    })
}

/// The figures that every run has.
pub(crate) fn common_figures(summary: &Summary) -> Vec<(&'static str, Option<f64>)> {
    let completion = &summary.completion_s;
    let whole = |value: u64| Some(value as f64);
    let mut all = vec![
        ("completed", whole(summary.completed)),
        ("completed_share", completed_share(summary)),
        ("unfinished", whole(summary.unfinished)),
        ("stalled", whole(summary.stalled)),
        ("completion_s.min", completion.min),
        ("completion_s.mean", completion.mean),
        ("completion_s.p25", completion.p25),
        ("completion_s.p50", completion.p50),
        ("completion_s.p75", completion.p75),
        ("completion_s.p95", completion.p95),
        ("completion_s.max", completion.max),
        ("makespan_s", summary.makespan_s),
        ("bound_s", summary.bound_s),
        ("stretch_last", summary.stretch_last),
        ("stretch_mean", summary.stretch_mean),
        ("upload_utilisation", summary.upload_utilisation),
        ("seed_upload_copies", summary.seed_upload_copies),
        ("max_upload_copies", summary.max_upload_copies),
        ("max_leecher_upload_copies", summary.max_leecher_upload_copies),
        ("leecher_upload_share", summary.leecher_upload_share),
        ("jain_upload", summary.jain_upload),
        ("blocks", whole(summary.blocks)),
        ("duplicate_blocks", whole(summary.duplicate_blocks)),
        ("requests_per_block", summary.requests_per_block),
        ("hash_failures", whole(summary.hash_failures)),
        ("wasted_share", summary.wasted_share),
        ("protocol_overhead", summary.protocol_overhead),
        ("distributed_copies_min", summary.distributed_copies_min),
        ("bootstrap_p50_s", summary.bootstrap_p50_s),
        ("sources_p50", summary.sources_p50),
        ("departed_share_p50", summary.departed_share_p50),
        ("seed_first_copy_unique", summary.seed_first_copy_unique),
        ("seed_duplicate_share", summary.seed_duplicate_share),
        ("interest_p50", summary.interest_p50),
        ("interest_steady_p50", summary.interest_steady_p50),
        ("health_deviation_max", summary.health_deviation_max),
        ("class_order", summary.class_order),
        ("startup_p50_s", summary.startup_p50_s),
        ("stalls_mean", summary.stalls_mean),
        ("stalled_mean_s", summary.stalled_mean_s),
        ("late_share_mean", summary.late_share_mean),
        ("download_by_little_s", summary.download_by_little_s),
        ("simulated_s", Some(summary.simulated_s)),
        ("events", whole(summary.events)),
    ];
    // It stands there only where there is more than one region.
    if let Some(share) = summary.cross_region_share {
        all.push(("cross_region_share", Some(share)));
    }
    all
}

/// Of those that came for the content, the share that got it.
fn completed_share(summary: &Summary) -> Option<f64> {
    (summary.eligible > 0).then(|| rounded(summary.completed as f64 / summary.eligible as f64))
}

fn spread(mut values: Vec<f64>, runs: usize) -> Spread {
    values.sort_by(f64::total_cmp);
    let all = values.len() == runs;
    let mean = stats::mean(&values).filter(|_| all);
    let half = mean.and_then(|mean| half_interval(&values, mean));
    let round = |value: Option<f64>| value.map(rounded);
    Spread {
        reached: values.len() as u64,
        min: values.first().copied(),
        median: stats::quantile(&values, runs, 0.5),
        max: values.last().copied().filter(|_| all),
        mean: round(mean),
        low: round(mean.zip(half).map(|(mean, half)| mean - half)),
        high: round(mean.zip(half).map(|(mean, half)| mean + half)),
    }
}

/// Half the length of the mean's 95 % interval: the t quantile times s / sqrt n.
fn half_interval(values: &[f64], mean: f64) -> Option<f64> {
    let freedom = values.len() as f64 - 1.0;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / freedom;
    Some(half_width(values.len() as u64, 0.95)? * variance.sqrt())
}

/// Half the length of the interval of the mean of so many values at this level, in standard deviations: at 95 %,
/// t(0.975, n - 1) / sqrt n.
pub(crate) fn half_width(values: u64, level: f64) -> Option<f64> {
    let n = values as f64;
    let student = StudentsT::new(0.0, 1.0, n - 1.0).ok()?;
    Some(student.inverse_cdf(f64::midpoint(1.0, level)) / n.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        let spread = spread(vec![4.0, 2.0, 3.0, 1.0, 5.0], 5);
        assert_eq!(
            (spread.median, spread.mean, spread.min, spread.max),
            (Some(3.0), Some(3.0), Some(1.0), Some(5.0))
        );
        // t(0.975, 4) = 2.776445, s = sqrt 2.5: 3 -+ 1.963243.
        assert!((spread.low.expect("five runs") - 1.036_757).abs() < 1e-4, "{spread:?}");
        assert!((spread.high.expect("five runs") - 4.963_243).abs() < 1e-4, "{spread:?}");
    }

    #[test]
    fn a_run_that_did_not_reach_it_is_censored() {
        let two_of_three = spread(vec![1.0, 2.0], 3);
        assert_eq!((two_of_three.median, two_of_three.mean, two_of_three.max), (Some(2.0), None, None));
        assert_eq!(spread(vec![1.0], 3).median, None);
        assert_eq!(spread(vec![], 3), Spread::default());
    }

    #[test]
    fn one_run_has_no_interval() {
        let one = spread(vec![7.0], 1);
        assert_eq!((one.mean, one.low, one.high), (Some(7.0), None, None));
        assert_eq!(aggregate(&[]).runs, 0);
    }

    #[test]
    fn runs_alike_have_an_interval_of_no_length() {
        let alike = spread(vec![7.0; 4], 4);
        assert_eq!((alike.low, alike.high), (Some(7.0), Some(7.0)));
    }
}
