//! The network as its users meet it, with no BitTorrent in it: a message is a number.

mod fault;
mod loss;

use super::*;
use proptest::prelude::*;
use torrentlab_engine::dice::Dice;

const KB: u64 = 1_000;
const BLOCK: u32 = 16 * 1024 + 13;
const TCP: Tcp = Tcp { mss: 1460, header: 40, segments_per_ack: 2, initial_window: 10, head_of_line: true };

struct Lab {
    net: Network<u32>,
    queue: Queue<NetEvent>,
    now: Instant,
    latency: Duration,
    notices: Vec<Notice>,
    /// (when, to, message) of all that came.
    came: Vec<(Instant, u32, u32)>,
    /// (when, whose, how) of all that closed.
    closed: Vec<(Instant, u32, End)>,
    /// (to, on which connection, message) of all that came.
    came_on: Vec<(u32, ConnId, u32)>,
    /// (when, whose, answered).
    failed: Vec<(Instant, u32, bool)>,
    /// Each room that came back.
    room: u64,
    conns: Vec<(u32, ConnId, u32)>,
    /// Which of them nobody has closed.
    open: std::collections::BTreeSet<(u32, ConnId)>,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Lab {
    fn new(latency_ms: u64) -> Self {
        Self {
            net: Network::new(TCP),
            queue: Queue::default(),
            now: Instant::ZERO,
            latency: ms(latency_ms),
            notices: Vec::new(),
            came: Vec::new(),
            closed: Vec::new(),
            came_on: Vec::new(),
            failed: Vec::new(),
            room: 0,
            conns: Vec::new(),
            open: Default::default(),
        }
    }

    /// A host with these rates in bytes a second; 0 is unlimited.
    fn host(&mut self, up: u64, down: u64) -> u32 {
        self.host_with(up, down, |_| ())
    }

    fn host_with(&mut self, up: u64, down: u64, change: impl Fn(&mut Links)) -> u32 {
        let limit = |rate| (rate > 0).then_some(rate);
        let mut links = Links {
            up: limit(up),
            down: limit(down),
            socket_buffer: 64 << 10,
            window: 1 << 20,
            queue: 64 << 10,
            jitter: Duration::ZERO,
            loss: 0,
            dial_timeout: ms(15_000),
            dice: Dice::stream(1, ("host", up ^ down, "jitter")),
        };
        change(&mut links);
        let host = self.net.add_host(links);
        self.net.join(self.now, host, &mut self.queue);
        host
    }

    fn connect(&mut self, from: u32, to: u32) -> ConnId {
        self.net.dial(self.now, from, to, self.latency, &mut self.queue);
        let known = self.conns.len();
        while self.conns.len() < known + 2 {
            assert!(self.step(), "the dial is answered");
        }
        self.conns[known].1
    }

    fn send(&mut self, host: u32, conn: ConnId, message: u32, bytes: u32) {
        assert!(self.net.send(host, conn, message, bytes, bytes));
        self.net.flush(self.now, host, &mut self.queue);
    }

    /// Sends a message that nobody waits for room behind.
    fn say(&mut self, host: u32, conn: ConnId, message: u32, bytes: u32) {
        assert!(self.net.send(host, conn, message, bytes, 0));
        self.net.flush(self.now, host, &mut self.queue);
    }

    fn step(&mut self) -> bool {
        let next = self.queue.pop();
        if let Some((now, event)) = next {
            self.carry_out(now, event);
        }
        next.is_some()
    }

    fn carry_out(&mut self, now: Instant, event: NetEvent) {
        assert!(now >= self.now, "time goes forwards");
        self.now = now;
        self.net.handle(now, event, &mut self.queue, &mut self.notices);
        for notice in self.notices.drain(..) {
            match notice {
                Notice::Connected { host, conn, peer, .. } => {
                    assert!(self.open.insert((host, conn)), "an id is given once");
                    self.conns.push((host, conn, peer));
                }
                Notice::DialFailed { host, answered, .. } => self.failed.push((now, host, answered)),
                Notice::Messages { host, conn, mut parcel, .. } => {
                    while let Some(message) = self.net.take(&mut parcel) {
                        self.came_on.push((host, conn, message));
                        self.came.push((now, host, message));
                    }
                }
                Notice::Room { bytes, .. } => self.room += u64::from(bytes),
                Notice::Closed { host, conn, how } => {
                    assert!(self.open.remove(&(host, conn)), "what closes was open");
                    self.closed.push((now, host, how));
                }
            }
        }
    }

    fn run(&mut self) {
        while self.step() {}
        self.net.check_invariants();
    }

    fn run_until(&mut self, at: Instant) {
        while self.now < at && self.step() {}
    }

    fn elapsed_ms(&self, since: Instant) -> u64 {
        self.now.since(since).as_nanos() / 1_000_000
    }
}

/// Milliseconds to move `bytes` in blocks from one host to another.
fn transfer_ms(up: u64, down: u64, latency_ms: u64, bytes: u64, window: u32) -> u64 {
    let mut lab = Lab::new(latency_ms);
    let from = lab.host(up, 0);
    let to = lab.host_with(0, down, |links| links.window = window);
    let conn = lab.connect(from, to);
    let start = lab.now;
    let (blocks, rest) = ((bytes / u64::from(BLOCK)) as u32, (bytes % u64::from(BLOCK)) as u32);
    (0..blocks).for_each(|nth| lab.send(from, conn, nth, BLOCK));
    lab.send(from, conn, blocks, rest);
    let last = blocks;
    while lab.came.last().map(|&(_, _, message)| message) != Some(last) {
        assert!(lab.step());
    }
    lab.elapsed_ms(start)
}

#[test]
fn throughput_of_one_flow() {
    let table = [
        // up, down (kB/s), latency (ms), MB, window (KiB): ms
        (1_000, 0, 0, 4, 1024, 4_118),    // 4 MB and 2.9% of headers
        (1_000, 0, 50, 4, 1024, 4_363),   // and slow start: 14.6, 29.2 and 58.4 ms used of 100 each
        (0, 1_000, 50, 4, 1024, 4_363),   // the same bottleneck at the other end
        (0, 0, 50, 4, 1 << 20, 850),      // slow start alone: 14.6 kB doubles 8 times
        (0, 0, 50, 4, 64, 6_250),         // 64 KiB each round trip
        (6_250, 0, 20, 4, 64, 2_560),     // each 40 ms and two segments, not a block
        (500, 2_000, 10, 4, 1024, 8_260), // the slower link counts
        (2_000, 500, 10, 4, 1024, 8_260),
    ];
    for (up, down, latency, megabytes, window_kib, expected) in table {
        let took = transfer_ms(up * KB, down * KB, latency, megabytes * 1_000_000, window_kib << 10);
        let tolerance = expected / 50 + 1;
        assert!(
            took.abs_diff(expected) <= tolerance,
            "{up}/{down} kB/s, {latency} ms, window {window_kib} KiB: {took} ms, expected {expected}"
        );
    }
}

#[test]
fn slow_start_doubles_each_round_trip() {
    // 14,600 B at once, 29,200 B a round trip later, 58,400 B after that...
    for (bytes, round_trips) in [(10_000, 0), (20_000, 1), (40_000, 1), (90_000, 2), (200_000, 3)] {
        assert_eq!(transfer_ms(0, 0, 50, bytes, 1 << 20), 50 + 100 * round_trips, "{bytes} bytes");
    }
}

#[test]
fn flows_of_one_uplink_get_equal_shares() {
    let mut lab = Lab::new(20);
    let from = lab.host(1_000 * KB, 0);
    let to: Vec<u32> = (0..8).map(|_| lab.host(0, 0)).collect();
    let conns: Vec<ConnId> = to.iter().map(|&to| lab.connect(from, to)).collect();
    for &conn in &conns {
        (0..100).for_each(|nth| lab.send(from, conn, nth, BLOCK));
    }
    lab.run_until(lab.now + ms(5_000));
    let blocks: Vec<usize> =
        to.iter().map(|&to| lab.came.iter().filter(|&&(_, host, _)| host == to).count()).collect();
    let (least, most) = (blocks.iter().min().unwrap(), blocks.iter().max().unwrap());
    assert!(most - least <= 1, "{blocks:?}");
    assert!((285..=297).contains(&blocks.iter().sum::<usize>()), "5 MB less headers: {blocks:?}");
}

/// How long a HAVE takes on an idle flow beside ten busy ones, and how long on one of the busy flows.
fn small_messages_take(head_of_line: bool) -> [Duration; 2] {
    let mut lab = Lab::new(20);
    lab.net = Network::new(Tcp { head_of_line, ..TCP });
    let from = lab.host(100 * KB, 0);
    let to: Vec<u32> = (0..11).map(|_| lab.host(0, 0)).collect();
    let conns: Vec<ConnId> = to.iter().map(|&to| lab.connect(from, to)).collect();
    for &conn in &conns[..10] {
        (0..3).for_each(|nth| lab.send(from, conn, nth, BLOCK));
    }
    let start = lab.now;
    lab.say(from, conns[10], 77, 9);
    lab.say(from, conns[0], 78, 9);
    lab.say(from, conns[0], 79, 17);
    lab.run();
    let messages: Vec<u32> =
        lab.came.iter().filter(|came| came.1 == to[0]).map(|&(_, _, message)| message).collect();
    let expected = if head_of_line { [0, 1, 2, 78, 79] } else { [0, 78, 79, 1, 2] };
    assert_eq!(messages, expected);
    [77, 78].map(|message| lab.came.iter().find(|&&(_, _, m)| m == message).unwrap().0.since(start))
}

#[test]
fn a_small_message_passes_other_flows_but_not_its_own() {
    let [idle, busy] = small_messages_take(true);
    // 49 bytes at an eleventh of 100 kB/s, and the latency; behind its own flow's three blocks, 5 s.
    assert_eq!(idle.as_nanos(), 20_000_000 + 11 * 490_000);
    assert!(busy > ms(4_900), "{busy:?}");
}

#[test]
fn a_small_message_passes_other_flows_but_not_its_own_negative() {
    let [_, busy] = small_messages_take(false);
    assert!(busy < ms(2_000), "behind the block that has begun to leave: {busy:?}");
}

#[test]
fn forty_senders_into_a_phone_neither_overflow_nor_starve_it() {
    let mut lab = Lab::new(50);
    let phone = lab.host(16 * KB, 48 * KB);
    let senders: Vec<u32> = (0..40).map(|_| lab.host(1_000 * KB, 0)).collect();
    let conns: Vec<ConnId> = senders.iter().map(|&from| lab.connect(from, phone)).collect();
    for (&from, &conn) in senders.iter().zip(&conns) {
        (0..20).for_each(|_| lab.send(from, conn, from, BLOCK));
    }
    let bound = (64 << 10) + 48 * 50 + u64::from(BLOCK) + 12 * 40;
    let start = lab.now;
    while lab.now < start + ms(120_000) && lab.step() {
        assert!(lab.net.hosts[phone as usize].downlink.outstanding() <= bound);
    }
    let came: u64 = lab.came.len() as u64 * u64::from(BLOCK + 12 * 40);
    assert!(came > 48 * KB * 120 * 98 / 100, "busy all the time: {came} bytes");
    let shares: Vec<usize> =
        senders.iter().map(|&s| lab.came.iter().filter(|&&(_, _, from)| from == s).count()).collect();
    assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 2, "{shares:?}");
    // A small message to the phone waits for its queue at most: 64 KiB at 48 kB/s.
    let other = lab.host(1_000 * KB, 0);
    let conn = lab.connect(other, phone);
    let start = lab.now;
    lab.say(other, conn, 999, 9);
    while lab.came.last().map(|&(_, _, message)| message) != Some(999) {
        assert!(lab.step());
    }
    assert!(lab.now.since(start) < ms(1_800), "{:?}", lab.now.since(start));
}

#[test]
fn many_slow_senders_fill_a_fast_downlink() {
    let mut lab = Lab::new(50);
    let to = lab.host(0, 1_000 * KB);
    let senders: Vec<u32> = (0..40).map(|_| lab.host(20 * KB, 0)).collect();
    for from in senders {
        let conn = lab.connect(from, to);
        (0..20).for_each(|_| lab.send(from, conn, 0, BLOCK));
    }
    let (start, before) = (lab.now, lab.net.wire_bytes(to).1);
    lab.run_until(lab.now + ms(10_000));
    let rate = (lab.net.wire_bytes(to).1 - before) * 1_000 / lab.elapsed_ms(start);
    assert!(rate > 40 * 20 * KB * 97 / 100, "{rate} B/s");
}

#[test]
fn small_messages_of_an_instant_share_a_segment_and_equal_arrivals_an_event() {
    let mut lab = Lab::new(20);
    let from = lab.host(1_000 * KB, 0);
    let to: Vec<u32> = (1..=40).map(|nth| lab.host(0, nth * 100 * KB)).collect();
    let conns: Vec<ConnId> = to.iter().map(|&to| lab.connect(from, to)).collect();
    lab.run();
    let before = lab.net.wire_bytes(from).0;
    for &conn in &conns {
        assert!(lab.net.send(from, conn, 1, 9, 0) && lab.net.send(from, conn, 2, 17, 0));
    }
    lab.net.flush(lab.now, from, &mut lab.queue);
    assert_eq!(lab.net.wire_bytes(from).0 - before, 40 * (40 + 9 + 17));
    assert!(lab.step());
    assert_eq!(lab.came.len(), 80, "one event, whatever the downlinks");
    assert!(!lab.step());
}

#[test]
fn acknowledgements_cost_the_reverse_uplink() {
    for (segments_per_ack, expected) in [(2, 60 * 40), (0, 0)] {
        let mut lab = Lab::new(20);
        lab.net = Network::new(Tcp { segments_per_ack, ..TCP });
        let (from, to) = (lab.host(0, 0), lab.host(0, 0));
        let conn = lab.connect(from, to);
        (0..10).for_each(|_| lab.send(from, conn, 0, BLOCK));
        lab.run();
        let sent = lab.net.wire_bytes(to).0;
        assert!(
            sent.abs_diff(expected) <= expected / 50,
            "{sent}: 12 segments a block, one acknowledgement for two"
        );
    }
}

#[test]
fn dials_are_answered_refused_or_lost_in_silence() {
    let mut lab = Lab::new(30);
    let (a, b) = (lab.host(0, 0), lab.host(0, 0));
    let conn = lab.connect(a, b);
    assert_eq!(lab.now, Instant::ZERO + ms(90), "a round trip for who dials, half of one more for the other");
    lab.net.leave(lab.now, b, Some(End::Reset), &mut lab.queue);
    lab.run();
    assert_eq!(lab.closed, [(Instant::ZERO + ms(120), a, End::Reset)], "one latency later");
    assert_eq!(lab.net.peer(a, conn), None);
    lab.net.dial(lab.now, a, b, ms(30), &mut lab.queue);
    lab.run();
    assert_eq!(lab.failed.pop(), Some((Instant::ZERO + ms(180), a, true)));
    lab.net.join(lab.now, b, &mut lab.queue);
    lab.net.leave(lab.now, b, None, &mut lab.queue);
    lab.net.dial(lab.now, a, b, ms(30), &mut lab.queue);
    lab.run();
    assert_eq!(lab.failed.pop(), Some((Instant::ZERO + ms(15_210), a, false)));
}

#[test]
fn what_is_under_way_arrives_before_the_end_and_what_waits_does_not() {
    let mut lab = Lab::new(50);
    let (a, b) = (lab.host(100 * KB, 0), lab.host(0, 20 * KB));
    let conn = lab.connect(a, b);
    (0..3).for_each(|nth| lab.send(a, conn, nth, BLOCK));
    lab.run_until(lab.now + ms(900));
    lab.net.close(lab.now, a, conn, &mut lab.queue);
    assert!(!lab.net.send(a, conn, 9, 9, 0), "the connection is dead");
    lab.run();
    assert_eq!(lab.came.iter().map(|&(_, _, message)| message).collect::<Vec<_>>(), [0]);
    let &(closed, host, how) = lab.closed.last().unwrap();
    assert!((host, how) == (b, End::Close) && closed >= lab.came[0].0);
}

#[test]
fn a_vanished_peer_is_silence_and_its_window_fills() {
    let mut lab = Lab::new(10);
    let b = lab.host(0, 0);
    let a = lab.host(0, 0);
    let conn = lab.connect(a, b);
    lab.net.leave(lab.now, b, None, &mut lab.queue);
    (0..10).for_each(|nth| lab.send(a, conn, nth, BLOCK));
    lab.run();
    assert!(lab.came.is_empty() && lab.closed.is_empty());
    assert_eq!(lab.room, 0, "14,600 B are in flight for ever, less than a block");
    assert_eq!(lab.net.totals().lost, 14_600);
    lab.net.close(lab.now, a, conn, &mut lab.queue);
    lab.run();
}

#[test]
fn who_comes_back_resets_what_it_has_forgotten() {
    let mut lab = Lab::new(10);
    let (a, b, c) = (lab.host(0, 0), lab.host(0, 0), lab.host(0, 0));
    let (busy, idle) = (lab.connect(a, b), lab.connect(c, b));
    lab.net.leave(lab.now, b, None, &mut lab.queue);
    lab.say(a, busy, 1, 100);
    let away = lab.now + ms(1_000);
    lab.run_until(away);
    lab.now = away;
    lab.net.join(lab.now, b, &mut lab.queue);
    lab.run();
    // It landed 10 ms after it was sent, and is sent again 220, 660 and 1,540 ms later; the answer takes 20 ms more.
    let [(when, host, how)] = lab.closed[..] else { panic!("{:?}", lab.closed) };
    assert_eq!((host, how, when.since(away)), (a, End::Reset, ms(10 + 1_540 + 20 - 1_000)));
    lab.say(c, idle, 2, 100);
    let said = lab.now;
    lab.run();
    assert_eq!(lab.closed[1..], [(said + ms(20), c, End::Reset)]);
    assert!(lab.came.is_empty());
}

#[test]
fn a_cancelled_message_never_leaves_and_a_begun_one_does() {
    let mut lab = Lab::new(10);
    let (a, b) = (lab.host(100 * KB, 0), lab.host(0, 0));
    let conn = lab.connect(a, b);
    (0..4).for_each(|nth| lab.send(a, conn, nth, BLOCK));
    assert_eq!(lab.net.cancel(a, conn, |&message| message == 2), Some(BLOCK));
    assert_eq!(lab.net.cancel(a, conn, |&message| message == 0), None, "it has begun");
    assert_eq!(lab.net.cancel(a, conn, |&message| message == 7), None);
    lab.run();
    assert_eq!(lab.came.iter().map(|&(_, _, message)| message).collect::<Vec<_>>(), [0, 1, 3]);
}

#[test]
fn jitter_delays_and_keeps_the_order() {
    let mut lab = Lab::new(10);
    let a = lab.host_with(0, 0, |links| links.jitter = ms(40));
    let b = lab.host(0, 0);
    let conn = lab.connect(a, b);
    let start = lab.now;
    for nth in 0..200 {
        lab.say(a, conn, nth, 9);
    }
    lab.run();
    let came: Vec<u32> = lab.came.iter().map(|&(_, _, message)| message).collect();
    assert!(came.is_sorted() && came.len() == 200);
    let late = lab.came.last().unwrap().0.since(start);
    assert!(late > ms(30) && late <= ms(60), "{late:?}");
}

/// Runs two busy senders into one receiver: the most bytes that came within any second.
fn busiest_second(down: u64) -> u64 {
    let mut lab = Lab::new(5);
    let to = lab.host(0, down);
    for _ in 0..2 {
        let from = lab.host(400 * KB, 0);
        let conn = lab.connect(from, to);
        (0..100).for_each(|_| lab.send(from, conn, 0, BLOCK));
    }
    lab.run();
    let times: Vec<Instant> = lab.came.iter().map(|&(at, _, _)| at).collect();
    let within =
        |&start: &Instant| times.iter().filter(|&&at| at >= start && at < start + ms(1_000)).count() as u64;
    times.iter().map(within).max().unwrap() * u64::from(BLOCK + 12 * 40)
}

#[test]
fn a_downlink_keeps_its_cap() {
    assert!(busiest_second(500 * KB) <= 500 * KB + 2 * u64::from(BLOCK + 12 * 40));
}

#[test]
fn a_downlink_keeps_its_cap_negative() {
    assert!(busiest_second(0) > 700 * KB, "without the cap");
}

#[derive(Clone, Debug)]
enum Step {
    Send(usize, u32),
    Cancel(usize, u32),
    Close(usize),
    Leave(u32, Option<End>),
    Join(u32),
    Dial(u32, u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (any::<prop::sample::Index>(), prop_oneof![Just(9u32), Just(17), Just(BLOCK), 1u32..100_000])
            .prop_map(|(conn, bytes)| Step::Send(conn.index(1 << 16), bytes)),
        2 => (0usize..1 << 16, 0u32..300).prop_map(|(conn, message)| Step::Cancel(conn, message)),
        1 => (0usize..1 << 16).prop_map(Step::Close),
        1 => (0u32..6, prop_oneof![Just(None), Just(Some(End::Reset))]).prop_map(|(host, how)| Step::Leave(host, how)),
        2 => (0u32..6).prop_map(Step::Join),
        4 => (0u32..6, 0u32..6).prop_map(|(from, to)| Step::Dial(from, to)),
        8 => (0u64..2_000_000_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn bytes_are_conserved_and_caps_hold_whatever_happens(steps in prop::collection::vec(step(), 1..300)) {
        let mut lab = Lab::new(15);
        let rates = [(50, 200), (0, 0), (20, 20), (1_000, 100), (0, 30), (100, 0)];
        for (up, down) in rates {
            lab.host_with(up * KB, down * KB, |links| links.jitter = ms(up % 7));
        }
        (1..6).for_each(|to| { lab.connect(0, to); });
        let mut sent = 0;
        for (nth, step) in (0u32..).zip(steps) {
            let conn = |at: usize| lab.conns[at % lab.conns.len()];
            match step {
                Step::Send(at, bytes) => {
                    let (host, conn, _) = conn(at);
                    sent += u64::from(lab.net.send(host, conn, nth, bytes, bytes / 2));
                    lab.net.flush(lab.now, host, &mut lab.queue);
                }
                Step::Cancel(at, wanted) => {
                    let (host, conn, _) = conn(at);
                    sent -= u64::from(lab.net.cancel(host, conn, |&message| message == wanted).is_some());
                }
                Step::Close(at) => {
                    let (host, conn, _) = conn(at);
                    lab.open.remove(&(host, conn));
                    lab.net.close(lab.now, host, conn, &mut lab.queue);
                }
                Step::Leave(host, how) => {
                    lab.open.retain(|&(whose, _)| whose != host);
                    lab.net.leave(lab.now, host, how, &mut lab.queue);
                }
                Step::Join(host) => lab.net.join(lab.now, host, &mut lab.queue),
                Step::Dial(from, to) if from != to => lab.net.dial(lab.now, from, to, ms(15), &mut lab.queue),
                Step::Dial(..) => (),
                Step::Wait(nanos) => lab.run_until(lab.now + Duration::from_nanos(nanos)),
            }
            lab.net.check_invariants();
            prop_assert!(lab.open.iter().all(|&(host, conn)| lab.net.peer(host, conn).is_some()));
        }
        lab.run();
        prop_assert!(lab.came.len() as u64 <= sent);
        prop_assert_eq!(lab.net.totals().in_transit, 0);
        for (host, (up, down)) in (0u32..).zip(rates) {
            let (wire_up, wire_down) = lab.net.wire_bytes(host);
            let most = |rate: u64| lab.now.as_nanos() / 1_000 * rate * KB / 1_000_000 + 20 * 120_000;
            prop_assert!(up == 0 || wire_up <= most(up), "{} of {}", wire_up, most(up));
            prop_assert!(down == 0 || wire_down <= most(down), "{} of {}", wire_down, most(down));
        }
    }
}
