//! A record, and the folder of files that it becomes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::availability::AvailabilityMap;
use super::error::RecordError;
use super::info::{FORMAT, RunInfo};
use super::rows::{FaultRow, PeerRow, PieceRow, TimelineRow};
use super::summary::{Cost, Summary};

const RUN: &str = "run.json";
const SCENARIO: &str = "scenario.toml";
const PEERS: &str = "peers.csv";
const TIMELINE: &str = "timeline.csv";
const PIECES: &str = "pieces.csv";
const AVAILABILITY: &str = "availability.csv";
const FAULTS: &str = "faults.csv";
const SUMMARY: &str = "summary.json";
const COST: &str = "cost.json";

/// The whole record of one run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RunRecord {
    /// What was run.
    pub info: RunInfo,
    /// The resolved scenario: enough to repeat the run.
    pub scenario_toml: String,
    /// A row for each host, in the order of joining.
    pub peers: Vec<PeerRow>,
    /// A row for each sample in time.
    pub timeline: Vec<TimelineRow>,
    /// A row for each piece.
    pub pieces: Vec<PieceRow>,
    /// A row for each fault, in the order in which they began.
    pub faults: Vec<FaultRow>,
    /// Copies of each piece over time, binned to a bounded size.
    pub availability: AvailabilityMap,
    /// The figures.
    pub summary: Summary,
    /// What the run cost the machine: the one part that differs from run to run.
    pub cost: Option<Cost>,
}

impl RunRecord {
    /// Writes the record to the folder `dir`, which is made if it is not there. Every file is first written whole
    /// beside its place and then moved into it, `summary.json` last: where that file is, the others are whole.
    ///
    /// # Errors
    /// Where the folder cannot be written, or a figure is infinite or not a number.
    pub fn write(&self, dir: &Path) -> Result<(), RecordError> {
        let mut files = vec![
            (SCENARIO, self.scenario_toml.clone().into_bytes()),
            (PEERS, csv_bytes(dir, PEERS, &self.peers)?),
            (TIMELINE, csv_bytes(dir, TIMELINE, &self.timeline)?),
            (PIECES, csv_bytes(dir, PIECES, &self.pieces)?),
            (FAULTS, csv_bytes(dir, FAULTS, &self.faults)?),
            (AVAILABILITY, self.availability.to_csv().into_bytes()),
            (RUN, json_bytes(dir, RUN, &self.info)?),
        ];
        if let Some(cost) = &self.cost {
            files.push((COST, json_bytes(dir, COST, cost)?));
        }
        files.push((SUMMARY, json_bytes(dir, SUMMARY, &self.summary)?));
        write_files(dir, &files)
    }

    /// Reads the record in the folder `dir`.
    ///
    /// # Errors
    /// Where a file is missing or malformed, or was written by another version's format.
    pub fn read(dir: &Path) -> Result<Self, RecordError> {
        check_format(dir)?;
        Ok(Self {
            info: read_json(dir, RUN)?,
            scenario_toml: read_text(dir, SCENARIO)?,
            peers: read_csv(dir, PEERS)?,
            timeline: read_csv(dir, TIMELINE)?,
            pieces: read_csv(dir, PIECES)?,
            faults: read_csv(dir, FAULTS)?,
            availability: read_availability(dir)?,
            summary: read_json(dir, SUMMARY)?,
            cost: read_cost(dir)?,
        })
    }
}

/// Writes `files` into `dir`, each whole or not at all, in the order given.
pub(crate) fn write_files(dir: &Path, files: &[(&str, Vec<u8>)]) -> Result<(), RecordError> {
    fs::create_dir_all(dir).map_err(|source| RecordError::io("make the folder", dir, source))?;
    let result = place_files(dir, files);
    if result.is_err() {
        for (name, _) in files {
            // The error that is on its way to the caller says what went wrong; this is only tidying up.
            let _ = fs::remove_file(part_path(dir, name));
        }
    }
    result
}

fn place_files(dir: &Path, files: &[(&str, Vec<u8>)]) -> Result<(), RecordError> {
    for (name, bytes) in files {
        fs::write(part_path(dir, name), bytes)
            .map_err(|source| RecordError::io("write", dir.join(name), source))?;
    }
    for (name, _) in files {
        fs::rename(part_path(dir, name), dir.join(name))
            .map_err(|source| RecordError::io("write", dir.join(name), source))?;
    }
    Ok(())
}

fn part_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!(".{name}.part"))
}

pub(crate) fn csv_bytes<T: Serialize>(dir: &Path, name: &str, rows: &[T]) -> Result<Vec<u8>, RecordError> {
    let unwritable = |why: String| RecordError::Unwritable { path: dir.join(name), why };
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| writer.serialize(row)).map_err(|error| unwritable(error.to_string()))?;
    writer.into_inner().map_err(|error| unwritable(error.to_string()))
}

pub(crate) fn json_bytes<T: Serialize>(dir: &Path, name: &str, value: &T) -> Result<Vec<u8>, RecordError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| RecordError::Unwritable { path: dir.join(name), why: error.to_string() })?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn read_text(dir: &Path, name: &str) -> Result<String, RecordError> {
    let path = dir.join(name);
    fs::read_to_string(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => RecordError::Missing {
            path,
            files: [RUN, SCENARIO, SUMMARY, PEERS, TIMELINE, PIECES, FAULTS, AVAILABILITY].join(", "),
        },
        _ => RecordError::io("read", path, source),
    })
}

fn read_csv<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<Vec<T>, RecordError> {
    let text = read_text(dir, name)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().cloned().unwrap_or_default();
    reader.deserialize().map(|row| row.map_err(|error| csv_error(dir.join(name), &headers, &error))).collect()
}

fn csv_error(path: PathBuf, headers: &csv::StringRecord, error: &csv::Error) -> RecordError {
    let line = error.position().map_or(1, csv::Position::line);
    let (at, why) = match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => {
            let column = err.field().and_then(|field| headers.get(usize::try_from(field).ok()?));
            (column.map_or_else(String::new, |name| format!("column \"{name}\": ")), err.kind().to_string())
        }
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            (String::new(), format!("the row has {len} cells, and the header has {expected_len}"))
        }
        _ => (String::new(), error.to_string()),
    };
    RecordError::Csv { path, line, at, why }
}

fn read_availability(dir: &Path) -> Result<AvailabilityMap, RecordError> {
    AvailabilityMap::from_csv(&read_text(dir, AVAILABILITY)?).map_err(|(line, why)| RecordError::Csv {
        path: dir.join(AVAILABILITY),
        line,
        at: String::new(),
        why,
    })
}

pub(crate) fn read_json<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T, RecordError> {
    serde_json::from_str(&read_text(dir, name)?).map_err(|error| RecordError::Json {
        path: dir.join(name),
        line: error.line(),
        column: error.column(),
        why: without_position(&error.to_string()).to_owned(),
    })
}

/// `serde_json` repeats the position at the end of its message.
fn without_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(why, _)| why)
}

/// Looks at the format before anything else: a folder of another format may well be malformed in this one.
fn check_format(dir: &Path) -> Result<(), RecordError> {
    let run: serde_json::Value = read_json(dir, RUN)?;
    match run.get("format").and_then(serde_json::Value::as_u64) {
        Some(found) if found != u64::from(FORMAT) => {
            Err(RecordError::Format { path: dir.join(RUN), found, expected: FORMAT })
        }
        _ => Ok(()),
    }
}

fn read_cost(dir: &Path) -> Result<Option<Cost>, RecordError> {
    match read_json(dir, COST) {
        Ok(cost) => Ok(Some(cost)),
        Err(RecordError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
