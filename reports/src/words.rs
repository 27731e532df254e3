//! Numbers as people read them.

/// A count with commas: `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// About three significant digits, with commas: `0.0123`, `1.5`, `12.3`, `1,235`.
pub fn figure(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if size >= 99.95 => return signed(value, count(size.round() as u64)),
        _ if size >= 9.995 => 1,
        _ if size >= 0.9995 => 2,
        _ if size >= 0.099_95 => 3,
        _ => 4,
    };
    let text = format!("{size:.decimals$}");
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    if trimmed == "0" { trimmed.to_owned() } else { signed(value, trimmed.to_owned()) }
}

fn signed(value: f64, size: String) -> String {
    if value < 0.0 { format!("-{size}") } else { size }
}

/// A time: `0.35 s`, `48.2 s`, `12 min 05 s`, `3 h 20 min`, `145 days 2 h`.
pub fn seconds(value_s: f64) -> String {
    let whole = value_s.max(0.0).round() as u64;
    match whole {
        0..=119 => format!("{} s", figure(value_s)),
        120..=7_199 => format!("{} min {:02} s", whole / 60, whole % 60),
        7_200..=172_799 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} days {} h", count(whole / 86_400), whole % 86_400 / 3600),
    }
}

/// A share in per cent: `0.856` is `85.6 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", figure(share * 100.0))
}

/// A size in binary units: `1.5 MiB`.
pub fn bytes(value: f64) -> String {
    scaled(value, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// A rate in decimal units: `1.5 MB/s`.
pub fn rate(bytes_per_s: f64) -> String {
    scaled(bytes_per_s, 1000.0, &["B/s", "kB/s", "MB/s", "GB/s", "TB/s"])
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let mut rest = value;
    let mut unit = 0;
    while rest.abs() >= step && unit + 1 < units.len() {
        rest /= step;
        unit += 1;
    }
    format!("{} {}", figure(rest), units[unit])
}

/// `1 host`, `2 hosts`, `1,000 hosts`.
pub fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_about_three_digits() {
        let cases = [
            (0.0, "0"),
            (0.012_34, "0.0123"),
            (0.5, "0.5"),
            (0.999_9, "1"),
            (1.567, "1.57"),
            (9.999, "10"),
            (12.34, "12.3"),
            (99.99, "100"),
            (123.4, "123"),
            (1_234_567.0, "1,234,567"),
            (-2.5, "-2.5"),
            (-0.000_001, "0"),
        ];
        for (value, expected) in cases {
            assert_eq!(figure(value), expected, "{value}");
        }
    }

    #[test]
    fn units_grow_with_the_value() {
        assert_eq!(seconds(0.35), "0.35 s");
        assert_eq!(seconds(119.6), "2 min 00 s");
        assert_eq!(seconds(725.0), "12 min 05 s");
        assert_eq!(seconds(12_000.0), "3 h 20 min");
        assert_eq!(seconds(12_535_200.0), "145 days 2 h");
        assert_eq!(percent(0.856), "85.6 %");
        assert_eq!(bytes(1_572_864.0), "1.5 MiB");
        assert_eq!(rate(999.0), "999 B/s");
        assert_eq!(rate(2_500_000.0), "2.5 MB/s");
        assert_eq!(plural(1, "host"), "1 host");
        assert_eq!(plural(1000, "host"), "1,000 hosts");
    }
}
