//! The network of the `turmoil` backend. turmoil carries every byte, as fast as it can; the [`World`] says when a byte
//! counts as sent and as arrived. It is the model that [`crate::link`] documents, made a second time and segment by
//! segment: it shares no code with it, so that the two can be compared.
//!
//! | part | rule | file |
//! |---|---|---|
//! | intake | a stream takes in what its share of the uplink carries in two ticks, `2 · tick · up / flows`, and 2 segments, but no more than its window lets go in that time and a segment; all else stays with the application, where it can be cancelled | `carry` |
//! | window | a segment of `min(waiting, MSS)` bytes may go while `in flight + segment <= cwnd`; `cwnd` begins at the initial window and grows by what is acknowledged, up to the receiver's window (slow start, RFC 5681): `w · 2^n` after `n` round trips | `flow` |
//! | uplink | the backlogged flows of a host take turns, segment by segment; a segment takes `(bytes + header) / up`, rounded up to a nanosecond, on a clock that is not reset while something waits | `uplink` |
//! | path | a segment lands `latency + jitter` later and not before the one ahead of it; jitter is drawn anew after a pause and every 16 KiB | `carry` |
//! | room | a segment leaves for a downlink only while what is under way there fits into `queue + down · latency`; if not it waits at its sender, first come, first served | `downlink` |
//! | downlink | segments pass in the order in which they land, each in `(bytes + header) / down`; then the application may read them | `downlink` |
//! | acknowledgement | one header for every `segments_per_ack` on the receiver's uplink, ahead of its segments; the window has the bytes back one latency after the downlink, or after the application has read, where it leaves more than a window unread | `flow` |
//! | set-up | the dialler has its connection a round trip after its `SYN` has left, the listener half a round trip later; a host that is gone refuses, one that is silent or out of reach lets the dial time out | `dial` |
//! | end | what was taken in still arrives, then the end; data for a closed end is answered with a reset | `dial` |
//! | faults | blocked, held and longer paths | `fault` |
//! | datagrams | link time and latency, without waiting for other traffic | `datagram` |
//!
//! **Bounds.** In any stretch of `t` a link carries at most `rate · t` and one segment. The times of the network are
//! exact to the nanosecond whatever the tick, because it is settled in the order of time when a tick is over (see
//! `core`). What software does it does at whole milliseconds, since tokio's timers have no finer step: it reads up to
//! 1 ms late, half of that on average. A writer hears of room at the end of a tick, which the intake covers, and of a
//! reset up to a tick late.
//!
//! **What of turmoil 0.7.2 remains.** A host is visited on all links of all hosts in each tick, so a tick's cost grows
//! with the cube of the hosts: 0.02 ms for 10 hosts, 0.08 for 25, 0.4 for 50 and 3 ms for 100 on one core of the
//! development machine. A segment costs some 1.2 µs, all told. Latencies of less than a tick become a tick, and a tick
//! is at least 1 ms. The clock of a host that is dropped is not turmoil's but the wall's: nothing here reads it then.
//! **What does not matter here any more**: the limit of segments per connection and of dials per listener (both are set
//! so high that the world's own limits come first), the order in which hosts run, losses (turmoil never repeats a
//! segment, so its links lose none: partitions are the world's), and resets that turmoil sends as soon as a stream with
//! unread bytes is dropped (the other end hears of it in the world's time). Ephemeral ports are used up by 16,384
//! connections of a host at once.

mod carry;
mod clock;
mod core;
mod datagram;
mod dial;
mod downlink;
mod fault;
mod flow;
mod platform;
mod stream;
mod uplink;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use ::turmoil::{Builder, Sim};
use torrentlab_engine::time::Duration;

use crate::link::{End, Links, Presence, Tcp};
use crate::paths::{Rule, RuleId};
use core::{Core, Host};

pub use datagram::Udp;
pub use platform::{Listener, Shaped};
pub use stream::Stream;

/// The hosts, their links and the connections between them. Clones are the same world.
#[derive(Clone)]
pub struct World(Arc<Mutex<Core>>);

/// Segments that turmoil lets a connection have under way, and dials that a listener may have before it: so many that
/// neither limit is ever met. What is under way is limited by the world.
const TCP_CAPACITY: usize = 1 << 20;

impl World {
    /// A world without hosts, whose simulation goes on in steps of `tick` (a whole number of milliseconds).
    /// `latency` is the one-way latency from one host to another; less than a tick becomes a tick.
    pub fn new(tcp: Tcp, tick: Duration, latency: impl Fn(u32, u32) -> Duration + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Core::new(tcp, tick, Box::new(latency)))))
    }

    /// What builds a simulation for this world, with everything set that the world relies on: add seed and duration.
    #[expect(clippy::disallowed_types, reason = "the epoch is no clock")]
    pub fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder
            .epoch(std::time::SystemTime::UNIX_EPOCH)
            .tick_duration(clock::std_span(self.core().tick))
            .min_message_latency(std::time::Duration::ZERO)
            .max_message_latency(std::time::Duration::ZERO)
            .tcp_capacity(TCP_CAPACITY);
        builder
    }

    /// Adds a host, which is not there yet (see [`World::join`]), under the address by which turmoil knows it: its
    /// index, counted from 0.
    pub fn add_host(&self, addr: IpAddr, links: Links) -> u32 {
        self.core().add_host(addr, links)
    }

    /// Hosts that were added.
    pub fn hosts(&self) -> u32 {
        self.core().hosts.len() as u32
    }

    /// Has [`Shaped`] resolve `name` to `addr`.
    pub fn add_name(&self, name: &str, addr: IpAddr) {
        self.core().names.insert(name.to_owned(), addr);
    }

    /// Wire bytes that `host` has sent and received.
    pub fn wire_bytes(&self, host: u32) -> (u64, u64) {
        let core = &mut *self.core();
        let Host { uplink, downlink, .. } = &mut core.hosts[host as usize];
        (uplink.sent(core.now), downlink.received(core.now))
    }

    /// Changes the rates of a host's links from now on, in wire bytes a second; `None` is unlimited.
    pub fn set_rate(&self, host: u32, up: Option<u64>, down: Option<u64>) {
        let host = &mut self.core().hosts[host as usize];
        host.uplink.set_rate(up);
        host.downlink.set_rate(down);
    }

    /// `host` can be reached from now on. Call between steps.
    pub fn join(&self, host: u32) {
        self.core().hosts[host as usize].presence = Presence::Up;
    }

    /// `host` goes and its connections end: so that the others learn of it after one latency (`how` is given), or in
    /// silence, and then nobody answers a dial either. Call between steps, before the host is crashed.
    pub fn leave(&self, host: u32, how: Option<End>) {
        self.core().leave(host, how);
    }

    /// Has dials to `host` be lost from now on, or arrive again (a NAT before it). What is open stays so.
    pub fn hide(&self, host: u32, hidden: bool) {
        self.core().hosts[host as usize].hidden = hidden;
    }

    /// Puts a rule in force. Call between steps. [`Effect::Lose`](crate::paths::Effect::Lose) does nothing here: turmoil
    /// is no place for loss on TCP.
    pub fn impose(&self, rule: Rule) -> RuleId {
        self.core().impose(rule)
    }

    /// Takes a rule out of force, if it is in force. Call between steps.
    pub fn lift(&self, id: RuleId) {
        self.core().lift(id);
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
        let calls = self.core().advance(clock::instant(sim.elapsed()));
        calls.make();
        Ok(done)
    }

    /// A stream that sends on `flow` is dropped.
    fn close(&self, flow: u32) {
        let mut core = self.core();
        let now = clock::try_now().unwrap_or(core.now);
        core.close(now, flow);
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.0.lock().expect("nothing panics while it holds the world")
    }
}
