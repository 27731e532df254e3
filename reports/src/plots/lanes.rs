//! Draws [`Band`]s: their labels in lanes above the curves, and the bands behind them.

use plotters::prelude::{Color, DrawingBackend, RGBColor, WHITE};

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Drawn, Frame};
use super::figure::{Band, Dash, ink};

const INK: RGBColor = ink::BROWN;
const TEXT: f64 = 13.0;
/// The height of a lane: a line of text over a stroke.
const LANE: f64 = 21.0;
const MOST_LANES: usize = 4;
/// Room between what stands in one lane.
const GAP: f64 = 14.0;

/// Bands in lanes.
pub struct Lanes<'b> {
    bands: &'b [Band],
    /// For each band that has a place: its lane, and where its label begins.
    places: Vec<Option<(usize, f64)>>,
    count: usize,
}

impl<'b> Lanes<'b> {
    /// Finds a place for each band, the earlier the higher, between the edges of `frame`.
    pub fn new<DB: DrawingBackend>(canvas: &Canvas<DB>, x: &Axis, bands: &'b [Band], frame: &Frame) -> Self {
        let mut taken: Vec<f64> = Vec::new();
        let mut places = Vec::new();
        for band in bands {
            let width = canvas.text_width(&band.label, TEXT);
            let (from, to) = band.reach(x, frame);
            let label = from.min(frame.right - width).max(frame.left);
            let free = taken.iter().position(|&end| end + GAP <= label.min(from));
            let lane = free.unwrap_or(taken.len());
            if lane == taken.len() && lane < MOST_LANES {
                taken.push(0.0);
            }
            places.push(taken.get_mut(lane).map(|end| {
                *end = to.max(label + width);
                (lane, label)
            }));
        }
        let count = taken.len() + usize::from(places.contains(&None));
        Self { bands, places, count }
    }

    /// The room that they take.
    pub fn height(&self) -> f64 {
        self.count as f64 * LANE
    }

    /// Writes what the bands are, and a stroke for each time.
    pub fn draw_labels<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, x: &Axis, frame: &Frame) -> Drawn<DB> {
        for (band, place) in self.bands.iter().zip(&self.places) {
            let Some((lane, label)) = *place else { continue };
            let top = frame.top + lane as f64 * LANE;
            canvas.text(&band.label, (label, top + TEXT / 2.0), TEXT, ink::BLACK, Anchor::Left)?;
            for (from, to) in band.across(x, frame) {
                canvas.line(
                    &[(from, top + 17.0), (to.max(from + 2.0), top + 17.0)],
                    INK,
                    3.0,
                    Dash::Solid,
                )?;
            }
        }
        let left_out = self.places.iter().filter(|place| place.is_none()).count();
        if left_out > 0 {
            let text = format!("and {left_out} more, in faults.csv");
            let middle = frame.top + (self.count as f64 - 1.0) * LANE + TEXT / 2.0;
            canvas.text(&text, (frame.left, middle), TEXT, ink::GREY, Anchor::Left)?;
        }
        Ok(())
    }

    /// Fills the bands over the height of `frame`.
    pub fn fill<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, x: &Axis, frame: &Frame) -> Drawn<DB> {
        for band in self.bands.iter().filter(|band| band.filled) {
            for (left, right) in band.across(x, frame) {
                canvas.fill(&Frame { left, right: right.max(left + 1.5), ..*frame }, INK.mix(0.2))?;
            }
        }
        Ok(())
    }

    /// Marks where the bands begin and end, where a fill would change the colours of what is below.
    pub fn outline<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, x: &Axis, frame: &Frame) -> Drawn<DB> {
        for band in self.bands.iter().filter(|band| band.filled) {
            for at in band.across(x, frame).flat_map(|(left, right)| [left, right]) {
                let ends = [(at, frame.top), (at, frame.bottom)];
                canvas.line(&ends, WHITE, 3.0, Dash::Solid)?;
                canvas.line(&ends, INK, 1.6, Dash::Dashed)?;
            }
        }
        Ok(())
    }
}

impl Band {
    /// Where its spans begin and end on the sheet; those beyond the axis are left out.
    fn across(&self, x: &Axis, frame: &Frame) -> impl Iterator<Item = (f64, f64)> {
        let at = |t_s: f64| frame.at(x.position(t_s), 0.0).0;
        let shown = self.spans.iter().filter(|(from_s, _)| *from_s <= x.high());
        shown.map(|&(from_s, to_s)| (at(from_s), at(to_s.min(x.high())))).collect::<Vec<_>>().into_iter()
    }

    /// From its first beginning to its last end.
    fn reach(&self, x: &Axis, frame: &Frame) -> (f64, f64) {
        let reach = |(low, high): (f64, f64), (from, to): (f64, f64)| (low.min(from), high.max(to));
        self.across(x, frame).fold((frame.right, frame.left), reach)
    }
}
