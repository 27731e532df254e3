//! A host's way out: shared fairly by all its flows, segment by segment.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use torrentlab_engine::time::{Duration, Instant};

/// Generalised processor sharing in whole nanoseconds: each of `n` flows with something to send gets a `1/n` of the
/// link, as TCP segments that take turns would. Virtual time runs at `1/n` of real time, so the chunk of a flow ends
/// at a virtual time that is known when it begins, whoever comes or goes; the next departure is the smallest of these.
#[derive(Debug)]
pub struct Uplink {
    rate: Option<u64>,
    /// The link time of a full segment.
    segment: Duration,
    /// Link time that each flow present has had, up to `anchor`.
    virtual_time: u64,
    /// The link's time is spent up to here; in the future while small messages have it.
    anchor: Instant,
    /// Link time owed to small messages, settled at the next departure.
    debt: Duration,
    /// The chunk under way of each active flow: (virtual time of its end, flow).
    serving: BinaryHeap<Reverse<(u64, u32)>>,
    /// When the pending wake-up event comes; later ones than this are stale.
    planned: Instant,
    /// Wire bytes that have left.
    pub sent_bytes: u64,
}

impl Uplink {
    /// A link of `rate` wire bytes a second (`None` is unlimited) that carries segments of up to `segment` bytes.
    pub fn new(rate: Option<u64>, segment: u32) -> Self {
        Self {
            rate,
            segment: time_of(rate, segment),
            virtual_time: 0,
            anchor: Instant::ZERO,
            debt: Duration::ZERO,
            serving: BinaryHeap::new(),
            planned: Instant::NEVER,
            sent_bytes: 0,
        }
    }

    /// Changes the rate. What is under way has gone as far as the old rate brought it.
    pub fn set_rate(&mut self, now: Instant, rate: Option<u64>, segment: u32) {
        self.advance(now);
        let old = std::mem::replace(&mut self.rate, rate);
        self.segment = time_of(rate, segment);
        self.debt = rescale(self.debt, old, rate);
        self.anchor = now + rescale(self.anchor.since(now), old, rate);
        let done = self.virtual_time;
        let rescaled = |Reverse((end, flow))| {
            let left = rescale(Duration::from_nanos(end - done), old, rate);
            Reverse((done + left.as_nanos(), flow))
        };
        self.serving = std::mem::take(&mut self.serving).into_iter().map(rescaled).collect();
    }

    /// How long the whole link needs for `bytes`.
    pub fn time_of(&self, bytes: u32) -> Duration {
        time_of(self.rate, bytes)
    }

    /// How long a flow needs for `bytes` beside those that are active now.
    pub fn time_in_turn(&self, flow: u32, bytes: u32) -> Duration {
        let others = self.serving.iter().filter(|Reverse((_, other))| *other != flow).count() as u64;
        self.time_of(bytes) * (others + 1)
    }

    /// Begins to send a chunk of `bytes` of `flow`, which has none under way.
    pub fn start(&mut self, now: Instant, flow: u32, bytes: u32) {
        self.advance(now);
        self.sent_bytes += u64::from(bytes);
        let end = self.virtual_time + self.time_of(bytes).as_nanos();
        self.serving.push(Reverse((end, flow)));
    }

    /// When something small that is charged already has left. It takes its turn beside the active flows.
    pub fn small_leaves(&self, now: Instant, bytes: u32) -> Instant {
        let others = self.serving.len() as u64;
        self.anchor.max(now) + self.debt + self.time_of(bytes) * others
    }

    /// Takes the link time of something small that is sent at once: a few messages of a flow that has nothing else
    /// to send, or acknowledgements. The active flows pay for it at the next departure, or for each full segment.
    pub fn charge(&mut self, now: Instant, bytes: u32) {
        if bytes == 0 {
            return;
        }
        self.advance(now);
        self.sent_bytes += u64::from(bytes);
        self.debt += self.time_of(bytes);
        if self.serving.is_empty() || self.debt > self.segment {
            self.settle();
        }
    }

    /// A flow whose chunk ends now. Call until `None`, at wake-ups and after nothing else.
    pub fn depart(&mut self, now: Instant) -> Option<u32> {
        self.advance(now);
        let &Reverse((end, flow)) = self.serving.peek()?;
        if end > self.virtual_time {
            return None;
        }
        self.serving.pop();
        self.settle();
        Some(flow)
    }

    /// Drops the chunk under way of `flow`; whether there was one.
    pub fn abandon(&mut self, now: Instant, flow: u32) -> bool {
        self.advance(now);
        let before = self.serving.len();
        self.serving.retain(|&Reverse((_, other))| other != flow);
        self.serving.len() < before
    }

    /// Whether a wake-up event that comes at `now` is the one that is waited for.
    pub fn wakes(&mut self, now: Instant) -> bool {
        let due = self.planned == now;
        if due {
            self.planned = Instant::NEVER;
        }
        due
    }

    /// When to plan a wake-up, unless one is pending that comes no later.
    pub fn plan(&mut self) -> Option<Instant> {
        let &Reverse((end, _)) = self.serving.peek()?;
        let left = Duration::from_nanos(end - self.virtual_time) * self.serving.len() as u64;
        let at = self.anchor + left;
        (at < self.planned).then(|| {
            self.planned = at;
            at
        })
    }

    /// Spends the link's time up to `now`. What does not divide by the number of flows is left for the next time.
    fn advance(&mut self, now: Instant) {
        let flows = self.serving.len() as u64;
        if flows == 0 {
            self.anchor = self.anchor.max(now);
        } else if now > self.anchor {
            let each = now.since(self.anchor).as_nanos() / flows;
            self.virtual_time += each;
            self.anchor += Duration::from_nanos(each * flows);
        }
    }

    fn settle(&mut self) {
        self.anchor += std::mem::take(&mut self.debt);
    }
}

/// What is left of a time on the link when its rate changes.
pub fn rescale(left: Duration, old: Option<u64>, new: Option<u64>) -> Duration {
    let (Some(old), Some(new)) = (old, new) else { return Duration::ZERO };
    let nanos = (u128::from(left.as_nanos()) * u128::from(old)).div_ceil(u128::from(new.max(1)));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// How long a link of `rate` needs for `bytes`.
pub fn time_of(rate: Option<u64>, bytes: u32) -> Duration {
    rate.map_or(Duration::ZERO, |rate| Duration::of_transfer(u64::from(bytes), rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * MS)
    }

    /// Runs the link until it is idle: (ms, flow) of each departure.
    fn departures(link: &mut Uplink) -> Vec<(u64, u32)> {
        let mut gone = Vec::new();
        let mut now = Instant::ZERO;
        while let Some(next) = link.plan() {
            now = now.max(next);
            assert!(link.wakes(now));
            while let Some(flow) = link.depart(now) {
                gone.push((now.as_nanos() / MS, flow));
            }
        }
        gone
    }

    #[test]
    fn flows_share_the_link_whatever_their_chunks() {
        let mut link = Uplink::new(Some(1_000_000), 1_500);
        link.start(at(0), 0, 1_000);
        link.start(at(0), 1, 3_000);
        link.start(at(0), 2, 1_000);
        assert_eq!(departures(&mut link), [(3, 0), (3, 2), (5, 1)]);
    }

    #[test]
    fn a_small_message_passes_between_segments() {
        let mut link = Uplink::new(Some(1_000_000), 1_500);
        (0..4).for_each(|flow| link.start(at(0), flow, 16_000));
        link.charge(at(10), 100);
        assert_eq!(link.small_leaves(at(10), 100), at(10) + Duration::from_micros(500));
        let last = departures(&mut link).last().copied();
        assert_eq!(last, Some((64, 3)), "settled with the first departure, which all four share");
    }

    #[test]
    fn small_messages_alone_queue_for_the_link() {
        let mut link = Uplink::new(Some(1_000_000), 1_500);
        for leaves in 1..3 {
            link.charge(at(0), 1_000);
            assert_eq!(link.small_leaves(at(0), 1_000), at(leaves));
        }
        link.start(at(0), 7, 1_000);
        assert_eq!(departures(&mut link), [(3, 7)]);
    }

    #[test]
    fn no_departure_is_early_and_no_time_is_lost() {
        let mut link = Uplink::new(Some(999_983), 1_500);
        let (mut now, mut bytes, mut seed) = (Instant::ZERO, 0u64, 1u64);
        for flow in 0..7 {
            link.start(now, flow, 1_000 + flow);
            bytes += u64::from(1_000 + flow);
        }
        for _ in 0..5_000 {
            now = link.plan().expect("seven flows are active");
            assert!(link.wakes(now));
            while let Some(flow) = link.depart(now) {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let size = 40 + (seed >> 50) as u32;
                link.start(now, flow, size);
                bytes += u64::from(size);
            }
        }
        let under_way = 7 * (40 + (1 << 14));
        let capacity = now.as_nanos() * 999_983 / 1_000_000_000;
        assert!(bytes <= capacity + under_way, "{bytes} of {capacity}");
        assert!(bytes + 5_000 >= capacity, "{bytes} of {capacity}");
    }

    #[test]
    fn an_unlimited_link_takes_no_time() {
        let mut link = Uplink::new(None, 1_500);
        link.start(at(5), 1, 1 << 30);
        assert_eq!(link.plan(), Some(at(5)));
        assert_eq!(link.small_leaves(at(5), 1 << 30), at(5));
        assert!(link.wakes(at(5)));
        assert_eq!(link.depart(at(5)), Some(1));
    }

    #[test]
    fn an_abandoned_chunk_gives_its_share_back() {
        let mut link = Uplink::new(Some(1_000_000), 1_500);
        link.start(at(0), 0, 10_000);
        link.start(at(0), 1, 10_000);
        assert!(link.abandon(at(10), 1));
        assert!(!link.abandon(at(10), 1));
        assert_eq!(departures(&mut link), [(15, 0)]);
    }
}
