//! How connections begin and end, and that their bytes come through whole.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::net::Platform as _;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_simulator::link::End;
use torrentlab_simulator::paths::{Effect, Hosts, Rule};
use torrentlab_simulator::turmoil::net::{Shaped, Stream};

use crate::lab::{Lab, Log, PORT, Seen, addr, at, idle, ms, sink, source};

const RATE: u64 = 1_000_000;
/// The end of a stream, in a log.
const CLOSED: u64 = 1 << 50;
/// A stream that was reset, or a dial that was refused, in a log.
const RESET: u64 = 1 << 51;
/// A dial that nobody answered, in a log.
const TIMED_OUT: u64 = 1 << 52;

async fn accept(platform: &Shaped) -> Stream {
    let listener = platform.bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT)).await.unwrap();
    let (stream, _) = platform.accept(&listener).await.unwrap();
    // The listener stays, so that others can dial.
    tokio::spawn(async move {
        let _listener = listener;
        std::future::pending::<()>().await;
    });
    stream
}

fn note(platform: &Shaped, log: &Log, bytes: u64) {
    log.add(Seen { at: platform.now(), host: platform.host(), from: (0, 0), bytes });
}

/// Reads to the end and tells what that was.
async fn read_out(platform: &Shaped, log: &Log, stream: &mut Stream) {
    let mut buf = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buf).await {
            Ok(0) => return note(platform, log, CLOSED),
            Ok(bytes) => note(platform, log, bytes as u64),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                return note(platform, log, RESET);
            }
        }
    }
}

/// What `host` noted, in milliseconds; bytes that follow upon each other as their sum.
fn noted(lab: &Lab, host: u32) -> Vec<(u64, u64)> {
    let mut noted: Vec<(u64, u64)> = Vec::new();
    for seen in lab.log.all().iter().filter(|seen| seen.host == host) {
        let now = seen.at.as_nanos() / 1_000_000;
        match noted.last_mut() {
            Some(last) if seen.bytes < CLOSED && last.1 < CLOSED => *last = (now, last.1 + seen.bytes),
            _ => noted.push((now, seen.bytes)),
        }
    }
    noted
}

#[test]
fn each_end_may_close_by_itself() {
    let mut lab = Lab::new(1, 50);
    let server = lab.host(RATE, 0, |platform, log| async move {
        let mut stream = accept(&platform).await;
        read_out(&platform, &log, &mut stream).await;
        stream.write_all(&[2; 3_000]).await.unwrap();
        drop(stream);
        std::future::pending().await
    });
    let client = lab.host(RATE, 0, move |platform, log| async move {
        let mut stream = platform.connect(addr(server)).await.unwrap();
        stream.write_all(&[1; 10_000]).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(stream.write(&[1]).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        read_out(&platform, &log, &mut stream).await;
        std::future::pending().await
    });
    lab.run_until(ms(1_000));
    // The handshake, a latency, and 10 kB in 7 segments.
    assert_eq!(noted(&lab, server), [(162, 10_000), (162, CLOSED)]);
    assert_eq!(noted(&lab, client), [(216, 3_000), (216, CLOSED)]);
}

#[test]
fn who_has_closed_before_it_goes_says_so_once() {
    let mut lab = Lab::new(1, 50);
    let server = lab.host(RATE, 0, sink);
    let client = lab.host(RATE, 0, move |platform, _| async move {
        drop(platform.connect(addr(server)).await.unwrap());
        std::future::pending().await
    });
    lab.run_until(ms(1_000));
    lab.world.leave(client, Some(End::Close));
    lab.run_until(ms(2_000));
    assert_eq!(lab.world.wire_bytes(client), (80, 40), "a dial and an end go out, an end comes back");
}

#[test]
fn a_host_that_dies_resets_its_connections_or_falls_silent() {
    for (how, told) in [(Some(End::Reset), Some(RESET)), (Some(End::Close), Some(CLOSED)), (None, None)] {
        let mut lab = Lab::new(1, 50);
        let server = lab.host(RATE, 0, |platform, log| async move {
            let mut stream = accept(&platform).await;
            read_out(&platform, &log, &mut stream).await;
            std::future::pending().await
        });
        let client = lab.host(RATE, 0, move |platform, _| source(platform, server, 1 << 30));
        lab.run_until(ms(1_000));
        lab.world.leave(client, how);
        lab.sim.crash(addr(client).ip());
        lab.run_until(ms(60_000));
        let noted = noted(&lab, server);
        let (last, bytes) = noted[0];
        assert!(last <= 1_051, "nothing is sent any more: {noted:?}");
        assert!((600_000..900_000).contains(&bytes), "{noted:?}");
        let end: Vec<_> = noted[1..].iter().map(|&(_, end)| end).collect();
        assert_eq!(end, Vec::from_iter(told));
        assert!(noted[1..].iter().all(|&(at, _)| (1_050..1_053).contains(&at)), "{noted:?}");
    }
}

#[test]
fn whoever_writes_to_nobody_is_told() {
    let mut lab = Lab::new(1, 50);
    let server = lab.host(RATE, 0, |platform, _| async move {
        drop(accept(&platform).await);
        std::future::pending().await
    });
    let client = lab.host(RATE, 0, move |platform, log| async move {
        let mut stream = platform.connect(addr(server)).await.unwrap();
        platform.sleep_until(Instant::ZERO + ms(500)).await;
        while stream.write_all(&[1; 1_000]).await.is_ok() {}
        note(&platform, &log, RESET);
        std::future::pending().await
    });
    lab.run_until(ms(2_000));
    assert_eq!(noted(&lab, client), [(602, RESET)], "a round trip after the first segment");
}

#[test]
fn dials_are_answered_refused_or_time_out() {
    async fn dial(platform: Shaped, log: Log, to: SocketAddr) {
        let end = match platform.connect(to).await {
            Ok(_) => CLOSED,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => RESET,
            Err(error) if error.kind() == ErrorKind::TimedOut => TIMED_OUT,
            Err(error) => panic!("{error}"),
        };
        note(&platform, &log, end);
        std::future::pending().await
    }
    for tick in [1, 5] {
        let mut lab = Lab::new(tick, 50);
        let up = lab.host(0, 0, sink);
        let deaf = lab.host(0, 0, idle);
        let down = lab.host(0, 0, idle);
        lab.world.leave(down, Some(End::Close));
        let silent = lab.host(0, 0, idle);
        lab.world.leave(silent, None);
        let nobody = 99;
        let cases = [
            (up, (100, CLOSED)),
            (deaf, (100, RESET)),
            (down, (100, RESET)),
            (silent, (15_050, TIMED_OUT)),
            (nobody, (15_000, TIMED_OUT)),
        ];
        let dials = cases.map(|(to, _)| lab.host(0, 0, move |platform, log| dial(platform, log, addr(to))));
        lab.run_until(ms(20_000));
        for (host, (_, expected)) in dials.into_iter().zip(cases) {
            assert_eq!(noted(&lab, host), [expected], "host {host} at {tick} ms");
        }
    }
}

#[test]
fn many_dials_of_a_tick_are_all_accepted() {
    let mut lab = Lab::new(1, 20);
    let to = lab.host(0, 0, sink);
    for _ in 0..40 {
        lab.host(0, 0, move |platform, _| async move {
            let all: Vec<_> = (0..30).map(|_| tokio::spawn(source(platform.clone(), to, 10))).collect();
            for one in all {
                one.await.unwrap();
            }
        });
    }
    lab.run_for_bytes(40 * 30 * 10);
}

#[test]
fn who_gives_up_leaves_nothing_behind() {
    /// One of two flows ends in the middle of a write at 5 s: the other has the link to itself from then on.
    fn other_after(give_up: impl Fn(Shaped, u32) -> tokio::task::JoinHandle<()> + Copy + 'static) -> f64 {
        let mut lab = Lab::new(1, 50);
        let (one, other) = (lab.host(0, 0, sink), lab.host(0, 0, sink));
        let from = lab.host(RATE, 0, move |platform, _| async move {
            tokio::spawn(source(platform.clone(), one, 1 << 40));
            let given_up = give_up(platform.clone(), other);
            platform.sleep_until(Instant::ZERO + ms(5_000)).await;
            given_up.abort();
            std::future::pending().await
        });
        lab.run_until(ms(6_000));
        let before: u64 = lab.read_by(one, from..from + 1).iter().sum();
        lab.run_until(ms(16_000));
        let after: u64 = lab.read_by(one, from..from + 1).iter().sum();
        (after - before) as f64 * 1_500.0 / 1_460.0 / (10 * RATE) as f64
    }
    let dropped = other_after(|platform, to| tokio::spawn(source(platform, to, 1 << 40)));
    assert!(dropped > 0.99, "{dropped}");
    // The write is dropped in mid-flight over and over, and the stream lives on.
    let cancelled = other_after(|platform, to| {
        tokio::spawn(async move {
            let mut stream = platform.connect(addr(to)).await.unwrap();
            loop {
                let pause = platform.sleep_until(platform.now() + ms(3));
                tokio::select! {
                    biased;
                    _ = stream.write_all(&[1; 1 << 16]) => {}
                    () = pause => {}
                }
            }
        })
    });
    assert!(cancelled > 0.99, "{cancelled}");
}

#[test]
fn the_same_seed_gives_the_same_arrivals_and_another_does_not() {
    fn arrivals(seed: u64) -> Vec<Seen> {
        let mut lab = Lab::new(1, 50);
        let jitter = move |links: &mut torrentlab_simulator::link::Links| {
            links.jitter = ms(20);
            links.dice = Dice::stream(seed, ("host", 0, "jitter"));
        };
        let to = lab.host_with(0, RATE, jitter, sink);
        for _ in 0..5 {
            lab.host_with(RATE, 0, jitter, move |platform, _| source(platform, to, 300_000));
        }
        lab.run_until(ms(3_000));
        lab.log.all()
    }
    assert!(arrivals(1) == arrivals(1));
    assert!(arrivals(1) != arrivals(2));
}

#[test]
fn who_does_not_read_is_sent_no_more_than_his_buffers() {
    let mut lab = Lab::new(1, 50);
    let window = 100_000;
    let to = lab.host_with(
        0,
        0,
        |links| links.window = window,
        |platform, log| async move {
            let mut stream = accept(&platform).await;
            platform.sleep_until(Instant::ZERO + ms(30_000)).await;
            read_out(&platform, &log, &mut stream).await;
            std::future::pending().await
        },
    );
    let from = lab.host(RATE, 0, move |platform, _| source(platform, to, 2_000_000));
    lab.run_until(ms(30_000));
    let (sent, _) = lab.world.wire_bytes(from);
    assert!((150_000..250_000).contains(&sent), "{sent}");
    lab.run_until(ms(60_000));
    assert_eq!(noted(&lab, to).iter().map(|&(_, bytes)| bytes).collect::<Vec<_>>(), [2_000_000, CLOSED]);
}

/// What one end of a connection does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write(usize),
    Pause(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![3 => (1usize..40_000).prop_map(Act::Write), 1 => (1u64..300).prop_map(Act::Pause)];
    proptest::collection::vec(act, 0..12)
}

/// Byte `at` of what an end sends.
fn byte(end: u8, at: usize) -> u8 {
    (at as u8).wrapping_mul(31).wrapping_add((at >> 8) as u8).wrapping_add(end)
}

/// Writes as told and closes its half, while it reads, in parts of `step` bytes, what the other end writes.
async fn talk(platform: Shaped, log: Log, stream: Stream, end: u8, acts: Vec<Act>, step: usize) {
    let (mut read, mut write) = tokio::io::split(stream);
    let clock = platform.clone();
    let writing = async move {
        let mut sent = 0;
        for act in acts {
            match act {
                Act::Write(bytes) => {
                    let part: Vec<u8> = (sent..sent + bytes).map(|at| byte(end, at)).collect();
                    write.write_all(&part).await.unwrap();
                    sent += bytes;
                }
                Act::Pause(pause) => clock.sleep_until(clock.now() + ms(pause)).await,
            }
        }
        write.shutdown().await.unwrap();
        write
    };
    let reading = async move {
        let (mut got, mut buf) = (0, vec![0; step]);
        loop {
            let bytes = read.read(&mut buf).await.unwrap();
            assert!((0..bytes).all(|at| buf[at] == byte(1 - end, got + at)), "from byte {got} on");
            got += bytes;
            if bytes == 0 {
                note(&platform, &log, got as u64);
                return note(&platform, &log, CLOSED);
            }
        }
    };
    tokio::join!(writing, reading);
    std::future::pending().await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn no_byte_is_lost_repeated_or_out_of_order(
        scripts in proptest::array::uniform2(acts()),
        rates in proptest::array::uniform4(prop_oneof![Just(0u64), 50_000u64..5_000_000]),
        (latency, jitter, window) in (5u64..100, 0u64..50, 1_000u32..200_000),
        step in 1usize..50_000,
        (fault, one_way, from, lasts) in (0u8..3, any::<bool>(), 0u64..1_000, 0u64..3_000),
        tick in prop_oneof![Just(1u64), Just(5)],
    ) {
        let mut lab = Lab::new(tick, latency);
        let change = move |links: &mut torrentlab_simulator::link::Links| {
            links.window = window;
            links.queue = window / 2;
            links.jitter = ms(jitter);
        };
        let sent = scripts.clone().map(|acts| {
            acts.iter().map(|act| if let Act::Write(bytes) = act { *bytes as u64 } else { 0 }).sum::<u64>()
        });
        let [listening, dialling] = scripts;
        let server = lab.host_with(rates[0], rates[1], change, move |platform, log| {
            let acts = listening.clone();
            async move {
                let stream = accept(&platform).await;
                talk(platform, log, stream, 0, acts, step).await
            }
        });
        let client = lab.host_with(rates[2], rates[3], change, move |platform, log| {
            let acts = dialling.clone();
            async move {
                // A dial is lost where the fault comes first.
                let stream = loop {
                    if let Ok(stream) = platform.connect(addr(server)).await {
                        break stream;
                    }
                };
                talk(platform, log, stream, 1, acts, step).await
            }
        });
        lab.run_until(ms(from / 5 * 5));
        let effect = [Effect::Delay(Duration::ZERO), Effect::Block, Effect::Hold][usize::from(fault)];
        let (from, to) = (Hosts::one(server), Hosts::one(client));
        let id = lab.world.impose(Rule { from, to, both_ways: !one_way, effect });
        lab.run_until(at(&lab.sim).since(Instant::ZERO) + ms(lasts / 5 * 5));
        lab.world.lift(id);
        while lab.log.all().len() < 4 && at(&lab.sim) < Instant::ZERO + Duration::from_secs(120) {
            lab.world.step(&mut lab.sim).unwrap();
        }
        for (host, sent) in [(server, sent[1]), (client, sent[0])] {
            let got: Vec<_> = lab.log.all().iter().filter(|seen| seen.host == host).map(|seen| seen.bytes).collect();
            prop_assert_eq!(got, [sent, CLOSED]);
        }
    }
}
