//! Pickers: a script with a function `pick`.

use mlua::Value;
use serde::Deserialize;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::picker::{PeerView, Picker, SwarmView};
use torrentlab_engine::units::PieceIndex;

use super::sandbox::{Complaints, Loaded, Refusal, Source, scores};
use crate::registry::Params;

/// The parameters of the picker `script`.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct PickParams(Source);

impl Params for PickParams {
    fn check(&self) -> Result<(), String> {
        self.load().map(drop)
    }
}

impl PickParams {
    fn load(&self) -> Result<Loaded, String> {
        self.0.load("pick", "pieces, copies, want, swarm")
    }

    /// A picker for one host.
    pub fn picker(self, complaints: Complaints) -> PickScript {
        PickScript { script: self.load().expect("the script was checked"), complaints }
    }
}

/// A picker that asks a script.
#[derive(Debug)]
pub struct PickScript {
    script: Loaded,
    complaints: Complaints,
}

fn ask(
    script: &Loaded,
    view: &SwarmView<'_>,
    peer: &PeerView<'_>,
    want: usize,
    dice: &mut Dice,
) -> Result<Vec<PieceIndex>, Refusal> {
    let offered: Vec<PieceIndex> = view.offered_by(peer).collect();
    let pieces: Vec<u32> = offered.iter().map(|piece| piece.get() as u32).collect();
    let copies: Vec<u32> = offered.iter().map(|&piece| view.availability.copies_of(piece)).collect();
    let swarm = script.lua.create_table()?;
    swarm.set("pieces", view.have.len())?;
    swarm.set("have", view.have.count())?;
    swarm.set("now_s", view.now.as_secs_f64())?;
    swarm.set("rate_down", peer.rate_down)?;
    let mut throw = |sides: u64| if sides == 0 { 0 } else { dice.below(sides) + 1 };
    let (picked, said): (Vec<u32>, Value) = script.lua.scope(|scope| {
        swarm.set("dice", scope.create_function_mut(move |_, sides: u64| Ok(throw(sides)))?)?;
        script.function.call((pieces, copies, want, &swarm))
    })?;
    let mut out: Vec<PieceIndex> = Vec::new();
    for piece in picked.into_iter().map(PieceIndex) {
        if offered.binary_search(&piece).is_err() {
            let what = format!("`pick` gave piece {piece}, which is not among `pieces`");
            return Err(Refusal::Answer(what));
        }
        if !out.contains(&piece) {
            out.push(piece);
        }
    }
    out.truncate(want);
    view.why.largest_first(|| scores(&said, offered.iter().map(|&piece| (piece, piece.0))));
    Ok(out)
}

impl Picker for PickScript {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        let picked = self.script.ask(&self.complaints, |script| ask(script, view, peer, want, dice));
        out.extend(picked.into_iter().flatten());
    }
}
