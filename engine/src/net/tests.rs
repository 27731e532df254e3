//! The driver under a scripted node, on real sockets.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::dice::Dice;
use crate::node::{DialFailure, Disconnect, Input, Misuse, Node, Outbox, Output, StorageOp};
use crate::time::{Duration, Instant};
use crate::tracker::{Announce, AnnounceRequest};
use crate::units::{Block, Geometry, InfoHash, PeerId, PieceIndex};
use crate::wire::{Message, Payload, Reserved, encode};

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const PIECE: u32 = 64 * 1024;

/// A node that does what a closure says, and tells the test of everything.
struct Scripted<F> {
    script: F,
    timeout: Option<Instant>,
    tell: mpsc::UnboundedSender<(Instant, Input)>,
}

impl<F: FnMut(&Input, &mut Outbox) + Send> Node for Scripted<F> {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) -> Result<(), Misuse> {
        if matches!(input, Input::Timeout) {
            self.timeout = None;
        }
        (self.script)(&input, out);
        let _ = self.tell.send((now, input));
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }
}

/// The tokio platform, whose blocking work waits for the test.
#[derive(Clone)]
struct Gated {
    tokio: Tokio,
    gate: Arc<Semaphore>,
}

impl Gated {
    fn open() -> Self {
        Self { tokio: Tokio::new(LOOPBACK.into()), gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)) }
    }

    fn shut() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), ..Self::open() }
    }
}

impl Platform for Gated {
    type Stream = TcpStream;
    type Listener = TcpListener;
    type Udp = UdpSocket;

    fn now(&self) -> Instant {
        self.tokio.now()
    }

    async fn sleep_until(&self, at: Instant) {
        self.tokio.sleep_until(at).await;
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        self.tokio.bind(addr).await
    }

    fn local_addr(&self, listener: &TcpListener) -> io::Result<SocketAddr> {
        self.tokio.local_addr(listener)
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        self.tokio.accept(listener).await
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        self.tokio.connect(addr).await
    }

    async fn bind_udp(&self, addr: SocketAddr) -> io::Result<UdpSocket> {
        self.tokio.bind_udp(addr).await
    }

    async fn send_to(&self, socket: &UdpSocket, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.tokio.send_to(socket, datagram, to).await
    }

    async fn recv_from(&self, socket: &UdpSocket, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.tokio.recv_from(socket, buf).await
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.tokio.resolve(host, port).await
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let _permit = self.gate.acquire().await.expect("never closed");
        self.tokio.blocking(work).await
    }
}

type Script = Box<dyn FnMut(&Input, &mut Outbox) + Send>;

/// A running driver.
struct Running {
    handle: Handle<Gated, Scripted<Script>>,
    told: mpsc::UnboundedReceiver<(Instant, Input)>,
    addr: SocketAddr,
    run: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn start(
        platform: Gated,
        dir: &Path,
        script: impl FnMut(&Input, &mut Outbox) + Send + 'static,
    ) -> Self {
        Self::with(platform, dir, None, vec![], script).await
    }

    async fn with(
        platform: Gated,
        dir: &Path,
        timeout: Option<Instant>,
        trackers: Vec<String>,
        script: impl FnMut(&Input, &mut Outbox) + Send + 'static,
    ) -> Self {
        let listener = platform.bind((LOOPBACK, 0).into()).await.unwrap();
        let addr = platform.local_addr(&listener).unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        let script: Script = Box::new(script);
        let dice = Dice::stream(1, ("test", 0, "announces"));
        let (content, tuning) = (content(dir), Tuning::default());
        let setup = Setup { platform, listener, trackers, dice, content, tuning };
        let (driver, handle, _) = Driver::new(setup, Scripted { script, timeout, tell });
        Self { handle, told, addr, run: tokio::spawn(driver.run()) }
    }

    /// The first of what the node is told that `find` takes.
    async fn until<T>(&mut self, mut find: impl FnMut(&Input) -> Option<T>) -> T {
        loop {
            let (_, input) = self.told.recv().await.expect("the driver runs");
            if let Some(found) = find(&input) {
                return found;
            }
        }
    }

    async fn closed(&mut self) -> Disconnect {
        self.until(|input| if let Input::Closed { why, .. } = input { Some(why.clone()) } else { None }).await
    }
}

fn original() -> Vec<u8> {
    (0..5 * PIECE + 4321).map(|at| (at * 7 % 253) as u8).collect()
}

fn content(dir: &Path) -> Content {
    let bytes = original();
    let files = [FileSpan { path: "content".into(), len: bytes.len() as u64, padding: false }];
    Content {
        storage: Arc::new(Files::open(dir, &files, Access::Write).unwrap()),
        geometry: Geometry::new(bytes.len() as u64, PIECE).unwrap(),
        hashes: bytes.chunks(PIECE as usize).map(|piece| Sha1::digest(piece).into()).collect(),
    }
}

fn hello() -> [Message; 2] {
    [
        Message::Hello { reserved: Reserved::OURS, info_hash: InfoHash([7; 20]) },
        Message::PeerId(PeerId([8; 20])),
    ]
}

fn wire(messages: &[Message]) -> BytesMut {
    let mut bytes = BytesMut::new();
    messages.iter().for_each(|message| encode(message, &mut bytes).unwrap());
    bytes
}

fn nothing(_: &Input, _: &mut Outbox) {}

/// Serves whatever is asked for, however little room there is.
fn serve() -> impl FnMut(&Input, &mut Outbox) + Send {
    let (mut room, mut waiting) = (0, VecDeque::new());
    move |input, out| {
        match input {
            Input::Connected { conn, room: all, .. } => {
                room = *all;
                hello().into_iter().for_each(|message| out.send(*conn, message));
            }
            Input::Message { conn, message: Message::Request(block) } => waiting.push_back((*conn, *block)),
            Input::Writable { bytes, .. } => room += bytes,
            _ => {}
        }
        while let Some((conn, block)) = waiting.pop_front_if(|(_, block)| block.len + 13 <= room) {
            room -= block.len + 13;
            out.push(Output::SendBlock { conn, block });
        }
    }
}

/// Asks for everything at once, and checks each piece when it is whole.
fn fetch(geometry: Geometry) -> impl FnMut(&Input, &mut Outbox) + Send {
    let pieces = move || (0..geometry.pieces()).map(PieceIndex);
    let mut missing: Vec<u32> = pieces().map(|piece| geometry.blocks_in(piece)).collect();
    move |input, out| match input {
        Input::Connected { conn, .. } => {
            hello().into_iter().for_each(|message| out.send(*conn, message));
            for piece in pieces() {
                for nth in (0..geometry.blocks_in(piece)).rev() {
                    out.send(*conn, Message::Request(geometry.block(piece, nth)));
                }
            }
        }
        Input::Message { message: Message::Piece { block, payload }, .. } => {
            out.push(Output::WriteBlock { block: *block, payload: payload.clone() });
            missing[block.piece.get()] -= 1;
            if missing[block.piece.get()] == 0 {
                out.push(Output::CheckPiece { piece: block.piece, digests: false });
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn content_moves_from_disk_to_disk() {
    let (near, far) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    content(near.path()).storage.write(0, &original()).unwrap();
    let seed = Running::start(Gated::open(), near.path(), serve()).await;
    let geometry = content(near.path()).geometry;
    let mut leecher = Running::start(Gated::open(), far.path(), fetch(geometry)).await;
    leecher.handle.dial(seed.addr);
    for _ in 0..geometry.pieces() {
        let ok = leecher
            .until(|input| if let Input::PieceChecked { ok, .. } = input { Some(*ok) } else { None })
            .await;
        assert!(ok);
    }
    assert_eq!(std::fs::read(far.path().join("content")).unwrap(), original());
    seed.handle.shutdown();
    seed.run.await.unwrap();
    assert_eq!(leecher.closed().await, Disconnect::Remote);
}

#[tokio::test]
async fn a_block_that_cannot_be_read_is_told_with_who_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut seed = Running::start(Gated::open(), dir.path(), serve()).await;
    std::fs::write(dir.path().join("content"), "cut short").unwrap();
    let mut peer = TcpStream::connect(seed.addr).await.unwrap();
    let block = Block { piece: PieceIndex(1), begin: 0, len: 16384 };
    peer.write_all(&wire(&hello())).await.unwrap();
    peer.write_all(&wire(&[Message::Request(block)])).await.unwrap();
    let (mut joined, mut freed) = (None, 0);
    let failed = loop {
        match seed.told.recv().await.expect("the driver runs").1 {
            Input::Connected { conn, .. } => joined = Some(conn),
            Input::Writable { bytes, .. } => freed += bytes,
            Input::StorageFailed { op, .. } => break op,
            _ => {}
        }
    };
    let conn = joined.expect("nothing is read for nobody");
    assert_eq!(failed, StorageOp::Read { conn, block });
    // What the torrent said in its hello made room too.
    assert!(freed >= block.len + 13, "the room of the block comes back");
}

#[tokio::test]
async fn bytes_that_are_no_message_end_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let mut driver = Running::start(Gated::open(), dir.path(), nothing).await;
    let garbage: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xc5; 96],
        &[&wire(&hello())[..], &[0xff; 4]].concat(),
        &[&wire(&hello())[..], &[0, 0, 0, 2, 0, 0]].concat(),
    ];
    for bytes in garbage {
        let mut peer = TcpStream::connect(driver.addr).await.unwrap();
        peer.write_all(bytes).await.unwrap();
        assert!(matches!(driver.closed().await, Disconnect::Malformed(_)), "{bytes:?}");
        // The other side sees the end too, whole or broken off.
        let _ = peer.read_to_end(&mut Vec::new()).await;
    }
}

#[tokio::test]
async fn a_message_may_come_byte_by_byte() {
    let dir = tempfile::tempdir().unwrap();
    let mut driver = Running::start(Gated::open(), dir.path(), nothing).await;
    let block = Block { piece: PieceIndex(1), begin: 16384, len: 300 };
    let sent = [
        Message::Have(PieceIndex(3)),
        Message::KeepAlive,
        Message::Piece { block, payload: Payload::Bytes(vec![3; 300].into()) },
        Message::Unchoke,
    ];
    let mut peer = TcpStream::connect(driver.addr).await.unwrap();
    peer.set_nodelay(true).unwrap();
    for byte in wire(&hello()).iter().chain(&wire(&sent)) {
        peer.write_u8(*byte).await.unwrap();
        tokio::task::yield_now().await;
    }
    for expected in hello().iter().chain(&sent) {
        let got = driver
            .until(
                |input| if let Input::Message { message, .. } = input { Some(message.clone()) } else { None },
            )
            .await;
        assert_eq!(got, *expected);
    }
    drop(peer);
    assert_eq!(driver.closed().await, Disconnect::Remote);
}

#[tokio::test]
async fn a_dial_to_nobody_fails() {
    let dir = tempfile::tempdir().unwrap();
    let mut driver = Running::start(Gated::open(), dir.path(), nothing).await;
    let nobody = TcpListener::bind((LOOPBACK, 0)).await.unwrap().local_addr().unwrap();
    driver.handle.dial(nobody);
    let failed = driver
        .until(|input| if let Input::DialFailed { addr, why } = input { Some((*addr, *why)) } else { None })
        .await;
    assert_eq!(failed, (nobody, DialFailure::Refused));
}

#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut driver = Running::start(Gated::open(), dir.path(), |input, out| {
        if let Input::Connected { conn, .. } = input {
            let payload = vec![0; 100_000].into();
            (0..1000)
                .for_each(|_| out.send(*conn, Message::Extended { id: 1, payload: Clone::clone(&payload) }));
        }
    })
    .await;
    let _peer = TcpStream::connect(driver.addr).await.unwrap();
    assert_eq!(driver.closed().await, Disconnect::TimedOut);
}

// With the clock paused, a sleep ends as soon as nothing else can happen.
#[tokio::test(start_paused = true)]
async fn nothing_is_read_while_the_disk_is_behind() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Gated::shut();
    let gate = Arc::clone(&platform.gate);
    let mut driver = Running::start(platform, dir.path(), |input, out| {
        if let Input::Message { message: Message::Piece { block, payload }, .. } = input {
            out.push(Output::WriteBlock { block: *block, payload: payload.clone() });
        }
    })
    .await;
    let mut peer = TcpStream::connect(driver.addr).await.unwrap();
    let block = Block { piece: PieceIndex(0), begin: 0, len: 16384 };
    let piece = wire(&[Message::Piece { block, payload: Payload::Bytes(vec![1; 16384].into()) }]);
    let sender = tokio::spawn(async move {
        peer.write_all(&wire(&hello())).await.unwrap();
        for _ in 0..4000 {
            peer.write_all(&piece).await.unwrap();
        }
    });
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let bound = (super::core::MAX_UNWRITTEN + 2 * super::conn::READ_MAX) / 16384 + 10;
    assert!((100..bound).contains(&driver.told.len()), "{} of {bound}", driver.told.len());
    assert!(!sender.is_finished());
    gate.add_permits(1000);
    sender.await.unwrap();
    assert_eq!(driver.closed().await, Disconnect::Remote);
}

#[tokio::test(start_paused = true)]
async fn the_nodes_time_comes_when_it_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let due = Instant::ZERO + Duration::from_secs(1000);
    let mut driver = Running::with(Gated::open(), dir.path(), Some(due), vec![], nothing).await;
    let (at, input) = driver.told.recv().await.unwrap();
    assert!(matches!(input, Input::Timeout), "{input:?}");
    assert!(at >= due && at < due + Duration::from_secs(1), "{at}");
}

#[tokio::test]
async fn a_stop_waits_for_the_tracker_but_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let tracker = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let url = format!("http://{}/announce", tracker.local_addr().unwrap());
    let driver = Running::with(Gated::open(), dir.path(), None, vec![url], |input, out| {
        if matches!(input, Input::Shutdown) {
            let request = AnnounceRequest {
                info_hash: InfoHash([1; 20]),
                peer_id: PeerId([2; 20]),
                port: 1,
                uploaded: 0,
                downloaded: 0,
                left: 0,
                event: crate::tracker::AnnounceEvent::Stopped,
                numwant: Some(0),
                key: 0,
            };
            out.push(Output::Announce(Announce { tracker: 0, request: Box::new(request) }));
        }
    })
    .await;
    driver.handle.shutdown();
    // The tracker takes the connection and says nothing.
    let (_stalled, _) = tracker.accept().await.unwrap();
    assert!(!driver.run.is_finished());
    tokio::time::pause();
    driver.run.await.unwrap();
}
