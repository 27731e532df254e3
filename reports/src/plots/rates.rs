//! How much was sent and received, and how much of the uplinks that took.

use super::axis::Axis;
use super::figure::{Dash, Figure, Panel, ink};
use super::samples::Samples;
use crate::record::{RunRecord, TimelineRow};
use crate::words;

pub const HOW_TO_READ: &str = "Above, the payload that all hosts together sent and received, and everything that \
    their uplinks carried, protocol included; payload counts when it arrives, so that towards the end the uplinks fall \
    silent first. Below, the payload sent as a share of what the uplinks of the hosts \
    present could have carried: low while pieces are still scarce, and again when few are left who want any.";

pub fn figure(record: &RunRecord) -> Figure {
    let rest = rest(&record.timeline);
    let whole = record.timeline.len() - if rest.is_some() { 2 } else { 0 };
    let samples = Samples::thinned(record.timeline[..whole].iter().chain(&rest).collect());
    samples.figure(record, title(record), || vec![rates(&samples), utilisation(&samples)])
}

fn rates(samples: &Samples) -> Panel {
    let most = samples.highest(|row| {
        row.payload_up_bytes_per_s.max(row.payload_down_bytes_per_s).max(row.wire_up_bytes_per_s)
    });
    Panel {
        y: Axis::rate("all hosts together", most),
        curves: vec![
            samples.curve("on the uplinks", ink::GREY, Dash::Dotted, |row| Some(row.wire_up_bytes_per_s)),
            samples.curve("payload sent", ink::ORANGE, Dash::Solid, |row| Some(row.payload_up_bytes_per_s)),
            samples
                .curve("payload received", ink::BLUE, Dash::Dashed, |row| Some(row.payload_down_bytes_per_s)),
        ],
    }
}

fn utilisation(samples: &Samples) -> Panel {
    Panel {
        y: Axis::percent("share of the uplinks in use"),
        curves: vec![
            samples.curve("payload sent / uplinks", ink::GREEN, Dash::Solid, |row| row.upload_utilisation),
        ],
    }
}

/// The last two samples as one, where the last covers less than half the time of the one before. Payload counts when its
/// block has arrived, the bytes on the wire when they are sent: over a moment the two say nothing of each other.
fn rest(timeline: &[TimelineRow]) -> Option<TimelineRow> {
    let [.., first, before, last] = timeline else { return None };
    let (step_s, last_s) = (before.t_s - first.t_s, last.t_s - before.t_s);
    if step_s <= 0.0 || last_s >= step_s / 2.0 {
        return None;
    }
    let mean = |value: fn(&TimelineRow) -> f64| {
        (value(before) * step_s + value(last) * last_s.max(0.0)) / (step_s + last_s.max(0.0))
    };
    Some(TimelineRow {
        payload_up_bytes_per_s: mean(|row| row.payload_up_bytes_per_s),
        payload_down_bytes_per_s: mean(|row| row.payload_down_bytes_per_s),
        wire_up_bytes_per_s: mean(|row| row.wire_up_bytes_per_s),
        upload_utilisation: before
            .upload_utilisation
            .or(last.upload_utilisation)
            .map(|_| mean(|row| row.upload_utilisation.unwrap_or(0.0))),
        ..last.clone()
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(t_s: f64, payload: f64, wire: f64) -> TimelineRow {
        TimelineRow {
            t_s,
            payload_up_bytes_per_s: payload,
            wire_up_bytes_per_s: wire,
            upload_utilisation: Some(payload / 100.0),
            ..TimelineRow::default()
        }
    }

    #[test]
    fn a_short_last_sample_is_one_with_the_sample_before() {
        // 10 s at 60 and 1 s at 82 of payload; 66 and 0 on the wire, where nothing more was sent.
        let timeline = [sample(0.0, 0.0, 0.0), sample(10.0, 60.0, 66.0), sample(11.0, 82.0, 0.0)];
        let rest = rest(&timeline).expect("a second is short here");
        assert_eq!((rest.t_s, rest.payload_up_bytes_per_s, rest.wire_up_bytes_per_s), (11.0, 62.0, 60.0));
        assert_eq!(rest.upload_utilisation, Some(0.62));
    }

    #[test]
    fn a_last_sample_of_some_length_stays() {
        for last_s in [15.0, 20.0] {
            let timeline = [sample(0.0, 0.0, 0.0), sample(10.0, 1.0, 2.0), sample(last_s, 3.0, 4.0)];
            assert_eq!(rest(&timeline), None);
        }
        assert_eq!(rest(&[sample(0.0, 0.0, 0.0), sample(1.0, 1.0, 2.0)]), None);
    }
}
