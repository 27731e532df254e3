//! What is wrong with a scenario, and where.

use std::fmt;

use thiserror::Error;

/// What is wrong with a scenario: said in one sentence, shown at its place, with a hint.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub struct ScenarioError {
    /// Where, if it has a place.
    pub place: Option<Box<Place>>,
    /// What.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// A place in a file, or in an argument of the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The file, or `--set`.
    pub origin: String,
    /// Line, counted from 1. `None` for an argument of the command line.
    pub line: Option<usize>,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Characters that the caret underlines.
    pub width: usize,
    /// The line.
    pub text: String,
}

impl ScenarioError {
    /// An error without a place.
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: None, message: message.into(), hint: hint.into() }
    }

    /// The same error, at this place.
    pub(crate) fn at(self, place: Place) -> Self {
        Self { place: Some(Box::new(place)), ..self }
    }
}

impl Place {
    /// The place of `bytes` in a file's text. What goes over the line's end is left out.
    pub(crate) fn in_file(file: &str, text: &str, bytes: std::ops::Range<usize>) -> Self {
        let start = text.floor_char_boundary(bytes.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let end = text.floor_char_boundary(bytes.end.clamp(start, line_end));
        Self {
            origin: file.to_owned(),
            line: Some(text[..start].matches('\n').count() + 1),
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].chars().count().max(1),
            text: text[line_start..line_end].trim_end().to_owned(),
        }
    }

    /// The place of `bytes` in the argument of `--set`.
    pub(crate) fn in_set(argument: &str, bytes: std::ops::Range<usize>) -> Self {
        Self { line: None, ..Self::in_file("--set", argument, bytes) }
    }
}

impl fmt::Display for ScenarioError {
    /// ```text
    /// my.toml:12:6: `Mbt/s` is no unit of a rate
    ///    |
    /// 12 | up = "2 Mbt/s"
    ///    |      ^^^^^^^^^
    /// hint: write one of bit/s, kbit/s, Mbit/s
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(place) = &self.place else {
            return write!(f, "{}\nhint: {}", self.message, self.hint);
        };
        match place.line {
            Some(line) => writeln!(f, "{}:{line}:{}: {}", place.origin, place.column, self.message)?,
            None => writeln!(f, "{}: {}", place.origin, self.message)?,
        }
        let number = place.line.map_or(String::new(), |line| line.to_string());
        let margin = " ".repeat(number.len());
        // Tabs stay tabs, so that the caret stands right whatever their width.
        let lead: String =
            place.text.chars().take(place.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{margin} |\n{number} | {}", place.text)?;
        writeln!(f, "{margin} | {lead}{}", "^".repeat(place.width))?;
        write!(f, "hint: {}", self.hint)
    }
}
