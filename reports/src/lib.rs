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
mod fit;
pub mod fluid;
mod html;
mod naming;
mod page;
pub mod playback;
pub mod plots;
pub mod record;
mod report;
pub mod spread;
pub mod stats;
mod summarise;
mod table;
pub mod verdicts;
pub mod words;

pub use aggregate::{Aggregate, Spread, aggregate, class_figure_names};
pub use claim::{Cells, Judged, figure_names, judge, judge_claim, judge_control};
pub use explain::{ExplainWriter, explanation_text};
pub use fit::timeline_columns;
pub use report::{ReportError, report, write_report, write_runs};
pub use summarise::summarise;
pub use table::{Line, aggregate_table, summary_lines, summary_table};
