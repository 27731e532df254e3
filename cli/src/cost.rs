//! What a run costs the machine.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use torrentlab_reports::record::Cost;

/// A stopwatch for the thread that a run has to itself.
pub struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    /// Starts it.
    pub fn start() -> Self {
        Self { wall: Instant::now(), cpu: thread_cpu() }
    }

    /// The cost since the start, of a run of so many events and blocks.
    pub fn cost(&self, events: u64, blocks: u64) -> Cost {
        let cpu_s = thread_cpu().saturating_sub(self.cpu).as_secs_f64();
        Cost::new(self.wall.elapsed().as_secs_f64(), Some(cpu_s), peak_rss_bytes(), events, blocks)
    }
}

/// Processor time of this thread so far.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

/// The most memory that this process ever held, where the system tells (Linux: `VmHWM`).
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
