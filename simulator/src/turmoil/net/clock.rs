//! The simulation's clock as the software of a host reads it.

use torrentlab_engine::time::{Duration, Instant};

/// The time since the simulation's start. Panics outside of it.
pub(super) fn now() -> Instant {
    sim_now().expect("inside the simulation")
}

/// The same, unless the software is not running: what its host drops after that is dropped at no time of its own, and
/// tokio's clock would be the wall's.
pub(super) fn try_now() -> Option<Instant> {
    tokio::runtime::Handle::try_current().ok()?;
    sim_now()
}

/// A span for turmoil and tokio.
pub(super) fn std_span(span: Duration) -> std::time::Duration {
    std::time::Duration::from_nanos(span.as_nanos())
}

/// A time of turmoil's.
pub(super) fn instant(elapsed: std::time::Duration) -> Instant {
    Instant::from_nanos(u64::try_from(elapsed.as_nanos()).expect("a run is shorter than 584 years"))
}

fn sim_now() -> Option<Instant> {
    ::turmoil::sim_elapsed().map(instant)
}
