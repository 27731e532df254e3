//! The record of a run, and its figures, tables, plots and page.
//!
//! A simulator fills [`record::PeerRow`]s, [`record::TimelineRow`]s and [`record::PieceRow`]s, asks
//! [`summarise()`] for the figures and writes a [`record::RunRecord`] to a folder. Everything else here starts
//! from that folder alone.

pub mod bound;
pub mod record;
pub mod stats;
mod summarise;

pub use summarise::summarise;
