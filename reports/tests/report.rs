//! Reports are made of any record, from its folder alone, and are the same bytes each time.

mod synthetic;

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use torrentlab_reports::record::{Judgement, PeerRow, Role, RunRecord, Turnover, Verdict};
use torrentlab_reports::{aggregate, aggregate_table, report, summarise, summary_table};

const FILES: [&str; 15] = [
    "plots/completion.svg",
    "plots/completion.png",
    "plots/spread.svg",
    "plots/spread.png",
    "plots/population.svg",
    "plots/population.png",
    "plots/health.svg",
    "plots/health.png",
    "plots/availability.svg",
    "plots/availability.png",
    "plots/rates.svg",
    "plots/rates.png",
    "plots/upload.svg",
    "plots/upload.png",
    "report.html",
];

fn reported(record: &RunRecord) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    record.write(dir.path()).expect("written");
    report(dir.path()).expect("reported");
    dir
}

fn read(dir: &Path, name: &str) -> Vec<u8> {
    fs::read(dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn resummarised(mut record: RunRecord) -> RunRecord {
    record.summary = summarise(&record.info, &record.peers, &record.timeline);
    record
}

#[test]
fn the_same_record_gives_the_same_bytes() {
    let record = synthetic::flash_crowd(20, 40, 60);
    let (first, second) = (reported(&record), reported(&record));
    report(second.path()).expect("rebuilt over itself");
    for name in FILES {
        assert!(read(first.path(), name) == read(second.path(), name), "{name}");
    }
}

#[test]
fn the_cost_stays_out_of_the_report() {
    let record = synthetic::flash_crowd(5, 8, 10);
    let without = RunRecord { cost: None, ..record.clone() };
    let (first, second) = (reported(&record), reported(&without));
    assert!(read(first.path(), "report.html") == read(second.path(), "report.html"));
}

#[test]
fn faults_stand_in_every_plot_over_time_and_on_the_page() {
    let dir = reported(&synthetic::with_faults());
    let text = |name: &str| String::from_utf8(read(dir.path(), name)).expect("text");
    for plot in ["completion", "population", "health", "availability", "rates"] {
        let svg = text(&format!("plots/{plot}.svg"));
        for label in ["partition: 10% of dsl", "kill: seed", "vanish: 1 of cable, 41 times"] {
            assert_eq!(svg.matches(label).count(), 1, "{plot}: {label}");
        }
    }
    assert!(!text("plots/upload.svg").contains("kill: seed"), "it has no axis of time");
    let page = text("report.html");
    assert!(page.contains("What went wrong") && page.contains("<td>dsl-2, dsl-6</td>"));
    assert!(!text_of(&synthetic::flash_crowd(5, 8, 10)).contains("What went wrong"));
}

#[test]
fn more_faults_than_there_is_room_for_are_counted() {
    let mut record = synthetic::with_faults();
    for (nth, fault) in record.faults.iter_mut().enumerate() {
        fault.fault = format!("fault.{nth}");
    }
    let dir = reported(&record);
    let svg = String::from_utf8(read(dir.path(), "plots/health.svg")).expect("text");
    assert!(svg.matches("vanish: 1 of cable").count() < 20 && svg.contains(" more, in faults.csv"));
}

/// One class of hosts that come at a constant rate and stay for exponential times.
fn steady_swarm() -> RunRecord {
    let mut record = synthetic::flash_crowd(30, 40, 60);
    record.info.classes.drain(2..);
    for (nth, peer) in record.peers.iter_mut().skip(1).enumerate() {
        (peer.class, peer.up_bytes_per_s) = ("fibre".to_owned(), Some(2_000_000));
        peer.joined_s = nth as f64;
    }
    let turnover = Turnover { arrivals_per_s: 1.0, patience_s: None, seeding_s: Some(2.0) };
    record.info.classes[1].turnover = Some(turnover);
    resummarised(record)
}

#[test]
fn lines_of_theory_stand_where_their_premises_hold_and_say_whose_they_are() {
    let (crowd, steady) = (reported(&synthetic::flash_crowd(20, 40, 60)), reported(&steady_swarm()));
    let text = |dir: &TempDir, name: &str| String::from_utf8(read(dir.path(), name)).expect("text");
    let has = |dir: &TempDir, plot: &str, what: &str| text(dir, &format!("plots/{plot}.svg")).contains(what);
    assert!(has(&crowd, "completion", "least possible (Kumar and Ross)"));
    assert!(!has(&steady, "completion", "least possible"), "they come one after the other");
    assert!(has(&crowd, "spread", "doubling limit (Mundinger, Weber and Weiss)"));
    assert!(has(&steady, "population", "leechers, Qiu and Srikant"));
    assert!(!has(&crowd, "population", "leechers, Qiu and Srikant"));
    // 10 MiB over 2 MB/s up and 8 MB/s down: 5.24288 s up, less 2 s as a seed, and u_0 = 1 MB/s.
    let page = text(&steady, "report.html");
    assert!(
        page.contains("lambda 1&#x2f;s, theta 0&#x2f;s, gamma 0.5&#x2f;s, mu 0.191&#x2f;s, c 0.763&#x2f;s")
    );
    assert!(page.contains("in the steady state 2.74 leechers, and a download takes 2.74 s"), "{page}");
    assert!(text(&crowd, "report.html").contains("No lines of Qiu and Srikant: 3 classes of hosts"));
}

fn text_of(record: &RunRecord) -> String {
    String::from_utf8(read(reported(record).path(), "report.html")).expect("text")
}

#[test]
fn a_plot_carries_its_font_and_the_page_carries_it_once() {
    let dir = reported(&synthetic::flash_crowd(5, 8, 10));
    let count =
        |name: &str| String::from_utf8(read(dir.path(), name)).expect("text").matches("@font-face").count();
    assert_eq!(count("plots/health.svg"), 1);
    assert_eq!(count("report.html"), 1);
}

#[test]
fn the_page_escapes_what_the_scenario_says() {
    let mut record = synthetic::flash_crowd(3, 4, 5);
    let hostile = "</title><script>alert(1)</script>\u{1}\"'&";
    record.info.scenario = hostile.to_owned();
    record.info.question = hostile.to_owned();
    record.info.answer = hostile.to_owned();
    record.info.judgement = Judgement { verdict: Verdict::Inconclusive, why: hostile.to_owned() };
    record.info.classes[0].name = hostile.to_owned();
    record.peers[0].class = hostile.to_owned();
    let dir = reported(&resummarised(record));
    for name in ["report.html", "plots/upload.svg"] {
        let text = String::from_utf8(read(dir.path(), name)).expect("text");
        assert!(!text.contains("<script") && text.contains("&lt;"), "{name}");
    }
    let svg = String::from_utf8(read(dir.path(), "plots/upload.svg")).expect("text");
    assert!(!svg.contains('\u{1}'), "a control character is no XML");
}

#[test]
fn odd_records_are_reported_all_the_same() {
    let mut lone = synthetic::flash_crowd(1, 1, 1);
    lone.peers.retain(|peer| peer.role == Role::Leecher);
    let mut unfinished = synthetic::flash_crowd(8, 16, 20);
    for peer in &mut unfinished.peers {
        *peer = PeerRow { completed_s: None, download_s: None, left_s: None, stalled: true, ..peer.clone() };
    }
    let mut unlimited = synthetic::flash_crowd(4, 8, 10);
    for peer in &mut unlimited.peers {
        (peer.up_bytes_per_s, peer.down_bytes_per_s) = (None, None);
    }
    let mut extreme = synthetic::flash_crowd(4, 8, 10);
    for peer in &mut extreme.peers {
        (peer.payload_up_bytes, peer.payload_down_bytes, peer.blocks) = (u64::MAX, u64::MAX, u64::MAX);
        (peer.up_bytes_per_s, peer.down_bytes_per_s) = (Some(0), Some(u64::MAX));
        (peer.joined_s, peer.completed_s) = (1e15, Some(-1e15));
    }
    for row in &mut extreme.timeline {
        (row.t_s, row.distributed_copies, row.payload_up_bytes_per_s) = (-5.0, 1e300, -1e300);
        (row.upload_utilisation, row.leechers) = (Some(1e18), u32::MAX);
    }
    let mut crowded = synthetic::flash_crowd(60, 8, 10);
    for (index, peer) in crowded.peers.iter_mut().enumerate() {
        peer.class = format!("a-class-with-a-very-long-name-{index}-ÄÖÜ-日本");
    }
    let records = [
        ("empty", RunRecord::default()),
        ("one peer and no seed", lone),
        ("nobody finished", unfinished),
        ("unlimited links", unlimited),
        ("numbers at their limits", extreme),
        ("many classes", crowded),
        ("a seed alone", synthetic::flash_crowd(0, 4, 5)),
    ];
    for (what, record) in records {
        let record = resummarised(record);
        let dir = reported(&record);
        for name in FILES {
            assert!(!read(dir.path(), name).is_empty(), "{what}: {name}");
        }
        assert!(!summary_table(&record.summary).is_empty(), "{what}");
    }
}

#[test]
fn a_folder_that_takes_no_plots_is_named() {
    let dir = TempDir::new().expect("a folder");
    synthetic::flash_crowd(2, 4, 3).write(dir.path()).expect("written");
    fs::write(dir.path().join("plots"), "in the way").expect("written");
    let error = report(dir.path()).expect_err("a file is in the way").to_string();
    assert!(error.contains("plots"), "{error}");
}

#[test]
fn a_hundred_thousand_pieces_stay_small() {
    let dir = reported(&synthetic::flash_crowd(3, 100_000, 30));
    let size = |name: &str| read(dir.path(), name).len();
    assert!(size("availability.csv") < 200_000, "{}", size("availability.csv"));
    assert!(size("report.html") < 500_000, "{}", size("report.html"));
}

#[test]
fn summary_as_json_and_as_a_table() {
    let record = synthetic::flash_crowd(20, 40, 60);
    insta::assert_snapshot!("summary_json", serde_json::to_string_pretty(&record.summary).expect("JSON"));
    insta::assert_snapshot!("summary_table", summary_table(&record.summary));
}

#[test]
fn unfinished_hosts_are_censored_and_not_forgotten() {
    let mut record = synthetic::flash_crowd(10, 16, 20);
    for peer in &mut record.peers[1..=6] {
        (peer.completed_s, peer.left_s, peer.stalled) = (None, None, true);
    }
    let summary = resummarised(record).summary;
    assert_eq!((summary.eligible, summary.completed, summary.unfinished, summary.stalled), (10, 4, 6, 6));
    assert!(summary.completion_s.min.is_some());
    assert_eq!(summary.completion_s.p50, None, "half were never reached");
    assert_eq!((summary.completion_s.mean, summary.completion_s.max, summary.makespan_s), (None, None, None));
    assert_eq!(summary.stretch_last, None);
    insta::assert_snapshot!("unfinished_table", summary_table(&summary));
}

#[test]
fn several_runs_as_a_table() {
    let summaries: Vec<_> = [18, 20, 22]
        .into_iter()
        .enumerate()
        .map(|(seed, leechers)| {
            let mut summary = synthetic::flash_crowd(leechers, 40, 20).summary;
            summary.seed = seed as u64;
            summary
        })
        .collect();
    let aggregate = aggregate(&summaries);
    insta::assert_snapshot!("aggregate_table", aggregate_table(&aggregate));
    let dir = TempDir::new().expect("a folder");
    aggregate.write(dir.path()).expect("written");
    let json = String::from_utf8(read(dir.path(), "aggregate.json")).expect("text");
    assert_eq!(serde_json::from_str::<torrentlab_reports::Aggregate>(&json).expect("readable"), aggregate);
    let csv = String::from_utf8(read(dir.path(), "aggregate.csv")).expect("text");
    assert_eq!(csv.lines().count(), 1 + aggregate.figures.len());
}
