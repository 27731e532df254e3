//! What varies, and the cells that come of it.

use crate::record::{PeerRow, Summary};

/// What varies: a field of the scenario, and the values that it takes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Factor {
    /// The field's dotted path.
    pub path: String,
    /// Its values as they were written, the baseline's first.
    pub values: Vec<String>,
    /// What they come to, where all are numbers or quantities of one kind.
    pub scale: Option<Scale>,
}

/// Numbers that stand for the values of a [`Factor`].
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Scale {
    /// Their unit, as the end of a column's name: `bytes_per_s`; empty for plain numbers.
    pub unit: &'static str,
    /// One for each value.
    pub numbers: Vec<f64>,
}

impl Factor {
    /// The name of its column: the path, and the unit if there is one.
    pub fn column(&self) -> String {
        match &self.scale {
            Some(scale) if !scale.unit.is_empty() => format!("{}_{}", self.path, scale.unit),
            _ => self.path.clone(),
        }
    }

    /// Its scale, if it has two values at least.
    pub(crate) fn scale_of_two(&self) -> Option<&Scale> {
        self.scale.as_ref().filter(|scale| scale.numbers.len() > 1)
    }

    /// What stands in a table's cell for a value: a number without its unit, or the text.
    pub fn cell(&self, place: usize) -> String {
        self.scale
            .as_ref()
            .map_or_else(|| self.values[place].clone(), |scale| scale.numbers[place].to_string())
    }
}

/// All combinations of the values of some factors, each run with the same seeds. Cells are numbered so that the last
/// factor varies quickest; cell 0 is the baseline.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Grid {
    /// The scenario's name.
    pub scenario: String,
    /// Version of the program.
    pub version: String,
    /// `des` or `turmoil`.
    pub backend: String,
    /// What varies.
    pub factors: Vec<Factor>,
    /// The seeds of each cell's runs.
    pub seeds: Vec<u64>,
}

impl Grid {
    /// How many cells there are.
    pub fn cells(&self) -> usize {
        self.factors.iter().map(|factor| factor.values.len()).product()
    }

    /// Which value each factor has in a cell.
    pub fn places(&self, cell: usize) -> Vec<usize> {
        let mut rest = cell;
        let mut places: Vec<usize> = (self.factors.iter().rev())
            .map(|factor| {
                let place = rest % factor.values.len();
                rest /= factor.values.len();
                place
            })
            .collect();
        places.reverse();
        places
    }

    /// A cell's values as they were written.
    pub fn values(&self, cell: usize) -> Vec<&str> {
        self.factors
            .iter()
            .zip(self.places(cell))
            .map(|(factor, place)| factor.values[place].as_str())
            .collect()
    }

    /// A cell's name: its values.
    pub fn label(&self, cell: usize) -> String {
        self.values(cell).join(", ")
    }

    /// The names of the columns of the factors.
    pub fn columns(&self) -> Vec<String> {
        self.factors.iter().map(Factor::column).collect()
    }

    /// What stands in these columns for a cell.
    pub fn row(&self, cell: usize) -> Vec<String> {
        self.factors.iter().zip(self.places(cell)).map(|(factor, place)| factor.cell(place)).collect()
    }

    /// The paths of the factors, in words.
    pub fn paths(&self) -> String {
        self.factors.iter().map(|factor| factor.path.as_str()).collect::<Vec<_>>().join(" and ")
    }
}

/// What a comparison needs of one run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CellRun {
    /// Its figures.
    pub summary: Summary,
    /// The download times of those that finished, ascending.
    pub download_s: Vec<f64>,
}

impl CellRun {
    /// What is needed of a run with these figures and hosts.
    pub fn new(summary: Summary, peers: &[PeerRow]) -> Self {
        let eligible = peers.iter().filter(|peer| peer.is_eligible());
        let mut download_s: Vec<f64> = eligible.filter_map(|peer| peer.download_s).collect();
        download_s.sort_by(f64::total_cmp);
        Self { summary, download_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_factor_varies_quickest() {
        let factor = |path: &str, values: &[&str], scale| Factor {
            path: path.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
            scale,
        };
        let scale = Scale { unit: "bytes_per_s", numbers: vec![50_000.0, 750_000.0] };
        let factors = vec![
            factor("hosts.a.picker", &["random", "rarest-first", "sequential"], None),
            factor("hosts.s.links.up", &["400 kbit/s", "6 Mbit/s"], Some(scale)),
        ];
        let grid = Grid { factors, ..Grid::default() };
        let labels: Vec<String> = (0..grid.cells()).map(|cell| grid.label(cell)).collect();
        assert_eq!(labels[..3], ["random, 400 kbit/s", "random, 6 Mbit/s", "rarest-first, 400 kbit/s"]);
        assert_eq!(labels.len(), 6);
        assert_eq!(grid.columns(), ["hosts.a.picker", "hosts.s.links.up_bytes_per_s"]);
        assert_eq!(grid.row(5), ["sequential", "750000"]);
    }
}
