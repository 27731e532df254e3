//! The one typeface of all plots, carried along so that they look the same on a machine without fonts.

use std::sync::Once;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use plotters::style::{FontStyle, register_font};

/// The family's name, in the bitmap backend's register and in SVG.
pub const FAMILY: &str = "Torrentlab Sans";

/// Fira Sans, cut down to Latin-1 (`fonts/README.md`).
const FACE: &[u8] = include_bytes!("../../fonts/torrentlab-sans.ttf");

/// Makes [`FAMILY`] known to the bitmap backend.
///
/// # Panics
/// If the font in the binary is broken.
pub fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        assert!(register_font(FAMILY, FontStyle::Normal, FACE).is_ok(), "the built-in font is broken");
    });
}

/// The CSS rule that carries the face into a document: plotters writes no more than its family's name.
pub fn face_css() -> String {
    let data = BASE64_STANDARD.encode(FACE);
    format!(
        "@font-face{{font-family:\"{FAMILY}\";src:url(data:font/ttf;base64,{data}) format(\"truetype\")}}"
    )
}
