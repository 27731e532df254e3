//! A message-sequence diagram: what two hosts say to each other over a while, from the time at which one says it to the
//! time at which the other has it.
//!
//! Time goes down, and not evenly: moments keep their order and a distance at which their labels can be read.

use plotters::prelude::{Color, DrawingBackend, RGBColor};

use super::canvas::{self, Anchor, Canvas, Drawn};
use super::figure::{Dash, ink};
use super::{Plot, PlotError};

/// Arrows at most: more cannot be read.
pub const MOST_ARROWS: usize = 200;

const WIDTH: f64 = 960.0;
const HEAD: f64 = 108.0;
const FOOT: f64 = 24.0;
const LIVES: [f64; 2] = [340.0, 690.0];
/// Points between two moments.
const STEP: f64 = 9.0;
/// Points between an arrow's beginning and the next one's of the same side, for their labels.
const ARROW_STEP: f64 = 17.0;
const TEXT: f64 = 12.5;
const SMALL: f64 = 11.0;
const VERMILLION: RGBColor = RGBColor(190, 60, 20);

/// What sort of message it is: its colour.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// The handshake, that of extensions, and whatever extensions say.
    Handshake,
    /// Bitfields and `have`s of all forms.
    Have,
    /// Interested or not.
    Interest,
    /// Choke and unchoke.
    Choke,
    /// Requests.
    Request,
    /// Blocks.
    Piece,
    /// Cancels and rejects.
    Refusal,
    /// Anything else.
    Other,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Handshake,
        Self::Have,
        Self::Interest,
        Self::Choke,
        Self::Request,
        Self::Piece,
        Self::Refusal,
        Self::Other,
    ];

    /// Its colour, and its name in the legend.
    const fn look(self) -> (RGBColor, &'static str) {
        match self {
            Self::Handshake => (ink::GREY, "handshake, extensions"),
            Self::Have => (RGBColor(70, 160, 215), "have, bitfield"),
            Self::Interest => (ink::PURPLE, "interest"),
            Self::Choke => (RGBColor(214, 150, 0), "choke, unchoke"),
            Self::Request => (ink::GREEN, "request"),
            Self::Piece => (ink::BLUE, "piece"),
            Self::Refusal => (VERMILLION, "cancel, reject"),
            Self::Other => (ink::BLACK, "other"),
        }
    }
}

/// A message, or several that follow upon each other.
#[derive(Clone, PartialEq, Debug)]
pub struct Exchange {
    /// Who says it: 0 or 1.
    pub from: usize,
    /// When it was said, in seconds; the first and the last of several.
    pub said_s: (f64, f64),
    /// When the other side had it; `None` if it never had.
    pub heard_s: Option<(f64, f64)>,
    /// What sort it is.
    pub kind: Kind,
    /// What is said, in a few words.
    pub label: String,
}

/// What two hosts say to each other.
#[derive(Clone, PartialEq, Debug)]
pub struct Sequence {
    /// The names of the hosts.
    pub hosts: [String; 2],
    /// Where and when, for the title.
    pub of: String,
    /// What they say, in the order in which it was said.
    pub exchanges: Vec<Exchange>,
}

const HOW_TO_READ: &str = "Each arrow is a message, from the time at which it was said to that at which it was there. Time goes \
     down; its scale is stretched where much is said.";

impl Sequence {
    /// Draws it.
    ///
    /// # Errors
    /// Where the plotting library fails.
    pub fn plot(&self) -> Result<Plot, PlotError> {
        let layout = Layout::of(&self.exchanges);
        let sheet = (WIDTH as u32, (HEAD + layout.height + FOOT) as u32);
        let title = format!("{} and {}: {}", self.hosts[0], self.hosts[1], self.of);
        let svg = canvas::svg_of("sequence", &title, sheet, |canvas| self.draw(canvas, &layout, &title))?;
        let png = canvas::png_of("sequence", sheet, |canvas| self.draw(canvas, &layout, &title))?;
        Ok(Plot { name: "sequence", title, how_to_read: HOW_TO_READ, note: None, svg, png })
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<DB>, layout: &Layout, title: &str) -> Drawn<DB> {
        canvas.text(title, (24.0, 24.0), 17.0, ink::BLACK, Anchor::Left)?;
        legend(canvas)?;
        let bottom = HEAD + layout.height;
        for (host, x) in self.hosts.iter().zip(LIVES) {
            canvas.text(host, (x, HEAD - 16.0), 14.0, ink::BLACK, Anchor::Center)?;
            canvas.line(&[(x, HEAD - 4.0), (x, bottom)], ink::GREY, 1.4, Dash::Solid)?;
        }
        for &(t_s, y) in &layout.ticks {
            canvas.text(&format!("{t_s:.3} s"), (24.0, y), SMALL, ink::GREY, Anchor::Left)?;
            let ends = [(LIVES[0], y), (LIVES[1], y)];
            canvas.line(&ends, RGBColor(225, 225, 225), 0.8, Dash::Solid)?;
        }
        // Arrows of several messages are areas, which go below the others.
        for exchange in &self.exchanges {
            let (colour, _) = exchange.kind.look();
            if let (true, Some(heard)) = (exchange.said_s.0 < exchange.said_s.1, exchange.heard_s) {
                let (from, to) = (LIVES[exchange.from], LIVES[1 - exchange.from]);
                let corners = [
                    (from, layout.y(exchange.said_s.0)),
                    (to, layout.y(heard.0)),
                    (to, layout.y(heard.1)),
                    (from, layout.y(exchange.said_s.1)),
                ];
                canvas.polygon(&corners, colour.mix(0.16))?;
            }
        }
        self.exchanges.iter().enumerate().try_for_each(|(nth, exchange)| {
            let with = |other: &&Exchange| other.from == exchange.from && other.said_s.0 == exchange.said_s.0;
            let before = self.exchanges[..nth].iter().filter(with).count();
            draw_arrow(canvas, layout, exchange, before as f64 * ARROW_STEP)
        })
    }
}

fn legend<DB: DrawingBackend>(canvas: &Canvas<DB>) -> Drawn<DB> {
    let mut x = 24.0;
    for kind in Kind::ALL {
        let (colour, name) = kind.look();
        canvas.line(&[(x, 54.0), (x + 20.0, 54.0)], colour, 3.0, Dash::Solid)?;
        canvas.text(name, (x + 26.0, 54.0), SMALL, ink::BLACK, Anchor::Left)?;
        x += 26.0 + canvas.text_width(name, SMALL) + 16.0;
    }
    Ok(())
}

/// `lower` is how far below its moment it begins, since others begin there.
fn draw_arrow<DB: DrawingBackend>(
    canvas: &Canvas<DB>,
    layout: &Layout,
    exchange: &Exchange,
    lower: f64,
) -> Drawn<DB> {
    let (colour, _) = exchange.kind.look();
    let (from, to) = (LIVES[exchange.from], LIVES[1 - exchange.from]);
    let start = (from, layout.y(exchange.said_s.0) + lower);
    // What never came goes half the way.
    let end = match exchange.heard_s {
        Some((heard_s, _)) => (to, layout.y(heard_s)),
        None => (f64::midpoint(from, to), start.1 + STEP),
    };
    canvas.line(&[start, end], colour, 1.5, Dash::Solid)?;
    let (dx, dy) = (end.0 - start.0, end.1 - start.1);
    let length = dx.hypot(dy);
    let (ux, uy) = (dx / length, dy / length);
    match exchange.heard_s {
        Some(_) => {
            let back = (end.0 - 9.0 * ux, end.1 - 9.0 * uy);
            let corners =
                [end, (back.0 - 4.0 * uy, back.1 + 4.0 * ux), (back.0 + 4.0 * uy, back.1 - 4.0 * ux)];
            canvas.polygon(&corners, colour.mix(1.0))?;
        }
        None => {
            for turn in [1.0, -1.0] {
                let arm = (5.0, 5.0 * turn);
                let ends = [(end.0 - arm.0, end.1 - arm.1), (end.0 + arm.0, end.1 + arm.1)];
                canvas.line(&ends, colour, 1.5, Dash::Solid)?;
            }
        }
    }
    // Beside the lines of life, where no arrow crosses it.
    let (x, anchor) = match exchange.from {
        0 => (LIVES[0] - 10.0, Anchor::Right),
        _ => (LIVES[1] + 10.0, Anchor::Left),
    };
    canvas.text(&exchange.label, (x, start.1), TEXT, colour, anchor)
}

/// Where each moment is.
struct Layout {
    /// Moments in order, with their heights on the sheet.
    moments: Vec<(f64, f64)>,
    ticks: Vec<(f64, f64)>,
    height: f64,
}

impl Layout {
    fn of(exchanges: &[Exchange]) -> Self {
        let mut times: Vec<f64> = Vec::new();
        for exchange in exchanges {
            times.extend([exchange.said_s.0, exchange.said_s.1]);
            times.extend(exchange.heard_s.into_iter().flat_map(|(first, last)| [first, last]));
        }
        times.sort_by(f64::total_cmp);
        times.dedup();
        // How many arrows begin at a moment, at the side where more do.
        let begins = |t_s: f64| {
            let of =
                |from: usize| exchanges.iter().filter(|one| one.from == from && one.said_s.0 == t_s).count();
            of(0).max(of(1))
        };
        let (mut y, mut moments, mut ticks) = (HEAD + 14.0 + ARROW_STEP, Vec::new(), Vec::new());
        let mut ticked = f64::NEG_INFINITY;
        for t_s in times {
            let arrows = begins(t_s);
            // Room for the label above the first arrow, and for the arrows below it.
            y += if arrows > 0 { ARROW_STEP - STEP } else { 0.0 };
            moments.push((t_s, y));
            if y - ticked >= 34.0 {
                ticks.push((t_s, y));
                ticked = y;
            }
            y += STEP + ARROW_STEP * arrows.saturating_sub(1) as f64;
        }
        Self { moments, ticks, height: y - HEAD + 16.0 }
    }

    fn y(&self, t_s: f64) -> f64 {
        let at = self.moments.partition_point(|&(moment, _)| moment < t_s);
        self.moments.get(at).or(self.moments.last()).map_or(HEAD, |&(_, y)| y)
    }
}
