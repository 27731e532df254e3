//! What the driver needs of the world: connections, a clock and somewhere to do slow work.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, lookup_host};

use crate::time::Instant;

/// The world under a driver. Tasks are tokio's in every world; what differs is the network and the slow work, which a
/// simulated world does inline so that it costs simulated time.
pub trait Platform: Clone + Send + Sync + 'static {
    /// A TCP connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// A listening TCP socket.
    type Listener: Send + Sync + 'static;
    /// A UDP socket.
    type Udp: Send + Sync + 'static;

    /// The time since the platform was made.
    fn now(&self) -> Instant;

    /// Waits until `at` or later.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send;

    /// Listens; port 0 takes a free one.
    fn bind(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Where a listener listens.
    ///
    /// # Errors
    /// The system's.
    fn local_addr(&self, listener: &Self::Listener) -> io::Result<SocketAddr>;

    /// The next connection from outside. Nothing is lost when the future is dropped.
    fn accept(
        &self,
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Opens a connection.
    fn connect(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// A UDP socket at `addr`; port 0 takes a free one, and the unspecified address stands for wherever connections go
    /// out from.
    fn bind_udp(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Udp>> + Send;

    /// Sends a datagram, which may get lost.
    fn send_to(
        &self,
        socket: &Self::Udp,
        datagram: &[u8],
        to: SocketAddr,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// The next datagram: its length, cut to that of `buf`, and where it comes from. Nothing is lost when the future is
    /// dropped.
    fn recv_from(
        &self,
        socket: &Self::Udp,
        buf: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;

    /// The addresses of a host name.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Does work that would hold up the network: disk and hashing.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send;
}

/// The real world: tokio's sockets, clock and blocking threads.
#[derive(Clone, Copy, Debug)]
pub struct Tokio {
    start: tokio::time::Instant,
    source: Option<IpAddr>,
}

impl Tokio {
    /// A world whose outgoing connections come from `source`, unless that is the unspecified address.
    pub fn new(source: IpAddr) -> Self {
        let source = Some(source).filter(|ip| !ip.is_unspecified());
        Self { start: tokio::time::Instant::now(), source }
    }

    /// The source, where it is of the same family as `addr`.
    fn source_for(&self, addr: SocketAddr) -> Option<IpAddr> {
        self.source.filter(|ip| ip.is_ipv4() == addr.is_ipv4())
    }
}

impl Platform for Tokio {
    type Stream = TcpStream;
    type Listener = TcpListener;
    type Udp = UdpSocket;

    fn now(&self) -> Instant {
        let nanos = self.start.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).expect("a run is shorter than 584 years"))
    }

    async fn sleep_until(&self, at: Instant) {
        tokio::time::sleep_until(self.start + std::time::Duration::from_nanos(at.as_nanos())).await;
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(addr).await
    }

    fn local_addr(&self, listener: &TcpListener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, addr) = listener.accept().await?;
        // It fails only where the connection is already gone, which the first read tells.
        let _ = stream.set_nodelay(true);
        Ok((stream, addr))
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = self.source_for(addr) {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn bind_udp(&self, mut addr: SocketAddr) -> io::Result<UdpSocket> {
        if let Some(source) = self.source_for(addr).filter(|_| addr.ip().is_unspecified()) {
            addr.set_ip(source);
        }
        UdpSocket::bind(addr).await
    }

    async fn send_to(&self, socket: &UdpSocket, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        socket.send_to(datagram, to).await.map(drop)
    }

    async fn recv_from(&self, socket: &UdpSocket, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        socket.recv_from(buf).await
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((host, port)).await?.collect())
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }
}
