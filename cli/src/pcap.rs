//! `torrentlab pcap`

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
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
    let hosts = args.hosts.iter().map(|host| names.find(host.trim())).collect::<Result<Vec<u32>, _>>();
    let hosts = hosts.map_err(|error| Failure::told(&error))?;
    if hosts.len() > 1 && hosts.iter().any(|host| hosts.iter().filter(|other| *other == host).count() > 1) {
        return Err(Failure::input(
            anyhow!("a host is named twice"),
            "name two hosts, or one for all that it does",
        ));
    }
    let until = args.to.map_or(Instant::NEVER, |to| Instant::from_nanos(to.as_nanos() as u64));
    let unwritable = |error: io::Error| {
        Failure::failed(
            anyhow!("cannot write {}: {error}", args.out.display()),
            "choose another file with -o",
        )
    };
    check_out(args)?;
    // Nothing stays of a capture of another run.
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let part = tempfile::NamedTempFile::new_in(folder).map_err(unwritable)?;
    let capture = Capture::create(part.path(), hosts, until).map_err(unwritable)?;
    let watch = |scene: &Scene| -> Vec<Box<dyn Watch>> { vec![capture.watch(scene)] };
    let exit = kept.repeat(registry, Watching(&watch), args.quiet)?;
    let done = capture.end().map_err(unwritable)?;
    if exit != Exit::Done {
        return Ok(exit);
    }
    if done.connections == 0 {
        let error = anyhow!("{} were not connected in that time", args.hosts.join(" and "));
        return Err(Failure::input(error, "`torrentlab trace` shows who was, in a run made with --trace"));
    }
    part.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(unwritable)?;
    part.persist(&args.out).map_err(|error| unwritable(error.error))?;
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

/// A capture takes the place of a file, and of nothing else; a run's own files stay.
fn check_out(args: &Args) -> Result<(), Failure> {
    let Ok(meta) = fs::symlink_metadata(&args.out) else { return Ok(()) };
    let is_of_run = args
        .out
        .canonicalize()
        .is_ok_and(|out| args.run.canonicalize().is_ok_and(|run| out.starts_with(run)));
    if meta.is_file() && !is_of_run {
        return Ok(());
    }
    let what = if is_of_run { "belongs to the run" } else { "is no file that could be replaced" };
    Err(Failure::input(anyhow!("{} {what}", args.out.display()), "choose another file with -o"))
}
