//! A scenario whose arrivals stand in a CSV file beside it.

use std::fs;

use tempfile::TempDir;
use torrentlab_scenarios::{Loaded, Scenario, ScenarioError, load};

const SCENARIO: &str = r#"schema = 1
content.size = "1 MiB"

[hosts.seed]
count = 1
behaviour = "seed"
links = { up = "1 Mbit/s", down = "2 Mbit/s" }

[hosts.phone]
arrival.trace.path = "arrivals.csv"
links = { up = "1 Mbit/s", down = "2 Mbit/s" }
"#;

fn with_trace(folder: &TempDir, trace: &str, sets: &[&str]) -> Result<Loaded, ScenarioError> {
    let path = folder.path().join("traced.toml");
    fs::write(&path, SCENARIO).unwrap();
    fs::write(folder.path().join("arrivals.csv"), trace).unwrap();
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    load(path.to_str().unwrap(), &sets)
}

#[test]
fn the_class_is_as_large_as_its_trace_and_the_resolved_scenario_needs_no_file() {
    let folder = TempDir::new().unwrap();
    let scenario = with_trace(&folder, "time_s,class\n2.5,phone\n1,phone\n9,seed\n", &[]).unwrap().scenario;
    assert_eq!(scenario.name, "traced");
    assert_eq!(scenario.class_sizes()["phone"], 2);
    let resolved = scenario.resolved_toml();
    assert!(resolved.contains("\"1 s\"") && resolved.contains("\"2500 ms\""), "{resolved}");
    folder.close().unwrap();
    assert_eq!(Scenario::from_toml(&resolved, "nowhere/resolved.toml").unwrap(), scenario);
}

#[test]
fn a_count_takes_the_first_of_a_trace_and_no_more_than_there_are() {
    let folder = TempDir::new().unwrap();
    let trace = "time_s\n3\n1\n2\n";
    let scenario = with_trace(&folder, trace, &["hosts.phone.count=2"]).unwrap().scenario;
    assert_eq!(scenario.class_sizes()["phone"], 2);
    let error = with_trace(&folder, trace, &["hosts.phone.count=4"]).unwrap_err();
    assert_eq!(error.message, "the trace has 3 arrivals, not 4");
}

#[test]
fn a_bad_line_is_shown_in_its_own_file() {
    let folder = TempDir::new().unwrap();
    let error = with_trace(&folder, "time_s\n1\nsoon\n", &[]).unwrap_err().to_string();
    assert!(error.contains("arrivals.csv:3:1: `soon` in field `time_s` is no time\n"), "{error}");
}

#[test]
fn a_missing_file_is_shown_where_it_is_named() {
    let folder = TempDir::new().unwrap();
    let error =
        with_trace(&folder, "", &["hosts.phone.arrival.trace.path=none.csv"]).unwrap_err().to_string();
    assert!(error.starts_with("--set: cannot read ") && error.contains("none.csv"), "{error}");
}
