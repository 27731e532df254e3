//! How many complete copies there were, and who held them.

use super::axis::Axis;
use super::figure::{Dash, Figure, Panel, ink};
use super::samples::Samples;
use crate::record::RunRecord;
use crate::words;

pub const HOW_TO_READ: &str = "Above, the distributed copies: the whole part is how many complete copies the hosts \
    present could put together, the fraction how many of the pieces are there once more. Below 1, nobody can \
    finish. Below it, who was there: hosts that lack a piece, and hosts that hold all.";

pub fn figure(record: &RunRecord) -> Figure {
    let samples = Samples::of(record);
    samples.figure(record, title(record), || vec![copies(&samples), hosts(&samples)])
}

fn copies(samples: &Samples) -> Panel {
    Panel {
        y: Axis::linear("distributed copies", samples.highest(|row| row.distributed_copies).max(1.0), 5),
        curves: vec![
            samples.curve("all hosts", ink::BLUE, Dash::Solid, |row| Some(row.distributed_copies)),
            samples.curve("without the first seeds", ink::BLACK, Dash::Dotted, |row| {
                Some(row.distributed_copies_without_seeds)
            }),
        ],
    }
}

fn hosts(samples: &Samples) -> Panel {
    let most = samples.highest(|row| f64::from(row.leechers.max(row.seeds)));
    Panel {
        y: Axis::linear("hosts", most.max(4.0), 4),
        curves: vec![
            samples.curve("leechers", ink::ORANGE, Dash::Solid, |row| Some(f64::from(row.leechers))),
            samples.curve("seeds", ink::GREEN, Dash::Dashed, |row| Some(f64::from(row.seeds))),
        ],
    }
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
