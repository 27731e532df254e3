//! `compare` as a newcomer types it, and what becomes of it when it is cut short.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Running, assert_same, fails, run, stderr, stdout, torrentlab};

const PICKERS: &str = "hosts.leecher.picker=rarest-first,sequential";
const FOLDER: &str = "first-swarm-compare";

/// `compare first-swarm`, small, with its results below `out`.
fn small(out: &Path, more: &[&str]) -> Command {
    let mut command = torrentlab();
    command.args(["compare", "first-swarm", "--set", "content.size=1 MiB", "--set", "hosts.leecher.count=6"]);
    command.arg("--out").arg(out).args(more);
    command
}

/// Two cells of three runs.
fn two_cells(out: &Path, more: &[&str]) -> Command {
    let mut command = small(out, &["--vary", PICKERS, "--runs", "3"]);
    command.args(more);
    command
}

/// The rows of a table, each by the names of its columns.
fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    lines
        .map(|cells| {
            assert_eq!(cells.len(), header.len(), "{}: {cells:?}", path.display());
            header.iter().cloned().zip(cells).collect()
        })
        .collect()
}

fn header(path: &Path) -> String {
    fs::read_to_string(path).unwrap().lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_comparison_leaves_tables_plots_and_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let told = run(&mut two_cells(dir.path(), &["--vary", "hosts.seed.links.up=400 kbit/s,6 Mbit/s"]), 0);
    let table = stdout(&told);
    assert!(table.contains("rarest-first, 400 kbit/s") && table.contains("share that finished"), "{table}");
    assert!(stderr(&told).contains("4 cells of 3 runs, seeds 1 to 3"), "{}", stderr(&told));
    let folder = dir.path().join(FOLDER);
    for name in ["plan.toml", "report.html", "comparison.json"] {
        assert!(fs::metadata(folder.join(name)).unwrap().len() > 0, "{name}");
    }
    for plot in ["completion", "medians", "trend", "heat"] {
        for ending in ["svg", "png"] {
            assert!(folder.join(format!("plots/{plot}.{ending}")).exists(), "{plot}.{ending}");
        }
    }
    let axes = "hosts.leecher.picker,hosts.seed.links.up_bytes_per_s";
    assert!(header(&folder.join("runs.csv")).starts_with(&format!("{axes},seed,trace_hash,ended_by,peers,")));
    assert!(header(&folder.join("peers.csv")).starts_with(&format!("{axes},seed,host,class,role,")));
    assert!(header(&folder.join("comparison.csv")).starts_with(&format!("{axes},cell,figure,runs,reached,")));
    let runs = rows(&folder.join("runs.csv"));
    assert_eq!(runs.len(), 12);
    assert_eq!(
        (runs[11]["hosts.seed.links.up_bytes_per_s"].as_str(), runs[11]["seed"].as_str()),
        ("750000", "3")
    );
    assert!(runs.iter().all(|run| run["completed"] == "6" && !run["completion_s.p50"].is_empty()));
    assert_eq!(rows(&folder.join("peers.csv")).len(), 12 * 7);
    let median = |row: &&BTreeMap<String, String>| row["figure"] == "completion_s.p50";
    let medians: Vec<_> =
        rows(&folder.join("comparison.csv")).into_iter().filter(|row| median(&row)).collect();
    assert_eq!(medians.len(), 4);
    assert_eq!((medians[0]["interval"].as_str(), medians[0]["p_holm"].as_str()), ("student_t", ""));
    let number = |cell: usize, column: &str| medians[cell][column].parse::<f64>().unwrap();
    assert!((number(2, "mean") - number(0, "mean") - number(2, "difference")).abs() < 1e-5);
    assert!(number(2, "p_holm") >= number(2, "p"));
}

#[test]
fn a_run_of_a_cell_is_what_run_makes_of_it() {
    let dir = tempfile::tempdir().unwrap();
    run(&mut two_cells(dir.path(), &["--quiet"]), 0);
    let mut command = torrentlab();
    command.args(["run", "first-swarm", "--set", "content.size=1 MiB", "--set", "hosts.leecher.count=6"]);
    command.args(["--set", "hosts.leecher.picker=sequential", "--seed", "2", "--quiet", "--out"]);
    run(command.arg(dir.path()), 0);
    let text = fs::read(dir.path().join("first-swarm/2/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let compared = &rows(&dir.path().join(FOLDER).join("runs.csv"))[4];
    assert_eq!(compared["trace_hash"], summary["trace_hash"].as_str().unwrap());
}

#[test]
fn threads_change_no_byte_and_a_plan_repeats_it() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two, planned] = ["one", "two", "planned"].map(|name| dir.path().join(name));
    let told = run(&mut two_cells(&one, &["--threads", "1", "--json"]), 0);
    let json: serde_json::Value = serde_json::from_str(&stdout(&told)).unwrap();
    assert_eq!((&json["seeds"], stderr(&told).as_str()), (&serde_json::json!([1, 2, 3]), ""));
    run(&mut two_cells(&two, &["--threads", "2", "--quiet"]), 0);
    assert_same(&one, &two);
    let mut command = torrentlab();
    command.args(["compare", "--quiet", "--plan"]).arg(one.join(FOLDER).join("plan.toml"));
    run(command.arg("--out").arg(&planned), 0);
    assert_same(&one, &planned);
}

#[test]
fn what_was_interrupted_goes_on_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    run(&mut two_cells(&whole, &["--quiet"]), 0);
    // As a crash may have left it: some runs kept, one half written, nothing else but the plan.
    let kept = cut.join(FOLDER).join("kept");
    fs::create_dir_all(kept.join("0")).unwrap();
    fs::create_dir_all(kept.join("1")).unwrap();
    for name in ["plan.toml", "kept/0/1.json", "kept/1/3.json"] {
        fs::copy(whole.join(FOLDER).join(name), cut.join(FOLDER).join(name)).unwrap();
    }
    let text = fs::read(whole.join(FOLDER).join("kept/0/2.json")).unwrap();
    fs::write(kept.join("0/.2.json.part"), &text[..text.len() / 2]).unwrap();
    fs::write(kept.join("1/1.json"), &text[..text.len() / 2]).unwrap();
    // The run of another seed in the place of this one.
    fs::copy(kept.join("0/1.json"), kept.join("0/3.json")).unwrap();
    let told = stderr(&run(&mut two_cells(&cut, &[]), 0));
    assert!(told.contains("kept/1/1.json is damaged: it is run again"), "{told}");
    assert!(told.contains("kept/0/3.json is of another scenario: it is run again"), "{told}");
    assert!(told.contains("2 runs are kept from before"), "{told}");
    assert_same(&whole, &cut);
    let told = stderr(&run(&mut two_cells(&cut, &[]), 0));
    assert!(told.contains("6 runs are kept from before"), "{told}");
    assert_same(&whole, &cut);
}

#[test]
fn runs_of_another_build_are_run_again() {
    let dir = tempfile::tempdir().unwrap();
    run(&mut two_cells(dir.path(), &["--quiet"]), 0);
    let folder = dir.path().join(FOLDER);
    let path = folder.join("kept/1/2.json");
    let (kept, table) = (fs::read_to_string(&path).unwrap(), fs::read(folder.join("runs.csv")).unwrap());
    let mut run_2: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let program = run_2["program"].as_str().unwrap().to_owned();
    assert!(!fs::read_to_string(folder.join("comparison.json")).unwrap().contains(&program), "of no output");
    // The same version made it, and came to something else.
    run_2["program"] = "another".into();
    run_2["summary"]["makespan_s"] = 1.0.into();
    fs::write(&path, run_2.to_string()).unwrap();
    let told = stderr(&run(&mut two_cells(dir.path(), &[]), 0));
    assert!(told.contains("kept/1/2.json is of another build of torrentlab"), "{told}");
    assert!(told.contains("5 runs are kept from before"), "{told}");
    assert_eq!(fs::read_to_string(&path).unwrap(), kept);
    assert_eq!(fs::read(folder.join("runs.csv")).unwrap(), table);
}

#[test]
fn a_comparison_of_runs_that_hit_the_time_cap_is_inconclusive() {
    let dir = tempfile::tempdir().unwrap();
    let told = run(&mut two_cells(dir.path(), &["--set", "time_cap=5 s"]), 3);
    assert!(stderr(&told).contains("6 of 6 runs hit the time cap"), "{}", stderr(&told));
    assert!(dir.path().join(FOLDER).join("report.html").exists());
}

#[test]
fn ctrl_c_keeps_the_runs_that_ended() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(small(
        dir.path(),
        &["--vary", PICKERS, "--runs", "50000", "--threads", "1", "--seed", "7"],
    ));
    let folder = dir.path().join(FOLDER);
    while !folder.join("kept/0/8.json").exists() {
        std::thread::yield_now();
    }
    running.signal("INT");
    let (status, told) = running.finish();
    assert_eq!(status.code(), Some(130), "{told}");
    assert!(told.contains("interrupted: ") && !folder.join("report.html").exists(), "{told}");
    // Fewer runs are a part of the same plan.
    let more = ["--vary", PICKERS, "--runs", "2", "--seed", "7"];
    let told = stderr(&run(&mut small(dir.path(), &more), 0));
    assert!(told.contains("2 runs are kept from before"), "{told}");
    let fresh = tempfile::tempdir().unwrap();
    run(&mut small(fresh.path(), &more), 0);
    for name in ["plan.toml", "runs.csv", "peers.csv", "comparison.csv", "report.html"] {
        let read = |out: &Path| fs::read(out.join(FOLDER).join(name)).unwrap();
        assert!(read(dir.path()) == read(fresh.path()), "{name} differs");
    }
}

#[test]
fn another_plan_is_not_mixed_in() {
    let dir = tempfile::tempdir().unwrap();
    run(&mut two_cells(dir.path(), &["--quiet"]), 0);
    let folder = dir.path().join(FOLDER);
    let before = fs::read(folder.join("plan.toml")).unwrap();
    for (more, error) in [
        (&["--vary", "hosts.leecher.count=4,5"][..], "--vary"),
        (&["--set", "hosts.leecher.links.up=1 Mbit/s"], "--set"),
        (&["--seed", "2"], "first seed"),
        (&["--backend", "turmoil"], "backend"),
    ] {
        let text = fails(&mut two_cells(dir.path(), more), 2);
        assert!(text.contains("another comparison") && text.contains(error), "{more:?}: {text}");
    }
    let older = String::from_utf8(before.clone()).unwrap().replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    fs::write(folder.join("plan.toml"), &older).unwrap();
    assert!(fails(&mut two_cells(dir.path(), &[]), 2).contains("its version is `0.0.1`"));
    let text = fails(torrentlab().args(["compare", "--plan"]).arg(folder.join("plan.toml")), 2);
    assert!(text.contains("for torrentlab 0.0.1"), "{text}");
    assert_eq!(fs::read_to_string(folder.join("plan.toml")).unwrap(), older, "it stays as it was");
}

/// When each leecher of each cell and seed came, and when it had its first piece: the only one, so that with links and
/// latencies alike no picker makes a difference.
fn arrivals(out: &Path, axis: &str) -> BTreeMap<String, BTreeMap<String, [String; 2]>> {
    let latency = "hosts.leecher.links.latency=10ms..200ms";
    run(
        &mut small(
            out,
            &["--vary", axis, "--runs", "2", "--set", "content.size=64 KiB", "--set", latency, "--quiet"],
        ),
        0,
    );
    let mut cells: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    let name = axis.split('=').next().unwrap();
    for row in rows(&out.join(FOLDER).join("peers.csv")) {
        let cell = row.iter().find(|(column, _)| column.starts_with(name)).unwrap().1.clone();
        let host = format!("{} {}", row["seed"], row["host"]);
        cells.entry(cell).or_default().insert(host, [row["joined_s"].clone(), row["bootstrap_s"].clone()]);
    }
    cells
}

#[test]
fn all_cells_have_the_same_arrivals_links_and_latencies() {
    let dir = tempfile::tempdir().unwrap();
    let cells = arrivals(dir.path(), PICKERS);
    assert_eq!(cells.len(), 2);
    assert_eq!(cells["rarest-first"], cells["sequential"]);
}

#[test]
fn all_cells_have_the_same_arrivals_links_and_latencies_negative() {
    let dir = tempfile::tempdir().unwrap();
    // A latency that varies shows in the first piece, and in nothing else; another seed shows in both.
    let cells = arrivals(dir.path(), "tracker.latency=1 ms,900 ms");
    let (quick, slow) = (&cells["0.001"], &cells["0.9"]);
    assert_ne!(quick, slow);
    for (host, [joined_s, _]) in quick {
        assert_eq!(*joined_s, slow[host][0], "{host}");
    }
    let (one, other) = (&quick["1 leecher-0"], &quick["2 leecher-0"]);
    assert!(one[0] != other[0] && one[1] != other[1], "{one:?} {other:?}");
}

#[test]
fn slips_of_the_pen_are_told_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    for (axis, error) in [
        ("hosts.leecher.pickr=random,sequential", "axis hosts.leecher.pickr"),
        ("hosts.leecher.picker=random,mine", "no picker `mine`"),
        ("hosts.leecher.picker=random,mine", "axis hosts.leecher.picker"),
        ("hosts.lecher.count=1,2", "did you mean `leecher`?"),
        ("hosts.leecher.count=3,-1", "axis hosts.leecher.count"),
        ("hosts.leecher.count=3,-1", "--vary: "),
        ("hosts.leecher.picker=random,mine", "--vary: "),
        ("hosts.leecher.count=3,3", "`3` is there twice"),
        ("content.size=1 MiB,1024 KiB", "are the same"),
        ("hosts.leecher.count=3,,4", "a value is missing"),
        ("hosts.leecher.count=", "a value is missing"),
        ("hosts.leecher.count", "there are no values"),
        ("=3", "there is no field"),
        ("hosts.seed.links.up=\"6 Mbit/s", "left open"),
        ("seed=1,2", "same seeds"),
    ] {
        let text = fails(&mut small(dir.path(), &["--vary", axis]), 2);
        assert!(text.contains(error), "{axis}: {text}");
    }
    for (more, error) in [
        (&["--vary", PICKERS, "--vary", PICKERS][..], "there twice"),
        (&["--vary", PICKERS, "--set", "hosts.seed.count=-1"], "--set: "),
        (&["--vary", PICKERS, "--runs", "50001"], "100002 runs"),
        (&["--vary", PICKERS, "--runs", "0"], "--help"),
        (&["--vary", PICKERS, "--seed", "4294967295"], "--seed"),
        (&["--vary", PICKERS, "--plan", "plan.toml"], "--help"),
        (&[], "--vary"),
    ] {
        let text = fails(&mut small(dir.path(), more), 2);
        assert!(text.contains(error), "{more:?}: {text}");
    }
    for plan in ["nothing", "runs = 3", "scenario.name = \"first-swarm\"\nvary = []", "[[vary]]\npath = 3"] {
        let path = dir.path().join("plan.toml");
        fs::write(&path, plan).unwrap();
        fails(torrentlab().args(["compare", "--plan"]).arg(&path), 2);
    }
    fails(torrentlab().args(["compare", "--plan", "/nowhere"]), 2);
    fails(torrentlab().args(["compare", "first-swram", "--vary", PICKERS]), 2);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was run");
}
