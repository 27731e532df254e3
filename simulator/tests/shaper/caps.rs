//! Links carry what they may, all of it, in equal shares.

use torrentlab_engine::time::{Duration, Instant};
use torrentlab_simulator::turmoil::net::World;

use crate::lab::{Lab, TCP, at, idle, jain, ms, sink, source};

const RATE: u64 = 1_250_000;
const TICKS: [u64; 2] = [1, 10];
/// So much that no flow ends in a test.
const ENDLESS: u64 = 1 << 40;

/// Wire bytes of one link at the end of each tick.
struct Meter {
    samples: Vec<(Instant, u64)>,
}

impl Meter {
    fn run(lab: &mut Lab, until: Duration, read: impl Fn(&World) -> u64) -> Self {
        let mut samples = vec![(at(&lab.sim), read(&lab.world))];
        while at(&lab.sim) < Instant::ZERO + until {
            lab.world.step(&mut lab.sim).unwrap();
            samples.push((at(&lab.sim), read(&lab.world)));
        }
        Self { samples }
    }

    /// The most by which any stretch of time exceeds what `rate` carries in it, bytes.
    fn excess(&self, rate: u64) -> i64 {
        let over = |&(at, bytes): &(Instant, u64)| {
            let may = u128::from(rate) * u128::from(at.as_nanos()) / 1_000_000_000;
            bytes as i64 - may as i64
        };
        let mut least = i64::MAX;
        self.samples.iter().fold(0, |excess, sample| {
            least = least.min(over(sample));
            excess.max(over(sample) - least)
        })
    }

    /// The share of a link of `rate` that is in use from `from` on.
    fn utilisation(&self, rate: u64, from: Duration) -> f64 {
        let (begin, before) = *self.samples.iter().find(|(at, _)| *at >= Instant::ZERO + from).unwrap();
        let (end, after) = *self.samples.last().unwrap();
        (after - before) as f64 / (rate as f64 * end.since(begin).as_secs_f64())
    }
}

/// One host sends to `flows` others; its link is of `rate`.
fn spread(tick: u64, rate: u64, flows: u32) -> Lab {
    let mut lab = Lab::new(tick, 100);
    let from = lab.host(rate, 0, move |platform, _| async move {
        let all: Vec<_> = (1..=flows).map(|to| tokio::spawn(source(platform.clone(), to, ENDLESS))).collect();
        for one in all {
            one.await.unwrap();
        }
    });
    assert_eq!(from, 0);
    (0..flows).for_each(|_| _ = lab.host(0, 0, sink));
    lab
}

/// `flows` hosts send to one, whose link is of `rate`.
fn gather(tick: u64, rate: u64, flows: u32) -> Lab {
    let mut lab = Lab::new(tick, 100);
    lab.host(0, rate, sink);
    (0..flows).for_each(|_| _ = lab.host(2 * RATE, 0, |platform, _| source(platform, 0, ENDLESS)));
    lab
}

/// An uplink or a downlink that flows share.
fn check_shared(
    name: &str,
    tick: u64,
    flows: u32,
    mut lab: Lab,
    read: fn(&World) -> u64,
    received: impl Fn(&Lab) -> Vec<u64>,
) {
    let (warm_up, end) = (ms(3_000), ms(13_000));
    let mut meter = Meter::run(&mut lab, warm_up, read);
    let before = received(&lab);
    meter.samples.extend(Meter::run(&mut lab, end, read).samples);
    let after = received(&lab);
    let shares: Vec<_> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    let case = format!("{name} of {flows} flows at {tick} ms: {shares:?}");
    assert!(meter.excess(RATE) <= i64::from(TCP.mss + TCP.header), "{case}: {} B", meter.excess(RATE));
    let utilisation = meter.utilisation(RATE, warm_up);
    assert!(utilisation >= 0.99, "{case}: {utilisation}");
    assert!(jain(&shares) >= 0.999, "{case}: {}", jain(&shares));
}

#[test]
fn an_uplink_is_full_and_shared_fairly() {
    for (tick, flows) in cases() {
        let lab = spread(tick, RATE, flows);
        let received = move |lab: &Lab| (1..=flows).flat_map(|to| lab.read_by(to, 0..1)).collect();
        check_shared("uplink", tick, flows, lab, |world| world.wire_bytes(0).0, received);
    }
}

#[test]
fn a_downlink_is_full_and_shared_fairly() {
    for (tick, flows) in cases() {
        let lab = gather(tick, RATE, flows);
        let received = move |lab: &Lab| lab.read_by(0, 1..flows + 1);
        check_shared("downlink", tick, flows, lab, |world| world.wire_bytes(0).1, received);
    }
}

#[test]
fn without_a_cap_it_is_exceeded_negative() {
    for tick in TICKS {
        let up = Meter::run(&mut spread(tick, 0, 5), ms(5_000), |world| world.wire_bytes(0).0);
        assert!(up.utilisation(RATE, ms(2_000)) > 2.0);
        assert!(up.excess(RATE) > RATE as i64);
        let down = Meter::run(&mut gather(tick, 0, 5), ms(5_000), |world| world.wire_bytes(0).1);
        assert!(down.utilisation(RATE, ms(2_000)) > 2.0);
        assert!(down.excess(RATE) > RATE as i64);
    }
}

#[test]
fn a_rate_changes_on_the_way() {
    let mut lab = spread(1, RATE, 3);
    let read = |world: &World| world.wire_bytes(0).0;
    Meter::run(&mut lab, ms(5_000), read);
    lab.world.set_rate(0, Some(RATE / 4), None);
    let slow = Meter::run(&mut lab, ms(15_000), read);
    assert!((0.99..1.01).contains(&slow.utilisation(RATE / 4, ms(5_100))));
    lab.world.set_rate(0, Some(RATE), None);
    let fast = Meter::run(&mut lab, ms(25_000), read);
    assert!((0.99..1.01).contains(&fast.utilisation(RATE, ms(15_100))));
}

#[test]
fn an_idle_host_costs_no_bytes() {
    let mut lab = Lab::new(1, 10);
    let host = lab.host(RATE, RATE, idle);
    lab.run_until(ms(100));
    assert_eq!(lab.world.wire_bytes(host), (0, 0));
}

fn cases() -> impl Iterator<Item = (u64, u32)> {
    TICKS.into_iter().flat_map(|tick| [2, 5, 20].map(|flows| (tick, flows)))
}
