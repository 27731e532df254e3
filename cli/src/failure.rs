//! How a command ends.

use std::fmt::Display;
use std::process::ExitCode;

use crate::print::note;

/// The exit codes, the same for every command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done; what was asked holds.
    Done = 0,
    /// Failed, or refuted.
    Failed = 1,
    /// The command line or an input file is wrong.
    Usage = 2,
    /// Nothing can be said.
    Inconclusive = 3,
    /// Stopped by the user.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    /// Something went wrong that the input is not to blame for.
    pub fn failed(error: impl Into<anyhow::Error>, hint: impl Display) -> Self {
        Self { exit: Exit::Failed, error: error.into(), hint: Some(hint.to_string()) }
    }

    /// The command line or an input file is wrong.
    pub fn input(error: impl Into<anyhow::Error>, hint: impl Display) -> Self {
        Self { exit: Exit::Usage, ..Self::failed(error, hint) }
    }

    /// An input file is wrong, and the error itself says what to do.
    pub fn told(error: &impl Display) -> Self {
        Self { exit: Exit::Usage, error: anyhow::anyhow!("{error}"), hint: None }
    }

    /// What to do where results cannot be written.
    pub(crate) const ELSEWHERE: &str = "choose another folder with --out";

    /// Results cannot be written.
    pub(crate) fn unwritable(error: &impl Display) -> Self {
        Self::failed(anyhow::anyhow!("{error}"), Self::ELSEWHERE)
    }

    /// The same, with where it happened before it.
    pub(crate) fn within(self, place: impl Display) -> Self {
        Self { error: anyhow::anyhow!("{place}: {:#}", self.error), ..self }
    }

    /// Tells the user.
    pub(crate) fn report(&self) -> Exit {
        note(format_args!("error: {:#}", self.error));
        if let Some(hint) = &self.hint {
            note(format_args!("hint: {hint}"));
        }
        self.exit
    }
}
