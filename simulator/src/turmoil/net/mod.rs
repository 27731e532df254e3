//! The network of the `turmoil` backend: what [`crate::link`] documents, segment by segment, around turmoil's streams.

mod platform;
mod stream;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use ::turmoil::{Builder, Sim};
use torrentlab_engine::time::{Duration, Instant};

use crate::link::{End, Links, Tcp};

pub use platform::{Listener, Shaped};
pub use stream::Stream;

/// The hosts, their links and the connections between them. Clones are the same world.
#[derive(Clone)]
pub struct World(Arc<Mutex<Core>>);

struct Core {
    tick: Duration,
    hosts: u32,
    addrs: BTreeMap<IpAddr, u32>,
    names: BTreeMap<String, IpAddr>,
}

impl World {
    /// A world without hosts, whose simulation goes on in steps of `tick` (a whole number of milliseconds).
    /// `latency` is the one-way latency from one host to another; less than a tick becomes a tick.
    pub fn new(tcp: Tcp, tick: Duration, latency: impl Fn(u32, u32) -> Duration + Send + 'static) -> Self {
        let _ = (tcp, latency);
        Self(Arc::new(Mutex::new(Core { tick, hosts: 0, addrs: BTreeMap::new(), names: BTreeMap::new() })))
    }

    /// What builds a simulation for this world, with everything set that the world relies on: add seed, epoch and
    /// duration.
    pub fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        let none = std::time::Duration::ZERO;
        builder
            .tick_duration(std::time::Duration::from_nanos(self.core().tick.as_nanos()))
            .min_message_latency(none)
            .max_message_latency(none)
            .tcp_capacity(1 << 20);
        builder
    }

    /// Adds a host, which is not there yet (see [`World::join`]), under the address by which turmoil knows it: its
    /// index, counted from 0.
    pub fn add_host(&self, addr: IpAddr, links: Links) -> u32 {
        let _ = links;
        let mut core = self.core();
        let host = core.hosts;
        core.hosts += 1;
        core.addrs.insert(addr, host);
        host
    }

    /// Has [`Shaped`] resolve `name` to `addr`.
    pub fn add_name(&self, name: &str, addr: IpAddr) {
        self.core().names.insert(name.to_owned(), addr);
    }

    /// Wire bytes that `host` has sent and received.
    pub fn wire_bytes(&self, host: u32) -> (u64, u64) {
        let _ = host;
        (0, 0)
    }

    /// Changes the rates of a host's links from now on, in wire bytes a second; `None` is unlimited.
    pub fn set_rate(&self, host: u32, up: Option<u64>, down: Option<u64>) {
        let _ = (host, up, down);
    }

    /// `host` can be reached from now on. Call between steps.
    pub fn join(&self, host: u32) {
        let _ = host;
    }

    /// `host` goes and its connections end: so that the others learn of it after one latency (`how` is given), or in
    /// silence, and then nobody answers a dial either. Call between steps, before the host is crashed.
    pub fn leave(&self, host: u32, how: Option<End>) {
        let _ = (host, how);
    }

    /// The platform of a driver that runs on `host`.
    pub fn platform(&self, host: u32) -> Shaped {
        Shaped::new(self.clone(), host)
    }

    /// Lets all hosts and the network go on for one tick; whether all of turmoil's clients are done.
    ///
    /// # Errors
    /// That of a host's software.
    pub fn step(&self, sim: &mut Sim<'_>) -> ::turmoil::Result<bool> {
        let done = sim.step()?;
        let now = u64::try_from(sim.elapsed().as_nanos()).expect("a run is shorter than 584 years");
        self.advance(Instant::from_nanos(now));
        Ok(done)
    }

    fn advance(&self, to: Instant) {
        let _ = to;
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.0.lock().expect("nothing panics while it holds the world")
    }
}
