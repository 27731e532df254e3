//! The messages of peer exchange (BEP 11), `ut_pex`: a bencoded dictionary that is read leniently.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::bencode::{self, Dict, Keys, Value};
use crate::compact;

/// What one side tells the other of whom it is connected to: changes since its last such message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PeerExchange {
    /// Who came: IPv4 first.
    pub added: Vec<Contact>,
    /// Who went: IPv4 first.
    pub dropped: Vec<SocketAddr>,
}

/// A peer that somebody is connected to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contact {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What else is said of it.
    pub flags: ContactFlags,
}

/// The bits of `added.f` (BEP 11). Of those that are not named here the engine says nothing: encryption (0x01), µTP
/// (0x04) and hole punching (0x08) are nothing that it speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ContactFlags(pub u8);

impl ContactFlags {
    /// "0x02: seed/upload_only".
    const SEED: u8 = 0x02;
    /// "0x10: outgoing connection, peer is reachable".
    const REACHABLE: u8 = 0x10;

    /// What there is to say of a peer.
    pub const fn new(seed: bool, reachable: bool) -> Self {
        let seed = if seed { Self::SEED } else { 0 };
        Self(seed | if reachable { Self::REACHABLE } else { 0 })
    }

    /// Whether the peer wants nothing of anybody.
    pub const fn seed(self) -> bool {
        self.0 & Self::SEED != 0
    }

    /// Whether whoever tells of the peer has dialled it.
    pub const fn reachable(self) -> bool {
        self.0 & Self::REACHABLE != 0
    }
}

impl PeerExchange {
    /// The extension's name in the `m` of an extension handshake.
    pub const NAME: &str = "ut_pex";
    /// The most bytes that a message may have: some 9,000 contacts.
    pub const MAX_LEN: usize = 64 * 1024;
    /// The most contacts that are read of either sort and family. "Except for the initial PEX message the combined
    /// amount of added v4/v6 contacts should not exceed 50 entries. The same applies to dropped entries"; libtorrent
    /// sends up to 100 at first.
    pub const MAX_CONTACTS: usize = 200;

    /// Whether there is nothing to say.
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.dropped.is_empty()
    }

    /// Reads the payload of an extended message. Lists of the wrong type or length count as not given, and so do flags
    /// that are not as many as their contacts.
    ///
    /// # Errors
    /// Where the payload is not one bencoded dictionary (its keys may be in any order), or is too long.
    pub fn decode(payload: &[u8]) -> Result<Self, PeerExchangeError> {
        if payload.len() > Self::MAX_LEN {
            return Err(PeerExchangeError::TooLong(payload.len()));
        }
        let value = bencode::decode(payload, Keys::AnyOrder)?;
        let dict = value.as_dict().ok_or(PeerExchangeError::NoDictionary)?;
        let v4 = |key| dict.bytes(key).and_then(compact::read_v4).into_iter().flatten();
        let v6 = |key| dict.bytes(key).and_then(compact::read_v6).into_iter().flatten();
        let mut added = Vec::new();
        read_added(v4("added"), dict.bytes("added.f"), &mut added);
        read_added(v6("added6"), dict.bytes("added6.f"), &mut added);
        let dropped = v4("dropped").take(Self::MAX_CONTACTS).chain(v6("dropped6").take(Self::MAX_CONTACTS));
        Ok(Self { dropped: dropped.collect(), added })
    }

    /// The payload of an extended message.
    pub fn encode(&self) -> Bytes {
        let (added, added6) = compact::write(self.added.iter().map(|contact| contact.addr));
        let (dropped, dropped6) = compact::write(self.dropped.iter().copied());
        let flags = |v4| -> Vec<u8> {
            let family = self.added.iter().filter(|contact| contact.addr.is_ipv4() == v4);
            family.map(|contact| contact.flags.0).collect()
        };
        let (added_f, added6_f) = (flags(true), flags(false));
        let mut dict = Dict::default();
        for (key, bytes) in [
            ("added", &added),
            ("added.f", &added_f),
            ("added6", &added6),
            ("added6.f", &added6_f),
            ("dropped", &dropped),
            ("dropped6", &dropped6),
        ] {
            // "Messages must contain at least one of the following fields".
            if !bytes.is_empty() || key == "added" {
                dict.insert(key, bytes.as_slice());
            }
        }
        Value::Dict(dict).to_vec().into()
    }
}

/// A payload that is no message of peer exchange.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerExchangeError {
    /// More than [`PeerExchange::MAX_LEN`] bytes.
    #[error("peer exchange of {0} bytes")]
    TooLong(usize),
    /// Not bencoded.
    #[error("peer exchange: {0}")]
    Bencode(#[from] bencode::Error),
    /// Bencoded, but not a dictionary.
    #[error("peer exchange is no dictionary")]
    NoDictionary,
}

/// Reads who came, with the flags if they are as many.
fn read_added(addrs: impl Iterator<Item = SocketAddr>, flags: Option<&[u8]>, into: &mut Vec<Contact>) {
    let start = into.len();
    let addrs: Vec<SocketAddr> = addrs.collect();
    let flags = flags.filter(|flags| flags.len() == addrs.len());
    into.extend(
        addrs.iter().take(PeerExchange::MAX_CONTACTS).map(|&addr| Contact { addr, flags: ContactFlags(0) }),
    );
    for (contact, bits) in into[start..].iter_mut().zip(flags.unwrap_or_default()) {
        contact.flags = ContactFlags(*bits);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use proptest::prelude::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn wire_form() {
        let message = PeerExchange {
            added: vec![
                Contact { addr: addr("10.0.0.1:6881"), flags: ContactFlags::new(false, true) },
                Contact { addr: addr("10.0.0.2:80"), flags: ContactFlags::new(true, false) },
                Contact { addr: addr("[::1]:80"), flags: ContactFlags::new(true, true) },
            ],
            dropped: vec![addr("10.0.0.3:1")],
        };
        let bytes: &[u8] = b"d5:added12:\x0a\0\0\x01\x1a\xe1\x0a\0\0\x02\0\x507:added.f2:\x10\x02\
            6:added618:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x508:added6.f1:\x127:dropped6:\x0a\0\0\x03\0\x01e";
        assert_eq!(&message.encode()[..], bytes);
        assert_eq!(PeerExchange::decode(bytes), Ok(message));
        assert_eq!(&PeerExchange::default().encode()[..], b"d5:added0:e");
    }

    #[test]
    fn flags_need_not_be_there_and_count_only_where_they_are_as_many() {
        let plain = |text: &[u8]| PeerExchange::decode(text).unwrap().added;
        let contact = |bits| vec![Contact { addr: addr("10.0.0.1:1"), flags: ContactFlags(bits) }];
        assert_eq!(plain(b"d5:added6:\x0a\0\0\x01\0\x01e"), contact(0));
        assert_eq!(plain(b"d5:added6:\x0a\0\0\x01\0\x017:added.f1:\xffe"), contact(0xff));
        assert_eq!(plain(b"d5:added6:\x0a\0\0\x01\0\x017:added.f2:\xff\xffe"), contact(0));
        assert_eq!(plain(b"d5:added6:\x0a\0\0\x01\0\x017:added.fi1ee"), contact(0));
    }

    #[test]
    fn lists_that_make_no_sense_count_as_not_given() {
        for payload in
            ["de", "d5:added5:aaaaae", "d5:addedi1ee", "d5:addedlee", "d6:added66:aaaaaae", "d7:dropped1:ae"]
        {
            assert_eq!(PeerExchange::decode(payload.as_bytes()), Ok(PeerExchange::default()), "{payload}");
        }
    }

    #[test]
    fn what_is_no_dictionary_or_too_long_is_refused() {
        assert_eq!(PeerExchange::decode(b"i1e"), Err(PeerExchangeError::NoDictionary));
        assert!(matches!(PeerExchange::decode(b""), Err(PeerExchangeError::Bencode(_))));
        assert!(matches!(PeerExchange::decode(b"d5:added6:abc"), Err(PeerExchangeError::Bencode(_))));
        let long = vec![b'l'; PeerExchange::MAX_LEN + 1];
        assert_eq!(PeerExchange::decode(&long), Err(PeerExchangeError::TooLong(long.len())));
    }

    #[test]
    fn floods_are_cut() {
        let list = |key: &str, len: usize| {
            [format!("{}:{key}{len}:", key.len()).into_bytes(), vec![1; len]].concat()
        };
        let flood =
            [b"d".to_vec(), list("added", 6 * 9000), list("dropped", 6 * 1000), b"e".to_vec()].concat();
        let message = PeerExchange::decode(&flood).unwrap();
        assert_eq!((message.added.len(), message.dropped.len()), (200, 200));
    }

    fn contacts() -> impl Strategy<Value = Vec<SocketAddr>> {
        let v4 = prop::collection::vec(any::<(Ipv4Addr, u16)>(), 0..5);
        let v6 = prop::collection::vec(any::<(Ipv6Addr, u16)>(), 0..5);
        (v4, v6).prop_map(|(v4, v6)| {
            v4.into_iter().map(SocketAddr::from).chain(v6.into_iter().map(SocketAddr::from)).collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_built_is_parsed_back(added in contacts(), bits: [u8; 10], dropped in contacts()) {
            let flagged = added.into_iter().zip(bits);
            let added = flagged.map(|(addr, bits)| Contact { addr, flags: ContactFlags(bits) }).collect();
            let message = PeerExchange { added, dropped };
            prop_assert_eq!(PeerExchange::decode(&message.encode()), Ok(message));
        }

        #[test]
        fn any_bytes_are_answered(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = PeerExchange::decode(&payload);
        }

        /// Bytes that come close.
        #[test]
        fn any_lists_are_answered(
            added in prop::collection::vec(any::<u8>(), 0..40),
            flags in prop::collection::vec(any::<u8>(), 0..8),
            dropped in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut dict = Dict::default();
            for (key, bytes) in [("added", &added), ("added.f", &flags), ("dropped6", &dropped)] {
                dict.insert(key, bytes.as_slice());
            }
            let message = PeerExchange::decode(&Value::Dict(dict).to_vec()).unwrap();
            prop_assert_eq!(message.added.len(), if added.len() % 6 == 0 { added.len() / 6 } else { 0 });
            prop_assert_eq!(message.dropped.len(), if dropped.len() % 18 == 0 { dropped.len() / 18 } else { 0 });
        }
    }
}
