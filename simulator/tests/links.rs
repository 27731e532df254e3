//! The figures of `des` in docs/reference/links.md are what the model gives.

#[expect(dead_code, reason = "the example's own command line")]
#[path = "../examples/flow/main.rs"]
mod flow;

use std::collections::BTreeMap;

// What the example's modules look for at the root of their crate.
use flow::*;

/// A row of a Markdown table, by the names of its columns.
type Row<'d> = BTreeMap<&'d str, &'d str>;

/// The rows of all tables that have a column `named`.
fn rows<'d>(document: &'d str, named: &str) -> Vec<Row<'d>> {
    let cells = |line: &'d str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let mut rows = Vec::new();
    let mut head: Option<Vec<&str>> = None;
    for line in document.lines() {
        match &head {
            _ if !line.starts_with('|') => head = None,
            None => head = Some(cells(line)),
            Some(_) if line.starts_with("|---") => (),
            Some(head) if head.contains(&named) => rows.push(head.iter().copied().zip(cells(line)).collect()),
            Some(_) => (),
        }
    }
    rows
}

fn number(row: &Row<'_>, column: &str) -> u64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} in {row:?} is a whole number"))
}

/// What all cases have in common; `up` and `down` in Mbit/s.
fn case(row: &Row<'_>, up: u64, down: u64) -> Case {
    let bytes_per_s = |mbit| mbit * 1_000_000 / 8;
    Case {
        senders: 1,
        receivers: 1,
        bytes: 0,
        up: bytes_per_s(up),
        down: bytes_per_s(down),
        rtt_ns: number(row, "RTT ms") * 1_000_000,
        queue: number(row, "queue KiB") as u32 * 1024,
        window: 4 << 20,
        until_ns: u64::MAX,
    }
}

#[test]
fn single_flows_take_what_the_reference_says() {
    let document = include_str!("../../docs/reference/links.md");
    let rows = rows(document, "bottleneck");
    assert!(rows.len() > 50, "both tables are found");
    for row in rows {
        let mbit = number(&row, "Mbit/s");
        let (up, down, window) = match row["bottleneck"] {
            "uplink" => (mbit, 4 * mbit, 4 << 20),
            "downlink" => (4 * mbit, mbit, 4 << 20),
            "window" => (mbit, mbit, 65_535),
            other => panic!("{other} in {row:?} is no bottleneck"),
        };
        let bytes = number(&row, "MiB") << 20;
        let outcome = des::run(&Case { bytes, window, ..case(&row, up, down) })[0];
        let seconds = outcome.seconds.expect("the flow ends");
        assert_eq!(format!("{seconds:.3}"), row["des s"], "{row:?}");
    }
}

#[test]
fn contending_flows_move_what_the_reference_says() {
    let document = include_str!("../../docs/reference/links.md");
    let rows = rows(document, "senders");
    assert_eq!(rows.len(), 4);
    let seconds = 30;
    for row in rows {
        let case = Case {
            senders: number(&row, "senders") as u32,
            receivers: number(&row, "receivers") as u32,
            bytes: 1 << 40,
            until_ns: seconds * 1_000_000_000,
            ..case(&row, number(&row, "up Mbit/s"), number(&row, "down Mbit/s"))
        };
        let moved: Vec<f64> = des::run(&case).iter().map(|flow| flow.bytes as f64).collect();
        let total: f64 = moved.iter().sum();
        let jain =
            total * total / (moved.len() as f64 * moved.iter().map(|bytes| bytes * bytes).sum::<f64>());
        assert_eq!(format!("{:.2}", total * 8.0 / seconds as f64 / 1e6), row["des Mbit/s"], "{row:?}");
        assert_eq!(format!("{jain:.3}"), row["des Jain"], "{row:?}");
    }
}
