//! The cost of a simulated block, for 200, 1,000 and 10,000 leechers:
//! `cargo bench -p torrentlab-simulator --bench swarm [-- LEECHERS...]`.
//!
//! Each size runs in a process of its own, so that the most memory that one held is not another's.
//!
//! Instructions of the whole program per block (run the bench once, so that it is built; cargo names the binary):
//! `valgrind --tool=callgrind --callgrind-out-file=callgrind.out target/release/deps/swarm-* --alone 200`, then divide
//! "Collected" by the number of blocks.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::env;
use std::fs;
use std::process::Command;

use rustix::time::{ClockId, clock_gettime};
use torrentlab_scenarios::load;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{RunOptions, run};

/// The size that the others are compared with.
const REFERENCE: u32 = 1_000;

fn main() {
    let sizes: Vec<u32> = env::args().filter_map(|arg| arg.parse().ok()).collect();
    if env::args().any(|arg| arg == "--alone") {
        return sizes.into_iter().for_each(|leechers| println!("{}", measure(leechers)));
    }
    let sizes = if sizes.is_empty() { vec![200, 1_000, 10_000] } else { sizes };
    println!(
        "leechers     blocks     events  events/block  blocks/CPU-s  KiB/peer  CPU/block against {REFERENCE}"
    );
    let mut reference = None;
    for leechers in sizes {
        let output = Command::new(env::current_exe().expect("the bench has a file"))
            .args(["--alone", &leechers.to_string()])
            .output()
            .expect("it runs once more");
        let row = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        let rate: f64 = row.split_whitespace().nth(4).and_then(|rate| rate.parse().ok()).expect("a row");
        if leechers == REFERENCE {
            reference = Some(rate);
        }
        let ratio = reference.map_or("-".to_owned(), |reference| format!("{:.2}", reference / rate));
        println!("{row} {ratio:>10}");
    }
}

/// Runs a swarm and tells its cost: a row of the table.
fn measure(leechers: u32) -> String {
    let scenario =
        load("bench", &[format!("swarm.leechers={leechers}")]).expect("it is in the catalogue").scenario;
    let outcome =
        run(&scenario, 1, &Registry::default(), &RunOptions::default(), &mut |_| ()).expect("it runs");
    let summary = &outcome.record.summary;
    format!(
        "{leechers:>8} {:>10} {:>10} {:>13.2} {:>13.0} {:>9}",
        summary.blocks,
        summary.events,
        summary.events as f64 / summary.blocks as f64,
        summary.blocks as f64 / cpu_s(),
        peak_kib() / u64::from(leechers),
    )
}

/// CPU time that the process took, in seconds.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The most memory that the process held; 0 where the system does not say.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
