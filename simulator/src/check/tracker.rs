//! How often hosts announce themselves, and what the tracker says of them.

use std::collections::{BTreeMap, VecDeque};

use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::tracker::server::EXPIRY_SLACK;
use torrentlab_engine::tracker::{AnnounceEvent, AnnounceReply};
use torrentlab_scenarios::schema::FaultKind;

use super::facts::span;
use super::model::Model;
use super::{Act, Checker, Found};

pub(super) const ANNOUNCE_STORM: (&str, &str) = (
    "announce-storm",
    "A host announces itself no sooner than the tracker's `min interval` after an answer, nor than five seconds after an \
     announce that failed, more than three times in ten minutes.",
);
pub(super) const TRACKER_COUNTS: (&str, &str) = (
    "tracker-counts",
    "The tracker counts everybody whose announce it answered and who is there, and nobody who has stopped, or was silent \
     for longer than it waits.",
);

/// The wait after an announce that failed, at least.
const RETRY: Duration = Duration::from_secs(5);
/// Announces that come too soon, in so much time.
const TOO_SOON: usize = 3;
const WINDOW: Duration = Duration::from_secs(600);
/// What may pass between an announce and what the tracker makes of it.
const DELAY: Duration = Duration::from_secs(180);

#[derive(Default)]
pub(super) struct Announces {
    hosts: BTreeMap<u32, Announcer>,
}

/// What a host told the tracker, and heard of it.
#[derive(Default)]
struct Announcer {
    /// When it last asked.
    asked_at: Option<Instant>,
    stopped: bool,
    left: u64,
    /// It has said that it has everything, in whatever stay.
    ever_complete: bool,
    completed: bool,
    /// From when on it may ask again; `None` while it waits for an answer.
    again_at: Option<Instant>,
    /// The last answer: when its announce was made, and whether that said that everything is there.
    answered: Option<(Instant, bool)>,
    too_soon: VecDeque<Instant>,
}

impl Checker for Announces {
    fn came(&mut self, _: &Model, now: Instant, host: u32) {
        let announcer = self.hosts.entry(host).or_default();
        announcer.too_soon.clear();
        (announcer.again_at, announcer.completed) = (Some(now), false);
    }

    fn output(&mut self, model: &Model, now: Instant, host: u32, act: &Act<'_>, found: &mut Found) {
        let Output::Announce(announce) = act.output else { return };
        let announcer = self.hosts.entry(host).or_default();
        let event = announce.request.event;
        let first_completed = event == AnnounceEvent::Completed && !announcer.completed;
        announcer.completed |= event == AnnounceEvent::Completed;
        let free = event == AnnounceEvent::Stopped || first_completed;
        if !free && announcer.again_at.is_none_or(|at| now < at) && model.is_judged(host) {
            announcer.too_soon.retain(|&at| now.since(at) <= WINDOW);
            announcer.too_soon.push_back(now);
            let times = announcer.too_soon.len();
            if times > TOO_SOON {
                found.report(ANNOUNCE_STORM.0, now, [host], [], || {
                    let name = model.scene.names.name(host);
                    format!(
                        "{name} has announced itself sooner than it may {times} times in {} s",
                        WINDOW.as_secs()
                    )
                });
            }
        }
        announcer.again_at = None;
        announcer.asked_at = Some(now);
        announcer.stopped = event == AnnounceEvent::Stopped;
        announcer.left = announce.request.left;
        announcer.ever_complete |= announce.request.left == 0;
    }

    fn input(&mut self, model: &Model, now: Instant, host: u32, input: &Input, found: &mut Found) {
        let Input::TrackerReply { result, .. } = input else { return };
        let announcer = self.hosts.entry(host).or_default();
        let Some(asked_at) = announcer.asked_at else { return };
        match &**result {
            Ok(reply) => {
                let least = reply.min_interval.unwrap_or(reply.interval).min(reply.interval).max(RETRY);
                announcer.again_at = Some(now + least);
                announcer.answered = Some((asked_at, announcer.left == 0));
                self.count(model, now, host, asked_at, reply, found);
            }
            Err(_) => announcer.again_at = Some(now + RETRY),
        }
    }
}

impl Announces {
    fn count(
        &self,
        model: &Model,
        now: Instant,
        host: u32,
        asked_at: Instant,
        reply: &AnnounceReply,
        found: &mut Found,
    ) {
        let (Some(complete), Some(incomplete)) = (reply.complete, reply.incomplete) else { return };
        let tracker = &model.scene.scenario.tracker;
        let interval = span(tracker.interval);
        let silence = interval * u64::from(tracker.expire_after) + EXPIRY_SLACK;
        let moves = |fault: &crate::fault::PlannedFault| fault.kind == FaultKind::AddressChange;
        let wrong = model.tracker_disturbed_at.is_some_and(|at| now.since(at) <= silence + DELAY);
        if wrong || model.scene.faults.faults.iter().any(moves) {
            return;
        }
        let may_count = |other: &&Announcer| {
            let most = if other.stopped { DELAY } else { silence + DELAY };
            other.asked_at.is_some_and(|at| asked_at.since(at) <= most)
        };
        let most = self.hosts.values().filter(may_count).count();
        let most_complete = self.hosts.values().filter(may_count).filter(|other| other.ever_complete).count();
        let must_count = |(number, other): &(&u32, &Announcer)| {
            let answered =
                other.answered.is_some_and(|(at, _)| at < asked_at && now.since(at) + DELAY <= interval * 2);
            let asks = other.asked_at.is_some_and(|at| at >= asked_at);
            answered && !other.stopped && !asks && model.host(**number).present
        };
        let there = || self.hosts.iter().filter(must_count);
        let least = there().count();
        let least_complete = there()
            .filter(|(_, other)| other.answered.is_some_and(|(_, complete)| complete) && other.left == 0)
            .count();
        let (complete, all) = (complete as usize, (complete + incomplete) as usize);
        let wrong = if !(least..=most).contains(&all) {
            format!("{all} peers, where {least} to {most} are there")
        } else if !(least_complete..=most_complete).contains(&complete) {
            format!("{complete} peers with everything, where {least_complete} to {most_complete} are there")
        } else {
            return;
        };
        found.report(TRACKER_COUNTS.0, now, [host], [], || {
            format!("the tracker tells {} of {wrong}", model.scene.names.name(host))
        });
    }
}
