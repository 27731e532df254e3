//! Figures of how the content spreads, and among whom.

use std::collections::BTreeMap;

use crate::record::decimal::rounded;
use crate::record::{PeerRow, RunInfo, TimelineRow};

/// Of the first copy's worth that the seeds sent, the share that was new.
pub fn first_copy_unique(info: &RunInfo) -> Option<f64> {
    let sent = info.seed_output;
    (sent.first_copy_bytes > 0).then(|| sent.first_copy_unique_bytes as f64 / sent.first_copy_bytes as f64)
}

/// Of what the seeds sent until each block was among it, the share that was not new.
pub fn duplicate_share(info: &RunInfo) -> Option<f64> {
    let sent = info.seed_output.whole_after_bytes.filter(|&sent| sent > 0)?;
    Some(1.0 - info.content.total_bytes as f64 / sent as f64)
}

/// The most by which the two counts of copies differ.
pub fn health_deviation(timeline: &[TimelineRow]) -> Option<f64> {
    let deviation = |row: &TimelineRow| (row.distributed_copies - row.distributed_copies_recounted).abs();
    timeline.iter().map(deviation).reduce(f64::max)
}

/// The clustering index of each class of those that came for the content, where there are several.
pub fn clustering(info: &RunInfo, eligible: &[&PeerRow]) -> BTreeMap<String, f64> {
    let came: BTreeMap<&str, ()> = eligible.iter().map(|peer| (peer.class.as_str(), ())).collect();
    if came.len() < 2 {
        return BTreeMap::new();
    }
    let classes = info.classes.iter().filter(|class| came.contains_key(class.name.as_str()));
    let index = classes.map(|class| (class, class.clustering_own_s / class.clustering_proportional_s));
    let defined = index.filter(|(_, index)| index.is_finite());
    defined.map(|(class, index)| (class.name.clone(), rounded(index))).collect()
}

/// Of the pairs of classes with different uplinks, the share in which the faster one has the lower median. A median that
/// was not reached is later than all others.
pub fn class_order(eligible: &[&PeerRow], medians: &BTreeMap<String, Option<f64>>) -> Option<f64> {
    let uplink = |peer: &&PeerRow| (peer.class.clone(), peer.up_bytes_per_s.unwrap_or(u64::MAX));
    let uplinks: BTreeMap<String, u64> = eligible.iter().map(uplink).collect();
    let waits = uplinks.iter().map(|(class, &up)| {
        let p50_s = medians.get(class).copied().flatten();
        (up, p50_s.unwrap_or(f64::INFINITY))
    });
    let waits: Vec<(u64, f64)> = waits.collect();
    let pairs = waits.iter().flat_map(|fast| waits.iter().map(move |slow| (fast, slow)));
    let in_order: Vec<bool> =
        pairs.filter(|(fast, slow)| fast.0 > slow.0).map(|(fast, slow)| fast.1 < slow.1).collect();
    let right = in_order.iter().filter(|&&right| right).count();
    (!in_order.is_empty()).then(|| right as f64 / in_order.len() as f64)
}

/// Mean download time by Little's law (Little, Operations Research 9, 1961), where a run of a given length lets it be
/// taken over a span of time: leechers present, over those that come per second.
pub fn by_little(info: &RunInfo, eligible: &[&PeerRow], timeline: &[TimelineRow]) -> Option<f64> {
    let (first, last) = (timeline.first()?, timeline.last()?);
    let came = eligible.iter().filter(|peer| (first.t_s..=last.t_s).contains(&peer.joined_s)).count();
    let of_given_length = ["time", "steady_state"].contains(&info.ended_by.as_str());
    if came == 0 || !of_given_length {
        return None;
    }
    let trapezium = |rows: &[TimelineRow]| {
        (rows[1].t_s - rows[0].t_s) * (f64::from(rows[0].leechers) + f64::from(rows[1].leechers)) / 2.0
    };
    // Leechers times seconds, over leechers: the span itself cancels out.
    Some(timeline.windows(2).map(trapezium).sum::<f64>() / came as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ClassInfo, ContentInfo, SeedOutput};

    fn info() -> RunInfo {
        let content = ContentInfo { total_bytes: 1000, piece_bytes: 100, pieces: 10 };
        RunInfo { content, ..RunInfo::default() }
    }

    fn leecher(class: &str, joined_s: f64) -> PeerRow {
        PeerRow { class: class.to_owned(), joined_s, ..PeerRow::default() }
    }

    #[test]
    fn what_the_seeds_sent_twice() {
        let output = SeedOutput {
            first_copy_bytes: 1000,
            first_copy_unique_bytes: 900,
            whole_after_bytes: Some(1250),
        };
        let sent = RunInfo { seed_output: output, ..info() };
        assert_eq!((first_copy_unique(&sent), duplicate_share(&sent)), (Some(0.9), Some(1.0 - 0.8)));
        assert_eq!((first_copy_unique(&info()), duplicate_share(&info())), (None, None), "nothing was sent");
    }

    #[test]
    fn the_two_counts_are_compared_at_each_sample() {
        let row = |distributed_copies, distributed_copies_recounted| TimelineRow {
            distributed_copies,
            distributed_copies_recounted,
            ..TimelineRow::default()
        };
        assert_eq!(health_deviation(&[row(1.5, 1.5), row(2.0, 2.25), row(3.0, 2.875)]), Some(0.25));
        assert_eq!(health_deviation(&[]), None);
    }

    #[test]
    fn clustering_is_own_over_proportional() {
        let class = |name: &str, own: f64, proportional: f64| ClassInfo {
            name: name.to_owned(),
            clustering_own_s: own,
            clustering_proportional_s: proportional,
            ..ClassInfo::default()
        };
        let classes = vec![
            class("seed", 0.0, 0.0),
            class("a", 30.0, 20.0),
            class("b", 5.0, 10.0),
            class("c", 0.0, 0.0),
        ];
        let info = RunInfo { classes, ..info() };
        let peers = ["a", "b", "c"].map(|class| leecher(class, 0.0));
        let came: Vec<&PeerRow> = peers.iter().collect();
        let expected = [("a", 1.5), ("b", 0.5)].map(|(class, index)| (class.to_owned(), index));
        assert_eq!(clustering(&info, &came), BTreeMap::from(expected), "c gave nothing");
        assert!(clustering(&info, &came[..1]).is_empty(), "one class alone");
    }

    #[test]
    fn classes_are_in_order_pair_by_pair() {
        let host = |class: &str, up| PeerRow { up_bytes_per_s: up, ..leecher(class, 0.0) };
        let peers = [host("a", Some(1)), host("b", Some(2)), host("c", Some(2)), host("d", None)];
        let medians = |p50_s: [Option<f64>; 4]| {
            ["a", "b", "c", "d"].map(str::to_owned).into_iter().zip(p50_s).collect()
        };
        let came: Vec<&PeerRow> = peers.iter().collect();
        let order = |p50_s| class_order(&came, &medians(p50_s));
        assert_eq!(order([Some(9.0), Some(5.0), Some(6.0), Some(1.0)]), Some(1.0));
        // Of five pairs d before b alone: b never was done.
        assert_eq!(order([Some(9.0), None, Some(9.0), Some(9.5)]), Some(0.2));
        assert_eq!(class_order(&came[1..3], &medians([None; 4])), None, "uplinks alike");
    }

    #[test]
    fn littles_law() {
        let row = |t_s, leechers| TimelineRow { t_s, leechers, ..TimelineRow::default() };
        let timeline = [row(10.0, 4), row(20.0, 6), row(25.0, 2)];
        let peers = [9.0, 10.0, 24.0, 25.0, 26.0].map(|joined_s| leecher("", joined_s));
        let came: Vec<&PeerRow> = peers.iter().collect();
        let ended = |by: &str| RunInfo { ended_by: by.to_owned(), ..info() };
        // 10 s of 5 and 5 s of 4 on the mean, over 3 who came.
        assert_eq!(by_little(&ended("time"), &came, &timeline), Some(70.0 / 3.0));
        assert_eq!(by_little(&ended("all_done"), &came, &timeline), None);
        assert_eq!(by_little(&ended("time"), &[], &timeline), None, "nobody came");
    }
}
