//! Strategies by name: the built-in ones, and those that a user's crate adds.

use std::collections::BTreeMap;
use std::fmt;

use torrentlab_engine::choker::{
    ChokeView, Choker, Libtorrent, LibtorrentConfig, Slot, Standard, StandardConfig,
};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::Node;
use torrentlab_engine::picker::{Picker, Random, RarestFirst, Sequential};
use torrentlab_engine::time::Instant;
use torrentlab_engine::torrent::{Setup, Torrent};

/// What a choker is made from.
#[derive(Clone, Copy, Debug)]
pub struct ChokerSetup {
    /// When its host joins.
    pub now: Instant,
    /// The slots and times that the scenario gives.
    pub config: StandardConfig,
    /// Bytes that a seed sends to one peer before another has its turn, where its choker counts them.
    pub seeding_quota: u64,
}

type MakePicker = Box<dyn Fn() -> Box<dyn Picker> + Send + Sync>;
type MakeChoker = Box<dyn Fn(&ChokerSetup, &mut Dice) -> Box<dyn Choker> + Send + Sync>;

type MakeNode = Box<dyn Fn(Setup, Instant) -> Box<dyn Node> + Send + Sync>;

/// The strategies that scenarios can name, and the nodes that take the engine's place.
pub struct Registry {
    nodes: BTreeMap<String, MakeNode>,
    pickers: BTreeMap<String, MakePicker>,
    chokers: BTreeMap<String, MakeChoker>,
}

impl Default for Registry {
    /// The strategies that the engine ships.
    fn default() -> Self {
        let mut registry =
            Self { nodes: BTreeMap::new(), pickers: BTreeMap::new(), chokers: BTreeMap::new() };
        registry.register_picker("rarest-first", || Box::new(RarestFirst::default()));
        registry.register_picker("random", || Box::new(Random));
        registry.register_picker("sequential", || Box::new(Sequential));
        registry.register_choker("tit-for-tat", |setup, dice| {
            Box::new(Standard::new(setup.config, setup.now, dice))
        });
        registry.register_choker("libtorrent", |setup, dice| {
            Box::new(Libtorrent::new(libtorrent(setup), setup.now, dice))
        });
        registry.register_choker("nobody", |_, _| Box::new(Nobody));
        registry
    }
}

impl Registry {
    /// Adds a picker, or puts it in the place of another of that name.
    pub fn register_picker(
        &mut self,
        name: &str,
        make: impl Fn() -> Box<dyn Picker> + Send + Sync + 'static,
    ) {
        self.pickers.insert(name.to_owned(), Box::new(make));
    }

    /// Adds a choker, or puts it in the place of another of that name.
    pub fn register_choker(
        &mut self,
        name: &str,
        make: impl Fn(&ChokerSetup, &mut Dice) -> Box<dyn Choker> + Send + Sync + 'static,
    ) {
        self.chokers.insert(name.to_owned(), Box::new(make));
    }

    /// Runs another node than the engine's on the hosts of `class`: a [`Script`](crate::script::Script), a decorated
    /// engine, or somebody else's. `make` is given what the engine would be made from, at each stay of a host.
    pub fn register_node(
        &mut self,
        class: &str,
        make: impl Fn(Setup, Instant) -> Box<dyn Node> + Send + Sync + 'static,
    ) {
        self.nodes.insert(class.to_owned(), Box::new(make));
    }

    /// A new node for a host of `class` that joins at `now`.
    pub fn node(&self, class: &str, setup: Setup, now: Instant) -> Box<dyn Node> {
        match self.nodes.get(class) {
            Some(make) => make(setup, now),
            None => Box::new(Torrent::new(setup, now)),
        }
    }

    /// The names of all pickers, in order.
    pub fn pickers(&self) -> impl Iterator<Item = &str> {
        self.pickers.keys().map(String::as_str)
    }

    /// The names of all chokers, in order.
    pub fn chokers(&self) -> impl Iterator<Item = &str> {
        self.chokers.keys().map(String::as_str)
    }

    /// A new picker of this name.
    pub fn picker(&self, name: &str) -> Option<Box<dyn Picker>> {
        self.pickers.get(name).map(|make| make())
    }

    /// A new choker of this name.
    pub fn choker(&self, name: &str, setup: &ChokerSetup, dice: &mut Dice) -> Option<Box<dyn Choker>> {
        self.chokers.get(name).map(|make| make(setup, dice))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.pickers()).entries(self.chokers()).finish()
    }
}

fn libtorrent(setup: &ChokerSetup) -> LibtorrentConfig {
    let StandardConfig { slots, optimistic, rechoke_every, rotate_every } = setup.config;
    let optimistic_every = rechoke_every * u64::from(rotate_every);
    LibtorrentConfig { slots, optimistic, rechoke_every, optimistic_every, quota: setup.seeding_quota }
}

/// Serves nobody: a free rider.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Choker for Nobody {
    fn decide(&mut self, _: &ChokeView<'_>, _: Instant, _: &mut Dice, _: &mut Vec<Slot>) {}

    fn next_decision(&self) -> Instant {
        Instant::NEVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_strategies_and_others_to_nothing() {
        let mut registry = Registry::default();
        let setup = ChokerSetup { now: Instant::ZERO, config: StandardConfig::default(), seeding_quota: 0 };
        let mut dice = Dice::stream(1, ("test", 0, "choker"));
        for picker in registry.pickers() {
            assert!(registry.picker(picker).is_some());
        }
        assert!(registry.picker("mine").is_none());
        registry.register_picker("mine", || Box::new(Sequential));
        assert!(registry.picker("mine").is_some());
        assert!(registry.choker("mine", &setup, &mut dice).is_none());
        let shipped = registry.choker("tit-for-tat", &setup, &mut dice).unwrap();
        assert!(shipped.next_decision() < Instant::NEVER);
        registry.register_choker("tit-for-tat", |_, _| Box::new(Nobody));
        let replaced = registry.choker("tit-for-tat", &setup, &mut dice).unwrap();
        assert_eq!(replaced.next_decision(), Instant::NEVER);
    }
}
