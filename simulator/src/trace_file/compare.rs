//! The first event in which two traces differ.

use std::collections::VecDeque;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::ConnId;

use super::{Entry, Event, TraceError, TraceReader, Words};
use crate::failure::Failure;
use crate::fault::Action;
use crate::trace::Passage;
use crate::watch::{Scene, Watch};

/// So many events before the first difference are told.
const CONTEXT: usize = 8;

/// Where two traces part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parting {
    /// The number of the first event that differs, from 0.
    pub event: u64,
    /// The last events before, which are the same in both, oldest first.
    pub before: Vec<String>,
    /// What it is in the first trace; `None` where that has ended.
    pub first: Option<String>,
    /// What it is in the second.
    pub second: Option<String>,
}

/// What a node tells of itself is in its own words, which may change from version to version.
fn same(one: &Entry, other: &Entry) -> bool {
    match (&one.event, &other.event) {
        (Event::Tells { .. }, Event::Tells { .. }) => (one.after, one.host) == (other.after, other.host),
        _ => one == other,
    }
}

/// Compares events one by one.
struct Comparer {
    words: Words,
    count: u64,
    before: VecDeque<(Instant, Entry)>,
}

impl Comparer {
    fn new(words: Words) -> Self {
        Self { words, count: 0, before: VecDeque::with_capacity(CONTEXT) }
    }

    fn compare(
        &mut self,
        first: Option<(Instant, Entry)>,
        second: Option<(Instant, Entry)>,
    ) -> Option<Parting> {
        match (first, second) {
            (None, None) => None,
            (Some((at, one)), Some((_, other))) if same(&one, &other) => {
                self.words.learn(&one);
                self.count += 1;
                if self.before.len() == CONTEXT {
                    self.before.pop_front();
                }
                self.before.push_back((at, one));
                None
            }
            (first, second) => {
                let mut say = |event: Option<(Instant, Entry)>| {
                    event.map(|(at, entry)| {
                        self.words.learn(&entry);
                        self.words.say(at, &entry)
                    })
                };
                let (first, second) = (say(first), say(second));
                let before = self.before.iter().map(|(at, entry)| self.words.say(*at, entry)).collect();
                Some(Parting { event: self.count, before, first, second })
            }
        }
    }
}

/// Finds where two traces part; `None` if they do not.
///
/// # Errors
/// Where one of them cannot be read to that point.
pub fn compare_files<A: Read, B: Read>(
    mut first: TraceReader<A>,
    mut second: TraceReader<B>,
    words: Words,
) -> Result<Option<Parting>, TraceError> {
    let mut comparer = Comparer::new(words);
    loop {
        let (one, other) = (first.next_entry()?, second.next_entry()?);
        if one.is_none() && other.is_none() {
            return Ok(None);
        }
        if let Some(parting) = comparer.compare(one, other) {
            return Ok(Some(parting));
        }
    }
}

/// What came of comparing a run with a trace. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Comparison(Arc<Mutex<Outcome>>);

#[derive(Debug, Default)]
struct Outcome {
    events: u64,
    parting: Option<Parting>,
    error: Option<TraceError>,
}

impl Comparison {
    /// How many events are the same, and where the run and the trace part, if they do.
    ///
    /// # Errors
    /// Where the trace cannot be read to that point.
    pub fn result(&self) -> Result<(u64, Option<Parting>), TraceError> {
        let mut outcome = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome.error.take() {
            Some(error) => Err(error),
            None => Ok((outcome.events, outcome.parting.clone())),
        }
    }
}

/// A watch that compares a run with the trace of an earlier one, and ends it where they part.
pub fn comparing<R: Read + Send + 'static>(
    scene: &Scene,
    trace: TraceReader<R>,
    result: &Comparison,
) -> Box<dyn Watch> {
    let comparer = Comparer::new(Words::with((*scene.names).clone()));
    Box::new(Comparing {
        trace: Some(trace),
        comparer,
        last: Instant::ZERO,
        ended: false,
        result: result.clone(),
    })
}

struct Comparing<R: Read> {
    /// `None` once there is nothing more to compare.
    trace: Option<TraceReader<R>>,
    comparer: Comparer,
    last: Instant,
    ended: bool,
    result: Comparison,
}

impl<R: Read> Comparing<R> {
    fn put(&mut self, now: Instant, host: u32, event: Event) {
        if self.trace.is_none() {
            return;
        }
        let entry = Entry { after: now.since(self.last).as_nanos(), host, event };
        self.last = now.max(self.last);
        self.compare(Some((now, entry)));
    }

    /// Compares the next event of the trace with that of the run.
    fn compare(&mut self, happened: Option<(Instant, Entry)>) {
        let Some(trace) = &mut self.trace else { return };
        let mut outcome = self.result.0.lock().unwrap_or_else(PoisonError::into_inner);
        match trace.next_entry() {
            Err(error) => outcome.error = Some(error),
            Ok(stored) => match self.comparer.compare(stored, happened) {
                None => {
                    outcome.events = self.comparer.count;
                    return;
                }
                parting => outcome.parting = parting,
            },
        }
        self.trace = None;
    }
}

impl<R: Read + Send> Watch for Comparing<R> {
    fn came(&mut self, now: Instant, host: u32, addr: SocketAddr, have: &Bitfield) {
        self.put(now, host, Event::came(addr, have));
    }

    fn went(&mut self, now: Instant, host: u32) {
        self.put(now, host, Event::Went);
    }

    fn input(&mut self, now: Instant, host: u32, input: &Input) {
        self.put(now, host, Event::input(input));
    }

    fn output(&mut self, now: Instant, host: u32, output: &Output, targets: &[ConnId]) {
        self.put(now, host, Event::output(output, targets));
    }

    fn fault(&mut self, now: Instant, action: &Action) {
        self.put(now, action.fault, Event::fault(action));
    }

    fn passage(&mut self, now: Instant, host: u32, passage: Passage) {
        if let Some(event) = Event::passage(passage) {
            self.put(now, host, event);
        }
    }

    fn finish(&mut self, _: Instant) {
        self.ended = true;
    }

    fn failure(&mut self) -> Option<Failure> {
        (self.trace.is_none() && !self.ended).then(|| Failure {
            class: "replay:differs".to_owned(),
            ..Failure::of_panic("the run differs from its trace")
        })
    }
}

impl<R: Read> Drop for Comparing<R> {
    /// The run is over: the trace must be, too.
    fn drop(&mut self) {
        self.compare(None);
    }
}
