//! An announce as the query string of an HTTP GET (BEP 3).

use std::fmt::Write as _;

use thiserror::Error;

use super::{AnnounceEvent, AnnounceRequest};
use crate::units::{InfoHash, PeerId};

/// An announce as a tracker's HTTP side reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnnounceQuery {
    /// What is announced.
    pub request: AnnounceRequest,
    /// Whether the peers may be given in compact form: unless the client says `compact=0` (BEP 23).
    pub compact: bool,
}

/// A query string that is no announce or scrape; the text is fit for a `failure reason`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// A field that is needed.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field that cannot be read.
    #[error("{0} is malformed")]
    Malformed(&'static str),
}

/// The address to get for `request` from the tracker at `announce_url`, which may have a query string of its own.
pub fn announce_url(announce_url: &str, request: &AnnounceRequest) -> String {
    let separator = if announce_url.contains('?') { '&' } else { '?' };
    let mut url = format!(
        "{announce_url}{separator}info_hash={}&peer_id={}&port={}&uploaded={}&downloaded={}&left={}&compact=1\
         &no_peer_id=1&key={:08X}",
        escape(&request.info_hash.0),
        escape(&request.peer_id.0),
        request.port,
        request.uploaded,
        request.downloaded,
        request.left,
        request.key,
    );
    if let Some(numwant) = request.numwant {
        let _ = write!(url, "&numwant={numwant}");
    }
    match request.event {
        AnnounceEvent::Regular => {}
        AnnounceEvent::Started => url.push_str("&event=started"),
        AnnounceEvent::Completed => url.push_str("&event=completed"),
        AnnounceEvent::Stopped => url.push_str("&event=stopped"),
    }
    url
}

/// Reads the query string of an announce. Fields that a tracker can do without may be missing or senseless; `ip` is
/// not looked at, so that nobody announces for another.
///
/// # Errors
/// Where `info_hash`, `peer_id` or `port` is missing or malformed.
pub fn parse_announce_query(query: &str) -> Result<AnnounceQuery, QueryError> {
    let field = |name: &'static str| fields(query).find(|(key, _)| *key == name).map(|(_, value)| value);
    let required = |name: &'static str| field(name).ok_or(QueryError::Missing(name));
    let number = |name: &'static str| field(name)?.parse::<u64>().ok();
    let request = AnnounceRequest {
        info_hash: InfoHash(twenty_bytes("info_hash", required("info_hash")?)?),
        peer_id: PeerId(twenty_bytes("peer_id", required("peer_id")?)?),
        port: required("port")?.parse().map_err(|_| QueryError::Malformed("port"))?,
        uploaded: number("uploaded").unwrap_or(0),
        downloaded: number("downloaded").unwrap_or(0),
        // A client that does not know yet how much there is, is no seed.
        left: number("left").unwrap_or(u64::MAX),
        event: match field("event") {
            Some("started") => AnnounceEvent::Started,
            Some("completed") => AnnounceEvent::Completed,
            Some("stopped") => AnnounceEvent::Stopped,
            _ => AnnounceEvent::Regular,
        },
        numwant: field("numwant").and_then(|numwant| numwant.parse().ok()),
        key: field("key").and_then(|key| u32::from_str_radix(key, 16).ok()).unwrap_or(0),
    };
    Ok(AnnounceQuery { request, compact: field("compact") != Some("0") })
}

/// The keys and values of a query string, both as they stand there.
pub(super) fn fields(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter_map(|field| field.split_once('='))
}

/// A value of 20 bytes, escaped.
pub(super) fn twenty_bytes(name: &'static str, value: &str) -> Result<[u8; 20], QueryError> {
    let bytes = unescape(value).ok_or(QueryError::Malformed(name))?;
    bytes.try_into().map_err(|_| QueryError::Malformed(name))
}

/// The bytes with all but unreserved characters (RFC 3986) as `%XX`.
pub(super) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The bytes that `text` stands for; `None` when an escape is broken. `+` is a space, as forms write it.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => (hex_digit(rest.next()?)? << 4) | hex_digit(rest.next()?)?,
            b'+' => b' ',
            other => other,
        });
    }
    Some(bytes)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NEEDED: &str =
        "info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A&peer_id=-TL0100-abcdefghijkl&port=6881";

    #[test]
    fn an_announce_as_clients_write_it() {
        let query = format!(
            "{NEEDED}&uploaded=1&downloaded=2&left=3&numwant=80&key=5E1FA11E&compact=1&event=started"
        );
        let AnnounceQuery { request, compact } = parse_announce_query(&query).unwrap();
        assert_eq!(request.info_hash.to_string(), "123456789abcdef123456789abcdef123456789a");
        assert_eq!(request.peer_id, PeerId(*b"-TL0100-abcdefghijkl"));
        assert_eq!((request.port, request.uploaded, request.downloaded, request.left), (6881, 1, 2, 3));
        assert_eq!((request.numwant, request.key), (Some(80), 0x5e1f_a11e));
        assert_eq!((request.event, compact), (AnnounceEvent::Started, true));
    }

    #[test]
    fn fields_that_can_be_done_without() {
        let parse = |more: &str| parse_announce_query(&format!("{NEEDED}&{more}")).unwrap();
        let plain = parse("");
        assert_eq!((plain.request.left, plain.request.numwant, plain.compact), (u64::MAX, None, true));
        for more in [
            "left=-1",
            "numwant=-1",
            "event=paused",
            "event=",
            "key=xyz",
            "ip=10.0.0.1",
            "&&=&a",
            "compact=1",
        ] {
            assert_eq!(parse(more), plain, "{more}");
        }
        assert!(!parse("compact=0").compact);
    }

    #[test]
    fn what_is_refused() {
        use QueryError::{Malformed, Missing};
        for (from, to, error) in [
            ("info_hash=", "infohash=", Missing("info_hash")),
            ("%12", "%1", Malformed("info_hash")),
            ("%12", "", Malformed("info_hash")),
            ("%12", "%zz", Malformed("info_hash")),
            ("%12", "%+1", Malformed("info_hash")),
            ("peer_id=-", "peer_id=", Malformed("peer_id")),
            ("peer_id=", "peer=", Missing("peer_id")),
            ("port=6881", "", Missing("port")),
            ("port=6881", "port=65536", Malformed("port")),
            ("port=6881", "port=", Malformed("port")),
        ] {
            assert_eq!(parse_announce_query(&NEEDED.replacen(from, to, 1)), Err(error), "{from} -> {to}");
        }
        assert_eq!(parse_announce_query(""), Err(Missing("info_hash")));
    }

    #[test]
    fn a_tracker_address_with_a_query_of_its_own() {
        let request = parse_announce_query(NEEDED).unwrap().request;
        assert!(
            announce_url("http://x/announce", &request).starts_with("http://x/announce?info_hash=%124Vx")
        );
        assert!(announce_url("http://x/a?pass=1", &request).starts_with("http://x/a?pass=1&info_hash="));
    }

    proptest! {
        #[test]
        fn both_sides_agree(
            ids: ([u8; 20], [u8; 20]),
            port: u16,
            amounts: (u64, u64, u64),
            event in 0usize..4,
            numwant in prop::option::of(any::<u32>()),
            key: u32,
        ) {
            let request = AnnounceRequest {
                info_hash: InfoHash(ids.0),
                peer_id: PeerId(ids.1),
                port,
                uploaded: amounts.0,
                downloaded: amounts.1,
                left: amounts.2,
                event: [
                    AnnounceEvent::Regular,
                    AnnounceEvent::Started,
                    AnnounceEvent::Completed,
                    AnnounceEvent::Stopped,
                ][event],
                numwant,
                key,
            };
            let url = announce_url("http://x/announce", &request);
            prop_assert!(url.is_ascii());
            let parsed = parse_announce_query(url.split_once('?').unwrap().1);
            prop_assert_eq!(parsed, Ok(AnnounceQuery { request, compact: true }));
        }

        #[test]
        fn any_text_is_answered(query in ".{0,80}", value in "[%+0-9a-f]{0,40}") {
            let _ = parse_announce_query(&query);
            let _ = parse_announce_query(&format!("info_hash={value}&peer_id={value}&port=1"));
        }
    }
}
