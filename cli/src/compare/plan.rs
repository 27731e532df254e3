//! What a comparison is: `plan.toml`, and the command line that makes one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Deserializer, Serialize};
use torrentlab_reports::compare::{Factor, Scale};
use torrentlab_scenarios::units::{Frequency, Percent, Rate, Size, Span};
use torrentlab_scenarios::{Loaded, ScenarioError, catalogue};

use crate::Failure;
use crate::run::Carrier;

/// The most runs of a comparison.
pub const MOST_RUNS: u64 = 100_000;

/// An experiment: enough to repeat it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default)]
    pub backend: Carrier,
    /// Runs of each cell.
    #[serde(default = "twenty")]
    pub runs: u32,
    /// The first seed; without it, the scenario's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// Changes that all cells have in common.
    #[serde(default)]
    pub sets: Vec<String>,
    pub scenario: Text,
    /// What varies.
    pub vary: Vec<Axis>,
}

/// A scenario: a name of the catalogue, or a file and what was in it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A field of the scenario and the values that it takes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    pub path: String,
    #[serde(deserialize_with = "values")]
    pub values: Vec<String>,
}

fn twenty() -> u32 {
    20
}

/// Values as `--vary` takes them; numbers need no quotes.
fn values<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let text = |value| if let toml::Value::String(text) = value { text } else { value.to_string() };
    Ok(Vec::<toml::Value>::deserialize(from)?.into_iter().map(text).collect())
}

impl Plan {
    /// Reads a plan that a comparison has left, or that somebody wrote.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))
            .map_err(|error| Failure::input(error, "name the plan.toml of a comparison"))?;
        let plan: Self = toml::from_str(&text).map_err(|error| {
            let error = anyhow!("{}: {}", path.display(), error.to_string().trim_end());
            Failure::input(error, "the plan.toml that every comparison leaves shows the form")
        })?;
        let version = env!("CARGO_PKG_VERSION");
        match &plan.version {
            Some(made_by) if made_by != version => {
                let error = anyhow!("{}: the plan is for torrentlab {made_by}", path.display());
                let hint =
                    format!("take out its `version` to run it with {version}: the figures will differ");
                Err(Failure::input(error, hint))
            }
            _ => Ok(plan),
        }
    }

    /// Refuses what cannot be a grid, before any scenario is read.
    pub fn check(&self) -> Result<(), Failure> {
        let refuse = |what: String, hint: &str| Err(Failure::input(anyhow!(what), hint));
        if self.vary.is_empty() {
            return refuse("nothing varies".to_owned(), "add --vary FIELD=VALUE,VALUE");
        }
        if self.runs == 0 {
            return refuse("no runs".to_owned(), "write runs = 20");
        }
        let mut paths = BTreeSet::new();
        for Axis { path, values } in &self.vary {
            if path == "seed" {
                let what = "axis seed: every cell runs with the same seeds".to_owned();
                return refuse(what, "--runs says how many, and --seed from which on");
            }
            if !paths.insert(path) {
                return refuse(format!("axis {path}: it is there twice"), "list all values in one --vary");
            }
            if values.is_empty() || values.iter().any(String::is_empty) {
                let hint = "write the values with a comma between them: --vary FIELD=VALUE,VALUE";
                return refuse(format!("axis {path}: a value is missing"), hint);
            }
            let mut seen = BTreeSet::new();
            if let Some(value) = values.iter().find(|value| !seen.insert(*value)) {
                return refuse(format!("axis {path}: `{value}` is there twice"), "leave one of them");
            }
        }
        let runs = self.total_runs();
        if runs > MOST_RUNS {
            let what = format!("the grid has {runs} runs: at most {MOST_RUNS} are possible");
            return refuse(what, "lower --runs, or leave out values");
        }
        Ok(())
    }

    /// Runs of all cells together.
    fn total_runs(&self) -> u64 {
        let lengths = self.vary.iter().map(|axis| axis.values.len() as u64);
        lengths.fold(u64::from(self.runs), u64::saturating_mul)
    }

    /// The scenario with a value of each axis, by their places.
    pub fn load(&self, places: &[usize]) -> Result<Loaded, Failure> {
        let chosen = self.vary.iter().zip(places);
        let settings: Vec<String> = chosen.map(|(axis, place)| axis.set(*place)).collect();
        self.load_with(&settings)
    }

    /// The scenario with these settings on top of those that all cells have.
    pub fn load_with(&self, settings: &[String]) -> Result<Loaded, Failure> {
        let sets: Vec<String> = self.sets.iter().chain(settings).cloned().collect();
        let loaded = match &self.scenario {
            Text { file: Some(file), text: Some(text), .. } => torrentlab_scenarios::read(text, file, &sets),
            Text { name: Some(name), file: None, text: None } => torrentlab_scenarios::load(name, &sets),
            _ => {
                let error = anyhow!("the plan names no scenario");
                return Err(Failure::input(error, "write scenario = { name = \"first-swarm\" }"));
            }
        };
        loaded.map_err(|error| self.told(error))
    }

    /// An error about a scenario of the plan, which blames the option that the user wrote: to the scenario, a value of an
    /// axis is one that was set.
    pub fn told(&self, mut error: ScenarioError) -> Failure {
        if let Some(place) = error.place.as_mut().filter(|place| place.line.is_none()) {
            let mut of_axes =
                self.vary.iter().flat_map(|axis| (0..axis.values.len()).map(|nth| axis.set(nth)));
            if of_axes.any(|set| set.trim_end() == place.text) {
                place.origin = "--vary".to_owned();
            }
        }
        Failure::told(&error)
    }

    /// What varies, for tables and plots.
    pub fn factors(&self) -> Vec<Factor> {
        let factor = |axis: &Axis| {
            let values: Vec<String> = axis.values.iter().map(|value| unquoted(value).to_owned()).collect();
            Factor { path: axis.path.clone(), scale: scale(&values), values }
        };
        self.vary.iter().map(factor).collect()
    }

    pub fn to_toml(&self) -> Result<String, Failure> {
        toml::to_string(self).map_err(|error| Failure::failed(error, "please report this"))
    }
}

impl Text {
    /// What the command line calls a scenario: with the text, where it is a file's.
    pub fn of(name_or_path: &str) -> Self {
        let known = catalogue().iter().any(|entry| entry.name == name_or_path);
        match fs::read_to_string(name_or_path) {
            Ok(text) if !known => Self { file: Some(name_or_path.to_owned()), text: Some(text), name: None },
            // Where there is no such scenario either, loading it says so.
            _ => Self { name: Some(name_or_path.to_owned()), ..Self::default() },
        }
    }
}

impl Axis {
    /// What sets the field to one of the values.
    fn set(&self, place: usize) -> String {
        format!("{}={}", self.path, self.values[place])
    }

    /// Reads `FIELD=VALUE,VALUE`. Commas within quotes, brackets and braces are parts of a value.
    pub fn parse(argument: &str) -> Result<Self, Failure> {
        let refuse = |what: String| {
            let hint =
                "write a field's path and its values, such as --vary hosts.leecher.picker=random,sequential";
            Failure::input(anyhow!(what), hint)
        };
        let Some((path, list)) = argument.split_once('=') else {
            return Err(refuse(format!("--vary {argument}: there are no values")));
        };
        if path.trim().is_empty() {
            return Err(refuse(format!("--vary {argument}: there is no field")));
        }
        let values = split(list)
            .ok_or_else(|| refuse(format!("axis {}: a quote or bracket is left open", path.trim())))?;
        Ok(Self { path: path.trim().to_owned(), values })
    }
}

/// The parts between commas; `None` where a quote or bracket does not end.
fn split(list: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let (mut quote, mut depth) = (None, 0i32);
    for c in list.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            ('[' | '{', None) => depth += 1,
            (']' | '}', None) => depth -= 1,
            (',', None) if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut()?.push(c);
    }
    (quote.is_none() && depth == 0).then(|| parts.iter().map(|part| part.trim().to_owned()).collect())
}

/// A value without the quotes around it.
fn unquoted(value: &str) -> &str {
    let within = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

/// What the values come to, where all are numbers or quantities of one kind.
fn scale(values: &[String]) -> Option<Scale> {
    type Read = fn(&str) -> Option<f64>;
    let kinds: [(&str, Read); 6] = [
        ("", |text| text.parse().ok().filter(|number: &f64| number.is_finite())),
        ("bytes_per_s", |text| text.parse::<Rate>().ok()?.bits_per_s().map(|bits| bits as f64 / 8.0)),
        ("bytes", |text| text.parse::<Size>().ok().map(|size| size.bytes() as f64)),
        ("s", |text| text.parse::<Span>().ok().map(Span::as_secs_f64)),
        ("share", |text| text.parse::<Percent>().ok().map(Percent::fraction)),
        ("per_s", |text| text.parse::<Frequency>().ok().map(Frequency::per_s)),
    ];
    kinds.into_iter().find_map(|(unit, read)| {
        let numbers = values.iter().map(|value| read(value)).collect::<Option<Vec<f64>>>()?;
        Some(Scale { unit, numbers })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(runs: u32, axes: &[&str]) -> Plan {
        Plan {
            version: None,
            backend: Carrier::Des,
            runs,
            seed: None,
            sets: Vec::new(),
            scenario: Text::of("first-swarm"),
            vary: axes.iter().map(|axis| Axis::parse(axis).expect("an axis")).collect(),
        }
    }

    #[test]
    fn commas_within_quotes_and_brackets_do_not_part() {
        let cases: [(&str, &[&str]); 6] = [
            ("a,b", &["a", "b"]),
            ("400 kbit/s, 6 Mbit/s", &["400 kbit/s", "6 Mbit/s"]),
            ("\"a,b\",'c,d'", &["\"a,b\"", "'c,d'"]),
            ("{ x = 1, y = [2, 3] },z", &["{ x = 1, y = [2, 3] }", "z"]),
            ("a,,b", &["a", "", "b"]),
            ("\"[\",]", &["?"]),
        ];
        for (list, expected) in cases {
            let expected =
                (expected != ["?"]).then(|| expected.iter().map(|&part| part.to_owned()).collect());
            assert_eq!(split(list), expected, "{list}");
        }
        for open in ["\"a", "[a", "{ a = [1 }", "a]"] {
            assert_eq!(split(open), None, "{open}");
        }
    }

    #[test]
    fn values_of_one_kind_are_to_scale() {
        type Case<'a> = (&'a [&'a str], Option<(&'a str, &'a [f64])>);
        let cases: [Case<'_>; 7] = [
            (&["8", "16"], Some(("", &[8.0, 16.0]))),
            (&["400 kbit/s", "6 Mbit/s"], Some(("bytes_per_s", &[50_000.0, 750_000.0]))),
            (&["16 KiB", "1 MiB"], Some(("bytes", &[16_384.0, 1_048_576.0]))),
            (&["10 ms", "2 min"], Some(("s", &[0.01, 120.0]))),
            (&["5%", "50%"], Some(("share", &[0.05, 0.5]))),
            (&["6 Mbit/s", "unlimited"], None),
            (&["8", "16 KiB"], None),
        ];
        for (values, expected) in cases {
            let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
            let found = scale(&values);
            assert_eq!(found.as_ref().map(|scale| (scale.unit, &scale.numbers[..])), expected, "{values:?}");
        }
    }

    #[test]
    fn a_grid_has_at_most_100_000_runs() {
        assert!(plan(50_000, &["a=1,2"]).check().is_ok());
        assert!(plan(100_000, &["a=1"]).check().is_ok());
    }

    #[test]
    fn a_grid_has_at_most_100_000_runs_negative() {
        assert!(plan(50_001, &["a=1,2"]).check().is_err());
        assert!(plan(2, &["a=1,2", "b=1,2", "c=1"]).check().is_ok());
        assert!(plan(50_000, &["a=1,2", "b=1,2"]).check().is_err());
    }

    #[test]
    fn a_plan_is_read_as_it_is_written() {
        let mut written = plan(3, &["hosts.leecher.picker=random,\"sequential\"", "a={ x = 1 },2"]);
        written.scenario =
            Text { text: Some("schema = 1\n# '''\n".into()), file: Some("x.toml".into()), name: None };
        let text = written.to_toml().expect("it can be written");
        assert_eq!(toml::from_str::<Plan>(&text).expect("a plan"), written, "{text}");
        let by_hand = "scenario.name = \"x\"\n[[vary]]\npath = \"a\"\nvalues = [8, \"16\", 0.5]";
        let read: Plan = toml::from_str(by_hand).expect("a plan");
        assert_eq!((read.runs, &read.vary[0].values), (20, &vec!["8".into(), "16".into(), "0.5".into()]));
    }
}
