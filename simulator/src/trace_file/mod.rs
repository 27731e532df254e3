//! Traces in files: every event of a run, written as it goes, to be compared, read and searched later.
//!
//! | file | its part |
//! |---|---|
//! | `entry` | an event, as it is written |
//! | `write` | from a run to a file |
//! | `read` | from a file to events, whatever is in it |
//! | `compare` | the first event in which two traces differ |
//! | `words` | an event in words |
//!
//! docs/reference/traces.md has the format: one stream of zstd, in it blocks of entries in postcard's encoding.

mod compare;
mod entry;
mod read;
mod words;
mod write;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use compare::{Comparison, Parting, compare_files, comparing};
pub use entry::{Conn, Entry, Event, Said, Span, Whereabouts};
pub use read::{TraceError, TraceReader};
pub use words::Words;
pub use write::{Recording, Stats};

/// The version of the format. It changes whenever an older program could misread a newer file.
pub const FORMAT: u32 = 1;
/// What every file begins with, before compression.
const MAGIC: [u8; 8] = *b"tltrace\n";
/// Bytes of entries after which a block ends.
const BLOCK: usize = 64 * 1024;
/// Bytes that a block, or the head, has at most: a file that says more is refused.
const MOST: usize = 64 * 1024 * 1024;

/// What a trace is of: enough to repeat the run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// [`FORMAT`].
    pub format: u32,
    /// The program's version.
    pub version: String,
    /// `des` or `turmoil`.
    pub backend: String,
    /// The run's seed.
    pub seed: u64,
    /// The resolved scenario, as TOML.
    pub scenario: String,
}

/// What a trace ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tail {
    /// Entries before it.
    pub entries: u64,
    /// Whether the run came to its end; otherwise it failed, or was stopped.
    pub ended: bool,
}
