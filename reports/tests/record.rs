//! A record survives its folder, and a broken folder is explained.

mod synthetic;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;
use torrentlab_reports::record::{RecordError, RunRecord};
use torrentlab_reports::{summarise, summary_table};

fn written(record: &RunRecord) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    record.write(dir.path()).expect("written");
    dir
}

fn read_error(dir: &Path) -> String {
    RunRecord::read(dir).expect_err("a broken folder").to_string()
}

/// The first write rounds to six decimals; from then on nothing changes.
#[test]
fn round_trips() {
    let first = written(&synthetic::with_faults());
    let record = RunRecord::read(first.path()).expect("readable");
    assert_eq!(record.peers.len(), 31);
    assert_eq!(record.timeline.len(), 50);
    assert_eq!(record.pieces.len(), 64);
    assert_eq!(record.availability.copies.len(), 50);
    assert_eq!(record.faults.len(), 43);
    let again = written(&record);
    assert_eq!(RunRecord::read(again.path()).expect("readable"), record);
    for entry in fs::read_dir(first.path()).expect("listed") {
        let name = entry.expect("an entry").file_name();
        let bytes = |dir: &TempDir| fs::read(dir.path().join(&name)).expect("a file");
        assert_eq!(bytes(&first), bytes(&again), "{name:?}");
    }
}

#[test]
fn an_empty_record_round_trips() {
    let record = RunRecord::default();
    assert_eq!(RunRecord::read(written(&record).path()).expect("readable"), record);
}

#[test]
fn leaves_no_parts_behind() {
    let dir = written(&synthetic::flash_crowd(2, 4, 3));
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .expect("listed")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "availability.csv",
            "cost.json",
            "faults.csv",
            "peers.csv",
            "pieces.csv",
            "run.json",
            "scenario.toml",
            "summary.json",
            "timeline.csv"
        ]
    );
}

#[test]
fn an_unwritable_folder_is_named() {
    let dir = TempDir::new().expect("a folder");
    let file = dir.path().join("occupied");
    fs::write(&file, "").expect("written");
    let error = RunRecord::default().write(&file.join("run")).expect_err("a file is in the way");
    assert!(error.to_string().contains("occupied"), "{error}");
}

#[test]
fn a_figure_that_is_no_number_is_not_written() {
    let mut record = synthetic::flash_crowd(2, 4, 3);
    record.peers[1].online_s = f64::NAN;
    let dir = TempDir::new().expect("a folder");
    let error = record.write(dir.path()).expect_err("NaN");
    assert!(matches!(&error, RecordError::Unwritable { path, .. } if path.ends_with("peers.csv")), "{error}");
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);
}

#[test]
fn a_missing_file_is_named() {
    for name in ["run.json", "scenario.toml", "peers.csv", "timeline.csv", "pieces.csv", "summary.json"] {
        let dir = written(&synthetic::flash_crowd(2, 4, 3));
        fs::remove_file(dir.path().join(name)).expect("removed");
        let error = read_error(dir.path());
        assert!(error.contains(name) && error.contains("no such file") && error.contains("hint:"), "{error}");
    }
    let dir = written(&synthetic::flash_crowd(2, 4, 3));
    fs::remove_file(dir.path().join("cost.json")).expect("removed");
    assert_eq!(RunRecord::read(dir.path()).expect("the cost is optional").cost, None);
}

#[test]
fn a_bad_cell_is_located() {
    let cases = [
        (
            "peers.csv",
            "cable-1,cable,leecher,0",
            "cable-1,cable,leecher,some",
            4,
            "column \"initial_pieces\"",
        ),
        ("peers.csv", "cable-1,cable,leecher", "cable-1,cable,landlord", 4, "landlord"),
        ("peers.csv", "cable-1,cable,", "cable-1,cable,spare,", 4, "cells"),
        ("peers.csv", "share_ratio", "karma", 2, "karma"),
        ("timeline.csv", "\n0,", "\nNaN,", 2, "NaN"),
        ("timeline.csv", "\n0,", "\n1e999,", 2, "not a finite number"),
        ("pieces.csv", "\n3,", "\n-3,", 5, "column \"piece\""),
        ("availability.csv", ",1,", ",x,", 1, "\"x\" is not a whole number"),
        ("availability.csv", "t_s,0,", "t_s,0,0,", 2, "the header has 5"),
        ("availability.csv", "t_s", "time", 1, "t_s"),
        ("availability.csv", "\n0.000000", "\n-1", 2, "not a time"),
    ];
    for (name, old, new, line, said) in cases {
        let dir = written(&synthetic::flash_crowd(2, 4, 3));
        let path = dir.path().join(name);
        let text = fs::read_to_string(&path).expect("read");
        assert!(text.contains(old), "{name} has no {old:?}:\n{text}");
        fs::write(&path, text.replacen(old, new, 1)).expect("written");
        let error = read_error(dir.path());
        assert!(
            error.contains(&format!("{name}:{line}: ")) && error.contains(said),
            "{old} -> {new}: {error}"
        );
    }
}

#[test]
fn a_broken_json_file_is_located() {
    let dir = written(&synthetic::flash_crowd(2, 4, 3));
    let path = dir.path().join("summary.json");
    let text = fs::read_to_string(&path).expect("read");
    fs::write(&path, text.replacen("\"seed\": 7", "\"seed\": -7", 1)).expect("written");
    let error = read_error(dir.path());
    assert!(error.contains("summary.json:3:") && error.contains("-7"), "{error}");
    fs::write(&path, &text[..40]).expect("written");
    assert!(read_error(dir.path()).contains("summary.json:"));
}

#[test]
fn a_folder_of_another_format_is_refused() {
    let dir = written(&RunRecord::default());
    fs::write(dir.path().join("run.json"), "{\"format\": 2, \"unheard_of\": true}").expect("written");
    let error = read_error(dir.path());
    assert!(error.contains("format is 2, and this program reads 1"), "{error}");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let dir = written(&RunRecord::default());
    fs::write(dir.path().join("peers.csv"), [0xff, 0xfe, 0x00]).expect("written");
    assert!(read_error(dir.path()).contains("peers.csv"));
}

proptest! {
    /// Whatever stands in a table is read or refused; what is read can be summed up.
    #[test]
    fn no_table_causes_a_panic(
        name in prop::sample::select(vec!["peers.csv", "timeline.csv", "pieces.csv", "availability.csv"]),
        at in any::<prop::sample::Index>(),
        junk in prop_oneof![r"-?[0-9]{1,20}", r"[a-z,\n.0-9eE+-]{0,12}", ".{0,6}"],
    ) {
        let dir = written(&synthetic::flash_crowd(2, 4, 3));
        let path = dir.path().join(name);
        let text = fs::read_to_string(&path).expect("read");
        let cells: Vec<&str> = text.split(',').collect();
        let place = at.index(cells.len());
        let mangled: Vec<&str> =
            cells.iter().enumerate().map(|(index, cell)| if index == place { junk.as_str() } else { cell }).collect();
        fs::write(&path, mangled.join(",")).expect("written");
        if let Ok(record) = RunRecord::read(dir.path()) {
            summary_table(&summarise(&record.info, &record.peers, &record.timeline));
        }
    }
}
