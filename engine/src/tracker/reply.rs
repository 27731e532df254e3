//! A tracker's answer to an announce as the body of an HTTP response (BEP 3, 7, 23).

use std::net::{IpAddr, SocketAddr};

use super::{AnnounceReply, TrackerFailure};
use crate::bencode::{self, Dict, Keys, Value, printable};
use crate::compact;
use crate::time::Duration;

/// The most peers that are taken from one answer.
pub const MAX_PEERS: usize = 5000;
/// The wait until the next announce where the tracker says none.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1800);
/// The longest wait that is read, in seconds: a day.
const LONGEST_INTERVAL_S: i64 = 24 * 3600;
/// The most characters of a tracker's warnings and refusals.
const MAX_TEXT: usize = 300;

/// The body that carries `reply`, with the peers in compact form or as dictionaries. Times are in whole seconds.
pub fn encode_announce_reply(reply: &AnnounceReply, compact: bool) -> Vec<u8> {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let (v4, v6) = compact::write(reply.peers.iter().copied());
    let hosts: Vec<String> = reply.peers.iter().map(|peer| peer.ip().to_string()).collect();
    let mut root = Dict::default();
    root.insert("interval", seconds(reply.interval));
    if let Some(min_interval) = reply.min_interval {
        root.insert("min interval", seconds(min_interval));
    }
    if let Some(complete) = reply.complete {
        root.insert("complete", i64::from(complete));
    }
    if let Some(incomplete) = reply.incomplete {
        root.insert("incomplete", i64::from(incomplete));
    }
    if let Some(warning) = &reply.warning {
        root.insert("warning message", warning.as_str());
    }
    if compact {
        root.insert("peers", v4.as_slice());
        if !v6.is_empty() {
            root.insert("peers6", v6.as_slice());
        }
    } else {
        let peers = reply.peers.iter().zip(&hosts).map(|(peer, host)| {
            let mut entry = Dict::default();
            entry.insert("ip", host.as_str());
            entry.insert("port", i64::from(peer.port()));
            Value::Dict(entry)
        });
        root.insert("peers", peers.collect::<Vec<_>>());
    }
    Value::Dict(root).to_vec()
}

/// The body that refuses an announce or a scrape: "If a tracker response has a key failure reason, then that maps to a
/// human readable string which explains why the query failed, and no other keys are required" (BEP 3).
pub fn encode_refusal(reason: &str) -> Vec<u8> {
    let mut root = Dict::default();
    root.insert("failure reason", reason);
    Value::Dict(root).to_vec()
}

/// Reads the body of an answer. Peers come in either form and both families; those that cannot be dialled (port 0,
/// a host name) are left out, and so is what goes beyond [`MAX_PEERS`]. Intervals are cut to a day.
///
/// # Errors
/// [`TrackerFailure::Refused`] in the tracker's own words, [`TrackerFailure::Malformed`] for what is no answer.
pub fn decode_announce_reply(body: &[u8]) -> Result<AnnounceReply, TrackerFailure> {
    let root = bencode::decode(body, Keys::AnyOrder).map_err(malformed)?;
    let root = root.as_dict().ok_or_else(|| malformed("no dictionary"))?;
    failure_reason(root)?;
    let seconds = |key| root.int(key).map(|s| Duration::from_secs(s.clamp(0, LONGEST_INTERVAL_S) as u64));
    let count = |key| root.int(key).and_then(|count| u32::try_from(count).ok());
    let mut peers = match root.get("peers") {
        None => Vec::new(),
        Some(Value::Bytes(bytes)) => {
            let peers = compact::read_v4(bytes);
            peers.ok_or_else(|| malformed(format!("`peers` of {} bytes", bytes.len())))?.collect()
        }
        Some(Value::List(list)) => list.iter().filter_map(parse_peer).collect(),
        Some(_) => return Err(malformed("`peers` is neither a string nor a list")),
    };
    if let Some(bytes) = root.bytes("peers6") {
        let more = compact::read_v6(bytes);
        peers.extend(more.ok_or_else(|| malformed(format!("`peers6` of {} bytes", bytes.len())))?);
    }
    peers.retain(|peer| peer.port() != 0);
    peers.truncate(MAX_PEERS);
    Ok(AnnounceReply {
        interval: seconds("interval").unwrap_or(DEFAULT_INTERVAL),
        min_interval: seconds("min interval"),
        complete: count("complete"),
        incomplete: count("incomplete"),
        peers,
        warning: root.bytes("warning message").map(|text| printable(text, MAX_TEXT)),
    })
}

/// An error where the tracker gives a reason why it failed.
pub(super) fn failure_reason(root: &Dict<'_>) -> Result<(), TrackerFailure> {
    match root.get("failure reason") {
        None => Ok(()),
        Some(reason) => {
            let text = reason.as_bytes().unwrap_or(b"no reason given");
            Err(TrackerFailure::Refused(printable(text, MAX_TEXT)))
        }
    }
}

pub(super) fn malformed(why: impl ToString) -> TrackerFailure {
    TrackerFailure::Malformed(why.to_string())
}

/// A peer as a dictionary: "peer id, ip, and port" (BEP 3).
fn parse_peer(entry: &Value<'_>) -> Option<SocketAddr> {
    let entry = entry.as_dict()?;
    let ip: IpAddr = std::str::from_utf8(entry.bytes("ip")?).ok()?.parse().ok()?;
    Some(SocketAddr::new(ip, entry.int("port")?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use proptest::prelude::*;

    fn decode(body: &str) -> Result<AnnounceReply, TrackerFailure> {
        decode_announce_reply(body.as_bytes())
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn peers_in_both_forms() {
        let compact =
            decode_announce_reply(b"d8:intervali900e5:peers12:\x0a\0\0\x01\x1a\xe1\x0a\0\0\x02\0\x50e")
                .unwrap();
        assert_eq!(compact.peers, [addr("10.0.0.1:6881"), addr("10.0.0.2:80")]);
        assert_eq!(compact.interval, Duration::from_secs(900));
        let plain = decode(
            "d5:peersld2:ip8:10.0.0.17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti6881eed2:ip3:::14:porti80eed2:ip9:localhost\
             4:porti1eed2:ip8:10.0.0.14:porti65536eei1eee",
        );
        assert_eq!(plain.unwrap().peers, [addr("10.0.0.1:6881"), addr("[::1]:80")]);
        let v6 = decode_announce_reply(b"d6:peers618:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50e").unwrap();
        assert_eq!(v6.peers, [addr("[::1]:80")]);
    }

    #[test]
    fn peers_that_cannot_be_dialled_are_dropped_and_many_cut() {
        assert_eq!(decode_announce_reply(b"d5:peers6:\x0a\0\0\x01\0\0e").unwrap().peers, []);
        let many = [b"d5:peers60000:".to_vec(), vec![1; 60_000], b"e".to_vec()].concat();
        assert_eq!(decode_announce_reply(&many).unwrap().peers.len(), MAX_PEERS);
    }

    #[test]
    fn absurd_intervals_are_cut() {
        for (said, read) in [(-5, 0), (0, 0), (60, 60), (86_401, 86_400), (i64::MAX, 86_400)] {
            let reply = decode(&format!("d8:intervali{said}e12:min intervali{said}ee")).unwrap();
            assert_eq!(reply.interval, Duration::from_secs(read), "{said}");
            assert_eq!(reply.min_interval, Some(Duration::from_secs(read)), "{said}");
        }
        let reply = decode("de").unwrap();
        assert_eq!((reply.interval, reply.min_interval), (DEFAULT_INTERVAL, None));
    }

    #[test]
    fn refusals_and_warnings_are_in_the_trackers_words_but_harmless() {
        let refused = |text: &str| Err(TrackerFailure::Refused(text.into()));
        assert_eq!(decode("d14:failure reason7:go awaye"), refused("go away"));
        assert_eq!(decode("d14:failure reason5:\x1b[2Jae"), refused("[2Ja"));
        assert_eq!(decode("d14:failure reasoni1ee"), refused("no reason given"));
        assert_eq!(decode_announce_reply(&encode_refusal("why not")), refused("why not"));
        let long = format!("d15:warning message1000:{}e", "w".repeat(1000));
        assert_eq!(decode(&long).unwrap().warning.unwrap().len(), MAX_TEXT);
    }

    #[test]
    fn garbage_is_malformed() {
        for body in [
            "",
            "<html>",
            "i1e",
            "d5:peersi1ee",
            "d5:peers5:aaaaae",
            "d6:peers617:aaaaaaaaaaaaaaaaae",
            "d5:peers0:",
            "d5:peers0:exx",
        ] {
            assert!(matches!(decode(body), Err(TrackerFailure::Malformed(_))), "{body}");
        }
    }

    proptest! {
        #[test]
        fn both_sides_agree(
            times in (0u64..86_400, prop::option::of(0u64..86_400)),
            counts: (Option<u32>, Option<u32>),
            v4 in prop::collection::vec((any::<Ipv4Addr>(), 1u16..), 0..5),
            v6 in prop::collection::vec((any::<Ipv6Addr>(), 1u16..), 0..5),
            warning in prop::option::of("[ -~]{0,20}"),
            compact: bool,
        ) {
            let v4 = v4.into_iter().map(SocketAddr::from);
            let reply = AnnounceReply {
                interval: Duration::from_secs(times.0),
                min_interval: times.1.map(Duration::from_secs),
                complete: counts.0,
                incomplete: counts.1,
                peers: v4.chain(v6.into_iter().map(SocketAddr::from)).collect(),
                warning,
            };
            let body = encode_announce_reply(&reply, compact);
            prop_assert_eq!(decode_announce_reply(&body), Ok(reply));
        }

        #[test]
        fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode_announce_reply(&body);
        }
    }
}
