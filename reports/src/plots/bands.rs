//! When something went wrong: the faults of a run as bands over a time axis.

use super::figure::Band;
use crate::record::{FaultRow, RunRecord};
use crate::words;

/// Faults that come more often than this are shown above the curves alone: as bands they would cover everything.
const MOST_BANDS: usize = 3;
/// All hosts joined at about the same time if they did so within this share of the run.
const SAME_TIME: f64 = 0.1;

/// The faults of a run, over the time since its start.
pub fn since_start(record: &RunRecord) -> Vec<Band> {
    bands(record, record.info.simulated_s)
}

/// What was not over when the run ended goes on until `end_s`.
fn bands(record: &RunRecord, end_s: f64) -> Vec<Band> {
    let mut sorts: Vec<(&str, Vec<&FaultRow>)> = Vec::new();
    for row in &record.faults {
        match sorts.iter_mut().find(|(fault, _)| *fault == row.fault) {
            Some((_, rows)) => rows.push(row),
            None => sorts.push((&row.fault, vec![row])),
        }
    }
    sorts.iter().map(|(_, rows)| band(rows, end_s)).collect()
}

/// The same over the time since joining, if that is the same moment for all who came for the content.
pub fn since_joining(record: &RunRecord) -> Vec<Band> {
    let joined = || record.peers.iter().filter(|peer| peer.is_eligible()).map(|peer| peer.joined_s);
    let (first_s, last_s) = (joined().fold(f64::INFINITY, f64::min), joined().fold(0.0, f64::max));
    if last_s - first_s > SAME_TIME * record.info.simulated_s {
        return Vec::new();
    }
    let middle_s = (first_s + last_s) / 2.0;
    // The axis goes beyond the end of the run, counted from the joining of those in the middle.
    let mut bands = bands(record, f64::INFINITY);
    for (from_s, to_s) in bands.iter_mut().flat_map(|band| &mut band.spans) {
        (*from_s, *to_s) = ((*from_s - middle_s).max(0.0), (*to_s - middle_s).max(0.0));
    }
    bands
}

fn band(rows: &[&FaultRow], end_s: f64) -> Band {
    let mut label = format!("{}: {}", rows[0].kind, rows[0].target);
    if rows.len() > 1 {
        label.push_str(&format!(", {} times", words::count(rows.len() as u64)));
    }
    Band {
        label,
        spans: rows.iter().map(|row| (row.begin_s, row.end_s.unwrap_or(end_s).min(end_s))).collect(),
        filled: rows.len() <= MOST_BANDS,
    }
}
