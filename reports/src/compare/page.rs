//! The page of a comparison: one file that needs nothing beside it to be read.

use minijinja::{AutoEscape, Environment, context};

use super::table::{HEADER, blocks};
use super::{Comparison, Grid};
use crate::plots::{self, Plot};
use crate::words;

const TEMPLATE: &str = include_str!("page.html");

/// The page as HTML. What the scenario and the command line say is escaped.
pub(super) fn page(grid: &Grid, comparison: &Comparison, plots: &[Plot]) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("page.html", TEMPLATE)?;
    let face = plots::face_css();
    let picture = |plot: &Plot| {
        context! { name => plot.name, how_to_read => plot.how_to_read, svg => plot.svg.replacen(&face, "", 1) }
    };
    environment.get_template("page.html")?.render(context! {
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
        plots => plots.iter().map(picture).collect::<Vec<_>>(),
        face_css => face,
    })
}
