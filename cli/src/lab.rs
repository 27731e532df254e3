//! The program as a whole: the built-in strategies and those that a user's crate adds.

use std::ffi::OsString;
use std::process::ExitCode;

use torrentlab_engine::choker::Choker;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::picker::Picker;
use torrentlab_simulator::registry::{ChokerSetup, Params, PickerSetup, Registry};

/// The command line with strategies of one's own, which scenarios can then name.
///
/// ```no_run
/// use torrentlab::Lab;
/// use torrentlab::engine::picker::Sequential;
///
/// fn main() -> std::process::ExitCode {
///     Lab::new().picker("mine", || Box::new(Sequential)).main()
/// }
/// ```
#[derive(Debug, Default)]
pub struct Lab {
    registry: Registry,
}

impl Lab {
    /// The program with what it ships.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece-selection strategy: `picker = "name"` in a scenario.
    #[must_use]
    pub fn picker(mut self, name: &str, make: impl Fn() -> Box<dyn Picker> + Send + Sync + 'static) -> Self {
        self.registry.register_picker(name, make);
        self
    }

    /// Adds a piece-selection strategy with parameters: `picker = { name = { .. } }` in a scenario.
    #[must_use]
    pub fn picker_with<P: Params>(
        mut self,
        name: &str,
        make: impl Fn(P, &PickerSetup) -> Box<dyn Picker> + Send + Sync + 'static,
    ) -> Self {
        self.registry.register_picker_with(name, make);
        self
    }

    /// Adds a choking strategy: `choker = "name"` in a scenario.
    #[must_use]
    pub fn choker(
        mut self,
        name: &str,
        make: impl Fn(&ChokerSetup, &mut Dice) -> Box<dyn Choker> + Send + Sync + 'static,
    ) -> Self {
        self.registry.register_choker(name, make);
        self
    }

    /// Adds a choking strategy with parameters: `choker = { name = { .. } }` in a scenario.
    #[must_use]
    pub fn choker_with<P: Params>(
        mut self,
        name: &str,
        make: impl Fn(P, &ChokerSetup, &mut Dice) -> Box<dyn Choker> + Send + Sync + 'static,
    ) -> Self {
        self.registry.register_choker_with(name, make);
        self
    }

    /// Runs the command line of this process.
    pub fn main(self) -> ExitCode {
        self.run(std::env::args_os())
    }

    /// Runs the command line `args`, its first word the program's name.
    pub fn run(self, args: impl IntoIterator<Item = OsString>) -> ExitCode {
        crate::run(&self.registry, args)
    }
}
