//! What a run needs of a swarm under way, whatever carries its bytes.

use std::ops::Deref;

use torrentlab_engine::time::{Duration, Instant};
use torrentlab_reports::record::Tick;

use crate::fault::Faults;
use crate::ledger::Ledger;
use crate::trace::Trace;
use crate::watch::Sight;

/// A swarm under way.
pub trait Simulation: Sight + Sized {
    /// Steps between two looks at the progress.
    const STEPS_PER_LOOK: u64;

    /// Carries out what is next, unless that is later than `until`; whether it did. Otherwise the time is `until`.
    fn step(&mut self, until: Instant) -> bool;

    /// The time.
    fn now(&self) -> Instant;

    /// Events so far.
    fn events(&self) -> u64;

    /// What each host did so far.
    fn ledger(&self) -> impl Deref<Target = Ledger>;

    /// Distributed copies, by what was traced ([`crate::recount`]) and not by the ledger.
    fn recounted_copies(&self) -> f64;

    /// What goes wrong.
    fn faults(&self) -> &Faults;

    /// Announces that the tracker answered.
    fn announces(&self) -> u64;

    /// Hosts that will come or come back.
    fn to_come(&self) -> u32;

    /// Hosts that lack a piece and are there, will come, or will come back.
    fn unfinished(&self) -> u32;

    /// Hosts whose storage does not hold what was checked, found by checking it again.
    fn corrupt(&self) -> u32;

    /// Panics if bytes are gone or came from nowhere.
    fn check_invariants(&self);

    /// Closes the accounts of what is still under way: the run is over.
    fn finish_accounts(&mut self);

    /// Has `act` do something with the trace.
    fn with_trace<T>(&mut self, act: impl FnOnce(&mut Trace) -> T) -> T;

    /// Lets whoever watches look at the swarm.
    fn be_looked_at(&mut self) {
        let mut watches = self.with_trace(|trace| std::mem::take(trace.watches()));
        watches.tell(|watch| watch.look(self.now(), self));
        self.with_trace(|trace| *trace.watches() = watches);
    }

    /// In what steps time goes on, if it does in steps.
    fn tick(&self) -> Option<Tick>;

    /// Whether nobody received anything new for `span`, and nobody is to come and no fault to end that could change
    /// that.
    fn is_stalled(&self, span: Duration) -> bool {
        let since = self.ledger().progress_at.max(self.faults().plan().last_action());
        self.to_come() == 0 && self.now().since(since) >= span
    }
}
