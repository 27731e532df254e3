//! The strategies that are shipped, by the names and parameters of `docs/reference/strategies.md`.

mod chokers;
mod late;

use serde::Deserialize;
use torrentlab_engine::choker::{ChokeView, Choker, Slot};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::picker::{
    Deadline, Inside, MostCommonFirst, Random, RarestFirst, Sequential, Streaming,
};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_scenarios::units::Span;

use crate::census::GlobalRarestFirst;
use crate::lua::PickParams;
use crate::registry::{NoParams, Params, Registry};

pub(crate) fn register(registry: &mut Registry) {
    registry.register_picker_with("rarest-first", |params: RarestFirstParams, _| {
        Box::new(RarestFirst { random_first: params.random_first })
    });
    registry.register_picker("random", || Box::new(Random));
    registry.register_picker("sequential", || Box::new(Sequential));
    registry.register_picker("most-common-first", || Box::new(MostCommonFirst));
    registry.register_picker_with("global-rarest-first", |NoParams {}, setup| {
        Box::new(GlobalRarestFirst::new(setup.census.clone()))
    });
    registry.register_picker_with("streaming", |params: StreamingParams, setup| {
        Box::new(params.picker(setup.geometry.pieces()))
    });
    registry.register_picker_with("script", |params: PickParams, setup| {
        Box::new(params.picker(setup.complaints.clone()))
    });
    registry.register_picker_with("deadline", |params: DeadlineParams, setup| {
        let player = setup.player.expect("it is checked that somebody watches");
        let ahead = Duration::from_nanos(params.ahead.as_nanos());
        Box::new(Deadline::new(player.piece_time, player.buffer, ahead))
    });
    chokers::register(registry);
}

/// The parameters of `rarest-first`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RarestFirstParams {
    /// Pieces that are picked at random at first.
    random_first: u32,
}

impl Default for RarestFirstParams {
    fn default() -> Self {
        Self { random_first: RarestFirst::default().random_first }
    }
}

impl Params for RarestFirstParams {}

/// The parameters of `streaming`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StreamingParams {
    /// How likely a piece is taken from the window.
    p: f64,
    /// Missing pieces in the window; without it, 8% of all.
    window: Option<u32>,
    /// In which order those of the window are taken.
    inside: InsideParam,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum InsideParam {
    InOrder,
    RarestFirst,
}

impl Default for StreamingParams {
    /// What the paper on BiToS recommends.
    fn default() -> Self {
        Self { p: 0.8, window: None, inside: InsideParam::RarestFirst }
    }
}

impl StreamingParams {
    fn picker(&self, pieces: u32) -> Streaming {
        Streaming {
            p: self.p,
            window: self.window.unwrap_or_else(|| (pieces * 2).div_ceil(25)),
            inside: match self.inside {
                InsideParam::InOrder => Inside::InOrder,
                InsideParam::RarestFirst => Inside::RarestFirst,
            },
        }
    }
}

impl Params for StreamingParams {
    fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.p) {
            return Err(format!("`p` is {}: a probability is 0 to 1", self.p));
        }
        match self.window {
            Some(0) => Err("`window` is 0: write the pieces that it holds, such as 20".to_owned()),
            _ => Ok(()),
        }
    }
}

/// The parameters of `deadline`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DeadlineParams {
    /// What is played within this time is urgent.
    ahead: Span,
}

impl Default for DeadlineParams {
    fn default() -> Self {
        Self { ahead: Span::from_secs(10) }
    }
}

impl Params for DeadlineParams {
    const NEEDS_PLAYER: bool = true;
}

/// Serves nobody: a free rider.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Choker for Nobody {
    fn decide(&mut self, view: &ChokeView<'_>, _: Instant, _: &mut Dice, _: &mut Vec<Slot>) {
        view.why.remark("serves nobody");
    }

    fn next_decision(&self) -> Instant {
        Instant::NEVER
    }
}
