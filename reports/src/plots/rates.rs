//! How much was sent and received, and how much of the uplinks that took.

use super::axis::Axis;
use super::bands;
use super::figure::{Body, Curve, Dash, Figure, Panel, ink, thinned};
use crate::record::{RunRecord, TimelineRow};
use crate::words;

pub const HOW_TO_READ: &str = "Above, the payload that all hosts together sent and received, and everything that \
    their uplinks carried, protocol included. Below, the payload sent as a share of what the uplinks of the hosts \
    present could have carried: low while pieces are still scarce, and again when few are left who want any.";

const MOST_POINTS: usize = 1000;

pub fn figure(record: &RunRecord) -> Figure {
    let rows: Vec<&TimelineRow> = record.timeline.iter().collect();
    let rows = thinned(&rows, MOST_POINTS);
    let x = Axis::time("time since the start", rows.last().map_or(0.0, |row| row.t_s));
    let title = title(record);
    if rows.is_empty() {
        return Figure {
            title,
            x,
            bands: Vec::new(),
            body: Body::Message("The run left no samples.".to_owned()),
        };
    }
    let line = |label: &str, colour, dash, value: fn(&TimelineRow) -> Option<f64>| Curve {
        label: label.to_owned(),
        colour,
        dash,
        points: rows.iter().filter_map(|row| Some((row.t_s, value(row)?))).collect(),
    };
    let highest = rows
        .iter()
        .flat_map(|row| [row.payload_up_bytes_per_s, row.payload_down_bytes_per_s, row.wire_up_bytes_per_s])
        .fold(0.0, f64::max);
    let rates = Panel {
        y: Axis::rate("all hosts together", highest),
        curves: vec![
            line("on the uplinks", ink::GREY, Dash::Dotted, |row| Some(row.wire_up_bytes_per_s)),
            line("payload sent", ink::ORANGE, Dash::Solid, |row| Some(row.payload_up_bytes_per_s)),
            line("payload received", ink::BLUE, Dash::Dashed, |row| Some(row.payload_down_bytes_per_s)),
        ],
    };
    let utilisation = Panel {
        y: Axis::percent("share of the uplinks in use"),
        curves: vec![line("payload sent / uplinks", ink::GREEN, Dash::Solid, |row| row.upload_utilisation)],
    };
    Figure { title, x, bands: bands::since_start(record), body: Body::Panels(vec![rates, utilisation]) }
}

fn title(record: &RunRecord) -> String {
    match record.summary.upload_utilisation {
        Some(share) => {
            format!(
                "Over their lifetimes, the hosts used {} of their uplinks for payload",
                words::percent(share)
            )
        }
        None => "What was sent and received (unlimited uplinks have no share in use)".to_owned(),
    }
}
