//! Every bug of the museum is caught, by the checker that its scenario names, and its healthy twin passes.

use torrentlab_scenarios::schema::{Bug, Until};
use torrentlab_scenarios::{Scenario, bugs, load};
use torrentlab_simulator::failure::Failure;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Outcome, RunError, RunOptions, run};

fn checked(scenario: &Scenario, seed: u32) -> Result<Outcome, Box<Failure>> {
    let options = RunOptions { check: true, ..RunOptions::default() };
    match run(scenario, u64::from(seed), &Registry::default(), &options, &mut |_| ()) {
        Ok(outcome) => Ok(outcome),
        Err(RunError::Failed { failure, .. }) => Err(failure),
        Err(error) => panic!("{}: {error}", scenario.name),
    }
}

fn exhibits() -> impl Iterator<Item = (&'static str, Scenario, Bug)> {
    bugs().iter().map(|entry| {
        let scenario = load(entry.name, &[]).unwrap_or_else(|error| panic!("{error}")).scenario;
        let bug = scenario.bug.clone().unwrap_or_else(|| panic!("{} tells no bug", entry.name));
        (entry.name, scenario, bug)
    })
}

#[test]
fn every_bug_is_caught_by_its_checker() {
    let mut missed = Vec::new();
    for (name, scenario, bug) in exhibits() {
        for seed in 1..=2 {
            let class = checked(&scenario, seed).map_or_else(|failure| failure.class, |_| "none".to_owned());
            if class != bug.caught_by {
                missed.push(format!("{name}, seed {seed}: {class} in place of {}", bug.caught_by));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn the_healthy_twin_of_every_bug_passes_negative() {
    let mut failed = Vec::new();
    for (name, _, bug) in exhibits() {
        if bug.healthy.is_empty() {
            continue;
        }
        let scenario = load(name, &bug.healthy).unwrap_or_else(|error| panic!("{error}")).scenario;
        for seed in 1..=2 {
            match checked(&scenario, seed) {
                Err(failure) => failed.push(format!("{name}, seed {seed}: {failure}")),
                Ok(outcome) => {
                    // The peers of a bug may leave or stay without the content; those whom it is about have it.
                    let peers = outcome.record.peers.iter().filter(|peer| peer.class == "leecher");
                    let unfinished = peers.filter(|peer| peer.completed_s.is_none()).count();
                    if unfinished > 0
                        || scenario.until == Until::AllDone && outcome.record.info.ended_by != "all_done"
                    {
                        failed.push(format!(
                            "{name}, seed {seed}: {unfinished} do not finish, {}",
                            outcome.record.info.ended_by
                        ));
                    }
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/museum.md");
const INTRO: &str = "\
<!-- Written from scenarios/bugs/ by simulator/tests/museum.rs: UPDATE=1 cargo test -p torrentlab-simulator --test museum -->
# The bug museum

A swarm can be broken although no client crashes and no byte is wrong: a download stands still at 99%, a newcomer is never
served, a tracker is asked to death. These are kinds of bug that people really met, each planted in a client that does not have it,
so that you can see what it looks like, how it is found, and what a healthy client does in its place.

`torrentlab scenarios` lists them. Each has a scenario that brings it to light, and a checker that catches it:

```sh
torrentlab run bugs/interest-stuck --check --quiet
```

## How to read a failure

```text
check:interest-stuck at 35.000000 s: leecher-0 is interested in poor-0, which has nothing that it lacks
  hosts: leecher-0, poor-0
  what last happened there:
    18.261453 s leecher-0 says to seed-0: have all
    ...
```

The first line has the checker ([all of them](checkers.md)), the moment at which it was sure, and what is wrong. Then come the hosts and
pieces that it is about, and what last happened to these hosts. What to do next:

| you want | command |
|---|---|
| the same failure in as small a swarm as can be | `torrentlab shrink bugs/interest-stuck` |
| everything that happened, event by event | `torrentlab run bugs/interest-stuck --check --trace`, then `torrentlab trace runs/interest-stuck/1` |
| a moment before it: who chokes whom, what is in flight, why | `torrentlab run bugs/interest-stuck`, then `torrentlab inspect runs/interest-stuck/1 --at 20s --host leecher-0` |
| what two hosts said to each other, as a picture | `torrentlab sequence runs/interest-stuck/1 --hosts leecher-0,poor-0 --to 40s -o talk.svg` |
| the same in Wireshark | `torrentlab pcap runs/interest-stuck/1 --hosts leecher-0,poor-0 -o talk.pcapng` |
| bugs that nobody planted | `torrentlab fuzz --for 10m` ([fuzzing](fuzzing.md)) |

None of the bugs is a switch in the engine. They are decorators around it that drop, delay or change what goes in and out, strategies
that are wrong, or settings that no scenario can make (`simulator/src/museum/`); a class of hosts runs one with `node = \"bug-...\"`. With
`node = \"engine\"` in its place everybody finishes and no checker has anything to say: tests hold the museum to both. That a figure is counted
wrong, such as the distributed copies, is planted in the test of the checker `copies`.
";

/// Where a thread is: `transmission#7834`.
fn link(thread: &str) -> String {
    let (project, number) = thread.split_once('#').expect("a project and a number");
    let repository = match project {
        "transmission" => "transmission/transmission",
        "libtorrent" => "arvidn/libtorrent",
        "qBittorrent" => "qbittorrent/qBittorrent",
        "webtorrent" => "webtorrent/webtorrent",
        "BiglyBT" => "BiglySoftware/BiglyBT",
        other => other,
    };
    format!("[{thread}](https://github.com/{repository}/issues/{number})")
}

fn page() -> String {
    use std::fmt::Write as _;
    let mut page = INTRO.to_owned();
    for (name, scenario, bug) in exhibits() {
        let short = name.trim_start_matches("bugs/");
        let _ = write!(page, "\n## {short}\n\n**{}** {}\n\n", scenario.question, scenario.answer);
        let _ = write!(page, "*What people see.* {}\n\n*Why.* {}\n\n", bug.symptom.trim(), bug.cause.trim());
        let _ = write!(page, "*How it is planted.* {}\n\n", bug.planted);
        match checked(&scenario, scenario.seed) {
            Err(failure) => {
                let text = failure.to_string();
                let first: Vec<&str> =
                    text.lines().take_while(|line| !line.contains("what last happened")).collect();
                let replay = format!("torrentlab run {name} --check --seed {}", scenario.seed);
                let sets: String = bug.healthy.iter().map(|set| format!(" --set {set}")).collect();
                let _ = write!(page, "*How it is found.*\n\n```text\n{}\n```\n\n", first.join("\n"));
                let _ = writeln!(
                    page,
                    "Replay it: `{replay}`. The healthy twin: `torrentlab run {name} --check{sets}`."
                );
            }
            Ok(outcome) => {
                let done = outcome.record.summary.completed;
                let _ = writeln!(
                    page,
                    "*What the checkers say.* Nothing: each client keeps every rule. After {:.0} s {done} peers have finished, and those who \
                     wait lack one piece. To see: `torrentlab run {name} --check`; that it goes away when peers stay: `--set \
                     hosts.club.stay=forever --set hosts.newcomer.stay=forever`.",
                    outcome.record.info.simulated_s
                );
            }
        }
        if !bug.threads.is_empty() {
            let links: Vec<String> = bug.threads.iter().map(|thread| link(thread)).collect();
            let _ = writeln!(page, "\n*Where people met it, or its like.* {}.", links.join(", "));
        }
    }
    page
}

#[test]
fn the_page_of_the_museum_is_up_to_date() {
    let written = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PAGE, &written).unwrap();
    }
    let stored = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        stored == written,
        "docs/reference/museum.md is stale: UPDATE=1 cargo test -p torrentlab-simulator --test museum"
    );
}

#[test]
fn every_file_of_the_museum_is_embedded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/bugs");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| format!("bugs/{}", file.unwrap().path().file_stem().unwrap().to_str().unwrap()))
        .collect();
    let mut embedded: Vec<String> = bugs().iter().map(|entry| entry.name.to_owned()).collect();
    names.sort();
    embedded.sort();
    assert_eq!(names, embedded);
}
