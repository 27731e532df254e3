//! Why a host picks what it picks and unchokes whom it unchokes: decorators around its strategies that ask them.
//!
//! | file | its part |
//! |---|---|
//! | `listener` | who is told |
//! | `picks` | the decorator of a picker |
//! | `unchokes` | the decorator of a choker |
//! | `ranks` | from reasons to places |
//!
//! What is asked changes nothing: the strategies decide the same, and so does everything else.

mod listener;
mod picks;
mod ranks;
mod unchokes;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use torrentlab_engine::choker::Choker;
use torrentlab_engine::picker::Picker;
use torrentlab_reports::record::Explanation;
use torrentlab_scenarios::Scenario;

use crate::names::{Names, UnknownHost};
use listener::{Listener, Tell};
use picks::Picks;
use unchokes::Unchokes;

/// The hosts that are asked, and who is told what they say. Clones are the same.
#[derive(Clone)]
pub struct Explain {
    /// The hosts that are asked, by number.
    asked: Arc<BTreeMap<u32, String>>,
    names: Arc<Names>,
    tell: Tell,
}

impl fmt::Debug for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explain").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Explain {
    /// Asks `hosts` of a scenario, by their names in `peers.csv`, and has `tell` told.
    ///
    /// # Errors
    /// Where there is no such host.
    pub fn new(
        scenario: &Scenario,
        hosts: &[String],
        tell: impl Fn(&str, Explanation) + Send + Sync + 'static,
    ) -> Result<Self, UnknownHost> {
        let names = Names::of(scenario);
        let mut asked = BTreeMap::new();
        for host in hosts {
            asked.insert(names.find(host)?, host.clone());
        }
        Ok(Self { asked: Arc::new(asked), names: Arc::new(names), tell: Arc::new(tell) })
    }

    /// The same picker, asked why if its host is.
    pub(crate) fn picker(&self, host: u32, picker: Box<dyn Picker>) -> Box<dyn Picker> {
        match self.listener(host) {
            Some(listener) => Box::new(Picks::new(picker, listener)),
            None => picker,
        }
    }

    /// The same choker, asked why if its host is.
    pub(crate) fn choker(&self, host: u32, choker: Box<dyn Choker>) -> Box<dyn Choker> {
        match self.listener(host) {
            Some(listener) => Box::new(Unchokes::new(choker, listener)),
            None => choker,
        }
    }

    fn listener(&self, host: u32) -> Option<Listener> {
        let name = self.asked.get(&host)?.clone();
        Some(Listener { name, names: Arc::clone(&self.names), tell: Arc::clone(&self.tell) })
    }
}
