//! Which claims are judged, and the cells that it takes.

use std::collections::BTreeMap;

use anyhow::anyhow;
use torrentlab_reports::record::{Claim, Relation, Summary};
use torrentlab_reports::verdicts::Row;
use torrentlab_reports::{Cells, judge_claim, judge_control};
use torrentlab_scenarios::catalogue;
use torrentlab_simulator::claim::claims;
use torrentlab_simulator::registry::Registry;
use xxhash_rust::xxh3::xxh3_64;

use crate::Failure;
use crate::batch::{Cell, Run};

/// Claims and the cells in which they are measured.
#[derive(Default)]
pub struct Suite {
    pub claims: Vec<Judgeable>,
    pub cells: Vec<Cell>,
    /// The first seed of each cell, and how many there are.
    seeds: Vec<(u64, u32)>,
    /// The number of each cell, by its scenario and settings; settings that come to the same share a cell.
    numbers: BTreeMap<(String, Vec<String>), usize>,
    /// The number of each cell, by what it resolves to.
    resolved: BTreeMap<String, usize>,
}

/// A claim of a scenario.
pub struct Judgeable {
    scenario: String,
    claim: Claim,
    /// Why it is refuted, where it is known to be.
    cause: String,
    runs: u32,
}

impl Suite {
    /// All claims of `named` scenarios, or those of the catalogue that belong to an experiment.
    pub fn load(
        named: &[String],
        quick: bool,
        runs: Option<u32>,
        registry: &Registry,
    ) -> Result<Self, Failure> {
        let mut suite = Self::default();
        let everything = || catalogue().iter().map(|entry| entry.name.to_owned()).collect();
        let scenarios = if named.is_empty() { everything() } else { named.to_vec() };
        for name in scenarios {
            let loaded = torrentlab_scenarios::load(&name, &[]).map_err(|error| Failure::told(&error))?;
            if quick && loaded.scenario.slow {
                continue;
            }
            for (claim, schema) in claims(&loaded.scenario).into_iter().zip(&loaded.scenario.claim) {
                if named.is_empty() && claim.id.is_empty() {
                    continue;
                }
                let runs = runs.unwrap_or(schema.runs);
                for settings in cells_of(&claim) {
                    let of_claim = |failure: Failure| failure.within(about(&name, &claim));
                    suite.add(&name, settings, runs, registry).map_err(of_claim)?;
                }
                let (scenario, cause) = (name.clone(), schema.cause.clone());
                suite.claims.push(Judgeable { scenario, claim, cause, runs });
            }
        }
        if suite.claims.is_empty() {
            let error = anyhow!("there are no claims to judge");
            return Err(Failure::input(error, "state one in the scenario: [[claim]]"));
        }
        suite.claims.sort_by_key(|claim| place(&claim.claim.id));
        Ok(suite)
    }

    /// Every run that it takes, cell by cell in the order of seeds.
    pub fn runs(&self) -> Vec<Run> {
        let of_cell = |(cell, &(first, runs)): (usize, &(u64, u32))| {
            (first..first + u64::from(runs)).map(move |seed| (cell, seed))
        };
        self.seeds.iter().enumerate().flat_map(of_cell).collect()
    }

    /// What came of each claim, from the runs of each cell.
    pub fn judge(&self, summaries: &[Vec<Summary>]) -> Vec<Row> {
        let row = |judgeable: &Judgeable| {
            let Judgeable { scenario, claim, cause, runs } = judgeable;
            let cells: &Cells<'_> = &|settings| {
                let number = self.numbers.get(&(scenario.clone(), settings.to_vec()))?;
                Some(summaries[*number].iter().take(*runs as usize).collect())
            };
            let judged = judge_claim(claim, cells)?;
            let control = judge_control(claim, cells);
            Some(Row::new(scenario, claim, cause, &judged, control.as_ref()))
        };
        self.claims.iter().filter_map(row).collect()
    }

    fn add(
        &mut self,
        scenario: &str,
        settings: Vec<String>,
        runs: u32,
        registry: &Registry,
    ) -> Result<(), Failure> {
        let key = (scenario.to_owned(), settings);
        let number = match self.numbers.get(&key) {
            Some(number) => *number,
            None => self.cell(scenario, &key.1, registry)?,
        };
        let (_, most) = &mut self.seeds[number];
        *most = runs.max(*most);
        self.numbers.insert(key, number);
        Ok(())
    }

    /// The number of the cell with these settings, which is made if it is not there.
    fn cell(&mut self, scenario: &str, settings: &[String], registry: &Registry) -> Result<usize, Failure> {
        let loaded = torrentlab_scenarios::load(scenario, settings).map_err(|error| Failure::told(&error))?;
        let resolved = loaded.scenario.resolved_toml();
        if let Some(number) = self.resolved.get(&resolved) {
            return Ok(*number);
        }
        let (name, seed) = (loaded.scenario.name.clone(), loaded.scenario.seed);
        let label = [std::slice::from_ref(&name), settings].concat().join(" ");
        let folder = format!("{name}/{}", folder(settings));
        self.seeds.push((u64::from(seed), 0));
        let cell = Cell::new(loaded, registry).map_err(|error| Failure::told(&error))?;
        self.cells.push(cell.named(label, folder));
        self.resolved.insert(resolved, self.cells.len() - 1);
        Ok(self.cells.len() - 1)
    }
}

/// Which claim it is, for errors.
fn about(scenario: &str, claim: &Claim) -> String {
    let id = if claim.id.is_empty() { String::new() } else { format!(" {}", claim.id) };
    format!("{scenario}, the claim{id} about {}", claim.metric)
}

/// The settings of every cell of a claim.
fn cells_of(claim: &Claim) -> Vec<Vec<String>> {
    let reference = match &claim.relation {
        Relation::Over(cell) | Relation::Minus(cell) => Some(cell.clone()),
        Relation::Itself | Relation::PerDoubling { .. } => None,
    };
    let controlled = claim.controlled.iter().flatten().cloned();
    claim.measured.iter().cloned().chain(reference).chain(controlled).collect()
}

/// A folder for a cell that can be told from others by its name.
fn folder(settings: &[String]) -> String {
    if settings.is_empty() {
        return "as-it-is".to_owned();
    }
    let text = settings.join(" ");
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let readable: String = text.chars().map(fit).take(80).collect();
    format!("{readable}-{:08x}", xxh3_64(text.as_bytes()) as u32)
}

/// F2 comes before F10, and what has no name last.
fn place(id: &str) -> (bool, String, u32) {
    let digits = id.find(|c: char| c.is_ascii_digit()).unwrap_or(id.len());
    (id.is_empty(), id[..digits].to_owned(), id[digits..].parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experiments_come_in_the_order_of_their_numbers() {
        let mut ids = ["P1", "F10", "", "F2", "F"];
        ids.sort_by_key(|id| place(id));
        assert_eq!(ids, ["F", "F2", "F10", "P1", ""]);
    }

    #[test]
    fn cells_have_folders_of_their_own() {
        let settings = |text: &str| vec![text.to_owned()];
        assert_ne!(folder(&settings("a=1/2")), folder(&settings("a=1-2")));
        assert!(folder(&settings(&"../x=é".repeat(99))).len() < 100);
        assert!(folder(&settings("../../x")).starts_with("..-..-x"), "one folder, whatever it is called");
    }
}
