//! How the median download time follows a factor whose values are numbers.

use plotters::prelude::DrawingBackend;

use super::super::axis::Axis;
use super::super::canvas::{Anchor, Canvas, Drawn, Frame};
use super::super::draw::{BOTTOM, HEADER, LEFT, RIGHT, TEXT, TOP, draw_title, draw_x_grid, draw_y_axis};
use super::super::figure::{Dash, ink};
use super::Chart;
use super::sheet::{INKS, Legend};
use crate::compare::{Factor, Grid, Row};
use crate::words;

pub const HOW_TO_READ: &str = "The median download time of a run, as the mean over the runs of a cell with its 95 % \
    interval, over values that are to scale. A cell in which half of the hosts did not finish in every run has no \
    mean, and is left out.";

pub struct Trend {
    title: String,
    x: Axis,
    y: Axis,
    curves: Vec<Curve>,
}

/// Cells that differ in the one factor alone: its number, and lower end, mean and upper end.
struct Curve {
    label: String,
    points: Vec<(f64, [f64; 3])>,
}

/// Over the first factor whose values are numbers, two at least; the others make curves.
pub fn chart(grid: &Grid, rows: &[&Row]) -> Option<Trend> {
    let numbers = |(nth, factor)| Some((nth, factor, Factor::scale_of_two(factor)?));
    let (nth, factor, scale) = grid.factors.iter().enumerate().find_map(numbers)?;
    let mut curves: Vec<(Vec<usize>, Curve)> = Vec::new();
    for row in rows {
        let mut others = grid.places(row.cell);
        let place = others.remove(nth);
        if !curves.iter().any(|(places, _)| *places == others) {
            let mut names = grid.values(row.cell);
            names.remove(nth);
            let label = if names.is_empty() { grid.scenario.clone() } else { names.join(", ") };
            curves.push((others.clone(), Curve { label, points: Vec::new() }));
        }
        let spread = row.mean.map(|mean| [row.low.unwrap_or(mean), mean, row.high.unwrap_or(mean)]);
        let curve = curves.iter_mut().find(|(places, _)| *places == others).map(|(_, curve)| curve);
        curve?.points.extend(spread.map(|spread| (scale.numbers[place], spread)));
    }
    let total = curves.len();
    let mut curves: Vec<Curve> = curves.into_iter().take(INKS.len()).map(|(_, curve)| curve).collect();
    for curve in &mut curves {
        curve.points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    }
    let most =
        curves.iter().flat_map(|curve| &curve.points).fold(0.0, |a: f64, (_, [.., high])| a.max(*high));
    let points: Vec<_> = scale.numbers.iter().copied().zip(factor.values.iter().cloned()).collect();
    let mut title = title(factor.path.as_str(), &curves, &points);
    if total > INKS.len() {
        title = format!("The first {} of {total} curves. {title}", INKS.len());
    }
    let y = Axis::time("median download time", most * 1.1);
    Some(Trend { title, x: Axis::through(&factor.path, &points), y, curves })
}

/// From one end of the first curve to the other.
fn title(path: &str, curves: &[Curve], points: &[(f64, String)]) -> String {
    let word = |value: f64| points.iter().find(|(at, _)| *at == value).map_or("", |(_, text)| text);
    let ends = curves.iter().find(|curve| curve.points.len() > 1);
    let ends = ends.and_then(|curve| Some((curve, curve.points.first()?, curve.points.last()?)));
    match ends {
        Some((curve, (from, [_, before, _]), (to, [_, after, _]))) => {
            let whose = if curves.len() > 1 { format!("{}: half", curve.label) } else { "Half".to_owned() };
            format!(
                "{whose} had finished after {} at {}, and after {} at {}",
                words::seconds(*before),
                word(*from),
                words::seconds(*after),
                word(*to)
            )
        }
        None => format!("Median download time by {path}"),
    }
}

impl Chart for Trend {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<DB>) -> Drawn<DB> {
        draw_title(canvas, &self.title)?;
        let names: Vec<String> = self.curves.iter().map(|curve| curve.label.clone()).collect();
        let legend = Legend::new(canvas, &names);
        legend.draw(canvas, TOP - 8.0)?;
        let top = TOP + legend.height();
        canvas.text(&self.y.label, (22.0, top + 10.0), TEXT, ink::GREY, Anchor::Left)?;
        canvas.text(
            "bars: 95 % interval of the mean",
            (RIGHT, top + 10.0),
            TEXT,
            ink::GREY,
            Anchor::Right,
        )?;
        let frame = Frame { left: LEFT, top: top + HEADER, right: RIGHT, bottom: BOTTOM };
        draw_y_axis(canvas, &self.y, &frame)?;
        draw_x_grid(canvas, &self.x, &frame)?;
        for (nth, (curve, (colour, dash))) in self.curves.iter().zip(INKS).enumerate() {
            // Bars of curves that meet stand beside each other.
            let beside = (nth as f64 - (self.curves.len() - 1) as f64 / 2.0) * 4.0;
            let at = |value: f64, time_s: f64| {
                let (across, height) = frame.at(self.x.position(value), self.y.position(time_s));
                (across + beside, height)
            };
            let line: Vec<_> = curve.points.iter().map(|(value, [_, mean, _])| at(*value, *mean)).collect();
            if line.len() > 1 {
                canvas.line(&line, colour, 2.2, dash)?;
            }
            for (value, [low, mean, high]) in &curve.points {
                let ((across, bottom), (_, top)) = (at(*value, *low), at(*value, *high));
                canvas.line(&[(across, bottom), (across, top)], colour, 1.8, Dash::Solid)?;
                for end in [bottom, top] {
                    canvas.line(&[(across - 5.0, end), (across + 5.0, end)], colour, 1.8, Dash::Solid)?;
                }
                canvas.dot((across, at(*value, *mean).1), 4.0, colour.into())?;
            }
        }
        draw_values(canvas, &self.x)
    }
}

/// The values below the axis, as many as there is room for.
fn draw_values<DB: DrawingBackend>(canvas: &Canvas<DB>, x: &Axis) -> Drawn<DB> {
    let mut free = 0.0;
    for (value, text) in &x.ticks {
        let across = LEFT + x.position(*value) * (RIGHT - LEFT);
        let half = canvas.text_width(text, TEXT) / 2.0;
        if across - half >= free {
            canvas.text(text, (across, BOTTOM + 17.0), TEXT, ink::BLACK, Anchor::Center)?;
            free = across + half + 10.0;
        }
    }
    canvas.text(&x.label, ((LEFT + RIGHT) / 2.0, BOTTOM + 44.0), TEXT, ink::GREY, Anchor::Center)
}
