//! The folder of a comparison, and the runs that it keeps.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::plan::Plan;
use crate::Failure;

const PLAN: &str = "plan.toml";
const ELSEWHERE: &str = "choose another folder with --out, or take this one away";

/// `OUT/<scenario>-compare`, with a file for each finished run: `kept/<cell>/<seed>.json`.
pub struct Store {
    dir: PathBuf,
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
        Ok(Self { dir })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the runs are kept.
    pub fn kept(&self) -> PathBuf {
        self.dir.join("kept")
    }
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
