//! The software of a host: the engine's driver with a watched node, or the tracker.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex};

use tokio::select;
use tokio::sync::Notify;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::net::{Content, Driver, Platform, Setup, TrackerServer, Tuning};
use torrentlab_engine::time::Duration;
use torrentlab_engine::tracker::server::{Tracker, TrackerConfig};
use torrentlab_scenarios::Draw;

use super::net::Shaped;
use super::probe::Probe;
use crate::churn::draw;
use crate::plan::PORT;

/// The port that the tracker listens on.
pub const TRACKER_PORT: u16 = 6969;
/// Where hosts listen: turmoil knows no other address.
const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How much longer the tracker takes to answer, while faults have it so.
pub type Slower = Arc<Mutex<Vec<Draw>>>;

/// A peer that is about to start.
pub struct Peer {
    pub platform: Shaped,
    pub probe: Probe,
    pub content: Content,
    pub tuning: Tuning,
    pub tracker: String,
    /// What hides its announces over UDP.
    pub dice: Dice,
    /// Told when it is to stop politely.
    pub stop: Arc<Notify>,
}

impl Peer {
    /// Runs until it was told to stop and has.
    pub async fn run(self) -> ::turmoil::Result {
        let Self { platform, probe, content, tuning, tracker, dice, stop } = self;
        let listener = platform.bind(SocketAddr::new(ANY, PORT)).await?;
        let setup = Setup { platform, listener, trackers: vec![tracker], dice, content, tuning };
        let (driver, handle, _) = Driver::new(setup, probe);
        let mut running = pin!(driver.run());
        select! {
            biased;
            () = &mut running => {}
            () = stop.notified() => {
                handle.shutdown();
                running.await;
            }
        }
        Ok(())
    }
}

/// The tracker, which never stops. `latency` is from the arrival of an announce to the departure of its answer.
/// With it come what faults add.
pub async fn track(
    platform: Shaped,
    config: TrackerConfig,
    (latency, slower): (Draw, Slower),
    seed: u64,
) -> ::turmoil::Result {
    let dice = |purpose| Dice::stream(seed, ("tracker", 0, purpose));
    let mut latency_dice = dice("latency");
    let listener = platform.bind(SocketAddr::new(ANY, TRACKER_PORT)).await?;
    let server = TrackerServer::new(platform, Tracker::new(config), dice("peers")).with_pause(move || {
        let slower = slower.lock().expect("nobody panics with it");
        let all = [latency].into_iter().chain(slower.iter().copied());
        all.fold(Duration::ZERO, |pause, part| pause + draw(part, &mut latency_dice))
    });
    let never: Infallible = server.run(listener, None).await;
    match never {}
}
