//! A host's way in: first come, first served, with bounded room before it.

use std::collections::VecDeque;

use torrentlab_engine::time::{Duration, Instant};

use super::uplink::time_of;

#[derive(Debug)]
pub(super) struct Downlink {
    rate: Option<u64>,
    /// Wire bytes that may wait before the link.
    queue: u32,
    /// The link's time is spent up to here.
    free: Instant,
    /// Wire bytes that are on their way here or wait to be taken in.
    outstanding: u64,
    /// Segments that have landed: when each is through, and its wire bytes.
    landed: VecDeque<(Instant, u32)>,
    /// Flows whose next segment waits at its sender until there is room, in order.
    waiting: VecDeque<u32>,
    /// Whether those are asked again at a time that is planned.
    planned: bool,
    received: u64,
}

impl Downlink {
    pub fn new(rate: Option<u64>, queue: u32) -> Self {
        Self {
            rate,
            queue,
            free: Instant::ZERO,
            outstanding: 0,
            landed: VecDeque::new(),
            waiting: VecDeque::new(),
            planned: false,
            received: 0,
        }
    }

    pub fn set_rate(&mut self, rate: Option<u64>) {
        self.rate = rate;
    }

    /// Wire bytes that are through by `now`.
    pub fn received(&mut self, now: Instant) -> u64 {
        self.drain(now);
        self.received
    }

    /// Whether a segment of `flow` may set out at `now` over a path of this `latency`: what is under way may fill the
    /// queue and the path. If not, the flow waits behind those that wait already.
    pub fn admit(&mut self, now: Instant, flow: u32, wire: u32, latency: Duration) -> bool {
        let admitted = self.waiting.is_empty() && self.has_room(now, wire, latency);
        if !admitted {
            self.waiting.push_back(flow);
        }
        admitted
    }

    /// Whether the flow whose turn it is to ask again may send now; then it waits no more.
    pub fn readmit(&mut self, now: Instant, wire: u32, latency: Duration) -> bool {
        let admitted = self.has_room(now, wire, latency);
        if admitted {
            self.waiting.pop_front();
        }
        admitted
    }

    /// The flow whose turn it is to ask again.
    pub fn first_waiting(&self) -> Option<u32> {
        self.waiting.front().copied()
    }

    /// `flow` waits no more.
    pub fn give_up(&mut self, flow: u32) {
        self.waiting.retain(|&waiting| waiting != flow);
    }

    /// When to ask those that wait again, unless that is planned or nothing has landed.
    pub fn plan(&mut self) -> Option<Instant> {
        if self.planned || self.waiting.is_empty() {
            return None;
        }
        let &(through, _) = self.landed.front()?;
        self.planned = true;
        Some(through)
    }

    /// The planned time has come.
    pub fn asked_again(&mut self) {
        self.planned = false;
    }

    /// A segment sets out for here.
    pub fn expect(&mut self, wire: u32) {
        self.outstanding += u64::from(wire);
    }

    /// Something that was expected is lost or held up.
    pub fn expect_no_more(&mut self, wire: u32) {
        self.outstanding -= u64::from(wire);
    }

    /// How long the link needs for `bytes`.
    pub fn time_of(&self, bytes: u32) -> Duration {
        time_of(self.rate, bytes)
    }

    /// A segment that was expected lands at `at`, in order: when it is through.
    pub fn land(&mut self, at: Instant, wire: u32) -> Instant {
        self.free = self.free.max(at) + self.time_of(wire);
        self.landed.push_back((self.free, wire));
        self.free
    }

    fn has_room(&mut self, now: Instant, wire: u32, latency: Duration) -> bool {
        let Some(rate) = self.rate else { return true };
        self.drain(now);
        let after = self.outstanding + u64::from(wire);
        self.outstanding == 0
            || after <= u64::from(self.queue)
            || u128::from(after - u64::from(self.queue))
                <= u128::from(rate) * u128::from(latency.as_nanos()) / 1_000_000_000
    }

    fn drain(&mut self, now: Instant) {
        while let Some((_, wire)) = self.landed.pop_front_if(|&mut (through, _)| through <= now) {
            self.outstanding -= u64::from(wire);
            self.received += u64::from(wire);
        }
    }
}
