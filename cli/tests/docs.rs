//! Every `torrentlab` command in README.md and the guide works as printed.
//!
//! A command is a line of a fenced block tagged `sh` that begins with `torrentlab ` or runs it through cargo. All must
//! parse. Those that simulate are run, each in a folder of its own; in a block tagged `sh long` they are cut short.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use support::{stderr, torrentlab};

/// How the documents run the program from the source.
const THROUGH_CARGO: &str = "cargo run --release -- ";

struct Command {
    /// File and line, for whom it fails.
    place: String,
    words: Vec<String>,
    long: bool,
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let guide = fs::read_dir(root.join("docs/guide")).expect("the guide").map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = guide.filter(|path| path.extension().is_some_and(|ext| ext == "md")).collect();
    pages.extend([root.join("README.md")].into_iter().filter(|path| path.exists()));
    pages.sort();
    pages
}

fn commands() -> Vec<Command> {
    let mut commands = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let mut fence = None;
        for (nth, line) in text.lines().enumerate() {
            if let Some(tag) = line.strip_prefix("```") {
                fence = if fence.is_some() { None } else { Some(tag) };
            } else if fence.is_some_and(|tag| tag.split(' ').next() == Some("sh"))
                && let Some(rest) =
                    line.strip_prefix(THROUGH_CARGO).or_else(|| line.strip_prefix("torrentlab "))
            {
                commands.push(Command {
                    place: format!("{}:{}", page.display(), nth + 1),
                    words: words(rest),
                    long: fence.is_some_and(|tag| tag.ends_with(" long")),
                });
            }
        }
    }
    commands
}

/// The words of a command as a shell would see them: quotes group, ` # ` begins a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('#', None) if words.last().is_some_and(String::is_empty) => break,
            (' ', None) => words.push(String::new()),
            _ => words.last_mut().expect("one at least").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn words_are_those_of_a_shell() {
    let line = r#"run x --set 'a.up="1 Mbit/s"' --set b="2 s"   # a comment"#;
    assert_eq!(words(line), ["run", "x", "--set", r#"a.up="1 Mbit/s""#, "--set", "b=2 s"]);
}

#[test]
fn every_command_parses() {
    let commands = commands();
    assert!(commands.len() > 10, "the guide has commands");
    for command in commands {
        // clap prints the help of a command instead of running it, if it could parse what stands before.
        let output = torrentlab().args(&command.words).arg("--help").output().unwrap();
        assert!(output.status.success(), "{}: {}", command.place, stderr(&output));
    }
}

#[test]
fn every_run_leaves_its_page() {
    let simulates = |command: &Command| ["run", "compare"].contains(&command.words[0].as_str());
    let runs: Vec<_> = commands().into_iter().filter(simulates).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(command) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    simulate(command);
                }
            });
        }
    });
}

fn simulate(command: &Command) {
    let out = tempfile::tempdir().unwrap();
    let mut program = torrentlab();
    program.args(&command.words).arg("--quiet").arg("--out").arg(out.path());
    if command.long {
        program.args(["--set", r#"time_cap="1 ms""#]);
    }
    let output = program.output().unwrap();
    // A claim may be refuted on purpose, and a run may be cut short: its page is there all the same.
    let folder =
        if command.words[0] == "compare" { &format!("{}-compare", command.words[1]) } else { "latest" };
    let page = match command.words.iter().any(|word| word == "--check") {
        // What is checked here is a bug of the museum.
        true => out.path().join(command.words[1].trim_start_matches("bugs/")).join("1/failure.txt"),
        false => out.path().join(folder).join("report.html"),
    };
    assert!(page.exists(), "{}: {:?}: {}", command.place, command.words, stderr(&output));
}

#[test]
fn every_picture_is_there() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !link.contains("://") {
                let target = page.parent().expect("a folder").join(file);
                assert!(target.exists(), "{} points at {link}", page.display());
            }
        }
    }
}
