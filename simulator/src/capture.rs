//! What two hosts send each other, as a packet capture: pcapng with IPv4 and TCP, for Wireshark and tshark.
//!
//! The capture is taken where packets arrive: a message is in it at the time at which its receiver had all of it, and what
//! never arrived (taken back from a socket buffer, lost with a connection) is not. Sequence numbers count what arrived, and
//! each message is acknowledged at once. What the simulator has no notion of is made up: the sender's ephemeral port, the
//! sizes of segments (1,448 bytes at most), initial sequence numbers of 0. Blocks of simulated content are filled with the
//! tag that stands for them.

#![expect(clippy::disallowed_types, reason = "packets are written as they come")]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use etherparse::{PacketBuilder, TcpHeader, TcpOptionElement};
use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::name_resolution::{Ipv4Record, NameResolutionBlock, Record};
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Disconnect, Input, Output};
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::ConnId;
use torrentlab_engine::wire::{Message, Payload, encode};

use crate::plan::{PORT, addr_of};
use crate::watch::{Scene, Watch};

/// Bytes of data in a segment: Ethernet's 1,500 less headers with time stamps.
const MSS: usize = 1448;
/// The window that both ends offer, times 2^10.
const WINDOW: u16 = u16::MAX;
const WINDOW_SCALE: u8 = 10;
/// The first of the ports that are given to those who dial.
const FIRST_PORT: u16 = 49_152;
const PORTS: u16 = u16::MAX - FIRST_PORT;
const HOPS: u8 = 64;
/// Time stamps are in units of 10^-9 s.
const NANOSECONDS: u8 = 9;

/// What a capture holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Captured {
    /// Connections.
    pub connections: u64,
    /// Messages, the two parts of a handshake among them.
    pub messages: u64,
    /// Packets.
    pub packets: u64,
}

/// A capture file in the making.
#[derive(Debug)]
pub struct Capture {
    file: File,
    hosts: BTreeSet<u32>,
    until: Instant,
    result: Arc<Mutex<Option<io::Result<Captured>>>>,
}

impl Capture {
    /// A new file at `path` for what `hosts` send each other (or, if there is one, what it and anybody do) until `until`.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn create(path: &Path, hosts: impl IntoIterator<Item = u32>, until: Instant) -> io::Result<Self> {
        Ok(Self {
            file: File::create(path)?,
            hosts: hosts.into_iter().collect(),
            until,
            result: Arc::default(),
        })
    }

    /// The watch that captures the run of `scene`. The file is finished when it goes.
    pub fn watch(&self, scene: &Scene) -> Box<dyn Watch> {
        let writer = self.file.try_clone().and_then(|file| begin(BufWriter::new(file), scene));
        let (writer, failed) = match writer {
            Ok(writer) => (Some(writer), None),
            Err(error) => (None, Some(error)),
        };
        Box::new(Tap {
            writer,
            failed,
            hosts: self.hosts.clone(),
            until: self.until,
            scene: scene.clone(),
            addrs: BTreeMap::new(),
            ends: BTreeMap::new(),
            halves: BTreeMap::new(),
            talks: Vec::new(),
            captured: Captured::default(),
            result: Arc::clone(&self.result),
        })
    }

    /// What was captured, once the run is over.
    ///
    /// # Errors
    /// What kept the file from being written, if anything did.
    pub fn end(self) -> io::Result<Captured> {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        result.take().unwrap_or_else(|| Ok(Captured::default()))
    }
}

/// The file's beginning: one interface, and the names of the hosts.
fn begin<W: Write>(out: W, scene: &Scene) -> io::Result<PcapNgWriter<W>> {
    let mut writer = PcapNgWriter::new(out).map_err(io::Error::other)?;
    let name = format!("torrentlab: {}, seed {}", scene.scenario.name, scene.seed);
    let interface = InterfaceDescriptionBlock {
        linktype: DataLink::RAW,
        snaplen: 0,
        options: vec![
            InterfaceDescriptionOption::IfName(Cow::Owned(name)),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
        ],
    };
    writer.write_pcapng_block(interface).map_err(io::Error::other)?;
    let record = |host: u32| {
        let IpAddr::V4(ip) = addr_of(host).ip() else { return None };
        let names = vec![Cow::Owned(scene.names.name(host))];
        Some(Record::Ipv4(Ipv4Record { ip_addr: Cow::Owned(ip.octets().to_vec()), names }))
    };
    let records = (0..scene.names.hosts()).filter_map(record).chain([Record::End]).collect();
    writer
        .write_pcapng_block(NameResolutionBlock { records, options: Vec::new() })
        .map_err(io::Error::other)?;
    Ok(writer)
}

/// One connection: its ends are 0, who dialled, and 1.
#[derive(Debug)]
struct Talk {
    addrs: [SocketAddr; 2],
    /// Bytes that arrived from each end: its next sequence number, less one for its SYN.
    sent: [u32; 2],
    /// Both ends know that it is open.
    open: bool,
    /// Whoever has closed.
    closed: [bool; 2],
    over: bool,
}

struct Tap {
    /// `None` once writing has failed, or the time is over.
    writer: Option<PcapNgWriter<BufWriter<File>>>,
    failed: Option<io::Error>,
    hosts: BTreeSet<u32>,
    until: Instant,
    scene: Scene,
    addrs: BTreeMap<u32, SocketAddr>,
    /// By host and connection: which talk, and which end of it.
    ends: BTreeMap<(u32, ConnId), (usize, usize)>,
    /// By who dialled and whom, and which end is still to hear of it: talks in order.
    halves: BTreeMap<(u32, u32, usize), VecDeque<usize>>,
    talks: Vec<Talk>,
    captured: Captured,
    result: Arc<Mutex<Option<io::Result<Captured>>>>,
}

/// A segment to be written.
struct Segment<'a> {
    from: usize,
    flags: Flags,
    payload: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flags {
    Syn,
    SynAck,
    Ack,
    Push,
    FinAck,
    Reset,
}

impl Tap {
    fn is_wanted(&self, one: u32, other: u32) -> bool {
        match self.hosts.len() {
            1 => self.hosts.contains(&one) || self.hosts.contains(&other),
            _ => self.hosts.contains(&one) && self.hosts.contains(&other),
        }
    }

    fn connected(&mut self, now: Instant, host: u32, conn: ConnId, addr: SocketAddr, outgoing: bool) {
        let Some(peer) = self.scene.names.host_at(addr).filter(|&peer| self.is_wanted(host, peer)) else {
            return;
        };
        let (from, to) = if outgoing { (host, peer) } else { (peer, host) };
        let end = usize::from(!outgoing);
        let half = self.halves.get_mut(&(from, to, end)).and_then(VecDeque::pop_front);
        let talk = half.unwrap_or_else(|| self.begin(now, from, to, end));
        self.ends.insert((host, conn), (talk, end));
        if half.is_some() {
            self.open(now, talk);
        }
    }

    /// One end is connected, and the other will be.
    fn begin(&mut self, now: Instant, from: u32, to: u32, end: usize) -> usize {
        let talk = self.talks.len();
        let port = FIRST_PORT + (talk % usize::from(PORTS)) as u16;
        let addr = |host: u32| self.addrs.get(&host).copied().unwrap_or_else(|| addr_of(host));
        let addrs = [SocketAddr::new(addr(from).ip(), port), SocketAddr::new(addr(to).ip(), PORT)];
        self.talks.push(Talk { addrs, sent: [0; 2], open: false, closed: [false; 2], over: false });
        self.halves.entry((from, to, 1 - end)).or_default().push_back(talk);
        self.captured.connections += u64::from(now <= self.until);
        self.write(now, talk, Segment { from: 0, flags: Flags::Syn, payload: &[] });
        self.write(now, talk, Segment { from: 1, flags: Flags::SynAck, payload: &[] });
        talk
    }

    fn open(&mut self, now: Instant, talk: usize) {
        if !std::mem::replace(&mut self.talks[talk].open, true) {
            self.write(now, talk, Segment { from: 0, flags: Flags::Ack, payload: &[] });
        }
    }

    fn arrived(&mut self, now: Instant, host: u32, conn: ConnId, message: &Message) {
        let Some(&(talk, end)) = self.ends.get(&(host, conn)) else { return };
        self.open(now, talk);
        let mut bytes = BytesMut::new();
        // Synthetic payload has just been given bytes.
        if encode(&with_bytes(message), &mut bytes).is_err() {
            return;
        }
        self.captured.messages += u64::from(now <= self.until);
        for payload in bytes.chunks(MSS) {
            self.write(now, talk, Segment { from: 1 - end, flags: Flags::Push, payload });
        }
        self.write(now, talk, Segment { from: end, flags: Flags::Ack, payload: &[] });
    }

    /// The end `end` closes, or has heard that the other one has.
    fn closed(&mut self, now: Instant, talk: usize, end: usize, heard: bool, reset: bool) {
        let state = &mut self.talks[talk];
        state.closed[end] = true;
        if state.over || !heard && !state.closed[1 - end] {
            return;
        }
        state.over = true;
        // Who was told comes second.
        let first = if heard { 1 - end } else { end };
        self.open(now, talk);
        if reset {
            return self.write(now, talk, Segment { from: first, flags: Flags::Reset, payload: &[] });
        }
        self.write(now, talk, Segment { from: first, flags: Flags::FinAck, payload: &[] });
        self.write(now, talk, Segment { from: 1 - first, flags: Flags::FinAck, payload: &[] });
        self.write(now, talk, Segment { from: first, flags: Flags::Ack, payload: &[] });
    }

    fn write(&mut self, now: Instant, talk: usize, segment: Segment<'_>) {
        if now > self.until {
            return;
        }
        let Some(writer) = &mut self.writer else { return };
        match packet(&mut self.talks[talk], &segment).and_then(|packet| {
            let block = EnhancedPacketBlock {
                interface_id: 0,
                timestamp: std::time::Duration::from_nanos(now.as_nanos()),
                original_len: packet.len() as u32,
                data: Cow::Owned(packet),
                options: Vec::new(),
            };
            writer.write_pcapng_block(block).map_err(io::Error::other)
        }) {
            Ok(_) => self.captured.packets += 1,
            Err(error) => (self.writer, self.failed) = (None, Some(error)),
        }
    }
}

/// The bytes of a segment, which counts as sent from now on.
fn packet(talk: &mut Talk, segment: &Segment<'_>) -> io::Result<Vec<u8>> {
    let Segment { from, flags, payload } = *segment;
    let to = 1 - from;
    let [IpAddr::V4(source), IpAddr::V4(target)] = [from, to].map(|end| talk.addrs[end].ip()) else {
        return Err(io::Error::other("hosts have IPv4 addresses"));
    };
    // A SYN, and a FIN, count as a byte.
    let own = talk.sent[from].wrapping_add(u32::from(flags != Flags::Syn && flags != Flags::SynAck));
    let mut tcp = TcpHeader::new(talk.addrs[from].port(), talk.addrs[to].port(), own, WINDOW);
    if flags != Flags::Syn {
        (tcp.ack, tcp.acknowledgment_number) = (true, talk.sent[to].wrapping_add(1));
    }
    match flags {
        Flags::Syn | Flags::SynAck => {
            tcp.syn = true;
            let options = [
                TcpOptionElement::MaximumSegmentSize(MSS as u16 + 12),
                TcpOptionElement::WindowScale(WINDOW_SCALE),
            ];
            tcp.set_options(&options).map_err(io::Error::other)?;
        }
        Flags::FinAck => tcp.fin = true,
        Flags::Reset => tcp.rst = true,
        Flags::Push => tcp.psh = true,
        Flags::Ack => {}
    }
    talk.sent[from] = talk.sent[from].wrapping_add(payload.len() as u32 + u32::from(flags == Flags::FinAck));
    let builder = PacketBuilder::ipv4(source.octets(), target.octets(), HOPS).tcp_header(tcp);
    let mut bytes = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut bytes, payload).map_err(io::Error::other)?;
    Ok(bytes)
}

/// A message whose block has bytes: of a simulated one, its tag again and again.
fn with_bytes(message: &Message) -> Message {
    match message {
        Message::Piece { block, payload: Payload::Synthetic { len, tag } } => {
            let bytes: Bytes = tag.to_le_bytes().into_iter().cycle().take(*len as usize).collect();
            Message::Piece { block: *block, payload: Payload::Bytes(bytes) }
        }
        other => other.clone(),
    }
}

impl Watch for Tap {
    fn came(&mut self, _: Instant, host: u32, addr: SocketAddr, _: &Bitfield) {
        self.addrs.insert(host, addr);
        // What an earlier stay did not hear of it never will.
        self.halves.retain(|&(from, to, end), _| [from, to][end] != host);
    }

    fn input(&mut self, now: Instant, host: u32, input: &Input) {
        match input {
            Input::Connected { conn, addr, outgoing, .. } => {
                self.connected(now, host, *conn, *addr, *outgoing)
            }
            Input::Message { conn, message } => self.arrived(now, host, *conn, message),
            Input::Closed { conn, why } => {
                if let Some((talk, end)) = self.ends.remove(&(host, *conn)) {
                    self.closed(now, talk, end, true, *why == Disconnect::Reset);
                }
            }
            _ => {}
        }
    }

    fn output(&mut self, now: Instant, host: u32, output: &Output, _: &[ConnId]) {
        if let Output::Close { conn, .. } = output
            && let Some((talk, end)) = self.ends.remove(&(host, *conn))
        {
            self.closed(now, talk, end, false, false);
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let result = match (self.writer.take(), self.failed.take()) {
            (_, Some(error)) => Err(error),
            (Some(writer), None) => writer.into_inner().flush().map(|()| self.captured),
            (None, None) => Ok(self.captured),
        };
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }
}
