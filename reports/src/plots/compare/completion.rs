//! Who had finished by when, in each cell.

use plotters::prelude::{Color as _, DrawingBackend};

use super::super::axis::Axis;
use super::super::canvas::{Anchor, Canvas, Drawn, Frame};
use super::super::draw::{
    BOTTOM, HEADER, LEFT, RIGHT, TEXT, TOP, draw_title, draw_x_axis, draw_x_grid, draw_y_axis,
};
use super::super::figure::{Dash, ink};
use super::Chart;
use super::sheet::{INKS, Legend};
use crate::compare::{CellRun, Grid};
use crate::stats;
use crate::words;

pub const HOW_TO_READ: &str = "At each time, counted from a host's own joining, the share of the hosts that had the \
    whole content: the line over all runs of a cell together, the band where 95 % of its runs lie (all of them, \
    where there are fewer than 40). An upright line is the least time in which all of a cell's hosts could have \
    finished: black where it is the same in all cells, else of the cell's colour.";

/// The same for the runs of one scenario.
pub const OF_RUNS: &str = "At each time, counted from a host's own joining, the share of the hosts that had the \
    whole content: the line over all runs together, the band where 95 % of the runs lie (all of them, where there are \
    fewer than 40). The upright line is the least time in which all could have finished.";

/// Moments at which the shares are taken.
const STEPS: usize = 240;

pub struct Completion {
    title: String,
    x: Axis,
    curves: Vec<Spread>,
    bounds: Bounds,
    caption: String,
}

/// The least possible times.
enum Bounds {
    /// Of all cells.
    Same(f64),
    /// Of each cell that has one.
    Each(Vec<Option<f64>>),
}

/// The curve of a cell and the band around it: time, lower end, curve, upper end.
struct Spread {
    label: String,
    points: Vec<(f64, [f64; 3])>,
}

pub fn chart(grid: &Grid, cells: &[Vec<CellRun>], finding: &str) -> Completion {
    let mut title = finding.to_owned();
    if cells.len() > INKS.len() {
        title = format!("The first {} of {} cells. {title}", INKS.len(), cells.len());
    }
    let cells: Vec<_> =
        cells.iter().enumerate().map(|(cell, runs)| (grid.label(cell), &runs[..])).take(INKS.len()).collect();
    of_cells(title, &cells)
}

/// The runs of one scenario.
pub fn of_runs(name: &str, runs: &[CellRun], finding: &str) -> Completion {
    of_cells(finding.to_owned(), &[(name.to_owned(), runs)])
}

fn of_cells(title: String, cells: &[(String, &[CellRun])]) -> Completion {
    let each: Vec<Option<f64>> = cells.iter().map(|(_, runs)| bound_s(runs)).collect();
    let runs = || cells.iter().flat_map(|(_, runs)| *runs);
    let times_s = runs().filter_map(|run| run.download_s.last()).chain(each.iter().flatten());
    let x = Axis::time("time since joining", times_s.fold(0.0, |a: f64, b| a.max(*b)) * 1.05);
    let curve = |(label, runs): &(String, &[CellRun])| Spread {
        label: label.clone(),
        points: (0..=STEPS)
            .map(|step| x.high() * step as f64 / STEPS as f64)
            .map(|at_s| (at_s, shares(runs, at_s)))
            .collect(),
    };
    let curves = cells.iter().map(curve).collect();
    let mut sources: Vec<&str> = runs().filter_map(|run| run.summary.bound_by.as_deref()).collect();
    sources.dedup();
    let bounds = match each[..] {
        [Some(bound_s), ..] if each.iter().all(|other| *other == Some(bound_s)) => Bounds::Same(bound_s),
        _ => Bounds::Each(each),
    };
    let caption = caption(&bounds, &sources);
    Completion { title, x, curves, bounds, caption }
}

/// The least possible time of a cell, where it is the same in all its runs.
fn bound_s(runs: &[CellRun]) -> Option<f64> {
    let bound_s = runs.first()?.summary.bound_s?;
    runs.iter().all(|run| run.summary.bound_s == Some(bound_s)).then_some(bound_s)
}

/// What bands and upright lines are, and whose theorem it is.
fn caption(bounds: &Bounds, sources: &[&str]) -> String {
    let whose = if let [source] = sources { format!(" ({source})") } else { String::new() };
    match bounds {
        Bounds::Same(bound_s) => {
            format!("band: 95 % of the runs; upright: least possible{whose}, {}", words::seconds(*bound_s))
        }
        Bounds::Each(each) if each.iter().any(Option::is_some) => {
            format!("band: 95 % of the runs; upright: least possible{whose}")
        }
        Bounds::Each(_) => "band: 95 % of the runs".to_owned(),
    }
}

/// The shares that had finished: what 2.5 % of the runs stay below, all runs together, what 2.5 % lie above.
fn shares(runs: &[CellRun], at_s: f64) -> [f64; 3] {
    let done = |run: &CellRun| run.download_s.partition_point(|time_s| *time_s <= at_s) as f64;
    let eligible = |run: &CellRun| run.summary.eligible as f64;
    let mut each: Vec<f64> = runs.iter().map(|run| done(run) / eligible(run).max(1.0)).collect();
    each.sort_by(f64::total_cmp);
    let quantile = |q| stats::quantile(&each, each.len(), q).unwrap_or(0.0);
    let all = runs.iter().map(done).sum::<f64>() / runs.iter().map(eligible).sum::<f64>().max(1.0);
    [quantile(0.025), all, quantile(0.975)]
}

impl Chart for Completion {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<DB>) -> Drawn<DB> {
        draw_title(canvas, &self.title)?;
        let names: Vec<String> = self.curves.iter().map(|curve| curve.label.clone()).collect();
        let legend = Legend::new(canvas, &names);
        legend.draw(canvas, TOP - 8.0)?;
        let top = TOP + legend.height();
        canvas.text("hosts that have finished", (22.0, top + 10.0), TEXT, ink::GREY, Anchor::Left)?;
        canvas.text(&self.caption, (RIGHT, top + 10.0), TEXT, ink::GREY, Anchor::Right)?;
        let frame = Frame { left: LEFT, top: top + HEADER, right: RIGHT, bottom: BOTTOM };
        let y = Axis::percent("");
        draw_y_axis(canvas, &y, &frame)?;
        draw_x_grid(canvas, &self.x, &frame)?;
        let at = |time_s: f64, share: f64| frame.at(self.x.position(time_s), y.position(share));
        // Where many bands lie over each other, the curves must still stand out.
        let strength = (0.36 / self.curves.len().max(1) as f64).min(0.18);
        for (curve, (colour, _)) in self.curves.iter().zip(INKS) {
            let low = curve.points.iter().map(|(time_s, [low, ..])| at(*time_s, *low));
            let high = curve.points.iter().rev().map(|(time_s, [.., high])| at(*time_s, *high));
            canvas.polygon(&low.chain(high).collect::<Vec<_>>(), colour.mix(strength))?;
        }
        for (curve, (colour, dash)) in self.curves.iter().zip(INKS) {
            let line: Vec<_> = curve.points.iter().map(|(time_s, [_, all, _])| at(*time_s, *all)).collect();
            canvas.line(&line, colour, 2.2, dash)?;
        }
        let upright =
            |bound_s, colour, dash| canvas.line(&[at(bound_s, 0.0), at(bound_s, 1.0)], colour, 2.2, dash);
        match &self.bounds {
            Bounds::Same(bound_s) => upright(*bound_s, ink::BLACK, Dash::Dashed)?,
            Bounds::Each(each) => {
                for (bound_s, (colour, dash)) in each.iter().zip(INKS) {
                    bound_s.map_or(Ok(()), |bound_s| upright(bound_s, colour, dash))?;
                }
            }
        }
        draw_x_axis(canvas, &self.x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::KUMAR_ROSS;
    use crate::record::Summary;

    fn run(bound_s: Option<f64>) -> CellRun {
        let bound_by = bound_s.map(|_| KUMAR_ROSS.to_owned());
        let summary = Summary { bound_s, bound_by, eligible: 2, ..Summary::default() };
        CellRun { summary, download_s: vec![50.0, 60.0] }
    }

    #[test]
    fn cells_with_one_bound_have_one_line() {
        let (forty, eighty) = ([run(Some(40.0)), run(Some(40.0))], [run(Some(80.0))]);
        let mixed = [run(Some(40.0)), run(Some(41.0))];
        let cells = |cells: &[&[CellRun]]| {
            let cells: Vec<_> = cells.iter().map(|runs| (String::new(), *runs)).collect();
            of_cells(String::new(), &cells)
        };
        let same = cells(&[&forty, &forty]);
        assert!(matches!(same.bounds, Bounds::Same(40.0)));
        assert_eq!(same.caption, "band: 95 % of the runs; upright: least possible (Kumar and Ross), 40 s");
        let each = cells(&[&forty, &eighty, &mixed]);
        assert!(matches!(&each.bounds, Bounds::Each(each) if each == &[Some(40.0), Some(80.0), None]));
        assert!(each.caption.ends_with("upright: least possible (Kumar and Ross)"), "{}", each.caption);
        assert!(each.x.high() > 80.0, "nobody was so late, but the line is on the axis");
        assert_eq!(cells(&[&[run(None)]]).caption, "band: 95 % of the runs");
    }
}
