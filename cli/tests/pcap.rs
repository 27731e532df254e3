//! Captures: read back packet by packet, and decoded by tshark where it is installed.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "tests live in the real world")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use bytes::BytesMut;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_file::pcapng::{Block, PcapNgReader};
use support::torrentlab;
use torrentlab_engine::wire::{Decoder, Message};

const SETS: [&str; 6] =
    ["--set", "content.size=1 MiB", "--set", "hosts.leecher.count=4", "--set", "claim=[]"];

/// A run, and the capture of some of its hosts.
fn captured(dir: &Path, backend: &str, hosts: &str, more: &[&str]) -> String {
    let run = torrentlab()
        .args(["run", "first-swarm", "-q", "--trace", "--backend", backend])
        .args(SETS)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let pcap = torrentlab()
        .args(["pcap", "runs/first-swarm/1", "-q", "--hosts", hosts, "-o", "x.pcapng"])
        .args(more)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(pcap.status.success(), "{}", String::from_utf8_lossy(&pcap.stderr));
    String::from_utf8(pcap.stdout).unwrap()
}

/// What the trace of the run has these hosts hear of each other, by kind.
fn heard(dir: &Path, hosts: [&str; 2]) -> BTreeMap<String, usize> {
    let trace = torrentlab().args(["trace", "runs/first-swarm/1"]).current_dir(dir).output().unwrap();
    let text = String::from_utf8(trace.stdout).unwrap();
    let mut kinds = BTreeMap::new();
    for (one, other) in [(hosts[0], hosts[1]), (hosts[1], hosts[0])] {
        let about = format!(" {one} hears of {other}: ");
        for said in text.lines().filter_map(|line| line.split_once(&about)).map(|(_, said)| said) {
            let kind = said.trim_end_matches(|c: char| c.is_ascii_digit()).trim();
            let kind = kind.split(" block ").next().unwrap_or(kind).to_owned();
            *kinds.entry(kind).or_insert(0) += 1;
        }
    }
    kinds
}

/// A direction of a connection, put together again.
#[derive(Default)]
struct Stream {
    next: Option<u32>,
    bytes: BytesMut,
    acked: u32,
    syn: bool,
}

#[test]
fn packets_make_streams_of_messages_again() {
    for backend in ["des", "turmoil"] {
        let dir = tempfile::tempdir().unwrap();
        let told = captured(dir.path(), backend, "seed-0,leecher-1", &[]);
        let mut reader = PcapNgReader::new(fs::File::open(dir.path().join("x.pcapng")).unwrap()).unwrap();
        let mut streams: BTreeMap<(u16, u16), Stream> = BTreeMap::new();
        let (mut packets, mut last) = (0u64, std::time::Duration::ZERO);
        while let Some(block) = reader.next_block() {
            let Block::EnhancedPacket(packet) = block.unwrap() else { continue };
            packets += 1;
            assert!(packet.timestamp >= last, "time goes on");
            last = packet.timestamp;
            let parsed = SlicedPacket::from_ip(&packet.data).unwrap();
            let Some(NetSlice::Ipv4(ip)) = &parsed.net else { panic!("no IPv4") };
            assert_eq!(ip.header().to_header().calc_header_checksum(), ip.header().header_checksum());
            let Some(TransportSlice::Tcp(tcp)) = &parsed.transport else { panic!("no TCP") };
            let (source, target) = (ip.header().source(), ip.header().destination());
            let sum = tcp.to_header().calc_checksum_ipv4_raw(source, target, tcp.payload()).unwrap();
            assert_eq!(sum, tcp.checksum());
            let stream = streams.entry((tcp.source_port(), tcp.destination_port())).or_default();
            let number = tcp.sequence_number();
            if tcp.syn() {
                (stream.syn, stream.next) = (true, Some(number + 1));
            } else {
                assert_eq!(Some(number), stream.next, "nothing is missing and nothing comes twice");
                stream.next = Some(number + tcp.payload().len() as u32 + u32::from(tcp.fin()));
                stream.bytes.extend_from_slice(tcp.payload());
            }
            if tcp.ack() {
                stream.acked = tcp.acknowledgment_number();
                let (ours, acked) = (stream.acked, (tcp.destination_port(), tcp.source_port()));
                let sent = streams.get(&acked).and_then(|other| other.next);
                assert!(sent.is_some_and(|sent| ours <= sent), "no ack of what was not sent");
            }
        }
        assert!(told.contains(&format!("{packets} packets")), "{told}, {packets}");
        let mut messages = 0u64;
        for stream in streams.values_mut() {
            assert!(stream.syn);
            let mut decoder = Decoder::new(1 << 20);
            while let Some(message) = decoder.decode(&mut stream.bytes).unwrap() {
                messages += 1;
                assert!(!matches!(message, Message::Unknown(_)));
            }
            assert!(stream.bytes.is_empty(), "the last message is whole");
        }
        assert!(told.contains(&format!("{messages} messages")), "{told}, {messages}");
        assert_eq!(heard(dir.path(), ["seed-0", "leecher-1"]).values().sum::<usize>() as u64, messages);
    }
}

#[test]
fn tshark_decodes_every_message() {
    if Command::new("tshark").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "tshark is to be there");
        return println!("skipped: tshark is not installed");
    }
    for (backend, more) in [("des", &[][..]), ("turmoil", &[]), ("des", &["--to", "20s"])] {
        let dir = tempfile::tempdir().unwrap();
        captured(dir.path(), backend, "seed-0,leecher-1", more);
        let tshark = |arguments: &[&str]| {
            let output = Command::new("tshark")
                .args(["-r", "x.pcapng"])
                .args(arguments)
                .current_dir(dir.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let wrong = "_ws.malformed or tcp.analysis.flags or ip.checksum.status == 0 or tcp.checksum.status == 0 \
                     or _ws.expert.severity >= 6291456";
        let checks = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-Y", wrong];
        assert_eq!(tshark(&checks), "", "{backend}");
        if !more.is_empty() {
            continue;
        }
        // By the numbers of BEP 3, 6 and 10.
        let kinds = heard(dir.path(), ["seed-0", "leecher-1"]);
        let types = tshark(&["-T", "fields", "-e", "bittorrent.msg.type"]);
        let mut decoded: BTreeMap<u32, usize> = BTreeMap::new();
        for number in types.split([',', '\n']).filter_map(|word| word.trim().parse().ok()) {
            *decoded.entry(number).or_insert(0) += 1;
        }
        for (number, kind) in [
            (0, "choke"),
            (1, "unchoke"),
            (2, "interested"),
            (3, "not interested"),
            (4, "have"),
            (6, "request"),
            (7, "piece"),
            (8, "cancel"),
            (14, "have all"),
            (15, "have none"),
            (16, "reject"),
            (20, "extension handshake"),
        ] {
            let told = kinds.get(kind).copied().unwrap_or(0);
            assert_eq!(
                decoded.get(&number).copied().unwrap_or(0),
                told,
                "{backend}: {kind} in {kinds:?}, {decoded:?}"
            );
        }
        assert!(kinds["piece"] > 5, "{kinds:?}");
    }
}

#[test]
fn hosts_that_never_met_leave_no_file_negative() {
    let dir = tempfile::tempdir().unwrap();
    captured(dir.path(), "des", "seed-0", &[]);
    fs::remove_file(dir.path().join("x.pcapng")).unwrap();
    for (hosts, error) in
        [("seed-0,leecher-9", "there is no host `leecher-9`"), ("seed-0,seed-0", "name two hosts")]
    {
        let pcap = torrentlab()
            .args(["pcap", "runs/first-swarm/1", "--hosts", hosts, "-o", "x.pcapng"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert_eq!(pcap.status.code(), Some(2));
        let errors = String::from_utf8(pcap.stderr).unwrap();
        assert!(errors.contains(error), "{errors}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only the runs are there");
    }
}
