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

/// The same over the time since `moment_s`.
pub fn since(record: &RunRecord, moment_s: f64) -> Vec<Band> {
    shifted(record, moment_s, moment_s)
}

/// The same over the time since joining, if that is about the same moment for all who came for the content: each band
/// from when the fault began for the last that joined to when it ended for the first.
pub fn since_joining(record: &RunRecord) -> Vec<Band> {
    let joined = || record.peers.iter().filter(|peer| peer.is_eligible()).map(|peer| peer.joined_s);
    let (first_s, last_s) = (joined().fold(f64::INFINITY, f64::min), joined().fold(0.0, f64::max));
    if last_s - first_s > SAME_TIME * record.info.simulated_s {
        return Vec::new();
    }
    shifted(record, last_s, first_s)
}

/// Bands that begin as if counted from one moment and end as if counted from another.
fn shifted(record: &RunRecord, begins_from_s: f64, ends_from_s: f64) -> Vec<Band> {
    // The axis may go beyond the end of the run.
    let mut bands = bands(record, f64::INFINITY);
    for band in &mut bands {
        band.spans.retain(|(_, to_s)| *to_s >= ends_from_s);
        for (from_s, to_s) in &mut band.spans {
            (*from_s, *to_s) = ((*from_s - begins_from_s).max(0.0), *to_s - ends_from_s);
        }
    }
    bands.retain(|band| !band.spans.is_empty());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::PeerRow;

    #[test]
    fn since_joining_a_band_covers_what_any_of_them_saw() {
        let fault = |begin_s, end_s| FaultRow {
            fault: format!("fault.{begin_s}"),
            begin_s,
            end_s,
            ..FaultRow::default()
        };
        let mut record = RunRecord::default();
        record.info.simulated_s = 1000.0;
        record.peers = [10.0, 30.0].map(|joined_s| PeerRow { joined_s, ..PeerRow::default() }).to_vec();
        record.faults = vec![
            fault(0.0, Some(5.0)),
            fault(20.0, Some(50.0)),
            fault(100.0, Some(150.0)),
            fault(200.0, None),
        ];
        let spans = |bands: Vec<Band>| bands.into_iter().flat_map(|band| band.spans).collect::<Vec<_>>();
        // The first is over before anybody has come.
        let expected = [(0.0, 40.0), (70.0, 140.0), (170.0, f64::INFINITY)];
        assert_eq!(spans(since_joining(&record)), expected);
        assert_eq!(spans(since(&record, 10.0)), [(10.0, 40.0), (90.0, 140.0), (190.0, f64::INFINITY)]);
        record.peers[1].joined_s = 500.0;
        assert!(since_joining(&record).is_empty(), "to each of them it came at another time");
    }
}
