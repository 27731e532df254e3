//! The plots of a run, each from its record alone, as SVG and PNG. A plot's file decides what to show and words the
//! finding; `draw` decides how it looks.

mod availability;
mod axis;
mod bands;
mod canvas;
pub(crate) mod compare;
mod completion;
mod draw;
mod figure;
mod font;
mod health;
mod lanes;
mod population;
mod rates;
mod samples;
mod sequence;
mod spread;
mod upload;

pub use canvas::PlotError;
pub use font::face_css;
pub use sequence::{Exchange, Kind, MOST_ARROWS, Sequence};

use crate::record::RunRecord;
use figure::Figure;

/// A plot, drawn.
#[derive(Clone, Debug)]
pub struct Plot {
    /// The stem of its files: `completion` of `completion.svg` and `completion.png`.
    pub name: &'static str,
    /// The finding, in words.
    pub title: String,
    /// How to read it, in a sentence or two.
    pub how_to_read: &'static str,
    /// What is to be said of this run beside that, if anything.
    pub note: Option<String>,
    /// The SVG document, its font in it.
    pub svg: String,
    /// The PNG file.
    pub png: Vec<u8>,
}

type Draw = fn(&RunRecord) -> Figure;

const PLOTS: [(&str, &str, Draw); 7] = [
    ("completion", completion::HOW_TO_READ, completion::figure),
    ("spread", spread::HOW_TO_READ, spread::figure),
    ("population", population::HOW_TO_READ, population::figure),
    ("health", health::HOW_TO_READ, health::figure),
    ("availability", availability::HOW_TO_READ, availability::figure),
    ("rates", rates::HOW_TO_READ, rates::figure),
    ("upload", upload::HOW_TO_READ, upload::figure),
];

/// Draws every plot of `record`.
///
/// # Errors
/// Where the plotting library fails.
pub fn plots(record: &RunRecord) -> Result<Vec<Plot>, PlotError> {
    PLOTS.iter().map(|&(name, how_to_read, draw)| plot(name, how_to_read, draw(record))).collect()
}

fn plot(name: &'static str, how_to_read: &'static str, figure: Figure) -> Result<Plot, PlotError> {
    let svg = canvas::svg(name, &figure.title, |canvas| draw::draw(canvas, &figure))?;
    let png = canvas::png(name, |canvas| draw::draw(canvas, &figure))?;
    Ok(Plot { name, title: figure.title, how_to_read, note: figure.note, svg, png })
}
