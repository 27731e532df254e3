//! `run`, `report` and `scenarios` as a newcomer types them, and as someone who means harm does.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{Running, assert_same, fails, run, stderr, stdout, torrentlab};

/// A swarm that is over in no time, with a claim that holds for so few.
const SMALL: [&str; 6] = [
    "--set",
    "content.size=1 MiB",
    "--set",
    "hosts.leecher.count=8",
    "--set",
    "claim=[{ metric = \"completed_share\", in = \"1\" }]",
];

/// `run first-swarm`, small, with its results below `out`.
fn small(out: &Path, more: &[&str]) -> Command {
    let mut command = torrentlab();
    command.args(["run", "first-swarm"]).args(SMALL).arg("--out").arg(out).args(more);
    command
}

fn summary(dir: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(dir.join("summary.json")).unwrap()).unwrap()
}

/// A scenario file with `more` in its leechers' table.
fn scenario_file(dir: &Path, more: &str) -> PathBuf {
    let path = dir.join("mine.toml");
    let links = r#"links = { up = "2 Mbit/s", down = "8 Mbit/s" }"#;
    let text = format!(
        "schema = 1\n[content]\nsize = \"1 MiB\"\n[hosts.seed]\ncount = 1\nbehaviour = \"seed\"\n{links}\n\
         [hosts.leecher]\ncount = 8\n{links}\n{more}\n"
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_run_leaves_tables_plots_and_a_page_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("not there yet");
    let told = run(&mut small(&out, &[]), 0);
    assert!(stdout(&told).contains("8 of 8"), "{}", stdout(&told));
    let notes = stderr(&told);
    assert!(notes.starts_with(concat!("torrentlab ", env!("CARGO_PKG_VERSION"), ": first-swarm")), "{notes}");
    let run_dir = out.join("first-swarm/1");
    assert!(notes.contains(&format!("page:   {}", run_dir.join("report.html").display())), "{notes}");
    for name in
        ["peers.csv", "timeline.csv", "pieces.csv", "scenario.toml", "report.html", "plots/health.svg"]
    {
        assert!(fs::metadata(run_dir.join(name)).unwrap().len() > 0, "{name}");
    }
    assert_eq!(fs::read_link(out.join("latest")).unwrap(), Path::new("first-swarm/1"));
    // The resolved scenario is enough to repeat it.
    let again = dir.path().join("again");
    let mut command = torrentlab();
    command.arg("run").arg(run_dir.join("scenario.toml")).arg("--out").arg(&again);
    run(&mut command, 0);
    assert_same_run(&run_dir, &again.join("first-swarm/1"));
}

/// Asserts that two runs agree in all but their cost.
fn assert_same_run(one: &Path, other: &Path) {
    for dir in [one, other] {
        let _ = fs::remove_file(dir.join("cost.json"));
    }
    assert_same(one, other);
}

#[test]
fn several_runs_are_what_single_ones_are_and_have_an_aggregate() {
    let dir = tempfile::tempdir().unwrap();
    let (several, single) = (dir.path().join("several"), dir.path().join("single"));
    let told = run(&mut small(&several, &["--seed", "5", "--runs", "3", "--threads", "2"]), 0);
    assert!(stdout(&told).contains("3 of 3"), "{}", stdout(&told));
    for seed in ["5", "6", "7"] {
        run(&mut small(&single, &["--seed", seed, "--quiet"]), 0);
        assert_same_run(&several.join("first-swarm").join(seed), &single.join("first-swarm").join(seed));
    }
    let text = fs::read(several.join("first-swarm/aggregate.json")).unwrap();
    let all: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&all["runs"], &all["seeds"]), (&3.into(), &serde_json::json!([5, 6, 7])));
    assert_eq!(fs::read_link(several.join("latest")).unwrap(), Path::new("first-swarm/7"));
    assert!(!single.join("first-swarm/aggregate.json").exists());
}

#[test]
fn every_byte_of_a_run_through_turmoil_is_the_same_in_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    let told = run(&mut small(&one, &["--backend", "turmoil", "--runs", "2", "--threads", "2"]), 0);
    assert!(stdout(&told).contains("2 of 2"), "{}", stdout(&told));
    for seed in ["1", "2"] {
        run(&mut small(&other, &["--backend", "turmoil", "--seed", seed, "--quiet"]), 0);
        assert_same_run(&one.join("first-swarm").join(seed), &other.join("first-swarm").join(seed));
    }
    let info = fs::read_to_string(one.join("first-swarm/1/run.json")).unwrap();
    assert!(info.contains("\"backend\": \"turmoil\"") && info.contains("\"ms\": 2.0"), "{info}");
    let told =
        fails(&mut small(dir.path(), &["--backend", "turmoil", "--set", "hosts.leecher.count=500"]), 2);
    assert!(told.contains("501 hosts") && told.contains("--backend des"), "{told}");
}

#[test]
fn hosts_say_why_and_nothing_else_changes() {
    let dir = tempfile::tempdir().unwrap();
    let of = |name: &str, seed: &str| dir.path().join(name).join("first-swarm").join(seed);
    let asked = ["--explain", "leecher-3", "--explain", "seed-0", "--runs", "2"];
    let told = run(&mut small(&dir.path().join("asked"), &asked), 0);
    let folder = of("asked", "2").join("explain");
    assert!(stderr(&told).contains(&format!("why:    {}", folder.display())), "{}", stderr(&told));
    run(&mut small(&dir.path().join("unasked"), &["--runs", "2"]), 0);
    for seed in ["1", "2"] {
        let folder = of("asked", seed).join("explain");
        let mut names: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["leecher-3.csv", "leecher-3.txt", "seed-0.csv", "seed-0.txt"]);
        let table = fs::read_to_string(folder.join("leecher-3.csv")).unwrap();
        assert!(table.starts_with("decision,t_s,kind,peer,piece,outcome,score,score_of,rank,"), "{table}");
        assert!(table.contains(",pick,"), "{table}");
        let text = fs::read_to_string(folder.join("leecher-3.txt")).unwrap();
        assert!(text.contains("  picks piece"), "{text}");
        let text = fs::read_to_string(folder.join("seed-0.txt")).unwrap();
        assert!(!text.contains("picks") && text.contains("  unchokes "), "{text}");
        fs::remove_dir_all(&folder).unwrap();
        assert_same_run(&of("asked", seed), &of("unasked", seed));
    }
}

#[test]
fn who_is_not_there_is_not_asked_and_what_was_said_before_does_not_stay() {
    let dir = tempfile::tempdir().unwrap();
    let text = fails(&mut small(dir.path(), &["--explain", "leecher-8"]), 2);
    assert!(text.contains("there is no host `leecher-8`"), "{text}");
    assert!(text.contains("hint: the hosts are leecher-0 to leecher-7 and seed-0"), "{text}");
    assert!(!dir.path().join("first-swarm").exists());
    let said = dir.path().join("first-swarm/1/explain");
    run(&mut small(dir.path(), &["--explain", "leecher-7"]), 0);
    assert!(said.join("leecher-7.csv").exists());
    run(&mut small(dir.path(), &[]), 0);
    assert!(!said.exists());
}

#[test]
fn json_is_all_that_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    for (more, key) in [(&["--json"][..], "completion_s"), (&["--json", "--runs", "2"], "figures")] {
        let told = run(&mut small(dir.path(), more), 0);
        let value: serde_json::Value = serde_json::from_str(&stdout(&told)).unwrap();
        assert!(value[key].is_object(), "{value}");
        assert_eq!(stderr(&told), "");
    }
    let told = run(&mut small(dir.path(), &["--quiet"]), 0);
    assert!(stdout(&told).contains("finished"));
    assert_eq!(stderr(&told), "");
}

#[test]
fn what_is_wrong_with_a_scenario_is_shown_where_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for (line, error) in [
        ("limits = { up = \"2 Mbt/s\" }", "unit"),
        ("limits = { up = \"-2 Mbit/s\" }", "mine.toml:11:17"),
        ("limits = { up = \"99999999999999999999 GB/s\" }", "mine.toml:11:17"),
        ("limits = { redial = \"10 parsecs\" }", "unit"),
        ("colour = \"red\"", "`colour`"),
        ("picker = \"mine\"", "no picker `mine`"),
        ("choker = \"tit-for-tta\"", "tit-for-tat"),
        ("share = \"40 %\"", "share"),
        ("count = 9", "duplicate"),
        ("stay = ", "mine.toml:11"),
    ] {
        let file = scenario_file(dir.path(), line);
        let told = run(torrentlab().arg("run").arg(&file).arg("--out").arg(&out), 2);
        let text = stderr(&told);
        assert!(text.starts_with("error: ") && text.contains("mine.toml:"), "{line}: {text}");
        assert!(text.contains(error) && text.contains('^') && text.contains("\nhint: "), "{line}: {text}");
        assert_eq!(text.matches("hint: ").count(), 1, "{text}");
        assert_eq!(stdout(&told), "");
    }
    assert!(!out.exists(), "nothing was run");
}

#[test]
fn slips_of_the_pen_are_pointed_at() {
    let dir = tempfile::tempdir().unwrap();
    for (set, error) in [
        ("hosts.leecher.picker=mine", "no picker `mine`"),
        ("hosts.leecher.links.pu=1 Mbit/s", "`up`"),
        ("hosts.lecher.count=3", "did you mean `leecher`?"),
        ("hosts.leecher.links.up", "sets nothing"),
        ("=3", "no path"),
        ("hosts.leecher.count=", "no value"),
        ("hosts.leecher.count=-1", "count"),
        ("hosts.leecher.count=many", "count"),
        ("hosts.leecher.links.up=0 bit/s", "up"),
        ("content.size=0 B", "size"),
        ("content.piece_size=0 B", "piece_size"),
        ("content.size=99999999999999999999 TiB", "size"),
        ("name=../../etc", "name"),
        ("name=latest", "latest"),
        ("seed=-1", "seed"),
    ] {
        let text = fails(&mut small(dir.path(), &["--set", set]), 2);
        assert!(text.contains(error), "{set}: {text}");
    }
    for scenario in ["first-swram", "nowhere.toml", "/", ""] {
        fails(torrentlab().args(["run", scenario]), 2);
    }
    for more in [
        &["--runs", "0"][..],
        &["--runs", "-1"],
        &["--seed", "x"],
        &["--seed", "4294967296"],
        &["--seed", "4294967295", "--runs", "2"],
        &["--threads", "0"],
        &["--data", "x"],
        &["--torrent", "x"],
        &["--torrent", "x", "--data", "y", "--payload", "z"],
        &["--torrent", "x", "--data", "y"],
        &["--payload", "/nowhere"],
    ] {
        fails(&mut small(dir.path(), more), 2);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was run");
}

#[test]
fn a_folder_that_does_not_do_is_told_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    for out in [&file, &file.join("below"), Path::new("/proc/nothing")] {
        let text = fails(&mut small(out, &[]), 1);
        assert!(text.contains("cannot make the folder") && text.contains("--out"), "{text}");
    }
    // What the user keeps where the link belongs stays.
    for make in [|path: &Path| fs::create_dir(path), |path: &Path| fs::write(path, "mine")] {
        let out = tempfile::tempdir().unwrap();
        make(&out.path().join("latest")).unwrap();
        let text = fails(&mut small(out.path(), &[]), 1);
        assert!(text.contains("in the way"), "{text}");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
    }
    // A seed's folder is in use.
    let out = dir.path().join("out");
    fs::create_dir_all(out.join("first-swarm")).unwrap();
    fs::write(out.join("first-swarm/2"), "mine").unwrap();
    let told = run(&mut small(&out, &["--runs", "3", "--json"]), 1);
    assert!(stderr(&told).contains("first-swarm/2"), "{}", stderr(&told));
    let all: serde_json::Value = serde_json::from_str(&stdout(&told)).unwrap();
    assert_eq!(all["seeds"], serde_json::json!([1, 3]), "the others are not lost");
    assert_eq!(fs::read(out.join("first-swarm/2")).unwrap(), b"mine");
    // A link from before is led on, wherever it led.
    let _ = fs::remove_file(out.join("latest"));
    symlink("/nowhere", out.join("latest")).unwrap();
    run(&mut small(&out, &["--seed", "3", "--quiet"]), 0);
    assert_eq!(fs::read_link(out.join("latest")).unwrap(), Path::new("first-swarm/3"));
}

#[test]
fn real_bytes_go_through_every_host() {
    let dir = tempfile::tempdir().unwrap();
    let content = support::make_content(dir.path(), 2_000_003);
    let out = dir.path().join("out");
    let torrent = support::make_torrent(&content, &[]);
    let from_torrent = |data: &Path| {
        let mut command = small(&out, &["--quiet", "--torrent"]);
        command.arg(&torrent).arg("--data").arg(data);
        command
    };
    let mut payload = small(&out, &["--quiet"]);
    payload.arg("--payload").arg(&content);
    for mut command in [payload, from_torrent(&content), from_torrent(dir.path())] {
        run(&mut command, 0);
        let found = summary(&out.join("latest"));
        assert_eq!((&found["completed"], &found["hash_failures"]), (&8.into(), &0.into()), "{found}");
        let resolved = fs::read_to_string(out.join("latest/scenario.toml")).unwrap();
        assert!(resolved.contains("2000003"), "{resolved}");
    }
    // One byte more than the torrent says, and none at all.
    let tail = content.join("tail");
    let bytes = fs::read(&tail).unwrap();
    fs::write(&tail, [&bytes[..], b"!"].concat()).unwrap();
    assert!(fails(&mut from_torrent(&content), 2).contains("tail"));
    fs::remove_file(&tail).unwrap();
    assert!(fails(&mut from_torrent(&content), 2).contains("of 8 pieces"));
    assert!(fails(&mut from_torrent(Path::new("/nowhere")), 2).contains("/nowhere"));
}

#[test]
fn content_that_is_not_what_the_torrent_says_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let content = support::make_content(dir.path(), 1_000_000);
    let torrent = support::make_torrent(&content, &[]);
    let mut bytes = fs::read(content.join("a.bin")).unwrap();
    bytes[1000] ^= 1;
    fs::write(content.join("a.bin"), bytes).unwrap();
    let mut command = small(dir.path(), &["--torrent"]);
    command.arg(&torrent).arg("--data").arg(&content);
    let text = fails(&mut command, 2);
    assert!(text.contains("3 of 4 pieces"), "{text}");
}

#[test]
fn a_payload_must_hold_something() {
    let dir = tempfile::tempdir().unwrap();
    let (file, folder) = (dir.path().join("file"), dir.path().join("folder"));
    fs::write(&file, "").unwrap();
    fs::create_dir(&folder).unwrap();
    for path in [&file, &folder, &dir.path().join("missing"), Path::new("/dev/null")] {
        let mut command = small(&dir.path().join("out"), &["--payload"]);
        fails(command.arg(path), 2);
    }
}

#[test]
fn a_cap_that_was_hit_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let told = run(&mut small(dir.path(), &["--json", "--set", "time_cap=2 s"]), 3);
    let found: serde_json::Value = serde_json::from_str(&stdout(&told)).unwrap();
    assert_eq!((&found["ended_by"], &found["makespan_s"]), (&"time_cap".into(), &serde_json::Value::Null));
}

#[test]
fn ctrl_c_keeps_the_runs_that_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = small(dir.path(), &["--runs", "100000", "--threads", "1"]);
    command.env("RUST_BACKTRACE", "0");
    let running = Running::start(command);
    running.wait_for("first-swarm");
    while !dir.path().join("first-swarm/2/report.html").exists() {
        std::thread::yield_now();
    }
    running.signal("INT");
    let (status, told) = running.finish();
    assert_eq!(status.code(), Some(130), "{told}");
    assert!(told.contains("interrupted: "), "{told}");
    let text = fs::read(dir.path().join("first-swarm/aggregate.json")).unwrap();
    let all: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let seeds = all["seeds"].as_array().unwrap();
    assert!(seeds.len() >= 2 && seeds.len() < 100_000, "{seeds:?}");
    for seed in seeds {
        assert!(dir.path().join("first-swarm").join(seed.to_string()).join("report.html").exists(), "{seed}");
    }
}

#[test]
fn a_report_is_rebuilt_from_its_folder_alone() {
    let dir = tempfile::tempdir().unwrap();
    run(&mut small(&dir.path().join("one"), &["--quiet"]), 0);
    run(&mut small(&dir.path().join("other"), &["--quiet"]), 0);
    let (one, other) = (dir.path().join("one/first-swarm/1"), dir.path().join("other/first-swarm/1"));
    fs::remove_dir_all(one.join("plots")).unwrap();
    fs::remove_file(one.join("report.html")).unwrap();
    let told = run(torrentlab().arg("report").arg(dir.path().join("one/latest")), 0);
    assert!(stdout(&told).ends_with("report.html\n"));
    assert_same_run(&one, &other);
}

#[test]
fn a_damaged_folder_is_told_where_it_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    run(&mut small(dir.path(), &["--quiet"]), 0);
    let run_dir = dir.path().join("latest");
    let report = |code| fails(torrentlab().arg("report").arg(&run_dir), code);
    let damage = |name: &str, change: &dyn Fn(&str) -> String, error: &str| {
        let path = run_dir.join(name);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, change(&whole)).unwrap();
        let text = report(2);
        assert!(text.contains(name) && text.contains(error), "{text}");
        assert_eq!(text.matches("hint: ").count(), 1, "{text}");
        fs::write(&path, whole).unwrap();
    };
    damage("run.json", &|text| text.replace("\"format\": 1", "\"format\": 99"), "99");
    damage("run.json", &|text| text[..text.len() / 2].to_owned(), "run.json:");
    damage("summary.json", &|text| text.replacen("\"peers\": 9", "\"peers\": \"many\"", 1), "summary.json:");
    damage("peers.csv", &|text| text.replacen("leecher", "leecher,leecher", 1), "peers.csv:");
    damage("timeline.csv", &|text| text.replacen("\n0", "\nx", 1), "timeline.csv:2: column \"t_s\"");
    damage("availability.csv", &|_| "junk".to_owned(), "availability.csv:");
    for name in ["run.json", "summary.json", "peers.csv", "pieces.csv", "scenario.toml"] {
        let away = dir.path().join("away");
        fs::rename(run_dir.join(name), &away).unwrap();
        assert!(report(2).contains(name));
        fs::rename(&away, run_dir.join(name)).unwrap();
    }
    fs::remove_dir_all(run_dir.join("plots")).unwrap();
    fs::write(run_dir.join("plots"), "mine").unwrap();
    assert!(report(1).contains("plots"));
    for path in ["/nowhere", ""] {
        fails(torrentlab().args(["report", path]), 2);
    }
}

#[test]
fn the_catalogue_can_be_listed_printed_and_run_from_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    let list = stdout(&run(torrentlab().arg("scenarios"), 0));
    let rows = || list.lines().filter(|line| !line.is_empty() && !line.trim_end().ends_with("its question"));
    assert!(rows().count() > 50 && rows().all(|line| line.ends_with('?')), "{list}");
    let text = stdout(&run(torrentlab().args(["scenarios", "first-swarm"]), 0));
    let copy = dir.path().join("copy.toml");
    fs::write(&copy, text).unwrap();
    let mut command = torrentlab();
    command.arg("run").arg(&copy).args(SMALL).arg("--quiet").arg("--out").arg(dir.path());
    run(&mut command, 0);
    assert!(fails(torrentlab().args(["scenarios", "secnod"]), 2).contains("secnod"));
}

#[test]
fn whoever_stops_reading_is_no_failure_but_a_full_disk_is() {
    for output in ["stdout", "both"] {
        let mut command = torrentlab();
        command.arg("scenarios").stdout(Stdio::piped()).stderr(Stdio::piped());
        let script = format!("exec \"$0\" scenarios {}| true; ", if output == "both" { "2>&1 " } else { "" });
        let told = run(Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_torrentlab")]), 0);
        assert_eq!(stderr(&told), "");
    }
    let script = "exec \"$0\" scenarios > /dev/full";
    let told = run(Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_torrentlab")]), 1);
    assert!(stderr(&told).contains("cannot write the result"), "{}", stderr(&told));
}

#[test]
fn a_claim_is_judged_and_the_exit_code_answers() {
    let dir = tempfile::tempdir().unwrap();
    let judged = |claims: &[(&str, &str)], runs: &str, code| {
        let path = scenario_file(dir.path(), "");
        let text = fs::read_to_string(&path).unwrap();
        let claim =
            |(metric, range): &(&str, &str)| format!("[[claim]]\nmetric = \"{metric}\"\nin = \"{range}\"\n");
        let claims: String = claims.iter().map(claim).collect();
        fs::write(&path, format!("answer = \"Yes.\"\n{text}\n{claims}")).unwrap();
        let mut command = torrentlab();
        command.arg("run").arg(&path).args(["--runs", runs, "--quiet", "--out"]).arg(dir.path().join("out"));
        stdout(&run(&mut command, code))
    };
    let held = judged(&[("completed_share", "1")], "1", 0);
    assert!(held.contains("claim: Yes.\n held: completed_share 1 (claimed 1)"), "{held}");
    let refuted = judged(&[("completed_share", "1"), ("seed_upload_copies", "..0.1")], "1", 1);
    assert!(refuted.contains("refuted: completed_share 1 (claimed 1); seed_upload_copies"), "{refuted}");
    assert!(judged(&[("completion_s.p50", "0.1..")], "3", 0).contains("held"));
}

#[test]
fn a_claim_about_what_is_not_there_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let told = |more: &str| {
        let path = scenario_file(dir.path(), "");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}\n{more}")).unwrap();
        stderr(&run(torrentlab().arg("run").arg(&path).arg("--out").arg(dir.path().join("out")), 2))
    };
    let claim = "[[claim]]\nin = \"1..\"\nmetric = \"speed\"\n";
    let told_claim = told(claim);
    assert!(told_claim.contains("mine.toml:15:10: there is no figure `speed`"), "{told_claim}");
    assert!(
        told_claim.contains("completed_share") && told_claim.contains("class_p50_s.leecher"),
        "{told_claim}"
    );
    let told_fit = told("[fit.x]\ncolumn = \"speed\"\n");
    assert!(told_fit.contains("there is no column `speed`") && told_fit.contains("leechers"), "{told_fit}");
}

#[test]
fn every_figure_that_the_catalogue_claims_is_there() {
    for entry in torrentlab_scenarios::catalogue() {
        let dir = tempfile::tempdir().unwrap();
        let output = torrentlab()
            .args(["run", entry.name, "--quiet", "--set", "time_cap=1 ms", "--out"])
            .arg(dir.path())
            .output()
            .unwrap();
        // Some refuse to be cut short; that there is no such figure is told before.
        let errors = stderr(&output);
        assert!(!errors.contains("there is no"), "{}: {errors}", entry.name);
    }
}
