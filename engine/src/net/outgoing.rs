//! What waits to be sent on one connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use tokio::io::AsyncWrite;

use crate::units::Block;
use crate::wire::{Message, encode, piece_head};

/// Bytes of a `piece` message before those of the block.
const HEAD: u32 = 13;
/// Slices that are given to the system at once.
const SLICES: usize = 64;

/// Messages and blocks in the order in which they go out. A block keeps its place while it is read from disk, so that
/// a `choke` never overtakes what was granted before it.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    queue: VecDeque<Chunk>,
    /// Bytes of the first chunk that were sent.
    sent: usize,
    /// Bytes of messages other than blocks.
    small: usize,
}

#[derive(Debug)]
enum Chunk {
    /// Messages that follow upon each other.
    Messages(BytesMut),
    /// A block, and its bytes once they are read.
    Block { block: Block, head: [u8; HEAD as usize], bytes: Option<Bytes> },
}

impl Chunk {
    /// Bytes on the wire; `None` where they are not there yet.
    fn len(&self) -> Option<usize> {
        match self {
            Self::Messages(bytes) => Some(bytes.len()),
            Self::Block { head, bytes, .. } => bytes.as_ref().map(|bytes| head.len() + bytes.len()),
        }
    }

    fn slices(&self) -> [&[u8]; 2] {
        match self {
            Self::Messages(bytes) => [bytes, &[]],
            Self::Block { head, bytes, .. } => [head, bytes.as_ref().map_or(&[], |bytes| bytes)],
        }
    }
}

impl Outgoing {
    /// Bytes that wait, other than blocks: these are not held back by room, so somebody has to look at them.
    pub(super) fn small(&self) -> usize {
        self.small
    }

    /// Adds a message, which is not a block.
    pub(super) fn push(&mut self, message: &Message) {
        if !matches!(self.queue.back(), Some(Chunk::Messages(_))) {
            self.queue.push_back(Chunk::Messages(BytesMut::new()));
        }
        let Some(Chunk::Messages(bytes)) = self.queue.back_mut() else { unreachable!("pushed above") };
        let before = bytes.len();
        encode(message, bytes).expect("blocks are sent by their own way");
        self.small += bytes.len() - before;
    }

    /// Keeps a place for a block.
    pub(super) fn push_block(&mut self, block: Block) {
        self.queue.push_back(Chunk::Block { block, head: piece_head(block), bytes: None });
    }

    /// Puts the bytes of a block in its place, if it still has one.
    pub(super) fn fill(&mut self, block: Block, with: Bytes) {
        let place = self.queue.iter_mut().find_map(|chunk| match chunk {
            Chunk::Block { block: waiting, bytes: bytes @ None, .. } if *waiting == block => Some(bytes),
            _ => None,
        });
        if let Some(bytes) = place {
            *bytes = Some(with);
        }
    }

    /// Takes a block out, unless it is being sent or is not there; the bytes of room that it gives back.
    pub(super) fn cancel(&mut self, block: Block) -> Option<u32> {
        let begun = usize::from(self.sent > 0);
        let at =
            self.queue.iter().skip(begun).position(
                |chunk| matches!(chunk, Chunk::Block { block: waiting, .. } if *waiting == block),
            )?;
        self.queue.remove(begun + at);
        Some(room_of(block))
    }

    /// Sends as much as goes out now; bytes of room that this made. Where more is left than goes out, `cx` is woken
    /// when there is more to be had.
    pub(super) fn poll_flush(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> io::Result<u32> {
        let mut freed = 0;
        while let Some(written) = self.poll_write(stream, cx) {
            match written {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(sent)) => freed += self.advance(sent),
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(freed)
    }

    /// One write of everything up to the first block that is not read yet; `None` where there is nothing.
    fn poll_write(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Option<Poll<io::Result<usize>>> {
        let ready = self.queue.iter().take_while(|chunk| chunk.len().is_some());
        let mut slices: SmallVec<[IoSlice<'_>; SLICES]> =
            ready.flat_map(Chunk::slices).take(SLICES).map(IoSlice::new).collect();
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, self.sent);
        (!rest.is_empty()).then(|| Pin::new(stream).poll_write_vectored(cx, rest))
    }

    fn advance(&mut self, sent: usize) -> u32 {
        self.sent += sent;
        let mut freed = 0;
        while let Some(len) = self.queue.front().and_then(Chunk::len).filter(|&len| len <= self.sent) {
            self.sent -= len;
            match self.queue.pop_front() {
                Some(Chunk::Block { block, .. }) => freed += room_of(block),
                _ => self.small -= len,
            }
        }
        freed
    }
}

/// "It takes its wire length of the room."
pub(super) fn room_of(block: Block) -> u32 {
    HEAD + block.len
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};

    use super::*;
    use crate::units::PieceIndex;

    fn block(nth: u32) -> Block {
        Block { piece: PieceIndex(nth), begin: 0, len: 100 }
    }

    fn bytes(nth: u32) -> Bytes {
        vec![nth as u8; 100].into()
    }

    fn flush(out: &mut Outgoing, stream: &mut DuplexStream) -> u32 {
        out.poll_flush(stream, &mut Context::from_waker(Waker::noop())).unwrap()
    }

    /// The first byte of each block and the ids of other messages, as far as they are through.
    async fn arrived(mut stream: DuplexStream) -> String {
        let mut told = String::new();
        while let Ok(len) = stream.read_u32().await {
            let mut body = vec![0; len as usize];
            stream.read_exact(&mut body).await.unwrap();
            told += &if body[0] == 7 { format!("[{}]", body[9]) } else { body[0].to_string() };
        }
        told
    }

    #[tokio::test]
    async fn a_block_keeps_its_place_while_it_is_read() {
        let (mut near, far) = duplex(10_000);
        let mut out = Outgoing::default();
        out.push(&Message::Unchoke);
        out.push_block(block(1));
        out.push(&Message::Choke);
        out.push(&Message::Interested);
        out.push_block(block(2));
        out.fill(block(2), bytes(2));
        assert_eq!(flush(&mut out, &mut near), 0);
        out.fill(block(1), bytes(1));
        assert_eq!(flush(&mut out, &mut near), 2 * room_of(block(0)));
        assert_eq!(out.small(), 0);
        drop(near);
        assert_eq!(arrived(far).await, "1[1]02[2]");
    }

    #[tokio::test]
    async fn what_waits_can_be_cancelled_and_what_is_under_way_cannot() {
        let (mut near, mut far) = duplex(50);
        let mut out = Outgoing::default();
        for nth in 1..=4 {
            out.push_block(block(nth));
        }
        for nth in [1, 2, 4] {
            out.fill(block(nth), bytes(nth));
        }
        assert_eq!(flush(&mut out, &mut near), 0, "half a block is through");
        let cancelled: Vec<_> = [1, 2, 3, 3, 9].map(|nth| out.cancel(block(nth))).into();
        assert_eq!(cancelled, [None, Some(113), Some(113), None, None]);
        out.fill(block(3), bytes(3));
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all
        });
        let mut freed = 0;
        while freed < 2 * 113 {
            freed += std::future::poll_fn(|cx| match out.poll_flush(&mut near, cx).unwrap() {
                0 => Poll::Pending,
                freed => Poll::Ready(freed),
            })
            .await;
        }
        drop(near);
        let all = reader.await.unwrap();
        assert_eq!((all.len(), all[13], all[113 + 13]), (2 * 113, 1, 4));
    }
}
