//! `torrentlab pcap`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use torrentlab_engine::time::Instant;
use torrentlab_simulator::capture::Capture;
use torrentlab_simulator::names::Names;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::watch::{Scene, Watch, Watching};

use crate::print::{data, note};
use crate::replay::KeptRun;
use crate::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of a run, such as runs/first-swarm/1
    run: PathBuf,
    /// What these send each other, as in seed-0,leecher-3; of one host, what it and anybody do
    #[arg(long, value_name = "HOST,HOST", value_delimiter = ',', required = true)]
    hosts: Vec<String>,
    /// Until this time, as in 30s or "2 min" [default: the whole run]
    #[arg(long, value_name = "TIME", value_parser = crate::fuzz::time)]
    to: Option<Duration>,
    /// The file to write, in pcapng
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Print the result alone, without progress and notes
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(registry: &Registry, args: &Args) -> Result<Exit, Failure> {
    let kept = KeptRun::read(&args.run)?;
    let names = Names::of(&kept.scenario);
    let hosts = args.hosts.iter().map(|host| names.find(host)).collect::<Result<Vec<u32>, _>>();
    let hosts = hosts.map_err(|error| Failure::told(&error))?;
    if hosts.len() > 1 && hosts.iter().any(|host| hosts.iter().filter(|other| *other == host).count() > 1) {
        return Err(Failure::input(
            anyhow!("a host is named twice"),
            "name two hosts, or one for all that it does",
        ));
    }
    let until = args.to.map_or(Instant::NEVER, |to| Instant::from_nanos(to.as_nanos() as u64));
    // Nothing stays of a capture of another run.
    let part = args.out.with_extension("part");
    let unwritable = |error| {
        Failure::failed(
            anyhow!("cannot write {}: {error}", args.out.display()),
            "choose another file with -o",
        )
    };
    let capture = Capture::create(&part, hosts, until).map_err(unwritable)?;
    let watch = |scene: &Scene| -> Vec<Box<dyn Watch>> { vec![capture.watch(scene)] };
    let same = kept.repeat(registry, Watching(&watch), args.quiet);
    let captured = capture.end();
    let done = match (same, captured) {
        (Ok(Exit::Done), Ok(captured)) if captured.connections > 0 => {
            std::fs::rename(&part, &args.out).map(|()| captured).map_err(unwritable)
        }
        (other, captured) => {
            let _ = std::fs::remove_file(&part);
            match (other?, captured) {
                (Exit::Done, Ok(_)) => {
                    let error = anyhow!("{} were never connected", args.hosts.join(" and "));
                    return Err(Failure::input(
                        error,
                        "`torrentlab trace` shows who was, in a run made with --trace",
                    ));
                }
                (Exit::Done, Err(error)) => return Err(unwritable(error)),
                (exit, _) => return Ok(exit),
            }
        }
    }?;
    data(format_args!(
        "{}: {} connections, {} messages, {} packets",
        args.out.display(),
        done.connections,
        done.messages,
        done.packets
    ))?;
    if !args.quiet {
        note("open it in Wireshark, or read it with `tshark -r`");
    }
    Ok(Exit::Done)
}
