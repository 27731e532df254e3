//! A sheet of 960 by 600 points over either of plotters' backends, which count in whole pixels: the sheet is drawn
//! at a multiple of its size, so that curves are smooth.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use plotters::coord::Shift;
use plotters::element::{BitMapElement, DashedPathElement};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figure::Dash;
use super::font;

/// The size of a plot, in points.
pub const SIZE: (u32, u32) = (960, 600);
const PNG_SCALE: u32 = 2;
const SVG_SCALE: u32 = 4;

/// Why a plot could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the plot {plot}: {why}")]
pub struct PlotError {
    /// The plot's name.
    pub plot: &'static str,
    /// The library's reason.
    pub why: String,
}

/// The outcome of a drawing step.
pub type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Where a text stands relative to its point.
pub use plotters::style::text_anchor::HPos as Anchor;

/// The sheet.
pub struct Canvas<DB: DrawingBackend> {
    area: DrawingArea<DB, Shift>,
    scale: f64,
    /// How far the backend sets text too high, in ems: the two do not agree on the middle of a line.
    text_drop: f64,
    /// Pictures to be put into the SVG afterwards; `None` where the backend draws them itself.
    images: Option<Vec<String>>,
}

/// A rectangle of the sheet, in points; y grows downwards.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Left edge.
    pub left: f64,
    /// Top edge.
    pub top: f64,
    /// Right edge.
    pub right: f64,
    /// Bottom edge.
    pub bottom: f64,
}

impl Frame {
    /// The point at the shares `x` of the width from the left and `y` of the height from the bottom.
    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.left + x * (self.right - self.left), self.bottom - y * (self.bottom - self.top))
    }
}

/// Colours of a picture by row, from the top.
pub struct Picture {
    /// Cells in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Three bytes a cell.
    pub rgb: Vec<u8>,
}

impl<DB: DrawingBackend> Canvas<DB> {
    /// A line through `points`.
    pub fn line(&self, points: &[(f64, f64)], colour: RGBColor, width: f64, dash: Dash) -> Drawn<DB> {
        let pixels: Vec<_> = points.iter().map(|&point| self.pixel(point)).collect();
        let style = colour.stroke_width(self.px(width).max(1) as u32);
        let (on, off) = match dash {
            Dash::Solid => return self.area.draw(&PathElement::new(pixels, style)),
            Dash::Dashed => (9.0, 5.0),
            Dash::Dotted => (2.5, 4.0),
        };
        self.area.draw(&DashedPathElement::new(pixels, self.px(on), self.px(off), style))
    }

    /// A filled rectangle.
    pub fn fill(&self, frame: &Frame, colour: RGBAColor) -> Drawn<DB> {
        let corners = [self.pixel((frame.left, frame.top)), self.pixel((frame.right, frame.bottom))];
        self.area.draw(&Rectangle::new(corners, colour.filled()))
    }

    /// A filled area within `corners`.
    pub fn polygon(&self, corners: &[(f64, f64)], colour: RGBAColor) -> Drawn<DB> {
        let pixels: Vec<_> = corners.iter().map(|&corner| self.pixel(corner)).collect();
        self.area.draw(&Polygon::new(pixels, colour))
    }

    /// A dot.
    pub fn dot(&self, at: (f64, f64), radius: f64, colour: RGBAColor) -> Drawn<DB> {
        self.area.draw(&Circle::new(self.pixel(at), self.px(radius), colour.filled()))
    }

    /// A line of text, its middle at the height of `at`.
    pub fn text(&self, text: &str, at: (f64, f64), size: f64, colour: RGBColor, anchor: HPos) -> Drawn<DB> {
        let style = self.style(size).color(&colour).pos(Pos::new(anchor, VPos::Center));
        self.area.draw_text(&printable(text), &style, self.pixel((at.0, at.1 + self.text_drop * size)))
    }

    /// How wide a text is, in points.
    pub fn text_width(&self, text: &str, size: f64) -> f64 {
        let width =
            self.area.estimate_text_size(&printable(text), &self.style(size)).map_or(0, |(width, _)| width);
        f64::from(width) / self.scale
    }

    /// A picture that fills `frame`, its cells kept apart and not blurred.
    pub fn picture(&mut self, picture: &Picture, frame: &Frame) -> Drawn<DB> {
        let (left, top) = self.pixel((frame.left, frame.top));
        let (right, bottom) = self.pixel((frame.right, frame.bottom));
        let (width, height) = ((right - left).max(1) as usize, (bottom - top).max(1) as usize);
        if let Some(images) = &mut self.images {
            images.push(svg_image(picture, (left, top), (width, height)));
            return Ok(());
        }
        let rgb = enlarged(picture, width, height);
        let element = BitMapElement::with_owned_buffer((left, top), (width as u32, height as u32), rgb);
        element.map_or(Ok(()), |element| self.area.draw(&element))
    }

    // plotters takes a font's size times 1.24 for its height, in SVG; the bitmap backend does so by the font's own
    // line height, which is 1.24 em for that reason.
    fn style(&self, size: f64) -> TextStyle<'static> {
        (font::FAMILY, size * 1.24 * self.scale).into_font().into()
    }

    fn pixel(&self, (x, y): (f64, f64)) -> (i32, i32) {
        (self.px(x), self.px(y))
    }

    fn px(&self, points: f64) -> i32 {
        (points * self.scale).round() as i32
    }
}

/// Runs `draw` on a sheet and returns the SVG document, with the font in it.
pub fn svg(
    plot: &'static str,
    title: &str,
    draw: impl FnOnce(&mut Canvas<SVGBackend<'_>>) -> Drawn<SVGBackend<'static>>,
) -> Result<String, PlotError> {
    svg_of(plot, title, SIZE, draw)
}

/// The same on a sheet of another size, in points.
pub fn svg_of(
    plot: &'static str,
    title: &str,
    sheet: (u32, u32),
    draw: impl FnOnce(&mut Canvas<SVGBackend<'_>>) -> Drawn<SVGBackend<'static>>,
) -> Result<String, PlotError> {
    font::register();
    let size = (sheet.0 * SVG_SCALE, sheet.1 * SVG_SCALE);
    let mut document = String::new();
    let images = {
        let area = SVGBackend::with_string(&mut document, size).into_drawing_area();
        let mut canvas =
            Canvas { area, scale: f64::from(SVG_SCALE), text_drop: 0.05, images: Some(Vec::new()) };
        let outcome = draw(&mut canvas).and_then(|()| canvas.area.present());
        outcome.map_err(|error| PlotError { plot, why: error.to_string() })?;
        canvas.images.unwrap_or_default()
    };
    let body = document.split_once('>').map_or("", |(_, body)| body);
    Ok(format!(
        "<svg width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\">\n\
         <title>{}</title>\n<style>{}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>\n{}{body}",
        sheet.0,
        sheet.1,
        size.0,
        size.1,
        escaped(title),
        font::face_css(),
        images.concat(),
    ))
}

/// Runs `draw` on a sheet and returns the bytes of the PNG file.
pub fn png(
    plot: &'static str,
    draw: impl FnOnce(&mut Canvas<BitMapBackend<'_>>) -> Drawn<BitMapBackend<'static>>,
) -> Result<Vec<u8>, PlotError> {
    png_of(plot, SIZE, draw)
}

/// The same on a sheet of another size, in points.
pub fn png_of(
    plot: &'static str,
    sheet: (u32, u32),
    draw: impl FnOnce(&mut Canvas<BitMapBackend<'_>>) -> Drawn<BitMapBackend<'static>>,
) -> Result<Vec<u8>, PlotError> {
    font::register();
    let (width, height) = (sheet.0 * PNG_SCALE, sheet.1 * PNG_SCALE);
    let mut rgb = vec![255; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut rgb, (width, height)).into_drawing_area();
        let mut canvas = Canvas { area, scale: f64::from(PNG_SCALE), text_drop: 0.19, images: None };
        let outcome = draw(&mut canvas).and_then(|()| canvas.area.present());
        outcome.map_err(|error| PlotError { plot, why: error.to_string() })?;
    }
    encoded_png(width, height, &rgb).map_err(|error| PlotError { plot, why: error.to_string() })
}

fn encoded_png(width: u32, height: u32, rgb: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Best);
    encoder.set_filter(png::FilterType::NoFilter);
    encoder.write_header()?.write_image_data(rgb)?;
    Ok(bytes)
}

fn svg_image(picture: &Picture, at: (i32, i32), size: (usize, usize)) -> String {
    // Encoding into memory fails for an empty picture alone, and that one needs no element.
    let Ok(png) = encoded_png(picture.width as u32, picture.height as u32, &picture.rgb) else {
        return String::new();
    };
    format!(
        "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
         style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>\n",
        at.0,
        at.1,
        size.0,
        size.1,
        BASE64_STANDARD.encode(png)
    )
}

/// The picture at another size, each pixel the colour of the cell that it lies in.
fn enlarged(picture: &Picture, width: usize, height: usize) -> Vec<u8> {
    if picture.rgb.is_empty() {
        return vec![255; width * height * 3];
    }
    let columns: Vec<usize> = (0..width).map(|x| x * picture.width / width).collect();
    (0..height)
        .map(|y| y * picture.height / height * picture.width)
        .flat_map(|row| columns.iter().map(move |column| (row + column) * 3))
        .flat_map(|cell| picture.rgb[cell..cell + 3].iter().copied())
        .collect()
}

/// Names come from the scenario: what XML cannot hold becomes a space.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn escaped(text: &str) -> String {
    printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
