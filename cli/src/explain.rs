//! `torrentlab run --explain`: what hosts say goes to the run's folder as it comes.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use torrentlab_reports::ExplainWriter;
use torrentlab_reports::record::RecordError;
use torrentlab_scenarios::Scenario;
use torrentlab_simulator::explain::Explain;

use crate::Failure;

/// Refuses hosts that there are not.
pub(crate) fn check(scenario: &Scenario, hosts: &[String]) -> Result<(), Failure> {
    let explain = Explain::new(scenario, hosts, |_, _| ());
    explain.map(drop).map_err(|error| Failure::told(&error))
}

/// Removes what hosts said in an earlier run with its results in `dir`.
pub(crate) fn forget(dir: &Path) -> Result<(), Failure> {
    ExplainWriter::forget(dir).map_err(|error| Failure::unwritable(&error))
}

/// What the hosts of one run say.
pub(crate) struct Explanations {
    pub explain: Explain,
    state: Arc<Mutex<State>>,
}

struct State {
    writer: Option<ExplainWriter>,
    /// Why nothing more is written.
    failure: Option<RecordError>,
}

fn open(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("nothing panics with it")
}

impl Explanations {
    /// Asks `hosts`, which are there, and writes what they say below the run folder `dir`.
    pub fn begin(scenario: &Scenario, hosts: &[String], dir: &Path) -> Result<Self, Failure> {
        let writer = ExplainWriter::create(dir, hosts).map_err(|error| Failure::unwritable(&error))?;
        let state = Arc::new(Mutex::new(State { writer: Some(writer), failure: None }));
        let tell = {
            let state = Arc::clone(&state);
            move |host: &str, explanation| {
                let State { writer, failure } = &mut *open(&state);
                if let (Some(writer), None) = (writer, &failure) {
                    *failure = writer.write(host, explanation).err();
                }
            }
        };
        let explain = Explain::new(scenario, hosts, tell).map_err(|error| Failure::told(&error))?;
        Ok(Self { explain, state })
    }

    /// Keeps what was said, or gives it up where the run has no result.
    pub fn end(self, keep: bool) -> Result<(), Failure> {
        let State { writer, failure } = &mut *open(&self.state);
        let Some(writer) = writer.take() else { return Ok(()) };
        let result = match failure.take() {
            None if keep => writer.finish(),
            // The first failure says more than what may go wrong in tidying up.
            failure => writer.abandon().and(failure.map_or(Ok(()), Err)),
        };
        result.map_err(|error| Failure::unwritable(&error))
    }
}
