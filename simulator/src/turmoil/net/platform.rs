//! The engine's platform on a host of the world.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ::turmoil::net::{TcpListener, TcpStream, UdpSocket};
use torrentlab_engine::net::Platform;
use torrentlab_engine::time::Instant;

use super::{Stream, World};
use crate::turmoil::storage::Store;

/// The world as a driver on one of its hosts sees it. Must be used inside that host's software.
#[derive(Clone)]
pub struct Shaped {
    world: World,
    host: u32,
    store: Option<Arc<Store>>,
}

/// A listening TCP socket.
pub struct Listener {
    inner: TcpListener,
}

impl Shaped {
    pub(super) fn new(world: World, host: u32) -> Self {
        Self { world, host, store: None }
    }

    /// Has slow work take as long as the disk of `store` does.
    pub fn with_store(self, store: Arc<Store>) -> Self {
        Self { store: Some(store), ..self }
    }

    /// The host that this is the platform of.
    pub fn host(&self) -> u32 {
        self.host
    }
}

impl Platform for Shaped {
    type Stream = Stream;
    type Listener = Listener;
    /// Datagrams are few and small (the tracker's): they pass the links unshaped.
    type Udp = UdpSocket;

    fn now(&self) -> Instant {
        let elapsed = ::turmoil::sim_elapsed().expect("inside the simulation");
        Instant::from_nanos(u64::try_from(elapsed.as_nanos()).expect("a run is shorter than 584 years"))
    }

    async fn sleep_until(&self, at: Instant) {
        tokio::time::sleep(std::time::Duration::from_nanos(at.since(self.now()).as_nanos())).await;
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<Listener> {
        Ok(Listener { inner: TcpListener::bind(addr).await? })
    }

    fn local_addr(&self, listener: &Listener) -> io::Result<SocketAddr> {
        listener.inner.local_addr()
    }

    async fn accept(&self, listener: &Listener) -> io::Result<(Stream, SocketAddr)> {
        let (stream, from) = listener.inner.accept().await?;
        Ok((Stream::new(stream), from))
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<Stream> {
        Ok(Stream::new(TcpStream::connect(addr).await?))
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
