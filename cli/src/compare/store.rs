//! The folder of a comparison, and the runs that it keeps.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use torrentlab_reports::compare::KeptRun;
use torrentlab_reports::record::{RecordError, RunRecord};
use xxhash_rust::xxh3::xxh3_128;

use super::plan::Plan;
use crate::Failure;

const PLAN: &str = "plan.toml";
const ELSEWHERE: &str = "choose another folder with --out, or take this one away";

/// `OUT/<scenario>-compare`, with a file for each finished run: `kept/<cell>/<seed>.json`.
pub struct Store {
    dir: PathBuf,
    /// This program, as [`fingerprint`] has it.
    program: String,
}

/// What is there of a run.
pub enum Found {
    /// The run that is wanted.
    Same,
    /// None.
    Nothing,
    /// Something else: why it does not do.
    Other(String),
}

impl Store {
    /// Makes the folder for this plan. It may hold runs of the same plan, more or fewer of them; not of another.
    pub fn claim(out: &Path, scenario: &str, plan: &Plan) -> Result<Self, Failure> {
        let dir = out.join(format!("{scenario}-compare"));
        let path = dir.join(PLAN);
        if let Ok(text) = fs::read_to_string(&path) {
            check_same(&path, &text, plan)?;
        }
        let make = || {
            fs::create_dir_all(&dir)?;
            let part = dir.join(format!(".{PLAN}.part"));
            fs::write(&part, plan.to_toml().unwrap_or_default())?;
            fs::rename(part, &path)
        };
        make()
            .with_context(|| format!("cannot make the folder {}", dir.display()))
            .map_err(|error| Failure::failed(error, "choose another folder with --out"))?;
        Ok(Self { dir, program: fingerprint()? })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a run is kept.
    pub fn path(&self, cell: usize, seed: u64) -> PathBuf {
        self.cell(cell).join(name(seed))
    }

    /// Whether a run is kept, and is that of this scenario, program and backend.
    pub fn find(
        &self,
        cell: usize,
        seed: u64,
        scenario_toml: impl FnOnce() -> String,
        backend: &str,
    ) -> Found {
        let run = match KeptRun::read(&self.path(cell, seed)) {
            Ok(None) => return Found::Nothing,
            Ok(Some(run)) => run,
            Err(_) => return Found::Other("damaged".to_owned()),
        };
        let wanted = scenario_toml();
        if run.is(&wanted, &self.program, backend) {
            Found::Same
        } else if run.scenario_toml != wanted {
            Found::Other("of another scenario".to_owned())
        } else if run.program != self.program {
            Found::Other(format!("of another build of torrentlab ({})", run.summary.version))
        } else {
            Found::Other(format!("of the backend {}", run.summary.backend))
        }
    }

    /// Keeps a run of this program, whole or not at all.
    pub fn keep(&self, cell: usize, seed: u64, record: &RunRecord) -> Result<(), RecordError> {
        KeptRun::new(record, &self.program)?.write(&self.cell(cell), &name(seed))
    }

    fn cell(&self, cell: usize) -> PathBuf {
        self.dir.join("kept").join(cell.to_string())
    }
}

fn name(seed: u64) -> String {
    format!("{seed}.json")
}

/// What tells this build from all others: the hash of its file. The version does not, while the program is being worked on.
fn fingerprint() -> Result<String, Failure> {
    let read = || {
        // On Linux this is the file that runs, even where another was put in its place since.
        let running = Path::new("/proc/self/exe");
        if running.exists() { fs::read(running) } else { fs::read(env::current_exe()?) }
    };
    let bytes = read()
        .context("cannot read the program's own file, to know its runs again")
        .map_err(|error| Failure::failed(error, "give the program's file the permission to be read"))?;
    Ok(format!("{:032x}", xxh3_128(&bytes)))
}

/// Only the number of runs may change: all else would mix two experiments in one folder.
fn check_same(path: &Path, text: &str, plan: &Plan) -> Result<(), Failure> {
    let refuse = |what: String| {
        Err(Failure::input(
            anyhow!("{}: the folder holds another comparison: {what}", path.display()),
            ELSEWHERE,
        ))
    };
    let Ok(found) = toml::from_str::<Plan>(text) else {
        return refuse("its plan cannot be read".to_owned());
    };
    let axes = |plan: &Plan| {
        let axes = plan.vary.iter().map(|axis| format!("{}={}", axis.path, axis.values.join(",")));
        axes.collect::<Vec<_>>().join(" ")
    };
    let text = |version: &Option<String>| version.clone().unwrap_or_default();
    let seed = |seed: Option<u32>| seed.map_or_else(String::new, |seed| seed.to_string());
    let parts = [
        ("version", text(&found.version), text(&plan.version)),
        ("backend", format!("{:?}", found.backend), format!("{:?}", plan.backend)),
        ("first seed", seed(found.seed), seed(plan.seed)),
        ("--set", found.sets.join(" "), plan.sets.join(" ")),
        ("--vary", axes(&found), axes(plan)),
    ];
    if let Some((name, theirs, ours)) = parts.iter().find(|(_, theirs, ours)| theirs != ours) {
        return refuse(format!("its {name} is `{theirs}`, not `{ours}`"));
    }
    if found.scenario != plan.scenario {
        return refuse("its scenario has another text".to_owned());
    }
    Ok(())
}
