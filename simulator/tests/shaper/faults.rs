//! What faults on the paths do to connections.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};

use torrentlab_engine::net::Platform as _;
use torrentlab_engine::time::Duration;
use torrentlab_simulator::paths::{Effect, Hosts, Rule};

use crate::lab::{Lab, PORT, Seen, addr, ms, sink, source};

const RATE: u64 = 1_000_000;

/// A flow that sends all the time, under a rule from 2 s to 5 s: when its receiver read, ms.
fn reads_under(tick: u64, rule: impl Fn(u32, u32) -> Rule) -> Vec<u64> {
    let mut lab = Lab::new(tick, 50);
    let to = lab.host(0, 0, sink);
    let from = lab.host(RATE, 0, move |platform, _| source(platform, to, 8_000_000));
    lab.run_until(ms(2_000));
    let id = lab.world.impose(rule(from, to));
    lab.run_until(ms(5_000));
    lab.world.lift(id);
    lab.run_for_bytes(8_000_000);
    lab.log.all().iter().map(|seen| seen.at.as_nanos() / 1_000_000).collect()
}

/// The longest time without a read: from when to when, ms.
fn gap(reads: &[u64]) -> (u64, u64) {
    let pairs = reads.windows(2).map(|pair| (pair[0], pair[1]));
    pairs.max_by_key(|(before, after)| after - before).unwrap()
}

#[test]
fn a_partition_costs_until_the_next_retransmission_after_its_end() {
    // Stopped at 2 s, with a round trip of 100 ms: TCP sends again after 300 ms, 600 ms more, 1.2 s and 2.4 s.
    let again = 2_000 + 300 + 600 + 1_200 + 2_400;
    for tick in [1, 5] {
        let cases = [(true, false), (false, false), (false, true)];
        for (both_ways, back) in cases {
            let reads = reads_under(tick, |from, to| {
                let (from, to) = if back { (to, from) } else { (from, to) };
                Rule { from: Hosts::one(from), to: Hosts::one(to), both_ways, effect: Effect::Block }
            });
            let (stops, goes_on) = gap(&reads);
            let case = format!("{both_ways} {back} at {tick} ms: {stops} {goes_on}");
            // What is on its way back to the sender does not matter to what is on its way to the receiver.
            let last = if back { 2_050..=2_060 } else { 2_000..=2_000 + 2 * tick };
            assert!(last.contains(&stops), "{case}");
            assert!((again + 50..=again + 53).contains(&goes_on), "{case}");
        }
    }
}

#[test]
fn what_was_held_goes_on_at_once() {
    let reads = reads_under(1, |from, to| Rule::between(Hosts::one(from), Hosts::one(to), Effect::Hold));
    assert_eq!(gap(&reads), (2_001, 5_050));
}

#[test]
fn a_longer_path_takes_longer() {
    let mut lab = Lab::new(1, 50);
    let to = lab.host(0, 0, sink);
    let id = lab.world.impose(Rule::between(Hosts::all(), Hosts::one(to), Effect::Delay(ms(100))));
    lab.host(RATE, 0, move |platform, _| source(platform, to, 1_000));
    assert_eq!(lab.run_for_bytes(1_000).as_nanos() / 1_000_000, 453);
    lab.world.lift(id);
    let again = lab.host(RATE, 0, move |platform, _| source(platform, to, 1_000));
    let begun = lab.run_for_bytes(2_000);
    assert!(again > to && begun.as_nanos() / 1_000_000 < 453 + 160, "{begun}");
}

#[test]
fn dials_to_who_is_cut_off_or_hidden_time_out() {
    for cut_off in [true, false] {
        let mut lab = Lab::new(1, 50);
        let to = lab.host(0, 0, sink);
        lab.host(RATE, 0, move |platform, _| source(platform, to, 1 << 40));
        lab.run_until(ms(1_000));
        if cut_off {
            let far = Hosts::AllBut([1].into());
            lab.world.impose(Rule::between(Hosts::one(to), far, Effect::Block));
        } else {
            lab.world.hide(to, true);
        }
        let dials = lab.host(RATE, 0, move |platform, log| async move {
            let began = platform.now();
            let error = platform.connect(addr(to)).await.map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            let bytes = platform.now().since(began).as_millis();
            log.add(Seen { at: platform.now(), host: platform.host(), from: (0, 0), bytes });
            std::future::pending().await
        });
        lab.run_until(ms(20_000));
        let took: Vec<_> =
            lab.log.all().iter().filter(|seen| seen.host == dials).map(|seen| seen.bytes).collect();
        assert_eq!(took, [15_051]);
        let read = lab.read_by(to, 1..2)[0];
        assert!(read > 18 * RATE, "what is open stays open: {read}");
    }
}

#[test]
fn datagrams_take_latency_and_link_time_and_may_be_lost() {
    const DATAGRAM: usize = 972;
    for (blocked, arrive) in [(false, &[112, 114][..]), (true, &[])] {
        let mut lab = Lab::new(1, 100);
        let to = lab.host(0, RATE / 10, |platform, log| async move {
            let socket =
                platform.bind_udp(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT)).await.unwrap();
            let mut buf = [0; 2_000];
            loop {
                let (len, from) = platform.recv_from(&socket, &mut buf).await.unwrap();
                assert_eq!((len, from.ip()), (DATAGRAM, addr(1).ip()));
                assert!(buf[..len].iter().all(|&byte| byte == 9));
                log.add(Seen { at: platform.now(), host: platform.host(), from: (1, 0), bytes: len as u64 });
            }
        });
        let from = lab.host(RATE, 0, move |platform, _| async move {
            let socket = platform.bind_udp(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)).await.unwrap();
            platform.sleep_until(torrentlab_engine::time::Instant::ZERO + ms(1)).await;
            for _ in 0..2 {
                platform.send_to(&socket, &[9; DATAGRAM], addr(to)).await.unwrap();
                platform.sleep_until(platform.now() + ms(2)).await;
            }
            std::future::pending().await
        });
        if blocked {
            lab.world.impose(Rule::between(Hosts::one(from), Hosts::one(to), Effect::Block));
        }
        lab.run_until(Duration::from_secs(1));
        let came: Vec<_> = lab.log.all().iter().map(|seen| seen.at.as_nanos() / 1_000_000).collect();
        assert_eq!(came, arrive);
        assert_eq!(lab.world.wire_bytes(from).0, 2_000);
        assert_eq!(lab.world.wire_bytes(to).1, arrive.len() as u64 * 1_000);
    }
}
