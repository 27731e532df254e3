//! What is asked of many fields.

use crate::draw::Draw;
use crate::error::ScenarioError;
use crate::schema::Scenario;
use crate::source::Source;
use crate::units::{Frequency, Rate, Span};

pub(super) type Checked = Result<(), ScenarioError>;

/// A scenario under check.
pub(super) struct Check<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) source: &'a Source,
}

impl Check<'_> {
    pub(super) fn require(
        &self,
        holds: bool,
        path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Checked {
        if holds { Ok(()) } else { Err(self.source.error(path, message, hint)) }
    }

    pub(super) fn positive(&self, span: Span, path: &str) -> Checked {
        self.require(span > Span::ZERO, path, format!("`{path}` is zero"), "write a time such as \"10 s\"")
    }

    pub(super) fn at_least_one(&self, number: u32, path: &str) -> Checked {
        self.require(number > 0, path, format!("`{path}` is zero"), "write 1 or more")
    }

    pub(super) fn draw(&self, draw: &Draw, path: &str) -> Checked {
        match *draw {
            Draw::Fixed(_) | Draw::Uniform { .. } => Ok(()),
            Draw::Exponential(mean) => self.positive(mean, &format!("{path}.exponential")),
            Draw::Weibull { shape, scale } => {
                let at = format!("{path}.weibull.shape");
                let good = shape.is_finite() && shape > 0.0;
                self.require(
                    good,
                    &at,
                    format!("a shape of {shape}"),
                    "write a number above 0, such as 0.59",
                )?;
                self.positive(scale, &format!("{path}.weibull.scale"))
            }
        }
    }

    pub(super) fn flows(&self, rate: Rate, path: &str, hint: &str) -> Checked {
        self.require(!rate.is_zero(), path, format!("`{path}` is zero: nothing would ever get through"), hint)
    }

    pub(super) fn happens(&self, rate: Frequency, path: &str) -> Checked {
        self.require(!rate.is_zero(), path, "nobody would ever come", "write a rate such as \"0.2 /s\"")
    }
}
