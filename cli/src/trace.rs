//! `torrentlab trace`

use std::path::PathBuf;

use torrentlab_simulator::trace_file::{Entry, Event, Words};

use crate::print::data;
use crate::replay::KeptRun;
use crate::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of a run that was made with --trace, or the trace in it
    run: PathBuf,
    /// Events of this host alone, such as leecher-17; may be repeated
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// From this time on, as in 10s or "2 min"
    #[arg(long, value_name = "TIME", value_parser = crate::fuzz::time)]
    from: Option<std::time::Duration>,
    /// Until this time
    #[arg(long, value_name = "TIME", value_parser = crate::fuzz::time)]
    to: Option<std::time::Duration>,
    /// Those too that are of the simulator rather than of the protocol: wake-ups, and room in socket buffers
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let kept = KeptRun::read(&args.run)?;
    let Some(mut trace) = kept.trace()? else {
        let error = anyhow::anyhow!("{} has no trace", args.run.display());
        return Err(Failure::input(error, "make it with `torrentlab run ... --trace`"));
    };
    let mut words = Words::of(trace.head()).map_err(|error| Failure::told(&error))?;
    let hosts = args.host.iter().map(|host| words.names().find(host));
    let hosts = hosts.collect::<Result<Vec<u32>, _>>().map_err(|error| Failure::told(&error))?;
    let nanos = |time: Option<std::time::Duration>| time.map(|time| time.as_nanos() as u64);
    let (from, to) = (nanos(args.from).unwrap_or(0), nanos(args.to).unwrap_or(u64::MAX));
    let is_wanted = |entry: &Entry| {
        let quiet = matches!(entry.event, Event::Timeout | Event::Writable { .. });
        let ours =
            hosts.is_empty() || !matches!(entry.event, Event::Fault { .. }) && hosts.contains(&entry.host);
        ours && (args.all || !quiet)
    };
    while let Some((at, entry)) =
        trace.next_entry().map_err(|error| Failure::told(&error).within(args.run.display()))?
    {
        if at.as_nanos() > to {
            break;
        }
        words.learn(&entry);
        if at.as_nanos() >= from && is_wanted(&entry) {
            data(words.say(at, &entry))?;
        }
    }
    Ok(Exit::Done)
}
