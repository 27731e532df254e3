//! How long transfers take: what the model's formulas say.

use torrentlab_engine::time::{Duration, Instant};

use crate::lab::{Lab, TCP, ms, sink, source};

/// A flow over an uplink that is the bottleneck.
struct Case {
    bytes: u64,
    rate: u64,
    latency: u64,
    window: u32,
}

impl Case {
    /// When the last byte has arrived. The window doubles each round trip, and a round begins when the first segment
    /// of the one before is acknowledged, until the link is never idle or the window is reached.
    fn arrives(&self) -> Instant {
        let segment = u64::from(TCP.mss);
        let link = |bytes: u64| {
            let headers = bytes.div_ceil(segment) * u64::from(TCP.header);
            Duration::of_transfer(bytes + headers, self.rate)
        };
        let round = ms(2 * self.latency) + link(segment);
        let header = Duration::of_transfer(u64::from(TCP.header), self.rate);
        let mut now = to_ms(Instant::ZERO + ms(2 * self.latency) + header);
        let (mut left, mut window) = (self.bytes, u64::from(TCP.initial_window) * segment);
        while window < left && link(window) < round {
            now += round;
            left -= window;
            window = (2 * window).min(u64::from(self.window));
        }
        now + link(left) + ms(self.latency)
    }
}

/// Software sees the time in whole milliseconds.
fn to_ms(at: Instant) -> Instant {
    Instant::from_nanos(at.as_nanos().next_multiple_of(1_000_000))
}

#[test]
fn a_flow_takes_as_long_as_slow_start_window_and_link_let_it() {
    let whole = 1460;
    let case = |segments: u64, rate, latency, window: u64| Case {
        bytes: segments * whole,
        rate,
        latency,
        window: (window * whole) as u32,
    };
    let cases = [
        // All in the initial window.
        case(9, 1_000_000, 50, 1_000),
        // Slow start is still on at the end.
        case(300, 12_500_000, 100, 10_000),
        // The link is full before the window is.
        case(2_000, 1_000_000, 50, 1_000),
        case(8_000, 5_000_000, 100, 10_000),
        // The window is full, and the link never.
        case(2_000, 12_500_000, 100, 80),
        case(600, 1_000_000, 200, 20),
    ];
    for (nth, case) in cases.iter().enumerate() {
        for tick in [1, 10] {
            let mut lab = Lab::new(tick, case.latency);
            let (window, bytes) = (case.window, case.bytes);
            let to = lab.host_with(0, 0, |links| links.window = window, sink);
            lab.host(case.rate, 0, move |platform, _| source(platform, to, bytes));
            let took = lab.run_for_bytes(bytes);
            assert_eq!(took, to_ms(case.arrives()), "case {nth} at {tick} ms");
        }
    }
}
