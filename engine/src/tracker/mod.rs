//! The tracker protocol, both sides, sans-IO.

mod announce;
pub mod client;

pub use announce::{Announce, AnnounceEvent, AnnounceReply, AnnounceRequest, TrackerFailure};
