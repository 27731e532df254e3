//! How far a command is, on stderr.

use std::io::{IsTerminal as _, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// How often the bar is drawn.
pub const TICK: Duration = Duration::from_millis(250);
/// How often a line is written where a bar cannot be drawn.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// A bar on a terminal, a line every five seconds elsewhere, nothing when it is to be quiet.
pub enum Progress {
    Bar(ProgressBar),
    Lines { what: &'static str, total: u64, last: Instant },
    Quiet,
}

impl Progress {
    /// Progress of `what` through `total` bytes.
    pub fn new(what: &'static str, total: u64, quiet: bool) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !stderr().is_terminal() {
            return Self::Lines { what, total, last: Instant::now() };
        }
        let style = ProgressStyle::with_template("{prefix:>9} {wide_bar} {bytes}/{total_bytes} {msg}")
            .expect("a valid template");
        Self::Bar(ProgressBar::new(total).with_style(style).with_prefix(what))
    }

    /// So many bytes are done.
    pub fn set(&mut self, done: u64, details: impl FnOnce() -> String) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(details());
            }
            Self::Lines { what, total, last } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                eprintln!("{what} {}/{} {}", HumanBytes(done), HumanBytes(*total), details());
            }
            Self::Lines { .. } | Self::Quiet => {}
        }
    }

    /// Says something beside it.
    pub fn note(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.suspend(|| eprintln!("{text}")),
            Self::Lines { .. } => eprintln!("{text}"),
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
