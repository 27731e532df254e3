//! Moves bytes over simulated links and prints how long each flow took: what `simulator/benches/tcp` compares with the
//! TCP of Linux.
//!
//! ```sh
//! cargo run --release -p torrentlab-simulator --example flow -- --bytes "16 MiB" --up "8 Mbit/s" --down "32 Mbit/s" \
//!     --rtt "40 ms" [--backend des] [--senders 5] [--receivers 5] [--queue "128 KiB"] [--window "4 MiB"] [--until "30 s"]
//! ```
//!
//! A line for each flow: seconds from the dial until the receiver has all bytes (`-` when it has not), and the bytes
//! that it has. Every sender sends to every receiver; all links are the same.

mod des;

use std::process::ExitCode;
use std::str::FromStr;

use torrentlab_scenarios::units::{Rate, Size, Span};

/// Flows from every sender to every receiver, all at once.
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
        Ok(case) => {
            for Outcome { seconds, bytes } in des::run(&case) {
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

fn parse(mut words: impl Iterator<Item = String>) -> Result<Case, String> {
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
            "--backend" if value == "des" => (),
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
    Ok(Case {
        bytes: bytes.ok_or("--bytes is missing")?,
        up: up.ok_or("--up is missing")?,
        down: down.ok_or("--down is missing")?,
        rtt_ns: rtt.ok_or("--rtt is missing")?,
        ..case
    })
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
