//! The page of a comparison.

use minijinja::context;

use super::table::{HEADER, blocks};
use super::{Comparison, Grid};
use crate::page;
use crate::plots::Plot;
use crate::words;

const TEMPLATE: &str = include_str!("../page/comparison.html");

/// The page as HTML. What the scenario and the command line say is escaped.
pub(super) fn page(grid: &Grid, comparison: &Comparison, plots: &[Plot]) -> Result<String, minijinja::Error> {
    let values = context! {
        broad => true,
        scenario => grid.scenario.as_str(),
        version => grid.version.as_str(),
        backend => grid.backend.as_str(),
        paths => grid.paths(),
        cells => words::plural(grid.cells() as u64, "cell"),
        runs => words::plural(grid.seeds.len() as u64, "run"),
        first_seed => grid.seeds.first(),
        last_seed => grid.seeds.last(),
        axes => grid.factors.iter().map(|factor| context! {
            path => factor.path.as_str(), values => factor.values.join(", "),
        }).collect::<Vec<_>>(),
        baseline => comparison.baseline.join(", "),
        comparisons => comparison.comparisons,
        header => HEADER,
        lines => blocks(comparison).flatten().collect::<Vec<_>>(),
    };
    page::page(TEMPLATE, values, plots)
}
