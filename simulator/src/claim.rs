//! What a scenario claims, as the record has it.

use std::collections::BTreeMap;

use torrentlab_reports::record::{Claim, Fit, Range, Relation};
use torrentlab_scenarios::schema::{self, Shape, Trend};
use torrentlab_scenarios::{Bounds, Scenario};

/// What the scenario claims of the figures.
pub fn claims(scenario: &Scenario) -> Vec<Claim> {
    scenario.claim.iter().map(claim).collect()
}

/// The lines that it asks for.
pub fn fits(scenario: &Scenario) -> BTreeMap<String, Fit> {
    let ranges =
        |fit: &schema::Fit| fit.during.iter().map(|(name, bounds)| (name.clone(), range(bounds))).collect();
    let fit = |(name, fit): (&String, &schema::Fit)| {
        let exponential = fit.shape == Shape::Exponential;
        (name.clone(), Fit { column: fit.column.clone(), exponential, during: ranges(fit) })
    };
    scenario.fit.iter().map(fit).collect()
}

fn claim(claim: &schema::Claim) -> Claim {
    let relation = match (&claim.over, &claim.minus, &claim.trend) {
        (Some(cell), ..) => Relation::Over(cell.clone()),
        (_, Some(cell), _) => Relation::Minus(cell.clone()),
        (.., Some(Trend { field, values })) => {
            Relation::PerDoubling { field: field.clone(), values: values.clone() }
        }
        _ => Relation::Itself,
    };
    Claim {
        id: claim.id.clone(),
        says: claim.says.clone(),
        metric: claim.metric.clone(),
        range: range(&claim.range),
        measured: claim.measured(),
        relation,
        confidence: claim.confidence.fraction(),
        controlled: claim.controlled(),
    }
}

fn range(bounds: &Bounds) -> Range {
    Range { from: bounds.from(), to: bounds.to() }
}
