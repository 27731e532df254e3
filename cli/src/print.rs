//! What the user reads: data on stdout, everything else on stderr.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _, stderr, stdout};

use anyhow::Context as _;

use crate::Failure;

/// Writes data to stdout. Whoever reads there may have seen enough, as `head` has: that is no failure.
pub(crate) fn data(text: impl Display) -> Result<(), Failure> {
    let mut stdout = stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let error = Err::<(), _>(error).context("cannot write the result").unwrap_err();
            Err(Failure::failed(error, "free some space, or send the output elsewhere"))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stderr. Where nobody reads it, nobody can be told either.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(stderr().lock(), "{text}");
}
