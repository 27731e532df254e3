//! What the plots of a comparison have in common: inks, legends and names of cells.

use plotters::prelude::{DrawingBackend, RGBColor};

use super::super::canvas::{Anchor, Canvas, Drawn};
use super::super::draw::{RIGHT, TEXT};
use super::super::figure::{Dash, ink};

/// How the cells are drawn that a plot has room for.
pub const INKS: [(RGBColor, Dash); 6] = [
    (ink::BLUE, Dash::Solid),
    (ink::ORANGE, Dash::Dashed),
    (ink::GREEN, Dash::Solid),
    (ink::PURPLE, Dash::Dotted),
    (ink::BLACK, Dash::Dashed),
    (ink::GREY, Dash::Dotted),
];
/// Letters of a cell's name in a title or beside a row.
pub const SHORT: usize = 24;
const LONG: usize = 44;
const LINE: f64 = 21.0;
const SAMPLE: f64 = 34.0;
const GAP: f64 = 24.0;

/// Samples of curves beside their names, in as many lines as they need.
pub struct Legend {
    /// Line, left edge and name.
    places: Vec<(usize, f64, String)>,
}

impl Legend {
    /// Finds a place for each of `names`.
    pub fn new<DB: DrawingBackend>(canvas: &Canvas<DB>, names: &[String]) -> Self {
        let mut places: Vec<(usize, f64, String)> = Vec::new();
        let (mut line, mut left) = (0, 22.0);
        for name in names {
            let name = shortened(name, LONG);
            let width = SAMPLE + 8.0 + canvas.text_width(&name, TEXT);
            if left > 22.0 && left + width > RIGHT {
                (line, left) = (line + 1, 22.0);
            }
            places.push((line, left, name));
            left += width + GAP;
        }
        Self { places }
    }

    /// The room that it takes.
    pub fn height(&self) -> f64 {
        self.places.last().map_or(0.0, |(line, ..)| (line + 1) as f64 * LINE)
    }

    /// Draws it below `top`.
    pub fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, top: f64) -> Drawn<DB> {
        for ((line, left, name), (colour, dash)) in self.places.iter().zip(INKS) {
            let y = top + *line as f64 * LINE + LINE / 2.0;
            canvas.line(&[(*left, y), (left + SAMPLE, y)], colour, 2.5, dash)?;
            canvas.text(name, (left + SAMPLE + 8.0, y), TEXT, ink::BLACK, Anchor::Left)?;
        }
        Ok(())
    }
}

/// Long names lose their middle.
pub fn shortened(name: &str, most: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= most {
        return name.to_owned();
    }
    let half = (most - 1) / 2;
    let text = |letters: &[char]| letters.iter().collect::<String>();
    format!("{}…{}", text(&letters[..half]), text(&letters[letters.len() - half..]))
}
