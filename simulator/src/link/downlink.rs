//! A host's way in: first come, first served, with bounded room for what waits.

use std::collections::VecDeque;

use torrentlab_engine::time::{Duration, Instant};

use super::uplink::{rescale, time_of};

/// A link that takes bytes in one after the other. Bytes pass it as they arrive (cut-through): a chunk that dribbles
/// in from a slow sender is through as soon as its last byte is there, unless others keep the link busy.
#[derive(Debug)]
pub struct Downlink {
    rate: Option<u64>,
    /// The link's time is spent up to here.
    free: Instant,
    /// Wire bytes that are on their way here or wait to be taken in.
    outstanding: u64,
    /// Chunks that have landed and are not through yet, and when they will be.
    queued: VecDeque<(Instant, u32)>,
    /// Flows whose next chunk waits for room, in order.
    waiting: VecDeque<u32>,
    /// Wire bytes that a host took in.
    pub received_bytes: u64,
}

impl Downlink {
    /// A link of `rate` wire bytes a second; `None` is unlimited.
    pub fn new(rate: Option<u64>) -> Self {
        Self {
            rate,
            free: Instant::ZERO,
            outstanding: 0,
            queued: VecDeque::new(),
            waiting: VecDeque::new(),
            received_bytes: 0,
        }
    }

    /// How long the link needs for `bytes`.
    pub fn time_of(&self, bytes: u32) -> Duration {
        time_of(self.rate, bytes)
    }

    /// Wire bytes that are on their way here or wait to be taken in.
    #[cfg(test)]
    pub fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// Whether `bytes` more may set out where `limit` may be under way. Whoever is refused asks again in turn.
    pub fn admits(&self, bytes: u32, limit: u64) -> bool {
        self.rate.is_none() || self.outstanding == 0 || self.outstanding + u64::from(bytes) <= limit
    }

    /// Whether `flow`, refused before, must stay behind others that were refused earlier.
    pub fn has_queue(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Puts `flow` behind those that wait for room.
    pub fn wait(&mut self, flow: u32) {
        self.waiting.push_back(flow);
    }

    /// The flow whose turn it is to ask again.
    pub fn first_waiting(&self) -> Option<u32> {
        self.waiting.front().copied()
    }

    /// Takes the flow whose turn it is out of the queue.
    pub fn admit_first(&mut self) {
        self.waiting.pop_front();
    }

    /// Takes `flow` out of the queue, wherever it is.
    pub fn give_up(&mut self, flow: u32) {
        self.waiting.retain(|&other| other != flow);
    }

    /// `bytes` set out for here.
    pub fn set_out(&mut self, bytes: u32) {
        self.outstanding += u64::from(bytes);
    }

    /// At `now` the last byte of `chunk` is here, the first of its `bytes` came at `first`: when the link begins to take
    /// them in, and when it will have, or `None` if it has. Something `small` is through at once where the link is idle;
    /// those behind it wait for its time.
    pub fn land(
        &mut self,
        now: Instant,
        first: Instant,
        chunk: u32,
        bytes: u32,
        small: bool,
    ) -> (Instant, Option<Instant>) {
        let begins = self.free.max(first);
        self.free = begins + self.time_of(bytes);
        // What was there before must be through before, even at the same instant.
        let busy_until = if small { begins } else { self.free };
        let queues = busy_until > now || !self.queued.is_empty();
        let through = queues.then(|| {
            let through = self.free.max(now);
            self.queued.push_back((through, chunk));
            through
        });
        (begins, through)
    }

    /// Takes `bytes` in that come from outside.
    pub fn take(&mut self, now: Instant, bytes: u32) {
        self.free = self.free.max(now) + self.time_of(bytes);
        self.received_bytes += u64::from(bytes);
    }

    /// Takes the first chunk out of the queue, if it is through by now.
    pub fn leave_queue(&mut self, now: Instant) -> Option<u32> {
        self.queued.pop_front_if(|&mut (through, _)| through <= now).map(|(_, chunk)| chunk)
    }

    /// Changes the rate: when each of the chunks that queue will now be through.
    pub fn set_rate(&mut self, now: Instant, rate: Option<u64>) -> impl Iterator<Item = Instant> {
        let old = std::mem::replace(&mut self.rate, rate);
        let rescaled = move |at: Instant| if at > now { now + rescale(at.since(now), old, rate) } else { at };
        self.free = rescaled(self.free);
        self.queued.iter_mut().map(move |(through, _)| {
            *through = rescaled(*through);
            *through
        })
    }

    /// `bytes` are through or lost: their room is free again.
    pub fn drained(&mut self, bytes: u32) {
        self.outstanding -= u64::from(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    /// When something is through that has to queue.
    fn land(link: &mut Downlink, now: u64, first: u64, bytes: u32, small: bool) -> Option<Instant> {
        link.land(at(now), at(first), 0, bytes, small).1
    }

    #[test]
    fn slow_senders_pass_side_by_side_and_fast_ones_queue() {
        let mut link = Downlink::new(Some(1_000_000));
        assert_eq!(land(&mut link, 1_000, 0, 100_000, false), None);
        assert_eq!(
            land(&mut link, 1_000, 0, 100_000, false),
            None,
            "both dribbled in, and the link had time for both"
        );
        assert_eq!(land(&mut link, 1_000, 1_000, 500_000, false), Some(at(1_500)));
        assert_eq!(land(&mut link, 1_000, 1_000, 500_000, false), Some(at(2_000)));
        assert_eq!(land(&mut link, 2_000, 1_999, 0, false), Some(at(2_000)), "not before what came before");
    }

    #[test]
    fn something_small_passes_an_idle_link_at_once_and_takes_its_time_from_the_next() {
        let mut link = Downlink::new(Some(1_000_000));
        assert_eq!(land(&mut link, 100, 100, 1_000, true), None);
        assert_eq!(land(&mut link, 100, 100, 1_000, true), Some(at(102)), "the link is busy for 1 ms");
        assert_eq!(land(&mut link, 102, 102, 5_000, false), Some(at(107)));
    }

    #[test]
    fn room_is_bounded_but_one_chunk_always_fits() {
        let mut link = Downlink::new(Some(1_000));
        assert!(link.admits(5_000, 3_000));
        link.set_out(2_000);
        assert!(link.admits(1_000, 3_000));
        assert!(!link.admits(1_001, 3_000));
        link.drained(2_000);
        assert!(link.admits(1_001, 3_000));
    }
}
