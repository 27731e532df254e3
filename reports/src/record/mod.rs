//! What a run leaves behind: plain data, written to a folder and read back.
//!
//! Units stand last in a name. A time is in seconds of the simulation, counted from its start unless the field
//! says otherwise; what did not happen is `None`: an empty cell in CSV, `null` in JSON.

mod availability;
mod claim;
pub(crate) mod decimal;
mod error;
mod explain;
pub(crate) mod folder;
mod info;
mod rows;
mod summary;

pub use availability::{AvailabilityMap, AvailabilitySampler};
pub use claim::{Claim, Fit, Range, Relation};
pub use error::RecordError;
pub use explain::{Decision, Explanation, Outcome, ReasonRow};
pub use folder::RunRecord;
pub use info::{ClassInfo, ContentInfo, FORMAT, Judgement, RunInfo, SeedOutput, Tick, Turnover, Verdict};
pub use rows::{Departure, FaultRow, PeerRow, PieceRow, Role, TimelineRow};
pub use summary::{Completion, Cost, FittedLine, Summary};
