//! Chokers: a script with a function `unchoke`.

use mlua::{Lua, Table, Value};
use serde::Deserialize;
use torrentlab_engine::choker::{ChokeEvent, ChokePeer, ChokeView, Choker, Slot, StandardConfig};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::ConnId;

use super::sandbox::{Complaints, Loaded, Refusal, Source, scores};
use crate::registry::{ChokerSetup, Params};

/// A period that takes no time would never end.
const SHORTEST: Duration = Duration::from_millis(1);

/// The parameters of the choker `script`.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct UnchokeParams(Source);

impl Params for UnchokeParams {
    fn check(&self) -> Result<(), String> {
        self.load().map(drop)
    }
}

impl UnchokeParams {
    fn load(&self) -> Result<Loaded, String> {
        self.0.load("unchoke", "peers, slots, swarm")
    }

    /// A choker for one host.
    pub fn choker(self, setup: &ChokerSetup, dice: &mut Dice) -> UnchokeScript {
        let every = setup.config.rechoke_every.max(SHORTEST);
        let phase = Duration::from_nanos(dice.below(every.as_nanos()));
        UnchokeScript {
            script: self.load().expect("the script was checked"),
            complaints: setup.complaints.clone(),
            config: StandardConfig { rechoke_every: every, ..setup.config },
            slots: setup.config.slots.at_first(),
            next: setup.now + phase,
            spare: true,
        }
    }
}

/// A choker that asks a script: every `rechoke_every`, in a phase of its host's own, and in between when a slot is given
/// back, or somebody wants one while one is free.
#[derive(Debug)]
pub struct UnchokeScript {
    script: Loaded,
    complaints: Complaints,
    config: StandardConfig,
    slots: usize,
    next: Instant,
    /// Whether the script left a slot free, or one was given back since.
    spare: bool,
}

impl UnchokeScript {
    /// Whether a rechoke is due; a late call does not shift the phase.
    fn begin(&mut self, view: &ChokeView<'_>, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        let period = self.config.rechoke_every;
        self.next += period * (1 + now.since(self.next).as_nanos() / period.as_nanos());
        self.slots = self.config.slots.count(view);
        true
    }
}

impl Choker for UnchokeScript {
    fn decide(&mut self, view: &ChokeView<'_>, now: Instant, dice: &mut Dice, out: &mut Vec<Slot>) {
        let question = Question { view, now, rechoke: self.begin(view, now), slots: self.slots };
        let dealt =
            self.script.ask(&self.complaints, |script| question.ask(script, dice)).unwrap_or_default();
        self.spare = dealt.len() < self.slots;
        out.extend(dealt);
    }

    fn next_decision(&self) -> Instant {
        if self.script.has_failed { Instant::NEVER } else { self.next }
    }

    fn on_event(&mut self, event: ChokeEvent, _now: Instant, _dice: &mut Dice) -> bool {
        match event {
            ChokeEvent::Left { unchoked, .. } | ChokeEvent::NotInterested { unchoked, .. } => {
                self.spare |= unchoked;
                unchoked
            }
            ChokeEvent::Interested { unchoked: false, .. } => self.spare,
            _ => false,
        }
    }
}

/// What a script is asked.
struct Question<'a> {
    view: &'a ChokeView<'a>,
    now: Instant,
    rechoke: bool,
    slots: usize,
}

impl Question<'_> {
    fn ask(&self, script: &Loaded, dice: &mut Dice) -> Result<Vec<Slot>, Refusal> {
        let lua = &script.lua;
        let peers =
            self.view.peers.iter().map(|peer| self.peer(lua, peer)).collect::<mlua::Result<Vec<_>>>()?;
        let swarm = self.swarm(lua)?;
        let mut throw = |sides: u64| if sides == 0 { 0 } else { dice.below(sides) + 1 };
        let (served, said): (Vec<Value>, Value) = lua.scope(|scope| {
            swarm.set("dice", scope.create_function_mut(move |_, sides: u64| Ok(throw(sides)))?)?;
            script.function.call((peers, self.slots, &swarm))
        })?;
        let mut dealt: Vec<Slot> = Vec::new();
        for answer in &served {
            let slot = self.slot(answer).map_err(Refusal::Answer)?;
            if dealt.iter().all(|other| other.conn != slot.conn) {
                dealt.push(slot);
            }
        }
        if dealt.len() > self.slots {
            let what = format!("`unchoke` gave {} peers, and `slots` is {}", dealt.len(), self.slots);
            return Err(Refusal::Answer(what));
        }
        self.view
            .why
            .largest_first(|| scores(&said, self.view.peers.iter().map(|peer| (peer.conn, id(peer.conn)))));
        Ok(dealt)
    }

    fn peer(&self, lua: &Lua, peer: &ChokePeer) -> mlua::Result<Table> {
        let table = lua.create_table_with_capacity(0, 16)?;
        table.raw_set("id", id(peer.conn))?;
        table.raw_set("interested", peer.interested)?;
        table.raw_set("interesting", peer.interesting)?;
        table.raw_set("choking", peer.choking)?;
        table.raw_set("snubbed", peer.snubbed)?;
        table.raw_set("seed", peer.seed)?;
        table.raw_set("pieces", peer.pieces)?;
        table.raw_set("rate_down", peer.rate_down)?;
        table.raw_set("rate_up", peer.rate_up)?;
        table.raw_set("received", peer.received)?;
        table.raw_set("sent", peer.sent)?;
        let since = self.now.since(peer.changed_at.max(peer.joined_at)).as_secs_f64();
        table.raw_set("since_s", since)?;
        table.raw_set(
            "slot",
            match peer {
                ChokePeer { unchoked: false, .. } => None,
                ChokePeer { optimistic: true, .. } => Some("optimistic"),
                _ => Some("regular"),
            },
        )?;
        Ok(table)
    }

    fn swarm(&self, lua: &Lua) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        table.raw_set("now_s", self.now.as_secs_f64())?;
        table.raw_set("rechoke", self.rechoke)?;
        table.raw_set("seeding", self.view.seeding)?;
        table.raw_set("pieces", self.view.pieces)?;
        table.raw_set("piece_bytes", self.view.piece_len)?;
        table.raw_set("rate_up", self.view.rate_up)?;
        table.raw_set("limit_up", self.view.limit_up)?;
        Ok(table)
    }

    /// An entry of what `unchoke` returned: an `id`, or a table with one.
    fn slot(&self, answer: &Value) -> Result<Slot, String> {
        let (key, optimistic, cap) = match answer {
            Value::Table(table) => {
                let field = |name| table.raw_get::<Value>(name).unwrap_or(Value::Nil);
                (field("id"), field("optimistic"), field("cap"))
            }
            other => (other.clone(), Value::Nil, Value::Nil),
        };
        let conn = self.conn(&key)?;
        let optimistic = match optimistic {
            Value::Nil => false,
            Value::Boolean(optimistic) => optimistic,
            _ => return Err("`unchoke` gave an `optimistic` that is neither true nor false".to_owned()),
        };
        let cap = match cap {
            Value::Nil => None,
            Value::Integer(cap) if cap > 0 => Some(cap as u64),
            Value::Number(cap) if cap >= 1.0 && cap < u64::MAX as f64 => Some(cap as u64),
            _ => return Err("`unchoke` gave a `cap` that is no rate: write bytes/s, 1 or more".to_owned()),
        };
        Ok(Slot { conn, optimistic, cap })
    }

    fn conn(&self, key: &Value) -> Result<ConnId, String> {
        let wanted = match *key {
            Value::Integer(id) => id,
            Value::Number(id) if id.fract() == 0.0 => id as i64,
            ref other => {
                let what = other.type_name();
                return Err(format!("`unchoke` gave a {what} where the `id` of a peer was asked for"));
            }
        };
        let conn = self.view.peers.iter().map(|peer| peer.conn).find(|&conn| id(conn) == wanted);
        conn.ok_or_else(|| format!("`unchoke` gave {wanted}, which is the `id` of nobody in `peers`"))
    }
}

/// A number that no other connection of the host has or had.
fn id(conn: ConnId) -> i64 {
    (i64::from(conn.generation()) << 32) | (conn.slot() as i64 + 1)
}
