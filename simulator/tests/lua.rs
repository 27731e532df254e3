//! Strategies that are scripts: what they may, and what becomes of those that try more.

use std::fs;

use torrentlab_scenarios::load;
use torrentlab_simulator::build::check;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Backend, Outcome, RunError, RunOptions, run};

/// Runs a small swarm whose leechers pick as `text` says.
fn outcome(text: &str, backend: Backend) -> Result<Outcome, RunError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.lua");
    fs::write(&file, text).unwrap();
    let sets = [
        "content.size=1 MiB".to_owned(),
        "content.piece_size=64 KiB".to_owned(),
        "hosts.leecher.count=6".to_owned(),
        "time_cap=10 min".to_owned(),
        format!("hosts.leecher.picker={{ script = \"{}\" }}", file.display()),
    ];
    let loaded = load("first-swarm", &sets).unwrap_or_else(|error| panic!("{error}"));
    drop(folder);
    let options = RunOptions { backend, ..RunOptions::default() };
    run(&loaded.scenario, 1, &Registry::default(), &options, &mut |_| ())
}

/// Why a script fails.
fn failure(text: &str) -> String {
    match outcome(text, Backend::Des) {
        Err(RunError::Strategy(what)) => what,
        Err(RunError::Build(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

const FIRST: &str = "function pick(pieces, copies, want) return { pieces[1] } end";

#[test]
fn a_script_picks_what_the_same_strategy_in_rust_picks() {
    for backend in [Backend::Des, Backend::Turmoil] {
        let script = outcome(FIRST, backend).unwrap().record;
        assert_eq!(script.summary.completed, 6, "{backend:?}");
        let again = outcome(FIRST, backend).unwrap().record;
        assert_eq!(script.info.trace_hash, again.info.trace_hash);
    }
    let all = "function pick(pieces, copies, want) return pieces end";
    let script = outcome(all, Backend::Des).unwrap().record;
    let sets =
        ["content.size=1 MiB", "content.piece_size=64 KiB", "hosts.leecher.count=6", "time_cap=10 min"];
    let mut sets: Vec<String> = sets.map(str::to_owned).into();
    sets.push("hosts.leecher.picker=sequential".to_owned());
    let scenario = load("first-swarm", &sets).unwrap().scenario;
    let rust = run(&scenario, 1, &Registry::default(), &RunOptions::default(), &mut |_| ()).unwrap().record;
    assert_eq!(script.info.trace_hash, rust.info.trace_hash);
}

#[test]
fn the_shipped_example_works_and_sees_the_swarm() {
    let text = include_str!("../../cli/examples/two_choices.lua");
    assert_eq!(outcome(text, Backend::Des).unwrap().record.summary.completed, 6);
    let looks = "function pick(pieces, copies, want, swarm)
        assert(swarm.pieces == 16 and swarm.have < 16 and swarm.now_s > 0 and swarm.rate_down >= 0)
        assert(#pieces == #copies and swarm.dice(0) == 0 and swarm.dice(1) == 1)
        return pieces
    end";
    assert_eq!(outcome(looks, Backend::Des).unwrap().record.summary.completed, 6);
}

#[test]
fn the_resolved_scenario_has_the_script_in_it() {
    let record = outcome(FIRST, Backend::Des).unwrap().record;
    let again = torrentlab_scenarios::read(&record.scenario_toml, "scenario.toml", &[]).unwrap().scenario;
    let repeated = run(&again, 1, &Registry::default(), &RunOptions::default(), &mut |_| ()).unwrap();
    assert_eq!(repeated.record.info.trace_hash, record.info.trace_hash);
}

#[test]
fn an_error_names_script_and_line() {
    for (text, expected) in [
        (
            "function pick(pieces)\n  return pieces[1] + nothing\nend",
            "mine.lua:2: attempt to perform arithmetic on a nil",
        ),
        ("function pick(", "mine.lua:1: "),
        ("x = 1", "mine.lua: there is no function `pick"),
        ("function pick()\n  error('so there')\nend", "mine.lua:2: so there"),
        (
            "function pick() return { 9999 } end",
            "mine.lua: `pick` gave piece 9999, which is not among `pieces`",
        ),
        ("function pick() return 'all' end", "converting Lua string to"),
        ("\nwhile true do end", "it went on for more than"),
        ("function pick()\n  while true do end\nend", "it went on for more than"),
        ("function pick()\n  pcall(error)\nend", "mine.lua:2: attempt to call a nil value (global 'pcall')"),
        ("function pick()\n  local t = {}\n  for i = 1, 1e9 do t[i] = i end\nend", "mine.lua"),
        ("local t = {} for i = 1, 1e7 do t[i] = { i } end", "mine.lua: "),
    ] {
        let what = failure(text);
        assert!(what.contains(expected), "{text}: {what}");
    }
}

#[test]
fn nothing_outside_is_in_reach() {
    for name in [
        "io",
        "os",
        "require",
        "package",
        "debug",
        "load",
        "loadfile",
        "loadstring",
        "dofile",
        "pairs",
        "next",
        "string",
        "tostring",
        "print",
        "collectgarbage",
        "rawget",
        "setmetatable",
        "getmetatable",
        "coroutine",
        "utf8",
        "_G",
        "math.random",
        "math.randomseed",
        "warn",
    ] {
        let text = format!("function pick(pieces) assert({name} == nil, 'in reach') return pieces end");
        let outcome = outcome(&text, Backend::Des);
        assert!(outcome.is_ok(), "{name}: {:?}", outcome.unwrap_err().to_string());
    }
}

#[test]
fn a_script_is_checked_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.lua");
    fs::write(&file, "function pick(").unwrap();
    let sets = [format!("hosts.leecher.picker={{ script = \"{}\" }}", file.display())];
    let scenario = load("first-swarm", &sets).unwrap().scenario;
    let error = check(&scenario, &Registry::default()).unwrap_err();
    assert_eq!(error.field, "hosts.leecher.picker.script");
    let sets = ["hosts.leecher.picker={ script = \"nowhere.lua\" }".to_owned()];
    let error = load("first-swarm", &sets).unwrap_err().to_string();
    assert!(error.contains("cannot read nowhere.lua") && error.contains("scenario's folder"), "{error}");
    let sets = ["hosts.leecher.picker=script".to_owned()];
    let scenario = load("first-swarm", &sets).unwrap().scenario;
    let error = check(&scenario, &Registry::default()).unwrap_err().to_string();
    assert!(error.contains("missing field"), "{error}");
}
