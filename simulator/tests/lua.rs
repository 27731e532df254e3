//! Strategies that are scripts: what they may, and what becomes of those that try more.

use std::cmp::Reverse;
use std::fs;
use std::sync::{Arc, Mutex};

use torrentlab_engine::choker::{ChokeEvent, ChokeView, Choker, Slot};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_reports::record::{Decision, Explanation};
use torrentlab_scenarios::{Strategy, load};
use torrentlab_simulator::build::check;
use torrentlab_simulator::explain::Explain;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Backend, Outcome, RunError, RunOptions, run};

/// Runs a small swarm whose leechers pick as `text` says.
fn outcome(text: &str, backend: Backend) -> Result<Outcome, RunError> {
    outcome_of("picker", text, backend)
}

/// Runs a small swarm whose leechers have the script `text` as their picker or choker.
fn outcome_of(field: &str, text: &str, backend: Backend) -> Result<Outcome, RunError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.lua");
    fs::write(&file, text).unwrap();
    let sets = [
        "content.size=1 MiB".to_owned(),
        "content.piece_size=64 KiB".to_owned(),
        "hosts.leecher.count=6".to_owned(),
        "time_cap=10 min".to_owned(),
        format!("hosts.leecher.{field}={{ script = \"{}\" }}", file.display()),
        "hosts.leecher.limits.slots=2".to_owned(),
    ];
    let loaded = load("first-swarm", &sets).unwrap_or_else(|error| panic!("{error}"));
    drop(folder);
    let options = RunOptions { backend, check: true, ..RunOptions::default() };
    run(&loaded.scenario, 1, &Registry::default(), &options, &mut |_| ())
}

/// Why a script fails.
fn failure(field: &str, text: &str) -> String {
    match outcome_of(field, text, Backend::Des) {
        Err(RunError::Strategy(what)) => what,
        Err(RunError::Build(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

const FIRST: &str = "function pick(pieces, copies, want) return { pieces[1] } end";

const FIRST_ALL: &str = "function pick(pieces, copies, want) return pieces end";

#[test]
fn a_script_picks_what_the_same_strategy_in_rust_picks() {
    for backend in [Backend::Des, Backend::Turmoil] {
        let script = outcome(FIRST, backend).unwrap().record;
        assert_eq!(script.summary.completed, 6, "{backend:?}");
        let again = outcome(FIRST, backend).unwrap().record;
        assert_eq!(script.info.trace_hash, again.info.trace_hash);
    }
    let script = outcome(FIRST_ALL, Backend::Des).unwrap().record;
    let sets =
        ["content.size=1 MiB", "content.piece_size=64 KiB", "hosts.leecher.count=6", "time_cap=10 min"];
    let mut sets: Vec<String> = sets.map(str::to_owned).into();
    sets.push("hosts.leecher.picker=sequential".to_owned());
    sets.push("hosts.leecher.limits.slots=2".to_owned());
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
        let what = failure("picker", text);
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

/// Those who send most, by order of joining where they send the same.
const BEST: &str = "function unchoke(peers, slots)
    table.sort(peers, function(a, b)
        if a.rate_down ~= b.rate_down then return a.rate_down > b.rate_down end
        return a.id < b.id
    end)
    local served = {}
    for _, peer in ipairs(peers) do
        if peer.interested and #served < slots then table.insert(served, peer.id) end
    end
    return served
end";

/// The same in Rust.
#[derive(Debug)]
struct Best {
    next: Instant,
    every: Duration,
    slots: usize,
    spare: bool,
}

impl Choker for Best {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, _: &mut Dice, out: &mut Vec<Slot>) {
        while self.next <= now {
            self.next += self.every;
        }
        let mut peers: Vec<_> = view.peers.iter().filter(|peer| peer.interested).collect();
        peers.sort_by_key(|peer| (Reverse(peer.rate_down), peer.conn.generation(), peer.conn.slot()));
        out.extend(peers.iter().take(self.slots).map(|peer| Slot::regular(peer.conn)));
        self.spare = out.len() < self.slots;
    }

    fn next_decision(&self) -> Instant {
        self.next
    }

    fn on_event(&mut self, event: ChokeEvent, _: Instant, _: &mut Dice) -> bool {
        match event {
            ChokeEvent::Left { unchoked, .. } | ChokeEvent::NotInterested { unchoked, .. } => {
                self.spare |= unchoked;
                unchoked
            }
            ChokeEvent::Interested { unchoked, .. } => !unchoked && self.spare,
            _ => false,
        }
    }
}

#[test]
fn a_script_unchokes_whom_the_same_strategy_in_rust_unchokes() {
    for backend in [Backend::Des, Backend::Turmoil] {
        let script = outcome_of("choker", BEST, backend).unwrap().record;
        assert_eq!(script.summary.completed, 6, "{backend:?}");
        let mut registry = Registry::default();
        registry.register_choker("best", |setup, dice| {
            let every = setup.config.rechoke_every;
            let next = setup.now + Duration::from_nanos(dice.below(every.as_nanos()));
            Box::new(Best { next, every, slots: setup.config.slots.at_first(), spare: true })
        });
        let mut scenario = torrentlab_scenarios::read(&script.scenario_toml, "s.toml", &[]).unwrap().scenario;
        scenario.hosts.get_mut("leecher").unwrap().choker = Strategy::named("best");
        let options = RunOptions { backend, check: true, ..RunOptions::default() };
        let rust = run(&scenario, 1, &registry, &options, &mut |_| ()).unwrap().record;
        assert_eq!(script.info.trace_hash, rust.info.trace_hash, "{backend:?}");
    }
}

#[test]
fn the_shipped_choker_works_and_sees_its_peers() {
    let text = include_str!("../../cli/examples/ratio.lua");
    assert_eq!(outcome_of("choker", text, Backend::Des).unwrap().record.summary.completed, 6);
    let looks = "sent, waited, seeds, swaps = 0, 0, 0, 0
    function unchoke(peers, slots, swarm)
        assert(slots == 2 and swarm.pieces == 16 and swarm.piece_bytes == 65536 and swarm.now_s > 0)
        assert(swarm.limit_up == nil and swarm.rate_up >= 0 and swarm.dice(0) == 0 and swarm.dice(1) == 1)
        assert(type(swarm.rechoke) == 'boolean' and type(swarm.seeding) == 'boolean')
        local served, ids = {}, {}
        for _, peer in ipairs(peers) do
            assert(not ids[peer.id], 'two of one id')
            ids[peer.id] = true
            assert(peer.pieces <= 16 and peer.since_s >= 0 and (peer.seed == (peer.pieces == 16)))
            assert(type(peer.choking) == 'boolean' and type(peer.snubbed) == 'boolean')
            assert(type(peer.interesting) == 'boolean' and peer.rate_down >= 0 and peer.rate_up >= 0)
            assert(peer.slot == nil or peer.slot == 'regular' or peer.slot == 'optimistic')
            sent, waited = math.max(sent, peer.sent), math.max(waited, peer.since_s)
            if peer.slot == 'optimistic' then swaps = swaps + 1 end
            if peer.interested and #served < slots then
                table.insert(served, { id = peer.id, optimistic = true, cap = 1e6 })
            end
        end
        if swarm.seeding and swarm.rechoke and swarm.now_s > 60 then
            assert(sent > 0 and waited > 0 and swaps > 0, 'nothing was ever seen')
        end
        return served
    end";
    assert_eq!(outcome_of("choker", looks, Backend::Des).unwrap().record.summary.completed, 6);
}

#[test]
fn a_cap_of_a_script_holds() {
    let capped = |cap: &str| {
        let text = format!(
            "function unchoke(peers, slots)
                local served = {{}}
                for _, peer in ipairs(peers) do
                    if peer.interested and #served < slots then
                        table.insert(served, {{ id = peer.id, cap = {cap} }})
                    end
                end
                return served
            end"
        );
        outcome_of("choker", &text, Backend::Des).unwrap().record.summary.makespan_s.unwrap()
    };
    let (free, slow) = (capped("nil"), capped("500"));
    assert!(slow > 1.5 * free, "{slow} s with a cap and {free} s without");
}

#[test]
fn an_error_of_a_choker_names_script_and_line() {
    let gives = |what: &str| format!("function unchoke(peers, slots) return {what} end");
    let all = "function unchoke(peers) local all = {} for n, peer in ipairs(peers) do all[n] = peer.id end return all end";
    for (text, expected) in [
        (
            "function unchoke(peers)\n  return peers[1] + nothing\nend".to_owned(),
            "mine.lua:2: attempt to perform arithmetic",
        ),
        ("function unchoke(".to_owned(), "mine.lua:1: "),
        ("function pick() end".to_owned(), "mine.lua: there is no function `unchoke(peers, slots, swarm)`"),
        (gives("{ 9999 }"), "mine.lua: `unchoke` gave 9999, which is the `id` of nobody in `peers`"),
        (gives("{ {} }"), "mine.lua: `unchoke` gave a nil where the `id` of a peer was asked for"),
        (gives("{ 1.5 }"), "mine.lua: `unchoke` gave a number where"),
        (gives("{ { id = peers[1].id, cap = -1 } }"), "mine.lua: `unchoke` gave a `cap` that is no rate"),
        (gives("{ { id = peers[1].id, cap = 0 / 0 } }"), "mine.lua: `unchoke` gave a `cap` that is no rate"),
        (
            gives("{ { id = peers[1].id, optimistic = 3 } }"),
            "mine.lua: `unchoke` gave an `optimistic` that is neither true nor false",
        ),
        (gives("'all'"), "converting Lua string to"),
        (gives("nil"), "converting Lua nil to"),
        (all.to_owned(), "peers, and `slots` is 2"),
        ("function unchoke()\n  while true do end\nend".to_owned(), "it went on for more than"),
        (
            "function unchoke()\n  io.open('/etc/passwd')\nend".to_owned(),
            "mine.lua:2: attempt to index a nil value (global 'io')",
        ),
        ("function unchoke()\n  local t = {}\n  for i = 1, 1e9 do t[i] = i end\nend".to_owned(), "mine.lua"),
    ] {
        let what = failure("choker", &text);
        assert!(what.contains(expected), "{text}: {what}");
    }
}

#[test]
fn scores_of_a_script_are_reasons_and_change_nothing() {
    let pick = "function pick(pieces, copies, want)
        local scores = {}
        for n, piece in ipairs(pieces) do scores[piece] = 100 - piece end
        if pieces[1] then scores[pieces[1]] = 'most' end
        return pieces, scores
    end";
    let unchoke = BEST.replace(
        "return served\n",
        "local scores = {}
        for _, peer in ipairs(peers) do scores[peer.id] = peer.rate_down end
        return served, scores\n",
    );
    assert_ne!(unchoke, BEST);
    for (field, plain, text) in [("picker", FIRST_ALL, pick), ("choker", BEST, &unchoke)] {
        let plain = outcome_of(field, plain, Backend::Des).unwrap().record;
        let record = outcome_of(field, text, Backend::Des).unwrap().record;
        assert_eq!(record.info.trace_hash, plain.info.trace_hash);
        let scenario = torrentlab_scenarios::read(&record.scenario_toml, "s.toml", &[]).unwrap().scenario;
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let tell = move |_: &str, explanation: Explanation| heard.lock().unwrap().extend(explanation.rows);
        let explain = Explain::new(&scenario, &["leecher-2".to_owned()], tell).unwrap();
        let options = RunOptions { explain: Some(&explain), ..RunOptions::default() };
        let asked = run(&scenario, 1, &Registry::default(), &options, &mut |_| ()).unwrap().record;
        assert_eq!(asked.info.trace_hash, record.info.trace_hash);
        let said = said.lock().unwrap();
        let kind = if field == "picker" { Decision::Pick } else { Decision::Unchoke };
        let rows: Vec<_> = said.iter().filter(|row| row.kind == kind).collect();
        assert!(rows.iter().any(|row| row.score.is_some()), "{field}");
        for row in rows.iter().filter(|row| row.score.is_some()) {
            assert_eq!(row.score_of, "by the script");
            let score = row.score.unwrap();
            match row.piece {
                Some(piece) => assert_eq!(score, 100.0 - f64::from(piece)),
                None => assert_eq!(score, row.rate_down_bytes_per_s.unwrap() as f64),
            }
        }
        // What is no number is no reason, and no failure.
        assert_eq!(rows.iter().any(|row| row.score.is_none()), field == "picker");
    }
}
