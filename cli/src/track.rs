//! `torrentlab track`

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::UdpSocket;
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
    /// Where to listen, for HTTP and for UDP; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    http: SocketAddr,
    /// Answer over HTTP alone
    #[arg(long)]
    no_udp: bool,
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
    let udp = if args.no_udp { None } else { Some(bind_udp(platform, addr).await?) };
    // Data: a script takes the addresses from here.
    data(format_args!("http://{addr}/announce"))?;
    if udp.is_some() {
        data(format_args!("udp://{addr}/announce"))?;
    }
    let config = TrackerConfig {
        interval: Duration::from_nanos(args.interval.as_nanos()),
        ..TrackerConfig::default()
    };
    let dice = Dice::stream(random_seed(), ("tracker", 0, "sample"));
    let server = TrackerServer::new(platform, Tracker::new(config), dice);
    select! {
        biased;
        () = interrupted => Ok(Exit::Interrupted),
        never = server.run(listener, udp) => match never {},
    }
}

async fn bind_udp(platform: Tokio, addr: SocketAddr) -> Result<UdpSocket, Failure> {
    let socket = platform.bind_udp(addr).await.with_context(|| format!("cannot listen on {addr} for UDP"));
    socket.map_err(|error| {
        Failure::failed(error, "choose another port, or answer over HTTP alone with `--no-udp`")
    })
}
