//! What `--help` says.

mod support;

use support::{run, stdout, torrentlab};

/// The help of the program or of a command, 100 columns wide.
fn help(command: &str) -> String {
    let mut program = torrentlab();
    program.args(command.split_whitespace()).arg("--help").env("COLUMNS", "100");
    stdout(&run(&mut program, 0))
}

#[test]
fn every_help() {
    let commands = [
        "",
        "run",
        "compare",
        "validate",
        "fuzz",
        "shrink",
        "replay",
        "inspect",
        "pcap",
        "sequence",
        "trace",
        "scenarios",
        "report",
        "create",
        "show",
        "track",
        "seed",
        "get",
    ];
    for command in commands {
        let name = if command.is_empty() { "torrentlab" } else { command };
        insta::assert_snapshot!(name, help(command));
    }
}

#[test]
fn without_a_command_the_help_is_an_error() {
    let told = run(&mut torrentlab(), 2);
    assert_eq!(stdout(&told), "");
}
