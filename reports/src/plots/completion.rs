//! Who had finished by when, beside the least possible time and one server alone.

use plotters::style::RGBColor;

use super::axis::Axis;
use super::bands;
use super::figure::{Band, Body, Curve, Dash, Figure, Panel, ink, thinned};
use crate::bound::{KUMAR_ROSS, client_server};
use crate::record::{PeerRow, RunRecord};
use crate::words;

pub const HOW_TO_READ: &str = "At each time, counted from a host's own joining, the share of the hosts that had \
    the whole content; a curve that ends below 100 % means that some never finished. Where there are several classes \
    of hosts each has a curve, as a share of its own hosts. The upright line is the least time in which all could \
    have finished; the curve of those served by the seeds alone is the same hosts without a swarm (each only where it can be computed).";

const MOST_POINTS: usize = 800;
/// Beyond this ratio of the two curves' ends, a linear axis would squeeze one of them flat.
const LOG_FROM: f64 = 3.0;

pub fn figure(record: &RunRecord) -> Figure {
    let eligible = record.peers.iter().filter(|peer| peer.is_eligible()).count();
    let server = client_server(&record.info.content, &record.peers).unwrap_or_default();
    let title = title(record, &server);
    let classes = classes(record);
    // Several curves of the swarm leave no room for one of something else.
    let server = if classes.len() > 1 { Vec::new() } else { server };
    let bands = bands::since_joining(record);
    let x = time_axis(record, &sorted(record.peers.iter()), &server, &bands);
    if eligible == 0 {
        return Figure::message(title, x, "No host came for the content.");
    }
    let curve = |label: String, colour, dash, points| Curve { label, colour, dash, points };
    let mut curves: Vec<Curve> = classes
        .into_iter()
        .zip(INKS)
        .map(|((label, times, hosts), (colour, dash))| {
            curve(label, colour, dash, steps(&times, hosts, x.high()))
        })
        .collect();
    if let Some(bound_s) = record.summary.bound_s {
        let by = record.summary.bound_by.as_deref().unwrap_or(KUMAR_ROSS);
        let label = format!("least possible ({by}): {}", words::seconds(bound_s));
        curves.push(curve(label, ink::BLACK, Dash::Dashed, vec![(bound_s, 0.0), (bound_s, 1.0)]));
    }
    if !server.is_empty() {
        let label = "served by the seeds alone".to_owned();
        curves.push(curve(label, ink::ORANGE, Dash::Dotted, steps(&server, eligible, x.high())));
    }
    Figure {
        title,
        x,
        bands,
        body: Body::Panels(vec![Panel { y: Axis::percent("hosts that have finished"), curves }]),
        note: record.summary.bound_reason.as_ref().map(|reason| format!("No least possible time: {reason}.")),
    }
}

/// How the curves of classes are drawn; the first is that of all hosts too.
const INKS: [(RGBColor, Dash); 4] = [
    (ink::BLUE, Dash::Solid),
    (ink::GREEN, Dash::Dashed),
    (ink::PURPLE, Dash::Solid),
    (ink::ORANGE, Dash::Dotted),
];

/// The name, the download times and the number of hosts of each class that came for the content, quickest median
/// first; of all hosts together where there are more classes than a plot can hold, or only one.
fn classes(record: &RunRecord) -> Vec<(String, Vec<f64>, usize)> {
    let names = &record.summary.class_p50_s;
    let of = |name: Option<&str>| {
        let hosts = || {
            record
                .peers
                .iter()
                .filter(move |peer| peer.is_eligible() && name.is_none_or(|name| peer.class == name))
        };
        (name.unwrap_or("swarm").to_owned(), sorted(hosts()), hosts().count())
    };
    if !(2..=INKS.len()).contains(&names.len()) {
        return vec![of(None)];
    }
    let p50_s = |name: &str| names[name].unwrap_or(f64::INFINITY);
    let mut order: Vec<&String> = names.keys().collect();
    order.sort_by(|a, b| p50_s(a).total_cmp(&p50_s(b)));
    order.into_iter().map(|name| of(Some(name))).collect()
}

/// The download times of those of `peers` that finished, ascending.
fn sorted<'a>(peers: impl Iterator<Item = &'a PeerRow>) -> Vec<f64> {
    let mut times: Vec<f64> = peers.filter_map(download_s).collect();
    times.sort_by(f64::total_cmp);
    times
}

fn time_axis(record: &RunRecord, swarm: &[f64], server: &[f64], bands: &[Band]) -> Axis {
    const WHAT: &str = "time since joining";
    let bound_s = record.summary.bound_s;
    let swarm_end_s = swarm.last().copied().unwrap_or(record.info.simulated_s).max(bound_s.unwrap_or(0.0));
    let server_end_s = server.last().copied().unwrap_or(0.0);
    if server_end_s <= LOG_FROM * swarm_end_s {
        return Axis::time(WHAT, swarm_end_s.max(server_end_s) * 1.05);
    }
    let starts_s = [swarm.first().copied(), bound_s, server.first().copied()].into_iter().flatten();
    // What went wrong before anybody was done has its beginning on the axis, too.
    let faults_s = bands.iter().flat_map(|band| &band.spans).flat_map(|(from_s, to_s)| [*from_s, *to_s]);
    let first_s = starts_s.chain(faults_s.filter(|at_s| *at_s > 0.0)).fold(server_end_s, f64::min);
    Axis::log_time(WHAT, first_s.max(server_end_s * 1e-6) / 1.5, server_end_s)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_begins_on_a_logarithmic_axis() {
        let band = |from_s, to_s| Band { label: String::new(), spans: vec![(from_s, to_s)], filled: true };
        let axis = |bands: &[Band]| time_axis(&RunRecord::default(), &[100.0], &[5000.0], bands);
        assert_eq!(axis(&[]).position(5.0), 0.0, "it begins further on");
        let position = axis(&[band(5.0, 9.0)]).position(5.0);
        assert!((0.01..0.2).contains(&position), "{position}");
        // What goes on from the beginning has no place for it on such an axis, but its end has one.
        let axis = axis(&[band(0.0, 9.0), band(700.0, f64::INFINITY)]);
        assert!(axis.position(0.0) == 0.0 && axis.position(9.0) > 0.01);
    }
}
