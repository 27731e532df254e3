//! What a swarm consists of before it begins, whatever carries its bytes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::Node;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::tracker::server::TrackerConfig;
use torrentlab_scenarios::Draw;
use torrentlab_scenarios::schema::{Departure, TrackerProtocol};

use crate::census::Census;
use crate::churn::draw;
use crate::content::Content;
use crate::disk::Disk;
use crate::explain::Explain;
use crate::fault::FaultPlan;
use crate::link::{Links, Tcp};
use crate::lua::Complaints;
use crate::matchmaker::Matchmaker;
use crate::trace::Trace;

/// The port that every host listens on.
pub const PORT: u16 = 6881;

/// Addresses that hosts may have, one after the other: all of 10.0.0.0/8 after the first.
pub(crate) const MAX_PLACES: usize = (1 << 24) - 1;

/// A swarm at its start.
pub struct Plan<'c> {
    /// What the hosts have in common.
    pub config: SwarmConfig,
    /// The classes of hosts.
    pub classes: Vec<Class>,
    /// The hosts, in the order of their indices.
    pub hosts: Vec<HostPlan>,
    /// Makes what runs on them.
    pub cast: Box<dyn Cast + 'c>,
    /// What goes wrong.
    pub faults: FaultPlan,
    /// Where everything that happens is entered.
    pub trace: Trace,
}

/// What a swarm consists of, besides its hosts.
#[derive(Clone, Debug)]
pub struct SwarmConfig {
    /// The seed of all randomness.
    pub seed: u64,
    /// What is shared.
    pub content: Content,
    /// Copies of each piece in the swarm, counted as the run goes on.
    pub census: Census,
    /// Where strategies that fail say so.
    pub complaints: Complaints,
    /// What all links have in common.
    pub tcp: Tcp,
    /// Latency between two hosts beyond that of their own links, drawn for each pair.
    pub pair_latency: Draw,
    /// The region of each host, by position.
    pub regions: Arc<[u16]>,
    /// Latency between two hosts of different regions beyond that.
    pub between_regions: Duration,
    /// How the tracker behaves.
    pub tracker: TrackerConfig,
    /// Whom it names, if it knows better than to draw them.
    pub matchmaker: Option<Matchmaker>,
    /// What is spoken with it.
    pub tracker_protocol: TrackerProtocol,
    /// From the arrival of an announce to the departure of its answer.
    pub tracker_latency: Draw,
    /// Which hosts are asked why they decide as they do, if any are.
    pub explain: Option<Explain>,
}

impl SwarmConfig {
    /// One-way latency between two hosts beyond that of their own links: the same in both directions and in each run.
    pub fn latency_between(&self, one: u32, other: u32) -> Duration {
        let pair = u64::from(one.min(other)) << 32 | u64::from(one.max(other));
        let region = |host: u32| self.regions.get(host as usize);
        let abroad = region(one) != region(other);
        let between = if abroad { self.between_regions } else { Duration::ZERO };
        between
            + match self.pair_latency {
                Draw::Fixed(span) => Duration::from_nanos(span.as_nanos()),
                drawn => draw(drawn, &mut Dice::stream(self.seed, ("pair", pair, "latency"))),
            }
    }
}

/// A class of hosts: what the swarm must know of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// How long hosts stay once they have everything; `None` is for ever.
    pub stay: Option<Draw>,
    /// How long they are online at a stretch, and how long they are not in between, if they come back.
    pub session: Option<(Draw, Option<Draw>)>,
    /// When they leave for good in any case.
    pub leave_at: Instant,
    /// Payload bytes after which they leave for good.
    pub leave_after_bytes: Option<u64>,
    /// How they leave.
    pub how: Departure,
    /// Whether they connect to nobody but hosts of classes that are `serving`.
    pub seeds_only: bool,
    /// Whether it is a class of seeds.
    pub serving: bool,
}

/// A host, as it is added to a swarm.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// Its class, by position.
    pub class: u16,
    /// Which of its class it is.
    pub index: u32,
    /// Its links.
    pub links: Links,
    /// One-way latency to the middle of the network.
    pub latency: Duration,
    /// The pieces it first comes with.
    pub have: Bitfield,
    /// Its disk, without what it comes with; `None` for one that costs nothing.
    pub disk: Option<Disk>,
    /// Whether somebody watches what comes.
    pub watches: bool,
    /// When it first comes; [`Instant::NEVER`] if it does not.
    pub arrival: Instant,
}

/// Makes the nodes that run on the hosts.
pub trait Cast: Send {
    /// The node for the `session`th stay (from 0) of `host`, which has `have` and listens at `addr`.
    fn node(
        &mut self,
        host: u32,
        session: u32,
        addr: SocketAddr,
        have: &Bitfield,
        now: Instant,
    ) -> Box<dyn Node>;
}

/// Where `host` listens: up to 65,536 hosts, as in most real swarms, no two are of one /24 network, which BEP 6 takes
/// for one peer.
pub fn addr_of(host: u32) -> SocketAddr {
    let [_, upper, middle, lower] = host.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, lower, middle, upper + 1)), PORT)
}

/// The host that listens at `addr`, if there is one among the first `hosts`.
pub fn host_at(addr: SocketAddr, hosts: usize) -> Option<u32> {
    host_of(addr.ip(), hosts).filter(|_| addr.port() == PORT)
}

/// The host whose address is `ip`, if there is one among the first `hosts`.
pub fn host_of(ip: IpAddr, hosts: usize) -> Option<u32> {
    let IpAddr::V4(ip) = ip else { return None };
    let [10, lower, middle, last] = ip.octets() else { return None };
    let host = u32::from_be_bytes([0, last.checked_sub(1)?, middle, lower]);
    ((host as usize) < hosts).then_some(host)
}

/// The host that listens at `addr`, or listened there before it moved (a host that moves takes the place `hosts` beyond
/// its last).
pub fn home_of(addr: SocketAddr, hosts: usize) -> Option<u32> {
    let hosts = u32::try_from(hosts).ok().filter(|&hosts| hosts > 0)?;
    host_at(addr, usize::MAX).map(|place| place % hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_to_hosts_and_back() {
        assert_eq!(addr_of(0).to_string(), "10.0.0.1:6881");
        assert_eq!(addr_of(70_000).to_string(), "10.112.17.2:6881");
        for host in [0, 255, 70_000] {
            assert_eq!(host_at(addr_of(host), 70_001), Some(host));
        }
        for nobody in ["10.0.0.0:6881", "10.9.0.1:6881", "10.0.0.1:80", "9.9.9.9:6881", "[::1]:6881"] {
            assert_eq!(host_at(nobody.parse().unwrap(), 5), None, "{nobody}");
        }
        assert_eq!(host_of("10.1.0.1".parse().unwrap(), 5), Some(1), "whatever its port");
        assert_eq!(home_of(addr_of(3 + 2 * 7), 7), Some(3), "moved twice");
        assert_eq!(home_of("9.9.9.9:6881".parse().unwrap(), 7), None);
    }
}
