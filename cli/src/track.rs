//! `torrentlab track`

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::select;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::net::{Platform as _, Tokio, TrackerServer};
use torrentlab_engine::time::Duration;
use torrentlab_engine::tracker::server::{Tracker, TrackerConfig};
use torrentlab_scenarios::units::Span;

use crate::print::data;
use crate::share::{self, random_seed};
use crate::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    http: SocketAddr,
    /// What peers are told to wait between announces
    #[arg(long, value_name = "TIME", default_value = "30 min")]
    interval: Span,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    share::runtime()?.block_on(track(args))
}

async fn track(args: &Args) -> Result<Exit, Failure> {
    let platform = Tokio::new(args.http.ip());
    let interrupted = share::interrupted()?;
    let listener = platform.bind(args.http).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", args.http));
    let listener = listener.map_err(|error| Failure::failed(error, "choose another address or port"))?;
    let addr = platform.local_addr(&listener).context("the socket has no address");
    let addr = addr.map_err(|error| Failure::failed(error, "try again"))?;
    // Data: a script takes the address from here.
    data(format_args!("http://{addr}/announce"))?;
    let config = TrackerConfig {
        interval: Duration::from_nanos(args.interval.as_nanos()),
        ..TrackerConfig::default()
    };
    let dice = Dice::stream(random_seed(), ("tracker", 0, "sample"));
    let server = TrackerServer::new(platform, Tracker::new(config), dice);
    select! {
        biased;
        () = interrupted => Ok(Exit::Interrupted),
        never = server.run(listener) => match never {},
    }
}
