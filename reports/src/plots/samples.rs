//! The samples of a run as curves over the time since its start.

use plotters::style::RGBColor;

use super::axis::Axis;
use super::bands;
use super::figure::{Body, Curve, Dash, Figure, Panel, thinned};
use crate::record::{RunRecord, TimelineRow};

const MOST_POINTS: usize = 1000;

/// Samples, no more than a plot can show.
pub struct Samples {
    rows: Vec<TimelineRow>,
}

impl Samples {
    /// Those of `record`.
    pub fn of(record: &RunRecord) -> Self {
        Self::thinned(record.timeline.iter().collect())
    }

    /// Those of rows that stand for a record's.
    pub fn thinned(rows: Vec<&TimelineRow>) -> Self {
        Self { rows: thinned(&rows, MOST_POINTS).into_iter().cloned().collect() }
    }

    /// The curve of a value; samples without it are left out.
    pub fn curve(
        &self,
        label: &str,
        colour: RGBColor,
        dash: Dash,
        value: impl Fn(&TimelineRow) -> Option<f64>,
    ) -> Curve {
        let points = self.rows.iter().filter_map(|row| Some((row.t_s, value(row)?))).collect();
        Curve { label: label.to_owned(), colour, dash, points }
    }

    /// The greatest of a value, 0 at least.
    pub fn highest(&self, value: impl Fn(&TimelineRow) -> f64) -> f64 {
        self.rows.iter().map(value).fold(0.0, f64::max)
    }

    /// The time of the last sample.
    pub fn end_s(&self) -> f64 {
        self.rows.last().map_or(0.0, |row| row.t_s)
    }

    /// Panels over the time since the start, with the faults of the run; a message where there are no samples.
    pub fn figure(&self, record: &RunRecord, title: String, panels: impl FnOnce() -> Vec<Panel>) -> Figure {
        let x = Axis::time("time since the start", self.end_s());
        if self.rows.is_empty() {
            return Figure::message(title, x, "The run left no samples.");
        }
        Figure { title, x, bands: bands::since_start(record), body: Body::Panels(panels()), note: None }
    }
}
