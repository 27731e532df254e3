//! A host's way out: its flows take turns, segment by segment.

use std::collections::VecDeque;

use torrentlab_engine::time::{Duration, Instant};

/// A link with a virtual clock, which is never set back while something waits: after `n` bytes since it was last idle
/// it stands at `n / rate` later, each segment rounded up to a nanosecond.
#[derive(Debug)]
pub(super) struct Uplink {
    rate: Option<u64>,
    /// The link's time is spent up to here.
    free: Instant,
    /// The flow whose segment is on the link.
    serving: Option<u32>,
    /// The flows that have something to send, in the order of their turns.
    turns: VecDeque<u32>,
    /// Acknowledgements that leave ahead of the segments: when, and their bytes.
    acks: VecDeque<(Instant, u32)>,
    sent: u64,
}

impl Uplink {
    pub fn new(rate: Option<u64>) -> Self {
        Self {
            rate,
            free: Instant::ZERO,
            serving: None,
            turns: VecDeque::new(),
            acks: VecDeque::new(),
            sent: 0,
        }
    }

    /// Flows that share the link.
    pub fn active(&self) -> u64 {
        self.turns.len() as u64 + u64::from(self.serving.is_some())
    }

    pub fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// The segment that is on the link leaves as it would have.
    pub fn set_rate(&mut self, rate: Option<u64>) {
        self.rate = rate;
    }

    /// How long the link needs for `bytes`.
    pub fn time_of(&self, bytes: u32) -> Duration {
        time_of(self.rate, bytes)
    }

    /// Wire bytes that have begun to leave by `now`.
    pub fn sent(&mut self, now: Instant) -> u64 {
        self.send_acks(now);
        self.sent
    }

    /// `flow` takes its turn behind the others.
    pub fn queue(&mut self, flow: u32) {
        self.turns.push_back(flow);
    }

    /// The flow whose turn it is, when the link is free.
    pub fn next(&mut self) -> Option<u32> {
        if self.serving.is_some() {
            return None;
        }
        self.turns.pop_front()
    }

    /// Puts a segment of `flow` on the link: when it has left.
    pub fn begin(&mut self, now: Instant, flow: u32, wire: u32) -> Instant {
        self.serving = Some(flow);
        self.charge(now, wire)
    }

    /// The flow whose segment has left.
    pub fn finish(&mut self) -> u32 {
        self.serving.take().expect("a segment was on the link")
    }

    /// Acknowledgements of so many bytes will leave at `at`, which is no earlier than that of those before.
    pub fn acknowledge_at(&mut self, at: Instant, bytes: u32) {
        self.acks.push_back((at, bytes));
    }

    /// Spends the link's time on something: when it has left.
    pub fn charge(&mut self, now: Instant, wire: u32) -> Instant {
        self.send_acks(now);
        self.spend(now, wire);
        self.free
    }

    fn send_acks(&mut self, now: Instant) {
        while let Some((at, bytes)) = self.acks.pop_front_if(|&mut (at, _)| at <= now) {
            self.spend(at, bytes);
        }
    }

    fn spend(&mut self, now: Instant, wire: u32) {
        self.sent += u64::from(wire);
        self.free = self.free.max(now) + self.time_of(wire);
    }
}

/// How long a link of `rate` needs for `bytes`.
pub(super) fn time_of(rate: Option<u64>, bytes: u32) -> Duration {
    rate.map_or(Duration::ZERO, |rate| Duration::of_transfer(u64::from(bytes), rate))
}
