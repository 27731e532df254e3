//! The datagrams of BEP 15. "All values are send in network byte order (big endian)."

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

use crate::bencode::printable;
use crate::time::Duration;
use crate::tracker::{AnnounceEvent, AnnounceReply, AnnounceRequest, Family, MAX_PEERS, SwarmCounts};
use crate::units::{InfoHash, PeerId};

/// The longest datagram that is read, and so that a buffer has to hold.
pub const MAX_DATAGRAM: usize = 2048;
/// "Up to about 74 torrents can be scraped at once."
pub const MAX_SCRAPE: usize = 74;
/// The longest answer to an announce: what passes any IPv6 link in one piece (RFC 8200: 1280 bytes with the heads of IP
/// and UDP).
const MAX_ANNOUNCE_REPLY: usize = 1232;
/// The most characters of an error's message.
const MAX_TEXT: usize = 300;

/// "0x41727101980 // magic constant", which begins a request to connect.
const PROTOCOL_ID: u64 = 0x0417_2710_1980;

const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const SCRAPE: u32 = 2;
const ERROR: u32 = 3;

/// Bytes of an announce, without extensions (BEP 41), which come after.
const ANNOUNCE_LEN: usize = 98;
/// Bytes of the answer to an announce before its peers.
const ANNOUNCE_REPLY_HEAD: usize = 20;

/// What a tracker gives to whoever asks from an address, and wants to see in what comes from there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionId(pub u64);

/// What a client sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The answer has it too.
    pub transaction: u32,
    /// What is asked.
    pub ask: Ask,
}

/// The kinds of request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// For a connection id.
    Connect,
    /// To take part in a swarm.
    Announce(ConnectionId, Box<AnnounceRequest>),
    /// For the counts of these swarms, [`MAX_SCRAPE`] at most.
    Scrape(ConnectionId, Vec<InfoHash>),
}

/// What a tracker sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// That of the request.
    pub transaction: u32,
    /// What is answered.
    pub answer: Answer,
}

/// The kinds of reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// "Clients can use a connection ID until one minute after they have received it."
    Connect(ConnectionId),
    /// Interval, counts and peers; a datagram holds nothing else of it.
    Announce(AnnounceReply),
    /// The counts in the order of the torrents that were asked for.
    Scrape(Vec<SwarmCounts>),
    /// Why there is no other answer.
    Error(String),
}

/// A datagram that cannot be read; the text is fit for an error message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum PacketError {
    /// It ends too early.
    #[error("the packet is too short")]
    TooShort,
    /// A request to connect, of another protocol.
    #[error("the packet is none of this protocol")]
    Protocol,
    /// An action that nobody defined, or not in this direction.
    #[error("action {0} is unknown")]
    Action(u32),
    /// A scrape of no torrent, or of more than [`MAX_SCRAPE`].
    #[error("a scrape is for 1 to {MAX_SCRAPE} torrents")]
    Scrape,
}

impl Request {
    /// The bytes of the datagram. "IP address: 0 (default)": the tracker takes the address that it sees.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ANNOUNCE_LEN);
        let (id, action) = match &self.ask {
            Ask::Connect => (PROTOCOL_ID, CONNECT),
            Ask::Announce(connection, _) => (connection.0, ANNOUNCE),
            Ask::Scrape(connection, _) => (connection.0, SCRAPE),
        };
        out.extend(id.to_be_bytes());
        out.extend(action.to_be_bytes());
        out.extend(self.transaction.to_be_bytes());
        match &self.ask {
            Ask::Connect => {}
            Ask::Announce(_, request) => encode_announce(request, &mut out),
            Ask::Scrape(_, torrents) => torrents.iter().for_each(|torrent| out.extend(torrent.0)),
        }
        out
    }

    /// Reads a datagram. What follows an announce or a request to connect is for extensions and passed over; an address
    /// in an announce is not looked at, so that nobody announces for another.
    ///
    /// # Errors
    /// Where it is no request of this protocol.
    pub fn decode(datagram: &[u8]) -> Result<Self, PacketError> {
        let mut reader = Reader(datagram);
        let (id, action, transaction) = (reader.u64()?, reader.u32()?, reader.u32()?);
        let ask = match action {
            CONNECT if id == PROTOCOL_ID => Ask::Connect,
            CONNECT => return Err(PacketError::Protocol),
            ANNOUNCE => Ask::Announce(ConnectionId(id), Box::new(decode_announce(&mut reader)?)),
            SCRAPE => Ask::Scrape(ConnectionId(id), decode_scrape(reader)?),
            unknown => return Err(PacketError::Action(unknown)),
        };
        Ok(Self { transaction, ask })
    }

    /// The connection id and transaction id of a datagram, whatever else is in it.
    pub(super) fn head_of(datagram: &[u8]) -> Option<(ConnectionId, u32)> {
        let mut reader = Reader(datagram);
        let (id, _action, transaction) = (reader.u64().ok()?, reader.u32().ok()?, reader.u32().ok()?);
        Some((ConnectionId(id), transaction))
    }
}

impl Reply {
    /// The bytes of the datagram. Of the peers those go in that are of `family`, as many as one packet holds.
    pub fn encode(&self, family: Family) -> Vec<u8> {
        let action = match &self.answer {
            Answer::Connect(_) => CONNECT,
            Answer::Announce(_) => ANNOUNCE,
            Answer::Scrape(_) => SCRAPE,
            Answer::Error(_) => ERROR,
        };
        let mut out = Vec::new();
        out.extend(action.to_be_bytes());
        out.extend(self.transaction.to_be_bytes());
        match &self.answer {
            Answer::Connect(connection) => out.extend(connection.0.to_be_bytes()),
            Answer::Announce(reply) => encode_announce_reply(reply, family, &mut out),
            Answer::Scrape(swarms) => {
                for swarm in swarms {
                    // "seeders, completed, leechers"
                    let downloaded = u32::try_from(swarm.downloaded).unwrap_or(u32::MAX);
                    let counts = [swarm.complete, downloaded, swarm.incomplete];
                    counts.iter().for_each(|count| out.extend(count.to_be_bytes()));
                }
            }
            Answer::Error(message) => out.extend(message.as_bytes()),
        }
        out
    }

    /// Reads a datagram that came over `family`. Peers that cannot be dialled (port 0) and half a peer at the end are
    /// left out.
    ///
    /// # Errors
    /// Where it is no reply of this protocol.
    pub fn decode(datagram: &[u8], family: Family) -> Result<Self, PacketError> {
        let mut reader = Reader(datagram);
        let (action, transaction) = (reader.u32()?, reader.u32()?);
        let answer = match action {
            CONNECT => Answer::Connect(ConnectionId(reader.u64()?)),
            ANNOUNCE => Answer::Announce(decode_announce_reply(reader, family)?),
            SCRAPE => Answer::Scrape(decode_counts(reader)),
            ERROR => Answer::Error(printable(reader.0, MAX_TEXT)),
            unknown => return Err(PacketError::Action(unknown)),
        };
        Ok(Self { transaction, answer })
    }

    /// The transaction id of a datagram, whatever else is in it.
    pub(super) fn transaction_of(datagram: &[u8]) -> Option<u32> {
        let mut reader = Reader(datagram);
        let _action = reader.u32().ok()?;
        reader.u32().ok()
    }
}

fn encode_announce(request: &AnnounceRequest, out: &mut Vec<u8>) {
    out.extend(request.info_hash.0);
    out.extend(request.peer_id.0);
    for amount in [request.downloaded, request.left, request.uploaded] {
        out.extend(amount.to_be_bytes());
    }
    // "0: none; 1: completed; 2: started; 3: stopped"
    let event: u32 = match request.event {
        AnnounceEvent::Regular => 0,
        AnnounceEvent::Completed => 1,
        AnnounceEvent::Started => 2,
        AnnounceEvent::Stopped => 3,
    };
    out.extend(event.to_be_bytes());
    out.extend(Ipv4Addr::UNSPECIFIED.octets());
    out.extend(request.key.to_be_bytes());
    // "num_want: -1 default"
    let numwant = request.numwant.map_or(-1, |numwant| i32::try_from(numwant).unwrap_or(i32::MAX));
    out.extend(numwant.to_be_bytes());
    out.extend(request.port.to_be_bytes());
}

fn decode_announce(reader: &mut Reader<'_>) -> Result<AnnounceRequest, PacketError> {
    let info_hash = InfoHash(reader.take()?);
    let peer_id = PeerId(reader.take()?);
    let [downloaded, left, uploaded] = [reader.u64()?, reader.u64()?, reader.u64()?];
    let event = match reader.u32()? {
        1 => AnnounceEvent::Completed,
        2 => AnnounceEvent::Started,
        3 => AnnounceEvent::Stopped,
        _ => AnnounceEvent::Regular,
    };
    let _ip = reader.u32()?;
    let key = reader.u32()?;
    let numwant = i32::from_be_bytes(reader.take()?).try_into().ok();
    let port = u16::from_be_bytes(reader.take()?);
    Ok(AnnounceRequest { info_hash, peer_id, port, uploaded, downloaded, left, event, numwant, key })
}

fn decode_scrape(mut reader: Reader<'_>) -> Result<Vec<InfoHash>, PacketError> {
    let torrents: Vec<_> = std::iter::from_fn(|| reader.take().ok().map(InfoHash)).collect();
    let all = reader.0.is_empty() && (1..=MAX_SCRAPE).contains(&torrents.len());
    all.then_some(torrents).ok_or(PacketError::Scrape)
}

fn encode_announce_reply(reply: &AnnounceReply, family: Family, out: &mut Vec<u8>) {
    let interval = u32::try_from(reply.interval.as_secs()).unwrap_or(u32::MAX);
    // "interval, leechers, seeders"
    for number in [interval, reply.incomplete.unwrap_or(0), reply.complete.unwrap_or(0)] {
        out.extend(number.to_be_bytes());
    }
    let peers = reply.peers.iter().filter(|peer| Family::of(peer.ip()) == family);
    for peer in peers.take((MAX_ANNOUNCE_REPLY - ANNOUNCE_REPLY_HEAD) / peer_len(family)) {
        match peer.ip().to_canonical() {
            IpAddr::V4(ip) => out.extend(ip.octets()),
            IpAddr::V6(ip) => out.extend(ip.octets()),
        }
        out.extend(peer.port().to_be_bytes());
    }
}

/// "Which format is used is determined by the address family of the underlying UDP packet": 4 or 16 bytes of address, and
/// 2 of port.
const fn peer_len(family: Family) -> usize {
    match family {
        Family::V4 => 6,
        Family::V6 => 18,
    }
}

fn decode_announce_reply(mut reader: Reader<'_>, family: Family) -> Result<AnnounceReply, PacketError> {
    let [interval, incomplete, complete] = [reader.u32()?, reader.u32()?, reader.u32()?];
    let mut peers: Vec<_> = std::iter::from_fn(|| reader.peer(family).ok()).take(MAX_PEERS).collect();
    peers.retain(|peer| peer.port() != 0);
    Ok(AnnounceReply {
        interval: Duration::from_secs(interval.into()),
        min_interval: None,
        complete: Some(complete),
        incomplete: Some(incomplete),
        peers,
        warning: None,
    })
}

fn decode_counts(mut reader: Reader<'_>) -> Vec<SwarmCounts> {
    let counts = || {
        let [complete, downloaded, incomplete] = [reader.u32().ok()?, reader.u32().ok()?, reader.u32().ok()?];
        Some(SwarmCounts { complete, incomplete, downloaded: downloaded.into() })
    };
    std::iter::from_fn(counts).take(MAX_SCRAPE).collect()
}

/// What is not read yet of a datagram.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], PacketError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(PacketError::TooShort)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, PacketError> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, PacketError> {
        self.take().map(u64::from_be_bytes)
    }

    fn peer(&mut self, family: Family) -> Result<SocketAddr, PacketError> {
        let ip: IpAddr = match family {
            Family::V4 => Ipv4Addr::from(self.take::<4>()?).into(),
            Family::V6 => Ipv6Addr::from(self.take::<16>()?).into(),
        };
        Ok(SocketAddr::new(ip, self.take().map(u16::from_be_bytes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn announce() -> AnnounceRequest {
        AnnounceRequest {
            info_hash: InfoHash([0xaa; 20]),
            peer_id: PeerId([0xbb; 20]),
            port: 0x1ae1,
            uploaded: 3,
            downloaded: 1,
            left: 2,
            event: AnnounceEvent::Started,
            numwant: None,
            key: 0xcafe_d00d,
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn requests_as_the_bep_lays_them_out() {
        let connect = Request { transaction: 0x0102_0304, ask: Ask::Connect };
        assert_eq!(hex(&connect.encode()), "00000417271019800000000001020304");
        let ask = Ask::Announce(ConnectionId(0x1122_3344_5566_7788), Box::new(announce()));
        let announce = Request { transaction: 9, ask }.encode();
        let expected = [
            "1122334455667788",
            "00000001",
            "00000009",
            &"aa".repeat(20),
            &"bb".repeat(20),
            "0000000000000001",
            "0000000000000002",
            "0000000000000003",
            "00000002",
            "00000000",
            "cafed00d",
            "ffffffff",
            "1ae1",
        ];
        assert_eq!((hex(&announce), announce.len()), (expected.concat(), 98));
        let ask = Ask::Scrape(ConnectionId(1), vec![InfoHash([0xcc; 20]); 2]);
        let scrape = Request { transaction: 9, ask }.encode();
        assert_eq!(hex(&scrape), ["0000000000000001", "00000002", "00000009", &"cc".repeat(40)].concat());
    }

    #[test]
    fn replies_as_the_bep_lays_them_out() {
        let encode = |answer| hex(&Reply { transaction: 9, answer }.encode(Family::V4));
        assert_eq!(encode(Answer::Connect(ConnectionId(5))), "00000000000000090000000000000005");
        let reply = AnnounceReply {
            interval: Duration::from_secs(1800),
            min_interval: None,
            complete: Some(1),
            incomplete: Some(2),
            peers: vec!["10.0.0.1:6881".parse().unwrap(), "[::1]:1".parse().unwrap()],
            warning: None,
        };
        assert_eq!(
            encode(Answer::Announce(reply)),
            "0000000100000009000007080000000200000001".to_owned() + "0a0000011ae1"
        );
        let swarm = SwarmCounts { complete: 1, incomplete: 3, downloaded: 2 };
        assert_eq!(encode(Answer::Scrape(vec![swarm])), "0000000200000009000000010000000200000003");
        assert_eq!(encode(Answer::Error("no".to_owned())), "00000003000000096e6f");
    }

    #[test]
    fn what_follows_and_the_address_are_passed_over() {
        let ask = Ask::Announce(ConnectionId(1), Box::new(announce()));
        let request = Request { transaction: 9, ask };
        let mut datagram = request.encode();
        datagram[84..88].copy_from_slice(&[10, 0, 0, 66]);
        // A URL's path (BEP 41).
        datagram.extend([2, 9]);
        datagram.extend(b"/announce");
        assert_eq!(Request::decode(&datagram), Ok(request));
    }

    #[test]
    fn what_is_no_request() {
        let connect = Request { transaction: 9, ask: Ask::Connect }.encode();
        let of_another = [&[0; 8][..], &connect[8..]].concat();
        let unknown = [&connect[..8], &[0, 0, 0, 3], &connect[12..]].concat();
        let ask = Ask::Announce(ConnectionId(1), Box::new(announce()));
        let announce = Request { transaction: 9, ask }.encode();
        let scrape = |hashes: usize| {
            let ask = Ask::Scrape(ConnectionId(1), vec![InfoHash([0; 20]); hashes]);
            Request { transaction: 9, ask }.encode()
        };
        let cases = [
            (&connect[..15], PacketError::TooShort),
            (&of_another, PacketError::Protocol),
            (&unknown, PacketError::Action(3)),
            (&announce[..97], PacketError::TooShort),
            (&scrape(0), PacketError::Scrape),
            (&scrape(MAX_SCRAPE + 1), PacketError::Scrape),
            (&scrape(2)[..55], PacketError::Scrape),
        ];
        for (datagram, error) in cases {
            assert_eq!(Request::decode(datagram), Err(error));
        }
        assert!(Request::decode(&scrape(MAX_SCRAPE)).is_ok());
        assert!(scrape(MAX_SCRAPE).len() <= MAX_DATAGRAM);
    }

    #[test]
    fn short_replies() {
        for (datagram, error) in [
            (&[0; 7][..], PacketError::TooShort),
            (&[0; 15], PacketError::TooShort),
            (&[0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], PacketError::TooShort),
            (&[0, 0, 0, 4, 0, 0, 0, 9], PacketError::Action(4)),
        ] {
            assert_eq!(Reply::decode(datagram, Family::V4), Err(error));
        }
    }

    #[test]
    fn an_answer_fits_into_one_packet() {
        for (family, ip, fit) in [(Family::V4, "10.0.0.1", 202), (Family::V6, "2001:db8::1", 67)] {
            let peers = vec![SocketAddr::new(ip.parse().unwrap(), 1); 1000];
            let answer = Answer::Announce(AnnounceReply {
                interval: Duration::ZERO,
                min_interval: None,
                complete: None,
                incomplete: None,
                peers,
                warning: None,
            });
            let datagram = Reply { transaction: 1, answer }.encode(family);
            assert!(datagram.len() <= MAX_ANNOUNCE_REPLY, "{}", datagram.len());
            let Answer::Announce(reply) = Reply::decode(&datagram, family).unwrap().answer else { panic!() };
            assert_eq!(reply.peers.len(), fit);
        }
    }

    fn requests() -> impl Strategy<Value = Ask> {
        let event = prop::sample::select(vec![
            AnnounceEvent::Regular,
            AnnounceEvent::Started,
            AnnounceEvent::Completed,
            AnnounceEvent::Stopped,
        ]);
        let numwant = prop::option::of(0..=i32::MAX as u32);
        let announce =
            (any::<([u8; 20], [u8; 20])>(), any::<(u16, u64, u64, u64, u32, u64)>(), event, numwant);
        let announce = announce.prop_map(|((info_hash, peer_id), numbers, event, numwant)| {
            let (port, uploaded, downloaded, left, key, connection) = numbers;
            let (info_hash, peer_id) = (InfoHash(info_hash), PeerId(peer_id));
            let request =
                AnnounceRequest { info_hash, peer_id, port, uploaded, downloaded, left, event, numwant, key };
            Ask::Announce(ConnectionId(connection), Box::new(request))
        });
        let torrents = prop::collection::vec(any::<[u8; 20]>().prop_map(InfoHash), 1..=MAX_SCRAPE);
        let scrape =
            (any::<u64>(), torrents).prop_map(|(id, torrents)| Ask::Scrape(ConnectionId(id), torrents));
        prop_oneof![Just(Ask::Connect), announce, scrape]
    }

    fn answers() -> impl Strategy<Value = (Family, Answer)> {
        let v4 = prop::collection::vec(any::<(Ipv4Addr, u16)>().prop_map(SocketAddr::from), 0..60);
        let v6 = prop::collection::vec(any::<(Ipv6Addr, u16)>().prop_map(SocketAddr::from), 0..60);
        let peers =
            prop_oneof![v4.prop_map(|peers| (Family::V4, peers)), v6.prop_map(|peers| (Family::V6, peers))];
        let announce = (any::<(u32, u32, u32)>(), peers).prop_map(|(numbers, (family, mut peers))| {
            peers.retain(|peer| peer.port() != 0 && Family::of(peer.ip()) == family);
            let reply = AnnounceReply {
                interval: Duration::from_secs(numbers.0.into()),
                min_interval: None,
                complete: Some(numbers.1),
                incomplete: Some(numbers.2),
                peers,
                warning: None,
            };
            (family, Answer::Announce(reply))
        });
        let swarm = any::<(u32, u32, u32)>().prop_map(|(complete, incomplete, downloaded)| SwarmCounts {
            complete,
            incomplete,
            downloaded: downloaded.into(),
        });
        let scrape = prop::collection::vec(swarm, 0..=MAX_SCRAPE).prop_map(Answer::Scrape);
        let error = "[ -~]{0,50}".prop_map(Answer::Error);
        let connect = any::<u64>().prop_map(|id| Answer::Connect(ConnectionId(id)));
        let others = prop_oneof![scrape, error, connect].prop_map(|answer| (Family::V4, answer));
        prop_oneof![announce, others]
    }

    proptest! {
        #[test]
        fn both_sides_agree_on_requests(transaction: u32, ask in requests()) {
            let request = Request { transaction, ask };
            prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
        }

        #[test]
        fn both_sides_agree_on_replies(transaction: u32, (family, answer) in answers()) {
            let reply = Reply { transaction, answer };
            prop_assert_eq!(Reply::decode(&reply.encode(family), family), Ok(reply));
        }

        #[test]
        fn any_bytes_are_read(action in 0u8..5, bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let as_request = [&PROTOCOL_ID.to_be_bytes()[..], &[0, 0, 0, action], &bytes].concat();
            let as_reply = [&[0, 0, 0, action], &bytes[..]].concat();
            for datagram in [&bytes, &as_request, &as_reply] {
                let _ = Request::decode(datagram);
                let _ = (Reply::decode(datagram, Family::V4), Reply::decode(datagram, Family::V6));
            }
        }
    }
}
