//! Numbers as text that is the same everywhere: at most six decimals, no exponent, no trailing zeros.

use serde::{Deserialize, Deserializer, Serializer, ser::Error as _};

/// For `#[serde(with = "decimal")]` on an `f64` of a CSV row.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if !value.is_finite() {
        return Err(S::Error::custom(format!("{value} is not a finite number")));
    }
    serializer.serialize_str(&text(*value))
}

/// Refuses what is not finite.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    finite(f64::deserialize(deserializer)?)
}

/// The same for an `Option<f64>`: `None` is an empty cell.
pub mod option {
    use super::*;

    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Option::<f64>::deserialize(deserializer)?.map(finite).transpose()
    }
}

/// `value` to six decimals.
pub fn rounded(value: f64) -> f64 {
    text(value).parse().unwrap_or(value)
}

fn text(value: f64) -> String {
    let fixed = format!("{value:.6}");
    match fixed.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

fn finite<E: serde::de::Error>(value: f64) -> Result<f64, E> {
    if value.is_finite() { Ok(value) } else { Err(E::custom(format!("{value} is not a finite number"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_short_and_without_exponents() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (-0.000_000_1, "0"),
            (1.5, "1.5"),
            (100.0, "100"),
            (1e-6, "0.000001"),
            (1e15, "1000000000000000"),
            (1.0 / 3.0, "0.333333"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(value), expected);
        }
    }
}
