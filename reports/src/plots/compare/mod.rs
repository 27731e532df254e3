//! The plots of a comparison. A plot's file decides what to show, words the finding and draws it.

mod completion;
mod heat;
mod medians;
mod sheet;
mod trend;

use plotters::prelude::DrawingBackend;

use super::canvas::{self, Canvas, Drawn};
use super::{Plot, PlotError};
use crate::compare::{CellRun, Comparison, Grid, Row};
use crate::stats;
use crate::words;

/// The figure that the plots are about.
const FIGURE: &str = "completion_s.p50";

/// A plot that can be drawn on either kind of sheet.
trait Chart {
    /// The finding, in words.
    fn title(&self) -> &str;
    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<DB>) -> Drawn<DB>;
}

/// Draws the plots that suit the grid: a line only for values that are numbers, colours only for two factors.
pub(crate) fn plots(
    grid: &Grid,
    cells: &[Vec<CellRun>],
    comparison: &Comparison,
) -> Result<Vec<Plot>, PlotError> {
    let medians: Vec<&Row> = comparison.rows.iter().filter(|row| row.figure == FIGURE).collect();
    let finding = finding(grid, &medians);
    let mut plots = vec![
        plot("completion", completion::HOW_TO_READ, &completion::chart(grid, cells, &finding))?,
        plot("medians", medians::HOW_TO_READ, &medians::chart(grid, cells, &finding))?,
    ];
    if let Some(chart) = trend::chart(grid, &medians) {
        plots.push(plot("trend", trend::HOW_TO_READ, &chart)?);
    }
    if let Some(chart) = heat::chart(grid, &medians) {
        plots.push(plot("heat", heat::HOW_TO_READ, &chart)?);
    }
    Ok(plots)
}

/// Draws who had finished by when over the runs of one scenario.
pub(crate) fn of_runs(scenario: &str, runs: &[CellRun]) -> Result<Plot, PlotError> {
    let chart = completion::of_runs(scenario, runs, &finding_of_runs(runs));
    plot("completion", completion::OF_RUNS, &chart)
}

/// When half had finished, in the runs in the middle and at the ends.
fn finding_of_runs(runs: &[CellRun]) -> String {
    let mut medians: Vec<f64> = runs.iter().filter_map(|run| run.summary.completion_s.p50).collect();
    medians.sort_by(f64::total_cmp);
    let number = words::plural(runs.len() as u64, "run");
    match (stats::quantile(&medians, runs.len(), 0.5), &medians[..]) {
        (Some(median), [first, .., last]) if medians.len() == runs.len() => format!(
            "Half had finished after {} in the median of {number} ({} to {})",
            words::seconds(median),
            words::seconds(*first),
            words::seconds(*last)
        ),
        _ => format!("Half had finished in {} of {number}", words::count(medians.len() as u64)),
    }
}

fn plot(name: &'static str, how_to_read: &'static str, chart: &impl Chart) -> Result<Plot, PlotError> {
    let svg = canvas::svg(name, chart.title(), |canvas| chart.draw(canvas))?;
    let png = canvas::png(name, |canvas| chart.draw(canvas))?;
    Ok(Plot { name, title: chart.title().to_owned(), how_to_read, note: None, svg, png })
}

/// Which cell is the quickest, and which the slowest.
fn finding(grid: &Grid, rows: &[&Row]) -> String {
    let reached = || rows.iter().filter_map(|row| Some((row.median?, row.cell)));
    let quickest = reached().min_by(|(a, _), (b, _)| a.total_cmp(b));
    let slowest = reached().max_by(|(a, _), (b, _)| a.total_cmp(b));
    let never = rows.iter().filter(|row| row.median.is_none()).count();
    let name = |cell| sheet::shortened(&grid.label(cell), sheet::SHORT);
    let mut text = match (quickest, slowest) {
        (Some((least, one)), Some((most, other))) if one != other => format!(
            "half had finished after {} ({}) to {} ({})",
            words::seconds(least),
            name(one),
            words::seconds(most),
            name(other),
        ),
        (Some((time_s, _)), _) => format!("half had finished after {}", words::seconds(time_s)),
        _ => "most runs of every cell ended before half had finished".to_owned(),
    };
    if never > 0 && quickest.is_some() {
        text.push_str(&format!("; not in most runs of {}", words::plural(never as u64, "cell")));
    }
    if let [factor] = &grid.factors[..] {
        return format!("By {}: {text}", factor.path);
    }
    // It begins the title.
    text[..1].make_ascii_uppercase();
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Factor, Scale, compare};
    use crate::record::{Completion, Summary};

    fn factor(path: &str, values: usize, numbers: bool) -> Factor {
        let names = (0..values).map(|nth| format!("<a long name & another> {nth}")).collect();
        let scale = Scale { unit: "s", numbers: (0..values).map(|nth| (nth * nth) as f64).collect() };
        Factor { path: path.to_owned(), values: names, scale: numbers.then_some(scale) }
    }

    /// Runs of five hosts, of which so many finish.
    fn cells(grid: &Grid, runs: usize, done: usize) -> Vec<Vec<CellRun>> {
        let download_s: Vec<f64> = (0..done).map(|nth| nth as f64 + 1.0).collect();
        let completion_s = Completion { p50: download_s.get(2).copied(), ..Completion::default() };
        let summary = Summary { completion_s, eligible: 5, completed: done as u64, ..Summary::default() };
        vec![vec![CellRun { summary, download_s }; runs]; grid.cells()]
    }

    #[test]
    fn runs_of_one_scenario_are_told_by_their_medians() {
        let grid = Grid { factors: vec![factor("a", 1, false)], ..Grid::default() };
        let mut runs = cells(&grid, 3, 5).remove(0);
        (runs[0].summary.completion_s.p50, runs[2].summary.completion_s.p50) = (Some(9.0), Some(1.0));
        let plot = of_runs("<swarm>", &runs).expect("a plot");
        assert_eq!(plot.title, "Half had finished after 3 s in the median of 3 runs (1 s to 9 s)");
        assert!(!plot.svg.contains("<swarm>"));
        runs[1].summary.completion_s.p50 = None;
        assert_eq!(finding_of_runs(&runs), "Half had finished in 2 of 3 runs");
        assert_eq!(finding_of_runs(&[]), "Half had finished in 0 of 0 runs");
    }

    #[test]
    fn odd_grids_are_drawn_too() {
        for (factors, expected) in [
            (vec![factor("a", 1, false)], 2),
            (vec![factor("a", 30, false)], 2),
            (vec![factor("a", 30, true)], 3),
            (vec![factor("a", 3, false), factor("b", 3, true)], 4),
            (vec![factor("a", 2, false), factor("b", 9, false)], 2),
            (vec![factor("a", 1, true), factor("b", 2, true), factor("c", 2, false)], 3),
        ] {
            let grid = Grid { factors, seeds: vec![1], ..Grid::default() };
            for (runs, done) in [(1, 5), (3, 0), (3, 1)] {
                let cells = cells(&grid, runs, done);
                let drawn = plots(&grid, &cells, &compare(&grid, &cells)).expect("plots");
                assert_eq!(drawn.len(), expected, "{:?}", grid.factors);
                assert!(drawn.iter().all(|plot| !plot.svg.contains("<a long") && !plot.png.is_empty()));
            }
        }
    }
}
