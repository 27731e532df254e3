//! The folder that runs leave their results in.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use torrentlab_reports::compare::CellRun;
use torrentlab_reports::record::RunRecord;
use torrentlab_reports::{Aggregate, write_report, write_runs};

use crate::Failure;

/// The link to the last run.
const LATEST: &str = "latest";
/// What a run failed of, in its folder.
pub(crate) const FAILURE: &str = "failure.txt";

/// `OUT/<scenario>`, with a folder for each seed, and the link `OUT/latest`.
pub(crate) struct Results {
    out: PathBuf,
    scenario: String,
}

impl Results {
    /// Makes the folder, so that a place that does not do is known before anything has run.
    pub fn claim(out: &Path, scenario: &str) -> Result<Self, Failure> {
        if scenario == LATEST {
            let error = anyhow!("a scenario cannot be called `{LATEST}`: the link to the last run is");
            return Err(Failure::input(error, "give it another `name`"));
        }
        check_link(&out.join(LATEST))?;
        let results = Self { out: out.to_owned(), scenario: scenario.to_owned() };
        let folder = results.folder();
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))
            .map_err(|error| Failure::failed(error, Failure::ELSEWHERE))?;
        Ok(results)
    }

    /// Where the runs of this scenario are.
    pub fn folder(&self) -> PathBuf {
        self.out.join(&self.scenario)
    }

    /// Where the run with this seed is.
    pub fn of_seed(&self, seed: u64) -> PathBuf {
        self.folder().join(seed.to_string())
    }

    /// Writes a run's record, plots and page.
    pub fn keep(&self, record: &RunRecord) -> Result<(), Failure> {
        let dir = self.of_seed(record.summary.seed);
        record.write(&dir).map_err(|error| Failure::unwritable(&error))?;
        write_report(record, &dir).map_err(|error| Failure::unwritable(&error))?;
        match fs::remove_file(dir.join(FAILURE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(unwritable(&dir.join(FAILURE), error)),
            _ => Ok(()),
        }
    }

    /// Writes what the run with this seed failed of, and how to see it again.
    pub fn keep_failure(&self, seed: u64, text: &str) -> Result<(), Failure> {
        let dir = self.of_seed(seed);
        // An earlier run's would pass for this one's.
        for name in ["run.json", "summary.json", "report.html"] {
            let path = dir.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(unwritable(&path, error)),
                _ => {}
            }
        }
        let path = dir.join(FAILURE);
        let written = fs::create_dir_all(&dir).and_then(|()| fs::write(&path, text));
        written.map_err(|error| unwritable(&path, error))
    }

    /// Writes what several runs have in common, and the plot over all of them.
    pub fn keep_aggregate(&self, aggregate: &Aggregate, runs: &[CellRun]) -> Result<(), Failure> {
        aggregate.write(&self.folder()).map_err(|error| Failure::unwritable(&error))?;
        write_runs(aggregate, runs, &self.folder()).map_err(|error| Failure::unwritable(&error))?;
        Ok(())
    }

    /// Makes `OUT/latest` point at the run with this seed, in one step.
    pub fn point_latest(&self, seed: u64) -> Result<(), Failure> {
        let (link, new) = (self.out.join(LATEST), self.out.join(".latest.part"));
        let target = Path::new(&self.scenario).join(seed.to_string());
        let make = || {
            match fs::remove_file(&new) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => symlink(target, &new)?,
            }
            check_link(&link).map_or(Err(ErrorKind::AlreadyExists.into()), |()| fs::rename(&new, &link))
        };
        make()
            .with_context(|| format!("cannot make the link {}", link.display()))
            .map_err(|error| Failure::failed(error, Failure::ELSEWHERE))
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Failure {
    let error = anyhow!(error).context(format!("cannot write {}", path.display()));
    Failure::failed(error, Failure::ELSEWHERE)
}

/// The error gives its cause itself.
/// Whatever the user keeps in the link's place stays.
fn check_link(link: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(link) {
        Ok(found) if !found.is_symlink() => {
            let error = anyhow!("{} is in the way of the link to the last run", link.display());
            Err(Failure::failed(error, format!("move it, or {}", Failure::ELSEWHERE)))
        }
        _ => Ok(()),
    }
}
