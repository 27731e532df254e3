//! The driver, byte for byte, inside turmoil's network: the tracker over HTTP and UDP, the wire protocol and SHA-1, on hosts
//! that share a simulated clock.
#![cfg(feature = "net")]
#![expect(clippy::disallowed_types, reason = "the content of the hosts lies in files")]

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use torrentlab_engine::choker::{Standard, StandardConfig};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::metainfo::{self, Metainfo, NewTorrent, hash_piece};
use torrentlab_engine::net::{
    Access, Content, Driver, Place, Platform, Setup, Storage, StorageError, TrackerServer, Tuning,
};
use torrentlab_engine::node::{Event, PROBE_EVERY};
use torrentlab_engine::picker::RarestFirst;
use torrentlab_engine::time::Instant;
use torrentlab_engine::torrent::{self, Config, Streams, Torrent};
use torrentlab_engine::tracker::server::{Tracker, TrackerConfig};
use torrentlab_engine::units::PeerId;
use turmoil::net::{TcpListener, TcpStream, UdpSocket};

const PIECE: u32 = 64 * 1024;
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 6881);

/// turmoil's network and clock. Slow work is done at once, since another thread would not be simulated.
#[derive(Clone, Copy)]
struct Turmoil;

impl Platform for Turmoil {
    type Stream = TcpStream;
    type Listener = TcpListener;
    type Udp = UdpSocket;

    fn now(&self) -> Instant {
        Instant::from_nanos(turmoil::sim_elapsed().expect("inside the simulation").as_nanos() as u64)
    }

    async fn sleep_until(&self, at: Instant) {
        tokio::time::sleep(Duration::from_nanos(at.since(self.now()).as_nanos())).await;
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(addr).await
    }

    fn local_addr(&self, listener: &TcpListener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        listener.accept().await
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(addr).await
    }

    async fn bind_udp(&self, addr: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::bind(addr).await
    }

    async fn send_to(&self, socket: &UdpSocket, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        socket.send_to(datagram, to).await.map(drop)
    }

    async fn recv_from(&self, socket: &UdpSocket, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        socket.recv_from(buf).await
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::new(turmoil::lookup(host), port)])
    }

    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        std::future::ready(work())
    }
}

fn content() -> Vec<u8> {
    let mut bytes = vec![0; 9 * PIECE as usize + 1_000];
    Dice::stream(1, ("content", 0, "bytes")).fill(&mut bytes);
    bytes
}

fn make_torrent(bytes: &[u8], tracker: &str) -> Metainfo {
    let torrent = NewTorrent {
        name: "content".to_owned(),
        content: metainfo::Content::File(bytes.len() as u64),
        piece_len: PIECE,
        hashes: bytes.chunks(PIECE as usize).map(hash_piece).collect(),
        private: false,
        tiers: vec![vec![tracker.to_owned()]],
        created_by: None,
        comment: None,
    };
    Metainfo::parse(&torrent.encode().unwrap()).unwrap()
}

/// Files that take no write until they were asked so often.
#[derive(Debug)]
struct FullAtFirst {
    files: Arc<dyn Storage>,
    refuses: AtomicU64,
}

impl Storage for FullAtFirst {
    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.files.read(offset, buf)
    }

    fn write(&self, offset: u64, buf: &[u8]) -> Result<(), StorageError> {
        let one_fewer = |left: u64| left.checked_sub(1);
        if self.refuses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_fewer).is_ok() {
            let source = io::ErrorKind::StorageFull.into();
            return Err(StorageError::Refused { doing: "write", offset, len: buf.len(), source });
        }
        self.files.write(offset, buf)
    }

    fn is_fresh(&self, offset: u64, len: u64) -> bool {
        self.files.is_fresh(offset, len)
    }
}

/// A peer with its content in `folder`, until it has everything.
async fn peer(
    index: u64,
    meta: Arc<Metainfo>,
    folder: Arc<Path>,
    access: Access,
    forever: bool,
    refuses: u64,
) -> turmoil::Result {
    let mut content = Content::open(&meta, Place::Below(&folder), access)?;
    let have = content.check_all(&AtomicU64::new(0))?;
    content.storage = Arc::new(FullAtFirst { files: content.storage, refuses: refuses.into() });
    let listener = Turmoil.bind(LISTEN).await?;
    let mut dice = Streams::new(1, "peer", index);
    let mut id = *b"-TL0100-000000000000";
    id[19] = b'0' + index as u8;
    let setup = torrent::Setup {
        info_hash: meta.info_hash(),
        geometry: meta.geometry(),
        tiers: vec![1],
        have,
        config: Config::new(PeerId(id), LISTEN.port()),
        picker: Box::new(RarestFirst::default()),
        choker: Box::new(Standard::new(StandardConfig::default(), Turmoil.now(), &mut dice.choker)),
        dice,
    };
    let torrent = Torrent::new(setup, Turmoil.now());
    let announces = Dice::stream(1, ("peer", index, "announces"));
    let trackers = meta.trackers().map(str::to_owned).collect();
    let tuning = Tuning::default();
    let setup = Setup { platform: Turmoil, listener, trackers, dice: announces, content, tuning };
    let (driver, handle, mut events) = Driver::new(setup, torrent);
    let running = tokio::spawn(driver.run());
    while forever || !handle.inspect(Torrent::is_complete) {
        if events.recv().await == Some(Event::Completed) && !forever {
            break;
        }
    }
    handle.shutdown();
    running.await?;
    Ok(())
}

/// How long three leechers take, in simulated time, with this tracker and seed.
fn swarm(tracker: &str, rng_seed: u64, refuses: u64) -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let bytes = content();
    let meta = Arc::new(make_torrent(&bytes, tracker));
    let folder = |name: &str| -> Arc<Path> {
        let folder = dir.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder.into()
    };
    let mut sim = turmoil::Builder::new()
        .rng_seed(rng_seed)
        .epoch(SystemTime::UNIX_EPOCH)
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(10))
        .max_message_latency(Duration::from_millis(30))
        .simulation_duration(Duration::from_secs(300))
        .tcp_capacity(1_024)
        .build();
    sim.host("tracker", || async {
        let addr = SocketAddr::new(LISTEN.ip(), 6969);
        let (listener, udp) = (Turmoil.bind(addr).await?, Turmoil.bind_udp(addr).await?);
        let tracker = Tracker::new(TrackerConfig::default());
        let server = TrackerServer::new(Turmoil, tracker, Dice::stream(1, ("tracker", 0, "peers")));
        match server.run(listener, Some(udp)).await {}
    });
    let whole = folder("seed");
    std::fs::write(whole.join("content"), &bytes).unwrap();
    let (of_seed, meta_of_seed) = (whole.clone(), meta.clone());
    sim.host("seed", move || peer(0, meta_of_seed.clone(), of_seed.clone(), Access::Read, true, 0));
    let folders: Vec<_> = (1..4).map(|index| (index, folder(&format!("leecher-{index}")))).collect();
    for (index, folder) in &folders {
        let name = format!("leecher-{index}");
        sim.client(name, peer(*index, meta.clone(), folder.clone(), Access::Write, false, refuses));
    }
    sim.run().unwrap();
    for (_, folder) in folders {
        assert!(std::fs::read(folder.join("content")).unwrap() == bytes, "{} differs", folder.display());
    }
    sim.elapsed()
}

#[test]
fn leechers_get_every_byte_and_the_same_seed_takes_the_same_time() {
    for tracker in ["http://tracker:6969/announce", "udp://tracker:6969"] {
        assert_eq!(swarm(tracker, 1, 0), swarm(tracker, 1, 0), "{tracker}");
    }
}

#[test]
fn a_download_goes_on_when_there_is_space_again() {
    let tracker = "udp://tracker:6969";
    // Each time that it looks is a write that is refused.
    let refused = 3 * PROBE_EVERY.as_nanos();
    assert!(swarm(tracker, 1, 10).as_nanos() >= swarm(tracker, 1, 0).as_nanos() + u128::from(refused));
}
