//! UDP: a datagram says when it arrives.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;

use ::turmoil::net::UdpSocket;
use torrentlab_engine::time::Instant;

use super::core::{Core, Event, Landing};
use crate::link::Presence;
use crate::paths::Passage;

/// Bytes of the IP and UDP headers.
const HEADERS: u32 = 28;
/// Bytes before the datagram's own: when it arrives, nanoseconds.
const STAMP: usize = 8;
/// The longest datagram.
const MAX: usize = 65_507;

/// A UDP socket. Datagrams take their link time and the latency, and they do not wait for other traffic.
pub struct Udp {
    inner: UdpSocket,
    /// Datagrams that turmoil has delivered: when they arrive, what they are, and from whom.
    came: Mutex<VecDeque<(Instant, Vec<u8>, SocketAddr)>>,
}

impl Udp {
    pub(super) fn new(inner: UdpSocket) -> Self {
        Self { inner, came: Mutex::default() }
    }

    pub(super) async fn send(&self, arrives: Instant, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        let stamped = [&arrives.as_nanos().to_be_bytes(), datagram].concat();
        self.inner.send_to(&stamped, to).await.map(drop)
    }

    /// Takes in the next one that turmoil delivers.
    pub(super) async fn receive(&self) -> io::Result<()> {
        let mut buf = vec![0; STAMP + MAX];
        let (len, from) = self.inner.recv_from(&mut buf).await?;
        let (stamp, datagram) = buf[..len].split_at(STAMP);
        let arrives = Instant::from_nanos(u64::from_be_bytes(stamp.try_into().expect("so many bytes")));
        let mut came = self.came.lock().expect("nothing panics while it holds the datagrams");
        let place = came.partition_point(|&(other, ..)| other <= arrives);
        came.insert(place, (arrives, datagram.to_vec(), from));
        Ok(())
    }

    /// When the next one arrives, as far as is known.
    pub(super) fn next(&self) -> Option<Instant> {
        let came = self.came.lock().expect("nothing panics while it holds the datagrams");
        came.front().map(|&(arrives, ..)| arrives)
    }

    /// The next one, if it has arrived: its length, cut to that of `buf`, and where it comes from.
    pub(super) fn take(&self, now: Instant, buf: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let mut came = self.came.lock().expect("nothing panics while it holds the datagrams");
        let (_, datagram, from) = came.pop_front_if(|(arrives, ..)| *arrives <= now)?;
        let len = datagram.len().min(buf.len());
        buf[..len].copy_from_slice(&datagram[..len]);
        Some((len, from))
    }
}

impl Core {
    /// A host sends a datagram: when it arrives, unless it is lost.
    pub fn send_datagram(
        &mut self,
        now: Instant,
        from: u32,
        to: SocketAddr,
        bytes: usize,
    ) -> Option<Instant> {
        let wire = HEADERS + u32::try_from(bytes).expect("a datagram is short");
        self.push(now, Event::Charge { host: from, wire });
        let &to = self.addrs.get(&to.ip())?;
        let path = self.paths.path(from, to);
        if path.passage != Passage::Open || self.hosts[to as usize].presence != Presence::Up {
            return None;
        }
        let latency = self.latency_of(from, to);
        let sender = &mut self.hosts[from as usize];
        let lands = now + sender.uplink.time_of(wire) + latency + sender.draw_jitter();
        let receiver = &mut self.hosts[to as usize].downlink;
        receiver.expect(wire);
        let arrives = lands + receiver.time_of(wire);
        self.push_landing(lands, Landing::Datagram { host: to, wire });
        Some(arrives)
    }
}
