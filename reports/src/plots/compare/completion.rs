//! Who had finished by when, in each cell.

use plotters::prelude::{Color as _, DrawingBackend};

use super::super::axis::Axis;
use super::super::canvas::{Anchor, Canvas, Drawn, Frame};
use super::super::draw::{
    BOTTOM, HEADER, LEFT, RIGHT, TEXT, TOP, draw_title, draw_x_axis, draw_x_grid, draw_y_axis,
};
use super::super::figure::ink;
use super::Chart;
use super::sheet::{INKS, Legend};
use crate::compare::{CellRun, Grid};
use crate::stats;

pub const HOW_TO_READ: &str = "At each time, counted from a host's own joining, the share of the hosts that had the \
    whole content: the line over all runs of a cell together, the band where 95 % of its runs lie (all of them, \
    where there are fewer than 40).";

/// Moments at which the shares are taken.
const STEPS: usize = 240;

pub struct Completion {
    title: String,
    x: Axis,
    curves: Vec<Spread>,
}

/// The curve of a cell and the band around it: time, lower end, curve, upper end.
struct Spread {
    label: String,
    points: Vec<(f64, [f64; 3])>,
}

pub fn chart(grid: &Grid, cells: &[Vec<CellRun>], finding: &str) -> Completion {
    let last_s = cells
        .iter()
        .take(INKS.len())
        .flatten()
        .filter_map(|run| run.download_s.last())
        .fold(0.0, |a: f64, b| a.max(*b));
    let x = Axis::time("time since joining", last_s * 1.05);
    let curve = |(cell, runs): (usize, &Vec<CellRun>)| Spread {
        label: grid.label(cell),
        points: (0..=STEPS)
            .map(|step| x.high() * step as f64 / STEPS as f64)
            .map(|at_s| (at_s, shares(runs, at_s)))
            .collect(),
    };
    let curves = cells.iter().enumerate().take(INKS.len()).map(curve).collect();
    let mut title = finding.to_owned();
    if cells.len() > INKS.len() {
        title = format!("The first {} of {} cells. {title}", INKS.len(), cells.len());
    }
    Completion { title, x, curves }
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
        canvas.text("band: 95 % of the runs", (RIGHT, top + 10.0), TEXT, ink::GREY, Anchor::Right)?;
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
        draw_x_axis(canvas, &self.x)
    }
}
