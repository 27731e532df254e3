//! Who had finished by when, beside the least possible time and one server alone.

use super::axis::Axis;
use super::figure::{Body, Curve, Dash, Figure, Panel, ink, thinned};
use crate::bound::client_server;
use crate::record::{PeerRow, RunRecord};
use crate::words;

pub const HOW_TO_READ: &str = "At each time, counted from a host's own joining, the share of the hosts that had \
    the whole content; a curve that ends below 100 % means that some never finished. The dashed line is the least \
    time in which all could have finished; the dotted curve is the same hosts served by the seeds alone.";

const MOST_POINTS: usize = 800;
/// Beyond this ratio of the two curves' ends, a linear axis would squeeze one of them flat.
const LOG_FROM: f64 = 3.0;

pub fn figure(record: &RunRecord) -> Figure {
    let eligible = record.peers.iter().filter(|peer| peer.is_eligible()).count();
    let mut times: Vec<f64> = record.peers.iter().filter_map(download_s).collect();
    times.sort_by(f64::total_cmp);
    let server = client_server(&record.info.content, &record.peers).unwrap_or_default();
    let title = title(record, &server);
    if eligible == 0 {
        let x = Axis::time("time since joining", 1.0);
        return Figure { title, x, body: Body::Message("No host came for the content.".to_owned()) };
    }
    let bound_s = record.summary.bound_s;
    let swarm_end_s = times.last().copied().unwrap_or(record.info.simulated_s).max(bound_s.unwrap_or(0.0));
    let server_end_s = server.last().copied().unwrap_or(0.0);
    let x = if server_end_s > LOG_FROM * swarm_end_s {
        let first_s = [times.first().copied(), bound_s, server.first().copied()];
        let low_s = first_s.into_iter().flatten().fold(f64::MAX, f64::min).max(server_end_s * 1e-6);
        Axis::log_time("time since joining", low_s / 1.5, server_end_s)
    } else {
        Axis::time("time since joining", swarm_end_s.max(server_end_s) * 1.05)
    };
    let mut curves = vec![Curve {
        label: "swarm".to_owned(),
        colour: ink::BLUE,
        dash: Dash::Solid,
        points: steps(&times, eligible, x.high()),
    }];
    if let Some(bound_s) = bound_s {
        curves.push(Curve {
            label: format!("least possible: {}", words::seconds(bound_s)),
            colour: ink::BLACK,
            dash: Dash::Dashed,
            points: vec![(bound_s, 0.0), (bound_s, 1.0)],
        });
    }
    if !server.is_empty() {
        curves.push(Curve {
            label: "served by the seeds alone".to_owned(),
            colour: ink::ORANGE,
            dash: Dash::Dotted,
            points: steps(&server, eligible, x.high()),
        });
    }
    Figure {
        title,
        x,
        body: Body::Panels(vec![Panel { y: Axis::percent("hosts that have finished"), curves }]),
    }
}

fn title(record: &RunRecord, server: &[f64]) -> String {
    let summary = &record.summary;
    let mut title = match (summary.completion_s.max, summary.completion_s.p50) {
        (Some(last), _) if summary.completed == 1 => {
            format!("The one host finished in {}", words::seconds(last))
        }
        (Some(last), _) => {
            format!(
                "All {} finished within {}",
                words::plural(summary.completed, "host"),
                words::seconds(last)
            )
        }
        (None, Some(half)) => format!(
            "{} of {} finished, half of them all within {}",
            words::count(summary.completed),
            words::plural(summary.eligible, "host"),
            words::seconds(half)
        ),
        (None, None) => format!(
            "{} of {} finished",
            words::count(summary.completed),
            words::plural(summary.eligible, "host")
        ),
    };
    if let Some(&end) = server.last() {
        title.push_str(&format!("; from the seeds alone: {}", words::seconds(end)));
    }
    title
}

fn download_s(peer: &PeerRow) -> Option<f64> {
    peer.is_eligible().then_some(peer.completed_s? - peer.joined_s)
}

/// The share of `population` that is done at each time, as stairs that go on to `end`.
fn steps(times: &[f64], population: usize, end: f64) -> Vec<(f64, f64)> {
    let ranked: Vec<(usize, f64)> = times.iter().copied().enumerate().collect();
    let mut points = vec![(0.0, 0.0)];
    for (rank, time) in thinned(&ranked, MOST_POINTS) {
        let before = points.last().map_or(0.0, |point| point.1);
        points.extend([(time, before), (time, (rank + 1) as f64 / population as f64)]);
    }
    let last = points.last().map_or(0.0, |point| point.1);
    points.push((end, last));
    points
}
