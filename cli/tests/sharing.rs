//! `create`, `track`, `seed` and `get` as a user runs them, on loopback.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the test plays the network")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use support::{
    LONG, Running, assert_same, fails, get, make_content, make_torrent, number, run, seed, stderr, stdout,
    torrentlab, tracker, tracker_counts,
};

const TOTAL: usize = 20 << 20;
const PIECE: u64 = 256 << 10;
/// A download is stopped after so many bytes; several MiB of them may not be on disk yet.
const PASSED: usize = 19 << 20;

#[test]
fn a_folder_moves_through_our_tracker() {
    let dir = tempfile::tempdir().unwrap();
    let content = make_content(dir.path(), TOTAL);
    let (_tracker, url) = tracker();
    let torrent = make_torrent(&content, &[&url]);
    let (seed, _) = seed(&torrent, &content, &[]);
    let out = dir.path().join("out");
    let told = run(&mut get(&torrent, &out, &[]), 0);
    assert_eq!(number(&stdout(&told), "downloaded_bytes"), TOTAL as u64);
    assert_same(&content, &out.join("content"));
    seed.signal("INT");
    let (status, _) = seed.finish();
    assert_eq!(status.code(), Some(130));
    let counts = tracker_counts(&url);
    assert!(counts.contains("2 started, 1 completed, 2 stopped"), "{counts}");
}

#[test]
fn a_tracker_over_udp_takes_over_from_one_over_http_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let content = make_content(dir.path(), 1 << 20);
    let (_tracker, url) = tracker();
    let over_udp = url.replacen("http", "udp", 1);
    let torrent = make_torrent(&content, &["http://127.0.0.1:1/announce", &over_udp]);
    let (seed, _) = seed(&torrent, &content, &[]);
    let out = dir.path().join("out");
    run(&mut get(&torrent, &out, &[]), 0);
    assert_same(&content, &out.join("content"));
    seed.signal("INT");
    seed.finish();
    let counts = tracker_counts(&url);
    assert!(counts.contains("2 started, 1 completed, 2 stopped"), "{counts}");
}

/// A seed and a slow hub know each other, and a newcomer knows the hub alone: how many bytes the hub still lacks once the
/// newcomer has everything. None, if the newcomer had it all of the hub.
fn hub_lacks(private: bool, more: &[&str]) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let content = make_content(dir.path(), 12 << 20);
    let torrent = dir.path().join("x.torrent");
    let mut create = torrentlab();
    create.arg("create").arg(&content).arg("-o").arg(&torrent).args(private.then_some("--private"));
    run(&mut create, 0);
    let slow = ["--down", "1 MiB/s", "--seed-for", "1 h"];
    let hub = Running::start(get(&torrent, &dir.path().join("hub"), &[&slow, more].concat()));
    let addr = hub.wait_for("listening on ");
    let whom = [&["--peer", addr.as_str()], more].concat();
    let (_seed, _) = seed(&torrent, &content, &whom);
    let out = dir.path().join("newcomer");
    run(&mut get(&torrent, &out, &whom), 0);
    assert_same(&content, &out.join("content"));
    hub.signal("INT");
    number(hub.finish().1.lines().last().unwrap(), "left_bytes")
}

#[test]
fn a_peer_that_two_know_makes_them_known_to_each_other() {
    assert!(hub_lacks(false, &[]) > 0);
}

#[test]
fn a_peer_that_two_know_makes_them_known_to_each_other_negative() {
    assert_eq!(hub_lacks(false, &["--no-peer-exchange"]), 0);
}

#[test]
fn in_a_private_torrent_nobody_is_made_known() {
    assert_eq!(hub_lacks(true, &[]), 0);
}

#[test]
fn udp_can_be_left_out() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = udp.local_addr().unwrap().to_string();
    let told = fails(torrentlab().args(["track", "--http", &taken]), 1);
    assert!(told.contains("--no-udp"), "{told}");
    let mut command = torrentlab();
    command.args(["track", "--http", &taken, "--no-udp"]);
    let tracker = Running::start(command);
    assert_eq!(tracker.wait_for("http://"), format!("{taken}/announce"));
    tracker.signal("INT");
    assert_eq!(tracker.finish().1, "");
}

/// Passes connections on to `to`; after `limit` bytes from there it stalls and tells.
fn stalling_proxy(to: SocketAddr, limit: usize) -> (SocketAddr, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (stalled, stall) = mpsc::channel();
    thread::spawn(move || {
        let (mut near, _) = listener.accept().unwrap();
        let mut far = TcpStream::connect(to).unwrap();
        let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut near_in, &mut far_out));
        let mut buf = vec![0; 64 << 10];
        let mut passed = 0;
        while passed < limit {
            let len = far.read(&mut buf).unwrap();
            near.write_all(&buf[..len]).unwrap();
            passed += len;
        }
        stalled.send(()).unwrap();
        // Held open until the test is over.
        let _ = near.read_to_end(&mut Vec::new());
    });
    (addr, stall)
}

#[test]
fn a_download_that_was_killed_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let content = make_content(dir.path(), TOTAL);
    let torrent = make_torrent(&content, &[]);
    let (_seed, addr) = seed(&torrent, &content, &[]);
    let out = dir.path().join("out");
    let (proxy, stalled) = stalling_proxy(addr, PASSED);
    let first = Running::start(get(&torrent, &out, &["--peer", &proxy.to_string()]));
    stalled.recv_timeout(LONG).unwrap();
    first.signal("KILL");
    assert_eq!(first.finish().0.code(), None);
    let told = run(&mut get(&torrent, &out, &["--peer", &addr.to_string()]), 0);
    let fetched = number(&stdout(&told), "downloaded_bytes");
    assert!(fetched < TOTAL as u64 * 3 / 4, "{fetched} bytes were fetched again");
    assert_same(&content, &out.join("content"));
}

#[test]
fn wrong_bytes_on_disk_are_fetched_again_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let content = make_content(dir.path(), TOTAL);
    let torrent = make_torrent(&content, &[]);
    let (_seed, addr) = seed(&torrent, &content, &[]);
    let out = dir.path().join("out");
    let peer = addr.to_string();
    run(&mut get(&torrent, &out, &["--peer", &peer]), 0);
    let damaged = out.join("content/a.bin");
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[300_000] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let told = run(&mut get(&torrent, &out, &["--peer", &peer]), 0);
    assert_eq!(number(&stdout(&told), "downloaded_bytes"), PIECE);
    assert_same(&content, &out.join("content"));
    // With everything there, nobody is needed.
    let told = run(&mut get(&torrent, &out, &[]), 0);
    assert_eq!(number(&stdout(&told), "downloaded_bytes"), 0);
}

#[test]
fn every_picker_and_rate_limits_get_there() {
    let dir = tempfile::tempdir().unwrap();
    let content = make_content(dir.path(), 2 << 20);
    let torrent = make_torrent(&content, &[]);
    let (_seed, addr) = seed(&torrent, &content, &["--super-seed", "--up", "100 MiB/s"]);
    for picker in ["rarest-first", "random", "sequential"] {
        let out = dir.path().join(picker);
        let more = ["--peer", &addr.to_string(), "--picker", picker, "--down", "50 MiB/s"];
        run(&mut get(&torrent, &out, &more), 0);
        assert_same(&content, &out.join("content"));
    }
}

#[test]
fn a_single_file_is_shared_from_wherever_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let content = make_content(dir.path(), 1 << 20).join("a.bin");
    let torrent = make_torrent(&content, &[]);
    let renamed = dir.path().join("another name");
    fs::copy(&content, &renamed).unwrap();
    for data in [&content, &renamed, content.parent().unwrap()] {
        let (_seed, addr) = seed(&torrent, data, &[]);
        let out = tempfile::tempdir().unwrap();
        run(&mut get(&torrent, out.path(), &["--peer", &addr.to_string()]), 0);
        assert!(fs::read(out.path().join("a.bin")).unwrap() == fs::read(&content).unwrap());
    }
}

#[test]
fn ctrl_c_keeps_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let content = make_content(dir.path(), TOTAL);
    let torrent = make_torrent(&content, &[]);
    let (_seed, addr) = seed(&torrent, &content, &[]);
    let (proxy, stalled) = stalling_proxy(addr, PASSED);
    let out = dir.path().join("out");
    let first = Running::start(get(&torrent, &out, &["--peer", &proxy.to_string()]));
    stalled.recv_timeout(LONG).unwrap();
    first.signal("INT");
    let (status, told) = first.finish();
    assert_eq!(status.code(), Some(130));
    assert!(told.contains("\"complete\":false"), "{told}");
    let told = run(&mut get(&torrent, &out, &["--peer", &addr.to_string()]), 0);
    assert!(number(&stdout(&told), "downloaded_bytes") < TOTAL as u64 * 3 / 4);
}

#[test]
fn what_cannot_be_written_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let content = make_content(dir.path(), 1 << 20);
    let torrent = make_torrent(&content, &[]);
    let file = dir.path().join("file");
    fs::write(&file, "kept").unwrap();
    for out in [file.clone(), file.join("below"), "/proc/nothing".into()] {
        let text = fails(&mut get(&torrent, &out, &[]), 1);
        assert!(text.contains("cannot create"), "{text}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    let out = dir.path().join("out");
    fs::create_dir_all(&out).unwrap();
    std::os::unix::fs::symlink(dir.path(), out.join("content")).unwrap();
    let text = fails(&mut get(&torrent, &out, &[]), 1);
    assert!(text.contains("symbolic link"), "{text}");
}

#[test]
fn wrong_input_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let content = make_content(dir.path(), 1 << 20);
    let torrent = make_torrent(&content, &[]);
    let whole = fs::read(&torrent).unwrap();
    let bad = dir.path().join("bad.torrent");
    let out = dir.path().join("out");
    let no_torrent: [&[u8]; 4] = [b"", b"<html>", &whole[..whole.len() / 2], b"d4:infod6:lengthi-1eee"];
    for bytes in no_torrent {
        fs::write(&bad, bytes).unwrap();
        fails(&mut get(&bad, &out, &[]), 2);
        fails(torrentlab().arg("show").arg(&bad), 2);
    }
    let escaping = String::from_utf8_lossy(&whole).into_owned();
    assert!(escaping.contains("4:deep"), "the test's torrent has such a folder");
    let at = whole.windows(6).position(|bytes| bytes == b"4:deep").unwrap();
    let hostile = [&whole[..at], b"2:..", &whole[at + 6..]].concat();
    fs::write(&bad, hostile).unwrap();
    fails(&mut get(&bad, &out, &[]), 2);
    assert!(!out.exists());
    fails(&mut get(Path::new("/no/such.torrent"), &out, &[]), 2);
    fails(torrentlab().args(["create", "/no/such/path"]), 2);
    fails(torrentlab().arg("create").arg(&content).args(["--piece-length", "1 KiB"]), 2);
    fails(torrentlab().arg("create").arg(&content).args(["--piece-length", "a lot"]), 2);
    fails(&mut get(&torrent, &out, &["--up", "-3 MiB/s"]), 2);
    fails(&mut get(&torrent, &out, &["--seed-for", "99999999999999999999 h"]), 2);
    fails(torrentlab().args(["track", "--http", "nowhere"]), 2);
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fails(torrentlab().arg("create").arg(&empty), 2);
    let mut other = torrentlab();
    other.arg("seed").arg(&torrent).arg("--data").arg(&empty).args(["--listen", "127.0.0.1:0"]);
    let text = fails(&mut other, 2);
    assert!(text.contains("0 of"), "{text}");
}

#[test]
fn a_port_in_use_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let content = make_content(dir.path(), 1 << 20);
    let torrent = make_torrent(&content, &[]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let mut command = torrentlab();
    command.arg("seed").arg(&torrent).arg("--data").arg(&content).args(["--listen", &addr]);
    assert!(fails(&mut command, 1).contains("cannot listen"));
    assert!(fails(torrentlab().args(["track", "--http", &addr]), 1).contains("cannot listen"));
}

#[test]
fn hostile_peers_are_sent_away_and_disturb_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let content = make_content(dir.path(), TOTAL);
    let torrent = make_torrent(&content, &[]);
    let shown = stdout(&run(torrentlab().arg("show").arg(&torrent), 0));
    let hex = shown.lines().find_map(|line| line.strip_prefix("info-hash")).unwrap().trim();
    let info_hash: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let hello =
        |info_hash: &[u8]| [b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0", info_hash, &[b'x'; 20]].concat();
    let after_hello = |message: &[u8]| [&hello(&info_hash)[..], message].concat();
    let attacks = [
        ("noise, as an encrypted dial looks", vec![0xa7; 96]),
        ("another protocol", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("another torrent", hello(&[1; 20])),
        ("a message of 4 GiB", after_hello(&[0xff; 5])),
        ("a block that is too long", after_hello(&[0, 0x10, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("a request out of range", after_hello(&[0, 0, 0, 13, 6, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0])),
        ("a have out of range", after_hello(&[0, 0, 0, 5, 4, 0xff, 0, 0, 0])),
        ("a bitfield of the wrong length", after_hello(&[0, 0, 0, 2, 5, 0])),
    ];
    let (_seed, addr) = seed(&torrent, &content, &[]);
    // One that says nothing stays connected all the while.
    let _silent = TcpStream::connect(addr).unwrap();
    for (name, bytes) in &attacks {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(bytes).unwrap();
        let end = stream.read_to_end(&mut Vec::new());
        let timed_out = end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out, "{name} is still connected");
    }
    let out = dir.path().join("out");
    run(&mut get(&torrent, &out, &["--peer", &addr.to_string()]), 0);
    assert_same(&content, &out.join("content"));
}

#[test]
#[ignore = "needs root, for a small file system: .ci/run runs it"]
fn a_full_disk_is_told_and_loses_nothing_verified() {
    let dir = tempfile::tempdir().unwrap();
    let content = make_content(dir.path(), TOTAL);
    let torrent = make_torrent(&content, &[]);
    let (_seed, addr) = seed(&torrent, &content, &[]);
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    // Mounted in a namespace of its own, so that it goes away with the shell.
    let get =
        format!("{} get {} --out {} ", env!("CARGO_BIN_EXE_torrentlab"), torrent.display(), out.display())
            + &format!("--listen 127.0.0.1:0 --peer {addr} --json");
    let mount = |options: &str| format!("mount -t tmpfs -o {options} none {}", out.display());
    let script = format!("{} && ! {get} && {} && {get}", mount("size=8m"), mount("remount,size=40m"));
    let told = run(std::process::Command::new("unshare").args(["-m", "sh", "-c", &script]), 0);
    assert!(stderr(&told).contains("No space left on device"), "{}", stderr(&told));
    let told = stdout(&told);
    let [first, second] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told}") };
    assert_eq!(number(first, "left_bytes"), number(second, "downloaded_bytes"));
    assert!(number(first, "left_bytes") < TOTAL as u64);
    assert_eq!(number(second, "left_bytes"), 0);
}
