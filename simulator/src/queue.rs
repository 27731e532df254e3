//! What happens next: events in the order of (time, sequence).

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use torrentlab_engine::time::Instant;

/// Nanoseconds that a bucket of the wheel spans, as a power of two: 131 µs.
const BUCKET_BITS: u32 = 17;
/// Buckets in the wheel: it reaches 1.07 s ahead, which is farther than messages travel; timers wait in a heap.
const BUCKETS: u64 = 1 << 13;

/// A time wheel. Events leave it by time, and in the order in which they were planned where times are equal.
///
/// Sequence numbers are kept only for events beyond the wheel's reach: within a bucket the order of arrival is the
/// sequence, because far events move into a bucket at the moment when it comes into reach, before any other.
#[derive(Debug)]
pub struct Queue<E> {
    /// What is left of the bucket under way, sorted; the first `done` are gone.
    current: Vec<(Instant, E)>,
    done: usize,
    /// The number of the bucket under way: time >> [`BUCKET_BITS`].
    bucket: u64,
    wheel: Vec<Vec<(Instant, E)>>,
    in_wheel: usize,
    /// Emptied buckets, whose memory the next ones take over.
    spare: Vec<Vec<(Instant, E)>>,
    far: BinaryHeap<Far<E>>,
    sequence: u64,
}

#[derive(Debug)]
struct Far<E> {
    at: Instant,
    sequence: u64,
    event: E,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            current: Vec::new(),
            done: 0,
            bucket: 0,
            wheel: (0..BUCKETS).map(|_| Vec::new()).collect(),
            in_wheel: 0,
            spare: Vec::new(),
            far: BinaryHeap::new(),
            sequence: 0,
        }
    }
}

impl<E: Copy> Queue<E> {
    /// Plans `event` for `at`; for a time that is past, as the next one.
    pub fn push(&mut self, at: Instant, event: E) {
        let bucket = at.as_nanos() >> BUCKET_BITS;
        if bucket <= self.bucket {
            let later = self.current[self.done..].partition_point(|&(time, _)| time <= at);
            self.current.insert(self.done + later, (at, event));
        } else if bucket - self.bucket < BUCKETS {
            self.push_near(bucket, at, event);
        } else {
            self.sequence += 1;
            self.far.push(Far { at, sequence: self.sequence, event });
        }
    }

    /// How many events are planned.
    pub fn len(&self) -> usize {
        self.current.len() - self.done + self.in_wheel + self.far.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next event and its time.
    pub fn pop(&mut self) -> Option<(Instant, E)> {
        self.pop_by(Instant::NEVER)
    }

    /// The next event and its time, unless that is later than `until`.
    pub fn pop_by(&mut self, until: Instant) -> Option<(Instant, E)> {
        while self.done == self.current.len() {
            self.next_bucket()?;
        }
        let next = self.current[self.done];
        (next.0 <= until).then(|| {
            self.done += 1;
            next
        })
    }

    fn push_near(&mut self, bucket: u64, at: Instant, event: E) {
        let events = &mut self.wheel[(bucket % BUCKETS) as usize];
        if events.capacity() == 0 {
            *events = self.spare.pop().unwrap_or_default();
        }
        events.push((at, event));
        self.in_wheel += 1;
    }

    /// Goes on to the next bucket (over empty ones, where nothing is in the wheel); `None` when nothing is left.
    fn next_bucket(&mut self) -> Option<()> {
        self.bucket = match self.far.peek() {
            _ if self.in_wheel > 0 => self.bucket + 1,
            Some(first) => first.at.as_nanos() >> BUCKET_BITS,
            None => return None,
        };
        while let Some(far) = self.far.peek() {
            let bucket = far.at.as_nanos() >> BUCKET_BITS;
            if bucket - self.bucket >= BUCKETS {
                break;
            }
            let Far { at, event, .. } = self.far.pop().expect("there is one");
            self.push_near(bucket, at, event);
        }
        let events = &mut self.wheel[(self.bucket % BUCKETS) as usize];
        if !events.is_empty() {
            let mut spent = std::mem::replace(&mut self.current, std::mem::take(events));
            spent.clear();
            self.spare.push(spent);
            self.in_wheel -= self.current.len();
            self.done = 0;
            self.current.sort_by_key(|&(at, _)| at);
        }
        Some(())
    }
}

impl<E> Ord for Far<E> {
    /// The heap gives the greatest first: that is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl<E> PartialOrd for Far<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Far<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Far<E> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Delays from "now" to minutes, so that every part of the queue is met.
    fn delay() -> impl Strategy<Value = u64> {
        prop_oneof![
            Just(0),
            0u64..1_000,
            0u64..1 << BUCKET_BITS,
            0u64..1 << 31,
            0u64..200_000_000_000,
            Just(BUCKETS << BUCKET_BITS),
            Just((BUCKETS << BUCKET_BITS) - 1),
        ]
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_a_sorted_map(steps in prop::collection::vec(prop::collection::vec(delay(), 0..6), 1..200)) {
            let (mut queue, mut model) = (Queue::default(), BTreeMap::new());
            let mut now = Instant::ZERO;
            for (step, delays) in steps.into_iter().enumerate() {
                for (nth, nanos) in delays.into_iter().enumerate() {
                    let at = Instant::from_nanos(now.as_nanos() + nanos);
                    queue.push(at, (step, nth));
                    model.insert((at, step, nth), ());
                }
                let next = queue.pop();
                prop_assert_eq!(next, model.pop_first().map(|((at, step, nth), ())| (at, (step, nth))));
                now = next.map_or(now, |(at, _)| at);
            }
            while let Some((at, event)) = queue.pop() {
                prop_assert_eq!(model.pop_first(), Some(((at, event.0, event.1), ())));
            }
            prop_assert!(model.is_empty());
        }
    }

    #[test]
    fn a_time_that_is_past_comes_next() {
        let mut queue = Queue::default();
        queue.push(Instant::from_nanos(5_000_000), 'a');
        queue.push(Instant::from_nanos(5_000_100), 'b');
        assert_eq!(queue.pop().unwrap().1, 'a');
        assert_eq!(queue.pop_by(Instant::from_nanos(5_000_099)), None);
        queue.push(Instant::from_nanos(1), 'c');
        assert_eq!(queue.pop(), Some((Instant::from_nanos(1), 'c')));
        assert_eq!(queue.pop().unwrap().1, 'b');
        assert_eq!(queue.pop(), None);
    }
}
