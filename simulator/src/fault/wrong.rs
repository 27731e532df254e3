//! What a tracker that is out of order says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use torrentlab_engine::net::WrongReply;
use torrentlab_engine::tracker::AnnounceReply;
use torrentlab_engine::tracker::server::TrackerConfig;
use torrentlab_scenarios::schema::WrongAnswer;

use crate::plan::PORT;

/// Where nobody is, and nothing says so: TEST-NET-1 (RFC 5737).
const DEAD_NET: [u8; 3] = [192, 0, 2];
/// How many dead peers a tracker that is out of order gives.
const DEAD_PEERS: u8 = 50;

/// What the tracker answers to an announce.
pub fn wrong_reply(wrong: WrongAnswer, config: &TrackerConfig) -> WrongReply {
    let [a, b, c] = DEAD_NET;
    match wrong {
        WrongAnswer::Garbage => WrongReply::Bytes(b"this is no bencoding"),
        WrongAnswer::Errors => WrongReply::Refusal("the tracker is out of order"),
        WrongAnswer::DeadPeers => WrongReply::Reply(AnnounceReply {
            interval: config.interval,
            min_interval: config.min_interval,
            complete: None,
            incomplete: None,
            peers: (1..=DEAD_PEERS)
                .map(|last| (Ipv4Addr::from_octets([a, b, c, last]), PORT).into())
                .collect(),
            warning: None,
        }),
    }
}

/// Whether an address is one of those that [`WrongAnswer::DeadPeers`] gives.
pub fn is_dead(addr: SocketAddr) -> bool {
    matches!(addr.ip(), IpAddr::V4(ip) if ip.octets()[..3] == DEAD_NET)
}
