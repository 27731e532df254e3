//! What scenarios claim, where commands have to do with it.

use torrentlab_reports::record::Claim;
use torrentlab_reports::{class_figure_names, figure_names, timeline_columns};
use torrentlab_scenarios::{Scenario, ScenarioError, Source};

/// Refuses a claim about a figure, and a line through a column, that there is not.
pub(crate) fn check_claims(scenario: &Scenario, source: &Source) -> Result<(), ScenarioError> {
    let classes = scenario.hosts.keys().flat_map(|class| class_figure_names(class));
    let figure_of =
        |name: &String| ["slope_per_s", "doubling_s", "r2"].map(|figure| format!("fit.{name}.{figure}"));
    let fits = scenario.fit.keys().flat_map(figure_of);
    let figures: Vec<String> = figure_names().map(str::to_owned).chain(classes).chain(fits).collect();
    for (nth, claim) in scenario.claim.iter().enumerate() {
        known(&claim.metric, &figures, "figure", &format!("claim.{nth}.metric"), source)?;
    }
    let columns = timeline_columns();
    for (name, fit) in &scenario.fit {
        known(&fit.column, &columns, "column", &format!("fit.{name}.column"), source)?;
        for column in fit.during.keys() {
            known(column, &columns, "column", &format!("fit.{name}.while.{column}"), source)?;
        }
    }
    Ok(())
}

fn known(name: &str, all: &[String], what: &str, path: &str, source: &Source) -> Result<(), ScenarioError> {
    if all.iter().any(|one| one == name) {
        return Ok(());
    }
    let hint = format!("the {what}s are {}", all.join(", "));
    Err(source.error(path, format!("there is no {what} `{name}`"), hint))
}

/// How claims are judged that runs of the scenario as it is cannot tell.
pub(crate) fn other_cells(claims: &[Claim], scenario: &str) -> Option<String> {
    let others = claims.iter().filter(|claim| !claim.is_of_one_cell()).count();
    let claims = match others {
        0 => return None,
        1 => "1 more claim is".to_owned(),
        _ => format!("{others} more claims are"),
    };
    Some(format!("{claims} about other settings, too: torrentlab validate {scenario}"))
}
