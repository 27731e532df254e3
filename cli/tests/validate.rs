//! `validate`, and the claims that `compare` judges.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{run, stderr, stdout, torrentlab};

/// A small swarm with these claims.
fn scenario(dir: &Path, claims: &str) -> std::path::PathBuf {
    let links = r#"links = { up = "2 Mbit/s", down = "8 Mbit/s" }"#;
    let text = format!(
        "schema = 1\nname = \"mine\"\n[content]\nsize = \"1 MiB\"\n[hosts.seed]\ncount = 1\n\
         behaviour = \"seed\"\n{links}\n[hosts.leecher]\ncount = 6\n{links}\n{claims}\n"
    );
    let path = dir.join("mine.toml");
    fs::write(&path, text).unwrap();
    path
}

const NO_SEED: &str = "control = [\"hosts.seed.count=0\", \"allow_missing_pieces=true\"]";

fn validate(dir: &Path, claims: &str, more: &[&str]) -> Command {
    let mut command = torrentlab();
    command.arg("validate").arg(scenario(dir, claims)).args(["--runs", "3", "--out"]).arg(dir).args(more);
    command
}

fn finished(more: &str) -> String {
    format!("[[claim]]\nid = \"F1\"\nsays = \"All finish.\"\nmetric = \"completed_share\"\n{more}\n")
}

#[test]
fn a_claim_is_judged_beside_its_control() {
    let dir = tempfile::tempdir().unwrap();
    let held = run(&mut validate(dir.path(), &finished(&format!("in = \"1\"\n{NO_SEED}")), &[]), 0);
    assert!(stderr(&held).contains("1 claim, 2 cells, 6 runs"), "{}", stderr(&held));
    let row = stdout(&held).lines().find(|line| line.contains("All finish.")).unwrap().to_owned();
    assert!(row.contains("F1") && row.contains(" held ") && row.contains("refuted: 0 .. 0"), "{row}");
    let table = fs::read_to_string(dir.path().join("validate/validation.md")).unwrap();
    assert!(table.contains("| F1 | All finish. |") && table.contains("hosts.seed.count=0"), "{table}");
    let csv = fs::read_to_string(dir.path().join("validate/validation.csv")).unwrap();
    assert!(csv.starts_with("id,scenario,says,measure,claimed,runs,mean,low,high,level,p,verdict,"), "{csv}");
}

#[test]
fn what_holds_of_anything_fails() {
    let dir = tempfile::tempdir().unwrap();
    let told =
        stdout(&run(&mut validate(dir.path(), &finished(&format!("in = \"0..1\"\n{NO_SEED}")), &[]), 1));
    assert!(told.contains("held: 0 .. 0"), "the control is not refuted: {told}");
}

#[test]
fn what_is_refuted_fails_unless_its_cause_is_known_and_stays_in_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let claims = |cause: &str| finished(&format!("in = \"..0.5\"\n{cause}"));
    let told = stdout(&run(&mut validate(dir.path(), &claims(""), &[]), 1));
    assert!(told.contains("refuted"), "{told}");
    let told = stdout(&run(&mut validate(dir.path(), &claims("cause = \"Nobody is missing.\""), &[]), 0));
    assert!(told.contains("refuted") && told.contains("Nobody is"), "{told}");
}

#[test]
fn what_cannot_be_told_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let of = |claims: &str, more: &[&str], code| run(&mut validate(dir.path(), claims, more), code);
    let measured = stdout(&of("[[claim]]\nmetric = \"completion_s.mean\"\nin = \"0..\"", &["--json"], 0));
    let rows: serde_json::Value = serde_json::from_str(&measured).unwrap();
    let mean = rows[0]["mean"].as_f64().unwrap();
    assert!(rows[0]["low"].as_f64().unwrap() < mean, "{rows}");
    let at_the_mean = format!("[[claim]]\nmetric = \"completion_s.mean\"\nin = \"{mean}..\"");
    assert!(stdout(&of(&at_the_mean, &["--quiet"], 3)).contains("inconclusive"));
}

#[test]
fn runs_that_are_kept_are_not_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let claims = finished(&format!("in = \"1\"\n{NO_SEED}"));
    let first = run(&mut validate(dir.path(), &claims, &[]), 0);
    let again = run(&mut validate(dir.path(), &claims, &[]), 0);
    assert!(stderr(&again).contains("6 runs are kept from before"), "{}", stderr(&again));
    assert_eq!(stdout(&first), stdout(&again));
}

#[test]
fn a_scenario_without_claims_is_told_how_to_state_one() {
    let dir = tempfile::tempdir().unwrap();
    let told = stderr(&run(&mut validate(dir.path(), "", &[]), 2));
    assert!(told.contains("there are no claims") && told.contains("[[claim]]"), "{told}");
}

#[test]
fn settings_that_make_no_scenario_are_told_with_their_claim() {
    let dir = tempfile::tempdir().unwrap();
    let claims = finished("in = \"1\"\ncontrol = [\"hosts.lecher.count=1\"]");
    let told = stderr(&run(&mut validate(dir.path(), &claims, &[]), 2));
    assert!(told.contains("the claim F1 about completed_share") && told.contains("did you mean"), "{told}");
}

#[test]
fn compare_judges_the_claims_whose_settings_are_in_its_grid() {
    let dir = tempfile::tempdir().unwrap();
    let compare = |range: &str, picker: &str, code| {
        let claim = format!(
            "[[claim]]\nmetric = \"completion_s.mean\"\nwith = [\"hosts.leecher.picker={picker}\"]\nover = []\n\
             in = \"{range}\""
        );
        let mut command = torrentlab();
        command.arg("compare").arg(scenario(dir.path(), &claim)).args(["--runs", "3", "--out"]);
        command.arg(dir.path().join(format!("{range}{picker}")));
        command.args(["--vary", "hosts.leecher.picker=rarest-first,sequential"]);
        stdout(&run(&mut command, code))
    };
    let held = compare("0..100", "sequential", 0);
    assert!(held.contains("held: completion_s.mean (hosts.leecher.picker=sequential) / "), "{held}");
    assert!(compare("100..", "sequential", 1).contains("refuted: "), "a claim that is wrong");
    let other = compare("100..", "random", 0);
    assert!(!other.contains("refuted"), "a cell that the grid does not have: {other}");
}

/// What docs/reference/validation.md shows is what the catalogue claims: only what was measured is as of its date.
#[test]
fn the_page_of_the_suite_has_every_claim_of_the_catalogue() {
    let page = include_str!("../../docs/reference/validation.md");
    let mut claims = 0;
    for entry in torrentlab_scenarios::catalogue() {
        let scenario = torrentlab_scenarios::load(entry.name, &[]).unwrap().scenario;
        for claim in torrentlab_simulator::claim::claims(&scenario) {
            if claim.id.is_empty() {
                continue;
            }
            claims += 1;
            let head = format!(
                "| {} | {} | `{}`: `{}` | {} |",
                claim.id,
                claim.says,
                entry.name,
                claim.measure(),
                claim.range
            );
            assert!(page.contains(&head), "docs/reference/validation.md lacks, or has otherwise: {head}");
            assert!(!claim.says.is_empty(), "{}: a claim of an experiment says what it claims", entry.name);
        }
    }
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| F") || line.starts_with("| P") || line.starts_with("| R"));
    assert_eq!(
        rows.count(),
        claims,
        "docs/reference/validation.md has a row that the catalogue does not claim"
    );
}
