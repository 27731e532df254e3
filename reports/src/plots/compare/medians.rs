//! The median download time of each run, as boxes.

use plotters::prelude::{Color as _, DrawingBackend};

use super::super::axis::Axis;
use super::super::canvas::{Anchor, Canvas, Drawn, Frame};
use super::super::draw::{BOTTOM, HEADER, RIGHT, TEXT, TOP, draw_title, draw_x_grid};
use super::super::figure::{Dash, ink, thinned};
use super::Chart;
use super::sheet::{SHORT, shortened};
use crate::compare::{CellRun, Grid};
use crate::stats;

pub const HOW_TO_READ: &str = "Each dot is a run: the time by which half of its hosts had finished. The box holds \
    the middle half of the runs, the stroke is their median, and between the whiskers lie 95 % of them (all, where \
    there are fewer than 40). Cells whose boxes lie apart differ more than chance makes runs differ.";

const NAMES: f64 = 196.0;
const MOST_CELLS: usize = 16;
const MOST_DOTS: usize = 200;

pub struct Medians {
    title: String,
    x: Axis,
    boxes: Vec<Boxed>,
}

/// The runs of a cell.
struct Boxed {
    label: String,
    /// Those in which half of the hosts finished, ascending.
    values: Vec<f64>,
    runs: usize,
}

pub fn chart(grid: &Grid, cells: &[Vec<CellRun>], finding: &str) -> Medians {
    let boxed = |(cell, runs): (usize, &Vec<CellRun>)| {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run.summary.completion_s.p50).collect();
        values.sort_by(f64::total_cmp);
        Boxed { label: grid.label(cell), values, runs: runs.len() }
    };
    let boxes: Vec<Boxed> = cells.iter().enumerate().take(MOST_CELLS).map(boxed).collect();
    let most = boxes.iter().filter_map(|boxed| boxed.values.last()).fold(0.0, |a: f64, b| a.max(*b));
    let mut title = finding.to_owned();
    if cells.len() > MOST_CELLS {
        title = format!("The first {MOST_CELLS} of {} cells. {title}", cells.len());
    }
    Medians { title, x: Axis::time("median download time of a run", most * 1.05), boxes }
}

impl Chart for Medians {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<DB>) -> Drawn<DB> {
        draw_title(canvas, &self.title)?;
        let legend = "dot: a run; box: middle half; whiskers: 95 % of the runs";
        canvas.text(legend, (RIGHT, TOP + 10.0), TEXT, ink::GREY, Anchor::Right)?;
        let frame = Frame { left: NAMES, top: TOP + HEADER, right: RIGHT, bottom: BOTTOM };
        draw_x_grid(canvas, &self.x, &frame)?;
        let height = (frame.bottom - frame.top) / self.boxes.len().max(1) as f64;
        for (nth, boxed) in self.boxes.iter().enumerate() {
            let top = frame.top + height * nth as f64;
            boxed.draw(canvas, &self.x, &Frame { top, bottom: top + height, ..frame })?;
        }
        for (at, text) in &self.x.ticks {
            let across = frame.at(self.x.position(*at), 0.0).0;
            canvas.text(text, (across, BOTTOM + 17.0), TEXT, ink::BLACK, Anchor::Center)?;
        }
        let middle = (NAMES + RIGHT) / 2.0;
        canvas.text(&self.x.label, (middle, BOTTOM + 44.0), TEXT, ink::GREY, Anchor::Center)
    }
}

impl Boxed {
    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, x: &Axis, frame: &Frame) -> Drawn<DB> {
        let middle = (frame.top + frame.bottom) / 2.0;
        let half = ((frame.bottom - frame.top) * 0.28).min(26.0);
        let name = (frame.left - 12.0, middle);
        canvas.text(&shortened(&self.label, SHORT), name, TEXT, ink::BLACK, Anchor::Right)?;
        if self.values.is_empty() {
            let text = "in no run did half of the hosts finish";
            return canvas.text(text, (frame.left + 12.0, middle), TEXT, ink::GREY, Anchor::Left);
        }
        // What was not reached lies beyond the end, and has no mark there.
        let quantile = |q| stats::quantile(&self.values, self.runs, q);
        let across = |q| frame.at(x.position(quantile(q).unwrap_or(f64::INFINITY)), 0.0).0;
        let (low, high) = (across(0.025), across(0.975));
        let line = |points: &[(f64, f64)], width, colour| canvas.line(points, colour, width, Dash::Solid);
        line(&[(low, middle), (high, middle)], 1.6, ink::BLUE)?;
        for end in [0.025, 0.975].into_iter().filter(|q| quantile(*q).is_some()).map(across) {
            line(&[(end, middle - half * 0.6), (end, middle + half * 0.6)], 1.6, ink::BLUE)?;
        }
        let (left, right) = (across(0.25), across(0.75));
        let (top, bottom) = (middle - half, middle + half);
        if quantile(0.25).is_some() {
            let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
            canvas.polygon(&corners, plotters::style::WHITE.to_rgba())?;
            canvas.polygon(&corners, ink::BLUE.mix(0.2))?;
            // Where its end was not reached it is open.
            let open = quantile(0.75).is_none();
            let outline = [(right, top), (left, top), (left, bottom), (right, bottom), (right, top)];
            line(&outline[..if open { 4 } else { 5 }], 1.6, ink::BLUE)?;
        }
        if quantile(0.5).is_some() {
            let median = across(0.5);
            line(&[(median, top - 3.0), (median, bottom + 3.0)], 3.0, ink::ORANGE)?;
        }
        // The stroke hides none of the runs, not even the only one.
        for (nth, value) in thinned(&self.values, MOST_DOTS).into_iter().enumerate() {
            let offset = ((nth as f64 * 0.618_034).fract() - 0.5) * half;
            let at = (frame.at(x.position(value), 0.0).0, middle + offset);
            canvas.dot(at, 3.4, ink::BLACK.mix(0.6))?;
        }
        if self.values.len() < self.runs {
            let text = format!("not reached in {} of {} runs", self.runs - self.values.len(), self.runs);
            let at = (frame.right - 4.0, bottom + 9.0);
            return canvas.text(&text, at, 13.0, ink::GREY, Anchor::Right);
        }
        Ok(())
    }
}
