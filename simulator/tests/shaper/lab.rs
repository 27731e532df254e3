//! Hosts in turmoil that send to each other over shaped links, and what they saw.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::net::Platform as _;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_simulator::link::{Links, Tcp};
use torrentlab_simulator::turmoil::net::{Shaped, Stream, World};
use turmoil::Sim;

pub const TCP: Tcp =
    Tcp { mss: 1460, header: 40, segments_per_ack: 2, initial_window: 10, head_of_line: true };
pub const PORT: u16 = 6881;

/// Bytes that an application read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    pub at: Instant,
    pub host: u32,
    /// Who sent them, by the host's number and its port.
    pub from: (u32, u16),
    pub bytes: u64,
}

/// What all software of a lab writes to.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    pub fn add(&self, seen: Seen) {
        self.0.lock().unwrap().push(seen);
    }

    pub fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }
}

pub struct Lab {
    pub world: World,
    pub sim: Sim<'static>,
    pub log: Log,
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn addr(host: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0001 + host)), PORT)
}

fn host_of(addr: SocketAddr) -> u32 {
    let IpAddr::V4(ip) = addr.ip() else { panic!("all hosts have IPv4 addresses") };
    ip.to_bits() - 0x0a00_0001
}

impl Lab {
    pub fn new(tick: u64, latency: u64) -> Self {
        let world = World::new(TCP, ms(tick), move |_, _| ms(latency));
        let mut builder = world.builder();
        builder.rng_seed(1);
        builder.simulation_duration(std::time::Duration::from_secs(100_000));
        Self { sim: builder.build(), world, log: Log::default() }
    }

    /// A host with these rates in bytes a second (0 is unlimited) that runs `software`.
    pub fn host<F: Future<Output = ()> + 'static>(
        &mut self,
        up: u64,
        down: u64,
        software: impl Fn(Shaped, Log) -> F + 'static,
    ) -> u32 {
        self.host_with(up, down, |_| (), software)
    }

    pub fn host_with<F: Future<Output = ()> + 'static>(
        &mut self,
        up: u64,
        down: u64,
        change: impl Fn(&mut Links),
        software: impl Fn(Shaped, Log) -> F + 'static,
    ) -> u32 {
        let limit = |rate| (rate > 0).then_some(rate);
        let mut links = Links {
            up: limit(up),
            down: limit(down),
            socket_buffer: 64 << 10,
            window: 1 << 20,
            queue: 64 << 10,
            jitter: Duration::ZERO,
            loss: 0,
            dial_timeout: ms(15_000),
            dice: Dice::stream(1, ("host", up ^ down, "jitter")),
        };
        change(&mut links);
        // Hosts are numbered in the order in which they come.
        let host = self.world.hosts();
        assert_eq!(self.world.add_host(addr(host).ip(), links), host);
        self.world.join(host);
        let (platform, log) = (self.world.platform(host), self.log.clone());
        let software = Arc::new(software);
        self.sim.host(addr(host).ip(), move || {
            let (platform, log, software) = (platform.clone(), log.clone(), Arc::clone(&software));
            async move {
                software(platform, log).await;
                Ok(())
            }
        });
        host
    }

    /// Goes on until `at`.
    pub fn run_until(&mut self, at: Duration) {
        while self.sim.elapsed().as_nanos() < u128::from(at.as_nanos()) {
            self.world.step(&mut self.sim).unwrap();
        }
    }

    /// Goes on until so many bytes were read: when the last of them was.
    pub fn run_for_bytes(&mut self, bytes: u64) -> Instant {
        for _ in 0..10_000_000 {
            self.world.step(&mut self.sim).unwrap();
            let log = self.log.0.lock().unwrap();
            let read: u64 = log.iter().map(|seen| seen.bytes).sum();
            if read >= bytes {
                assert_eq!(read, bytes);
                return log.last().unwrap().at;
            }
        }
        panic!("{:?} after {:?}", self.log.all().last(), self.sim.elapsed());
    }

    /// Bytes that `host` read, by who sent them.
    pub fn read_by(&self, host: u32, senders: std::ops::Range<u32>) -> Vec<u64> {
        let all = self.log.all();
        let from = |sender| {
            all.iter().filter(|seen| seen.host == host && seen.from.0 == sender).map(|seen| seen.bytes).sum()
        };
        senders.map(from).collect()
    }
}

/// Reads all that comes, on any number of connections.
pub async fn sink(platform: Shaped, log: Log) {
    let listener = platform.bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT)).await.unwrap();
    loop {
        let (stream, from) = platform.accept(&listener).await.unwrap();
        tokio::spawn(drain(platform.clone(), log.clone(), stream, from));
    }
}

pub async fn drain(platform: Shaped, log: Log, mut stream: Stream, from: SocketAddr) {
    let mut buf = vec![0; 1 << 16];
    while let Ok(bytes) = stream.read(&mut buf).await {
        if bytes == 0 {
            break;
        }
        let (host, from) = (platform.host(), (host_of(from), from.port()));
        log.add(Seen { at: platform.now(), host, from, bytes: bytes as u64 });
    }
}

/// Sends `bytes` to `to` as fast as they are taken in, and stays until the other side closes.
pub async fn source(platform: Shaped, to: u32, bytes: u64) {
    let mut stream = platform.connect(addr(to)).await.unwrap();
    let block = vec![7; 1 << 14];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(block.len() as u64);
        if stream.write_all(&block[..part as usize]).await.is_err() {
            return;
        }
        left -= part;
    }
    stream.shutdown().await.unwrap();
    let _ = stream.read(&mut [0]).await;
}

/// Software that does nothing.
pub async fn idle(_: Shaped, _: Log) {
    std::future::pending().await
}

/// The simulation's time.
pub fn at(sim: &Sim<'_>) -> Instant {
    Instant::from_nanos(sim.elapsed().as_nanos() as u64)
}

/// "If there are n contending flows with shares x, fairness is (Σx)² / (n · Σx²)" (Jain, Chiu and Hawe 1984).
pub fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|&share| share as f64).sum();
    let squares: f64 = shares.iter().map(|&share| (share as f64).powi(2)).sum();
    sum * sum / (shares.len() as f64 * squares)
}
