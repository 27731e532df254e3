//! The engine's platform on a host of the world.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use ::turmoil::net::{TcpListener, TcpStream, UdpSocket};
use tokio::select;
use tokio::sync::Notify;
use torrentlab_engine::net::Platform;
use torrentlab_engine::time::{Duration, Instant};

use super::clock::{self, std_span};
use super::datagram::Udp;
use super::dial::Outcome;
use super::{Stream, World};
use crate::turmoil::storage::Store;

/// The world as a driver on one of its hosts sees it. Must be used inside that host's software.
#[derive(Clone)]
pub struct Shaped {
    world: World,
    host: u32,
    bell: Arc<Notify>,
    store: Option<Arc<Store>>,
}

/// A listening TCP socket.
pub struct Listener {
    world: World,
    inner: TcpListener,
    pending: Mutex<VecDeque<Pending>>,
}

/// A connection that turmoil has opened, and the world perhaps not yet.
struct Pending {
    stream: TcpStream,
    from: SocketAddr,
    since: Instant,
}

/// A connection that the dialler has not taken up after this long is one that it gave up.
const GIVEN_UP: Duration = Duration::from_secs(60);

impl Shaped {
    pub(super) fn new(world: World, host: u32) -> Self {
        let bell = Arc::clone(&world.core().hosts[host as usize].bell);
        Self { world, host, bell, store: None }
    }

    /// Has slow work take as long as the disk of `store` does.
    pub fn with_store(self, store: Arc<Store>) -> Self {
        Self { store: Some(store), ..self }
    }

    /// The host that this is the platform of.
    pub fn host(&self) -> u32 {
        self.host
    }

    /// What a dial comes to, and when: known before that.
    async fn outcome(&self, dial: &Dialling) -> (Instant, Outcome) {
        loop {
            let rung = self.bell.notified();
            let outcome = self.world.core().outcome(dial.id);
            match outcome {
                Some(outcome) => return outcome,
                None => rung.await,
            }
        }
    }
}

impl Platform for Shaped {
    type Stream = Stream;
    type Listener = Listener;
    type Udp = Udp;

    fn now(&self) -> Instant {
        clock::now()
    }

    async fn sleep_until(&self, at: Instant) {
        tokio::time::sleep(std_span(at.since(self.now()))).await;
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<Listener> {
        let inner = TcpListener::bind(addr).await?;
        Ok(Listener { world: self.world.clone(), inner, pending: Mutex::default() })
    }

    fn local_addr(&self, listener: &Listener) -> io::Result<SocketAddr> {
        listener.inner.local_addr()
    }

    async fn accept(&self, listener: &Listener) -> io::Result<(Stream, SocketAddr)> {
        loop {
            let rung = self.bell.notified();
            let next = listener.next(self.now());
            if let Next::Open(stream, from) = next {
                return Ok((stream, from));
            }
            let in_time = async {
                match next {
                    Next::At(at) => self.sleep_until(at).await,
                    _ => pending().await,
                }
            };
            select! {
                biased;
                accepted = listener.inner.accept() => {
                    let (stream, from) = accepted?;
                    listener.lock().push_back(Pending { stream, from, since: self.now() });
                }
                () = rung => {}
                () = in_time => {}
            }
        }
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<Stream> {
        let mut dial = Dialling::start(self, addr);
        // turmoil's own connection is there before the world's; where it fails, the world says when that is known.
        let (at, outcome) = self.outcome(&dial).await;
        let opened = match outcome {
            // It takes turmoil a tick or two, while the answer is on its way.
            Outcome::Open(flow) => TcpStream::connect(addr).await.map(|inner| (inner, flow)),
            Outcome::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
            Outcome::TimedOut => Err(io::ErrorKind::TimedOut.into()),
        };
        self.sleep_until(at).await;
        let (inner, flow) = opened?;
        dial.used = true;
        self.world.core().name(flow, (inner.local_addr()?, addr));
        Ok(Stream::new(self.world.clone(), inner, flow))
    }

    async fn bind_udp(&self, addr: SocketAddr) -> io::Result<Udp> {
        Ok(Udp::new(UdpSocket::bind(addr).await?))
    }

    async fn send_to(&self, socket: &Udp, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        let arrives = self.world.core().send_datagram(self.now(), self.host, to, datagram.len());
        match arrives {
            Some(arrives) => socket.send(arrives, datagram, to).await,
            None => Ok(()),
        }
    }

    async fn recv_from(&self, socket: &Udp, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            if let Some(datagram) = socket.take(self.now(), buf) {
                return Ok(datagram);
            }
            let next = socket.next();
            select! {
                biased;
                came = socket.receive() => came?,
                () = self.sleep_until(next.unwrap_or(Instant::NEVER)), if next.is_some() => {}
            }
        }
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let named = || self.world.core().names.get(host).copied();
        let addr = host.parse::<IpAddr>().ok().or_else(named);
        Ok(vec![SocketAddr::new(addr.ok_or(io::ErrorKind::NotFound)?, port)])
    }

    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        let (result, now) = (work(), self.now());
        let done = self.store.as_ref().map_or(now, |store| store.finish(now));
        async move {
            if done > now {
                self.sleep_until(done).await;
            }
            result
        }
    }
}

/// A dial under way; dropped, it is given up.
struct Dialling {
    world: World,
    id: u32,
    /// Whether a stream has taken the connection over.
    used: bool,
}

impl Dialling {
    fn start(platform: &Shaped, addr: SocketAddr) -> Self {
        let id = platform.world.core().dial(clock::now(), platform.host, addr);
        Self { world: platform.world.clone(), id, used: false }
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        let mut core = self.world.core();
        if let (false, Some((_, Outcome::Open(flow)))) = (self.used, core.outcome(self.id)) {
            core.abandon(flow);
        }
        core.forget(self.id);
    }
}

/// What a listener has to give.
enum Next {
    Open(Stream, SocketAddr),
    At(Instant),
    Nothing,
}

impl Listener {
    /// The next connection, in the order in which turmoil opened them.
    fn next(&self, now: Instant) -> Next {
        let mut pending = self.lock();
        let mut core = self.world.core();
        let mut soonest = None;
        for at in 0..pending.len() {
            let Some((opens, flow)) = core.accepted(pending[at].addrs()) else { continue };
            if opens <= now {
                let pending = pending.remove(at).expect("it is there");
                core.named.remove(&pending.addrs());
                return Next::Open(Stream::new(self.world.clone(), pending.stream, flow), pending.from);
            }
            soonest = Some(soonest.map_or(opens, |soonest: Instant| soonest.min(opens)));
        }
        pending.retain(|pending| {
            core.accepted(pending.addrs()).is_some() || now.since(pending.since) < GIVEN_UP
        });
        soonest.map_or(Next::Nothing, Next::At)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Pending>> {
        self.pending.lock().expect("nothing panics while it holds the connections")
    }
}

impl Pending {
    /// The dialler's address and the listener's.
    fn addrs(&self) -> (SocketAddr, SocketAddr) {
        (self.from, self.stream.local_addr().expect("turmoil knows its streams"))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let pending = std::mem::take(&mut *self.lock());
        let mut core = self.world.core();
        for pending in &pending {
            if let Some(flow) = core.named.remove(&pending.addrs()) {
                let now = core.now;
                core.close(now, flow);
            }
        }
        // Before turmoil's streams are dropped, which lock nothing of ours.
        drop(core);
    }
}
