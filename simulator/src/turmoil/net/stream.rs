//! A connection, as an application has it.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::turmoil::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use torrentlab_engine::time::Instant;

use super::World;
use super::clock::{now, std_span};
use crate::link::End;

/// A TCP connection whose bytes take their time: turmoil's stream carries them, at once, and the world says when the
/// application may read them and how many it may write.
pub struct Stream {
    world: World,
    inner: TcpStream,
    /// The way out; the way in is its twin.
    flow: u32,
    /// Set to when the next bytes may be read.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// What there is to read.
enum Readable {
    Bytes(u64),
    End(End),
    Later(Instant),
    Nothing,
}

impl Stream {
    pub(super) fn new(world: World, inner: TcpStream, flow: u32) -> Self {
        Self { world, inner, flow, alarm: None }
    }

    fn readable(&self, now: Instant, cx: &Context<'_>) -> Readable {
        let mut core = self.world.core();
        let receiver = &mut core.flows[self.flow as usize ^ 1].receiver;
        let there = receiver.arrived.iter().take_while(|&&(at, _)| at <= now);
        let bytes = there.map(|&(_, bytes)| u64::from(bytes)).sum();
        if bytes > 0 {
            return Readable::Bytes(bytes);
        }
        let next = receiver.arrived.front().map(|&(at, _)| at);
        match (next, receiver.end) {
            (Some(at), _) => Readable::Later(at),
            (None, Some((at, end))) if at <= now => Readable::End(end),
            (None, Some((at, _))) => Readable::Later(at),
            (None, None) => {
                register(&mut receiver.waker, cx);
                Readable::Nothing
            }
        }
    }

    /// Takes up to `bytes` out of turmoil's stream, where they are since the tick after they were sent.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        bytes: u64,
    ) -> Poll<io::Result<u64>> {
        let wanted = usize::try_from(bytes).unwrap_or(usize::MAX).min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(wanted));
        let mut taken = 0;
        while taken < wanted {
            match Pin::new(&mut self.inner).poll_read(cx, &mut part)? {
                // The task has had its share of the thread: tokio wakes it at once.
                Poll::Pending if taken == 0 => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(()) => {
                    assert!(part.filled().len() > taken, "turmoil delivers what has arrived");
                    taken = part.filled().len();
                }
            }
        }
        buf.advance(taken);
        Poll::Ready(Ok(taken as u64))
    }

    /// Waits until `at`, unless that is over.
    fn poll_alarm(&mut self, cx: &mut Context<'_>, now: Instant, at: Instant) -> Poll<()> {
        let at = tokio::time::Instant::now() + std_span(at.since(now));
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if alarm.deadline() != at {
            alarm.as_mut().reset(at);
        }
        alarm.as_mut().poll(cx)
    }

    /// Bytes that may be written now.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<io::Result<u64>> {
        let mut core = self.world.core();
        let intake = core.intake(now(), self.flow);
        let sender = &core.flows[self.flow as usize].sender;
        if sender.broken || sender.shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match intake.saturating_sub(sender.buffered) {
            0 => {
                core.await_room(self.flow, cx.waker());
                Poll::Pending
            }
            room => Poll::Ready(Ok(room)),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            let now = now();
            match this.readable(now, cx) {
                Readable::Bytes(bytes) => {
                    let read = ready!(this.poll_take(cx, buf, bytes))?;
                    this.world.core().read(now, this.flow ^ 1, read);
                    return Poll::Ready(Ok(()));
                }
                Readable::End(End::Close) => return Poll::Ready(Ok(())),
                Readable::End(End::Reset) => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Readable::Later(at) => ready!(this.poll_alarm(cx, now, at)),
                Readable::Nothing => return Poll::Pending,
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut room = ready!(this.poll_room(cx))?;
        let mut written = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            let part = &slice[..usize::try_from(room).unwrap_or(usize::MAX).min(slice.len())];
            if part.is_empty() {
                break;
            }
            match Pin::new(&mut this.inner).poll_write(cx, part) {
                Poll::Ready(Ok(sent)) => assert_eq!(sent, part.len(), "turmoil takes in segments whole"),
                // The other end is gone, which this one learns in the world's time. Nobody will miss the bytes.
                Poll::Ready(Err(_)) => {}
                Poll::Pending => break,
            }
            written += part.len();
            room -= part.len() as u64;
        }
        if written == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Poll::Pending;
        }
        this.world.core().write(now(), this.flow, written as u32);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.world.core().shut(now(), self.flow);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.world.close(self.flow);
    }
}

fn register(waker: &mut Option<std::task::Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waker = Some(cx.waker().clone()),
    }
}
