//! BitTorrent itself, sans-IO: whoever drives it brings sockets, disks and the time.
//!
//! The way in and out is [`node`]; the state machine behind it is [`torrent::Torrent`].

pub mod addresses;
pub mod bencode;
pub mod bitfield;
pub mod bucket;
pub mod choker;
pub mod compact;
pub mod dice;
pub mod metainfo;
pub mod meter;
#[cfg(feature = "net")]
pub mod net;
pub mod node;
pub mod picker;
pub mod priority;
pub mod state;
pub mod time;
pub mod torrent;
pub mod tracker;
pub mod units;
pub mod why;
pub mod wire;
