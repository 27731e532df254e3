//! When one torrent announces, to which of its trackers, and with which event.

use crate::dice::Dice;
use crate::time::{Duration, Instant};
use crate::tracker::{Announce, AnnounceEvent, AnnounceReply, AnnounceRequest, TrackerFailure};
use crate::units::{InfoHash, PeerId};

/// No interval is taken for shorter than this, whatever a tracker says.
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(5);
/// No interval is taken for longer than this, whatever a tracker says.
pub const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// The wait before an announce for more peers, where the tracker gives no `min interval`.
pub const DEFAULT_MIN_INTERVAL: Duration = Duration::from_secs(120);
/// The longest wait after a tracker's first failure; it doubles with each failure in a row.
pub const FIRST_RETRY: Duration = Duration::from_secs(15);
/// The longest wait after many failures.
pub const LAST_RETRY: Duration = Duration::from_secs(3600);

/// Who announces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The client.
    pub peer_id: PeerId,
    /// Where it listens.
    pub port: u16,
}

/// How far the torrent is, for the announce that is made now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Payload bytes sent since the start.
    pub uploaded: u64,
    /// Payload bytes received since the start.
    pub downloaded: u64,
    /// Bytes still missing.
    pub left: u64,
    /// How many peers it wants; `None` leaves it to the tracker.
    pub numwant: Option<u32>,
}

/// The announces of one torrent, one at a time (BEP 3, 12).
///
/// Its owner calls [`Client::poll`] at [`Client::poll_timeout`], carries out the announce that it gives, and brings
/// every outcome to [`Client::on_reply`]; until then no other announce is made. When the torrent becomes complete it
/// says so with [`Client::set_completed`], when it runs short of peers with [`Client::set_wants_peers`].
#[derive(Clone, Debug)]
pub struct Client {
    identity: Identity,
    key: u32,
    /// The trackers of each tier in the order in which they are tried, as positions in `trackers`.
    tiers: Vec<Vec<usize>>,
    trackers: Vec<TrackerState>,
    in_flight: Option<(usize, AnnounceEvent)>,
    /// When the next regular announce is due.
    regular_at: Instant,
    /// When an announce for more peers may be made.
    early_at: Instant,
    /// No tracker may be tried before this: the least of their `not_before`.
    blocked_until: Instant,
    wants_peers: bool,
    completed: bool,
    replied_once: bool,
}

#[derive(Clone, Debug, Default)]
struct TrackerState {
    /// It has answered `started`, so it has to be told of our end.
    knows_us: bool,
    failures: u32,
    not_before: Instant,
}

impl Client {
    /// A client that announces `started` at once. `tier_sizes` gives how many trackers each tier of the
    /// announce-list has; with none, it never announces.
    pub fn new(tier_sizes: impl IntoIterator<Item = usize>, identity: Identity, dice: &mut Dice) -> Self {
        let mut first = 0;
        let mut tiers = Vec::new();
        for size in tier_sizes {
            let mut tier: Vec<usize> = (first..first + size).collect();
            first += size;
            // "URLs within each tier will be processed in a randomly chosen order" (BEP 12).
            dice.shuffle(&mut tier);
            tiers.push(tier);
        }
        Self {
            identity,
            key: dice.next_u64() as u32,
            tiers,
            trackers: vec![TrackerState::default(); first],
            in_flight: None,
            regular_at: if first == 0 { Instant::NEVER } else { Instant::ZERO },
            early_at: Instant::NEVER,
            blocked_until: Instant::ZERO,
            wants_peers: false,
            completed: false,
            replied_once: false,
        }
    }

    /// Takes in the outcome of the announce to `tracker`; the outcome of one that does not wait (a `stopped`, say)
    /// is ignored. Call [`Client::poll`] afterwards: after a failure the next tracker may be due at once.
    pub fn on_reply(
        &mut self,
        now: Instant,
        tracker: usize,
        result: &Result<AnnounceReply, TrackerFailure>,
        dice: &mut Dice,
    ) {
        let Some((_, event)) = self.in_flight.take_if(|(asked, _)| *asked == tracker) else { return };
        match result {
            Ok(reply) => self.on_success(now, tracker, event, reply, dice),
            Err(_) => self.on_failure(now, tracker, dice),
        }
        self.blocked_until =
            self.trackers.iter().map(|state| state.not_before).min().unwrap_or(Instant::NEVER);
    }

    /// The download has become complete: the tracker is told at once. (Not to be called for a torrent that was
    /// complete when it started.)
    pub fn set_completed(&mut self) {
        self.completed = !self.trackers.is_empty();
    }

    /// Whether the torrent runs short of peers: then it announces as often as the tracker's `min interval` allows.
    pub fn set_wants_peers(&mut self, wants: bool) {
        self.wants_peers = wants;
    }

    /// Ends the client: the `stopped` announces to all trackers that know of us. Nobody waits for their answers.
    pub fn stop(&mut self, progress: &Progress) -> Vec<Announce> {
        let asked = self.in_flight.take().map(|(tracker, _)| tracker);
        let told = (0..self.trackers.len()).filter(|&i| self.trackers[i].knows_us || asked == Some(i));
        let progress = Progress { numwant: Some(0), ..*progress };
        let stops = told.map(|tracker| self.announce(tracker, AnnounceEvent::Stopped, &progress)).collect();
        self.trackers.clear();
        self.tiers.clear();
        self.blocked_until = Instant::NEVER;
        stops
    }

    /// When [`Client::poll`] next gives an announce; [`Instant::NEVER`] while one is under way or after the end.
    pub fn poll_timeout(&self) -> Instant {
        if self.in_flight.is_some() { Instant::NEVER } else { self.due().max(self.blocked_until) }
    }

    /// The announce that is due at `now`, if one is.
    pub fn poll(&mut self, now: Instant, progress: &Progress) -> Option<Announce> {
        if now < self.poll_timeout() {
            return None;
        }
        // "All URLs in each tier must be checked before the client goes on to the next tier" (BEP 12).
        let tracker = *self.tiers.iter().flatten().find(|&&i| self.trackers[i].not_before <= now)?;
        let event = match (self.trackers[tracker].knows_us, self.completed) {
            (false, _) => AnnounceEvent::Started,
            (true, true) => AnnounceEvent::Completed,
            (true, false) => AnnounceEvent::Regular,
        };
        self.in_flight = Some((tracker, event));
        Some(self.announce(tracker, event, progress))
    }

    fn due(&self) -> Instant {
        match (self.completed, self.wants_peers) {
            (true, _) => Instant::ZERO,
            (false, true) => self.regular_at.min(self.early_at),
            (false, false) => self.regular_at,
        }
    }

    fn announce(&self, tracker: usize, event: AnnounceEvent, progress: &Progress) -> Announce {
        let request = AnnounceRequest {
            info_hash: self.identity.info_hash,
            peer_id: self.identity.peer_id,
            port: self.identity.port,
            uploaded: progress.uploaded,
            downloaded: progress.downloaded,
            left: progress.left,
            event,
            numwant: progress.numwant,
            key: self.key,
        };
        Announce { tracker, request: Box::new(request) }
    }

    fn on_success(
        &mut self,
        now: Instant,
        tracker: usize,
        event: AnnounceEvent,
        reply: &AnnounceReply,
        dice: &mut Dice,
    ) {
        self.trackers[tracker] = TrackerState { knows_us: true, failures: 0, not_before: Instant::ZERO };
        self.completed &= event != AnnounceEvent::Completed;
        // "If a connection with a tracker is successful, it will be moved to the front of the tier" (BEP 12).
        for tier in &mut self.tiers {
            if let Some(at) = tier.iter().position(|&i| i == tracker) {
                tier[..=at].rotate_right(1);
            }
        }
        let interval = reply.interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        let min_interval =
            reply.min_interval.unwrap_or(DEFAULT_MIN_INTERVAL).clamp(SHORTEST_INTERVAL, interval);
        // A crowd that came at once spreads over half an interval, so that it does not stay in lockstep.
        let spread = if self.replied_once { interval / 10 } else { interval / 2 };
        self.replied_once = true;
        let wait = interval.saturating_sub(up_to(spread, dice)).max(min_interval);
        self.regular_at = now + wait;
        self.early_at = now + min_interval + up_to(min_interval / 10, dice);
    }

    fn on_failure(&mut self, now: Instant, tracker: usize, dice: &mut Dice) {
        let state = &mut self.trackers[tracker];
        let longest = (FIRST_RETRY * (1 << state.failures.min(16))).min(LAST_RETRY);
        state.failures += 1;
        state.not_before = now + longest / 2 + up_to(longest / 2, dice);
    }
}

/// A random time from nothing to `span`.
fn up_to(span: Duration, dice: &mut Dice) -> Duration {
    Duration::from_nanos(dice.below(span.as_nanos().saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use AnnounceEvent::{Completed, Regular, Started, Stopped};
    use proptest::prelude::*;

    const NOTHING_DONE: Progress = Progress { uploaded: 0, downloaded: 0, left: 100, numwant: Some(50) };

    /// A client with time and dice, and a shorthand for what it does.
    struct Setup {
        client: Client,
        dice: Dice,
        now: Instant,
    }

    impl Setup {
        fn new(tiers: &[usize], seed: u64) -> Self {
            let mut dice = Dice::stream(seed, ("test", 0, "announce"));
            let identity = Identity { info_hash: InfoHash([1; 20]), peer_id: PeerId([2; 20]), port: 6881 };
            let client = Client::new(tiers.iter().copied(), identity, &mut dice);
            Self { client, dice, now: Instant::ZERO }
        }

        /// Goes on to the next announce: seconds waited, tracker and event.
        fn next(&mut self) -> (f64, usize, AnnounceEvent) {
            let at = self.client.poll_timeout();
            assert_ne!(at, Instant::NEVER, "nothing is due");
            let waited = at.since(self.now);
            self.now = self.now.max(at);
            let announce = self.client.poll(self.now, &NOTHING_DONE).expect("an announce is due");
            assert_eq!(self.client.poll_timeout(), Instant::NEVER, "one at a time");
            assert_eq!(self.client.poll(self.now, &NOTHING_DONE), None, "one at a time");
            (waited.as_secs_f64(), announce.tracker, announce.request.event)
        }

        fn succeed(&mut self, tracker: usize, interval: u64, min_interval: Option<u64>) {
            let reply = AnnounceReply {
                interval: Duration::from_secs(interval),
                min_interval: min_interval.map(Duration::from_secs),
                complete: None,
                incomplete: None,
                peers: vec![],
                warning: None,
            };
            self.client.on_reply(self.now, tracker, &Ok(reply), &mut self.dice);
        }

        fn fail(&mut self, tracker: usize) {
            self.client.on_reply(self.now, tracker, &Err(TrackerFailure::TimedOut), &mut self.dice);
        }
    }

    #[test]
    fn started_then_regular_at_the_interval_then_completed_once() {
        let mut s = Setup::new(&[1], 1);
        assert_eq!(s.next(), (0.0, 0, Started));
        s.succeed(0, 1800, None);
        let (first, _, event) = s.next();
        assert_eq!(event, Regular);
        assert!((900.0..=1800.0).contains(&first), "{first}");
        s.succeed(0, 1800, None);
        let (second, ..) = s.next();
        assert!((1620.0..=1800.0).contains(&second), "{second}");
        s.client.set_completed();
        s.succeed(0, 1800, None);
        assert_eq!(s.next(), (0.0, 0, Completed));
        s.succeed(0, 1800, None);
        assert_eq!(s.next().2, Regular);
    }

    #[test]
    fn wanting_peers_announces_early_but_not_before_the_min_interval() {
        for (min_interval, wait) in [(Some(300), 300.0..=330.0), (None, 120.0..=132.0), (Some(0), 5.0..=5.5)]
        {
            let mut s = Setup::new(&[1], 2);
            s.client.set_wants_peers(true);
            s.next();
            s.succeed(0, 1800, min_interval);
            let (waited, _, event) = s.next();
            assert!(wait.contains(&waited), "{min_interval:?}: {waited}");
            assert_eq!(event, Regular);
        }
        let mut s = Setup::new(&[1], 2);
        s.next();
        s.succeed(0, 60, Some(3600));
        assert_eq!(s.next().0, 60.0, "a min interval above the interval is the interval");
    }

    #[test]
    fn failures_back_off_twice_as_long_up_to_an_hour() {
        let mut s = Setup::new(&[1], 3);
        s.next();
        let mut longest = 15.0;
        for _ in 0..12 {
            s.fail(0);
            let (waited, _, event) = s.next();
            assert!((longest / 2.0..=longest).contains(&waited), "{waited} of {longest}");
            assert_eq!(event, Started, "it has heard nothing of us yet");
            longest = f64::min(longest * 2.0, 3600.0);
        }
        s.succeed(0, 1800, None);
        s.next();
        s.fail(0);
        assert!(s.next().0 <= 15.0, "a success ends the row of failures");
    }

    #[test]
    fn completed_does_not_break_the_back_off_and_comes_after_started() {
        let mut s = Setup::new(&[1], 3);
        s.next();
        s.client.set_completed();
        s.fail(0);
        let (waited, _, event) = s.next();
        assert!(waited >= 7.5, "{waited}");
        assert_eq!(event, Started);
        s.succeed(0, 1800, None);
        assert_eq!(s.next(), (0.0, 0, Completed));
    }

    #[test]
    fn tiers_in_order_and_the_working_tracker_first_in_its_tier() {
        let mut s = Setup::new(&[1, 3, 1], 4);
        assert_eq!(s.next().1, 0);
        s.fail(0);
        let (waited, second, event) = s.next();
        assert_eq!((waited, event), (0.0, Started));
        assert!((1..=3).contains(&second));
        s.fail(second);
        let third = s.next().1;
        assert!((1..=3).contains(&third) && third != second);
        s.succeed(third, 1800, None);
        let again = s.next();
        assert!(again.0 >= 900.0);
        assert_eq!(again.1, 0, "the first tier is tried first again");
        s.fail(0);
        assert_eq!((s.next().1, s.client.tiers[1][0]), (third, third));
    }

    #[test]
    fn the_order_within_a_tier_is_drawn() {
        let firsts: std::collections::BTreeSet<_> =
            (0..64).map(|seed| Setup::new(&[4], seed).next().1).collect();
        assert_eq!(firsts.len(), 4);
    }

    #[test]
    fn stop_tells_exactly_the_trackers_that_may_know_of_us() {
        let mut s = Setup::new(&[1, 1, 1], 5);
        assert_eq!(s.next().1, 0);
        s.fail(0);
        assert_eq!(s.next().1, 1);
        s.succeed(1, 1800, None);
        let mut under_way = Setup { client: s.client.clone(), dice: s.dice.clone(), now: s.now };
        let stops = s.client.stop(&NOTHING_DONE);
        assert_eq!(stops.iter().map(|stop| stop.tracker).collect::<Vec<_>>(), [1]);
        assert_eq!((stops[0].request.event, stops[0].request.numwant), (Stopped, Some(0)));
        assert_eq!(under_way.next().1, 0);
        assert_eq!(under_way.client.stop(&NOTHING_DONE).len(), 2);

        s.succeed(1, 1800, None);
        s.client.set_completed();
        assert_eq!(s.client.poll_timeout(), Instant::NEVER);
        assert_eq!(s.client.stop(&NOTHING_DONE), []);
    }

    #[test]
    fn without_trackers_nothing_is_due() {
        let mut s = Setup::new(&[0], 6);
        s.client.set_wants_peers(true);
        assert_eq!(s.client.poll_timeout(), Instant::NEVER);
        assert_eq!(s.client.poll(Instant::ZERO, &NOTHING_DONE), None);
    }

    #[test]
    fn a_crowd_that_starts_at_once_does_not_announce_in_lockstep() {
        let mut per_minute = [0; 31];
        for seed in 0..1000 {
            let mut s = Setup::new(&[1], seed);
            s.next();
            s.succeed(0, 1800, None);
            per_minute[(s.next().0 / 60.0) as usize] += 1;
        }
        assert!(per_minute.iter().all(|&count| count < 120), "{per_minute:?}");
    }

    proptest! {
        /// Whatever trackers answer, there are few announces in an hour: each tracker is left alone after it failed,
        /// and no interval is shorter than the floor.
        #[test]
        fn never_a_busy_loop(
            seed: u64,
            wants: bool,
            script in prop::collection::vec(prop::option::of((0u64..20, prop::option::of(0u64..20))), 1..40),
        ) {
            let mut s = Setup::new(&[2, 1], seed);
            s.client.set_wants_peers(wants);
            for (n, step) in script.iter().cycle().take(400).enumerate() {
                if n == 7 {
                    s.client.set_completed();
                }
                let (_, tracker, _) = s.next();
                match step {
                    Some((interval, min_interval)) => s.succeed(tracker, *interval, *min_interval),
                    None => s.fail(tracker),
                }
            }
            // At worst, two trackers fail before the third succeeds, every five seconds.
            prop_assert!(s.now.as_secs_f64() > 400.0, "{:?}", s.now);
        }
    }
}
