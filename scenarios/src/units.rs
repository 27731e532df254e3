//! Quantities as a scenario writes them: a number, a unit, and nothing left to guess.
//!
//! 1 kB = 1,000 bytes, 1 KiB = 1,024 bytes, 1 kbit = 1,000 bits. Values are exact integers inside: bits a second,
//! bytes, nanoseconds, parts per million.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Why a quantity was refused. Its text ends in a line that begins with `hint: `.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{message}\nhint: {hint}")]
pub struct UnitError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl UnitError {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// Bits a second on a link or a limit. Written `"2 Mbit/s"`, `"400 kbit/s"`, `"250 kB/s"`, `"1 MiB/s"` or
/// `"unlimited"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rate(u64);

/// Bytes. Written `"256 KiB"`, `"102.4 MB"` or `"1 GiB"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Size(u64);

/// A span of time, or a point in time counted from the start of the run. Written `"40 ms"`, `"10 s"`, `"5 min"` or
/// `"1 h"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(u64);

/// A part of a whole, in parts per million. Written `"1%"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Percent(u32);

/// How often something happens. Written `"100 /s"`, `"6 /min"` or `"740 /day"`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Frequency {
    millionths: u64,
    /// Its position in [`FREQUENCIES`].
    unit: usize,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self(u64::MAX);

    /// So many bits a second.
    pub const fn from_bits_per_s(bits_per_s: u64) -> Self {
        Self(bits_per_s)
    }

    /// Bits a second; `None` when unlimited.
    pub fn bits_per_s(self) -> Option<u64> {
        (self != Self::UNLIMITED).then_some(self.0)
    }

    /// Whole bytes a second, rounded down but not to 0; `None` when unlimited.
    pub fn bytes_per_s(self) -> Option<u64> {
        self.bits_per_s().map(|bits| (bits / 8).max(bits.min(1)))
    }

    /// Whether nothing at all gets through.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Size {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many KiB.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib * 1024)
    }

    /// Bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// So many nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// So many seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// Nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Percent {
    /// So many parts per million.
    pub const fn from_ppm(ppm: u32) -> Self {
        Self(ppm)
    }

    /// Parts per million, at most 1,000,000.
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// As a fraction of 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl Frequency {
    /// Times a second.
    pub fn per_s(self) -> f64 {
        self.millionths as f64 / 1e6 / f64::from(SECONDS[self.unit])
    }

    /// Whether it never happens.
    pub fn is_zero(self) -> bool {
        self.millionths == 0
    }
}

/// A unit and how many base units it holds.
type Unit = (&'static str, u64);

const BIT_RATES: &[Unit] = RATES.split_at(4).0;
const RATES: &[Unit] = &[
    ("bit/s", 1),
    ("kbit/s", 1_000),
    ("Mbit/s", 1_000_000),
    ("Gbit/s", 1_000_000_000),
    ("B/s", 8),
    ("kB/s", 8_000),
    ("MB/s", 8_000_000),
    ("GB/s", 8_000_000_000),
    ("KiB/s", 8 << 10),
    ("MiB/s", 8 << 20),
    ("GiB/s", 8 << 30),
];
const SIZES: &[Unit] = &[
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
const SPANS: &[Unit] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];
const PERCENT: &[Unit] = &[("%", 10_000)];
const FREQUENCIES: &[Unit] =
    &[("/s", 1_000_000), ("/min", 1_000_000), ("/h", 1_000_000), ("/day", 1_000_000)];
/// The seconds in each unit of [`FREQUENCIES`], which counts millionths.
const SECONDS: [u32; 4] = [1, 60, 3_600, 86_400];

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "unlimited" {
            return Ok(Self::UNLIMITED);
        }
        let (bits_per_s, _) = RATE.parse(text)?;
        if bits_per_s == u64::MAX { Err(RATE.too_large(text)) } else { Ok(Self(bits_per_s)) }
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        SIZE.parse(text).map(|(bytes, _)| Self(bytes))
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        SPAN.parse(text).map(|(nanos, _)| Self(nanos))
    }
}

impl FromStr for Percent {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (ppm, _) = SHARE.parse(text)?;
        match u32::try_from(ppm) {
            Ok(ppm @ 0..=1_000_000) => Ok(Self(ppm)),
            _ => Err(UnitError::new(format!("`{text}` is more than all"), "write at most \"100%\"")),
        }
    }
}

impl FromStr for Frequency {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        OFTEN.parse(text).map(|(millionths, unit)| Self { millionths, unit })
    }
}

impl fmt::Display for Rate {
    /// In bits while that is short, as links are spoken of; else in the unit that makes the shortest text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHORT: usize = "12.5 Mbit/s".len();
        if *self == Self::UNLIMITED {
            return f.write_str("unlimited");
        }
        let bits = shortest(self.0, BIT_RATES);
        f.write_str(&if bits.len() <= SHORT { bits } else { shortest(self.0, RATES) })
    }
}

impl fmt::Display for Size {
    /// In the unit that makes the shortest text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shortest(self.0, SIZES))
    }
}

impl fmt::Display for Span {
    /// In the largest unit of which it is a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0 s");
        }
        let whole = SPANS.iter().rev().find(|(_, factor)| self.0.is_multiple_of(*factor));
        let (unit, factor) = whole.expect("every span is a whole number of nanoseconds");
        write!(f, "{} {unit}", self.0 / factor)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", decimal(u64::from(self.0), 10_000).expect("a power of ten divides exactly"))
    }
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = decimal(self.millionths, 1_000_000).expect("a power of ten divides exactly");
        write!(f, "{number} {}", FREQUENCIES[self.unit].0)
    }
}

/// More digits are refused unread: so many fit in 128 bits.
const MAX_DIGITS: usize = 38;

/// A kind of quantity, as its parser knows it.
struct Kind {
    /// With its article, for errors.
    name: &'static str,
    /// The base unit in the plural.
    base: &'static str,
    example: &'static str,
    units: &'static [Unit],
}

const RATE: Kind = Kind { name: "a rate", base: "bits a second", example: "2 Mbit/s", units: RATES };
const SIZE: Kind = Kind { name: "a size", base: "bytes", example: "256 KiB", units: SIZES };
const SPAN: Kind = Kind { name: "a time", base: "nanoseconds", example: "10 s", units: SPANS };
const SHARE: Kind = Kind { name: "a percentage", base: "parts per million", example: "1%", units: PERCENT };
const OFTEN: Kind = Kind { name: "a frequency", base: "millionths", example: "100 /s", units: FREQUENCIES };

impl Kind {
    /// The quantity in base units, and which unit it was written in.
    fn parse(&self, text: &str) -> Result<(u64, usize), UnitError> {
        let trimmed = text.trim();
        if trimmed.starts_with('-') {
            return Err(UnitError::new(format!("`{text}` is negative"), self.write_like()));
        }
        let end =
            trimmed.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '_'))).unwrap_or(trimmed.len());
        let (number, unit) = (&trimmed[..end], trimmed[end..].trim_start());
        if number.len() > MAX_DIGITS {
            return Err(self.too_large(text));
        }
        let (digits, decimals) = read_decimal(number)
            .ok_or_else(|| UnitError::new(format!("`{text}` is not {}", self.name), self.write_like()))?;
        let position =
            self.units.iter().position(|(name, _)| *name == unit).ok_or_else(|| self.no_unit(text, unit))?;
        let scaled =
            digits.checked_mul(u128::from(self.units[position].1)).ok_or_else(|| self.too_large(text))?;
        let divisor = 10u128.pow(decimals);
        if !scaled.is_multiple_of(divisor) {
            let message = format!("`{text}` is not a whole number of {}", self.base);
            return Err(UnitError::new(message, "write fewer decimals"));
        }
        let value = u64::try_from(scaled / divisor).map_err(|_| self.too_large(text))?;
        Ok((value, position))
    }

    fn write_like(&self) -> String {
        format!("write {} such as \"{}\"", self.name, self.example)
    }

    fn too_large(&self, text: &str) -> UnitError {
        UnitError::new(format!("`{text}` is too large"), self.write_like())
    }

    fn no_unit(&self, text: &str, unit: &str) -> UnitError {
        if unit.is_empty() {
            return UnitError::new(format!("`{text}` has no unit"), self.write_like());
        }
        let known: Vec<&str> = self.units.iter().map(|(name, _)| *name).collect();
        let hint = format!("write one of {}, such as \"{}\"", known.join(", "), self.example);
        UnitError::new(format!("`{unit}` is no unit of {}", self.name), hint)
    }
}

/// The digits of a decimal number without its point, and how many stand after the point.
fn read_decimal(number: &str) -> Option<(u128, u32)> {
    let clean = number.replace('_', "");
    let (whole, fraction) = clean.split_once('.').unwrap_or((&clean, ""));
    if whole.is_empty() || (clean.contains('.') && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let decimals = u32::try_from(fraction.len()).ok().filter(|&decimals| decimals <= 20)?;
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, decimals))
}

/// `value` in the unit that makes the shortest text; the first of equals.
fn shortest(value: u64, units: &[Unit]) -> String {
    let written = |(unit, factor): &Unit| decimal(value, *factor).map(|number| format!("{number} {unit}"));
    let texts = units.iter().filter_map(written);
    texts.min_by_key(String::len).expect("every value is a whole number of base units")
}

/// `value / factor` in decimals, if six of them say it exactly.
fn decimal(value: u64, factor: u64) -> Option<String> {
    let (whole, rest) = (value / factor, value % factor);
    if rest == 0 {
        return Some(whole.to_string());
    }
    let millionths = u128::from(rest) * 1_000_000;
    if !millionths.is_multiple_of(u128::from(factor)) {
        return None;
    }
    let fraction = format!("{:06}", millionths / u128::from(factor));
    Some(format!("{whole}.{}", fraction.trim_end_matches('0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check<T: FromStr<Err = UnitError> + fmt::Display>(cases: &[(&str, &str)]) {
        for (written, canonical) in cases {
            let value: T = written.parse().unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(value.to_string(), *canonical, "{written}");
        }
    }

    #[test]
    fn quantities_are_exact() {
        assert_eq!("2 Mbit/s".parse::<Rate>().unwrap().bits_per_s(), Some(2_000_000));
        assert_eq!("400 kbit/s".parse::<Rate>().unwrap().bytes_per_s(), Some(50_000));
        assert_eq!("250 kB/s".parse::<Rate>().unwrap().bytes_per_s(), Some(250_000));
        assert_eq!("1 MiB/s".parse::<Rate>().unwrap().bytes_per_s(), Some(1 << 20));
        assert_eq!("1 bit/s".parse::<Rate>().unwrap().bytes_per_s(), Some(1));
        assert_eq!("0 bit/s".parse::<Rate>().unwrap().bytes_per_s(), Some(0));
        assert_eq!("unlimited".parse::<Rate>().unwrap().bytes_per_s(), None);
        assert_eq!("102.4 MB".parse::<Size>().unwrap().bytes(), 102_400_000);
        assert_eq!("1 GiB".parse::<Size>().unwrap().bytes(), 1 << 30);
        assert_eq!("41.9 min".parse::<Span>().unwrap().as_nanos(), 2_514_000_000_000);
        assert_eq!("33.3%".parse::<Percent>().unwrap().ppm(), 333_000);
        assert_eq!("6 /min".parse::<Frequency>().unwrap().per_s(), 0.1);
    }

    #[test]
    fn quantities_are_written_in_the_unit_that_reads_best() {
        check::<Rate>(&[
            ("2000kbit/s", "2 Mbit/s"),
            ("48 kB/s", "384 kbit/s"),
            ("1 MiB/s", "1 MiB/s"),
            ("0.5 MB/s", "4 Mbit/s"),
            ("unlimited", "unlimited"),
        ]);
        check::<Size>(&[
            ("262144 B", "256 KiB"),
            ("256000 B", "256 kB"),
            ("102_400 kB", "102.4 MB"),
            ("0 B", "0 B"),
        ]);
        check::<Span>(&[
            ("90 s", "90 s"),
            ("3600s", "1 h"),
            ("0.0405 s", "40500 us"),
            ("0 h", "0 s"),
            ("24 h", "1 d"),
        ]);
        check::<Percent>(&[("1%", "1%"), ("33.30 %", "33.3%"), ("100%", "100%")]);
        check::<Frequency>(&[("0.10 /s", "0.1 /s"), ("740/day", "740 /day")]);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "", " ", "s", "1", "1 S", "1 sec", "1.s", ".5 s", "1.2.3 s", "1e3 s", "+1 s", "-1 s", "0.1 ns",
            "1 s s",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
        for text in
            ["18446744073709551616 B", "16777216 TiB", "99999999999999999999999999999999999999999999 B"]
        {
            assert!(
                text.parse::<Size>().unwrap_err().message.contains("too large") || text.len() > 40,
                "{text}"
            );
        }
        assert!("100.0001%".parse::<Percent>().is_err());
        assert!("18446744073709551615 bit/s".parse::<Rate>().is_err(), "this is how unlimited is kept");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value: u64, ppm in 0u32..=1_000_000, unit in 0usize..FREQUENCIES.len()) {
            prop_assert_eq!(Rate(value).to_string().parse(), Ok(Rate(value)));
            prop_assert_eq!(Size(value).to_string().parse(), Ok(Size(value)));
            prop_assert_eq!(Span(value).to_string().parse(), Ok(Span(value)));
            prop_assert_eq!(Percent(ppm).to_string().parse(), Ok(Percent(ppm)));
            let often = Frequency { millionths: value, unit };
            prop_assert_eq!(often.to_string().parse(), Ok(often));
        }

        #[test]
        fn round_numbers_are_read_back(number in 0u64..5_000, unit in 0usize..RATES.len()) {
            let text = format!("{number} {}", RATES[unit].0);
            let rate: Rate = text.parse().unwrap();
            prop_assert_eq!(rate.bits_per_s(), Some(number * RATES[unit].1));
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "[0-9._ -]{0,30}\\PC{0,6}") {
            let _ = (text.parse::<Rate>(), text.parse::<Size>(), text.parse::<Span>());
            let _ = (text.parse::<Percent>(), text.parse::<Frequency>());
        }
    }
}
