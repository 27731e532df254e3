//! What a plot shows, as data: how it is drawn is the matter of [`super::draw`].

use plotters::style::RGBColor;

use super::axis::Axis;

/// The colours of Okabe and Ito, which the colour-blind can tell apart; the yellow is too faint on white.
pub mod ink {
    use plotters::style::RGBColor;

    pub const BLACK: RGBColor = RGBColor(30, 30, 30);
    pub const BLUE: RGBColor = RGBColor(0, 114, 178);
    pub const ORANGE: RGBColor = RGBColor(213, 94, 0);
    pub const GREEN: RGBColor = RGBColor(0, 158, 115);
    pub const PURPLE: RGBColor = RGBColor(204, 121, 167);
    pub const GREY: RGBColor = RGBColor(110, 110, 110);
    /// Of what went wrong, and of nothing else.
    pub const BROWN: RGBColor = RGBColor(150, 70, 60);
}

/// A plot.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The finding, in words.
    pub title: String,
    /// The axis that its panels share.
    pub x: Axis,
    /// What went wrong, if the axis is one of time.
    pub bands: Vec<Band>,
    /// What stands over the axis.
    pub body: Body,
    /// What is to be said of this run beside how to read the plot, if anything.
    pub note: Option<String>,
}

impl Figure {
    /// A plot of nothing, which says why.
    pub fn message(title: String, x: Axis, text: &str) -> Self {
        Self { title, x, bands: Vec::new(), body: Body::Message(text.to_owned()), note: None }
    }
}

/// Something that went wrong, once or several times.
#[derive(Clone, Debug)]
pub struct Band {
    /// What.
    pub label: String,
    /// From when to when, in seconds.
    pub spans: Vec<(f64, f64)>,
    /// Whether it is shown over the whole height.
    pub filled: bool,
}

/// The kinds of plot.
#[derive(Clone, Debug)]
pub enum Body {
    /// Curves, in panels one above the other.
    Panels(Vec<Panel>),
    /// Colours over two axes.
    HeatMap(HeatMap),
    /// A row of dots for each class.
    Strips(Vec<Strip>),
    /// Why there is nothing to show.
    Message(String),
}

/// Curves over one y axis.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Its y axis.
    pub y: Axis,
    /// Its curves.
    pub curves: Vec<Curve>,
}

/// How a line is drawn, so that colour is never all that tells two of them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dash {
    /// Unbroken.
    Solid,
    /// Long dashes.
    Dashed,
    /// Short dashes.
    Dotted,
}

/// A line through points, x ascending.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What the legend calls it.
    pub label: String,
    /// Its colour.
    pub colour: RGBColor,
    /// Its dashes.
    pub dash: Dash,
    /// Where it runs.
    pub points: Vec<(f64, f64)>,
}

/// Counts by piece and time.
#[derive(Clone, Debug)]
pub struct HeatMap {
    /// The axis of pieces, from the bottom up.
    pub y: Axis,
    /// What the colours mean.
    pub label: String,
    /// Rows from the bottom up, each of the same number of cells from left to right.
    pub rows: Vec<Vec<u32>>,
    /// Where the cells begin and end along x.
    pub span: (f64, f64),
}

/// Values of one class of hosts.
#[derive(Clone, Debug)]
pub struct Strip {
    /// The class.
    pub label: String,
    /// A value for each host, ascending.
    pub values: Vec<f64>,
    /// The median.
    pub median: f64,
}

/// At most `most` of `values`, evenly spread, the first and the last among them.
pub fn thinned<T: Copy>(values: &[T], most: usize) -> Vec<T> {
    if values.len() <= most {
        return values.to_vec();
    }
    (0..most).map(|index| values[index * (values.len() - 1) / (most - 1)]).collect()
}
