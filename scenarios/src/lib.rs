//! What to run: the scenario schema, its units and checks, and the catalogue.
//!
//! [`load`] takes a name of the [`catalogue`] or a path, and overrides; [`Scenario`] is what comes out.

mod bounds;
mod catalogue;
mod check;
mod draw;
mod error;
mod load;
mod profile;
mod reduce;
mod source;
mod strategy;
mod target;
mod text;
mod trace;

pub mod schema;
pub mod units;

pub use bounds::Bounds;
pub use catalogue::{Entry, bugs, catalogue};
pub use draw::{Draw, InitialPieces, Neighbours, Slots, Stay};
pub use error::{Place, ScenarioError};
pub use load::{Loaded, load, read};
pub use profile::{Profile, Setting, profiles};
pub use schema::Scenario;
pub use source::Source;
pub use strategy::Strategy;
pub use target::{Amount, Group, Member, Target, Who};
