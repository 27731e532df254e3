//! A comparison as text for a terminal.

use comfy_table::CellAlignment;

use super::{Comparison, MAIN_FIGURES, Row};
use crate::naming::in_words;
use crate::table::{plain_table, trimmed};
use crate::words;

/// What stands above the columns.
pub(super) const HEADER: [&str; 9] =
    ["", "cell", "runs", "median", "mean", "95 % interval", "difference", "95 % interval", "p (Holm)"];

/// The main figures, with a line for each cell, without a final newline.
pub fn comparison_table(comparison: &Comparison) -> String {
    let mut table = plain_table();
    table.set_header(HEADER);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for lines in blocks(comparison) {
        for line in lines {
            table.add_row(line);
        }
    }
    trimmed(&table)
}

/// The lines of each main figure; the first of them names it.
pub(super) fn blocks(comparison: &Comparison) -> impl Iterator<Item = Vec<[String; 9]>> {
    MAIN_FIGURES.into_iter().map(|figure| {
        let rows = comparison.rows.iter().filter(|row| row.figure == figure);
        rows.enumerate()
            .map(|(nth, row)| line(if nth == 0 { in_words(figure) } else { String::new() }, row))
            .collect()
    })
}

fn line(figure: String, row: &Row) -> [String; 9] {
    let show = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), words::figure);
    let signed = |value: f64| {
        let text = words::figure(value);
        if value > 0.0 && text != "0" { format!("+{text}") } else { text }
    };
    let interval = |low: Option<f64>, high: Option<f64>, show: &dyn Fn(f64) -> String| match (low, high) {
        (Some(low), Some(high)) => format!("{} .. {}", show(low), show(high)),
        _ => "–".to_owned(),
    };
    let (difference, its_interval) = if row.cell == 0 {
        ("baseline".to_owned(), String::new())
    } else {
        (
            row.difference.map_or_else(|| "–".to_owned(), signed),
            interval(row.difference_low, row.difference_high, &signed),
        )
    };
    [
        figure,
        row.values.join(", "),
        format!("{} of {}", row.reached, row.runs),
        show(row.median),
        show(row.mean),
        interval(row.low, row.high, &words::figure),
        difference,
        its_interval,
        if row.cell == 0 { String::new() } else { row.p_holm.map_or_else(|| "–".to_owned(), p_value) },
    ]
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}
