//! Pickers written in Lua.
//!
//! Lua, and not a language in Rust: the same loop over 256 pieces took 6 µs a call in Lua 5.4 and 90 to 110 µs in rhai
//! 1.27, on one machine in one run.
//!
//! A script has `math` without its random numbers, `table`, `ipairs` and what is listed in `docs/reference/strategies.md`,
//! and nothing else: no file, no clock, no other module, and nothing whose order or value differs from run to run
//! (`pairs`, addresses in `tostring`). Each host has a Lua state of its own, with bounded memory, and each call a bounded
//! number of instructions.

use std::fmt;
use std::sync::{Arc, Mutex};

use mlua::{Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Value, VmState};
use serde::Deserialize;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::picker::{PeerView, Picker, SwarmView};
use torrentlab_engine::units::PieceIndex;

use crate::registry::Params;

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

/// The parameters of `script`: the loader puts the text of the file there.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptParams {
    file: String,
    text: String,
}

impl Params for ScriptParams {
    fn check(&self) -> Result<(), String> {
        self.load().map(drop)
    }
}

impl ScriptParams {
    /// A state in which the script has run, and its function.
    fn load(&self) -> Result<(Lua, Function), String> {
        let told = |error: mlua::Error| words(&self.file, &error);
        let lua = Lua::new_with(StdLib::MATH | StdLib::TABLE, LuaOptions::default()).map_err(told)?;
        confine(&lua).map_err(told)?;
        limit(&lua).map_err(told)?;
        lua.load(&self.text).set_name(format!("={}", self.file)).exec().map_err(told)?;
        let pick: Value = lua.globals().get("pick").map_err(told)?;
        let Value::Function(pick) = pick else {
            return Err(format!("{}: there is no function `pick(pieces, copies, want, swarm)`", self.file));
        };
        Ok((lua, pick))
    }

    /// A picker for one host.
    pub fn picker(self, complaints: Complaints) -> Script {
        let (lua, pick) = self.load().expect("the script was checked");
        Script { file: self.file, lua, pick, complaints, failed: false }
    }
}

/// A picker that asks a script.
pub struct Script {
    file: String,
    lua: Lua,
    pick: Function,
    complaints: Complaints,
    failed: bool,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Script {
    fn ask(
        &self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        dice: &mut Dice,
    ) -> Result<Vec<PieceIndex>, String> {
        let told = |error: mlua::Error| words(&self.file, &error);
        let offered: Vec<PieceIndex> = view.offered_by(peer).collect();
        let pieces: Vec<u32> = offered.iter().map(|piece| piece.get() as u32).collect();
        let copies: Vec<u32> = offered.iter().map(|&piece| view.availability.copies_of(piece)).collect();
        let swarm = self.lua.create_table().map_err(told)?;
        let set = |name: &str, value: f64| swarm.set(name, value).map_err(told);
        set("pieces", f64::from(view.have.len()))?;
        set("have", f64::from(view.have.count()))?;
        set("now_s", view.now.as_secs_f64())?;
        set("rate_down", peer.rate_down as f64)?;
        limit(&self.lua).map_err(told)?;
        let picked: Vec<u32> = self
            .lua
            .scope(|scope| {
                let mut throw = |sides: u64| if sides == 0 { 0 } else { dice.below(sides) + 1 };
                swarm.set("dice", scope.create_function_mut(move |_, sides: u64| Ok(throw(sides)))?)?;
                self.pick.call((pieces, copies, want, &swarm))
            })
            .map_err(told)?;
        let mut out: Vec<PieceIndex> = Vec::new();
        for piece in picked.into_iter().map(PieceIndex) {
            if offered.binary_search(&piece).is_err() {
                let what = "which is not among `pieces`";
                return Err(format!("{}: `pick` gave piece {piece}, {what}", self.file));
            }
            if !out.contains(&piece) {
                out.push(piece);
            }
        }
        out.truncate(want);
        Ok(out)
    }
}

impl Picker for Script {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        if self.failed {
            return;
        }
        match self.ask(view, peer, want, dice) {
            Ok(picked) => out.extend(picked),
            Err(what) => {
                self.failed = true;
                self.complaints.file(what);
            }
        }
    }
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
