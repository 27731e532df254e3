//! Finding a failure, making it small, repeating it, and looking into it, by the commands of the program.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "tests live in the real world")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use support::torrentlab;
use tempfile::TempDir;

/// Runs the program in `dir`: its exit code, and what it printed.
fn lab(dir: &TempDir, arguments: &str) -> (i32, String, String) {
    let words = arguments.split('|').flat_map(|part| match part.strip_prefix('=') {
        Some(whole) => vec![whole.to_owned()],
        None => part.split_whitespace().map(str::to_owned).collect(),
    });
    let Output { status, stdout, stderr } =
        torrentlab().args(words).current_dir(dir.path()).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    (status.code().expect("it ends by itself"), text(stdout), text(stderr))
}

/// A small run with its trace in `runs/first-swarm/1`.
fn traced(dir: &TempDir, more: &str) {
    let sets = "--set content.size=2MiB --set hosts.leecher.count=6 --set claim=[]";
    let (code, _, errors) = lab(dir, &format!("run first-swarm -q --trace {sets} {more}"));
    assert_eq!(code, 0, "{errors}");
}

fn empty() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn random_swarms_keep_the_rules_and_say_what_they_met() {
    let dir = empty();
    let (code, found, errors) = lab(&dir, "fuzz --seeds 12 --from 1 -q");
    assert_eq!(code, 0, "{found}{errors}");
    assert!(found.starts_with("12 random swarms, 0 failures"), "{found}");
    assert!(found.contains("\n  finish: 12") && found.contains("\nnever met: "), "{found}");
    assert_eq!(
        lab(&dir, "fuzz --seeds 12 --from 1 -q --threads 1").1,
        found,
        "it follows from the seeds alone"
    );
    assert!(!dir.path().join("failures").exists());
}

#[test]
fn a_failure_is_made_smaller_and_fails_in_the_same_way() {
    let dir = empty();
    let (code, told, errors) = lab(&dir, "shrink bugs/interest-stuck -q -o small.toml");
    assert_eq!(code, 0, "{errors}");
    assert!(told.starts_with("check:interest-stuck at "), "{told}");
    assert!(told.contains("\n  before: ") && told.contains("\n  after:  "), "{told}");
    let file = fs::read_to_string(dir.path().join("small.toml")).expect("the smallest scenario");
    let replay =
        file.lines().find_map(|line| line.strip_prefix("# replay: torrentlab ")).expect("how to replay it");
    let (code, _, errors) = lab(&dir, &format!("{replay} -q"));
    assert_eq!(code, 1);
    assert!(errors.contains("check:interest-stuck"), "{errors}");
    let scenario = torrentlab_scenarios::load(&dir.path().join("small.toml").display().to_string(), &[])
        .unwrap()
        .scenario;
    let whole = torrentlab_scenarios::load("bugs/interest-stuck", &[]).unwrap().scenario;
    assert!(scenario.pieces() < whole.pieces(), "{file}");
}

#[test]
fn what_does_not_fail_cannot_be_made_smaller_negative() {
    let dir = empty();
    let (code, _, errors) =
        lab(&dir, "shrink first-swarm -q --set content.size=1MiB --set hosts.leecher.count=3");
    assert_eq!(code, 2);
    assert!(errors.contains("does not fail with seed 1\nhint: "), "{errors}");
}

#[test]
fn a_run_is_repeated_event_by_event() {
    let dir = empty();
    traced(&dir, "");
    let (code, told, errors) = lab(&dir, "replay runs/first-swarm/1 -q");
    assert_eq!(code, 0, "{errors}");
    assert!(told.starts_with("the same: ") && told.contains(" events, trace hash "), "{told}");
    let (code, told, _) = lab(&dir, "replay runs/first-swarm/1/trace.zst -q");
    assert_eq!((code, told.starts_with("the same: ")), (0, true));
}

#[test]
fn the_first_event_that_differs_is_named() {
    let dir = empty();
    traced(&dir, "");
    // Another seed's trace in the place of this one's.
    traced(&dir, "--seed 2");
    fs::copy(
        dir.path().join("runs/first-swarm/2/trace.zst"),
        dir.path().join("runs/first-swarm/1/trace.zst"),
    )
    .unwrap();
    let toml = dir.path().join("runs/first-swarm/1/scenario.toml");
    let (code, told, _) = lab(&dir, "replay runs/first-swarm/1 -q");
    assert_eq!(code, 1);
    assert!(told.starts_with("they part at event ") && told.contains("\nthe trace:\n  "), "{told}");
    assert!(toml.exists());
}

#[test]
fn a_run_without_a_trace_is_compared_by_its_hash() {
    let dir = empty();
    traced(&dir, "");
    fs::remove_file(dir.path().join("runs/first-swarm/1/trace.zst")).unwrap();
    let (code, told, _) = lab(&dir, "replay runs/first-swarm/1 -q");
    assert_eq!((code, told.starts_with("the same, trace hash ")), (0, true), "{told}");
    change(&dir.path().join("runs/first-swarm/1/run.json"), "\"trace_hash\": \"", "\"trace_hash\": \"0");
    let (code, told, errors) = lab(&dir, "replay runs/first-swarm/1 -q");
    assert_eq!(code, 1);
    assert!(
        told.starts_with("not the same: ") && errors.contains("hint: run it with --trace"),
        "{told}{errors}"
    );
    let (code, _, errors) = lab(&dir, "inspect runs/first-swarm/1 --at 20s -q");
    assert_eq!(code, 1);
    assert!(errors.contains("repeated, the run is another one"), "{errors}");
}

fn change(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from));
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_trace_that_is_damaged_is_told_of_negative() {
    let dir = empty();
    traced(&dir, "");
    let path = dir.path().join("runs/first-swarm/1/trace.zst");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let (code, _, errors) = lab(&dir, "trace runs/first-swarm/1");
    assert_eq!(code, 2);
    assert!(errors.contains("the trace ") && errors.contains("hint: "), "{errors}");
    fs::write(&path, "no trace").unwrap();
    for command in ["trace", "replay"] {
        let (code, _, errors) = lab(&dir, &format!("{command} runs/first-swarm/1/trace.zst"));
        assert_eq!(code, 2);
        assert!(errors.contains("this is no trace of torrentlab"), "{errors}");
    }
    let (code, _, errors) = lab(&dir, "replay nowhere");
    assert_eq!((code, errors.contains("hint: ")), (2, true), "{errors}");
}

#[test]
fn a_trace_is_printed_in_words() {
    let dir = empty();
    traced(&dir, "");
    let (code, told, _) = lab(&dir, "trace runs/first-swarm/1 --host seed-0 --from 16s --to 18s");
    assert_eq!(code, 0);
    assert!(told.lines().count() > 10 && told.lines().all(|line| line.contains(" s seed-0 ")), "{told}");
    assert!(told.contains("seed-0 says to leecher-") && told.contains(": unchoke\n"), "{told}");
}

#[test]
fn a_run_that_fails_leaves_a_trace_that_can_be_repeated() {
    let dir = empty();
    let (code, _, errors) = lab(&dir, "run bugs/no-interest --check --trace -q");
    assert_eq!(code, 1);
    assert!(errors.contains("check:interest-missing at ") && errors.contains("replay it with `"), "{errors}");
    let (code, told, errors) = lab(&dir, "replay runs/no-interest/1 -q");
    assert_eq!(code, 0, "{errors}");
    assert!(told.starts_with("the same: "), "{told}");
}

#[test]
fn a_moment_is_looked_at_in_both_backends() {
    for backend in ["des", "turmoil"] {
        let dir = empty();
        traced(&dir, &format!("--backend {backend}"));
        let inspect = |rest: &str| {
            let (code, told, errors) = lab(&dir, &format!("inspect runs/first-swarm/1 --at 20s -q {rest}"));
            assert_eq!(code, 0, "{errors}");
            told
        };
        let swarm = inspect("");
        assert!(swarm.starts_with("the swarm at 20.") && swarm.contains("\n seed-0 "), "{swarm}");
        let host = inspect("--host seed-0");
        assert!(host.contains("seed-0 at 20.") && host.contains(": 8 of 8 pieces, "), "{host}");
        assert!(
            host.contains("why it unchokes whom:\n") && host.contains("what seed-0 last did and heard:\n"),
            "{host}"
        );
        let piece = inspect("--piece 3");
        assert!(piece.contains("has it: ") && piece.contains("seed-0"), "{piece}");
        let conn = inspect("--conn leecher-1-seed-0");
        assert!(
            conn.contains("\n\nleecher-1: connected for ") && conn.contains("\n\nseed-0: connected for "),
            "{conn}"
        );
        assert_eq!(inspect("--conn seed-0,leecher-1").lines().count(), conn.lines().count());
    }
}

#[test]
fn what_cannot_be_looked_at_is_told_of_negative() {
    let dir = empty();
    traced(&dir, "");
    for (rest, error) in [
        ("--at 20s --host leecher-6", "there is no host `leecher-6`"),
        ("--at 20s --piece 8", "there is no piece 8"),
        ("--at 20s --conn leecher-1", "`leecher-1` names no two hosts"),
        ("--at 2h", "the run was over before 7200.000 s"),
        ("--at soon", "invalid value 'soon'"),
        ("", "--at <TIME>"),
    ] {
        let (code, _, errors) = lab(&dir, &format!("inspect runs/first-swarm/1 -q {rest}"));
        assert_eq!(code, 2, "{rest}: {errors}");
        assert!(errors.contains(error), "{rest}: {errors}");
    }
}

#[test]
fn two_runs_are_compared() {
    let dir = empty();
    traced(&dir, "");
    traced(&dir, "--seed 2");
    let (code, told, _) = lab(&dir, "inspect runs/first-swarm/1 --diff runs/first-swarm/2 -q");
    assert_eq!(code, 1);
    assert!(told.starts_with("seed: 1 | 2\n") && told.contains("they part at event "), "{told}");
    let (code, told, _) = lab(&dir, "inspect runs/first-swarm/1 --diff runs/first-swarm/1 -q");
    assert_eq!((code, told.trim()), (0, "the runs are the same, event by event"));
}

#[test]
fn two_hosts_are_drawn() {
    let dir = empty();
    traced(&dir, "");
    let draw = |rest: &str| lab(&dir, &format!("sequence runs/first-swarm/1 -q {rest}"));
    let (code, told, errors) = draw("--hosts seed-0,leecher-1 --to 18s -o x.svg");
    assert_eq!(code, 0, "{errors}");
    assert!(told.starts_with("x.svg: ") && told.contains(" arrows"), "{told}");
    let svg = fs::read_to_string(dir.path().join("x.svg")).unwrap();
    for text in ["seed-0 and leecher-1", "handshake", "unchoke", "request ", "piece "] {
        assert!(svg.contains(text), "{text} is not in the diagram");
    }
    assert_eq!(draw("--hosts seed-0,leecher-1 --to 18s -o x.png").0, 0);
    assert!(fs::read(dir.path().join("x.png")).unwrap().starts_with(b"\x89PNG"));
    let (code, _, errors) = draw("--hosts seed-0,leecher-1 --to 1s -o y.svg");
    assert_eq!((code, errors.contains("say nothing to each other")), (2, true), "{errors}");
    let (code, _, errors) = draw("--hosts seed-0,leecher-1 --to 1h -o y.svg");
    assert!(code == 0 || code == 2 && errors.contains("arrows cannot be read"), "{errors}");
}
