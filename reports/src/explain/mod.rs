//! The folder `explain/` of a run: for each host that was asked why, a table and a text to read. Both grow as the run
//! goes on, so that nothing is held in memory.

#![expect(clippy::disallowed_types, reason = "what hosts say is written as it comes")]

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::record::{Explanation, ReasonRow, RecordError};

const FOLDER: &str = "explain";
const PART: &str = ".explain.part";

/// A decision as people read it: on a line and, if it is about peers, one more for each of the first.
pub fn explanation_text(explanation: &Explanation) -> String {
    text::render(explanation)
}

/// Writes what hosts say.
#[derive(Debug)]
pub struct ExplainWriter {
    dir: PathBuf,
    hosts: BTreeMap<String, HostFiles>,
}

#[derive(Debug)]
struct HostFiles {
    table: csv::Writer<BufWriter<File>>,
    text: BufWriter<File>,
    decisions: u64,
}

impl ExplainWriter {
    /// Begins the files of `hosts` below the run folder `dir`, beside those that may be there from before.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn create(dir: &Path, hosts: &[String]) -> Result<Self, RecordError> {
        let part = dir.join(PART);
        remove(&part)?;
        fs::create_dir_all(&part).map_err(|source| RecordError::io("make the folder", &part, source))?;
        let open = |host: &str, ending| {
            let path = part.join(format!("{host}.{ending}"));
            File::create(&path).map(BufWriter::new).map_err(|source| RecordError::io("write", path, source))
        };
        let mut writer = Self { dir: dir.to_owned(), hosts: BTreeMap::new() };
        // Each once, however often it was named.
        for host in BTreeSet::from_iter(hosts) {
            let table = csv::WriterBuilder::new().has_headers(false).from_writer(open(host, "csv")?);
            let files = HostFiles { table, text: open(host, "txt")?, decisions: 0 };
            writer.hosts.insert(host.clone(), files);
            writer.of(host, |files| files.table.write_record(ReasonRow::COLUMNS).map_err(io::Error::from))?;
        }
        Ok(writer)
    }

    /// Adds a decision of `host`, and numbers it.
    ///
    /// # Errors
    /// Where a file cannot be written, or the host is none of those that were named.
    pub fn write(&mut self, host: &str, mut explanation: Explanation) -> Result<(), RecordError> {
        self.of(host, |files| {
            files.decisions += 1;
            explanation.rows.iter_mut().for_each(|row| row.decision = files.decisions);
            explanation.rows.iter().try_for_each(|row| files.table.serialize(row))?;
            files.text.write_all(text::render(&explanation).as_bytes())
        })
    }

    /// Puts the files in the place of those from before.
    ///
    /// # Errors
    /// Where they cannot be written to the end.
    pub fn finish(mut self) -> Result<(), RecordError> {
        for host in self.hosts.keys().cloned().collect::<Vec<_>>() {
            self.of(&host, |files| files.table.flush().and_then(|()| files.text.flush()))?;
        }
        Self::forget(&self.dir)?;
        let (part, whole) = (self.dir.join(PART), self.dir.join(FOLDER));
        fs::rename(&part, &whole).map_err(|source| RecordError::io("write", whole, source))
    }

    /// Gives up what was written: the run has no result.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn abandon(self) -> Result<(), RecordError> {
        remove(&self.dir.join(PART))
    }

    /// Removes what hosts said in an earlier run with its results in `dir`.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn forget(dir: &Path) -> Result<(), RecordError> {
        remove(&dir.join(FOLDER))
    }

    fn of(
        &mut self,
        host: &str,
        write: impl FnOnce(&mut HostFiles) -> io::Result<()>,
    ) -> Result<(), RecordError> {
        let path = self.dir.join(FOLDER).join(format!("{host}.csv"));
        let files = self.hosts.get_mut(host).ok_or(io::ErrorKind::NotFound.into());
        files.and_then(write).map_err(|source| RecordError::io("write", path, source))
    }
}

/// Removes a folder, if it is there.
fn remove(path: &Path) -> Result<(), RecordError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(RecordError::io("remove", path, source))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Decision, Outcome};

    pub(super) fn row(piece: u32, outcome: Outcome, score: f64, rank: u32, equals: u32) -> ReasonRow {
        ReasonRow {
            piece: Some(piece),
            outcome,
            score: Some(score),
            score_of: "copies".to_owned(),
            rank: Some(rank),
            equals: Some(equals),
            candidates: 9,
            peer: "leecher-3".to_owned(),
            ..ReasonRow::new(12.5, Decision::Pick)
        }
    }

    fn explanation() -> Explanation {
        Explanation { rows: vec![row(17, Outcome::Picked, 2.0, 1, 1)], next: None }
    }

    #[test]
    fn what_is_written_can_be_read_and_is_in_place_at_the_end_alone() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = ["leecher-1", "leecher-2", "leecher-1"].map(str::to_owned);
        let mut writer = ExplainWriter::create(dir.path(), &hosts).unwrap();
        writer.write("leecher-1", explanation()).unwrap();
        writer.write("leecher-1", explanation()).unwrap();
        assert!(writer.write("leecher-9", explanation()).is_err());
        assert!(!dir.path().join(FOLDER).exists());
        writer.finish().unwrap();
        let table = |host: &str| {
            let path = dir.path().join(FOLDER).join(format!("{host}.csv"));
            let mut reader = csv::Reader::from_path(path).unwrap();
            assert_eq!(reader.headers().unwrap(), &ReasonRow::COLUMNS[..]);
            reader.deserialize().collect::<Result<Vec<ReasonRow>, _>>().unwrap()
        };
        let numbered = |decision| ReasonRow { decision, ..explanation().rows[0].clone() };
        assert_eq!(table("leecher-1"), [numbered(1), numbered(2)]);
        assert_eq!(table("leecher-2"), [], "a host that decided nothing has a table without rows");
        let text = fs::read_to_string(dir.path().join("explain/leecher-1.txt")).unwrap();
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn an_abandoned_run_leaves_what_was_there_and_a_new_one_replaces_it() {
        let dir = tempfile::tempdir().unwrap();
        let writer = |host: &str| ExplainWriter::create(dir.path(), &[host.to_owned()]).unwrap();
        let there = || {
            let names = fs::read_dir(dir.path().join(FOLDER)).unwrap();
            let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            (names, dir.path().join(PART).exists())
        };
        writer("a-1").finish().unwrap();
        writer("b-1").abandon().unwrap();
        assert_eq!(there(), (vec!["a-1.csv".into(), "a-1.txt".into()], false));
        writer("b-1").finish().unwrap();
        assert_eq!(there(), (vec!["b-1.csv".into(), "b-1.txt".into()], false));
        ExplainWriter::forget(dir.path()).unwrap();
        assert!(!dir.path().join(FOLDER).exists());
    }
}
