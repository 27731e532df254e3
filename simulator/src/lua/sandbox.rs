//! What a script may do, and what becomes of one that tries more.
//!
//! A script has `math` without its random numbers, `table`, `ipairs` and what is listed in `docs/reference/strategies.md`,
//! and nothing else: no file, no clock, no other module, and nothing whose order or value differs from run to run
//! (`pairs`, addresses in `tostring`). Each host has a Lua state of its own, with bounded memory, and each call a bounded
//! number of instructions.

use std::fmt;
use std::sync::{Arc, Mutex};

use mlua::{Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Value, VmState};
use serde::Deserialize;
use torrentlab_engine::why::Reason;

/// Bytes that the state of a host may hold.
const MAX_MEMORY: usize = 16 << 20;
/// Instructions of one call, counted in steps.
const MAX_INSTRUCTIONS: u32 = 5_000_000;
const STEP: u32 = 10_000;
/// What a script may use of Lua's own.
const KEPT: [&str; 8] = ["assert", "error", "ipairs", "math", "select", "table", "tonumber", "type"];

/// Where the first strategy that fails says so, for the run to end. Clones are the same place.
#[derive(Clone, Debug, Default)]
pub struct Complaints(Arc<Mutex<Option<String>>>);

impl Complaints {
    /// What went wrong first, if anything did.
    pub fn first(&self) -> Option<String> {
        self.0.lock().expect("nothing panics with it").clone()
    }

    fn file(&self, what: String) {
        self.0.lock().expect("nothing panics with it").get_or_insert(what);
    }
}

/// The parameters of a script: the loader puts the text of the file there.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    file: String,
    text: String,
}

impl Source {
    /// A state in which the script has run, and its function `name`, which takes `arguments`.
    pub fn load(&self, name: &str, arguments: &str) -> Result<Loaded, String> {
        let told = |error: mlua::Error| words(&self.file, &error);
        let lua = Lua::new_with(StdLib::MATH | StdLib::TABLE, LuaOptions::default()).map_err(told)?;
        confine(&lua).map_err(told)?;
        limit(&lua).map_err(told)?;
        lua.load(&self.text).set_name(format!("={}", self.file)).exec().map_err(told)?;
        let function: Value = lua.globals().get(name).map_err(told)?;
        let Value::Function(function) = function else {
            return Err(format!("{}: there is no function `{name}({arguments})`", self.file));
        };
        Ok(Loaded { file: self.file.clone(), lua, function, has_failed: false })
    }
}

/// The script of one host, which has run.
pub(super) struct Loaded {
    file: String,
    pub lua: Lua,
    pub function: Function,
    pub has_failed: bool,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Loaded {
    /// Asks the script, which gets a new allowance; what it may not do is an error in words. `ask` is not called any
    /// more once it failed: the run is about to end.
    pub fn ask<T>(
        &mut self,
        complaints: &Complaints,
        ask: impl FnOnce(&Self) -> Result<T, Refusal>,
    ) -> Option<T> {
        if self.has_failed {
            return None;
        }
        match limit(&self.lua).map_err(Refusal::from).and_then(|()| ask(self)) {
            Ok(answer) => Some(answer),
            Err(refusal) => {
                self.has_failed = true;
                complaints.file(match refusal {
                    Refusal::Lua(error) => words(&self.file, &error),
                    Refusal::Answer(what) => format!("{}: {what}", self.file),
                });
                None
            }
        }
    }
}

/// Why the answer of a script does not do.
pub(super) enum Refusal {
    /// Lua says so.
    Lua(mlua::Error),
    /// It answers what it was not asked.
    Answer(String),
}

impl From<mlua::Error> for Refusal {
    fn from(error: mlua::Error) -> Self {
        Self::Lua(error)
    }
}

/// The reasons in the second value that a script returned: a table from candidates to scores, the largest first. What is
/// no number there is no reason, and no failure: nobody may have asked.
pub(super) fn scores<T, K: mlua::IntoLua>(
    scores: &Value,
    candidates: impl IntoIterator<Item = (T, K)>,
) -> Vec<Reason<T>> {
    let Value::Table(scores) = scores else { return Vec::new() };
    let reason = |(of, key)| {
        let score: f64 = scores.raw_get(key).ok()?;
        score.is_finite().then_some(Reason::new(of, score, "by the script"))
    };
    candidates.into_iter().filter_map(reason).collect()
}

/// Takes away what a script must not have.
fn confine(lua: &Lua) -> mlua::Result<()> {
    let globals = lua.globals();
    let names: Vec<String> =
        globals.pairs::<String, Value>().map(|pair| pair.map(|(name, _)| name)).collect::<Result<_, _>>()?;
    for name in names.iter().filter(|name| !KEPT.contains(&name.as_str())) {
        globals.set(name.as_str(), Value::Nil)?;
    }
    let math: Table = globals.get("math")?;
    math.set("random", Value::Nil)?;
    math.set("randomseed", Value::Nil)?;
    lua.set_memory_limit(MAX_MEMORY)?;
    Ok(())
}

/// Begins to count instructions anew.
fn limit(lua: &Lua) -> mlua::Result<()> {
    let mut left = MAX_INSTRUCTIONS / STEP;
    let count = Mutex::new(move || {
        left = left.saturating_sub(1);
        left > 0
    });
    lua.set_hook(HookTriggers::new().every_nth_instruction(STEP), move |_, _| {
        let mut count = count.lock().expect("nothing panics with it");
        if count() {
            return Ok(VmState::Continue);
        }
        let what = format!("it went on for more than {MAX_INSTRUCTIONS} instructions");
        Err(mlua::Error::RuntimeError(what))
    })
}

/// Lua's words, on one line; the script, and where it can be told the line, come first.
fn words(file: &str, error: &mlua::Error) -> String {
    let text = match error {
        mlua::Error::CallbackError { cause, .. } => cause.to_string(),
        other => other.to_string(),
    };
    let text = text.trim_start_matches("runtime error: ").trim_start_matches("syntax error: ");
    let line = text.lines().next().unwrap_or_default();
    if line.contains(file) { line.to_owned() } else { format!("{file}: {line}") }
}
