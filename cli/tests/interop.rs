//! Our client beside others': aria2, transmission and libtorrent, through our tracker and through opentracker.
//!
//! `LT_PYTHON` names a python that has libtorrent (default: `python3`). Everything stays on 127.0.0.1.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the test polls what others show")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use support::{
    LONG, Running, assert_same, get, make_content, make_torrent, run, seed, stdout, torrentlab, tracker,
};

const TOTAL: usize = 64 << 20;
const PIECE: usize = 256 << 10;

/// Another client.
#[derive(Clone, Copy, Debug)]
enum Other {
    Aria2,
    Transmission,
    Libtorrent,
}

impl Other {
    /// Starts it on the torrent; `work` is a folder for itself.
    fn start(self, torrent: &Path, folder: &Path, work: &Path) -> Running {
        self.start_at(free_port(), torrent, folder, work, &[])
    }

    /// Starts it where it listens at `port`, with arguments of its own.
    fn start_at(self, port: u16, torrent: &Path, folder: &Path, work: &Path, more: &[&str]) -> Running {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
        let mut command = match self {
            Self::Aria2 => Command::new(scripts.join("aria2.sh")),
            Self::Transmission => Command::new(scripts.join("transmission.py")),
            Self::Libtorrent => {
                let python = std::env::var_os("LT_PYTHON").unwrap_or_else(|| "python3".into());
                let mut command = Command::new(python);
                command.arg(scripts.join("lt_client.py"));
                command
            }
        };
        fs::create_dir_all(folder).unwrap();
        fs::create_dir_all(work).unwrap();
        command.arg(torrent).arg(folder).arg(port.to_string()).arg(work).args(more);
        Running::start(command)
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits for something that nobody tells.
fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let give_up = Instant::now() + LONG;
    while !happened() {
        assert!(Instant::now() < give_up, "waited for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Starts opentracker for the torrent with this info-hash.
fn opentracker(dir: &Path, info_hash: &str, port: u16) -> Running {
    // It reads the list after it has given up root's rights.
    let folder = dir.join("opentracker");
    fs::create_dir_all(&folder).unwrap();
    for open in [dir, &folder] {
        fs::set_permissions(open, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    fs::write(folder.join("list"), format!("{info_hash}\n")).unwrap();
    let mut command = Command::new("opentracker");
    let port_arg = port.to_string();
    command.args(["-i", "127.0.0.1", "-p", &port_arg, "-P", &port_arg, "-u", "nobody", "-w", "list", "-d"]);
    command.arg(&folder);
    let running = Running::start(command);
    wait_until("opentracker", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    running
}

/// What a scrape of the tracker at `url` says.
fn scrape(url: &str, info_hash: &str) -> String {
    let addr = url.trim_start_matches("http://").trim_end_matches("/announce");
    let mut target = String::from("/scrape?info_hash=");
    for at in (0..info_hash.len()).step_by(2) {
        write!(target, "%{}", &info_hash[at..at + 2]).unwrap();
    }
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(stream, "GET {target} HTTP/1.0\r\nHost: {addr}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is no loss.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits until somebody has announced.
fn wait_for_member(url: &str, info_hash: &str) {
    wait_until("an announce", || {
        let counts = scrape(url, info_hash);
        counts.contains("complete")
            && !(counts.contains("8:completei0e") && counts.contains("10:incompletei0e"))
    });
}

#[derive(Clone, Copy, Debug)]
enum Tracker {
    Ours,
    Opentracker,
}

/// A torrent of a folder with a tracker that runs, which the torrent names by `scheme` alone: content, torrent, tracker,
/// its address over HTTP, and the info-hash.
fn set_up(dir: &Path, tracker_kind: Tracker, scheme: &str) -> (PathBuf, PathBuf, Running, String, String) {
    let content = make_content(dir, TOTAL);
    let port = free_port();
    let (ours, url) = match tracker_kind {
        Tracker::Ours => {
            let (tracker, url) = tracker();
            (Some(tracker), url)
        }
        Tracker::Opentracker => (None, format!("http://127.0.0.1:{port}/announce")),
    };
    let torrent = make_torrent(&content, &[&url.replacen("http", scheme, 1)]);
    let shown = stdout(&run(torrentlab().arg("show").arg(&torrent), 0));
    let info_hash = shown.lines().find_map(|line| line.strip_prefix("info-hash")).unwrap().trim().to_owned();
    let tracker = ours.unwrap_or_else(|| opentracker(dir, &info_hash, port));
    (content, torrent, tracker, url, info_hash)
}

/// The other starts first and announces, so that we are told of it and dial, whatever the tracker's interval.
fn both_directions(other: Other, tracker: Tracker, scheme: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (content, torrent, _tracker, url, info_hash) = set_up(dir.path(), tracker, scheme);
    {
        let _other = other.start(&torrent, dir.path(), &dir.path().join("seed"));
        wait_for_member(&url, &info_hash);
        let out = dir.path().join("from other");
        run(&mut get(&torrent, &out, &[]), 0);
        assert_same(&content, &out.join("content"));
    }
    let dir2 = tempfile::tempdir().unwrap();
    let (content, torrent, _tracker, url, info_hash) = set_up(dir2.path(), tracker, scheme);
    let (out, work) = (dir2.path().join("to other"), dir2.path().join("leech"));
    let _other = other.start(&torrent, &out, &work);
    wait_for_member(&url, &info_hash);
    let _seed = seed(&torrent, &content, &[]);
    wait_until("the other's download", || work.join("done").exists());
    if matches!(other, Other::Transmission) {
        // It makes no files of no bytes.
        ["z", "sub/zero"].iter().for_each(|name| fs::write(out.join("content").join(name), "").unwrap());
    }
    assert_same(&content, &out.join("content"));
}

macro_rules! both_directions {
    ($($name:ident: $other:ident through $tracker:ident over $scheme:literal;)*) => {$(
        #[test]
        #[ignore = "needs aria2c, transmission-daemon, opentracker and libtorrent: .ci/run installs and runs them"]
        fn $name() {
            both_directions(Other::$other, Tracker::$tracker, $scheme);
        }
    )*};
}

both_directions! {
    aria2_through_our_tracker: Aria2 through Ours over "http";
    aria2_through_our_tracker_over_udp: Aria2 through Ours over "udp";
    aria2_through_opentracker: Aria2 through Opentracker over "http";
    transmission_through_our_tracker: Transmission through Ours over "http";
    transmission_through_opentracker: Transmission through Opentracker over "http";
    libtorrent_through_our_tracker: Libtorrent through Ours over "http";
    libtorrent_through_our_tracker_over_udp: Libtorrent through Ours over "udp";
    libtorrent_through_opentracker: Libtorrent through Opentracker over "http";
}

/// Two of ours find each other through opentracker, to which all announces go over UDP.
#[test]
#[ignore = "needs opentracker: .ci/run installs and runs it"]
fn ours_through_opentracker_over_udp() {
    let dir = tempfile::tempdir().unwrap();
    let (content, torrent, _tracker, url, info_hash) = set_up(dir.path(), Tracker::Opentracker, "udp");
    let (seed, _) = seed(&torrent, &content, &[]);
    wait_for_member(&url, &info_hash);
    let out = dir.path().join("out");
    run(&mut get(&torrent, &out, &[]), 0);
    assert_same(&content, &out.join("content"));
    let counts = scrape(&url, &info_hash);
    assert!(counts.contains("8:completei1e10:downloadedi1e10:incompletei0e"), "{counts}");
    seed.signal("INT");
    seed.finish();
    let counts = scrape(&url, &info_hash);
    assert!(counts.contains("8:completei0e"), "{counts}");
}

/// A torrent of `content` that names no tracker: the info-hash is the same.
fn without_tracker(content: &Path) -> PathBuf {
    let torrent = content.with_extension("quiet.torrent");
    let mut command = torrentlab();
    command.arg("create").arg(content).arg("-o").arg(&torrent).args(["--piece-length", "256 KiB"]);
    run(&mut command, 0);
    torrent
}

/// The tracker knows a slow hub of ours, and a seed is known to the hub alone: that the other has everything long before
/// the hub has it shows that the hub's word reached it.
fn told_by_us(other: Other) {
    let dir = tempfile::tempdir().unwrap();
    let (content, torrent, _tracker, url, info_hash) = set_up(dir.path(), Tracker::Ours, "http");
    let slow = ["--down", "256 KiB/s", "--seed-for", "1 h"];
    let hub = Running::start(get(&torrent, &dir.path().join("hub"), &slow));
    let addr = hub.wait_for("listening on ");
    wait_for_member(&url, &info_hash);
    let (_seed, _) = seed(&without_tracker(&content), &content, &["--peer", &addr]);
    let (out, work) = (dir.path().join("other"), dir.path().join("work"));
    let _other = other.start(&torrent, &out, &work);
    wait_until("the other's download", || work.join("done").exists());
    assert_same(&content, &out.join("content"));
    hub.signal("INT");
    let left = support::number(hub.finish().1.lines().last().unwrap(), "left_bytes");
    assert!(left > TOTAL as u64 / 4, "the hub lacks {left} bytes");
}

#[test]
#[ignore = "needs libtorrent: .ci/run installs and runs it"]
fn libtorrent_hears_of_a_peer_from_us() {
    told_by_us(Other::Libtorrent);
}

#[test]
#[ignore = "needs aria2c: .ci/run installs and runs it"]
fn aria2_hears_of_a_peer_from_us() {
    told_by_us(Other::Aria2);
}

/// The same with a hub that is libtorrent, which the tracker knows, and a newcomer that is ours.
#[test]
#[ignore = "needs libtorrent: .ci/run installs and runs it"]
fn we_hear_of_a_peer_from_libtorrent() {
    let dir = tempfile::tempdir().unwrap();
    let (content, torrent, _tracker, url, info_hash) = set_up(dir.path(), Tracker::Ours, "http");
    let (port, slow, work) = (free_port(), (256 << 10).to_string(), dir.path().join("work"));
    let _hub = Other::Libtorrent.start_at(port, &torrent, &dir.path().join("hub"), &work, &[&slow]);
    wait_for_member(&url, &info_hash);
    let (_seed, _) = seed(&without_tracker(&content), &content, &["--peer", &format!("127.0.0.1:{port}")]);
    let out = dir.path().join("ours");
    run(&mut get(&torrent, &out, &[]), 0);
    assert_same(&content, &out.join("content"));
    assert!(!work.join("done").exists(), "the hub has everything too: it may have given it all");
}

/// A copy of the content in which only each third piece, from the `nth` on, is right.
fn a_third(content: &Path, folder: &Path, nth: usize) {
    let mut at = 0;
    // In the order of the torrent, as `make_content` lays the files out.
    for name in ["a.bin", "sub/c", "sub/deep/b", "sub/zero", "tail", "z"] {
        let mut bytes = fs::read(content.join(name)).unwrap();
        for byte in &mut bytes {
            if at / PIECE % 3 != nth {
                *byte = !*byte;
            }
            at += 1;
        }
        let path = folder.join("content").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(at, TOTAL);
}

#[test]
#[ignore = "needs aria2c and transmission-daemon: .ci/run installs and runs them"]
fn three_clients_with_a_third_each() {
    let dir = tempfile::tempdir().unwrap();
    let (content, torrent, _tracker, url, info_hash) = set_up(dir.path(), Tracker::Ours, "http");
    let folder = |name: &str| dir.path().join(name);
    for (nth, name) in ["transmission", "aria2", "ours"].into_iter().enumerate() {
        a_third(&content, &folder(name), nth);
    }
    let _transmission =
        Other::Transmission.start(&torrent, &folder("transmission"), &folder("transmission work"));
    wait_for_member(&url, &info_hash);
    let _aria2 = Other::Aria2.start(&torrent, &folder("aria2"), &folder("aria2 work"));
    let ours = Running::start(get(&torrent, &folder("ours"), &["--seed-for", "1 h"]));
    ours.wait_for("complete");
    wait_until("the others", || {
        ["transmission work", "aria2 work"].iter().all(|work| folder(work).join("done").exists())
    });
    for name in ["transmission", "aria2", "ours"] {
        assert_same(&content, &folder(name).join("content"));
    }
    ours.signal("INT");
    let (_, told) = ours.finish();
    let fetched = support::number(told.lines().last().unwrap(), "downloaded_bytes");
    let two_thirds = TOTAL as u64 * 2 / 3;
    assert!((two_thirds..two_thirds + two_thirds / 5).contains(&fetched), "{fetched} bytes");
}
