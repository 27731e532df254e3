//! What the scenario says of each host, as far as a checker may hold it to that.

use torrentlab_engine::time::Duration;

use torrentlab_scenarios::schema::{Behaviour, EndgameFrom, HostClass, Peers};
use torrentlab_scenarios::units::Span;
use torrentlab_scenarios::{Neighbours, Scenario, Slots};

use crate::build::rate;

/// Chokers that never give more slots than the scenario says.
const COUNTING_CHOKERS: [&str; 5] = ["tit-for-tat", "libtorrent", "random", "round-robin", "late-unchoker"];
/// Chokers that give everybody a turn, whatever it gave.
const FAIR_CHOKERS: [&str; 4] = ["tit-for-tat", "libtorrent", "random", "round-robin"];
/// What a host surely gets through to others, in bytes a second, whatever latency and losses do to its connections.
const SURE_RATE: u64 = 128 * 1024;
/// The same from a disk that takes its time.
const SURE_DISK_RATE: u64 = 32 * 1024;

/// What a class of hosts may do, and what can be expected of it.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Its uplink and downlink, in wire bytes a second.
    pub up: Option<u64>,
    pub down: Option<u64>,
    /// Bytes that a socket buffer and the queue before the downlink hold.
    pub buffers: u64,
    /// Peers that are interested and unchoked at once at most.
    pub slots: Option<usize>,
    pub connections: usize,
    pub max_requests: usize,
    /// Requests of one peer that it holds.
    pub reqq: usize,
    /// Whether it may ask several peers for a block at the end, and from when on.
    pub endgame: Option<EndgameFrom>,
    pub redial: (Duration, Duration),
    pub snub_timeout: Duration,
    /// How long it waits for a handshake, and for anything at all.
    pub handshake_timeout: Duration,
    pub peer_timeout: Duration,
    /// Whether it serves whoever connects, and so can be expected to.
    pub serves: bool,
    /// Whether it gives each peer a turn sooner or later, and how long a turn is.
    pub turn: Option<Duration>,
    /// What it can be expected to send and to receive, in payload bytes a second.
    pub sure_up: u64,
    pub sure_down: u64,
    /// Whether it wants the content and does what it takes to get it.
    pub healthy: bool,
    /// Whether it picks the rarest pieces first.
    pub rarest_first: bool,
    /// Whether it shows its pieces one by one.
    pub super_seeding: bool,
    /// Whether it may begin a piece and be kept from asking for any of it.
    pub asks_slowly: bool,
}

impl Facts {
    /// Those of each class.
    pub fn of(scenario: &Scenario) -> Vec<Self> {
        scenario.hosts.values().map(|class| Self::of_class(scenario, class)).collect()
    }

    fn of_class(scenario: &Scenario, class: &HostClass) -> Self {
        let limits = &class.limits;
        let choker = class.choker.name();
        let nobody =
            class.behaviour == Behaviour::FreeRider || class.peers == Peers::Seeds || choker == "nobody";
        let slots = match limits.slots {
            _ if nobody => Some(0),
            Slots::Fixed(slots) if COUNTING_CHOKERS.contains(&choker) => Some(slots as usize),
            _ => None,
        };
        let hosts: u32 = scenario.class_sizes().values().sum();
        let connections = match scenario.tracker.neighbours {
            Some(Neighbours::Number(_) | Neighbours::Everyone) => hosts,
            None => limits.connections,
        };
        let (up, down) = (rate(class.links.up), rate(class.links.down));
        let serves = !nobody && limits.slots != Slots::Fixed(0) && (slots.is_some() || choker == "everyone");
        let fair = serves && FAIR_CHOKERS.contains(&choker) && limits.optimistic_slots > 0;
        let quota = u64::from(limits.seeding_quota) * scenario.content.piece_size.bytes();
        let sure = if class.disk.is_some() { SURE_DISK_RATE } else { SURE_RATE };
        let least = |rates: [Option<u64>; 4]| rates.into_iter().flatten().fold(sure, u64::min).max(1);
        let bytes = torrentlab_scenarios::units::Rate::bytes_per_s;
        let sure_up = least([up, bytes(limits.up), bytes(limits.up_per_conn), bytes(limits.up_per_slot)]);
        let sure_down = least([down, bytes(limits.down), bytes(limits.down_per_conn), None]);
        // Where the choker counts bytes, a turn takes as long as these do.
        let turn = span(limits.optimistic).max(Duration::of_transfer(quota, sure_up));
        Self {
            up,
            down,
            buffers: class.links.socket_buffer.bytes() + class.links.queue.bytes(),
            slots,
            connections: connections as usize,
            max_requests: limits.max_requests as usize,
            reqq: limits.reqq as usize,
            endgame: class.endgame.then_some(class.endgame_from),
            redial: (span(limits.redial), span(limits.redial_max)),
            snub_timeout: span(limits.snub_timeout),
            handshake_timeout: span(limits.handshake_timeout),
            peer_timeout: span(limits.peer_timeout),
            serves,
            turn: fair.then_some(turn),
            sure_up,
            sure_down,
            healthy: class.behaviour == Behaviour::Normal
                && class.peers == Peers::Anyone
                && serves
                && class.picker.name() != "script"
                && limits.dial_target > 0,
            rarest_first: class.picker.name() == "rarest-first",
            super_seeding: class.super_seeding,
            asks_slowly: bytes(limits.down).or(bytes(limits.down_per_conn)).is_some(),
        }
    }
}

/// A time of the scenario.
pub(super) fn span(span: Span) -> Duration {
    Duration::from_nanos(span.as_nanos())
}
