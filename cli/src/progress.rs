//! How far a command is, on stderr.

use std::io::{IsTerminal as _, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

use crate::print::note;

/// How often the bar is drawn.
pub const TICK: Duration = Duration::from_millis(250);
/// How often a line is written where a bar cannot be drawn.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What is counted.
#[derive(Clone, Copy)]
pub enum Unit {
    Bytes,
    Hosts,
    Runs,
    Seconds,
    Candidates,
}

impl Unit {
    fn template(self) -> &'static str {
        match self {
            Self::Bytes => "{prefix:>9} {wide_bar} {bytes}/{total_bytes} {msg}",
            Self::Hosts => "{prefix:>9} {wide_bar} {pos}/{len} finished {msg}",
            Self::Runs => "{prefix:>9} {wide_bar} {pos}/{len} runs, {eta} left ({msg})",
            Self::Seconds => "{prefix:>9} {wide_bar} {pos}/{len} s ({msg})",
            Self::Candidates => "{prefix:>9} {spinner} {pos} candidates, {msg}",
        }
    }

    fn show(self, done: u64, total: u64) -> String {
        match self {
            Self::Bytes => format!("{}/{}", HumanBytes(done), HumanBytes(total)),
            Self::Hosts => format!("{done}/{total} finished"),
            Self::Runs => format!("{done}/{total} runs"),
            Self::Seconds => format!("{done}/{total} s"),
            Self::Candidates => format!("{done} candidates"),
        }
    }
}

/// A bar on a terminal, a line every five seconds elsewhere, nothing when it is to be quiet.
pub enum Progress {
    Bar(ProgressBar),
    Lines { what: &'static str, unit: Unit, total: u64, begun: Instant, last: Instant },
    Quiet,
}

impl Progress {
    /// Progress of `what` through `total` bytes.
    pub fn new(what: &'static str, total: u64, quiet: bool) -> Self {
        Self::counting(what, Unit::Bytes, total, quiet)
    }

    /// Progress of `what` through `total` of something.
    pub fn counting(what: &'static str, unit: Unit, total: u64, quiet: bool) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !stderr().is_terminal() {
            let now = Instant::now();
            return Self::Lines { what, unit, total, begun: now, last: now };
        }
        let style = ProgressStyle::with_template(unit.template()).expect("a valid template");
        Self::Bar(ProgressBar::new(total).with_style(style).with_prefix(what))
    }

    /// There is so much to do, as it turns out.
    pub fn set_total(&mut self, new: u64) {
        match self {
            Self::Bar(bar) => bar.set_length(new),
            Self::Lines { total, .. } => *total = new,
            Self::Quiet => {}
        }
    }

    /// So much is done.
    pub fn set(&mut self, done: u64, details: impl FnOnce() -> String) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(details());
            }
            Self::Lines { what, unit, total, begun, last } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                let left = if matches!(unit, Unit::Runs) {
                    left(begun.elapsed(), done, *total)
                } else {
                    String::new()
                };
                note(format_args!("{what} {}{left} {}", unit.show(done, *total), details()));
            }
            Self::Lines { .. } | Self::Quiet => {}
        }
    }

    /// Says something beside it.
    pub fn note(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.suspend(|| note(text)),
            Self::Lines { .. } => note(text),
            Self::Quiet => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }

    /// Shows how `work`, which runs beside it, counts up `done`.
    pub fn follow<T: Send>(mut self, done: &AtomicU64, work: impl FnOnce() -> T + Send) -> T {
        let result = std::thread::scope(|scope| {
            let (ended, end) = std::sync::mpsc::channel::<()>();
            let worker = scope.spawn(move || {
                let result = work();
                drop(ended);
                result
            });
            while end.recv_timeout(TICK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                self.set(done.load(Ordering::Relaxed), String::new);
            }
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        self.finish();
        result
    }
}

/// How long the rest will take, if it goes on as it went.
fn left(elapsed: Duration, done: u64, total: u64) -> String {
    if done == 0 {
        return String::new();
    }
    let rest = elapsed.as_secs_f64() * total.saturating_sub(done) as f64 / done as f64;
    format!(", {} left:", HumanDuration(Duration::from_secs_f64(rest)))
}
