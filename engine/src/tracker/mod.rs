//! The tracker protocol, both sides, sans-IO.

mod announce;
pub mod choice;
pub mod client;
mod query;
mod reply;
mod scrape;
pub mod server;
mod swarm;
pub mod udp;

pub use announce::{Announce, AnnounceEvent, AnnounceReply, AnnounceRequest, Family, TrackerFailure};
pub use query::{AnnounceQuery, QueryError, announce_url, parse_announce_query};
pub use reply::{MAX_PEERS, decode_announce_reply, encode_announce_reply, encode_refusal};
pub use scrape::{
    MAX_SCRAPE, ScrapeReply, SwarmCounts, decode_scrape, encode_scrape, parse_scrape_query, scrape_url,
};
