//! The record of a run, and its figures, tables, plots and page.
//!
//! A simulator fills [`record::PeerRow`]s, [`record::TimelineRow`]s and [`record::PieceRow`]s, asks
//! [`summarise()`] for the figures and writes a [`record::RunRecord`] to a folder. Everything else here starts
//! from that folder alone.

mod aggregate;
pub mod bound;
mod claim;
pub mod compare;
mod explain;
mod html;
pub mod playback;
pub mod plots;
pub mod record;
mod report;
pub mod stats;
mod summarise;
mod table;
pub mod words;

pub use aggregate::{Aggregate, Spread, aggregate};
pub use claim::{figure_names, judge, judge_runs};
pub use explain::ExplainWriter;
pub use report::{ReportError, report, write_report};
pub use summarise::summarise;
pub use table::{Line, aggregate_table, summary_lines, summary_table};
