//! Random swarms: made up from a seed, run under all checkers, and made small where one fails.
//!
//! | file | its part |
//! |---|---|
//! | `generate` | a scenario for each seed |
//! | `probes` | what such runs should meet sometimes |
//! | `shrink` | the smallest scenario that fails in the same way |

mod generate;
mod probes;
mod shrink;

pub use generate::{generate, text};
pub use probes::{Coverage, PROBES, Probe, Probes};
pub use shrink::{Measure, Shrinking, Shrunk, shrink};
