//! The worlds that a case is played in.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use tokio::task::JoinSet;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::net::{self, Driver, Platform, Tokio, Tuning};
use torrentlab_engine::node::Node;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::Geometry;
use torrentlab_scenarios::{InitialPieces, Scenario, read};
use torrentlab_simulator::build::build;
use torrentlab_simulator::content::{Content, RealContent};
use torrentlab_simulator::fake_peer::{FakePeer, Play, Verdict, play_over};
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::run::{Backend, RunError, RunOptions, run};
use torrentlab_simulator::trace::Detail;
use torrentlab_simulator::turmoil::storage::Store;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const PIECE: u32 = 256 * 1024;

/// An engine and a peer who come one after the other, so that who comes later learns of the other from the tracker.
const SCENARIO: &str = r#"
schema = 1
name = "case"
allow_missing_pieces = true
until = { time = "10 min" }
content = { size = "1536 KiB", piece_size = "256 KiB" }
[hosts.engine]
count = 1
links = { up = "10 Mbit/s", down = "10 Mbit/s", latency = "10 ms" }
[hosts.fake]
count = 1
node = "fake"
links = { up = "10 Mbit/s", down = "10 Mbit/s", latency = "10 ms" }
"#;

/// A case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub source: String,
    #[serde(default)]
    holds: Option<InitialPieces>,
    #[serde(default)]
    dialled: bool,
    #[serde(default)]
    set: Vec<String>,
    script: String,
}

/// All cases.
pub fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        case: Vec<Case>,
    }
    let file = toml_edit::de::from_str::<File>(include_str!("cases.toml"));
    file.unwrap_or_else(|error| panic!("{error}")).case
}

fn real_content() -> RealContent {
    let geometry = Geometry::new(6 * u64::from(PIECE) - 100, PIECE).unwrap();
    Content::Synthetic(geometry).into_real(1)
}

impl Case {
    pub fn play(&self) -> Play {
        let content = Content::Real(Box::new(real_content()));
        Play::parse(&self.script, &content).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn scenario(&self) -> Scenario {
        let later = if self.dialled { "engine" } else { "fake" };
        let mut sets = vec![format!("hosts.{later}.arrival.flash-crowd.at=1 s")];
        sets.extend(self.set.iter().map(|set| format!("hosts.engine.{set}")));
        let loaded = read(SCENARIO, "case.toml", &sets);
        let mut scenario = loaded.unwrap_or_else(|error| panic!("{}: {error}", self.name)).scenario;
        scenario.hosts.get_mut("engine").unwrap().pieces.clone_from(&self.holds);
        scenario
    }
}

/// Plays a case in a simulated swarm, whose hosts are held to the rules if `check` says so.
pub fn simulate(case: &Case, backend: Backend, mut registry: Registry, check: bool) -> Verdict {
    let (verdict, done) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
    let (play, dialled) = (case.play(), case.dialled);
    let (told, over) = (Arc::clone(&verdict), Arc::clone(&done));
    registry.register_rogue("fake", move |setup, now| {
        let (told, over) = (Arc::clone(&told), Arc::clone(&over));
        let tell = move |verdict| {
            *told.lock().unwrap() = Some(verdict);
            over.store(true, Ordering::Relaxed);
        };
        let peer = FakePeer::new(&setup, now, play.clone(), tell);
        Box::new(if dialled { peer } else { peer.dialling() }) as Box<dyn Node>
    });
    let content = real_content();
    let options =
        RunOptions { backend, content: Some(&content), check, stop: Some(&done), ..RunOptions::default() };
    match run(&case.scenario(), 1, &registry, &options, &mut |_| ()) {
        Ok(_) | Err(RunError::Stopped) => {}
        Err(error) => panic!("{}: {error}", case.name),
    }
    verdict.lock().unwrap().take().unwrap_or_else(|| panic!("{}: they never met", case.name))
}

/// Plays cases over sockets on loopback, side by side. A wait may take so long at most.
pub fn over_sockets<'c>(
    cases: &[&'c Case],
    registry: &Registry,
    patience: Duration,
) -> Vec<(&'c Case, Verdict)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut verdicts = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for (nth, case) in cases.iter().enumerate() {
            let mut scenario = case.scenario();
            scenario.hosts.remove("fake");
            let content = Content::Real(Box::new(real_content()));
            let mut plan = build(&scenario, registry, content, 1, Detail::default(), None).unwrap();
            let platform = Tokio::new(LOOPBACK.ip());
            let listener = platform.bind(LOOPBACK).await.unwrap();
            let addr = platform.local_addr(&listener).unwrap();
            let node = plan.cast.node(0, 0, addr, &plan.hosts[0].have, Instant::ZERO);
            let engine = Engine { platform, listener, addr, node, store: plan.hosts[0].have.clone() };
            let (play, dialled) = (case.play().with_patience(patience), case.dialled);
            tasks.spawn(async move { (nth, engine.meet(play, dialled).await) });
        }
        tasks.join_all().await
    });
    verdicts.sort_by_key(|(nth, _)| *nth);
    verdicts.into_iter().map(|(nth, verdict)| (cases[nth], verdict)).collect()
}

/// An engine on a real socket.
struct Engine {
    platform: Tokio,
    listener: <Tokio as Platform>::Listener,
    addr: SocketAddr,
    node: Box<dyn Node>,
    store: torrentlab_engine::bitfield::Bitfield,
}

impl Engine {
    async fn meet(self, play: Play, dialled: bool) -> Verdict {
        let original = Arc::new(real_content());
        let metainfo = &original.metainfo;
        let content = net::Content {
            geometry: metainfo.geometry(),
            hashes: metainfo.hashes().into(),
            storage: Arc::new(Store::new(Arc::clone(&original), &self.store, None)),
        };
        let peer = self.platform.bind(LOOPBACK).await.unwrap();
        // Nobody answers there: they meet without a tracker.
        let tracker = format!("udp://{}", peer.local_addr().unwrap());
        let setup = net::Setup {
            platform: self.platform,
            listener: self.listener,
            trackers: vec![tracker],
            dice: Dice::stream(1, ("engine", 0, "announces")),
            content,
            tuning: Tuning::default(),
        };
        let (driver, handle, _events) = Driver::new(setup, self.node);
        let driving = tokio::spawn(driver.run());
        let mut stream = if dialled {
            handle.dial(peer.local_addr().unwrap());
            peer.accept().await.unwrap().0
        } else {
            tokio::net::TcpStream::connect(self.addr).await.unwrap()
        };
        let verdict = play_over(&mut stream, play).await;
        driving.abort();
        verdict
    }
}
