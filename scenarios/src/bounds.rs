//! The range that a figure has to lie in for a claim to hold.

use std::fmt;
use std::str::FromStr;

use crate::units::UnitError;

/// From one number to another, both included. Written `"1.00..1.15"`, `"0.9.."`, `"..3"`, or `"1"` for one value
/// alone.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    from: Option<f64>,
    to: Option<f64>,
}

impl Bounds {
    /// The least value, if there is one.
    pub const fn from(&self) -> Option<f64> {
        self.from
    }

    /// The greatest value, if there is one.
    pub const fn to(&self) -> Option<f64> {
        self.to
    }
}

impl FromStr for Bounds {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || {
            let hint = "write \"1.00..1.15\", \"0.9..\", \"..3\" or \"1\"";
            UnitError::new(format!("`{text}` is no range of numbers"), hint)
        };
        let number = |text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Some).ok_or_else(wrong),
        };
        let (from, to) = match text.split_once("..") {
            Some((from, to)) => (number(from)?, number(to)?),
            None => (number(text)?, number(text)?),
        };
        let empty = from.zip(to).is_some_and(|(from, to)| from > to);
        if empty || (from.is_none() && to.is_none()) {
            return Err(wrong());
        }
        Ok(Self { from, to })
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (Some(from), Some(to)) if from == to => write!(f, "{from}"),
            (from, to) => {
                let text = |end: Option<f64>| end.map_or_else(String::new, |end| end.to_string());
                write!(f, "{}..{}", text(from), text(to))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_written_alike() {
        for text in ["1..1.15", "0.9..", "..3", "1", "-2..-1", "0..0.5"] {
            assert_eq!(text.parse::<Bounds>().unwrap().to_string(), text);
        }
        assert_eq!("1.00 .. 1.0".parse::<Bounds>().unwrap().to_string(), "1");
        for text in ["", "..", "2..1", "a..b", "1...2", "NaN", "inf.."] {
            assert!(text.parse::<Bounds>().unwrap_err().hint.contains("write"), "{text:?}");
        }
    }
}
