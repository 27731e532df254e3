//! Who is there, who is to come, and when whose stay ends: the same for whatever carries the bytes.
//!
//! A backend keeps the time: it calls [`Attendance::join`] and [`Attendance::look`] when they were said to be due,
//! and makes hosts come and go.

use torrentlab_engine::dice::Dice;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_scenarios::Draw;

use crate::churn::draw;
use crate::plan::{Class, HostPlan};

/// The stays of all hosts.
#[derive(Debug)]
pub struct Attendance {
    seed: u64,
    classes: Vec<Class>,
    hosts: Vec<Stay>,
    to_come: u32,
    unfinished: u32,
}

/// One host's.
#[derive(Debug)]
struct Stay {
    class: u16,
    index: u32,
    present: bool,
    /// Whether it wants more than it came with and has not left for good.
    wanting: bool,
    /// How often it came.
    sessions: u32,
    /// When its session ends.
    session_ends: Instant,
    /// When it leaves for good.
    for_good: Instant,
}

/// What a look at a host's stay shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Nothing: it is not there.
    Nothing,
    /// Another look at this time.
    Later(Instant),
    /// It leaves now, for good or not.
    Leaves {
        /// Whether it never comes back.
        for_good: bool,
    },
}

impl Attendance {
    /// Of hosts of these classes, none so far.
    pub fn new(seed: u64, classes: Vec<Class>) -> Self {
        Self { seed, classes, hosts: Vec::new(), to_come: 0, unfinished: 0 }
    }

    /// Adds a host; when it comes, if it does.
    pub fn add(&mut self, plan: &HostPlan) -> Option<Instant> {
        let comes = plan.arrival < Instant::NEVER;
        let wanting = comes && !plan.have.is_full();
        self.to_come += u32::from(comes);
        self.unfinished += u32::from(wanting);
        self.hosts.push(Stay {
            class: plan.class,
            index: plan.index,
            present: false,
            wanting,
            sessions: 0,
            session_ends: Instant::NEVER,
            for_good: Instant::NEVER,
        });
        comes.then_some(plan.arrival)
    }

    /// A host's class.
    pub fn class(&self, host: u32) -> &Class {
        &self.classes[self.hosts[host as usize].class as usize]
    }

    /// The name of a host's class, and its index there.
    pub fn name(&self, host: u32) -> (&str, u64) {
        (&self.class(host).name, u64::from(self.hosts[host as usize].index))
    }

    /// Whether a host is there.
    pub fn is_present(&self, host: u32) -> bool {
        self.hosts[host as usize].present
    }

    /// How often a host came so far.
    pub fn sessions(&self, host: u32) -> u32 {
        self.hosts[host as usize].sessions
    }

    /// Hosts that will come or come back.
    pub fn to_come(&self) -> u32 {
        self.to_come
    }

    /// Hosts that lack a piece and are there, will come, or will come back.
    pub fn unfinished(&self) -> u32 {
        self.unfinished
    }

    /// A host comes, or comes back: when to [look](Attendance::look) whether its stay ends ([`Instant::NEVER`] if
    /// never), or `None` if it should have left for good by now and does not come at all.
    pub fn join(&mut self, host: u32, now: Instant) -> Option<Instant> {
        self.to_come -= 1;
        let (leave_at, session) = (self.class(host).leave_at, self.class(host).session);
        let stay = &mut self.hosts[host as usize];
        stay.for_good = stay.for_good.min(leave_at);
        if stay.for_good <= now {
            self.give_up(host);
            return None;
        }
        let nth = stay.sessions;
        stay.sessions += 1;
        stay.present = true;
        let ends = session.map(|(length, _)| now + self.draw(host, length, "session", nth));
        let stay = &mut self.hosts[host as usize];
        stay.session_ends = ends.unwrap_or(Instant::NEVER);
        Some(stay.session_ends.min(stay.for_good))
    }

    /// Looks whether a host's stay ends now.
    pub fn look(&self, host: u32, now: Instant) -> Due {
        let stay = &self.hosts[host as usize];
        let returns = self.class(host).session.is_some_and(|(_, gap)| gap.is_some());
        match stay {
            Stay { present: false, .. } => Due::Nothing,
            Stay { for_good, .. } if *for_good <= now => Due::Leaves { for_good: true },
            Stay { session_ends, .. } if *session_ends <= now => Due::Leaves { for_good: !returns },
            Stay { session_ends, for_good, .. } => Due::Later(*session_ends.min(for_good)),
        }
    }

    /// A host has left; when it comes back, unless it left for good.
    pub fn left(&mut self, host: u32, for_good: bool, now: Instant) -> Option<Instant> {
        self.hosts[host as usize].present = false;
        let gap = self.class(host).session.and_then(|(_, gap)| gap).filter(|_| !for_good);
        match gap {
            Some(gap) => {
                self.to_come += 1;
                Some(now + self.draw(host, gap, "gap", self.sessions(host)))
            }
            None => {
                self.give_up(host);
                None
            }
        }
    }

    /// A fault has taken a host down that was there, and brings it back later, or not.
    pub fn taken_down(&mut self, host: u32, comes_back: bool) {
        self.hosts[host as usize].present = false;
        if comes_back {
            self.to_come += 1;
        } else {
            self.stays_away(host, Instant::ZERO);
            self.give_up(host);
        }
    }

    /// A host that is away does not come back after `now`.
    pub fn stays_away(&mut self, host: u32, now: Instant) {
        let for_good = &mut self.hosts[host as usize].for_good;
        *for_good = now.min(*for_good);
    }

    /// A host that is to come back has lost something that it had.
    pub fn wants_again(&mut self, host: u32) {
        let wanting = &mut self.hosts[host as usize].wanting;
        self.unfinished += u32::from(!std::mem::replace(wanting, true));
    }

    /// A host has everything; when to look at it, if that brings its end nearer.
    pub fn completed(&mut self, host: u32, now: Instant) -> Option<Instant> {
        self.give_up(host);
        let stay = self.class(host).stay?;
        let leaves = now + self.draw(host, stay, "stay", 0);
        self.leave_by(host, leaves)
    }

    /// A host has served so many payload bytes in all; when to look at it, if that brings its end nearer.
    pub fn served(&mut self, host: u32, bytes: u64, now: Instant) -> Option<Instant> {
        self.class(host).leave_after_bytes.filter(|&limit| bytes >= limit)?;
        self.leave_by(host, now)
    }

    /// A host wants nothing any more.
    fn give_up(&mut self, host: u32) {
        let wanting = &mut self.hosts[host as usize].wanting;
        self.unfinished -= u32::from(std::mem::take(wanting));
    }

    fn leave_by(&mut self, host: u32, at: Instant) -> Option<Instant> {
        let for_good = &mut self.hosts[host as usize].for_good;
        let sooner = at < *for_good;
        *for_good = at.min(*for_good);
        sooner.then_some(at)
    }

    /// Draws a time for a host from a stream of its own.
    fn draw(&self, host: u32, from: Draw, purpose: &str, nth: u32) -> Duration {
        let index = u64::from(self.hosts[host as usize].index);
        let purpose = format!("{purpose} {nth}");
        draw(from, &mut Dice::stream(self.seed, (&self.class(host).name, index, &purpose)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Links;
    use torrentlab_engine::bitfield::Bitfield;
    use torrentlab_scenarios::schema::Departure;
    use torrentlab_scenarios::units::Span;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    fn secs(secs: u64) -> Draw {
        Draw::Fixed(Span::from_secs(secs))
    }

    fn class() -> Class {
        Class {
            name: "x".to_owned(),
            stay: None,
            session: None,
            leave_at: Instant::NEVER,
            leave_after_bytes: None,
            how: Departure::Stop,
            seeds_only: false,
            serving: false,
        }
    }

    /// One leecher of `class`, to come at 5 s.
    fn one(class: Class) -> Attendance {
        let mut attendance = Attendance::new(1, vec![class]);
        let links = Links {
            up: None,
            down: None,
            socket_buffer: 0,
            window: 0,
            queue: 0,
            jitter: Duration::ZERO,
            loss: 0,
            dial_timeout: Duration::ZERO,
            dice: Dice::stream(1, ("host", 0, "jitter")),
        };
        let (latency, have) = (Duration::ZERO, Bitfield::none(4));
        let plan =
            HostPlan { class: 0, index: 0, links, latency, have, disk: None, watches: false, arrival: at(5) };
        assert_eq!(attendance.add(&plan), Some(at(5)));
        assert_eq!((attendance.to_come(), attendance.unfinished()), (1, 1));
        attendance
    }

    #[test]
    fn sessions_end_and_hosts_come_back_until_they_leave_for_good() {
        let session = Some((secs(20), Some(secs(10))));
        let mut stay = one(Class { session, leave_at: at(50), ..class() });
        assert_eq!(stay.join(0, at(5)), Some(at(25)));
        assert_eq!((stay.to_come(), stay.is_present(0)), (0, true));
        assert_eq!(stay.look(0, at(24)), Due::Later(at(25)));
        assert_eq!(stay.look(0, at(25)), Due::Leaves { for_good: false });
        assert_eq!(stay.left(0, false, at(25)), Some(at(35)));
        assert_eq!((stay.to_come(), stay.unfinished(), stay.look(0, at(30))), (1, 1, Due::Nothing));
        assert_eq!(stay.join(0, at(35)), Some(at(50)));
        assert_eq!(stay.look(0, at(50)), Due::Leaves { for_good: true });
        assert_eq!(stay.left(0, true, at(50)), None);
        assert_eq!((stay.to_come(), stay.unfinished(), stay.sessions(0)), (0, 0, 2));
    }

    #[test]
    fn who_would_come_too_late_does_not_come() {
        let mut stay = one(Class { leave_at: at(3), ..class() });
        assert_eq!(stay.join(0, at(5)), None);
        assert_eq!((stay.to_come(), stay.unfinished(), stay.is_present(0)), (0, 0, false));
    }

    #[test]
    fn who_has_everything_or_gave_enough_leaves_at_the_sooner_time() {
        let mut stay = one(Class { stay: Some(secs(30)), leave_after_bytes: Some(100), ..class() });
        assert_eq!(stay.join(0, at(5)), Some(Instant::NEVER));
        assert_eq!(stay.served(0, 99, at(6)), None);
        assert_eq!((stay.completed(0, at(10)), stay.unfinished()), (Some(at(40)), 0));
        assert_eq!(stay.served(0, 100, at(20)), Some(at(20)));
        assert_eq!(stay.served(0, 120, at(21)), None, "it is leaving already");
        assert_eq!(stay.look(0, at(20)), Due::Leaves { for_good: true });
    }
}
