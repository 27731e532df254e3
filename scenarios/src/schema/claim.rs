//! What a scenario claims of its figures.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::Bounds;
use crate::units::Percent;

/// A range that a figure has to lie in. A claim may be about other settings than the scenario's own: each list of
/// settings is written as for `--set`, and makes a cell that is run with the same seeds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The name of the experiment that `torrentlab validate` lists it under, such as `"F3"`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The claim in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub says: String,
    /// The figure, by its name in `summary.json`: `"stretch_mean"`, `"completion_s.p50"`, `"class_p50_s.phone"`,
    /// `"fit.flood.r2"`.
    pub metric: String,
    /// Where it has to lie: `"1.00..1.15"`, `"0.9.."`, `"..3"` or `"1"`.
    #[serde(rename = "in")]
    pub range: Bounds,
    /// The settings under which it is measured. Without them, the scenario as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// The figure is divided by the one measured with these settings, seed by seed. `[]` is the scenario as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Vec<String>>,
    /// The figure measured with these settings is subtracted, seed by seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minus: Option<Vec<String>>,
    /// The claim is about how the figure changes with a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<Trend>,
    /// The level of the interval over the seeds. 98% makes one end of it a one-sided test at 1%.
    #[serde(default = "usual")]
    pub confidence: Percent,
    /// How many seeds `torrentlab validate` takes.
    #[serde(default = "five")]
    pub runs: u32,
    /// The negative control: with these settings the claim must be refuted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Vec<String>>,
}

/// How a figure changes with a field: by how much for each doubling of the field, as the slope of the line of least
/// squares over its logarithm to base 2, seed by seed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trend {
    /// The field, by its dotted path: `"hosts.leecher.count"`.
    pub field: String,
    /// The values that it takes, numbers above 0.
    pub values: Vec<f64>,
}

/// A line of least squares through a column of `timeline.csv` over time. It gives the figures `fit.<name>.slope_per_s`,
/// `fit.<name>.r2` and, where it is exponential, `fit.<name>.doubling_s`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// The column.
    pub column: String,
    /// What the column is taken for.
    #[serde(default)]
    pub shape: Shape,
    /// The first stretch of samples in which each of these columns lies in its range, such as
    /// `{ bootstrapped = "2..50" }`. Without it, all samples.
    #[serde(default, rename = "while", skip_serializing_if = "BTreeMap::is_empty")]
    pub during: BTreeMap<String, Bounds>,
}

/// What a column is taken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// It changes by the same amount each second.
    #[default]
    Line,
    /// It changes by the same factor each second: the line goes through its natural logarithm. Samples in which it is 0
    /// are left out.
    Exponential,
}

impl Claim {
    /// The settings of each cell in which the figure is measured: one, or one for each value of the trend.
    pub fn measured(&self) -> Vec<Vec<String>> {
        self.varied(&[])
    }

    /// The same under the negative control.
    pub fn controlled(&self) -> Option<Vec<Vec<String>>> {
        self.control.as_ref().map(|control| self.varied(control))
    }

    /// The settings of the cell that the figure is held against, if there is one.
    pub fn reference(&self) -> Option<&[String]> {
        self.over.as_deref().or(self.minus.as_deref())
    }

    fn varied(&self, more: &[String]) -> Vec<Vec<String>> {
        let cell = |last: Option<String>| self.with.iter().chain(more).cloned().chain(last).collect();
        match &self.trend {
            None => vec![cell(None)],
            Some(Trend { field, values }) => {
                values.iter().map(|value| cell(Some(format!("{field}={value}")))).collect()
            }
        }
    }
}

fn usual() -> Percent {
    Percent::from_ppm(950_000)
}

fn five() -> u32 {
    5
}
