//! Strategies by name: the built-in ones, and those that a user's crate adds.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use torrentlab_engine::choker::{Choker, StandardConfig};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::Node;
use torrentlab_engine::picker::Picker;
use torrentlab_engine::time::Instant;
use torrentlab_engine::torrent::{Setup, Torrent};
use torrentlab_engine::units::Geometry;
use torrentlab_scenarios::Strategy;

use crate::census::Census;
use crate::lua::Complaints;
use crate::player::Player;
use crate::{museum, rogue, strategies};

/// What a picker is made from, beside its parameters.
#[derive(Clone, Debug)]
pub struct PickerSetup {
    /// When its host joins.
    pub now: Instant,
    /// The shape of the content.
    pub geometry: Geometry,
    /// Copies in the whole swarm, for oracles.
    pub census: Census,
    /// Who watches what comes, if anybody does.
    pub player: Option<Player>,
    /// Where a picker that fails says so.
    pub complaints: Complaints,
}

/// What a choker is made from, beside its parameters.
#[derive(Clone, Debug)]
pub struct ChokerSetup {
    /// When its host joins.
    pub now: Instant,
    /// The slots and times that the scenario gives.
    pub config: StandardConfig,
    /// Bytes that a seed sends to one peer before another has its turn, where its choker counts them.
    pub seeding_quota: u64,
    /// Bytes in a piece.
    pub piece_len: u32,
    /// What its host can send, in payload bytes a second: its own limit, or what its link leaves.
    pub capacity: Option<u64>,
    /// Where a choker that fails says so.
    pub complaints: Complaints,
}

/// The parameters of a strategy, as a scenario gives them. Deny unknown fields, and give each a default
/// (`#[serde(deny_unknown_fields, default)]`).
pub trait Params: DeserializeOwned + 'static {
    /// Whether the strategy is for hosts on which somebody watches (`hosts.<class>.playback`), and for no others.
    const NEEDS_PLAYER: bool = false;

    /// Whether they make sense.
    ///
    /// # Errors
    /// What is wrong with them, and what would be right.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A strategy that has no parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

impl Params for NoParams {}

type MakePicker = Box<dyn Fn(&Strategy, &PickerSetup) -> Result<Box<dyn Picker>, String> + Send + Sync>;
type MakeChoker =
    Box<dyn Fn(&Strategy, &ChokerSetup, &mut Dice) -> Result<Box<dyn Choker>, String> + Send + Sync>;
type Check = Box<dyn Fn(&Strategy, bool) -> Result<(), String> + Send + Sync>;
type MakeNode = Box<dyn Fn(Setup, Instant) -> Box<dyn Node> + Send + Sync>;

/// The name of the engine's own node.
pub const ENGINE: &str = "engine";

/// The strategies that scenarios can name, and the nodes that take the engine's place.
pub struct Registry {
    /// With whether they are to keep the rules.
    nodes: BTreeMap<String, (bool, MakeNode)>,
    pickers: BTreeMap<String, (Check, MakePicker)>,
    chokers: BTreeMap<String, (Check, MakeChoker)>,
}

impl Default for Registry {
    /// The strategies that are shipped.
    fn default() -> Self {
        let mut registry =
            Self { nodes: BTreeMap::new(), pickers: BTreeMap::new(), chokers: BTreeMap::new() };
        strategies::register(&mut registry);
        rogue::register(&mut registry);
        museum::register(&mut registry);
        registry
    }
}

impl Registry {
    /// Adds a picker without parameters, or puts it in the place of another of that name.
    pub fn register_picker(
        &mut self,
        name: &str,
        make: impl Fn() -> Box<dyn Picker> + Send + Sync + 'static,
    ) {
        self.register_picker_with(name, move |NoParams {}, _| make());
    }

    /// Adds a picker with parameters, or puts it in the place of another of that name.
    pub fn register_picker_with<P: Params>(
        &mut self,
        name: &str,
        make: impl Fn(P, &PickerSetup) -> Box<dyn Picker> + Send + Sync + 'static,
    ) {
        let make: MakePicker = Box::new(move |strategy, setup| Ok(make(params(strategy)?, setup)));
        self.pickers.insert(name.to_owned(), (check::<P>(), make));
    }

    /// Adds a choker without parameters, or puts it in the place of another of that name.
    pub fn register_choker(
        &mut self,
        name: &str,
        make: impl Fn(&ChokerSetup, &mut Dice) -> Box<dyn Choker> + Send + Sync + 'static,
    ) {
        self.register_choker_with(name, move |NoParams {}, setup, dice| make(setup, dice));
    }

    /// Adds a choker with parameters, or puts it in the place of another of that name.
    pub fn register_choker_with<P: Params>(
        &mut self,
        name: &str,
        make: impl Fn(P, &ChokerSetup, &mut Dice) -> Box<dyn Choker> + Send + Sync + 'static,
    ) {
        let make: MakeChoker =
            Box::new(move |strategy, setup, dice| Ok(make(params(strategy)?, setup, dice)));
        self.chokers.insert(name.to_owned(), (check::<P>(), make));
    }

    /// Adds another node than the engine's, which classes of hosts can run (`hosts.<class>.node`): a decorated engine,
    /// or somebody else's. `make` is given what the engine would be made from, at each stay of a host. Checkers hold it
    /// to the rules of the protocol.
    pub fn register_node(
        &mut self,
        name: &str,
        make: impl Fn(Setup, Instant) -> Box<dyn Node> + Send + Sync + 'static,
    ) {
        self.nodes.insert(name.to_owned(), (true, Box::new(make)));
    }

    /// As [`Registry::register_node`], for a node that may break the rules, such as a
    /// [`Script`](crate::script::Script): checkers ask nothing of it, and hold those to the rules who meet it.
    pub fn register_rogue(
        &mut self,
        name: &str,
        make: impl Fn(Setup, Instant) -> Box<dyn Node> + Send + Sync + 'static,
    ) {
        self.nodes.insert(name.to_owned(), (false, Box::new(make)));
    }

    /// A new node of this name for a host that joins at `now`; the engine's, where there is no other.
    pub fn node(&self, name: &str, setup: Setup, now: Instant) -> Box<dyn Node> {
        match self.nodes.get(name) {
            Some((_, make)) => make(setup, now),
            None => Box::new(Torrent::new(setup, now)),
        }
    }

    /// The names of all nodes, in order.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        std::iter::once(ENGINE).chain(self.nodes.keys().map(String::as_str).filter(|&name| name != ENGINE))
    }

    /// Whether the node of this name is there to break rules.
    pub fn breaks_rules(&self, name: &str) -> bool {
        self.nodes.get(name).is_some_and(|(keeps_rules, _)| !keeps_rules)
    }

    /// The names of all pickers, in order.
    pub fn pickers(&self) -> impl Iterator<Item = &str> {
        self.pickers.keys().map(String::as_str)
    }

    /// The names of all chokers, in order.
    pub fn chokers(&self) -> impl Iterator<Item = &str> {
        self.chokers.keys().map(String::as_str)
    }

    /// Whether a scenario may ask for this picker, for hosts on which somebody watches or not: `None` where there is none
    /// of that name.
    pub fn check_picker(&self, strategy: &Strategy, has_player: bool) -> Option<Result<(), String>> {
        self.pickers.get(strategy.name()).map(|(check, _)| check(strategy, has_player))
    }

    /// Whether a scenario may ask for this choker: `None` where there is none of that name.
    pub fn check_choker(&self, strategy: &Strategy) -> Option<Result<(), String>> {
        self.chokers.get(strategy.name()).map(|(check, _)| check(strategy, true))
    }

    /// A new picker.
    ///
    /// # Errors
    /// As [`Registry::check_picker`], in words.
    pub fn picker(&self, strategy: &Strategy, setup: &PickerSetup) -> Result<Box<dyn Picker>, String> {
        let (_, make) = self.pickers.get(strategy.name()).ok_or_else(|| unknown(strategy))?;
        make(strategy, setup)
    }

    /// A new choker.
    ///
    /// # Errors
    /// As [`Registry::check_choker`], in words.
    pub fn choker(
        &self,
        strategy: &Strategy,
        setup: &ChokerSetup,
        dice: &mut Dice,
    ) -> Result<Box<dyn Choker>, String> {
        let (_, make) = self.chokers.get(strategy.name()).ok_or_else(|| unknown(strategy))?;
        make(strategy, setup, dice)
    }
}

fn unknown(strategy: &Strategy) -> String {
    format!("there is no strategy `{}`", strategy.name())
}

fn params<P: Params>(strategy: &Strategy) -> Result<P, String> {
    let params: P = strategy.params()?;
    params.check()?;
    Ok(params)
}

fn check<P: Params>() -> Check {
    Box::new(|strategy, has_player| {
        if P::NEEDS_PLAYER && !has_player {
            return Err(
                "nobody watches: add `playback` to the class, as in playback.rate = \"1 Mbit/s\"".to_owned()
            );
        }
        params::<P>(strategy).map(drop)
    })
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.pickers()).entries(self.chokers()).finish()
    }
}

#[cfg(test)]
mod tests {
    use torrentlab_engine::picker::Sequential;
    use torrentlab_engine::time::Duration;

    use super::*;
    use crate::strategies::Nobody;

    fn setups() -> (PickerSetup, ChokerSetup, Dice) {
        let geometry = Geometry::new(1 << 20, 1 << 18).unwrap();
        let player = Some(Player { piece_time: Duration::from_secs(1), buffer: 1 });
        (
            PickerSetup {
                now: Instant::ZERO,
                geometry,
                census: Census::new(4),
                player,
                complaints: Complaints::default(),
            },
            ChokerSetup {
                now: Instant::ZERO,
                config: StandardConfig::default(),
                seeding_quota: 0,
                piece_len: geometry.piece_len(),
                capacity: None,
                complaints: Complaints::default(),
            },
            Dice::stream(1, ("test", 0, "choker")),
        )
    }

    #[test]
    fn names_lead_to_strategies_and_others_to_nothing() {
        let mut registry = Registry::default();
        let (pick, choke, mut dice) = setups();
        for name in registry.pickers().filter(|&name| name != "script") {
            let strategy = Strategy::named(name);
            assert_eq!(registry.check_picker(&strategy, true), Some(Ok(())), "{name}");
            assert!(registry.picker(&strategy, &pick).is_ok());
        }
        for name in registry.chokers().filter(|&name| name != "script") {
            let strategy = Strategy::named(name);
            assert_eq!(registry.check_choker(&strategy), Some(Ok(())), "{name}");
            assert!(registry.choker(&strategy, &choke, &mut dice).is_ok());
        }
        let mine = Strategy::named("mine");
        assert_eq!(registry.check_picker(&mine, true), None);
        assert!(registry.picker(&mine, &pick).is_err());
        registry.register_picker("mine", || Box::new(Sequential));
        assert!(registry.picker(&mine, &pick).is_ok());
        assert!(registry.choker(&mine, &choke, &mut dice).is_err());
        let standard = Strategy::named("tit-for-tat");
        let shipped = registry.choker(&standard, &choke, &mut dice).unwrap();
        assert!(shipped.next_decision() < Instant::NEVER);
        registry.register_choker("tit-for-tat", |_, _| Box::new(Nobody));
        let replaced = registry.choker(&standard, &choke, &mut dice).unwrap();
        assert_eq!(replaced.next_decision(), Instant::NEVER);
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Half {
        p: f64,
    }

    impl Default for Half {
        fn default() -> Self {
            Self { p: 0.5 }
        }
    }

    impl Params for Half {
        fn check(&self) -> Result<(), String> {
            if self.p <= 1.0 { Ok(()) } else { Err(format!("p is {}: write 1 or less", self.p)) }
        }
    }

    #[test]
    fn the_documentation_has_every_strategy() {
        let page = include_str!("../../docs/reference/strategies.md");
        let registry = Registry::default();
        for name in registry.pickers().chain(registry.chokers()) {
            assert!(page.contains(&format!("\n| `{name}` | ")), "{name} is missing");
        }
    }

    #[test]
    fn parameters_are_checked_by_form_and_by_sense() {
        let mut registry = Registry::default();
        registry.register_picker_with("half", |_: Half, _| Box::new(Sequential));
        let check = |toml: &str| {
            let text = torrentlab_scenarios::catalogue()[0].text;
            let sets = [format!("hosts.leecher.picker={toml}")];
            let read = torrentlab_scenarios::read(text, "first-swarm.toml", &sets).unwrap();
            registry.check_picker(&read.scenario.hosts["leecher"].picker, false).unwrap()
        };
        assert_eq!(check("half"), Ok(()));
        assert_eq!(check("{ half = { p = 0.3 } }"), Ok(()));
        assert_eq!(check("{ half = { p = 3 } }"), Err("p is 3: write 1 or less".to_owned()));
        assert!(check("{ half = { q = 3 } }").unwrap_err().contains("unknown field `q`"));
        assert!(check("{ random = { p = 3 } }").unwrap_err().contains("unknown field `p`"));
        assert!(check("deadline").unwrap_err().contains("nobody watches"));
    }
}
