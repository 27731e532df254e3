//! The tracker protocol, both sides, sans-IO.

mod announce;

pub use announce::{Announce, AnnounceEvent, AnnounceReply, AnnounceRequest, TrackerFailure};
