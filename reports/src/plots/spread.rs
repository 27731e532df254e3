//! How the content spread from host to host at first, beside how quickly it could have.

use super::axis::Axis;
use super::bands;
use super::figure::{Body, Curve, Dash, Figure, Panel, ink, thinned};
use crate::record::{PeerRow, RunRecord};
use crate::spread::doubling_limit;
use crate::stats;
use crate::words;

pub const HOW_TO_READ: &str = "The hosts that have had a whole piece since they came with nothing, each step upwards \
    twice as many: a straight rise is growth by a constant factor, as of a flood. The doubling limit is 2^t: everybody \
    who has a piece sends one on as fast as the uplink allows, and each piece comes whole from one host (it is in the \
    bound of Mundinger, Weber and Weiss). Choking, latency and hosts that come later keep a swarm below it.";

const MOST_POINTS: usize = 800;

pub fn figure(record: &RunRecord) -> Figure {
    let eligible = || record.peers.iter().filter(|peer| peer.is_eligible());
    let first_s = eligible().map(|peer| peer.joined_s).fold(f64::INFINITY, f64::min);
    let times_s = first_pieces(eligible(), first_s);
    let limit = doubling_limit(&record.info.content, &record.peers);
    let end_s = times_s.last().copied().unwrap_or(0.0);
    let last_s = limit.iter().flatten().last().map_or(0.0, |step| step.0);
    let x = Axis::time("time since the first joining", end_s.max(last_s) * 1.05);
    let title = title(&times_s, eligible().count());
    if times_s.is_empty() {
        return Figure::message(title, x, "Nobody came to have a first piece.");
    }
    let counted: Vec<(f64, f64)> =
        times_s.iter().enumerate().map(|(rank, t_s)| (*t_s, (rank + 1) as f64)).collect();
    let mut curves = vec![Curve {
        label: "hosts with a piece".to_owned(),
        colour: ink::BLUE,
        dash: Dash::Solid,
        points: stairs(&counted, x.high()),
    }];
    let mut most = counted.len() as f64;
    let mut note = None;
    match limit {
        Ok(limit) => {
            let limit: Vec<(f64, f64)> = limit.into_iter().map(|(t_s, hosts)| (t_s, hosts as f64)).collect();
            most = limit.last().map_or(most, |step| step.1.max(most));
            curves.push(Curve {
                label: "doubling limit (Mundinger, Weber and Weiss)".to_owned(),
                colour: ink::BLACK,
                dash: Dash::Dashed,
                points: stairs(&limit, x.high()),
            });
        }
        Err(reason) => note = Some(format!("No doubling limit: {reason}.")),
    }
    let panel = Panel { y: Axis::doublings("hosts (logarithmic)", most), curves };
    let bands = bands::since(record, first_s);
    Figure { title, x, bands, body: Body::Panels(vec![panel]), note }
}

/// When each host had its first piece, from `first_s` on, ascending.
fn first_pieces<'a>(peers: impl Iterator<Item = &'a PeerRow>, first_s: f64) -> Vec<f64> {
    let mut times: Vec<f64> =
        peers.filter_map(|peer| Some(peer.joined_s + peer.bootstrap_s? - first_s)).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Steps up to each of `points`, from the first on, and on to `end`.
fn stairs(points: &[(f64, f64)], end: f64) -> Vec<(f64, f64)> {
    let mut stairs: Vec<(f64, f64)> = Vec::new();
    for (at, count) in thinned(points, MOST_POINTS) {
        stairs.extend(stairs.last().map(|last| (at, last.1)));
        stairs.push((at, count));
    }
    stairs.extend(stairs.last().map(|last| (end.max(last.0), last.1)));
    stairs
}

/// The growth from two hosts to half of all, as the line of least squares through the logarithm of their number.
fn title(times_s: &[f64], hosts: usize) -> String {
    let counted = words::plural(times_s.len() as u64, "host");
    let growing = times_s.iter().enumerate().map(|(rank, t_s)| (*t_s, libm::log2((rank + 1) as f64)));
    let half: Vec<(f64, f64)> = growing.take(hosts / 2).skip(1).collect();
    match stats::least_squares(&half).filter(|line| line.slope > 0.0) {
        Some(line) if half.len() > 2 => format!(
            "Up to half of them, the hosts with a piece doubled every {} (R² {})",
            words::seconds(1.0 / line.slope),
            words::figure(line.r2.unwrap_or(0.0))
        ),
        _ => format!("{counted} came to have a first piece"),
    }
}
