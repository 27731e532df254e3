//! One connection: bytes from the socket to the node, and what the node sends back to the socket.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::core::{Core, Shared};
use super::platform::Platform;
use crate::node::{Disconnect, Input, Node};
use crate::units::ConnId;
use crate::wire::Decoder;

/// The least that is read at once.
const READ_MIN: usize = 4 * 1024;
/// The most that is read at once.
pub(super) const READ_MAX: usize = 256 * 1024;

/// A task that moves bytes both ways until either side has had enough.
///
/// It hands the node all messages of a read under one lock and sends the answers before it waits: no queue and no
/// other task lies between socket and engine.
pub(super) struct Conn<P: Platform, N> {
    pub(super) shared: Arc<Shared<P, N>>,
    pub(super) conn: ConnId,
    pub(super) stream: P::Stream,
    pub(super) incoming: Incoming,
}

impl<P: Platform, N: Node> Conn<P, N> {
    pub(super) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { shared, conn, stream, incoming } = self;
        let mut core = shared.lock();
        let mut reads = 0;
        while let Some(outgoing) = core.begin(*conn) {
            match outgoing.poll_flush(stream, cx) {
                Ok(0) => {}
                Ok(bytes) => {
                    core.input(Input::Writable { conn: *conn, bytes });
                    continue;
                }
                Err(_) => {
                    core.lose(*conn, Disconnect::Reset);
                    break;
                }
            }
            if reads == 2 {
                // The others have their turn, the disk above all.
                cx.waker().wake_by_ref();
                core.wait(*conn, cx);
                return Poll::Pending;
            }
            if core.is_congested() {
                core.wait_for_disk(*conn, cx);
                return Poll::Pending;
            }
            match incoming.poll_read(stream, cx) {
                Poll::Pending => {
                    core.wait(*conn, cx);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => core.lose(*conn, Disconnect::Remote),
                Poll::Ready(Ok(_)) => incoming.deliver(*conn, &mut core),
                Poll::Ready(Err(_)) => core.lose(*conn, Disconnect::Reset),
            }
            reads += 1;
        }
        Poll::Ready(())
    }
}

/// Bytes that came and are not a whole message yet.
#[derive(Debug)]
pub(super) struct Incoming {
    decoder: Decoder,
    buf: BytesMut,
    /// How much is read at once: grows where the socket has more.
    read_len: usize,
}

impl Incoming {
    pub(super) fn new(pieces: u32) -> Self {
        Self { decoder: Decoder::new(pieces), buf: BytesMut::new(), read_len: READ_MIN }
    }

    /// Reads what is there into free space of `read_len` bytes. Blocks are slices of these buffers: they are not
    /// copied on their way to the disk, but for the one that a buffer's end cuts in two.
    fn poll_read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.buf.capacity() - self.buf.len() < self.read_len / 4 {
            self.buf.reserve(self.read_len);
        }
        let space = self.buf.capacity() - self.buf.len();
        let read = pin!(stream.read_buf(&mut self.buf)).poll(cx);
        if matches!(read, Poll::Ready(Ok(len)) if len == space) {
            self.read_len = (self.read_len * 4).min(READ_MAX);
        }
        read
    }

    /// Gives every whole message to the node.
    fn deliver<P: Platform, N: Node>(&mut self, conn: ConnId, core: &mut Core<P, N>) {
        while core.is_open(conn) {
            match self.decoder.decode(&mut self.buf) {
                Ok(Some(message)) => core.input(Input::Message { conn, message }),
                Ok(None) => return,
                Err(malformed) => core.lose(conn, Disconnect::Malformed(malformed.to_string())),
            }
        }
    }
}
