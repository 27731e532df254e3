//! Every figure that a claim may be about is explained.

use torrentlab_reports::{class_figure_names, figure_names};

#[test]
fn the_reference_has_a_row_for_each_figure() {
    let page = include_str!("../../docs/reference/figures.md");
    let table: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for name in figure_names().map(str::to_owned).chain(class_figure_names("CLASS")) {
        let cell = format!("`{name}`");
        let rows = table.iter().filter(|row| row.contains(&cell)).count();
        assert_eq!(rows, 1, "docs/reference/figures.md has {rows} rows for {name}");
    }
}
