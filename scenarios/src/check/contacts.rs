//! What a scenario with a model of contacts may not say, and what one without must.

use super::rules::{Check, Checked};
use crate::schema::{Behaviour, Contacts, HostClass, Network, Tracker};

impl Check<'_> {
    pub(super) fn contacts(&self) -> Checked {
        let Some(contacts) = self.scenario.contacts else { return self.links_are_there() };
        match contacts {
            Contacts::Slotted(slotted) => {
                self.positive(slotted.slot, "contacts.slotted.slot")?;
                let content = &self.scenario.content;
                let whole = content.size.bytes().is_multiple_of(content.piece_size.bytes());
                let message = "the last piece is shorter than a slot";
                let hint = "write a size that is a multiple of `content.piece_size`";
                self.require(whole, "content.size", message, hint)?;
            }
            Contacts::Random(random) => {
                let hint = "write a rate such as \"1 /s\"";
                let path = "contacts.random.rate";
                self.require(!random.rate.is_zero(), path, "nobody would ever meet anybody", hint)?;
            }
        }
        let plain = HostClass::plain();
        for (name, class) in &self.scenario.hosts {
            self.class_is_plain(name, class, &plain)?;
        }
        let scenario = self.scenario;
        self.unused(scenario.tracker != Tracker::default(), "tracker")?;
        self.unused(scenario.network != Network::default(), "network")?;
        self.unused(!scenario.fault.is_empty(), "fault")?;
        self.unused(scenario.random_faults.is_some(), "random_faults")
    }

    /// A class says nothing but who comes with what, stays how long, and picks how.
    fn class_is_plain(&self, name: &str, class: &HostClass, plain: &HostClass) -> Checked {
        let fields = [
            ("behaviour", class.behaviour == Behaviour::UnderReporter),
            ("profile", class.profile != plain.profile),
            ("links", class.links != plain.links),
            ("limits", class.limits != plain.limits),
            ("choker", class.choker != plain.choker),
            ("region", class.region != plain.region),
            ("peers", class.peers != plain.peers),
            ("disk", class.disk != plain.disk),
            ("super_seeding", class.super_seeding != plain.super_seeding),
            ("fast_extension", class.fast_extension != plain.fast_extension),
            ("endgame", class.endgame != plain.endgame),
            ("endgame_from", class.endgame_from != plain.endgame_from),
            ("take_back", class.take_back != plain.take_back),
            ("announce", class.announce != plain.announce),
            ("announce_completed", class.announce_completed != plain.announce_completed),
        ];
        fields.iter().try_for_each(|(field, differs)| self.unused(*differs, &format!("hosts.{name}.{field}")))
    }

    fn unused(&self, said: bool, path: &str) -> Checked {
        let message = format!("`{path}` has no meaning where hosts meet by `contacts`");
        self.require(!said, path, message, "leave it out, or leave `contacts` out for real clients on links")
    }

    /// Real clients have links.
    fn links_are_there(&self) -> Checked {
        self.scenario.hosts.keys().try_for_each(|name| {
            let hint = format!("add `links = ...` to [hosts.{name}]");
            let written = self.source.has(&format!("hosts.{name}.links"));
            self.require(written, &format!("hosts.{name}"), "`links` is missing", hint)
        })
    }
}
