//! Draws a [`Figure`] on a sheet: the layout, axes and legends that all plots have in common.

use plotters::prelude::{BLACK, Color, DrawingAreaErrorKind, DrawingBackend, RGBColor, ViridisRGB};
use plotters::style::colors::colormaps::ColorMap;

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Drawn, Frame, Picture, SIZE};
use super::figure::{Body, Curve, Dash, Figure, HeatMap, Panel, Strip, ink};
use super::lanes::Lanes;
use crate::words;

const GRID: RGBColor = RGBColor(225, 225, 225);
pub(super) const LEFT: f64 = 76.0;
pub(super) const RIGHT: f64 = 930.0;
pub(super) const TOP: f64 = 62.0;
pub(super) const BOTTOM: f64 = 536.0;
/// Room above a panel for its name and legend.
pub(super) const HEADER: f64 = 34.0;
pub(super) const TEXT: f64 = 15.0;
const LEGEND_LINE: f64 = 21.0;
/// A sample of a curve in a legend, the way to its name, and that to the next sample.
const SAMPLE: f64 = 34.0;
const SAMPLE_GAP: f64 = 8.0;
const CURVE_GAP: f64 = 22.0;

/// Draws the whole plot.
pub fn draw<DB: DrawingBackend>(canvas: &mut Canvas<DB>, figure: &Figure) -> Drawn<DB> {
    draw_title(canvas, &figure.title)?;
    match &figure.body {
        Body::Panels(panels) => draw_panels(canvas, figure, panels),
        Body::HeatMap(map) => draw_heat_map(canvas, figure, map),
        Body::Strips(strips) => draw_strips(canvas, &figure.x, strips),
        Body::Message(text) => {
            let middle = (f64::from(SIZE.0) / 2.0, f64::from(SIZE.1) / 2.0);
            canvas.text(text, middle, 18.0, ink::GREY, Anchor::Center)
        }
    }
}

/// The title shrinks rather than run off the sheet.
pub(super) fn draw_title<DB: DrawingBackend>(canvas: &Canvas<DB>, title: &str) -> Drawn<DB> {
    let size = 21.0_f64;
    let width = canvas.text_width(title, size);
    let fitting = size * ((f64::from(SIZE.0) - 44.0) / width.max(1.0)).min(1.0);
    canvas.text(title, (22.0, 32.0), fitting, ink::BLACK, Anchor::Left)
}

fn draw_panels<DB: DrawingBackend>(canvas: &mut Canvas<DB>, figure: &Figure, panels: &[Panel]) -> Drawn<DB> {
    let x = &figure.x;
    let lanes = draw_lanes(canvas, figure)?;
    let first = TOP + lanes.height();
    let height = (BOTTOM - first) / panels.len() as f64;
    for (index, panel) in panels.iter().enumerate() {
        let top = first + height * index as f64;
        let gap = if index + 1 < panels.len() { 12.0 } else { 0.0 };
        let legend = legend_lines(canvas, &panel.y.label, &panel.curves);
        let header = HEADER + LEGEND_LINE * (legend.len().max(1) - 1) as f64;
        let frame = Frame { left: LEFT, top: top + header, right: RIGHT, bottom: top + height - gap };
        lanes.fill(canvas, x, &frame)?;
        draw_legend(canvas, &panel.y.label, &legend, top + HEADER / 2.0 - 3.0)?;
        draw_y_axis(canvas, &panel.y, &frame)?;
        draw_x_grid(canvas, x, &frame)?;
        for curve in &panel.curves {
            draw_curve(canvas, curve, x, &panel.y, &frame)?;
        }
    }
    draw_x_axis(canvas, x)
}

/// The labels of the bands, below the title.
fn draw_lanes<'f, DB: DrawingBackend>(
    canvas: &Canvas<DB>,
    figure: &'f Figure,
) -> Result<Lanes<'f>, DrawingAreaErrorKind<DB::ErrorType>> {
    let frame = Frame { left: LEFT, top: TOP - 4.0, right: RIGHT, bottom: BOTTOM };
    let lanes = Lanes::new(canvas, &figure.x, &figure.bands, &frame);
    lanes.draw_labels(canvas, &figure.x, &frame)?;
    Ok(lanes)
}

/// Parts of `curves`, each of which has room in a line above the data; the first shares it with the panel's quantity.
fn legend_lines<'c, DB: DrawingBackend>(
    canvas: &Canvas<DB>,
    name: &str,
    mut curves: &'c [Curve],
) -> Vec<&'c [Curve]> {
    let width = |curve: &Curve| canvas.text_width(&curve.label, TEXT) + SAMPLE + SAMPLE_GAP + CURVE_GAP;
    let mut lines = Vec::new();
    let mut room = RIGHT - 22.0 - canvas.text_width(name, TEXT);
    while !curves.is_empty() {
        let mut taken = 0.0;
        let fitting = curves.iter().take_while(|curve| {
            taken += width(curve);
            taken <= room
        });
        // A label that is too long for a line has one of its own.
        let fitting =
            fitting.count().max(usize::from(!lines.is_empty() || room > RIGHT / 2.0)).min(curves.len());
        let (line, rest) = curves.split_at(fitting);
        lines.push(line);
        (curves, room) = (rest, RIGHT - 22.0 + CURVE_GAP);
    }
    lines
}

/// The panel's quantity on the left, and a sample of each curve beside its name on the right, above the data.
fn draw_legend<DB: DrawingBackend>(canvas: &Canvas<DB>, name: &str, lines: &[&[Curve]], y: f64) -> Drawn<DB> {
    canvas.text(name, (22.0, y), TEXT, ink::GREY, Anchor::Left)?;
    for (nth, curves) in lines.iter().enumerate() {
        let y = y + LEGEND_LINE * nth as f64;
        let mut right = RIGHT;
        for curve in curves.iter().rev() {
            let width = canvas.text_width(&curve.label, TEXT);
            canvas.text(&curve.label, (right - width, y), TEXT, ink::BLACK, Anchor::Left)?;
            let end = right - width - SAMPLE_GAP;
            canvas.line(&[(end - SAMPLE, y), (end, y)], curve.colour, 2.5, curve.dash)?;
            right = end - SAMPLE - CURVE_GAP;
        }
    }
    Ok(())
}

fn draw_curve<DB: DrawingBackend>(
    canvas: &Canvas<DB>,
    curve: &Curve,
    x: &Axis,
    y: &Axis,
    frame: &Frame,
) -> Drawn<DB> {
    let points: Vec<_> =
        curve.points.iter().map(|&(at, value)| frame.at(x.position(at), y.position(value))).collect();
    if points.len() < 2 {
        return points.iter().try_for_each(|&point| canvas.dot(point, 3.0, curve.colour.to_rgba()));
    }
    canvas.line(&points, curve.colour, 2.2, curve.dash)
}

pub(super) fn draw_y_axis<DB: DrawingBackend>(canvas: &Canvas<DB>, y: &Axis, frame: &Frame) -> Drawn<DB> {
    for (at, text) in &y.ticks {
        let (left, height) = frame.at(0.0, y.position(*at));
        canvas.line(&[(left, height), (frame.right, height)], GRID, 1.0, Dash::Solid)?;
        canvas.text(text, (left - 9.0, height), TEXT, ink::BLACK, Anchor::Right)?;
    }
    Ok(())
}

pub(super) fn draw_x_grid<DB: DrawingBackend>(canvas: &Canvas<DB>, x: &Axis, frame: &Frame) -> Drawn<DB> {
    for (at, _) in &x.ticks {
        let (across, bottom) = frame.at(x.position(*at), 0.0);
        canvas.line(&[(across, frame.top), (across, bottom)], GRID, 1.0, Dash::Solid)?;
    }
    canvas.line(&[(frame.left, frame.bottom), (frame.right, frame.bottom)], ink::GREY, 1.0, Dash::Solid)
}

pub(super) fn draw_x_axis<DB: DrawingBackend>(canvas: &Canvas<DB>, x: &Axis) -> Drawn<DB> {
    for (at, text) in &x.ticks {
        let across = LEFT + x.position(*at) * (RIGHT - LEFT);
        canvas.line(&[(across, BOTTOM), (across, BOTTOM + 5.0)], ink::GREY, 1.0, Dash::Solid)?;
        canvas.text(text, (across, BOTTOM + 17.0), TEXT, ink::BLACK, Anchor::Center)?;
    }
    canvas.text(&x.label, ((LEFT + RIGHT) / 2.0, BOTTOM + 44.0), TEXT, ink::GREY, Anchor::Center)
}

fn draw_heat_map<DB: DrawingBackend>(canvas: &mut Canvas<DB>, figure: &Figure, map: &HeatMap) -> Drawn<DB> {
    const BAR: f64 = 84.0;
    let x = &figure.x;
    let lanes = draw_lanes(canvas, figure)?;
    let top = TOP + lanes.height();
    let frame = Frame { left: LEFT, top: top + HEADER, right: RIGHT, bottom: BOTTOM };
    let most = map.rows.iter().flatten().copied().max().unwrap_or(0).max(1);
    let middle = top + HEADER / 2.0 - 3.0;
    canvas.text(&map.y.label, (22.0, middle), TEXT, ink::GREY, Anchor::Left)?;
    draw_colour_bar(canvas, &map.label, most, BAR, middle)?;
    let cells = Frame {
        left: frame.at(x.position(map.span.0), 0.0).0,
        right: frame.at(x.position(map.span.1), 0.0).0,
        ..frame
    };
    canvas.picture(&picture(map, most), &cells)?;
    lanes.outline(canvas, x, &frame)?;
    for (at, text) in &map.y.ticks {
        let (left, height) = frame.at(0.0, map.y.position(*at));
        canvas.line(&[(left - 5.0, height), (left, height)], ink::GREY, 1.0, Dash::Solid)?;
        canvas.text(text, (left - 9.0, height), TEXT, ink::BLACK, Anchor::Right)?;
    }
    draw_x_axis(canvas, x)
}

fn picture(map: &HeatMap, most: u32) -> Picture {
    let rgb = map.rows.iter().rev().flatten().flat_map(|&count| bytes_of(shade(count, most))).collect();
    Picture { width: map.rows.first().map_or(0, Vec::len), height: map.rows.len(), rgb }
}

fn bytes_of(RGBColor(red, green, blue): RGBColor) -> [u8; 3] {
    [red, green, blue]
}

/// Black for a piece that nobody has, and viridis from one copy up: a lost piece must leap to the eye. The
/// logarithm gives the few copies, on which everything hangs, as much room as the many.
fn shade(count: u32, most: u32) -> RGBColor {
    match count {
        0 => BLACK,
        _ if most <= 1 => viridis(1.0),
        _ => viridis(libm::log(f64::from(count)) / libm::log(f64::from(most))),
    }
}

/// The scale without its darkest end, which is too near to black.
pub(super) fn viridis(share: f64) -> RGBColor {
    ViridisRGB.get_color((0.06 + 0.94 * share) as f32)
}

fn draw_colour_bar<DB: DrawingBackend>(
    canvas: &mut Canvas<DB>,
    label: &str,
    most: u32,
    width: f64,
    y: f64,
) -> Drawn<DB> {
    let end = words::count(u64::from(most));
    let right = RIGHT - canvas.text_width(&end, TEXT) - 6.0;
    canvas.text(&end, (RIGHT, y), TEXT, ink::BLACK, Anchor::Right)?;
    let shades = (0..64).flat_map(|step| bytes_of(viridis(f64::from(step) / 63.0))).collect();
    let bar = Frame { left: right - width, top: y - 8.0, right, bottom: y + 8.0 };
    canvas.picture(&Picture { width: 64, height: 1, rgb: shades }, &bar)?;
    let one = bar.left - 8.0;
    canvas.text("1", (one, y), TEXT, ink::BLACK, Anchor::Right)?;
    let black = Frame { left: one - 40.0, right: one - 20.0, ..bar };
    canvas.fill(&black, BLACK.to_rgba())?;
    canvas.text("0", (black.left - 6.0, y), TEXT, ink::BLACK, Anchor::Right)?;
    canvas.text(label, (black.left - 32.0, y), TEXT, ink::BLACK, Anchor::Right)
}

fn draw_strips<DB: DrawingBackend>(canvas: &mut Canvas<DB>, x: &Axis, strips: &[Strip]) -> Drawn<DB> {
    const NAMES: f64 = 190.0;
    let frame = Frame { left: NAMES, top: TOP + HEADER, right: RIGHT, bottom: BOTTOM };
    draw_strip_legend(canvas, TOP + HEADER / 2.0 - 3.0)?;
    draw_x_grid(canvas, x, &frame)?;
    let height = (frame.bottom - frame.top) / strips.len().max(1) as f64;
    for (index, strip) in strips.iter().enumerate() {
        let middle = frame.top + height * (index as f64 + 0.5);
        draw_strip(
            canvas,
            x,
            strip,
            &Frame { top: middle - height / 2.0, bottom: middle + height / 2.0, ..frame },
        )?;
    }
    for (at, text) in &x.ticks {
        let (across, _) = frame.at(x.position(*at), 0.0);
        canvas.text(text, (across, BOTTOM + 17.0), TEXT, ink::BLACK, Anchor::Center)?;
    }
    canvas.text(&x.label, ((NAMES + RIGHT) / 2.0, BOTTOM + 44.0), TEXT, ink::GREY, Anchor::Center)
}

fn draw_strip_legend<DB: DrawingBackend>(canvas: &Canvas<DB>, y: f64) -> Drawn<DB> {
    let (host, median) = ("a host", "the median of its class");
    let bar = RIGHT - canvas.text_width(median, TEXT) - 10.0;
    canvas.text(median, (bar + 10.0, y), TEXT, ink::BLACK, Anchor::Left)?;
    canvas.line(&[(bar, y - 8.0), (bar, y + 8.0)], ink::ORANGE, 3.0, Dash::Solid)?;
    let dot = bar - 34.0 - canvas.text_width(host, TEXT);
    canvas.text(host, (dot + 10.0, y), TEXT, ink::BLACK, Anchor::Left)?;
    canvas.dot((dot, y), 3.5, ink::BLUE.mix(0.45))
}

/// A dot for each host, spread up and down so that they do not hide each other, and a stroke at the median.
fn draw_strip<DB: DrawingBackend>(canvas: &Canvas<DB>, x: &Axis, strip: &Strip, frame: &Frame) -> Drawn<DB> {
    let half = ((frame.bottom - frame.top) * 0.3).min(30.0);
    let middle = (frame.top + frame.bottom) / 2.0;
    canvas.text(&strip.label, (frame.left - 14.0, middle), TEXT, ink::BLACK, Anchor::Right)?;
    for (index, &value) in strip.values.iter().enumerate() {
        let spread = (index as f64 * 0.618_034).fract() * 2.0 - 1.0;
        let offset = if strip.values.len() == 1 { 0.0 } else { spread * half };
        let at = (frame.at(x.position(value), 0.0).0, middle + offset);
        canvas.dot(at, 3.5, ink::BLUE.mix(0.45))?;
    }
    let across = frame.at(x.position(strip.median), 0.0).0;
    canvas.line(
        &[(across, middle - half - 5.0), (across, middle + half + 5.0)],
        ink::ORANGE,
        3.0,
        Dash::Solid,
    )
}
