//! Records as a run could have left them, made by arithmetic alone.

use torrentlab_reports::record::{
    AvailabilitySampler, ClassInfo, ContentInfo, Cost, Departure, FaultRow, Judgement, PeerRow, PieceRow,
    Role, RunInfo, RunRecord, TimelineRow, Verdict,
};
use torrentlab_reports::stats::Health;
use torrentlab_reports::summarise;

const PIECE_BYTES: u64 = 256 * 1024;
const SEED_UP: u64 = 1_000_000;
/// Name, uplink, downlink, and how many of ten leechers are of the class.
const CLASSES: [(&str, u64, u64, usize); 3] =
    [("fibre", 2_000_000, 8_000_000, 2), ("cable", 1_000_000, 4_000_000, 3), ("dsl", 500_000, 2_000_000, 5)];

/// A flash crowd of `leechers` around one seed, `pieces` pieces, sampled `samples` times.
pub fn flash_crowd(leechers: usize, pieces: u32, samples: usize) -> RunRecord {
    let mut info = info(leechers, pieces);
    let peers = peers(&info.content, leechers);
    let end_s = peers.iter().filter_map(|peer| peer.completed_s).fold(60.0, f64::max) + 20.0;
    info.simulated_s = end_s;
    let mut sampler = AvailabilitySampler::new(pieces);
    let timeline: Vec<TimelineRow> = (0..samples)
        .map(|index| {
            let t_s = end_s * index as f64 / (samples.max(2) - 1) as f64;
            let copies = copies_at(t_s, pieces, &peers);
            sampler.sample(t_s, &copies);
            timeline_row(t_s, &copies, &peers, &info.content)
        })
        .collect();
    let summary = summarise(&info, &peers, &timeline);
    let cost = Some(Cost::new(1.25, Some(1.2), Some(48 << 20), info.events, summary.blocks));
    let pieces = (0..pieces).map(|piece| piece_row(piece, &peers)).collect();
    let scenario_toml = "schema = 1\nname = \"flash-crowd\"\n".to_owned();
    RunRecord {
        info,
        scenario_toml,
        peers,
        timeline,
        pieces,
        faults: Vec::new(),
        availability: sampler.finish(),
        summary,
        cost,
    }
}

/// The same with two faults of their own and 41 random ones.
pub fn with_faults() -> RunRecord {
    let mut record = flash_crowd(30, 64, 50);
    let end_s = record.info.simulated_s;
    let fault =
        |fault: &str, kind: &str, target: &str, hosts: &str, begin_s: f64, end_s: Option<f64>| FaultRow {
            fault: fault.to_owned(),
            kind: kind.to_owned(),
            target: target.to_owned(),
            hosts: hosts.to_owned(),
            begin_s,
            end_s,
        };
    record.faults = vec![
        fault("fault.0", "partition", "10% of dsl", "dsl-2 dsl-6", 0.2 * end_s, Some(0.5 * end_s)),
        fault("fault.1", "kill", "seed", "seed-0", 0.4 * end_s, None),
    ];
    record.faults.extend((0..41).map(|nth| {
        let begin_s = end_s * (0.3 + 0.6 * scatter(nth));
        fault("random_faults.mix.0", "vanish", "1 of cable", "cable-1", begin_s, Some(begin_s + 1.0))
    }));
    record.faults.sort_by(|one, other| one.begin_s.total_cmp(&other.begin_s));
    record
}

fn info(leechers: usize, pieces: u32) -> RunInfo {
    let class = |name: &str, hosts: usize, up: u64, down: u64, behaviour: &str, presence: &str| ClassInfo {
        name: name.to_owned(),
        hosts: hosts as u32,
        behaviour: behaviour.to_owned(),
        up_bytes_per_s: Some(up),
        down_bytes_per_s: Some(down),
        picker: "rarest first".to_owned(),
        choker: "tit for tat".to_owned(),
        initial_pieces: if behaviour == "seed" { "all" } else { "none" }.to_owned(),
        presence: presence.to_owned(),
        unchoking_s: Default::default(),
        turnover: None,
    };
    let mut classes = vec![class("seed", 1, SEED_UP, SEED_UP, "seed", "at 0 s, for ever")];
    for (name, up, down, _) in CLASSES {
        let hosts = (0..leechers).filter(|&index| class_of(index).0 == name).count();
        classes.push(class(name, hosts, up, down, "normal", "flash crowd, leaves 30 s after completion"));
    }
    RunInfo {
        scenario: "flash-crowd".to_owned(),
        question: "Can one seed serve a crowd that arrives all at once?".to_owned(),
        answer: "All finish, and the seed sends at most 3 copies.".to_owned(),
        judgement: Judgement {
            verdict: Verdict::Held,
            why: "All finished; the seed sent 2.9 copies.".to_owned(),
        },
        seed: 7,
        version: "0.1.0".to_owned(),
        trace_hash: "6f1d0c5ab2e94788a1b2c3d4e5f60718".to_owned(),
        ended_by: "all_done".to_owned(),
        events: 1_234_567,
        content: ContentInfo {
            total_bytes: u64::from(pieces) * PIECE_BYTES,
            piece_bytes: PIECE_BYTES,
            pieces,
        },
        classes,
        ..RunInfo::default()
    }
}

fn class_of(index: usize) -> (&'static str, u64, u64, usize) {
    match index % 10 {
        0 | 5 => CLASSES[0],
        1 | 4 | 7 => CLASSES[1],
        _ => CLASSES[2],
    }
}

/// Evenly scattered over 0..1, the same each time.
fn scatter(index: usize) -> f64 {
    (index as f64 * 0.618_033_988_749_895).fract()
}

fn peers(content: &ContentInfo, leechers: usize) -> Vec<PeerRow> {
    let total = content.total_bytes as f64;
    let mut rows = vec![PeerRow {
        host: "seed-0".to_owned(),
        class: "seed".to_owned(),
        role: Role::Seed,
        initial_pieces: content.pieces,
        pieces: content.pieces,
        up_bytes_per_s: Some(SEED_UP),
        down_bytes_per_s: Some(SEED_UP),
        sessions: 1,
        payload_up_bytes: (2.9 * total) as u64,
        wire_up_bytes: (2.9 * total * 1.05) as u64,
        ..PeerRow::default()
    }];
    rows.extend((0..leechers).map(|index| leecher(content, index)));
    let online_s = rows.iter().filter_map(|row| row.left_s).fold(60.0, f64::max);
    rows[0].online_s = online_s;
    rows.iter_mut().for_each(PeerRow::derive);
    rows
}

fn leecher(content: &ContentInfo, index: usize) -> PeerRow {
    let (class, up, down, _) = class_of(index);
    let total = content.total_bytes as f64;
    let joined_s = 0.004 * index as f64;
    let fluid_s = total / 850_000.0;
    let completed_s = joined_s + fluid_s * (1.05 + 0.5 * scatter(index) - 0.1 * (up as f64 / 1e6)) + 12.0;
    let sent = total * (0.35 + 0.55 * up as f64 / 1e6) * (0.85 + 0.3 * scatter(index + 3));
    PeerRow {
        host: format!("{class}-{index}"),
        class: class.to_owned(),
        role: Role::Leecher,
        up_bytes_per_s: Some(up),
        down_bytes_per_s: Some(down),
        joined_s,
        bootstrap_s: Some(4.0 + 6.0 * scatter(index)),
        last_piece_s: Some(0.4),
        completed_s: Some(completed_s),
        left_s: Some(completed_s + 30.0),
        departure: Some(Departure::Stop),
        sessions: 1,
        online_s: completed_s + 30.0 - joined_s,
        pieces: content.pieces,
        payload_up_bytes: sent as u64,
        payload_down_bytes: content.total_bytes + 16_384,
        wire_up_bytes: (sent * 1.05) as u64,
        wire_down_bytes: (total * 1.05) as u64,
        requests: content.total_bytes / 16_384 + 1,
        blocks: content.total_bytes / 16_384 + 1,
        duplicate_blocks: 1,
        wasted_bytes: 16_384,
        unchoked_s: completed_s * 3.1,
        unchoking_s: completed_s * 3.0,
        unchoking_own_class_s: completed_s * 1.4,
        sources: Some(11.0 + 8.0 * scatter(index + 1)),
        ..PeerRow::default()
    }
}

fn present(peer: &PeerRow, t_s: f64) -> bool {
    peer.joined_s <= t_s && peer.left_s.is_none_or(|left| t_s < left)
}

/// The share of the content that `peer` holds at `t_s`.
fn progress(peer: &PeerRow, t_s: f64) -> f64 {
    match peer.completed_s {
        None => 1.0,
        Some(done) if t_s >= done => 1.0,
        Some(done) => ((t_s - peer.joined_s - 6.0) / (done - peer.joined_s - 6.0)).clamp(0.0, 1.0).powf(1.3),
    }
}

fn copies_at(t_s: f64, pieces: u32, peers: &[PeerRow]) -> Vec<u32> {
    let mut copies = vec![0; pieces as usize];
    for (index, peer) in peers.iter().enumerate().filter(|(_, peer)| present(peer, t_s)) {
        let held = progress(peer, t_s);
        for (piece, count) in copies.iter_mut().enumerate() {
            *count += u32::from(held >= 1.0 || scatter(piece * 7 + index * 131) < held);
        }
    }
    copies
}

fn timeline_row(t_s: f64, copies: &[u32], peers: &[PeerRow], content: &ContentInfo) -> TimelineRow {
    let here = || peers.iter().filter(|peer| present(peer, t_s));
    let done = |peer: &&PeerRow| progress(peer, t_s) >= 1.0;
    let rate: f64 = here()
        .map(|peer| (progress(peer, t_s + 1.0) - progress(peer, t_s)) * content.total_bytes as f64)
        .sum();
    let offered: f64 = here().filter_map(|peer| peer.up_bytes_per_s).map(|up| up as f64).sum();
    let mut row = TimelineRow {
        t_s,
        leechers: here().filter(|peer| !done(peer)).count() as u32,
        seeds: here().filter(done).count() as u32,
        bootstrapped: here().filter(|peer| peer.is_eligible() && progress(peer, t_s) > 0.0).count() as u32,
        completed: peers.iter().filter(|peer| peer.completed_s.is_some_and(|at| at <= t_s)).count() as u32,
        payload_up_bytes_per_s: rate.min(offered),
        payload_down_bytes_per_s: rate.min(offered),
        wire_up_bytes_per_s: 1.05 * rate.min(offered),
        upload_utilisation: (offered > 0.0).then(|| (rate / offered).min(1.0)),
        tracker_announces: 2,
        ..TimelineRow::default()
    };
    row.set_health(&Health::of(copies));
    row.distributed_copies_without_seeds = (row.distributed_copies - 1.0).max(0.0);
    row
}

fn piece_row(piece: u32, peers: &[PeerRow]) -> PieceRow {
    PieceRow {
        piece,
        copies_at_end: 1,
        first_copy_s: Some(5.0 + scatter(piece as usize) * 40.0),
        last_copy_s: peers.iter().filter_map(|peer| peer.completed_s).reduce(f64::max),
        seed_payload_bytes: 3 * PIECE_BYTES,
        hash_failures: 0,
    }
}
