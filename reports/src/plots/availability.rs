//! How common each piece was, over time.

use super::axis::Axis;
use super::bands;
use super::figure::{Body, Figure, HeatMap};
use crate::record::RunRecord;
use crate::words;

pub const HOW_TO_READ: &str = "Each row is a piece (or, of many pieces, the rarest of a few neighbours), each column \
    a moment; the colour says how many hosts present held it. An even colour up and down means that no piece was \
    rarer than the rest; a dark stripe is a piece that the swarm could lose, and black one that it had lost.";

pub fn figure(record: &RunRecord) -> Figure {
    let map = &record.availability;
    let times_s: Vec<f64> = map.times_us.iter().map(|&time_us| time_us as f64 / 1e6).collect();
    let (Some(&first_s), Some(&last_s)) = (times_s.first(), times_s.last()) else {
        return nothing();
    };
    if map.first_pieces.is_empty() {
        return nothing();
    }
    let pieces =
        record.info.content.pieces.max(map.first_pieces.last().map_or(0, |&piece| piece.saturating_add(1)));
    // A column covers the time up to the next sample, the last one as much as those before it.
    let step_s = if times_s.len() > 1 { (last_s - first_s) / (times_s.len() - 1) as f64 } else { 1.0 };
    let rows =
        (0..map.first_pieces.len()).map(|bin| map.copies.iter().map(|row| row[bin]).collect()).collect();
    Figure {
        title: title(record),
        x: Axis::time("time since the start", last_s + step_s),
        bands: bands::since_start(record),
        body: Body::HeatMap(HeatMap {
            y: Axis::index("piece", pieces),
            label: "copies (logarithmic):".to_owned(),
            rows,
            span: (first_s, last_s + step_s),
        }),
        note: None,
    }
}

fn nothing() -> Figure {
    let x = Axis::time("time since the start", 1.0);
    let title = "How common each piece was is not on record".to_owned();
    Figure::message(title, x, "The run left no samples of the pieces.")
}

/// Looks for the moment from which on every piece had a second copy, while anybody still needed one.
fn title(record: &RunRecord) -> String {
    let needed: Vec<_> = record.timeline.iter().filter(|row| row.leechers > 0).collect();
    let Some(last) = needed.last() else { return "How common each piece was".to_owned() };
    let alone = needed.iter().rposition(|row| row.availability_min < 2);
    match alone.map(|index| needed.get(index + 1)) {
        None => "Every piece was held at least twice, all the time that it was needed".to_owned(),
        Some(Some(row)) => {
            format!("From {} on, every piece was held at least twice", words::seconds(row.t_s))
        }
        Some(None) if last.availability_min == 0 => "To the last, some piece was held by nobody".to_owned(),
        Some(None) => "To the last, some piece was held by one host alone".to_owned(),
    }
}
