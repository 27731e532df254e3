//! A finished run of a comparison, in a file of its own.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::grid::CellRun;
use crate::record::folder::{csv_bytes, json_bytes, write_files};
use crate::record::{FORMAT, PeerRow, RecordError, RunRecord, Summary};

/// What is kept of a run: enough to know that it is the one that is wanted, its figures, and its hosts.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRun {
    /// Version of the format of records.
    pub format: u32,
    /// The program that ran it, as [`KeptRun::is`] compares it; in no file that is made of the run.
    #[serde(default)]
    pub program: String,
    /// The scenario as it was run, its seed in it. The summary has version and backend.
    pub scenario_toml: String,
    /// Its figures.
    pub summary: Summary,
    /// `peers.csv` of the run.
    pub peers_csv: String,
}

impl KeptRun {
    /// What is to be kept of `record`, which this program made.
    ///
    /// # Errors
    /// Where a figure is infinite or not a number.
    pub fn new(record: &RunRecord, program: &str) -> Result<Self, RecordError> {
        let csv = csv_bytes(Path::new(""), "peers.csv", &record.peers)?;
        Ok(Self {
            format: FORMAT,
            program: program.to_owned(),
            scenario_toml: record.scenario_toml.clone(),
            summary: record.summary.clone(),
            peers_csv: String::from_utf8_lossy(&csv).into_owned(),
        })
    }

    /// Writes it to `dir/name`, whole or not at all.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn write(&self, dir: &Path, name: &str) -> Result<(), RecordError> {
        write_files(dir, &[(name, json_bytes(dir, name, self)?)])
    }

    /// Reads it; `None` where there is none.
    ///
    /// # Errors
    /// Where the file is malformed, or not to be read.
    pub fn read(path: &Path) -> Result<Option<Self>, RecordError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RecordError::io("read", path, error)),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| RecordError::Json {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
            why: error.to_string(),
        })
    }

    /// Whether it is the run of this scenario (the seed in it), by this very program and backend: two builds of one version
    /// may well differ in what they do.
    pub fn is(&self, scenario_toml: &str, program: &str, backend: &str) -> bool {
        self.format == FORMAT
            && self.scenario_toml == scenario_toml
            && self.program == program
            && self.summary.backend == backend
    }

    /// The columns of its hosts, and their cells.
    pub(super) fn peers(&self) -> csv::Result<(csv::StringRecord, Vec<csv::StringRecord>)> {
        let mut reader = csv::Reader::from_reader(self.peers_csv.as_bytes());
        Ok((reader.headers()?.clone(), reader.records().collect::<csv::Result<_>>()?))
    }

    /// What a comparison needs of it.
    pub(super) fn cell_run(&self) -> csv::Result<CellRun> {
        let mut reader = csv::Reader::from_reader(self.peers_csv.as_bytes());
        let peers: Vec<PeerRow> = reader.deserialize().collect::<csv::Result<_>>()?;
        Ok(CellRun::new(self.summary.clone(), &peers))
    }
}
