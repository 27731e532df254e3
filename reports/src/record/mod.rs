//! What a run leaves behind: plain data, written to a folder and read back.
//!
//! Units stand last in a name. A time is in seconds of the simulation, counted from its start unless the field
//! says otherwise; what did not happen is `None`: an empty cell in CSV, `null` in JSON.

mod availability;
pub(crate) mod decimal;
mod error;
pub(crate) mod folder;
mod info;
mod rows;
mod summary;

pub use availability::{AvailabilityMap, AvailabilitySampler};
pub use error::RecordError;
pub use info::{ClassInfo, ContentInfo, FORMAT, Judgement, RunInfo, Verdict};
pub use rows::{Departure, PeerRow, PieceRow, Role, TimelineRow};
pub use summary::{Completion, Cost, Summary};

/// The whole record of one run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RunRecord {
    /// What was run.
    pub info: RunInfo,
    /// The resolved scenario: enough to repeat the run.
    pub scenario_toml: String,
    /// A row for each host, in the order of joining.
    pub peers: Vec<PeerRow>,
    /// A row for each sample in time.
    pub timeline: Vec<TimelineRow>,
    /// A row for each piece.
    pub pieces: Vec<PieceRow>,
    /// Copies of each piece over time, binned to a bounded size.
    pub availability: AvailabilityMap,
    /// The figures.
    pub summary: Summary,
    /// What the run cost the machine: the one part that differs from run to run.
    pub cost: Option<Cost>,
}
