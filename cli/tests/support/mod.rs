//! Running the program, and files to share with it.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "tests live in the real world")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Nothing here takes this long unless it hangs.
pub const LONG: Duration = Duration::from_secs(120);

pub fn torrentlab() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_torrentlab"));
    command.stdin(Stdio::null());
    command
}

/// A program that runs beside the test and does not outlive it.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    /// Starts `command` and follows both its outputs.
    pub fn start(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");
        let (tell, lines) = mpsc::channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
        for output in outputs {
            let tell = tell.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    // The test may have seen enough.
                    let _ = tell.send(line);
                }
            });
        }
        Self { child, lines }
    }

    /// Waits for a line with `text` in it, and gives what follows the text.
    pub fn wait_for(&self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(LONG) {
                Ok(line) => match line.split_once(text) {
                    Some((_, rest)) => return rest.to_owned(),
                    None => seen.push(line),
                },
                Err(_) => panic!("no `{text}` among {seen:#?}"),
            }
        }
    }

    /// All that it wrote since, and how it ended.
    pub fn finish(mut self) -> (ExitStatus, String) {
        let mut all = String::new();
        // Both outputs end with the program.
        loop {
            match self.lines.recv_timeout(LONG) {
                Ok(line) => all += &(line + "\n"),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs; so far:\n{all}"),
            }
        }
        (self.child.wait().expect("it was started"), all)
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill is there").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already. A shell's children go with its group.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end, which must be `code`.
pub fn run(command: &mut Command, code: i32) -> Output {
    let output = command.output().expect("it can be started");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command:?}:\n{text}");
    output
}

/// Runs a command that must fail with `code`, and gives its error; each says what to do.
pub fn fails(command: &mut Command, code: i32) -> String {
    let text = stderr(&run(command, code));
    assert!(text.contains("hint: ") || text.contains("--help"), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts our tracker; its address for `--announce`.
pub fn tracker() -> (Running, String) {
    let mut command = torrentlab();
    command.args(["track", "--http", "127.0.0.1:0", "--interval", "10 s"]);
    let tracker = Running::start(command);
    let url = tracker.wait_for("http://");
    (tracker, format!("http://{url}"))
}

/// What the tracker has counted.
pub fn tracker_counts(url: &str) -> String {
    let addr = url.trim_start_matches("http://").trim_end_matches("/announce");
    let mut stream = std::net::TcpStream::connect(addr).expect("the tracker listens");
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Starts `seed` and waits until it listens.
pub fn seed(torrent: &Path, data: &Path, more: &[&str]) -> (Running, SocketAddr) {
    let mut command = torrentlab();
    command.arg("seed").arg(torrent).arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]).args(more);
    let running = Running::start(command);
    let addr = running.wait_for("listening on ").parse().expect("an address");
    (running, addr)
}

/// A `get` that tells what came of it as JSON.
pub fn get(torrent: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = torrentlab();
    command.arg("get").arg(torrent).arg("--out").arg(out);
    command.args(["--listen", "127.0.0.1:0", "--json"]).args(more);
    command
}

/// A number out of a line of JSON.
pub fn number(json: &str, name: &str) -> u64 {
    let value: serde_json::Value = serde_json::from_str(json.trim()).expect("a line of JSON");
    value[name].as_u64().unwrap_or_else(|| panic!("no {name} in {json}"))
}

/// Files of odd sizes below `dir/content`, `total` bytes in all, two of them empty.
pub fn make_content(dir: &Path, total: usize) -> PathBuf {
    let root = dir.join("content");
    let sizes =
        [("a.bin", total / 2 + 1), ("sub/deep/b", 3), ("sub/zero", 0), ("sub/c", total / 3), ("z", 0)];
    let rest = total - sizes.iter().map(|(_, len)| len).sum::<usize>();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for (path, len) in sizes.into_iter().chain([("tail", rest)]) {
        // xorshift64: bytes that do not repeat
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .flatten()
        .take(len)
        .collect();
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("below the root")).unwrap();
        fs::write(path, bytes).unwrap();
    }
    root
}

/// Makes a torrent of `content`.
pub fn make_torrent(content: &Path, urls: &[&str]) -> PathBuf {
    let torrent = content.with_extension("torrent");
    let mut command = torrentlab();
    command.arg("create").arg(content).arg("-o").arg(&torrent).args(["--piece-length", "256 KiB"]);
    for url in urls {
        command.args(["--announce", url]);
    }
    run(&mut command, 0);
    torrent
}

/// Asserts that `one` and `other` hold the same files with the same bytes.
pub fn assert_same(one: &Path, other: &Path) {
    let (files, others) = (files_of(one), files_of(other));
    assert_eq!(files, others);
    for file in files {
        assert!(
            fs::read(one.join(&file)).unwrap() == fs::read(other.join(&file)).unwrap(),
            "{file:?} differs"
        );
    }
}

fn files_of(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path().strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}
