//! What a scenario claims of its figures, and the lines that it asks for.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// From one number to another, both included. No end, no limit.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least value, if there is one.
    pub from: Option<f64>,
    /// The greatest value, if there is one.
    pub to: Option<f64>,
}

impl Range {
    /// Whether all of `low..=high` lies in the range.
    pub fn holds(&self, low: f64, high: f64) -> bool {
        self.from.is_none_or(|from| low >= from) && self.to.is_none_or(|to| high <= to)
    }

    /// Whether none of `low..=high` lies in the range.
    pub fn excludes(&self, low: f64, high: f64) -> bool {
        self.from.is_some_and(|from| high < from) || self.to.is_some_and(|to| low > to)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (Some(from), Some(to)) if from == to => write!(f, "{from}"),
            (Some(from), Some(to)) => write!(f, "{from} to {to}"),
            (Some(from), None) => write!(f, "at least {from}"),
            (None, Some(to)) => write!(f, "at most {to}"),
            (None, None) => f.write_str("anything"),
        }
    }
}

/// A range that a figure has to lie in. Settings are written as on the command line; a list of them is a cell.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The experiment's name, if it has one.
    pub id: String,
    /// The claim in words; may be empty.
    pub says: String,
    /// The figure, by its name in `summary.json`; `completion_s.p50` for one within another.
    pub metric: String,
    /// Where it has to lie.
    pub range: Range,
    /// The cells in which it is measured: one, or one for each value of a trend. `[[]]` is the scenario as it is.
    pub measured: Vec<Vec<String>>,
    /// What is made of it.
    pub relation: Relation,
    /// The level of the interval over the seeds, 0 to 1.
    pub confidence: f64,
    /// The cells under the negative control, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controlled: Option<Vec<Vec<String>>>,
}

/// What is made of a figure, seed by seed, before it is held against the range.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Nothing.
    #[default]
    Itself,
    /// It is divided by that of this cell.
    Over(Vec<String>),
    /// That of this cell is subtracted.
    Minus(Vec<String>),
    /// How much it grows for each doubling of what differs between the cells.
    PerDoubling {
        /// The field that differs.
        field: String,
        /// Its value in each cell.
        values: Vec<f64>,
    },
}

impl Default for Claim {
    fn default() -> Self {
        Self {
            id: String::new(),
            says: String::new(),
            metric: String::new(),
            range: Range::default(),
            measured: vec![Vec::new()],
            relation: Relation::Itself,
            confidence: 0.95,
            controlled: None,
        }
    }
}

impl Claim {
    /// Whether a run of the scenario as it is can tell, without other cells.
    pub fn is_of_one_cell(&self) -> bool {
        self.measured == [Vec::<String>::new()] && self.relation == Relation::Itself
    }

    /// What is measured, in the names of figures and settings.
    pub fn measure(&self) -> String {
        let settings = |cell: &[String]| if cell.is_empty() { "as it is".to_owned() } else { cell.join(" ") };
        let Self { metric, .. } = self;
        let of = match self.measured.as_slice() {
            [cell] if !cell.is_empty() => format!("{metric} ({})", settings(cell)),
            _ => metric.clone(),
        };
        match &self.relation {
            Relation::Itself => of,
            Relation::Over(cell) => format!("{of} / {metric} ({})", settings(cell)),
            Relation::Minus(cell) => format!("{of} - {metric} ({})", settings(cell)),
            Relation::PerDoubling { field, .. } => format!("{of} per doubling of {field}"),
        }
    }
}

/// A line of least squares through a column of the timeline.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// The column.
    pub column: String,
    /// Whether the line goes through the natural logarithm of the column. Samples in which it is 0 are left out.
    pub exponential: bool,
    /// The first stretch of samples in which each of these columns lies in its range.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub during: BTreeMap<String, Range>,
}
