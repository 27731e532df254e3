//! Lines through what changes over time.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::record::decimal::rounded;
use crate::record::{Fit, FittedLine, Range, TimelineRow};
use crate::stats::least_squares;

/// The columns of `timeline.csv`.
pub fn timeline_columns() -> Vec<String> {
    columns(&TimelineRow::default()).map_or_else(Vec::new, |row| row.keys().cloned().collect())
}

/// The lines that `fits` ask for, as far as the timeline has two samples for each.
pub(crate) fn fitted(fits: &BTreeMap<String, Fit>, timeline: &[TimelineRow]) -> BTreeMap<String, FittedLine> {
    if fits.is_empty() {
        return BTreeMap::new();
    }
    let rows: Vec<_> = timeline.iter().filter_map(columns).collect();
    fits.iter().map(|(name, fit)| (name.clone(), line(fit, &rows))).collect()
}

type Columns = serde_json::Map<String, Value>;

fn columns(row: &TimelineRow) -> Option<Columns> {
    match serde_json::to_value(row) {
        Ok(Value::Object(columns)) => Some(columns),
        _ => None,
    }
}

/// A decimal is written as text.
fn number(row: &Columns, column: &str) -> Option<f64> {
    match row.get(column)? {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    }
}

fn line(fit: &Fit, rows: &[Columns]) -> FittedLine {
    let within = |row: &&Columns| {
        let lies =
            |(column, range): (&String, &Range)| number(row, column).is_some_and(|v| range.holds(v, v));
        fit.during.iter().all(lies)
    };
    let stretch = rows.iter().skip_while(|row| !within(row)).take_while(within);
    let points: Vec<(f64, f64)> = stretch
        .filter_map(|row| {
            let value = number(row, &fit.column)?;
            let y = if fit.exponential { (value > 0.0).then(|| libm::log(value))? } else { value };
            Some((number(row, "t_s")?, y))
        })
        .collect();
    let Some(found) = least_squares(&points) else { return FittedLine::default() };
    let doubling_s = (fit.exponential && found.slope > 0.0).then(|| std::f64::consts::LN_2 / found.slope);
    FittedLine {
        samples: points.len() as u64,
        slope_per_s: Some(rounded(found.slope)),
        doubling_s: doubling_s.map(rounded),
        r2: found.r2.map(rounded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(values: &[u32]) -> Vec<TimelineRow> {
        let row = |(second, &value)| TimelineRow {
            t_s: f64::from(second),
            leechers: value,
            ..TimelineRow::default()
        };
        (0..).zip(values).map(row).collect()
    }

    fn fit(exponential: bool, from: f64, to: f64) -> Fit {
        let during = [("leechers".to_owned(), Range { from: Some(from), to: Some(to) })].into();
        Fit { column: "leechers".to_owned(), exponential, during }
    }

    fn found(fit: Fit, values: &[u32]) -> FittedLine {
        fitted(&[("x".to_owned(), fit)].into(), &timeline(values))["x"]
    }

    #[test]
    fn a_line_goes_through_the_first_stretch_alone() {
        let line = found(fit(false, 2.0, 8.0), &[1, 2, 4, 6, 8, 9, 3, 3, 3]);
        assert_eq!(
            (line.samples, line.slope_per_s, line.r2, line.doubling_s),
            (4, Some(2.0), Some(1.0), None)
        );
    }

    #[test]
    fn what_doubles_each_second_doubles_each_second() {
        let line = found(fit(true, 0.0, 100.0), &[0, 1, 2, 4, 8, 16]);
        assert_eq!((line.samples, line.doubling_s, line.r2), (5, Some(1.0), Some(1.0)));
        assert_eq!(line.slope_per_s, Some(rounded(std::f64::consts::LN_2)), "the natural logarithm's");
        // 1, 2, 3, 4: ln is 0, 0.693, 1.099, 1.386; slope (3 x 1.386 + 0.405) / 10 = 0.4564.
        let line = found(fit(true, 0.0, 100.0), &[1, 2, 3, 4]);
        assert!((line.slope_per_s.unwrap_or_default() - 0.456_43).abs() < 1e-4, "{line:?}");
        assert!(line.r2.is_some_and(|r2| r2 < 0.97), "a line is no exponential: {line:?}");
    }

    #[test]
    fn without_two_samples_there_is_no_line() {
        assert_eq!(found(fit(false, 50.0, 60.0), &[1, 2, 3]), FittedLine::default());
        assert_eq!(found(fit(false, 1.0, 1.0), &[1, 2, 3]), FittedLine::default());
        assert_eq!(found(fit(true, 1.0, 9.0), &[8, 4, 2]).doubling_s, None, "what shrinks does not double");
    }

    #[test]
    fn every_column_can_be_asked_for() {
        let names = timeline_columns();
        assert!(names.len() > 15 && names.contains(&"bootstrapped".to_owned()), "{names:?}");
        let row = columns(&TimelineRow { distributed_copies: 1.25, ..TimelineRow::default() });
        assert_eq!(row.and_then(|row| number(&row, "distributed_copies")), Some(1.25));
    }
}
