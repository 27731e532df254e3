//! Who gave how much.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::figure::{Body, Figure, Strip, thinned};
use crate::record::{PeerRow, RunRecord};
use crate::stats;
use crate::words;

pub const HOW_TO_READ: &str = "Each dot is a host, placed by the payload that it sent, in copies of the content; \
    the bar marks its class's median. A host at 1 gave as much as it took. A swarm in which the leechers stand near \
    1 has relieved its seed.";

const MOST_DOTS: usize = 300;
const MOST_CLASSES: usize = 14;
const MOST_LETTERS: usize = 18;

pub fn figure(record: &RunRecord) -> Figure {
    let content_bytes = record.info.content.total_bytes as f64;
    let classes = by_class(&record.peers);
    let highest =
        record.peers.iter().map(|peer| peer.payload_up_bytes).max().unwrap_or(0) as f64 / content_bytes;
    let mut x = Axis::linear("payload sent by a host (copies of the content)", highest.max(1.0), 6);
    if classes.len() > MOST_CLASSES {
        x.label.push_str(&format!("; the first {MOST_CLASSES} of {} classes", classes.len()));
    }
    let title = title(record);
    if classes.is_empty() || content_bytes == 0.0 {
        return Figure::message(title, x, "The run had no hosts, or nothing to share.");
    }
    let strips =
        classes.iter().take(MOST_CLASSES).map(|(class, peers)| strip(class, peers, content_bytes)).collect();
    Figure { title, x, bands: Vec::new(), body: Body::Strips(strips), note: None }
}

/// The classes in the order in which their first hosts stand in the record.
fn by_class(peers: &[PeerRow]) -> Vec<(&str, Vec<&PeerRow>)> {
    let mut places = BTreeMap::new();
    let mut classes: Vec<(&str, Vec<&PeerRow>)> = Vec::new();
    for peer in peers {
        let place = *places.entry(peer.class.as_str()).or_insert(classes.len());
        if place == classes.len() {
            classes.push((&peer.class, Vec::new()));
        }
        classes[place].1.push(peer);
    }
    classes
}

fn strip(class: &str, peers: &[&PeerRow], content_bytes: f64) -> Strip {
    let mut copies: Vec<f64> =
        peers.iter().map(|peer| peer.payload_up_bytes as f64 / content_bytes).collect();
    copies.sort_by(f64::total_cmp);
    Strip {
        label: format!("{} ({})", shortened(class), words::count(peers.len() as u64)),
        median: stats::quantile(&copies, copies.len(), 0.5).unwrap_or(0.0),
        values: thinned(&copies, MOST_DOTS),
    }
}

/// Long names lose their middle: names of classes that are alike differ at the end.
fn shortened(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= MOST_LETTERS {
        return name.to_owned();
    }
    let half = MOST_LETTERS / 2;
    let text = |letters: &[char]| letters.iter().collect::<String>();
    format!("{}…{}", text(&letters[..half]), text(&letters[letters.len() - half..]))
}

fn title(record: &RunRecord) -> String {
    let summary = &record.summary;
    match (summary.leecher_upload_share, summary.seed_upload_copies) {
        (Some(share), Some(copies)) => format!(
            "The seeds sent {} copies; the leechers sent {} of all payload",
            words::figure(copies),
            words::percent(share)
        ),
        _ => "Nothing was sent".to_owned(),
    }
}
