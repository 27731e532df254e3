//! The command line of torrentlab.
//!
//! What a command finds goes to stdout; progress, notes and errors go to stderr. Every error says what to do, on a
//! line that begins with `hint:`.

#![warn(clippy::print_stdout, clippy::print_stderr)]
#![expect(clippy::disallowed_types, reason = "the command line lives in the real world")]

mod batch;
mod claims;
mod compare;
mod cost;
mod create;
mod explain;
mod failure;
mod fuzz;
mod get;
mod inspect;
mod lab;
mod payload;
mod pcap;
mod print;
mod progress;
mod replay;
mod report;
mod results;
mod run;
mod scenarios;
mod seed;
mod sequence;
mod share;
mod show;
mod trace;
mod track;
mod validate;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::{Exit, Failure};
pub use lab::Lab;
pub use torrentlab_engine as engine;
pub use torrentlab_simulator::registry::{ChokerSetup, NoParams, Params, PickerSetup, Registry};

/// BitTorrent in the laboratory and on the wire.
#[derive(Debug, Parser)]
#[command(name = "torrentlab", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage or input, 3 inconclusive, 130 interrupted.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a swarm of simulated hosts, and write tables, plots and a page
    Run(run::Args),
    /// Run a scenario with every combination of some values, and say how the results differ
    Compare(compare::Args),
    /// Judge the claims of scenarios over several seeds, each beside its negative control
    Validate(validate::Args),
    /// Run random swarms under all checkers, and make what fails small
    Fuzz(fuzz::Args),
    /// Find the smallest scenario that fails in the same way
    Shrink(fuzz::ShrinkArgs),
    /// Repeat a run and compare it, event by event where it has a trace
    Replay(replay::Args),
    /// Write what hosts of a run sent each other as a packet capture, for Wireshark
    Pcap(pcap::Args),
    /// Look at a moment of a run: who chokes whom, what is in flight, and why; or find where two runs part
    Inspect(inspect::Args),
    /// Draw what two hosts of a run say to each other
    Sequence(sequence::Args),
    /// Print what happened in a run, event by event, in words
    Trace(trace::Args),
    /// List the scenarios of the catalogue, or print one
    Scenarios(scenarios::Args),
    /// Rebuild the plots and the page of a run from its folder
    Report(report::Args),
    /// Make a torrent of a file or folder
    Create(create::Args),
    /// Show what is in a torrent
    Show(show::Args),
    /// Run a tracker
    Track(track::Args),
    /// Share what is complete on disk
    Seed(seed::Args),
    /// Download
    Get(get::Args),
}

impl Command {
    fn run(self, registry: &Registry) -> Result<Exit, Failure> {
        match self {
            Self::Run(args) => run::run(registry, &args),
            Self::Compare(args) => compare::run(registry, &args),
            Self::Validate(args) => validate::run(registry, &args),
            Self::Fuzz(args) => fuzz::run(registry, &args),
            Self::Shrink(args) => fuzz::shrink(registry, &args),
            Self::Replay(args) => replay::run(registry, &args),
            Self::Pcap(args) => pcap::run(registry, &args),
            Self::Inspect(args) => inspect::run(registry, &args),
            Self::Sequence(args) => sequence::run(registry, &args),
            Self::Trace(args) => trace::run(&args),
            Self::Scenarios(args) => scenarios::run(&args),
            Self::Report(args) => report::run(&args),
            Self::Create(args) => create::run(&args),
            Self::Show(args) => show::run(&args),
            Self::Track(args) => track::run(&args),
            Self::Seed(args) => seed::run(&args),
            Self::Get(args) => get::run(&args),
        }
    }
}

/// Runs the command line `args` with these strategies.
fn run(registry: &Registry, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let exit = match Cli::try_parse_from(args) {
        Ok(cli) => cli.command.run(registry).unwrap_or_else(|failure| failure.report()),
        Err(error) => {
            // Help and version come this way too. A closed stdout or stderr has nobody to tell.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Done }
        }
    };
    exit.into()
}
