//! How many complete copies there were, and who held them.

use super::axis::Axis;
use super::bands;
use super::figure::{Body, Curve, Dash, Figure, Panel, ink, thinned};
use crate::record::{RunRecord, TimelineRow};
use crate::words;

pub const HOW_TO_READ: &str = "Above, the distributed copies: the whole part is how many complete copies the hosts \
    present could put together, the fraction how many of the pieces are there once more. Below 1, nobody can \
    finish. Below it, who was there: hosts that lack a piece, and hosts that hold all.";

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
    let line = |label: &str, colour, dash, value: fn(&TimelineRow) -> f64| Curve {
        label: label.to_owned(),
        colour,
        dash,
        points: rows.iter().map(|row| (row.t_s, value(row))).collect(),
    };
    let highest = |value: fn(&TimelineRow) -> f64| rows.iter().map(|row| value(row)).fold(0.0, f64::max);
    let copies = Panel {
        y: Axis::linear("distributed copies", highest(|row| row.distributed_copies).max(1.0), 5),
        curves: vec![
            line("all hosts", ink::BLUE, Dash::Solid, |row| row.distributed_copies),
            line("without the first seeds", ink::BLACK, Dash::Dotted, |row| {
                row.distributed_copies_without_seeds
            }),
        ],
    };
    let hosts = Panel {
        y: Axis::linear("hosts", highest(|row| f64::from(row.leechers.max(row.seeds))).max(4.0), 4),
        curves: vec![
            line("leechers", ink::ORANGE, Dash::Solid, |row| f64::from(row.leechers)),
            line("seeds", ink::GREEN, Dash::Dashed, |row| f64::from(row.seeds)),
        ],
    };
    Figure { title, x, bands: bands::since_start(record), body: Body::Panels(vec![copies, hosts]) }
}

fn title(record: &RunRecord) -> String {
    let lost = record.timeline.iter().find(|row| row.leechers > 0 && row.distributed_copies < 1.0);
    match (lost, record.summary.distributed_copies_min) {
        (Some(row), _) => format!(
            "At {} some piece was nowhere to be had: {} distributed copies",
            words::seconds(row.t_s),
            words::figure(row.distributed_copies)
        ),
        (None, Some(least)) if record.summary.stalled > 0 => format!(
            "Distributed copies never fell below {}, but {} hosts could not get at them",
            words::figure(least),
            words::count(record.summary.stalled)
        ),
        (None, Some(least)) => {
            format!("Distributed copies never fell below {} while anybody needed them", words::figure(least))
        }
        (None, None) => "Nobody lacked a piece in any sample".to_owned(),
    }
}
