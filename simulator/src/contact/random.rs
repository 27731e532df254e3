//! Contacts at random times (Hajek and Zhu, 2010).

use torrentlab_engine::time::Duration;
use torrentlab_scenarios::schema::Contacts;

use super::{Event, Role, Swarm};
use crate::churn::exponential;

impl Swarm {
    /// Winds the clock of a host that came or that made contact.
    pub(super) fn plan_contact(&mut self, host: u32) {
        let Contacts::Random(random) = self.model else { return };
        let state = &mut self.hosts[host as usize];
        let rate = match state.role {
            Role::Seed => random.seed_rate.unwrap_or(random.rate).per_s(),
            Role::Leecher => random.rate.per_s(),
            Role::FreeRider => 0.0,
        };
        if rate > 0.0 {
            let gap = Duration::from_secs_f64(exponential(&mut state.contacts) / rate);
            let session = self.attendance.sessions(host);
            self.queue.push(self.now + gap, Event::Contact { host, session });
        }
    }

    /// A host whose clock strikes pushes a useful piece to another drawn at random, if it has one.
    pub(super) fn on_contact(&mut self, host: u32, session: u32) {
        // The clock of a stay that has ended strikes once more, and is not heard.
        if !self.attendance.is_present(host) || self.attendance.sessions(host) != session {
            return;
        }
        let partner = self.receivers.draw_other(host, &mut self.hosts[host as usize].contacts);
        if let Some(to) = partner
            && let Some(piece) = self.choose(host, to)
        {
            self.pass(host, to, piece);
        }
        self.plan_contact(host);
    }
}
