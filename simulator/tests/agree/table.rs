//! The table in the documentation.

use std::fmt::Write as _;
use std::fs;

use crate::Case;
use crate::figures::{Bound, pairs};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/backends.md");
const BEGIN: &str = "<!-- Written by simulator/tests/agree. -->\n";
const END: &str = "<!-- End of what is written. -->\n";

/// The table in the documentation is that of `cases`, or becomes it where the environment says so.
pub fn check(cases: &[Case]) {
    let text = fs::read_to_string(FILE).unwrap_or_else(|error| panic!("cannot read {FILE}: {error}"));
    let (before, rest) = text.split_once(BEGIN).expect("a place for the table");
    let (_, after) = rest.split_once(END).expect("an end of the table");
    let written = format!("{before}{BEGIN}{}{END}{after}", table(cases));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(FILE, &written).unwrap_or_else(|error| panic!("cannot write {FILE}: {error}"));
        return;
    }
    assert!(
        text == written,
        "docs/reference/backends.md is stale: UPDATE=1 cargo test --release -p torrentlab-simulator --test agree -- --ignored"
    );
}

fn table(cases: &[Case]) -> String {
    let mut out = String::new();
    for case in cases {
        let (tick, late) = case.tick_ms;
        let name = &case.scenario.name;
        write!(out, "\n### `{name}`\n\nTick {tick} ms; timers are late by {late:.2} ms on the mean.\n\n")
            .unwrap();
        out += "| | des | turmoil | difference | bound |\n|---|---|---|---|---|\n";
        for pair in pairs(&case.des, &case.turmoil) {
            let (unit, bound) = match pair.bound {
                Bound::Percent(most) => ("%", most),
                Bound::Points(most) => (" points", most),
            };
            let (des, turmoil, difference) = (pair.des, pair.turmoil, pair.difference());
            writeln!(
                out,
                "| {} | {des:.3} | {turmoil:.3} | {difference:+.1}{unit} | {bound}{unit} |",
                pair.name
            )
            .unwrap();
        }
    }
    out + "\n"
}
