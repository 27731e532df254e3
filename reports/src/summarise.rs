//! From rows to figures.

use std::collections::BTreeMap;

use crate::bound::{Bound, bound};
use crate::fit::fitted;
use crate::record::decimal::rounded;
use crate::record::{Completion, PeerRow, Role, RunInfo, Summary, TimelineRow};
use crate::stats;

/// The figures of a run, from its rows alone. Everything is rounded to six decimals, as in the files.
pub fn summarise(info: &RunInfo, peers: &[PeerRow], timeline: &[TimelineRow]) -> Summary {
    let eligible: Vec<&PeerRow> = peers.iter().filter(|peer| peer.is_eligible()).collect();
    let completed = eligible.iter().filter(|peer| peer.completed_s.is_some()).count();
    let all_completed = !eligible.is_empty() && completed == eligible.len();
    let completion_s = completion(&eligible);
    let makespan_s = if all_completed { makespan(&eligible) } else { None };
    let bound = bound(info, peers);
    let bound_s = bound.as_ref().ok().map(|bound| bound.time_s);
    let over_bound = |time: Option<f64>| time.zip(bound_s).map(|(time, bound)| time / bound);
    let round = |value: Option<f64>| value.filter(|value| value.is_finite()).map(rounded);
    Summary {
        scenario: info.scenario.clone(),
        seed: info.seed,
        version: info.version.clone(),
        backend: info.backend.clone(),
        tick: info.tick,
        trace_hash: info.trace_hash.clone(),
        peers: peers.len() as u64,
        eligible: eligible.len() as u64,
        completed: completed as u64,
        unfinished: (eligible.len() - completed) as u64,
        stalled: eligible.iter().filter(|peer| peer.stalled).count() as u64,
        ended_by: info.ended_by.clone(),
        makespan_s: round(makespan_s),
        bound_s: round(bound_s),
        bound_by: bound.as_ref().ok().map(|bound: &Bound| bound.by.to_owned()),
        bound_reason: bound.err().map(|reason| reason.to_string()),
        stretch_last: round(over_bound(makespan_s)),
        stretch_mean: round(over_bound(completion_s.mean)),
        upload_utilisation: round(upload_utilisation(peers)),
        seed_upload_copies: round(copies(info, total_up(peers, |peer| peer.role == Role::Seed))),
        max_upload_copies: round(copies(info, max_up(peers, |_| true))),
        max_leecher_upload_copies: round(copies(info, max_up(peers, PeerRow::is_eligible))),
        leecher_upload_share: round(leecher_upload_share(peers)),
        cross_region_share: round(info.cross_region_share),
        jain_upload: round(stats::jain(
            &eligible.iter().map(|peer| peer.payload_up_bytes as f64).collect::<Vec<_>>(),
        )),
        blocks: total(peers, |peer| peer.blocks),
        duplicate_blocks: total(peers, |peer| peer.duplicate_blocks),
        requests_per_block: round(requests_per_block(peers)),
        hash_failures: total(peers, |peer| peer.hash_failures),
        wasted_share: round(wasted_share(peers)),
        protocol_overhead: round(protocol_overhead(peers)),
        distributed_copies_min: round(distributed_copies_min(timeline)),
        bootstrap_p50_s: round(median(&eligible, |peer| peer.bootstrap_s, eligible.len())),
        sources_p50: round(median(&eligible, |peer| peer.completed_s.and(peer.sources), completed)),
        startup_p50_s: round(startup(&eligible)),
        stalls_mean: round(stats::mean(&observed(&eligible, |peer| peer.stalls.map(f64::from)))),
        stalled_mean_s: round(stats::mean(&observed(&eligible, |peer| peer.stalled_s))),
        late_share_mean: round(stats::mean(&observed(&eligible, |peer| peer.late_share))),
        unchoking_s: unchoking(info),
        fit: fitted(&info.fits, timeline),
        simulated_s: rounded(info.simulated_s),
        events: info.events,
        class_p50_s: class_medians(&eligible),
        completion_s: Completion {
            min: round(completion_s.min),
            mean: round(completion_s.mean),
            p25: round(completion_s.p25),
            p50: round(completion_s.p50),
            p75: round(completion_s.p75),
            p95: round(completion_s.p95),
            max: round(completion_s.max),
        },
    }
}

/// The download time of a host, from its own join.
fn download_s(peer: &PeerRow) -> Option<f64> {
    peer.completed_s.map(|at| at - peer.joined_s)
}

fn completion(eligible: &[&PeerRow]) -> Completion {
    let times = observed(eligible, download_s);
    let all = times.len() == eligible.len();
    Completion {
        min: times.first().copied(),
        mean: if all { stats::mean(&times) } else { None },
        p25: stats::quantile(&times, eligible.len(), 0.25),
        p50: stats::quantile(&times, eligible.len(), 0.5),
        p75: stats::quantile(&times, eligible.len(), 0.75),
        p95: stats::quantile(&times, eligible.len(), 0.95),
        max: if all { times.last().copied() } else { None },
    }
}

/// What `value` gives for those that have it, ascending.
fn observed(peers: &[&PeerRow], value: impl Fn(&PeerRow) -> Option<f64>) -> Vec<f64> {
    let mut values: Vec<f64> = peers.iter().filter_map(|peer| value(peer)).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(peers: &[&PeerRow], value: impl Fn(&PeerRow) -> Option<f64>, population: usize) -> Option<f64> {
    stats::quantile(&observed(peers, value), population, 0.5)
}

/// The median among those who watched; who never saw anything counts as later than all.
fn startup(peers: &[&PeerRow]) -> Option<f64> {
    let watched: Vec<&PeerRow> = peers.iter().copied().filter(|peer| peer.late_share.is_some()).collect();
    median(&watched, |peer| peer.startup_s, watched.len())
}

/// The median download time of each class among its own hosts.
fn class_medians(eligible: &[&PeerRow]) -> BTreeMap<String, Option<f64>> {
    let mut classes: BTreeMap<String, Vec<&PeerRow>> = BTreeMap::new();
    for peer in eligible {
        classes.entry(peer.class.clone()).or_default().push(peer);
    }
    let p50 = |hosts: Vec<&PeerRow>| median(&hosts, download_s, hosts.len()).map(rounded);
    classes.into_iter().map(|(class, hosts)| (class, p50(hosts))).collect()
}

/// The time that each class unchoked each class.
fn unchoking(info: &RunInfo) -> BTreeMap<String, BTreeMap<String, f64>> {
    let given = info.classes.iter().filter(|class| !class.unchoking_s.is_empty());
    let to = |times: &BTreeMap<String, f64>| {
        times.iter().map(|(class, &time_s)| (class.clone(), rounded(time_s))).collect()
    };
    given.map(|class| (class.name.clone(), to(&class.unchoking_s))).collect()
}

fn makespan(eligible: &[&PeerRow]) -> Option<f64> {
    let first = eligible.iter().map(|peer| peer.joined_s).reduce(f64::min)?;
    let last = eligible.iter().filter_map(|peer| peer.completed_s).reduce(f64::max)?;
    Some(last - first)
}

fn requests_per_block(peers: &[PeerRow]) -> Option<f64> {
    let blocks = total(peers, |peer| peer.blocks);
    (blocks > 0).then(|| total(peers, |peer| peer.requests) as f64 / blocks as f64)
}

fn upload_utilisation(peers: &[PeerRow]) -> Option<f64> {
    let sharing = || peers.iter().filter(|peer| peer.role != Role::FreeRider);
    let offered = sharing()
        .try_fold(0.0, |sum, peer| Some(sum + peer.up_bytes_per_s? as f64 * peer.online_s))
        .filter(|&offered| offered > 0.0)?;
    Some(sharing().map(|peer| peer.payload_up_bytes as f64).sum::<f64>() / offered)
}

/// Saturates: rows that were read from a folder may hold anything.
fn total(peers: &[PeerRow], value: impl Fn(&PeerRow) -> u64) -> u64 {
    peers.iter().map(value).fold(0, u64::saturating_add)
}

fn total_up(peers: &[PeerRow], among: impl Fn(&PeerRow) -> bool) -> u64 {
    total(peers, |peer| if among(peer) { peer.payload_up_bytes } else { 0 })
}

fn max_up(peers: &[PeerRow], among: impl Fn(&PeerRow) -> bool) -> u64 {
    peers.iter().filter(|peer| among(peer)).map(|peer| peer.payload_up_bytes).max().unwrap_or(0)
}

fn copies(info: &RunInfo, bytes: u64) -> Option<f64> {
    (info.content.total_bytes > 0).then(|| bytes as f64 / info.content.total_bytes as f64)
}

fn leecher_upload_share(peers: &[PeerRow]) -> Option<f64> {
    let all = total_up(peers, |_| true);
    (all > 0).then(|| total_up(peers, PeerRow::is_eligible) as f64 / all as f64)
}

fn protocol_overhead(peers: &[PeerRow]) -> Option<f64> {
    let payload = total_up(peers, |_| true);
    let wire = total(peers, |peer| peer.wire_up_bytes);
    (payload > 0).then(|| (wire as f64 - payload as f64) / payload as f64)
}

fn wasted_share(peers: &[PeerRow]) -> Option<f64> {
    let received = total(peers, |peer| peer.payload_down_bytes);
    (received > 0).then(|| total(peers, |peer| peer.wasted_bytes) as f64 / received as f64)
}

fn distributed_copies_min(timeline: &[TimelineRow]) -> Option<f64> {
    timeline.iter().filter(|row| row.leechers > 0).map(|row| row.distributed_copies).reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ClassInfo, ContentInfo};

    fn host(role: Role, up: u64, completed_s: Option<f64>, sent: u64) -> PeerRow {
        PeerRow {
            role,
            up_bytes_per_s: Some(up),
            down_bytes_per_s: Some(1000),
            joined_s: 2.0,
            completed_s,
            online_s: 20.0,
            payload_up_bytes: sent,
            wire_up_bytes: sent + sent / 10,
            ..PeerRow::default()
        }
    }

    #[test]
    fn figures_by_hand() {
        let content = ContentInfo { total_bytes: 1000, piece_bytes: 100, pieces: 10 };
        let info = RunInfo { content, ..RunInfo::default() };
        let peers = [
            host(Role::Seed, 100, None, 1500),
            host(Role::Leecher, 100, Some(12.0), 400),
            host(Role::Leecher, 50, Some(18.0), 100),
            host(Role::FreeRider, 50, Some(22.0), 0),
        ];
        let row =
            |leechers, distributed_copies| TimelineRow { leechers, distributed_copies, ..Default::default() };
        let summary = summarise(&info, &peers, &[row(3, 1.5), row(1, 1.2), row(0, 0.4)]);
        assert_eq!((summary.peers, summary.eligible, summary.completed, summary.unfinished), (4, 3, 3, 0));
        let Completion { min, mean, p25, p50, p75, p95, max } = summary.completion_s;
        assert_eq!(
            [min, mean, p25, p50, p75, p95, max],
            [10.0, 46.0 / 3.0, 10.0, 16.0, 20.0, 20.0, 20.0].map(|v| Some(rounded(v)))
        );
        assert_eq!((summary.makespan_s, summary.bound_s), (Some(20.0), Some(12.0)), "3 copies at 250 B/s");
        assert_eq!((summary.stretch_last, summary.stretch_mean), (Some(1.666667), Some(1.277778)));
        assert_eq!(summary.class_p50_s[""], Some(16.0));
        assert_eq!(summary.upload_utilisation, Some(0.4), "2000 B of 20 s at 250 B/s");
        assert_eq!((summary.seed_upload_copies, summary.max_upload_copies), (Some(1.5), Some(1.5)));
        assert_eq!(
            (summary.max_leecher_upload_copies, summary.leecher_upload_share),
            (Some(0.4), Some(0.25))
        );
        assert_eq!(summary.jain_upload, Some(rounded(500.0 * 500.0 / (3.0 * 170_000.0))));
        assert_eq!(summary.protocol_overhead, Some(0.1));
        assert_eq!(summary.distributed_copies_min, Some(1.2), "the last sample is past all need");
    }

    #[test]
    fn unchoke_time_is_named_by_giver_and_taker() {
        let class = |name: &str, unchoking_s: &[(&str, f64)]| ClassInfo {
            name: name.to_owned(),
            unchoking_s: unchoking_s.iter().map(|&(taker, time_s)| (taker.to_owned(), time_s)).collect(),
            ..ClassInfo::default()
        };
        let classes = vec![class("fast", &[("fast", 1.0 / 3.0), ("slow", 2.0)]), class("slow", &[])];
        let summary = summarise(&RunInfo { classes, ..RunInfo::default() }, &[], &[]);
        assert_eq!(summary.unchoking_s["fast"]["fast"], 0.333333);
        assert_eq!(summary.unchoking_s["fast"]["slow"], 2.0);
        assert!(!summary.unchoking_s.contains_key("slow"), "who gave nothing is absent");
    }

    #[test]
    fn an_unlimited_uplink_has_no_utilisation() {
        let mut peers = [host(Role::Seed, 100, None, 1500), host(Role::Leecher, 100, Some(12.0), 400)];
        peers[1].up_bytes_per_s = None;
        assert_eq!(summarise(&RunInfo::default(), &peers, &[]).upload_utilisation, None);
    }
}
