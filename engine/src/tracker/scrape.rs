//! Scrape: the state of swarms without joining them (BEP 48).

use std::collections::BTreeMap;

use super::TrackerFailure;
use super::query::{self, QueryError};
use super::reply::{failure_reason, malformed};
use crate::bencode::{self, Dict, Keys, Value};
use crate::units::InfoHash;

/// The most torrents that one scrape may ask for.
pub const MAX_SCRAPE: usize = 100;

/// Members and downloads of a swarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SwarmCounts {
    /// "The number of active peers that have completed downloading" (BEP 48).
    pub complete: u32,
    /// "The number of active peers that have not completed downloading" (BEP 48).
    pub incomplete: u32,
    /// "The number of peers that have ever completed downloading" (BEP 48).
    pub downloaded: u64,
}

/// What a tracker knows of each torrent that was asked for; those unknown are left out.
pub type ScrapeReply = BTreeMap<InfoHash, SwarmCounts>;

/// Where `torrents` are scraped: `scrape` takes the place of the `announce` that has to follow the last slash. A tracker
/// with another address cannot be scraped (BEP 48).
pub fn scrape_url(announce_url: &str, torrents: &[InfoHash]) -> Option<String> {
    let (path, query) = announce_url.split_once('?').unwrap_or((announce_url, ""));
    let (folder, page) = path.rsplit_once('/')?;
    let page = page.strip_prefix("announce")?;
    let hashes = torrents.iter().map(|hash| format!("info_hash={}", query::escape(&hash.0)));
    let fields: Vec<_> = Some(query.to_owned()).filter(|q| !q.is_empty()).into_iter().chain(hashes).collect();
    Some(format!("{folder}/scrape{page}?{}", fields.join("&")))
}

/// The torrents that a scrape's query string asks for.
///
/// # Errors
/// Where it names none, too many, or what is no info-hash.
pub fn parse_scrape_query(query: &str) -> Result<Vec<InfoHash>, QueryError> {
    let named = query::fields(query).filter(|(key, _)| *key == "info_hash");
    let hashes: Vec<_> = named
        .take(MAX_SCRAPE + 1)
        .map(|(_, value)| query::twenty_bytes("info_hash", value).map(InfoHash))
        .collect::<Result<_, _>>()?;
    match hashes.len() {
        0 => Err(QueryError::Missing("info_hash")),
        1..=MAX_SCRAPE => Ok(hashes),
        _ => Err(QueryError::Malformed("info_hash")),
    }
}

/// The body of a scrape's answer.
pub fn encode_scrape(reply: &ScrapeReply) -> Vec<u8> {
    let mut files = Dict::default();
    for (info_hash, counts) in reply {
        let mut file = Dict::default();
        file.insert("complete", i64::from(counts.complete));
        file.insert("downloaded", i64::try_from(counts.downloaded).unwrap_or(i64::MAX));
        file.insert("incomplete", i64::from(counts.incomplete));
        files.insert(&info_hash.0, file);
    }
    let mut root = Dict::default();
    root.insert("files", files);
    Value::Dict(root).to_vec()
}

/// Reads the body of a scrape's answer. Counts that make no sense are 0.
///
/// # Errors
/// [`TrackerFailure::Refused`] in the tracker's own words, [`TrackerFailure::Malformed`] for anything else.
pub fn decode_scrape(body: &[u8]) -> Result<ScrapeReply, TrackerFailure> {
    let root = bencode::decode(body, Keys::AnyOrder).map_err(malformed)?;
    let root = root.as_dict().ok_or_else(|| malformed("no dictionary"))?;
    failure_reason(root)?;
    let files = root.get("files").and_then(Value::as_dict).ok_or_else(|| malformed("no `files`"))?;
    let count = |file: &Dict<'_>, key| file.int(key).and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let known = files.iter().filter_map(|(hash, file)| {
        let file = file.as_dict()?;
        let counts = SwarmCounts {
            complete: count(file, "complete"),
            incomplete: count(file, "incomplete"),
            downloaded: file.int("downloaded").and_then(|count| count.try_into().ok()).unwrap_or(0),
        };
        Some((InfoHash(hash.try_into().ok()?), counts))
    });
    Ok(known.take(MAX_SCRAPE).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_address_to_scrape() {
        let hash = InfoHash(*b"aaaaaaaaaa aaaaaaaaa");
        let escaped = "info_hash=aaaaaaaaaa%20aaaaaaaaa";
        for (announce, scrape) in [
            ("http://x/announce", Some(format!("http://x/scrape?{escaped}"))),
            ("http://x/x/announce", Some(format!("http://x/x/scrape?{escaped}"))),
            ("http://x/announce.php", Some(format!("http://x/scrape.php?{escaped}"))),
            ("http://x/announce?k=2/3", Some(format!("http://x/scrape?k=2/3&{escaped}"))),
            ("http://x/a", None),
            ("http://x/announce/x", None),
            ("announce", None),
        ] {
            assert_eq!(scrape_url(announce, &[hash]), scrape, "{announce}");
        }
    }

    #[test]
    fn queries_that_are_refused() {
        let hash = "info_hash=aaaaaaaaaaaaaaaaaaaa";
        assert_eq!(parse_scrape_query(hash), Ok(vec![InfoHash([b'a'; 20])]));
        assert_eq!(parse_scrape_query(""), Err(QueryError::Missing("info_hash")));
        assert_eq!(parse_scrape_query("info_hash=a"), Err(QueryError::Malformed("info_hash")));
        let many = [hash; MAX_SCRAPE + 1].join("&");
        assert_eq!(parse_scrape_query(&many), Err(QueryError::Malformed("info_hash")));
    }

    #[test]
    fn answers_that_are_refused() {
        assert_eq!(decode_scrape(b"d14:failure reason2:noe"), Err(TrackerFailure::Refused("no".into())));
        for body in ["", "i1e", "de", "d5:filesi1ee", "<html>"] {
            assert!(matches!(decode_scrape(body.as_bytes()), Err(TrackerFailure::Malformed(_))), "{body}");
        }
    }

    proptest! {
        #[test]
        fn both_sides_agree(swarms in prop::collection::btree_map(any::<[u8; 20]>(), any::<(u32, u32, u32)>(), 1..5)) {
            let reply: ScrapeReply = swarms
                .into_iter()
                .map(|(hash, (complete, incomplete, downloaded))| {
                    let downloaded = u64::from(downloaded);
                    (InfoHash(hash), SwarmCounts { complete, incomplete, downloaded })
                })
                .collect();
            let hashes: Vec<_> = reply.keys().copied().collect();
            let url = scrape_url("http://x/announce", &hashes).unwrap();
            prop_assert_eq!(parse_scrape_query(url.split_once('?').unwrap().1).unwrap(), hashes);
            prop_assert_eq!(decode_scrape(&encode_scrape(&reply)).unwrap(), reply);
        }

        #[test]
        fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..100), query in "[ -~]{0,60}") {
            let _ = decode_scrape(&body);
            let _ = parse_scrape_query(&query);
        }
    }
}
