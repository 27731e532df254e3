//! The handshake of the extension protocol (BEP 10): a bencoded dictionary that is read leniently.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use crate::bencode::{self, Dict, Keys, Value};

/// What one side tells the other of itself. All of it is optional (BEP 10).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExtensionHandshake {
    /// `m`: under which id the sender wants each extension's messages; 0 turns an extension off.
    pub messages: BTreeMap<String, u8>,
    /// `p`: the sender's listening port.
    pub port: Option<u16>,
    /// `v`: the client's name and version.
    pub client: Option<String>,
    /// `yourip`: the receiver's address, as the sender sees it.
    pub your_ip: Option<IpAddr>,
    /// `reqq`: how many requests the sender queues without dropping any.
    pub reqq: Option<u32>,
    /// `upload_only`: the sender will download nothing more (BEP 21).
    pub upload_only: bool,
    /// `metadata_size`: bytes of the info dictionary (BEP 9).
    pub metadata_size: Option<u32>,
}

impl ExtensionHandshake {
    /// The most bytes that a handshake may have.
    pub const MAX_LEN: usize = 64 * 1024;
    /// The most extensions that are kept.
    const MAX_EXTENSIONS: usize = 64;
    /// The most characters of a name that are kept.
    const MAX_NAME: usize = 64;

    /// Reads the payload of an extended message with id 0. Fields of the wrong type or range count as not given.
    ///
    /// # Errors
    /// Where the payload is not one bencoded dictionary (its keys may be in any order), or is too long.
    pub fn decode(payload: &[u8]) -> Result<Self, ExtensionError> {
        if payload.len() > Self::MAX_LEN {
            return Err(ExtensionError::TooLong(payload.len()));
        }
        let value = bencode::decode(payload, Keys::AnyOrder)?;
        let dict = value.as_dict().ok_or(ExtensionError::NoDictionary)?;
        Ok(Self {
            messages: dict.get("m").and_then(Value::as_dict).map(messages).unwrap_or_default(),
            port: dict.int("p").and_then(|port| port.try_into().ok()).filter(|&port| port != 0),
            client: dict.bytes("v").map(|name| bencode::printable(name, Self::MAX_NAME)),
            your_ip: dict.bytes("yourip").and_then(ip_from_bytes),
            reqq: dict.int("reqq").and_then(|reqq| reqq.try_into().ok()).filter(|&reqq| reqq != 0),
            upload_only: dict.int("upload_only").is_some_and(|flag| flag != 0),
            metadata_size: dict.int("metadata_size").and_then(|size| size.try_into().ok()),
        })
    }

    /// The payload of an extended message with id 0.
    pub fn encode(&self) -> Bytes {
        let mut messages = Dict::default();
        for (name, id) in &self.messages {
            messages.insert(name, i64::from(*id));
        }
        let your_ip = self.your_ip.map(ip_to_bytes);
        let mut dict = Dict::default();
        dict.insert("m", messages);
        if let Some(port) = self.port {
            dict.insert("p", i64::from(port));
        }
        if let Some(client) = &self.client {
            dict.insert("v", client.as_str());
        }
        if let Some(ip) = &your_ip {
            dict.insert("yourip", ip.as_slice());
        }
        if let Some(reqq) = self.reqq {
            dict.insert("reqq", i64::from(reqq));
        }
        if self.upload_only {
            dict.insert("upload_only", 1);
        }
        if let Some(size) = self.metadata_size {
            dict.insert("metadata_size", i64::from(size));
        }
        Value::Dict(dict).to_vec().into()
    }
}

/// A payload that is no extension handshake.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtensionError {
    /// More than [`ExtensionHandshake::MAX_LEN`] bytes.
    #[error("extension handshake of {0} bytes")]
    TooLong(usize),
    /// Not bencoded.
    #[error("extension handshake: {0}")]
    Bencode(#[from] bencode::Error),
    /// Bencoded, but not a dictionary.
    #[error("extension handshake is no dictionary")]
    NoDictionary,
}

fn messages(dict: &Dict<'_>) -> BTreeMap<String, u8> {
    let named = dict.iter().filter_map(|(name, id)| {
        let name =
            std::str::from_utf8(name).ok().filter(|name| name.len() <= ExtensionHandshake::MAX_NAME)?;
        Some((name.to_owned(), u8::try_from(id.as_int()?).ok()?))
    });
    named.take(ExtensionHandshake::MAX_EXTENSIONS).collect()
}

fn ip_from_bytes(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).into())
}

fn ip_to_bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_bep_10() {
        let payload = b"d1:md11:LT_metadatai1e7:\xc2\xb5T_PEXi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e";
        let handshake = ExtensionHandshake::decode(payload).unwrap();
        assert_eq!(handshake.messages, [("LT_metadata".into(), 1), ("µT_PEX".into(), 2)].into());
        assert_eq!(handshake.port, Some(6881));
        assert_eq!(handshake.client.as_deref(), Some("µTorrent 1.2"));
        assert_eq!(&handshake.encode()[..], payload);
    }

    #[test]
    fn fields_that_make_no_sense_count_as_not_given() {
        for payload in [
            "de",
            "d1:mi1ee",
            "d1:ml1:aee",
            "d1:md6:ut_pexi256eee",
            "d1:md6:ut_pexi-1eee",
            "d1:md6:ut_pex1:1ee",
            "d1:pi65536ee",
            "d1:pi0ee",
            "d1:pi-1ee",
            "d4:reqqi0ee",
            "d4:reqqi-5ee",
            "d4:reqqi4294967296ee",
            "d6:yourip3:abce",
            "d11:upload_onlyi0ee",
            "d13:metadata_sizei-1ee",
        ] {
            let handshake = ExtensionHandshake::decode(payload.as_bytes()).expect(payload);
            assert_eq!(handshake, ExtensionHandshake::default(), "{payload}");
        }
    }

    #[test]
    fn keys_in_any_order_are_read() {
        let handshake = ExtensionHandshake::decode(b"d1:v1:x4:reqqi250e1:pi1e11:upload_onlyi1ee").unwrap();
        assert_eq!((handshake.reqq, handshake.port, handshake.upload_only), (Some(250), Some(1), true));
    }

    #[test]
    fn what_is_no_dictionary_or_too_long_is_refused() {
        assert_eq!(ExtensionHandshake::decode(b"i1e"), Err(ExtensionError::NoDictionary));
        assert!(matches!(ExtensionHandshake::decode(b""), Err(ExtensionError::Bencode(_))));
        assert!(matches!(ExtensionHandshake::decode(b"d1:v1:xe?"), Err(ExtensionError::Bencode(_))));
        let long = vec![b'l'; ExtensionHandshake::MAX_LEN + 1];
        assert_eq!(ExtensionHandshake::decode(&long), Err(ExtensionError::TooLong(long.len())));
    }

    #[test]
    fn hostile_sizes_are_bounded() {
        let names: String = (0..1000).map(|n| format!("6:x{n:05}i1e")).collect();
        let long = "y".repeat(1000);
        let payload = format!("d1:md{names}e1:v1000:{long}e");
        let handshake = ExtensionHandshake::decode(payload.as_bytes()).unwrap();
        assert_eq!(handshake.messages.len(), 64);
        assert_eq!(handshake.client.unwrap().len(), 64);
        let handshake = ExtensionHandshake::decode(format!("d1:md1000:{long}i1eee").as_bytes()).unwrap();
        assert!(handshake.messages.is_empty());
    }

    fn handshakes() -> impl Strategy<Value = ExtensionHandshake> {
        let fields = (
            prop::collection::btree_map("[a-zA-Zµ_]{1,12}", any::<u8>(), 0..5),
            prop::option::of(1u16..),
            prop::option::of("[ -~µ]{0,30}"),
            prop::option::of(any::<IpAddr>()),
            prop::option::of(1u32..),
            any::<bool>(),
            prop::option::of(any::<u32>()),
        );
        fields.prop_map(|(messages, port, client, your_ip, reqq, upload_only, metadata_size)| {
            ExtensionHandshake { messages, port, client, your_ip, reqq, upload_only, metadata_size }
        })
    }

    proptest! {
        #[test]
        fn what_is_built_is_parsed_back(handshake in handshakes()) {
            prop_assert_eq!(ExtensionHandshake::decode(&handshake.encode()).unwrap(), handshake);
        }

        #[test]
        fn any_bytes_are_answered(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ExtensionHandshake::decode(&payload);
        }
    }
}
