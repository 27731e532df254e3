//! A tracker's answer that is accepted can be written and read again, in either form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torrentlab_engine::tracker::{
    decode_announce_reply, decode_scrape, encode_announce_reply, encode_scrape, parse_announce_query,
    parse_scrape_query,
};

fuzz_target!(|input: &[u8]| {
    if let Ok(reply) = decode_announce_reply(input) {
        assert!(reply.peers.iter().all(|peer| peer.port() != 0));
        // The compact form keeps IPv4 peers before IPv6 peers, the other keeps any order.
        assert_eq!(decode_announce_reply(&encode_announce_reply(&reply, false)).as_ref(), Ok(&reply));
        let compact = decode_announce_reply(&encode_announce_reply(&reply, true)).expect("our own form");
        assert_eq!(compact.peers.len(), reply.peers.len());
    }
    if let Ok(reply) = decode_scrape(input) {
        let _ = decode_scrape(&encode_scrape(&reply)).expect("our own form");
    }
    if let Ok(query) = std::str::from_utf8(input) {
        let _ = (parse_announce_query(query), parse_scrape_query(query));
    }
});
