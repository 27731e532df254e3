//! Strategies written in Lua.
//!
//! | file | its part |
//! |---|---|
//! | `sandbox` | what a script may do, and what becomes of one that tries more |
//! | `picker` | `pick`: which piece to begin |
//! | `choker` | `unchoke`: whom to upload to |
//!
//! Lua, and not a language in Rust: the same loop over 256 pieces took 6 µs a call in Lua 5.4 and 90 to 110 µs in rhai
//! 1.27, on one machine in one run. A call of `cli/examples/ratio.lua` with 40 peers took 0.6 ms, most of it for tables and
//! sorting, where `tit-for-tat` took 5 µs.

mod choker;
mod picker;
mod sandbox;

pub use choker::{UnchokeParams, UnchokeScript};
pub use picker::{PickParams, PickScript};
pub use sandbox::Complaints;
