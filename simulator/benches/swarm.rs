//! The cost of a simulated block, for 200, 1,000 and 10,000 leechers:
//! `cargo bench -p torrentlab-simulator --bench swarm [-- LEECHERS...]`.
//!
//! Instructions of the whole program per block (run the bench once, so that it is built; cargo names the binary):
//! `valgrind --tool=callgrind --callgrind-out-file=callgrind.out target/release/deps/swarm-* 200`, then divide
//! "Collected" by the number of blocks.
#![allow(clippy::disallowed_types)]

use std::fs;
use std::time::Instant;

use torrentlab_scenarios::load;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{RunOptions, run};

fn main() {
    let sizes: Vec<u32> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![200, 1_000, 10_000] } else { sizes };
    println!("leechers     blocks     events  events/block  blocks/s  KiB/peer");
    for leechers in sizes {
        let scenario =
            load("bench", &[format!("swarm.leechers={leechers}")]).expect("it is in the catalogue").scenario;
        let start = Instant::now();
        let outcome =
            run(&scenario, 1, &Registry::default(), &RunOptions::default(), &mut |_| ()).expect("it runs");
        let (secs, summary) = (start.elapsed().as_secs_f64(), &outcome.record.summary);
        println!(
            "{leechers:>8} {:>10} {:>10} {:>13.2} {:>9.0} {:>9}",
            summary.blocks,
            summary.events,
            summary.events as f64 / summary.blocks as f64,
            summary.blocks as f64 / secs,
            peak_kib() / u64::from(leechers),
        );
    }
}

/// The most memory that the process held; 0 where the system does not say.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
