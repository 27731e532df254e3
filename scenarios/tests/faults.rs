//! Faults are read as they are written, and what makes no sense is refused at its place.

use torrentlab_scenarios::schema::{Corrupt, Disk, FaultKind, Restart};
use torrentlab_scenarios::units::{Percent, Span};
use torrentlab_scenarios::{Draw, Scenario, read};

const SWARM: &str = r#"schema = 1
name = "my"
content = { size = "1 MiB", piece_size = "256 KiB" }

[hosts.seed]
count = 1
behaviour = "seed"
links = { up = "1 Mbit/s", down = "2 Mbit/s" }

[hosts.leecher]
count = 10
links = { up = "1 Mbit/s", down = "2 Mbit/s" }

"#;

fn swarm(faults: &str, sets: &[&str]) -> Result<Scenario, String> {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let loaded = read(&format!("{SWARM}{faults}"), "my.toml", &sets);
    loaded.map(|loaded| loaded.scenario).map_err(|error| error.to_string())
}

fn error(faults: &str) -> String {
    swarm(faults, &[]).map_or_else(|error| error, |_| "no error".to_owned())
}

#[test]
fn every_kind_is_written_as_it_is_read() {
    let kinds = [
        ("leecher", "kind = \"stop\""),
        ("leecher-9", "kind = \"kill\""),
        ("seed", "kind = \"vanish\""),
        ("30% of leecher", "kind = \"restart\""),
        ("2 of leecher", "kind.restart = { how = \"vanish\", disk = \"lost\" }"),
        ("50% of leecher + seed", "kind = \"partition\""),
        ("seed -> leecher", "kind = \"partition\""),
        ("50% of leecher <-> tracker", "kind = \"partition\""),
        ("seed <-> leecher", "kind = \"hold\""),
        ("leecher-0", "for = \"10 s\"\nkind = \"swizzle\""),
        ("leecher", "kind.rate = { up = \"100 kbit/s\" }"),
        ("everyone", "kind.latency = \"300 ms\""),
        ("leecher <-> leecher", "kind.loss = \"1%\""),
        ("leecher", "kind = \"nat\""),
        ("leecher", "kind = \"address-change\""),
        ("leecher", "kind = \"disk-full\""),
        ("leecher", "kind = \"read-error\""),
        ("leecher", "kind = \"corrupt\""),
        ("leecher", "kind.corrupt.share = \"10%\""),
        ("leecher", "kind.corrupt.piece = 3"),
        ("leecher", "kind = \"lying-have\""),
        ("leecher", "kind = \"stall\""),
        ("tracker", "kind = \"down\""),
        ("tracker", "kind.slow = \"1s..5s\""),
        ("tracker", "kind.wrong = \"dead-peers\""),
        ("tracker", "kind = \"forgets\""),
    ];
    for (target, kind) in kinds {
        let fault = format!("[[fault]]\nat = \"60s..90s\"\ntarget = \"{target}\"\n{kind}\n");
        let scenario = swarm(&fault, &[]).unwrap_or_else(|error| panic!("{error}"));
        let written = scenario.resolved_toml();
        assert_eq!(Scenario::from_toml(&written, "resolved.toml").unwrap(), scenario, "{written}");
        assert!(kind.contains(scenario.fault[0].kind.name()));
    }
}

#[test]
fn details_that_are_left_out_have_their_defaults() {
    let kind = |kind: &str| {
        swarm(&format!("[[fault]]\ntarget = \"leecher\"\nkind = {kind}"), &[]).unwrap().fault[0].kind
    };
    assert_eq!(kind("\"restart\""), FaultKind::Restart(Restart::default()));
    let lost = Restart { disk: Disk::Lost, ..Restart::default() };
    assert_eq!(kind("{ restart = { disk = \"lost\" } }"), FaultKind::Restart(lost));
    let always = Corrupt { share: Percent::from_ppm(1_000_000), piece: None };
    assert_eq!(kind("\"corrupt\""), FaultKind::Corrupt(always));
}

#[test]
fn a_field_of_one_fault_can_be_set() {
    let faults =
        "[[fault]]\ntarget = \"seed\"\nkind = \"kill\"\n[[fault]]\ntarget = \"tracker\"\nkind = \"down\"\n";
    let set = swarm(faults, &["fault.1.at=2 min", "fault.1.kind.slow=5 s"]).unwrap();
    assert_eq!(set.fault[1].at, Draw::Fixed(Span::from_secs(120)));
    assert_eq!(set.fault[1].kind.name(), "slow");
    assert_eq!(set.fault[0].kind, FaultKind::Kill);
    assert!(swarm(faults, &["fault=[]"]).unwrap().fault.is_empty());
    let beyond = swarm(faults, &["fault.2.at=2 min"]).unwrap_err();
    assert!(beyond.contains("there is no `fault.2`") && beyond.contains("the last is `fault.1`"), "{beyond}");
    let whole = swarm(faults, &["fault.1=5"]).unwrap_err();
    assert!(whole.contains("hint: set the whole list: fault=[...]"), "{whole}");
}

#[test]
fn an_error_points_at_the_line() {
    let fault =
        "[[fault]]\ntarget = \"seed\"\nkind = \"kill\"\n\n[[fault]]\ntarget = \"leechr\"\nkind = \"kill\"\n";
    assert_eq!(
        error(fault),
        "my.toml:19:10: there is no class or host `leechr`\n   |\n19 | target = \"leechr\"\n   |          ^^^^^^^^\n\
         hint: did you mean `leecher`?"
    );
    let fault =
        "fault = [\n  { target = \"seed\", kind = \"kill\" },\n  { target = \"seed\", kind = \"kil\" },\n]";
    let text = format!("{fault}\n{SWARM}");
    assert_eq!(
        read(&text, "my.toml", &[]).unwrap_err().to_string(),
        "my.toml:3:29: `kil` is none of the choices\n  |\n3 |   { target = \"seed\", kind = \"kil\" },\n  \
         |                             ^^^^^\nhint: did you mean `kill`?"
    );
}

#[test]
fn nonsense_is_refused_with_a_hint() {
    let table = [
        (
            "target = \"leecher-10\"\nkind = \"kill\"",
            "there is no host `leecher-10`",
            "the last of them is `leecher-9`",
        ),
        (
            "target = \"11 of leecher\"\nkind = \"kill\"",
            "`leecher` has 10 hosts",
            "write \"10 of leecher\" or fewer",
        ),
        ("target = \"0% of leecher\"\nkind = \"kill\"", "`0% of leecher` is nobody", "raise the share"),
        (
            "target = \"half of leecher\"\nkind = \"kill\"",
            "`half` is no number of hosts",
            "\"30% of leecher\"",
        ),
        ("target = \"2 of leecher-3\"\nkind = \"kill\"", "`leecher-3` is one host", "\"2 of leecher\""),
        (
            "target = \"tracker\"\nkind = \"kill\"",
            "a tracker cannot have `kill`",
            "down, slow, wrong, forgets",
        ),
        (
            "target = \"leecher\"\nkind = \"down\"",
            "`down` is a fault of the tracker",
            "write target = \"tracker\"",
        ),
        (
            "target = \"seed <-> leecher\"\nkind = \"kill\"",
            "`kill` does not happen to links",
            "or name the hosts",
        ),
        ("target = \"seed + tracker\"\nkind = \"kill\"", "the tracker is no host", "<-> tracker"),
        ("target = \"seed-0 <-> seed-0\"\nkind = \"hold\"", "a host has no link to itself", "name two hosts"),
        ("target = \"seed\"\nkind = \"latency\"", "`latency` needs its details", "{ latency = \"300 ms\" }"),
        ("target = \"seed\"\nkind.latency = \"0 s\"", "`fault.0.kind.latency` is zero", "\"10 s\""),
        ("target = \"seed\"\nkind.loss = \"100%\"", "a loss of 100%", "is a partition"),
        ("target = \"seed\"\nkind.rate = {}", "neither rate changes", "{ up = "),
        (
            "target = \"seed\"\nkind.rate.up = \"0 kbit/s\"",
            "`fault.0.kind.rate.up` is zero",
            "kind = \"partition\"",
        ),
        (
            "target = \"seed\"\nkind.rate.upp = \"1 kbit/s\"",
            "unknown field `upp` in fault.0.kind.rate",
            "did you mean `up`?",
        ),
        ("target = \"seed\"\nkind.corrupt.piece = 4", "there is no piece 4", "the last is 3"),
        (
            "target = \"seed\"\nkind.corrupt = { piece = 1, share = \"5%\" }",
            "either a share of all blocks, or one piece",
            "for each",
        ),
        ("target = \"seed\"\nkind.corrupt.share = \"0%\"", "no block is corrupt", "leave `share` out"),
        (
            "target = \"tracker\"\nkind.wrong = \"garbag\"",
            "`garbag` is none of the choices",
            "did you mean `garbage`?",
        ),
        (
            "target = \"seed\"\nkind = { loss = \"1%\", latency = \"1 s\" }",
            "a fault is of one kind",
            "for each kind",
        ),
        ("target = \"seed\"\nkind = \"swizzle\"", "a swizzle needs its time", "for = \"1 min\""),
        (
            "target = \"tracker\"\nkind = \"forgets\"\nfor = \"1 s\"",
            "`forgets` has no duration",
            "leave `for` out",
        ),
        ("target = \"seed\"\nkind = \"hold\"\nfor = \"0 s\"", "a fault that is over at once", "\"1 min\""),
        (
            "target = \"seed\"\nkind = \"kill\"\nat = \"2 d\"",
            "the run is over at 1 d: this never happens",
            "earlier time",
        ),
        ("target = \"seed\"", "`kind` is missing", "add `kind = ...`"),
        (
            "target = \"seed\"\nkind = \"kill\"\nlasts = \"1 s\"",
            "unknown field `lasts` in fault.0",
            "there are: at, for",
        ),
    ];
    for (fault, message, hint) in table {
        let error = error(&format!("[[fault]]\n{fault}\n"));
        assert!(error.starts_with("my.toml:") && error.contains(message) && error.contains(hint), "{error}");
    }
}

#[test]
fn random_faults_have_a_rate_an_end_and_a_mix() {
    let good = "[random_faults]\nrate = \"1 /min\"\nuntil = \"10 min\"\n\
                [[random_faults.mix]]\nweight = 3\ntarget = \"1 of leecher\"\nkind = \"kill\"\nfor = \"10 s\"\n";
    let scenario = swarm(good, &[]).unwrap();
    assert_eq!(Scenario::from_toml(&scenario.resolved_toml(), "resolved.toml").unwrap(), scenario);
    let table = [
        ("rate = \"1 /min\"", "rate = \"0 /min\"", "no fault would ever come"),
        ("until = \"10 min\"", "until = \"0 s\"", "they end at 0 s and begin at 0 s"),
        ("until = \"10 min\"", "", "`until` is missing"),
        ("weight = 3", "weight = 0", "faults of no kind"),
        ("1 of leecher", "1 of lecher", "there is no class or host `lecher`"),
        ("weight = 3", "at = \"5 s\"", "unknown field `at` in random_faults.mix.0"),
    ];
    for (old, new, message) in table {
        let error = error(&good.replace(old, new));
        assert!(error.contains(message), "{error}");
    }
}
