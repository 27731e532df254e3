//! The median download time over two factors, as colours.

use plotters::prelude::{Color as _, DrawingBackend, RGBColor};

use super::super::canvas::{Anchor, Canvas, Drawn, Frame};
use super::super::draw::{BOTTOM, HEADER, RIGHT, TEXT, TOP, draw_title, viridis};
use super::super::figure::ink;
use super::Chart;
use super::sheet::{SHORT, shortened};
use crate::compare::{Grid, Row};
use crate::words;

pub const HOW_TO_READ: &str = "Each field is a cell: the median download time of a run, as the mean over its runs, \
    and below it the 95 % interval of that mean. The brighter, the slower; a grey field is a cell in which half of \
    the hosts did not finish in every run.";

const NAMES: f64 = 196.0;
const MOST_COLUMNS: usize = 8;
const MOST_ROWS: usize = 10;

pub struct Heat {
    title: String,
    rows: Vec<String>,
    columns: Vec<String>,
    paths: [String; 2],
    /// Mean, and the interval in words; row by row.
    fields: Vec<Option<(f64, String)>>,
}

/// For two factors of two values at least, and no more than there is room for.
pub fn chart(grid: &Grid, medians: &[&Row]) -> Option<Heat> {
    let [down, across] = &grid.factors[..] else { return None };
    let fits =
        (2..=MOST_ROWS).contains(&down.values.len()) && (2..=MOST_COLUMNS).contains(&across.values.len());
    if !fits {
        return None;
    }
    let interval = |row: &Row| match (row.low, row.high) {
        (Some(low), Some(high)) => format!("{} .. {}", words::figure(low), words::figure(high)),
        _ => "one run".to_owned(),
    };
    let fields: Vec<_> = medians.iter().map(|row| Some((row.mean?, interval(row)))).collect();
    Some(Heat {
        title: format!("Median download time (s) by {}", grid.paths()),
        rows: down.values.clone(),
        columns: across.values.clone(),
        paths: [down.path.clone(), across.path.clone()],
        fields,
    })
}

impl Chart for Heat {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<DB>) -> Drawn<DB> {
        draw_title(canvas, &self.title)?;
        let frame = Frame { left: NAMES, top: TOP + HEADER, right: RIGHT, bottom: BOTTOM };
        canvas.text(&self.paths[0], (22.0, TOP + 12.0), TEXT, ink::GREY, Anchor::Left)?;
        let legend = "mean over the runs (s), 95 % interval";
        canvas.text(legend, (RIGHT, TOP + 12.0), TEXT, ink::GREY, Anchor::Right)?;
        let (width, height) = (
            (frame.right - frame.left) / self.columns.len() as f64,
            (frame.bottom - frame.top) / self.rows.len() as f64,
        );
        let means = || self.fields.iter().flatten().map(|(mean, _)| *mean);
        let (least, most) = (means().fold(f64::INFINITY, f64::min), means().fold(0.0, f64::max));
        for (nth, field) in self.fields.iter().enumerate() {
            let left = frame.left + width * (nth % self.columns.len()) as f64;
            let top = frame.top + height * (nth / self.columns.len()) as f64;
            let field_frame = Frame {
                left: left + 1.0,
                top: top + 1.0,
                right: left + width - 1.0,
                bottom: top + height - 1.0,
            };
            let middle = (left + width / 2.0, top + height / 2.0);
            let Some((mean, interval)) = field else {
                canvas.fill(&field_frame, RGBColor(225, 225, 225).to_rgba())?;
                canvas.text("not reached", middle, 14.0, ink::BLACK, Anchor::Center)?;
                continue;
            };
            let colour = viridis(if most > least { (mean - least) / (most - least) } else { 0.5 });
            canvas.fill(&field_frame, colour.to_rgba())?;
            let text = text_on(colour);
            canvas.text(&words::figure(*mean), (middle.0, middle.1 - 9.0), 17.0, text, Anchor::Center)?;
            canvas.text(interval, (middle.0, middle.1 + 11.0), 13.0, text, Anchor::Center)?;
        }
        for (nth, name) in self.rows.iter().enumerate() {
            let at = (NAMES - 12.0, frame.top + height * (nth as f64 + 0.5));
            canvas.text(&shortened(name, SHORT), at, TEXT, ink::BLACK, Anchor::Right)?;
        }
        for (nth, name) in self.columns.iter().enumerate() {
            let at = (frame.left + width * (nth as f64 + 0.5), BOTTOM + 17.0);
            let letters = (width / 8.5) as usize;
            canvas.text(&shortened(name, letters.max(5)), at, TEXT, ink::BLACK, Anchor::Center)?;
        }
        let middle = ((NAMES + RIGHT) / 2.0, BOTTOM + 44.0);
        canvas.text(&self.paths[1], middle, TEXT, ink::GREY, Anchor::Center)
    }
}

/// Black on bright colours, white on dark ones.
fn text_on(RGBColor(red, green, blue): RGBColor) -> RGBColor {
    let brightness = 0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue);
    if brightness > 140.0 { ink::BLACK } else { plotters::style::WHITE }
}
