//! A moment of a run: what every host's engine believes then, and why it came to that.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::state::NodeState;
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::ConnId;
use torrentlab_reports::record::{Decision, Explanation};
use torrentlab_scenarios::Scenario;

use crate::explain::Explain;
use crate::names::UnknownHost;
use crate::trace_file::{Entry, Event, Words};
use crate::watch::{Scene, Sight, Watch};

/// So many of the last events of a host that is looked at are kept.
const EVENTS: usize = 12;

/// What was seen at the moment.
#[derive(Debug, Default)]
pub struct Seen {
    /// When: the moment that was asked for, or the end of the run if that was before.
    pub at: Option<Instant>,
    /// By host; `None` where it was away, or its node tells nothing of itself.
    pub hosts: Vec<Option<NodeState>>,
    /// By host that was asked why: its last choice of whom to unchoke.
    pub unchokes: BTreeMap<String, Explanation>,
    /// By host that was asked why, and piece: why it was picked.
    pub picks: BTreeMap<(String, u32), Explanation>,
    /// By host that was looked at: its last events in words, oldest first.
    pub events: BTreeMap<u32, VecDeque<String>>,
}

/// Looks at a run at one moment.
#[derive(Clone, Debug)]
pub struct Inspector {
    at: Instant,
    /// The hosts whose last events are kept.
    hosts: Vec<u32>,
    seen: Arc<Mutex<Seen>>,
}

impl Inspector {
    /// For the moment `at`, and `hosts` above all.
    pub fn new(at: Instant, hosts: Vec<u32>) -> Self {
        Self { at, hosts, seen: Arc::default() }
    }

    /// Has `hosts`, by name, say why they decide as they do.
    ///
    /// # Errors
    /// Where there is no such host.
    pub fn explain(&self, scenario: &Scenario, hosts: &[String]) -> Result<Explain, UnknownHost> {
        let inspector = self.clone();
        Explain::new(scenario, hosts, move |host, explanation| inspector.hear(host, explanation))
    }

    /// The watch that does the looking. It needs [`look_at`](crate::run::RunOptions::look_at) to be the moment.
    pub fn watch(&self, scene: &Scene) -> Box<dyn Watch> {
        let words = Words::with((*scene.names).clone());
        Box::new(Looker { inspector: self.clone(), words, hosts: scene.names.hosts(), done: false })
    }

    /// What was seen.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, host: &str, explanation: Explanation) {
        let Some(first) = explanation.rows.first() else { return };
        let mut seen = self.seen();
        if seen.at.is_some() {
            return;
        }
        match first.kind {
            Decision::Unchoke => _ = seen.unchokes.insert(host.to_owned(), explanation),
            Decision::Pick => {
                let picked: Vec<u32> = explanation
                    .rows
                    .iter()
                    .filter(|row| row.outcome.is_chosen())
                    .filter_map(|row| row.piece)
                    .collect();
                for piece in picked {
                    seen.picks.insert((host.to_owned(), piece), explanation.clone());
                }
            }
        }
    }
}

struct Looker {
    inspector: Inspector,
    words: Words,
    hosts: u32,
    done: bool,
}

impl Looker {
    fn event(&mut self, now: Instant, host: u32, event: impl FnOnce() -> Event, is_news: bool) {
        if self.done {
            return;
        }
        let entry = Entry { after: 0, host, event: event() };
        self.words.learn(&entry);
        if is_news && self.inspector.hosts.contains(&host) {
            let words = self.words.say(now, &entry);
            let mut seen = self.inspector.seen();
            let events = seen.events.entry(host).or_default();
            if events.len() == EVENTS {
                events.pop_front();
            }
            events.push_back(words);
        }
    }

    fn take(&mut self, now: Instant, swarm: &dyn Sight) {
        self.done = true;
        let mut seen = self.inspector.seen();
        seen.hosts = (0..self.hosts).map(|host| swarm.state(host)).collect();
        seen.at = Some(now);
    }
}

impl Watch for Looker {
    fn input(&mut self, now: Instant, host: u32, input: &Input) {
        let is_news = !matches!(input, Input::Timeout | Input::Writable { .. });
        let concerns = matches!(input, Input::Connected { .. });
        if concerns || self.inspector.hosts.contains(&host) {
            self.event(now, host, || Event::input(input), is_news);
        }
    }

    fn output(&mut self, now: Instant, host: u32, output: &Output, targets: &[ConnId]) {
        if self.inspector.hosts.contains(&host) {
            self.event(now, host, || Event::output(output, targets), true);
        }
    }

    fn look(&mut self, now: Instant, swarm: &dyn Sight) {
        if !self.done && now >= self.inspector.at {
            self.take(now, swarm);
        }
    }
}
