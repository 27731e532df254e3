//! Swarms as their users meet them, with nodes that say what they are told to say.

use std::net::SocketAddr;

use super::*;
use crate::census::Census;
use crate::content::Content;
use crate::link::{Links, Tcp};
use crate::plan::addr_of;
use crate::trace::Detail;
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Misuse, Output};
use torrentlab_engine::tracker::server::TrackerConfig;
use torrentlab_engine::units::{ConnId, Geometry};
use torrentlab_scenarios::Draw;
use torrentlab_scenarios::schema::{Departure, TrackerProtocol};
use torrentlab_scenarios::units::Span;

/// Dials the hosts that it is told to, greets each with `interested`, and closes nothing.
struct Greeter {
    dials: Vec<u32>,
    wakes: Option<Instant>,
    seen: std::sync::Arc<std::sync::Mutex<Vec<(Instant, String)>>>,
}

impl Node for Greeter {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
        let word = match &input {
            Input::Connected { conn, outgoing, .. } => {
                out.send(*conn, Message::Interested);
                format!("connected {outgoing}")
            }
            Input::Closed { why, .. } => format!("closed: {why}"),
            Input::DialFailed { why, .. } => format!("no way: {why:?}"),
            Input::Message { message, .. } => format!("{message:?}"),
            Input::Timeout => {
                self.wakes = None;
                self.dials.iter().for_each(|&host| out.push(Output::Dial(addr_of(host))));
                return Ok(());
            }
            Input::Shutdown => {
                out.push(Output::Close {
                    conn: first_conn(),
                    why: torrentlab_engine::node::Disconnect::Shutdown,
                });
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.seen.lock().unwrap().push((now, word));
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.wakes
    }
}

fn first_conn() -> ConnId {
    torrentlab_engine::units::ConnSlots::default().open()
}

type Seen = std::sync::Arc<std::sync::Mutex<Vec<(Instant, String)>>>;

/// Host 0 dials host 1 at once; host 1 leaves after 10 s.
struct Pair(Seen);

impl Cast for Pair {
    fn node(&mut self, host: u32, _: u32, _: SocketAddr, _: &Bitfield, now: Instant) -> Box<dyn Node> {
        let dials = if host == 0 { vec![1, 9] } else { Vec::new() };
        let seen = if host == 0 { self.0.clone() } else { Seen::default() };
        Box::new(Greeter { dials, wakes: Some(now), seen })
    }
}

/// What host 0 sees while host 1 leaves so.
fn seen(how: Departure) -> Vec<(f64, String)> {
    let seen = Seen::default();
    let config = SwarmConfig {
        regions: [].into(),
        between_regions: Duration::ZERO,
        matchmaker: None,
        seed: 1,
        content: Content::Synthetic(Geometry::new(1 << 20, 1 << 18).unwrap()),
        census: Census::new(4),
        complaints: Default::default(),
        tcp: Tcp { mss: 1460, header: 40, segments_per_ack: 0, initial_window: 10, head_of_line: true },
        pair_latency: Draw::Fixed(Span::ZERO),
        tracker: TrackerConfig::default(),
        tracker_protocol: TrackerProtocol::Http,
        tracker_latency: Draw::Fixed(Span::ZERO),
        explain: None,
    };
    let class = |leave_at| Class {
        name: format!("{leave_at:?}"),
        stay: None,
        session: None,
        leave_at,
        leave_after_bytes: None,
        how,
        seeds_only: false,
        serving: false,
    };
    let ten = Instant::ZERO + Duration::from_secs(10);
    let host = |class| HostPlan {
        class,
        index: 0,
        links: Links {
            up: None,
            down: None,
            socket_buffer: 1 << 16,
            window: 1 << 20,
            queue: 1 << 16,
            jitter: Duration::ZERO,
            loss: 0,
            dial_timeout: Duration::from_secs(15),
            dice: torrentlab_engine::dice::Dice::stream(1, ("host", 0, "jitter")),
        },
        latency: Duration::from_millis(25),
        have: Bitfield::none(4),
        disk: None,
        watches: false,
        arrival: Instant::ZERO,
    };
    let mut swarm = Swarm::new(Plan {
        config,
        classes: vec![class(Instant::NEVER), class(ten)],
        hosts: vec![host(0), host(1)],
        cast: Box::new(Pair(seen.clone())),
        faults: crate::fault::FaultPlan::default(),
        trace: Trace::new(Detail::Hash),
    });
    while swarm.step(Instant::ZERO + Duration::from_secs(60)) {}
    swarm.check_invariants();
    assert_eq!(swarm.ledger().present, 1);
    seen.lock().unwrap().iter().map(|(at, word)| (at.as_secs_f64(), word.clone())).collect()
}

#[test]
fn the_three_departures_differ_in_who_learns_of_them_and_when() {
    let before = [(0.05, "no way: Unreachable"), (0.1, "connected true"), (0.2, "Interested")];
    let table = [
        (Departure::Stop, Some((10.05, "closed: closed by the other side"))),
        (Departure::Kill, Some((10.05, "closed: connection reset"))),
        (Departure::Vanish, None),
    ];
    for (how, after) in table {
        let expected: Vec<(f64, String)> =
            before.into_iter().chain(after).map(|(at, word)| (at, word.to_owned())).collect();
        assert_eq!(seen(how), expected, "{how:?}");
    }
}
