//! The flows byte for byte in turmoil, around whose streams our links are.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use torrentlab_engine::net::Platform as _;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_simulator::turmoil::net::{Shaped, Stream, World};

use crate::{Case, Outcome, TCP};

/// The clock goes on in steps of so much: a tenth of the latency, and 10 ms at most.
const TICKS_PER_LATENCY: u64 = 10;
const PORT: u16 = 6881;

type Outcomes = Arc<Mutex<Vec<Outcome>>>;

/// Runs a case: what became of each flow, by sender and then by receiver.
pub fn run(case: &Case) -> Vec<Outcome> {
    let latency = Duration::from_nanos(case.rtt_ns / 2);
    let tick = Duration::from_millis((latency.as_millis() / TICKS_PER_LATENCY).clamp(1, 10));
    let world = World::new(TCP, tick, move |_, _| latency);
    let mut sim = world.builder().rng_seed(1).simulation_duration(std::time::Duration::MAX).build();
    let outcomes: Outcomes = Arc::new(Mutex::new(vec![Outcome::default(); case.flows()]));
    for host in 0..case.senders + case.receivers {
        world.add_host(addr(host).ip(), case.links(host));
        world.join(host);
    }
    for host in 0..case.senders + case.receivers {
        let (platform, case, outcomes) = (world.platform(host), *case, Arc::clone(&outcomes));
        sim.host(addr(host).ip(), move || {
            let (platform, outcomes) = (platform.clone(), Arc::clone(&outcomes));
            async move {
                if host < case.senders {
                    send(platform, case).await
                } else {
                    receive(platform, case, outcomes).await
                }
                Ok(())
            }
        });
    }
    let unfinished =
        || outcomes.lock().expect("nobody panics").iter().any(|outcome| outcome.seconds.is_none());
    while unfinished() && sim.elapsed().as_nanos() < u128::from(case.until_ns) {
        world.step(&mut sim).expect("the hosts do not fail");
    }
    let outcomes = outcomes.lock().expect("nobody panics");
    outcomes.clone()
}

async fn send(platform: Shaped, case: Case) {
    for receiver in case.senders..case.senders + case.receivers {
        let platform = platform.clone();
        tokio::spawn(async move {
            let mut stream = platform.connect(addr(receiver)).await.expect("it listens");
            let block = vec![0; 1 << 14];
            let mut left = case.bytes;
            while left > 0 {
                let part = left.min(block.len() as u64);
                stream.write_all(&block[..part as usize]).await.expect("it is read");
                left -= part;
            }
            std::future::pending::<()>().await;
        });
    }
    std::future::pending().await
}

async fn receive(platform: Shaped, case: Case, outcomes: Outcomes) {
    let listener =
        platform.bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT)).await.expect("nobody else does");
    loop {
        let (stream, from) = platform.accept(&listener).await.expect("turmoil accepts");
        let sender = (0..case.senders).find(|&host| addr(host).ip() == from.ip()).expect("a sender dials");
        let flow = case.flow(sender, platform.host());
        tokio::spawn(count(platform.clone(), stream, case.bytes, flow, Arc::clone(&outcomes)));
    }
}

async fn count(platform: Shaped, mut stream: Stream, all: u64, flow: usize, outcomes: Outcomes) {
    let mut buf = vec![0; 1 << 16];
    while let Ok(bytes @ 1..) = stream.read(&mut buf).await {
        let outcome = &mut outcomes.lock().expect("nobody panics")[flow];
        outcome.bytes += bytes as u64;
        if outcome.bytes == all {
            outcome.seconds = Some(platform.now().since(Instant::ZERO).as_secs_f64());
        }
    }
}

fn addr(host: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0001 + host)), PORT)
}
