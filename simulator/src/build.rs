//! From a scenario to the plan of a swarm.

use std::net::SocketAddr;
use std::sync::Arc;

use thiserror::Error;
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::choker::{Choker, Slots, StandardConfig};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::{Limits, Node};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::torrent::{Config, EndgameFrom, Setup, Streams};
use torrentlab_engine::tracker::server::TrackerConfig;
use torrentlab_engine::units::{Geometry, InfoHash, PeerId, PieceIndex};
use torrentlab_scenarios::schema::{self, Behaviour, HostClass, HostDisk, Peers, TrackerPolicy};
use torrentlab_scenarios::units::{Rate, Size, Span};
use torrentlab_scenarios::{Draw, InitialPieces, Neighbours, Scenario, Stay, Strategy};

use crate::census::Census;
use crate::churn::{arrivals, draw};
use crate::content::Content;
use crate::disk::{Disk, DiskConfig};
use crate::explain::Explain;
use crate::fault::{self, PlannedFault};
use crate::link::{Links, Tcp};
use crate::lua::Complaints;
use crate::matchmaker::{Likeness, Matchmaker};
use crate::mutant::{Mutant, UnderReporter};
use crate::plan::{Cast, Class, HostPlan, Plan, SwarmConfig};
use crate::player::Player;
use crate::regions::class_regions;
use crate::registry::{ChokerSetup, PickerSetup, Registry};
use crate::strategies::Nobody;
use crate::trace::{Detail, Trace};

/// Why a scenario cannot run: what is wrong with one of its fields.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{field}: {what}\nhint: {hint}")]
#[non_exhaustive]
pub struct BuildError {
    /// The path of the field, as in `hosts.leecher.picker`.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl BuildError {
    pub(crate) fn new(field: impl Into<String>, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { field: field.into(), what: what.into(), hint: hint.into() }
    }
}

/// Makes the engine's torrents.
struct Torrents<'s> {
    scenario: &'s Scenario,
    registry: &'s Registry,
    seed: u64,
    info_hash: InfoHash,
    geometry: Geometry,
    census: Census,
    complaints: Complaints,
    explain: Option<Explain>,
    /// Faults under which nodes misbehave.
    misbehaviour: Vec<PlannedFault>,
    /// The class of each host and its index there.
    hosts: Vec<(&'s str, &'s HostClass, u32)>,
}

/// Finds out whether a scenario can run with these strategies, content aside.
///
/// # Errors
/// Where it names a strategy that nobody registered.
pub fn check(scenario: &Scenario, registry: &Registry) -> Result<(), BuildError> {
    scenario.hosts.iter().try_for_each(|(name, class)| check_strategies(name, class, registry))
}

/// The content that a scenario describes.
///
/// # Errors
/// Where it has no shape.
pub fn synthetic(scenario: &Scenario) -> Result<Content, BuildError> {
    let content = &scenario.content;
    let piece_len = u32::try_from(content.piece_size.bytes())
        .map_err(|_| BuildError::new("content.piece_size", "a piece has at most 4 GiB", "write \"1 MiB\""))?;
    let geometry = Geometry::new(content.size.bytes(), piece_len).map_err(|error| {
        BuildError::new("content", error.to_string(), "choose another `size` or `piece_size`")
    })?;
    Ok(Content::Synthetic(geometry))
}

/// The swarm that a scenario describes, at its start. `explain` says which hosts are asked why they decide as they do.
///
/// # Errors
/// Where it names what does not exist.
pub fn build<'s>(
    scenario: &'s Scenario,
    registry: &'s Registry,
    content: Content,
    seed: u64,
    detail: Detail,
    explain: Option<&Explain>,
) -> Result<Plan<'s>, BuildError> {
    check(scenario, registry)?;
    let geometry = content.geometry();
    let sizes = scenario.class_sizes();
    let faults = fault::resolve(scenario, seed);
    let census = Census::new(geometry.pieces());
    let complaints = Complaints::default();
    let mut cast = Torrents {
        scenario,
        registry,
        seed,
        info_hash: content.info_hash(),
        geometry,
        census: census.clone(),
        complaints: complaints.clone(),
        explain: explain.cloned(),
        misbehaviour: faults.misbehaviour(),
        hosts: Vec::new(),
    };
    let mut plans = Vec::new();
    for (position, (name, class)) in (0u16..).zip(&scenario.hosts) {
        let count = sizes.get(name.as_str()).copied().unwrap_or(0);
        let mut times = arrivals(&class.arrival, count, seed, name);
        times.resize(count as usize, Instant::NEVER);
        for (index, arrival) in (0..count).zip(times) {
            cast.hosts.push((name, class, index));
            plans.push(plan(seed, geometry.pieces(), position, name, class, index, arrival));
        }
    }
    let config = SwarmConfig {
        seed,
        content,
        census,
        complaints,
        tcp: tcp(scenario),
        pair_latency: scenario.network.latency,
        regions: regions(scenario, &plans),
        between_regions: span(scenario.network.between_regions),
        tracker: tracker(scenario),
        matchmaker: matchmaker(scenario, &plans),
        tracker_protocol: scenario.tracker.protocol,
        tracker_latency: scenario.tracker.latency,
        explain: explain.cloned(),
    };
    let total = geometry.total_len();
    let classes = scenario.hosts.iter().map(|(name, class)| class_of(name, class, total)).collect();
    Ok(Plan { config, classes, hosts: plans, cast: Box::new(cast), faults, trace: Trace::new(detail) })
}

fn check_strategies(class_name: &str, class: &HostClass, registry: &Registry) -> Result<(), BuildError> {
    let check = |field, strategy: &Strategy, checked: Option<Result<(), String>>, known: Vec<&str>| {
        let path = format!("hosts.{class_name}.{field}");
        let name = strategy.name();
        match checked {
            Some(Ok(())) => Ok(()),
            Some(Err(what)) => {
                let below = strategy.params_path().map_or_else(String::new, |below| format!(".{below}"));
                let what = format!("`{name}` cannot be had so: {what}");
                let hint = "docs/reference/strategies.md has all parameters";
                Err(BuildError::new(path + &below, what, hint))
            }
            None => {
                let hint = format!("choose one of {}, or register it", known.join(", "));
                Err(BuildError::new(path, format!("there is no {field} `{name}`"), hint))
            }
        }
    };
    let (picker, choker) = (&class.picker, &class.choker);
    check(
        "picker",
        picker,
        registry.check_picker(picker, class.playback.is_some()),
        registry.pickers().collect(),
    )?;
    check("choker", choker, registry.check_choker(choker), registry.chokers().collect())?;
    if registry.nodes().any(|node| node == class.node) {
        return Ok(());
    }
    let hint = format!("choose one of {}, or register it", registry.nodes().collect::<Vec<_>>().join(", "));
    Err(BuildError::new(
        format!("hosts.{class_name}.node"),
        format!("there is no node `{}`", class.node),
        hint,
    ))
}

fn plan(
    seed: u64,
    pieces: u32,
    position: u16,
    name: &str,
    class: &HostClass,
    index: u32,
    arrival: Instant,
) -> HostPlan {
    let dice = |purpose| Dice::stream(seed, (name, u64::from(index), purpose));
    let links = &class.links;
    HostPlan {
        class: position,
        index,
        links: Links {
            up: rate(links.up),
            down: rate(links.down),
            socket_buffer: size(links.socket_buffer),
            window: size(links.window),
            queue: size(links.queue),
            jitter: span(links.jitter),
            loss: links.loss.ppm(),
            dial_timeout: span(class.limits.dial_timeout),
            dice: dice("jitter"),
        },
        latency: draw(links.latency, &mut dice("latency")),
        have: initial_pieces(&class.initial_pieces(), pieces, || dice("pieces")),
        disk: class.disk.as_ref().map(|spec| Disk::new(disk(spec), dice("disk"))),
        watches: class.playback.is_some(),
        arrival,
    }
}

/// What a host first comes with.
fn initial_pieces(initial: &InitialPieces, pieces: u32, dice: impl Fn() -> Dice) -> Bitfield {
    let mut have = Bitfield::none(pieces);
    match initial {
        InitialPieces::None => (),
        InitialPieces::All => have = Bitfield::all(pieces),
        InitialPieces::Share(share) => {
            let mut order: Vec<u32> = (0..pieces).collect();
            dice().shuffle(&mut order);
            let count = (u64::from(pieces) * u64::from(share.ppm()) + 500_000) / 1_000_000;
            order.into_iter().take(count as usize).for_each(|piece| {
                have.insert(PieceIndex(piece));
            });
        }
        InitialPieces::List(ranges) => {
            for &(first, last) in ranges {
                (first..=last.min(pieces.saturating_sub(1))).for_each(|piece| {
                    have.insert(PieceIndex(piece));
                });
            }
        }
    }
    have
}

fn class_of(name: &str, class: &HostClass, total_len: u64) -> Class {
    Class {
        name: name.to_owned(),
        stay: match class.stay {
            Stay::None => Some(Draw::Fixed(Span::ZERO)),
            Stay::Forever => None,
            Stay::For(draw) => Some(draw),
        },
        session: class.session.as_ref().map(|session| (session.length, session.gap)),
        leave_at: class.leave.at.map_or(Instant::NEVER, |at| Instant::from_nanos(at.as_nanos())),
        leave_after_bytes: class.leave.after_copies.map(|copies| (copies * total_len as f64).ceil() as u64),
        how: class.leave.how,
        seeds_only: class.peers == Peers::Seeds,
        serving: class.behaviour == Behaviour::Seed,
    }
}

fn disk(spec: &HostDisk) -> DiskConfig {
    DiskConfig {
        latency: spec.latency,
        write_latency: spec.write_latency.unwrap_or(spec.latency),
        rate: rate(spec.rate),
        capacity: spec.capacity.map(|capacity| capacity.bytes()),
        sync_after: span(spec.sync_after),
    }
}

fn tcp(scenario: &Scenario) -> Tcp {
    let network = &scenario.network;
    Tcp {
        mss: size(network.mss).max(1),
        header: size(network.header),
        segments_per_ack: network.segments_per_ack,
        initial_window: network.initial_window.max(1),
        head_of_line: network.head_of_line,
    }
}

fn tracker(scenario: &Scenario) -> TrackerConfig {
    let tracker = &scenario.tracker;
    let neighbours = neighbours(scenario).unwrap_or(0);
    TrackerConfig {
        interval: span(tracker.interval),
        expire_after: tracker.expire_after,
        min_interval: Some(span(tracker.min_interval)),
        default_numwant: tracker.numwant,
        max_numwant: tracker.numwant_max.max(neighbours),
        ..TrackerConfig::default()
    }
}

/// How many neighbours everyone is to have, where the scenario says so.
fn neighbours(scenario: &Scenario) -> Option<u32> {
    let hosts: u32 = scenario.class_sizes().values().sum();
    scenario.tracker.neighbours.map(|neighbours| match neighbours {
        Neighbours::Number(number) => number,
        Neighbours::Everyone => hosts.saturating_sub(1),
    })
}

/// The region of each host.
fn regions(scenario: &Scenario, hosts: &[HostPlan]) -> Arc<[u16]> {
    let regions = class_regions(scenario);
    hosts.iter().map(|host| regions[usize::from(host.class)]).collect()
}

/// Whom the tracker brings together, if it does.
fn matchmaker(scenario: &Scenario, hosts: &[HostPlan]) -> Option<Matchmaker> {
    let likeness = match scenario.tracker.policy {
        TrackerPolicy::Random => return None,
        TrackerPolicy::LocalityAware => Likeness::Region(regions(scenario, hosts)),
        TrackerPolicy::BandwidthMatching => {
            Likeness::Uplink(hosts.iter().map(|host| host.links.up.unwrap_or(u64::MAX)).collect())
        }
    };
    Some(Matchmaker::new(likeness, scenario.tracker.outside as usize))
}

impl Cast for Torrents<'_> {
    fn node(
        &mut self,
        host: u32,
        session: u32,
        addr: SocketAddr,
        have: &Bitfield,
        now: Instant,
    ) -> Box<dyn Node> {
        let (name, class, index) = self.hosts[host as usize];
        let mut dice = Streams::new(self.seed, name, u64::from(index) | u64::from(session) << 32);
        let mut choker = self.choker(class, now, &mut dice.choker);
        let player = class.playback.map(|playback| Player::of(self.scenario, &playback));
        let pick = PickerSetup {
            now,
            geometry: self.geometry,
            census: self.census.clone(),
            player,
            complaints: self.complaints.clone(),
        };
        let mut picker = self.registry.picker(&class.picker, &pick).expect("strategies are checked before");
        if let Some(explain) = &self.explain {
            (picker, choker) = (explain.picker(host, picker), explain.choker(host, choker));
        }
        let setup = Setup {
            info_hash: self.info_hash,
            geometry: self.geometry,
            tiers: vec![1],
            have: have.clone(),
            config: self.config(name, class, index, session, addr),
            picker,
            choker,
            dice,
        };
        let mut node = self.registry.node(&class.node, setup, now);
        if class.behaviour == Behaviour::UnderReporter {
            let purpose = format!("revelation {session}");
            let dice = Dice::stream(self.seed, (name, u64::from(index), &purpose));
            node = Box::new(Mutant::new(node, UnderReporter::new(have.clone(), dice)));
        }
        self.misbehaviour.iter().fold(node, |node, fault| fault.mutate(host, have, node))
    }
}

impl Torrents<'_> {
    fn choker(&self, class: &HostClass, now: Instant, dice: &mut Dice) -> Box<dyn Choker> {
        if class.behaviour == Behaviour::FreeRider || class.peers == Peers::Seeds {
            return Box::new(Nobody);
        }
        let limits = &class.limits;
        let rechoke_every = span(limits.rechoke);
        let config = StandardConfig {
            slots: match limits.slots {
                torrentlab_scenarios::Slots::Fixed(slots) => Slots::Fixed(slots as usize),
                torrentlab_scenarios::Slots::ByRate => Slots::ByRate,
            },
            optimistic: limits.optimistic_slots as usize,
            rechoke_every,
            rotate_every: (span(limits.optimistic).as_nanos() / rechoke_every.as_nanos().max(1)).max(1)
                as u32,
        };
        let seeding_quota = u64::from(limits.seeding_quota) * u64::from(self.geometry.piece_len());
        // Headers take a twentieth of a link, about.
        let link = rate(class.links.up).map(|rate| rate - rate / 20);
        let capacity = [limits.up.bytes_per_s(), link].into_iter().flatten().min();
        let piece_len = self.geometry.piece_len();
        let complaints = self.complaints.clone();
        let setup = ChokerSetup { now, config, seeding_quota, piece_len, capacity, complaints };
        self.registry.choker(&class.choker, &setup, dice).expect("strategies are checked before")
    }

    fn config(&self, name: &str, class: &HostClass, index: u32, session: u32, addr: SocketAddr) -> Config {
        let limits = &class.limits;
        let mut id = *b"-TL0100-............";
        let purpose = format!("peer id {session}");
        Dice::stream(self.seed, (name, u64::from(index), &purpose)).fill(&mut id[8..]);
        let seeds_only = class.peers == Peers::Seeds;
        let servers = self.scenario.hosts.values().any(|class| class.peers == Peers::Seeds);
        let neighbours = neighbours(self.scenario);
        let connections = if neighbours.is_some() { self.hosts.len() } else { limits.connections as usize };
        Config {
            max_connections: connections,
            // Who is only asked dials nobody.
            dial_target: if servers && !seeds_only {
                0
            } else {
                (neighbours.unwrap_or(limits.dial_target) as usize).min(connections)
            },
            half_open: limits.half_open as usize,
            redial: (span(limits.redial), span(limits.redial_max)),
            numwant: Some(neighbours.unwrap_or(limits.numwant)),
            announce_often: class.announce == schema::Announce::MinInterval,
            announce_completed: class.announce_completed,
            limits: Limits {
                up: limits.up.bytes_per_s(),
                down: limits.down.bytes_per_s(),
                up_per_conn: limits.up_per_conn.bytes_per_s(),
                down_per_conn: limits.down_per_conn.bytes_per_s(),
                up_per_slot: limits.up_per_slot.bytes_per_s(),
            },
            request_queue_time: span(limits.request_queue_time),
            min_requests: limits.min_requests,
            max_requests: limits.max_requests,
            max_queued: limits.reqq,
            snub_timeout: span(limits.snub_timeout),
            request_timeout: limits.request_timeout.map(span),
            handshake_timeout: span(limits.handshake_timeout),
            idle_timeout: span(limits.peer_timeout),
            keep_alive: span(limits.keep_alive),
            fast: class.fast_extension,
            allowed_fast: limits.allowed_fast as usize,
            endgame: class.endgame,
            endgame_from: match class.endgame_from {
                schema::EndgameFrom::LastBlocks => EndgameFrom::LastBlocks,
                schema::EndgameFrom::LastPieces => EndgameFrom::LastPieces,
            },
            whole_pieces: span(limits.whole_pieces),
            take_back: class.take_back,
            super_seeding: class.super_seeding,
            address: Some(addr.ip()),
            peer_exchange: class.peer_exchange,
            canonical_priority: class.canonical_priority,
            ..Config::new(PeerId(id), addr.port())
        }
    }
}

/// Bytes a second; a link of no rate at all would stop the clock.
pub(crate) fn rate(rate: Rate) -> Option<u64> {
    rate.bytes_per_s().map(|rate| rate.max(1))
}

/// Bytes; more than a GiB is as good as unlimited for a buffer.
fn size(size: Size) -> u32 {
    size.bytes().min(1 << 30) as u32
}

fn span(span: Span) -> Duration {
    Duration::from_nanos(span.as_nanos())
}
