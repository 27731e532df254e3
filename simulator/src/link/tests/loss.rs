//! Packets that are lost at random.

use super::*;
use crate::link::loss::window;
use crate::paths::{Effect, Hosts, Rule};

/// Bytes of blocks a second that one flow brings over links of such a rate (0 is unlimited) where so many of a million
/// packets are lost, from its fifth second on, and how many wire bytes its receiver took in for each of them.
fn goodput(loss_ppm: u32, rtt_ms: u64, rate: u64) -> (f64, f64) {
    let mut lab = Lab::new(rtt_ms / 2);
    let change = |links: &mut Links| (links.loss, links.window) = (loss_ppm, 64 << 20);
    let (a, b) = (lab.host_with(rate, 0, change), lab.host_with(0, rate, |links| links.window = 64 << 20));
    let conn = lab.connect(a, b);
    let (from, until) = (lab.now + ms(5_000), lab.now + ms(65_000));
    let mut before = 0;
    while lab.now < until {
        // Some seconds' worth always waits.
        let flow = lab.net.flow_of(a, conn).unwrap();
        while lab.net.flows[flow as usize].waiting_bytes < 8 << 20 {
            lab.send(a, conn, 0, BLOCK);
        }
        lab.run_until(lab.now + ms(50));
        if lab.now < from {
            before = lab.net.wire_bytes(b).1;
        }
    }
    let came = lab.came.iter().filter(|&&(at, _, _)| at >= from && at < until).count();
    let bytes = (came as u64 * u64::from(BLOCK)) as f64;
    (bytes / 60.0, (lab.net.wire_bytes(b).1 - before) as f64 / bytes)
}

#[test]
fn goodput_is_that_of_cubic() {
    for rtt_ms in [10, 40, 100, 200] {
        let mut last = f64::INFINITY;
        for loss_ppm in [100, 1_000, 5_000, 10_000, 30_000, 100_000] {
            let (measured, _) = goodput(loss_ppm, rtt_ms, 0);
            let segments = window(f64::from(loss_ppm) / 1e6, ms(rtt_ms));
            let expected = segments * f64::from(TCP.mss) / (rtt_ms as f64 / 1e3);
            let off = measured / expected - 1.0;
            println!(
                "{loss_ppm} ppm, {rtt_ms} ms: {measured:.0} B/s, {expected:.0} expected, {:+.1}%",
                off * 100.0
            );
            assert!(off.abs() < 0.1, "{loss_ppm} ppm, {rtt_ms} ms: {measured} B/s, {expected} expected");
            assert!(measured < last, "more loss, less goodput");
            last = measured;
        }
    }
}

#[test]
fn goodput_is_that_of_cubic_negative() {
    assert!(goodput(0, 100, 4_000 * KB).0 > 3_800_000.0, "without loss the link is full");
    assert!(goodput(10_000, 100, 4_000 * KB).0 < 250_000.0);
}

#[test]
fn the_window_is_the_larger_of_two() {
    let table = [
        // loss, round trip (ms), segments: RFC 9438, section 5.2, gives 12, 38 and 120 for Reno at 0.1 s
        (0.01, 100, 12.2),
        (0.001, 100, 38.7),
        (0.0001, 100, 187.4), // and 187 for CUBIC with C = 0.4
        (0.0001, 10, 122.5),
        (0.1, 200, 3.9),
    ];
    for (loss, rtt_ms, expected) in table {
        let segments = window(loss, ms(rtt_ms));
        assert!((segments - expected).abs() < 0.1, "{loss} at {rtt_ms} ms: {segments} segments");
    }
}

#[test]
fn what_is_sent_again_costs_the_links() {
    let (_, clean) = goodput(0, 20, 100 * KB);
    let (_, lossy) = goodput(20_000, 20, 100 * KB);
    assert!((lossy / clean - 1.02).abs() < 0.005, "{clean} and {lossy} wire bytes for each of content");
}

#[test]
fn lossy_flows_share_a_link_that_loss_does_not_fill() {
    let mut lab = Lab::new(10);
    let from = lab.host_with(500 * KB, 0, |links| links.loss = 1_000);
    let to: Vec<u32> = (0..5).map(|_| lab.host(0, 0)).collect();
    for &to in &to {
        let conn = lab.connect(from, to);
        (0..400).for_each(|nth| lab.send(from, conn, nth, BLOCK));
    }
    lab.run_until(lab.now + ms(30_000));
    let blocks =
        Vec::from_iter(to.iter().map(|&to| lab.came.iter().filter(|&&(_, host, _)| host == to).count()));
    let (least, most) = (*blocks.iter().min().unwrap(), *blocks.iter().max().unwrap());
    assert!(most - least <= 3, "{blocks:?}");
    assert!(blocks.iter().sum::<usize>() > 870, "15 MB less headers and what is sent again: {blocks:?}");
}

#[test]
fn a_lost_segment_delays_what_is_behind_it_by_a_round_trip_and_a_lost_last_one_by_a_time_out() {
    let mut lab = Lab::new(50);
    let (a, b) = (lab.host_with(0, 0, |links| links.loss = 100_000), lab.host(0, 0));
    let conn = lab.connect(a, b);
    let start = lab.now;
    let mut delays = std::collections::BTreeMap::new();
    for nth in 0..2_000 {
        let said = start + ms(u64::from(nth) * 5_000);
        while lab.queue.pop_by(said).map(|(now, event)| lab.carry_out(now, event)).is_some() {}
        lab.now = said;
        lab.say(a, conn, nth, 9);
        while lab.came.len() as u32 <= nth {
            assert!(lab.step());
        }
        *delays.entry(lab.now.since(said).as_nanos() / 1_000_000).or_insert(0) += 1;
    }
    // Alone on its way, each has to wait for the time-out: 300 ms, and 600 more if it is lost again.
    assert!((1_740..1_860).contains(&delays[&50]) && (130..230).contains(&delays[&350]), "{delays:?}");
    // In a stream what comes behind tells of the loss: a block, due each 169 ms, comes a round trip late.
    let mut lab = Lab::new(50);
    let (a, b) = (lab.host_with(100 * KB, 0, |links| links.loss = 5_000), lab.host(0, 0));
    let conn = lab.connect(a, b);
    (0..1_000).for_each(|nth| lab.send(a, conn, nth, BLOCK));
    lab.run();
    assert!(lab.came.is_sorted_by_key(|&(_, _, message)| message) && lab.came.len() == 1_000);
    let gaps = lab.came.windows(2).map(|two| two[1].0.since(two[0].0));
    let stalls = gaps.filter(|gap| (ms(260)..ms(280)).contains(gap)).count();
    // 12 segments a block: 5.8% of the blocks lose one.
    assert!((30..90).contains(&stalls), "{stalls} stalls");
}

/// When 50 blocks come over jittery links, after a rule that loses packets was in force for a moment, if one was.
fn arrivals_after(loss: Option<u32>) -> Vec<(Instant, u32, u32)> {
    let mut lab = Lab::new(20);
    let (a, b) = (lab.host_with(300 * KB, 0, |links| links.jitter = ms(3)), lab.host(0, 200 * KB));
    let conn = lab.connect(a, b);
    if let Some(ppm) = loss {
        let rule = Rule::between(Hosts::one(a), Hosts::all(), Effect::Lose(ppm));
        let rule = lab.net.impose(lab.now, rule, &mut lab.queue);
        lab.net.lift(lab.now, rule, &mut lab.queue);
    }
    (0..50).for_each(|nth| lab.send(a, conn, nth, BLOCK));
    lab.run();
    lab.came
}

#[test]
fn without_loss_all_is_as_if_there_were_none() {
    assert_eq!(arrivals_after(Some(1_000)), arrivals_after(None));
    assert_eq!(arrivals_after(Some(0)), arrivals_after(None));
}
