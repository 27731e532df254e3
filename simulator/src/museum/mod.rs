//! The bug museum: kinds of swarm bug that people really met, each planted in an engine that has none.
//!
//! | file | its part |
//! |---|---|
//! | `nodes` | engines whose inputs and outputs are meddled with |
//! | `strategies` | a picker and chokers that are wrong |
//! | `visitors` | peers that bring some of the bugs to light |
//!
//! Nothing here is a switch in the engine: each is a [`Mutant`], a strategy, or a setting that no
//! scenario can make. Scenarios in `scenarios/bugs/` name them as `hosts.<class>.node`, and docs/reference/museum.md tells
//! their stories.

mod nodes;
mod strategies;
mod visitors;

use torrentlab_engine::node::Node;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::torrent::{Setup, Torrent};

use crate::mutant::{Mutant, Rule};
use crate::registry::Registry;

/// As good as never.
const NEVER: Duration = Duration::from_secs(1 << 30);

/// Puts all exhibits into a registry.
pub(crate) fn register(registry: &mut Registry) {
    nodes::register(registry);
    strategies::register(registry);
    visitors::register(registry);
}

/// An engine under a rule.
fn under<R: Rule + 'static>(setup: Setup, now: Instant, rule: R) -> Box<dyn Node> {
    Box::new(Mutant::new(Torrent::new(setup, now), rule))
}
