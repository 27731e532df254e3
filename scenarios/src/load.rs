//! From text to a checked scenario.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use toml_edit::de::Deserializer;

use crate::catalogue::{bugs, catalogue};
use crate::error::ScenarioError;
use crate::schema::{Arrival, Scenario};
use crate::source::{Source, nearest_hint};
use crate::{check, trace};

/// A scenario and where it was read from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The scenario, checked, with the overrides in it.
    pub scenario: Scenario,
    /// For errors that are found later, such as a strategy that nobody knows.
    pub source: Source,
}

/// Loads a scenario by its name in the catalogue or by its path, with overrides such as
/// `hosts.leecher.links.up="1 Mbit/s"`.
///
/// # Errors
/// Whatever is wrong with it, at its place.
pub fn load(name_or_path: &str, sets: &[String]) -> Result<Loaded, ScenarioError> {
    if let Some(entry) = catalogue().iter().chain(bugs()).find(|entry| entry.name == name_or_path) {
        return read(entry.text, &format!("{}.toml", entry.name), sets);
    }
    let looks_like_path = name_or_path.contains(['/', '\\', '.']) && !name_or_path.starts_with("bugs/");
    match fs::read_to_string(name_or_path) {
        Ok(text) => read(&text, name_or_path, sets),
        Err(_) if !looks_like_path && !Path::new(name_or_path).exists() => {
            let names: Vec<&str> = catalogue().iter().chain(bugs()).map(|entry| entry.name).collect();
            let message = format!("no scenario in the catalogue is called `{name_or_path}`, and no file");
            Err(ScenarioError::new(message, nearest_hint(name_or_path, &names)))
        }
        Err(error) => Err(ScenarioError::new(
            format!("cannot read {name_or_path}: {error}"),
            "name a scenario file, or a scenario of the catalogue",
        )),
    }
}

/// Reads a scenario from text. `file` is for errors; the paths of traces start from its folder.
///
/// # Errors
/// Whatever is wrong with it, at its place.
pub fn read(text: &str, file: &str, sets: &[String]) -> Result<Loaded, ScenarioError> {
    let source = Source::new(text, file, sets)?;
    let mut scenario = deserialise(&source)?;
    if scenario.name.is_empty() {
        scenario.name = name_from(file);
    }
    read_traces(&mut scenario, &source)?;
    read_scripts(&mut scenario, &source)?;
    check::check(&scenario, &source)?;
    Ok(Loaded { scenario, source })
}

impl Scenario {
    /// Reads a scenario from text. `file` is for errors; the paths of traces start from its folder.
    ///
    /// # Errors
    /// Whatever is wrong with it, at its place.
    pub fn from_toml(text: &str, file: &str) -> Result<Self, ScenarioError> {
        read(text, file, &[]).map(|loaded| loaded.scenario)
    }

    /// The whole scenario with all defaults and overrides written out, traces included: enough to repeat the run.
    pub fn resolved_toml(&self) -> String {
        toml_edit::ser::to_string_pretty(self).expect("a checked scenario can be written as TOML")
    }
}

fn deserialise(source: &Source) -> Result<Scenario, ScenarioError> {
    check_version(source)?;
    Scenario::deserialize(Deserializer::from(source.merged().clone())).map_err(|error| {
        let spot = source.spot(&error.span().unwrap_or_default());
        source.error_at(&spot, explain(error.message(), &spot.path))
    })
}

/// Before all else, so that a file of a later version is not blamed for its fields.
fn check_version(source: &Source) -> Result<(), ScenarioError> {
    match source.merged().get("schema") {
        None => Err(source.error("schema", "`schema` is missing", "begin the file with: schema = 1")),
        Some(version) if version.as_integer() == Some(1) => Ok(()),
        Some(_) => {
            Err(source.error("schema", "this version of torrentlab reads schema 1", "write schema = 1"))
        }
    }
}

/// Serde's words with a hint.
fn explain(message: &str, path: &[String]) -> ScenarioError {
    if let Some((message, hint)) = message.split_once("\nhint: ") {
        return ScenarioError::new(message, hint);
    }
    let message = message.trim_end();
    if let Some(error) = explain_name(message, path) {
        return error;
    }
    if message.starts_with("wanted exactly 1 element") {
        let path = path.join(".");
        return ScenarioError::new(
            format!("`{path}` takes one form, not several"),
            format!("leave one; to change the form with --set, set the whole: {path}={{ ... }}"),
        );
    }
    match message.split_once(", expected ") {
        Some((wrong, expected)) => {
            ScenarioError::new(unexpected(wrong), format!("write {}", plain(expected)))
        }
        None => ScenarioError::new(message, "docs/reference/scenario.md has the forms of all fields"),
    }
}

/// What serde says of names: "unknown field `ups`, expected one of `up`, `down`" and the like.
fn explain_name(message: &str, path: &[String]) -> Option<ScenarioError> {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (written, known) = quoted.split_first()?;
    let (message, hint) = if message.starts_with("unknown field") {
        let within = match path.split_last() {
            Some((_, parents)) if !parents.is_empty() => format!(" in {}", parents.join(".")),
            _ => String::new(),
        };
        (format!("unknown field `{written}`{within}"), nearest_hint(written, known))
    } else if message.starts_with("unknown variant") {
        (format!("`{written}` is none of the choices"), nearest_hint(written, known))
    } else if message.starts_with("missing field") {
        let place =
            if path.is_empty() { "at the top".to_owned() } else { format!("to [{}]", path.join(".")) };
        (format!("`{written}` is missing"), format!("add `{written} = ...` {place}"))
    } else {
        return None;
    };
    Some(ScenarioError::new(message, hint))
}

/// What serde calls an invalid type or value, in TOML's words.
fn unexpected(wrong: &str) -> String {
    let found = wrong.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
    match found {
        "sequence" => "unexpected list".to_owned(),
        "map" => "unexpected table".to_owned(),
        _ => format!("unexpected {found}"),
    }
}

/// The names that Rust has for types, in plain words.
fn plain(expected: &str) -> &str {
    match expected {
        "u32" => "a whole number from 0 to 4294967295",
        "a string" => "text in quotes",
        "a boolean" => "true or false",
        "f64" => "a number",
        _ => expected.strip_prefix("struct ").map_or(expected, |_| "a table"),
    }
}

fn read_traces(scenario: &mut Scenario, source: &Source) -> Result<(), ScenarioError> {
    let folder = Path::new(source.file()).parent().unwrap_or(Path::new(""));
    let classes: Vec<String> = scenario.hosts.keys().cloned().collect();
    for (class, host) in &mut scenario.hosts {
        let Arrival::Trace(trace) = &mut host.arrival else { continue };
        let path = format!("hosts.{class}.arrival.trace.path");
        if trace.path.is_empty() && trace.times.is_empty() {
            return Err(source.error(&path, "a trace without its file", "add path = \"arrivals.csv\""));
        }
        if trace.times.is_empty() {
            let file = folder.join(&trace.path);
            let text = fs::read_to_string(&file).map_err(|error| {
                let message = format!("cannot read {}: {error}", file.display());
                source.error(&path, message, "a relative path starts from the scenario's folder")
            })?;
            trace.times = trace::times(&text, &file.display().to_string(), class, &classes)?;
        }
        trace.times.sort_unstable();
    }
    Ok(())
}

/// Takes in the scripts that strategies are.
fn read_scripts(scenario: &mut Scenario, source: &Source) -> Result<(), ScenarioError> {
    let folder = Path::new(source.file()).parent().unwrap_or(Path::new(""));
    for (class, host) in &mut scenario.hosts {
        for (field, strategy) in [("picker", &mut host.picker), ("choker", &mut host.choker)] {
            let Some(file) = strategy.script_file().map(str::to_owned) else { continue };
            let path = folder.join(&file);
            let text = fs::read_to_string(&path).map_err(|error| {
                let message = format!("cannot read {}: {error}", path.display());
                let at = format!("hosts.{class}.{field}.script");
                source.error(&at, message, "a relative path starts from the scenario's folder")
            })?;
            strategy.set_script(&file, &text);
        }
    }
    Ok(())
}

/// The file's name without its ending, fit for a folder's name.
fn name_from(file: &str) -> String {
    let stem = Path::new(file).file_stem().map_or("".into(), |stem| stem.to_string_lossy());
    let fit = |c: char| if check::fits_name(c) { c } else { '-' };
    let name: String = stem.chars().map(fit).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { "scenario".to_owned() } else { name.to_owned() }
}
