//! Why a record could not be written or read, and what to do about it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a run folder could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The folder lacks a file.
    #[error("{}: there is no such file\nhint: a run folder holds {files}; name one, or run the scenario again", path.display())]
    Missing {
        /// The file that should be there.
        path: PathBuf,
        /// What should be there.
        files: String,
    },
    /// The system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done: `write`, `read`...
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A table is malformed.
    #[error("{}:{line}: {at}{why}\nhint: mend the cell, or run the scenario again: its seed gives the same file", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; the header is line 1.
        line: u64,
        /// The column as `column "name": `, or nothing where the row as a whole is at fault.
        at: String,
        /// What is wrong.
        why: String,
    },
    /// A JSON file is malformed.
    #[error("{}:{line}:{column}: {why}\nhint: mend it, or run the scenario again: its seed gives the same file", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// The folder was written by a program that this one does not understand.
    #[error("{}: the folder's format is {found}, and this program reads {expected}\nhint: use the version of torrentlab that wrote it, or run the scenario again", path.display())]
    Format {
        /// The file that says so.
        path: PathBuf,
        /// The format of the folder.
        found: u64,
        /// The format that is read.
        expected: u32,
    },
    /// A figure that is to be written is infinite or not a number.
    #[error("cannot write {}: {why}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl RecordError {
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { doing, path: path.into(), source }
    }
}
