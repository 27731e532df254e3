//! `torrentlab sequence`

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use torrentlab_engine::time::Instant;
use torrentlab_reports::plots::{MOST_ARROWS, Sequence};
use torrentlab_simulator::names::Names;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::sequence::Listening;
use torrentlab_simulator::watch::{Scene, Watch, Watching};

use crate::print::data;
use crate::replay::KeptRun;
use crate::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of a run, such as runs/first-swarm/1
    run: PathBuf,
    /// The two hosts, as in seed-0,leecher-3
    #[arg(long, value_name = "HOST,HOST")]
    hosts: String,
    /// From this time on, as in 10s or "2 min"
    #[arg(long, value_name = "TIME", value_parser = crate::fuzz::time, default_value = "0s")]
    from: Duration,
    /// Until this time
    #[arg(long, value_name = "TIME", value_parser = crate::fuzz::time)]
    to: Duration,
    /// The file to draw: an SVG, or a PNG if its name ends so
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Print the result alone, without progress and notes
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(registry: &Registry, args: &Args) -> Result<Exit, Failure> {
    let kept = KeptRun::read(&args.run)?;
    let names = Names::of(&kept.scenario);
    let hosts = crate::inspect::ends(&names, "--hosts", &args.hosts)?;
    if args.from >= args.to {
        return Err(Failure::input(anyhow!("--from is not before --to"), "give a time that has some length"));
    }
    let at = |time: Duration| Instant::from_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let listening = Listening::new(hosts, (at(args.from), at(args.to)));
    let watch = |scene: &Scene| -> Vec<Box<dyn Watch>> { vec![listening.watch(scene)] };
    let exit = kept.repeat(registry, Watching(&watch), args.quiet)?;
    if exit != Exit::Done {
        return Ok(exit);
    }
    let exchanges = listening.exchanges();
    let span = format!("{:.3} s to {:.3} s", args.from.as_secs_f64(), args.to.as_secs_f64());
    let [one, other] = hosts.map(|host| names.name(host));
    if exchanges.is_empty() {
        let error = anyhow!("{one} and {other} say nothing to each other from {span}");
        return Err(Failure::input(
            error,
            "`torrentlab inspect` shows who is connected, and `trace` who says what",
        ));
    }
    if exchanges.len() > MOST_ARROWS {
        let error = anyhow!("{} arrows cannot be read: {MOST_ARROWS} at most", exchanges.len());
        return Err(Failure::input(error, "choose a shorter time with --from and --to"));
    }
    let of = format!("{}, seed {}, {span}", kept.scenario.name, kept.seed);
    let arrows = exchanges.len();
    let plot = Sequence { hosts: [one, other], of, exchanges }
        .plot()
        .map_err(|error| Failure::failed(error, "this is a defect of torrentlab: please report it"))?;
    let is_png = args.out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    let bytes = if is_png { plot.png } else { plot.svg.into_bytes() };
    fs::write(&args.out, bytes).map_err(|error| {
        Failure::failed(
            anyhow!("cannot write {}: {error}", args.out.display()),
            "choose another file with -o",
        )
    })?;
    data(format_args!("{}: {arrows} arrows", args.out.display()))?;
    Ok(Exit::Done)
}
