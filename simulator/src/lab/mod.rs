//! Swarms in tests: a builder over scenarios that reads well in a `#[test]`.
//!
//! ```
//! use torrentlab_simulator::{Fault, Link, Swarm};
//!
//! let swarm = Swarm::builder()
//!     .seed(7)
//!     .peers(20)
//!     .content("8 MiB", "256 KiB")
//!     .link(Link::new().up("1 Mbit/s").down("8 Mbit/s").latency("30 ms"))
//!     .fault(Fault::kill("2 of leecher").at("10 s"))
//!     .check_all()
//!     .run()
//!     .unwrap();
//! assert_eq!(swarm.completed(), 18);
//! ```
//!
//! Everything that a scenario can say can be said ([`Builder::set`]), and a scenario of the catalogue or a file can be
//! the start ([`Swarm::scenario`]). What is wrong is an error of the scenario, never a panic; and whatever fails, a check
//! of the run or an assertion of the test, prints the line that runs the swarm again.

mod parts;
mod report;

use std::fmt;

use thiserror::Error;
use torrentlab_engine::choker::Choker;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::Node;
use torrentlab_engine::picker::Picker;
use torrentlab_engine::time::Instant;
use torrentlab_engine::torrent::Setup;
use torrentlab_scenarios::{Scenario, ScenarioError, catalogue, load, read};

use crate::failure::Failure;
use crate::registry::{ChokerSetup, Registry};
use crate::run::{Backend, RunError, RunOptions, run};
use report::Replay;

pub use parts::{Fault, Link};
pub use report::Report;

/// What [`Swarm::builder`] starts from.
const SMALL: &str = r#"schema = 1
name = "test"

[content]
size = "4 MiB"
piece_size = "256 KiB"

[hosts.seed]
count = 1
behaviour = "seed"
links = { up = "4 Mbit/s", down = "16 Mbit/s", latency = "10 ms" }

[hosts.leecher]
count = 10
stay = "forever"
links = { up = "2 Mbit/s", down = "8 Mbit/s", latency = "20 ms" }
"#;

/// The entry to swarms in tests. A swarm under way is a [`crate::simulation::Simulation`]; one that was, a [`Report`].
#[derive(Clone, Copy, Debug)]
pub struct Swarm;

impl Swarm {
    /// A small swarm to change at will: one host of the class `seed` and ten of the class `leecher`, who come at once and
    /// stay; 4 MiB in pieces of 256 KiB; links of 2 Mbit/s up and 8 Mbit/s down, twice that for the seed.
    pub fn builder() -> Builder {
        Builder::new(Base::Text(SMALL.to_owned(), "builder".to_owned()))
    }

    /// A scenario of the catalogue, by its name, or a file, by its path.
    ///
    /// ```
    /// # use torrentlab_simulator::Swarm;
    /// let swarm = Swarm::scenario("first-swarm").peers(12).set("content.size=1 MiB").run().unwrap();
    /// assert!(swarm.all_completed());
    /// ```
    pub fn scenario(name_or_path: &str) -> Builder {
        Builder::new(Base::Named(name_or_path.to_owned()))
    }

    /// A scenario as text. Errors call it `name`.
    pub fn from_toml(text: &str, name: &str) -> Builder {
        Builder::new(Base::Text(text.to_owned(), name.to_owned()))
    }
}

/// Where a swarm starts from.
#[derive(Clone, Debug)]
enum Base {
    /// A name of the catalogue, or a path.
    Named(String),
    /// Text, and its name.
    Text(String, String),
}

/// A swarm that is being put together. Later calls go over earlier ones.
///
/// Sizes, rates and times are written as in scenarios: `"256 KiB"`, `"1 Mbit/s"`, `"30 ms"`, `"10ms..50ms"`.
#[must_use = "nothing runs before `run`"]
pub struct Builder {
    base: Base,
    sets: Vec<String>,
    faults: Vec<Fault>,
    seed: Option<u64>,
    registry: Registry,
    backend: Backend,
    check: bool,
    /// Whether something runs in it that no scenario file can name.
    is_custom: bool,
}

impl Builder {
    fn new(base: Base) -> Self {
        Self {
            base,
            sets: Vec::new(),
            faults: Vec::new(),
            seed: None,
            registry: Registry::default(),
            backend: Backend::Des,
            check: false,
            is_custom: false,
        }
    }

    /// The seed of all randomness; else the scenario's own.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How many hosts the class `leecher` has.
    pub fn peers(self, count: u32) -> Self {
        self.count("leecher", count)
    }

    /// How many hosts the class `seed` has.
    pub fn seeds(self, count: u32) -> Self {
        self.count("seed", count)
    }

    /// How many hosts a class has.
    pub fn count(self, class: &str, count: u32) -> Self {
        self.set(&format!("hosts.{class}.count={count}"))
    }

    /// A new class of hosts, with links of 2 Mbit/s up and 8 Mbit/s down until [`Builder::link_of`] says otherwise.
    pub fn class(self, class: &str, count: u32) -> Self {
        let links = r#"{ up = "2 Mbit/s", down = "8 Mbit/s", latency = "20 ms" }"#;
        self.set(&format!("hosts.{class}={{ count = {count}, links = {links} }}"))
    }

    /// What is shared: its size, and the size of a piece.
    pub fn content(self, size: &str, piece_size: &str) -> Self {
        self.set(&format!("content.size={size}")).set(&format!("content.piece_size={piece_size}"))
    }

    /// The links of the class `leecher`.
    pub fn link(self, link: Link) -> Self {
        self.link_of("leecher", link)
    }

    /// The links of a class. What `link` does not say stays.
    pub fn link_of(mut self, class: &str, link: Link) -> Self {
        self.sets.extend(link.sets(class));
        self
    }

    /// Something that goes wrong, beside what goes wrong already.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Any other field, as `--set` takes it: `hosts.leecher.endgame=false`.
    pub fn set(mut self, path_and_value: &str) -> Self {
        self.sets.push(path_and_value.to_owned());
        self
    }

    /// The hosts of a class run another node than the engine: a decorated one, or somebody else's. Checkers hold it to
    /// the rules of the protocol.
    pub fn node(
        mut self,
        class: &str,
        make: impl Fn(Setup, Instant) -> Box<dyn Node> + Send + Sync + 'static,
    ) -> Self {
        self.registry.register_node(&own(class), make);
        self.take_own(class, "node")
    }

    /// As [`Builder::node`], for a node that may break the rules, such as a [`FakePeer`](crate::fake_peer::FakePeer):
    /// checkers hold the others to the rules who meet it.
    pub fn rogue(
        mut self,
        class: &str,
        make: impl Fn(Setup, Instant) -> Box<dyn Node> + Send + Sync + 'static,
    ) -> Self {
        self.registry.register_rogue(&own(class), make);
        self.take_own(class, "node")
    }

    /// The hosts of a class pick pieces so. A strategy that is shipped needs its name alone:
    /// `.set("hosts.leecher.picker=random")`.
    pub fn picker(mut self, class: &str, make: impl Fn() -> Box<dyn Picker> + Send + Sync + 'static) -> Self {
        self.registry.register_picker(&own(class), make);
        self.take_own(class, "picker")
    }

    /// The hosts of a class choose so whom to upload to.
    pub fn choker(
        mut self,
        class: &str,
        make: impl Fn(&ChokerSetup, &mut Dice) -> Box<dyn Choker> + Send + Sync + 'static,
    ) -> Self {
        self.registry.register_choker(&own(class), make);
        self.take_own(class, "choker")
    }

    /// What carries the bytes.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Switches all checkers on: the run fails with the first rule that is broken.
    pub fn check_all(mut self) -> Self {
        self.check = true;
        self
    }

    /// Runs the swarm to its end.
    ///
    /// # Errors
    /// What is wrong with the scenario, at its place; what a checker found, or what broke, with the line that runs it
    /// again. `unwrap` prints the whole of it.
    pub fn run(self) -> Result<Report, Error> {
        let scenario = self.load()?;
        let seed = self.seed.unwrap_or_else(|| scenario.seed.into());
        let options = RunOptions { backend: self.backend, check: self.check, ..RunOptions::default() };
        let replay = Replay::new(&scenario, seed, &options, self.is_custom);
        match run(&scenario, seed, &self.registry, &options, &mut |_| ()) {
            Ok(outcome) => Ok(Report::new(outcome, replay)),
            Err(error) => Err(Error::Run { error, replay: replay.line() }),
        }
    }

    fn load(&self) -> Result<Scenario, ScenarioError> {
        let faults: String = self.faults.iter().map(Fault::toml).collect();
        let in_catalogue = |name: &String| catalogue().iter().find(|entry| entry.name == *name);
        let loaded = match &self.base {
            Base::Text(text, name) => read(&(text.clone() + &faults), name, &self.sets),
            Base::Named(name) if faults.is_empty() => load(name, &self.sets),
            Base::Named(name) => match in_catalogue(name) {
                Some(entry) => read(&(entry.text.to_owned() + &faults), &format!("{name}.toml"), &self.sets),
                None => match std::fs::read_to_string(name) {
                    Ok(text) => read(&(text + &faults), name, &self.sets),
                    // It says what is wrong with the name.
                    Err(_) => load(name, &self.sets),
                },
            },
        };
        loaded.map(|loaded| loaded.scenario)
    }

    fn take_own(mut self, class: &str, what: &str) -> Self {
        self.is_custom = true;
        self.set(&format!("hosts.{class}.{what}={}", own(class)))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("base", &self.base).field("sets", &self.sets).finish_non_exhaustive()
    }
}

/// The name under which a class finds what was made for it.
fn own(class: &str) -> String {
    format!("the-test's-{class}").replace('\'', "-")
}

/// Why there is no report. `Debug` is as readable as `Display`, for `unwrap`.
#[derive(Error)]
#[non_exhaustive]
pub enum Error {
    /// The scenario says something that it cannot.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The run failed, or could not begin.
    #[error("{error}\nreplay: {replay}")]
    Run {
        /// Of what.
        #[source]
        error: RunError,
        /// How to run it again.
        replay: String,
    },
}

impl Error {
    /// What a checker found, or which invariant broke, where that is why.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Run { error: RunError::Failed { failure, .. }, .. } => Some(failure),
            _ => None,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}
