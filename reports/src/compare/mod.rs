//! Cells of a grid, each run with the same seeds, held against the first of them.

mod grid;
pub mod inference;
mod kept;
mod output;
mod page;
mod signed_rank;
mod table;

use std::collections::BTreeMap;

use serde::Serialize;

pub use grid::{CellRun, Factor, Grid, Scale};
pub use kept::KeptRun;
pub use output::Output;
pub use table::comparison_table;

use crate::aggregate::figures;
use crate::record::Summary;
use crate::record::decimal::rounded;
use crate::stats;
use inference::{Method, holm, mean_interval, paired, wilson};

/// The figures that a comparison is about: those of the table, over whose comparisons p values are corrected.
pub const MAIN_FIGURES: [&str; 6] = [
    "completion_s.p50",
    "completion_s.p95",
    "completion_s.mean",
    "stretch_mean",
    "seed_upload_copies",
    COMPLETED_SHARE,
];
/// Its interval is pooled over the hosts of all runs.
const COMPLETED_SHARE: &str = "completed_share";

/// How the cells differ (`comparison.json`, `comparison.csv`).
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Comparison {
    /// The scenario's name.
    pub scenario: String,
    /// Version of the program.
    pub version: String,
    /// `des` or `turmoil`.
    pub backend: String,
    /// The paths of what varies.
    pub axes: Vec<String>,
    /// The seeds of each cell.
    pub seeds: Vec<u64>,
    /// What differences are taken from: the values of the first cell.
    pub baseline: Vec<String>,
    /// How many comparisons `p_holm` is corrected for.
    pub comparisons: usize,
    /// A row for each cell and figure, cell by cell.
    pub rows: Vec<Row>,
}

/// One figure of one cell. A run that did not reach it is right-censored, as in
/// [`Spread`](crate::aggregate::Spread): there is no mean, interval or difference without all runs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// The cell's number; 0 is the baseline.
    pub cell: usize,
    /// The cell's values, as they were written.
    pub values: Vec<String>,
    /// The figure, by its name in `summary.json`.
    pub figure: String,
    /// How many runs.
    pub runs: usize,
    /// How many of them reached it.
    pub reached: usize,
    /// The median over the runs, by nearest rank.
    pub median: Option<f64>,
    /// The mean over the runs; of `completed_share` over all hosts of all runs.
    pub mean: Option<f64>,
    /// The lower end of its 95 % interval.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// How the interval was found.
    pub interval: Option<Method>,
    /// The mean difference to the baseline, run by run with the same seed.
    pub difference: Option<f64>,
    /// The lower end of its 95 % interval.
    pub difference_low: Option<f64>,
    /// The upper end.
    pub difference_high: Option<f64>,
    /// How that interval was found.
    pub difference_interval: Option<Method>,
    /// Cohen's d_z of the difference.
    pub d_z: Option<f64>,
    /// The paired t test, two-sided, by itself.
    pub p: Option<f64>,
    /// Wilcoxon's signed-rank test, two-sided, by itself.
    pub p_wilcoxon: Option<f64>,
    /// `p` after Holm's correction over the comparisons of all [`MAIN_FIGURES`].
    pub p_holm: Option<f64>,
}

/// Holds the cells of `grid` against the first; `cells` has a run for each seed of each cell.
pub fn compare(grid: &Grid, cells: &[Vec<CellRun>]) -> Comparison {
    let mut names: Vec<String> = Vec::new();
    let mut values: Vec<BTreeMap<String, Vec<Option<f64>>>> = Vec::new();
    for runs in cells {
        let mut of_cell: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
        for (name, value) in runs.iter().flat_map(|run| figures(&run.summary)) {
            if !names.contains(&name) {
                names.push(name.clone());
            }
            of_cell.entry(name).or_default().push(value);
        }
        values.push(of_cell);
    }
    let mut rows = Vec::new();
    for (cell, runs) in cells.iter().enumerate() {
        for name in names.iter().filter(|name| values[cell].contains_key(*name)) {
            let baseline = (cell > 0).then(|| values[0].get(name)).flatten();
            let mut row = row(&values[cell][name], baseline);
            if name == COMPLETED_SHARE {
                pool(&mut row, runs.iter().map(|run| &run.summary));
            }
            let label = grid.values(cell).into_iter().map(str::to_owned).collect();
            rows.push(Row { cell, values: label, figure: name.clone(), ..row });
        }
    }
    let comparisons = correct(&mut rows);
    Comparison {
        scenario: grid.scenario.clone(),
        version: grid.version.clone(),
        backend: grid.backend.clone(),
        axes: grid.factors.iter().map(|factor| factor.path.clone()).collect(),
        seeds: grid.seeds.clone(),
        baseline: grid.values(0).into_iter().map(str::to_owned).collect(),
        comparisons,
        rows,
    }
}

fn row(values: &[Option<f64>], baseline: Option<&Vec<Option<f64>>>) -> Row {
    let mut reached: Vec<f64> = values.iter().flatten().copied().collect();
    let all = reached.len() == values.len();
    let interval = mean_interval(&reached).filter(|_| all);
    let mean = stats::mean(&reached).filter(|_| all);
    let pairs = baseline.and_then(|baseline| differences(values, baseline));
    let paired = pairs.and_then(|pairs| paired(&pairs));
    let difference_interval = paired.and_then(|paired| paired.interval);
    reached.sort_by(f64::total_cmp);
    Row {
        cell: 0,
        values: Vec::new(),
        figure: String::new(),
        runs: values.len(),
        reached: reached.len(),
        median: stats::quantile(&reached, values.len(), 0.5),
        mean: mean.map(rounded),
        low: interval.map(|interval| rounded(interval.low)),
        high: interval.map(|interval| rounded(interval.high)),
        interval: interval.map(|interval| interval.method),
        difference: paired.map(|paired| rounded(paired.mean)),
        difference_low: difference_interval.map(|interval| rounded(interval.low)),
        difference_high: difference_interval.map(|interval| rounded(interval.high)),
        difference_interval: difference_interval.map(|interval| interval.method),
        d_z: paired.and_then(|paired| paired.d_z).map(rounded),
        p: paired.and_then(|paired| paired.p).map(significant),
        p_wilcoxon: paired.and_then(|paired| paired.p_wilcoxon).map(significant),
        p_holm: None,
    }
}

/// Run by run; `None` if one of them was not reached.
fn differences(values: &[Option<f64>], baseline: &[Option<f64>]) -> Option<Vec<f64>> {
    if values.len() != baseline.len() {
        return None;
    }
    // What is equal but for the last digits of six is equal.
    values.iter().zip(baseline).map(|(value, base)| Some(rounded((*value)? - (*base)?))).collect()
}

/// The share of all hosts of all runs in place of the mean of the runs' shares.
fn pool<'a>(row: &mut Row, summaries: impl Iterator<Item = &'a Summary>) {
    let add = |(hits, trials), summary: &Summary| (hits + summary.completed, trials + summary.eligible);
    let (hits, trials) = summaries.fold((0, 0), add);
    let interval = wilson(hits, trials);
    row.mean = (trials > 0).then(|| rounded(hits as f64 / trials as f64));
    row.low = interval.map(|interval| rounded(interval.low));
    row.high = interval.map(|interval| rounded(interval.high));
    row.interval = interval.map(|interval| interval.method);
}

/// Fills `p_holm`; the number of comparisons.
fn correct(rows: &mut [Row]) -> usize {
    let main = |row: &&mut Row| MAIN_FIGURES.contains(&row.figure.as_str()) && row.p.is_some();
    let mut tested: Vec<&mut Row> = rows.iter_mut().filter(main).collect();
    let p: Vec<f64> = tested.iter().filter_map(|row| row.p).collect();
    for (row, corrected) in tested.iter_mut().zip(holm(&p)) {
        row.p_holm = Some(significant(corrected));
    }
    p.len()
}

/// To six significant digits: a p value may be very small.
fn significant(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Completion;

    fn run(p50: Option<f64>, completed: u64) -> CellRun {
        let completion_s = Completion { p50, ..Completion::default() };
        let summary = Summary { completion_s, completed, eligible: 10, ..Summary::default() };
        CellRun { summary, ..CellRun::default() }
    }

    fn two_cells(cells: &[Vec<CellRun>]) -> Comparison {
        let factor = Factor { path: "x".into(), values: vec!["a".into(), "b".into()], scale: None };
        compare(&Grid { factors: vec![factor], ..Grid::default() }, cells)
    }

    fn find<'a>(comparison: &'a Comparison, cell: usize, figure: &str) -> &'a Row {
        comparison.rows.iter().find(|row| row.cell == cell && row.figure == figure).expect("a row")
    }

    #[test]
    fn differences_are_taken_run_by_run() {
        let cells =
            [[10.0, 20.0, 30.0], [11.0, 22.0, 33.0]].map(|cell| cell.map(|p50| run(Some(p50), 10)).to_vec());
        let found = two_cells(&cells);
        let base = find(&found, 0, "completion_s.p50");
        assert_eq!((base.median, base.mean, base.difference, base.p), (Some(20.0), Some(20.0), None, None));
        let other = find(&found, 1, "completion_s.p50");
        // Differences 1, 2, 3: mean 2, s 1, t = 2 sqrt 3 = 3.4641 with 2 degrees, p = 0.0742; t(0.975, 2) = 4.302653.
        assert_eq!((other.difference, other.d_z), (Some(2.0), Some(2.0)));
        assert_eq!((other.difference_low, other.difference_high), (Some(-0.484_138), Some(4.484_138)));
        assert!((other.p.expect("a test") - 0.074_180).abs() < 1e-5, "{other:?}");
        assert_eq!(other.p_wilcoxon, Some(0.25), "all three upwards: 2/2^3");
        // It is the only comparison: completed_share is the same in both.
        assert_eq!((found.comparisons, other.p_holm), (1, other.p));
        assert_eq!(find(&found, 1, COMPLETED_SHARE).p, None);
    }

    #[test]
    fn a_run_that_did_not_get_there_leaves_no_mean_and_no_difference() {
        let all = [1.0, 2.0, 3.0].map(|p50| run(Some(p50), 10)).to_vec();
        let some = [Some(1.0), None, Some(3.0)].map(|p50| run(p50, 5)).to_vec();
        let found = two_cells(&[all, some]);
        let row = find(&found, 1, "completion_s.p50");
        assert_eq!((row.runs, row.reached, row.median), (3, 2, Some(3.0)));
        assert_eq!((row.mean, row.low, row.difference, row.p), (None, None, None, None));
        let share = find(&found, 1, COMPLETED_SHARE);
        // 15 of 30, by Wilson: 0.5 -+ 1.96 sqrt(0.25/30 + 1.96²/3600) / (1 + 1.96²/30).
        assert_eq!((share.mean, share.interval), (Some(0.5), Some(Method::Wilson)));
        assert_eq!((share.low, share.high), (Some(0.331_541), Some(0.668_459)));
    }
}
