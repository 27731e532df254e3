//! What a client and a tracker say to each other (BEP 3, 7, 23).

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use crate::time::Duration;
use crate::units::{InfoHash, PeerId};

/// Why an announce is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AnnounceEvent {
    /// "One of the announcements done at regular intervals" (BEP 3).
    #[default]
    Regular,
    /// "An announcement using started is sent when a download first begins" (BEP 3).
    Started,
    /// "One using completed is sent when the download is complete. No completed is sent if the file was complete
    /// when started" (BEP 3).
    Completed,
    /// "Downloaders send an announcement using stopped when they cease downloading" (BEP 3).
    Stopped,
}

/// What a client tells a tracker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnnounceRequest {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The client.
    pub peer_id: PeerId,
    /// Where it listens.
    pub port: u16,
    /// Payload bytes sent since `started`.
    pub uploaded: u64,
    /// Payload bytes received since `started`.
    pub downloaded: u64,
    /// Bytes still missing.
    pub left: u64,
    /// Why it announces.
    pub event: AnnounceEvent,
    /// How many peers it wants; `None` leaves it to the tracker.
    pub numwant: Option<u32>,
    /// Tells the client from another at the same address, when its address changes.
    pub key: u32,
}

/// An announce to one of the torrent's trackers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announce {
    /// Which tracker: its position in the flattened announce-list.
    pub tracker: usize,
    /// What to tell it.
    pub request: Box<AnnounceRequest>,
}

/// What a tracker answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnnounceReply {
    /// How long to wait until the next regular announce.
    pub interval: Duration,
    /// How long to wait before any other announce.
    pub min_interval: Option<Duration>,
    /// Seeds in the swarm, where said.
    pub complete: Option<u32>,
    /// Leechers in the swarm, where said.
    pub incomplete: Option<u32>,
    /// Other members of the swarm.
    pub peers: Vec<SocketAddr>,
    /// Said to the user, without harm to the reply.
    pub warning: Option<String>,
}

/// The families of addresses, which trackers tell apart (BEP 7, 15).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of `ip`; an IPv4 address in IPv6 form is one of IPv4.
    pub const fn of(ip: IpAddr) -> Self {
        if ip.to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Why an announce or scrape gave nothing.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TrackerFailure {
    /// No connection, or it broke.
    #[error("the tracker cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("the tracker did not answer in time")]
    TimedOut,
    /// The tracker's own words: "failure reason" (BEP 3).
    #[error("the tracker refused: {0}")]
    Refused(String),
    /// An answer that cannot be read.
    #[error("the tracker's answer is malformed: {0}")]
    Malformed(String),
}
