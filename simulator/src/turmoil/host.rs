//! The software of a host: the engine's driver with a watched node, or the tracker.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex};

use tokio::select;
use tokio::sync::Notify;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::net::{Content, Driver, Manner, Platform, Setup, TrackerServer, Tuning, WrongReply};
use torrentlab_engine::time::Duration;
use torrentlab_engine::tracker::server::TrackerConfig;
use torrentlab_scenarios::Draw;

use super::net::Shaped;
use super::probe::Probe;
use crate::churn::draw;
use crate::fault::{TrackerState, wrong_reply};
use crate::matchmaker::{Matchmaker, new_tracker};
use crate::plan::PORT;

/// The port that the tracker listens on.
pub const TRACKER_PORT: u16 = 6969;
/// Where hosts listen: turmoil knows no other address.
const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What faults have made of the tracker, for it and for those who carry them out.
pub type Condition = Arc<Mutex<TrackerState>>;

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
pub async fn track(
    platform: Shaped,
    config: TrackerConfig,
    matchmaker: Option<Matchmaker>,
    latency: Draw,
    condition: Condition,
    seed: u64,
) -> ::turmoil::Result {
    let dice = |purpose| Dice::stream(seed, ("tracker", 0, purpose));
    let addr = SocketAddr::new(ANY, TRACKER_PORT);
    let (listener, udp) = (platform.bind(addr).await?, platform.bind_udp(addr).await?);
    let (tracker, peers) = (new_tracker(&config, matchmaker.as_ref()), dice("peers"));
    let faulty =
        Faulty { config, latency, condition, latency_dice: dice("latency"), slow_dice: dice("slow") };
    let server = TrackerServer::new(platform, tracker, peers).with_manner(faulty);
    let never: Infallible = server.run(listener, Some(udp)).await;
    match never {}
}

/// How the tracker answers while faults are about it.
struct Faulty {
    config: TrackerConfig,
    latency: Draw,
    condition: Condition,
    latency_dice: Dice,
    slow_dice: Dice,
}

impl Manner for Faulty {
    fn pause(&mut self) -> Duration {
        let slower = &self.condition.lock().expect("nobody panics with it").slower;
        let always = draw(self.latency, &mut self.latency_dice);
        slower.iter().fold(always, |pause, &more| pause + draw(more, &mut self.slow_dice))
    }

    fn wrong(&mut self) -> Option<WrongReply> {
        let wrong = self.condition.lock().expect("nobody panics with it").wrong?;
        Some(wrong_reply(wrong, &self.config))
    }
}
