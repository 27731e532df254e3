//! Moves bytes over simulated links and prints how long each flow took: what `simulator/benches/tcp` compares with the
//! TCP of Linux.
//!
//! ```sh
//! cargo run --release -p torrentlab-simulator --example flow -- --bytes "16 MiB" --up "8 Mbit/s" --down "32 Mbit/s" \
//!     --rtt "40 ms" [--backend des|turmoil] [--senders 5] [--receivers 5] [--queue "128 KiB"] [--window "4 MiB"] [--until "30 s"]
//! ```
//!
//! A line for each flow: seconds from the dial until the receiver has all bytes (`-` when it has not), and the bytes
//! that it has. Every sender sends to every receiver; all links are the same.

pub mod des;
mod turmoil;

use std::process::ExitCode;
use std::str::FromStr;

use torrentlab_engine::dice::Dice;
use torrentlab_engine::time::Duration;
use torrentlab_scenarios::units::{Rate, Size, Span};
use torrentlab_simulator::link::{Links, Tcp};

/// As the scenario's defaults have it.
pub const TCP: Tcp =
    Tcp { mss: 1448, header: 52, segments_per_ack: 2, initial_window: 10, head_of_line: true };
/// Bytes that wait in a connection's socket buffer.
pub const SOCKET_BUFFER: u32 = 64 << 10;

/// Flows from every sender to every receiver, all at once.
#[derive(Clone, Copy)]
pub struct Case {
    /// Hosts that send.
    pub senders: u32,
    /// Hosts that receive.
    pub receivers: u32,
    /// Bytes of each flow.
    pub bytes: u64,
    /// Wire bytes a second out of each host.
    pub up: u64,
    /// Wire bytes a second into each host.
    pub down: u64,
    /// Round-trip time, nanoseconds.
    pub rtt_ns: u64,
    /// Wire bytes that wait before a downlink.
    pub queue: u32,
    /// Receive window, bytes.
    pub window: u32,
    /// When to stop, nanoseconds.
    pub until_ns: u64,
}

impl Case {
    /// How many flows there are.
    pub fn flows(&self) -> usize {
        (self.senders * self.receivers) as usize
    }

    /// The number of a flow, by its two hosts.
    pub fn flow(&self, sender: u32, receiver: u32) -> usize {
        (sender * self.receivers + receiver - self.senders) as usize
    }

    /// The links of a host.
    pub fn links(&self, host: u32) -> Links {
        Links {
            up: Some(self.up),
            down: Some(self.down),
            socket_buffer: SOCKET_BUFFER,
            window: self.window,
            queue: self.queue,
            jitter: Duration::ZERO,
            loss: 0,
            dial_timeout: Duration::from_secs(15),
            dice: Dice::stream(1, ("host", u64::from(host), "jitter")),
        }
    }
}

/// What became of a flow.
#[derive(Clone, Copy, Default)]
pub struct Outcome {
    /// Seconds until all bytes were there; `None` when they were not.
    pub seconds: Option<f64>,
    /// Bytes that were there at the end.
    pub bytes: u64,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok((backend, case)) => {
            for Outcome { seconds, bytes } in backend(&case) {
                println!("{} {bytes}", seconds.map_or("-".into(), |seconds| format!("{seconds:.3}")));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// What runs a case.
type Backend = fn(&Case) -> Vec<Outcome>;

fn parse(mut words: impl Iterator<Item = String>) -> Result<(Backend, Case), String> {
    let mut backend: Backend = des::run;
    let (mut bytes, mut up, mut down, mut rtt) = (None, None, None, None);
    let mut case = Case {
        senders: 1,
        receivers: 1,
        bytes: 0,
        up: 0,
        down: 0,
        rtt_ns: 0,
        queue: 128 << 10,
        window: 4 << 20,
        until_ns: u64::MAX,
    };
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} wants a value"))?;
        match word.as_str() {
            "--backend" if value == "des" => backend = des::run,
            "--backend" if value == "turmoil" => backend = turmoil::run,
            "--backend" => return Err(format!("there is no backend {value}")),
            "--senders" => case.senders = value.parse().map_err(|_| format!("{word}: a whole number"))?,
            "--receivers" => case.receivers = value.parse().map_err(|_| format!("{word}: a whole number"))?,
            "--bytes" => bytes = Some(size(&word, &value)?),
            "--up" => up = Some(rate(&word, &value)?),
            "--down" => down = Some(rate(&word, &value)?),
            "--rtt" => rtt = Some(parsed::<Span>(&word, &value)?.as_nanos()),
            "--queue" => case.queue = small_size(&word, &value)?,
            "--window" => case.window = small_size(&word, &value)?,
            "--until" => case.until_ns = parsed::<Span>(&word, &value)?.as_nanos(),
            _ => return Err(format!("there is no option {word}")),
        }
    }
    let case = Case {
        bytes: bytes.ok_or("--bytes is missing")?,
        up: up.ok_or("--up is missing")?,
        down: down.ok_or("--down is missing")?,
        rtt_ns: rtt.ok_or("--rtt is missing")?,
        ..case
    };
    Ok((backend, case))
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(word: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{word}: {error}"))
}

fn rate(word: &str, value: &str) -> Result<u64, String> {
    parsed::<Rate>(word, value)?.bytes_per_s().ok_or(format!("{word}: it must have a limit"))
}

fn size(word: &str, value: &str) -> Result<u64, String> {
    Ok(parsed::<Size>(word, value)?.bytes())
}

fn small_size(word: &str, value: &str) -> Result<u32, String> {
    u32::try_from(size(word, value)?).map_err(|_| format!("{word}: 4 GiB at most"))
}
