//! What to run: the scenario schema, its units and checks, and the catalogue.

mod draw;
mod text;

pub mod schema;
pub mod units;

pub use draw::{Draw, InitialPieces, Slots, Stay};
pub use schema::Scenario;
