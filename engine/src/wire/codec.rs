//! Messages as bytes. The only state is how far the handshake has come.

use std::ops::RangeInclusive;

use bytes::{Buf as _, BufMut as _, BytesMut};
use thiserror::Error;

use crate::units::{Block, InfoHash, PeerId, PieceIndex};
use crate::wire::{Message, Payload, Reserved};

/// How a handshake begins: "character nineteen (decimal) followed by the string 'BitTorrent protocol'" (BEP 3).
pub const PROTOCOL: [u8; 20] = *b"\x13BitTorrent protocol";
/// The longest block that is taken or served: the longest that common clients serve.
pub const MAX_BLOCK_LEN: u32 = 128 * 1024;
/// The longest body of an extended message, its id included.
const MAX_EXTENDED_LEN: usize = 1 << 20;
/// The longest body of a message with an unknown id.
const MAX_UNKNOWN_LEN: usize = MAX_BLOCK_LEN as usize;
/// Piece and begin, before the bytes of a block.
const BLOCK_HEAD_LEN: usize = 8;

const HELLO_LEN: usize = 48;
const PEER_ID_LEN: usize = 20;
/// The length prefix and the id.
const HEAD_LEN: usize = 5;

/// The ids of the messages (BEP 3, 5, 6, 10).
mod id {
    pub const CHOKE: u8 = 0;
    pub const UNCHOKE: u8 = 1;
    pub const INTERESTED: u8 = 2;
    pub const NOT_INTERESTED: u8 = 3;
    pub const HAVE: u8 = 4;
    pub const BITFIELD: u8 = 5;
    pub const REQUEST: u8 = 6;
    pub const PIECE: u8 = 7;
    pub const CANCEL: u8 = 8;
    pub const PORT: u8 = 9;
    pub const SUGGEST: u8 = 0x0d;
    pub const HAVE_ALL: u8 = 0x0e;
    pub const HAVE_NONE: u8 = 0x0f;
    pub const REJECT: u8 = 0x10;
    pub const ALLOWED_FAST: u8 = 0x11;
    pub const EXTENDED: u8 = 20;
}

/// Bytes that are no message. The connection is of no more use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum WireError {
    /// The connection does not begin like BitTorrent: an encrypted (MSE) dial, which looks like noise, or a stranger.
    #[error("not a plain BitTorrent handshake (encrypted, or another protocol)")]
    OtherProtocol,
    /// No message is that long.
    #[error("a message of {0} bytes")]
    TooLong(u32),
    /// Messages with this id have another length.
    #[error("message {id} with {len} bytes")]
    WrongLength {
        /// The message's id.
        id: u8,
        /// What the length prefix says.
        len: u32,
    },
}

/// A stand-in payload was to be written: the caller mixed up a simulation and the real world.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a synthetic payload has no bytes to send")]
pub struct SyntheticPayload;

/// Appends `message` to `out`: [`Message::wire_len`] bytes.
///
/// # Errors
/// Where the payload of a piece is synthetic; nothing is written then.
pub fn encode(message: &Message, out: &mut BytesMut) -> Result<(), SyntheticPayload> {
    match message {
        Message::Hello { reserved, info_hash } => {
            out.put_slice(&PROTOCOL);
            out.put_slice(&reserved.0);
            out.put_slice(&info_hash.0);
        }
        Message::PeerId(peer_id) => out.put_slice(&peer_id.0),
        Message::KeepAlive => out.put_u32(0),
        Message::Choke => put_head(out, id::CHOKE, 0),
        Message::Unchoke => put_head(out, id::UNCHOKE, 0),
        Message::Interested => put_head(out, id::INTERESTED, 0),
        Message::NotInterested => put_head(out, id::NOT_INTERESTED, 0),
        Message::Have(piece) => put_index(out, id::HAVE, *piece),
        Message::Bitfield(bits) => {
            put_head(out, id::BITFIELD, bits.len());
            out.put_slice(bits);
        }
        Message::Request(block) => put_block(out, id::REQUEST, *block),
        Message::Piece { payload: Payload::Synthetic { .. }, .. } => return Err(SyntheticPayload),
        Message::Piece { block, payload: Payload::Bytes(bytes) } => {
            out.put_slice(&piece_head(Block { len: bytes.len() as u32, ..*block }));
            out.put_slice(bytes);
        }
        Message::Cancel(block) => put_block(out, id::CANCEL, *block),
        Message::Port(port) => {
            put_head(out, id::PORT, 2);
            out.put_u16(*port);
        }
        Message::Suggest(piece) => put_index(out, id::SUGGEST, *piece),
        Message::HaveAll => put_head(out, id::HAVE_ALL, 0),
        Message::HaveNone => put_head(out, id::HAVE_NONE, 0),
        Message::Reject(block) => put_block(out, id::REJECT, *block),
        Message::AllowedFast(piece) => put_index(out, id::ALLOWED_FAST, *piece),
        Message::Extended { id, payload } => {
            put_head(out, id::EXTENDED, 1 + payload.len());
            out.put_u8(*id);
            out.put_slice(payload);
        }
        Message::Unknown(id) => put_head(out, *id, 0),
    }
    Ok(())
}

/// What stands before the bytes of `block` in a `piece` message, for who sends the bytes without copying them.
pub fn piece_head(block: Block) -> [u8; 13] {
    let mut head = [0; 13];
    head[..4].copy_from_slice(&(9 + block.len).to_be_bytes());
    head[4] = id::PIECE;
    head[5..9].copy_from_slice(&block.piece.0.to_be_bytes());
    head[9..].copy_from_slice(&block.begin.to_be_bytes());
    head
}

fn put_head(out: &mut BytesMut, id: u8, body_len: usize) {
    out.put_u32(1 + body_len as u32);
    out.put_u8(id);
}

fn put_index(out: &mut BytesMut, id: u8, piece: PieceIndex) {
    put_head(out, id, 4);
    out.put_u32(piece.0);
}

fn put_block(out: &mut BytesMut, id: u8, block: Block) {
    put_head(out, id, 12);
    out.put_u32(block.piece.0);
    out.put_u32(block.begin);
    out.put_u32(block.len);
}

/// Cuts one direction of one connection into messages.
///
/// It reserves nothing on a peer's word: the buffer holds what came, and a length that no message has is an error as
/// soon as it is read. So a buffer never needs more than the longest message and what one read adds.
#[derive(Clone, Debug)]
pub struct Decoder {
    stage: Stage,
    max_bitfield_len: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Hello,
    PeerId,
    Messages,
}

impl Decoder {
    /// A decoder at the start of a connection, for a torrent of so many pieces.
    pub const fn new(pieces: u32) -> Self {
        Self { stage: Stage::Hello, max_bitfield_len: pieces.div_ceil(8) as usize }
    }

    /// Takes the next message from the front of `buffer`; `None` when more bytes are needed. The bytes of a block
    /// are split off, not copied.
    ///
    /// # Errors
    /// Where the bytes are no message. Nothing is taken then, so that the error stays.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, WireError> {
        match self.stage {
            Stage::Hello => self.hello(buffer),
            Stage::PeerId => Ok(self.peer_id(buffer)),
            Stage::Messages => self.message(buffer),
        }
    }

    fn hello(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, WireError> {
        let seen = buffer.len().min(PROTOCOL.len());
        if buffer[..seen] != PROTOCOL[..seen] {
            return Err(WireError::OtherProtocol);
        }
        if buffer.len() < HELLO_LEN {
            return Ok(None);
        }
        buffer.advance(PROTOCOL.len());
        let mut reserved = [0; 8];
        buffer.copy_to_slice(&mut reserved);
        let mut info_hash = [0; 20];
        buffer.copy_to_slice(&mut info_hash);
        self.stage = Stage::PeerId;
        Ok(Some(Message::Hello { reserved: Reserved(reserved), info_hash: InfoHash(info_hash) }))
    }

    fn peer_id(&mut self, buffer: &mut BytesMut) -> Option<Message> {
        let peer_id = *buffer.first_chunk::<PEER_ID_LEN>()?;
        buffer.advance(PEER_ID_LEN);
        self.stage = Stage::Messages;
        Some(Message::PeerId(PeerId(peer_id)))
    }

    fn message(&self, buffer: &mut BytesMut) -> Result<Option<Message>, WireError> {
        let Some(prefix) = buffer.first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_be_bytes(*prefix);
        if len == 0 {
            buffer.advance(4);
            return Ok(Some(Message::KeepAlive));
        }
        let body_len = len as usize - 1;
        if body_len > self.max_bitfield_len.max(MAX_EXTENDED_LEN) {
            return Err(WireError::TooLong(len));
        }
        let Some(&id) = buffer.get(4) else { return Ok(None) };
        if !self.body_lens(id).contains(&body_len) {
            return Err(WireError::WrongLength { id, len });
        }
        if buffer.len() < HEAD_LEN + body_len {
            return Ok(None);
        }
        buffer.advance(HEAD_LEN);
        Ok(Some(take_body(id, body_len, buffer)))
    }

    /// How long the body of a message may be.
    fn body_lens(&self, id: u8) -> RangeInclusive<usize> {
        match id {
            id::CHOKE | id::UNCHOKE | id::INTERESTED | id::NOT_INTERESTED => 0..=0,
            id::HAVE_ALL | id::HAVE_NONE => 0..=0,
            id::PORT => 2..=2,
            id::HAVE | id::SUGGEST | id::ALLOWED_FAST => 4..=4,
            id::REQUEST | id::CANCEL | id::REJECT => 12..=12,
            id::BITFIELD => 0..=self.max_bitfield_len,
            id::PIECE => BLOCK_HEAD_LEN..=BLOCK_HEAD_LEN + MAX_BLOCK_LEN as usize,
            id::EXTENDED => 1..=MAX_EXTENDED_LEN,
            _ => 0..=MAX_UNKNOWN_LEN,
        }
    }
}

/// Takes the body of a message, which is all there and has a length that is right for `id`.
fn take_body(id: u8, len: usize, buffer: &mut BytesMut) -> Message {
    match id {
        id::CHOKE => Message::Choke,
        id::UNCHOKE => Message::Unchoke,
        id::INTERESTED => Message::Interested,
        id::NOT_INTERESTED => Message::NotInterested,
        id::HAVE => Message::Have(take_index(buffer)),
        id::BITFIELD => Message::Bitfield(buffer.split_to(len).freeze()),
        id::REQUEST => Message::Request(take_block(buffer)),
        id::PIECE => {
            let (piece, begin) = (take_index(buffer), buffer.get_u32());
            let bytes = buffer.split_to(len - BLOCK_HEAD_LEN).freeze();
            let block = Block { piece, begin, len: bytes.len() as u32 };
            Message::Piece { block, payload: Payload::Bytes(bytes) }
        }
        id::CANCEL => Message::Cancel(take_block(buffer)),
        id::PORT => Message::Port(buffer.get_u16()),
        id::SUGGEST => Message::Suggest(take_index(buffer)),
        id::HAVE_ALL => Message::HaveAll,
        id::HAVE_NONE => Message::HaveNone,
        id::REJECT => Message::Reject(take_block(buffer)),
        id::ALLOWED_FAST => Message::AllowedFast(take_index(buffer)),
        id::EXTENDED => Message::Extended { id: buffer.get_u8(), payload: buffer.split_to(len - 1).freeze() },
        other => {
            buffer.advance(len);
            Message::Unknown(other)
        }
    }
}

fn take_index(buffer: &mut BytesMut) -> PieceIndex {
    PieceIndex(buffer.get_u32())
}

fn take_block(buffer: &mut BytesMut) -> Block {
    Block { piece: take_index(buffer), begin: buffer.get_u32(), len: buffer.get_u32() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    const PIECES: u32 = 100;

    fn encoded(messages: &[Message]) -> BytesMut {
        let mut bytes = BytesMut::new();
        messages.iter().for_each(|message| encode(message, &mut bytes).unwrap());
        bytes
    }

    fn handshake() -> [Message; 2] {
        [
            Message::Hello { reserved: Reserved::OURS, info_hash: InfoHash([7; 20]) },
            Message::PeerId(PeerId(*b"-TL0100-abcdefghijkl")),
        ]
    }

    fn decode_all(decoder: &mut Decoder, buffer: &mut BytesMut) -> Result<Vec<Message>, WireError> {
        let mut messages = Vec::new();
        while let Some(message) = decoder.decode(buffer)? {
            messages.push(message);
        }
        Ok(messages)
    }

    /// What a decoder past the handshake says of `bytes`.
    fn after_handshake(bytes: &[u8]) -> Result<Vec<Message>, WireError> {
        let mut decoder = Decoder { stage: Stage::Messages, ..Decoder::new(PIECES) };
        decode_all(&mut decoder, &mut bytes.into())
    }

    #[test]
    fn the_hello_comes_out_before_the_peer_id() {
        let bytes = encoded(&handshake());
        assert_eq!(bytes.len(), 68);
        assert_eq!(&bytes[..28], b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x04");
        let mut decoder = Decoder::new(PIECES);
        let mut buffer = BytesMut::new();
        for (at, byte) in bytes.iter().enumerate() {
            buffer.put_u8(*byte);
            let expected = match at + 1 {
                48 => Some(handshake()[0].clone()),
                68 => Some(handshake()[1].clone()),
                _ => None,
            };
            assert_eq!(decoder.decode(&mut buffer), Ok(expected), "after {} bytes", at + 1);
        }
    }

    #[test]
    fn another_protocol_is_seen_at_its_first_byte() {
        for bytes in [&b"\x12"[..], b"\x13BitTorrenT", b"GET / HTTP/1.1\r\n", &[0xa7; 96]] {
            let mut buffer = BytesMut::from(bytes);
            let mut decoder = Decoder::new(PIECES);
            assert_eq!(decoder.decode(&mut buffer), Err(WireError::OtherProtocol));
            assert_eq!(decoder.decode(&mut buffer), Err(WireError::OtherProtocol), "and stays");
        }
    }

    #[test]
    fn wire_forms() {
        let block = Block { piece: PieceIndex(1), begin: 0x4000, len: 3 };
        for (message, bytes) in [
            (Message::KeepAlive, &b"\0\0\0\0"[..]),
            (Message::Choke, b"\0\0\0\x01\0"),
            (Message::Have(PieceIndex(258)), b"\0\0\0\x05\x04\0\0\x01\x02"),
            (Message::Bitfield(Bytes::from_static(b"\xf0")), b"\0\0\0\x02\x05\xf0"),
            (Message::Request(block), b"\0\0\0\x0d\x06\0\0\0\x01\0\0\x40\0\0\0\0\x03"),
            (
                Message::Piece { block, payload: Payload::Bytes(Bytes::from_static(b"abc")) },
                b"\0\0\0\x0c\x07\0\0\0\x01\0\0\x40\0abc",
            ),
            (Message::Port(6881), b"\0\0\0\x03\x09\x1a\xe1"),
            (Message::HaveAll, b"\0\0\0\x01\x0e"),
            (Message::Reject(block), b"\0\0\0\x0d\x10\0\0\0\x01\0\0\x40\0\0\0\0\x03"),
            (Message::Extended { id: 0, payload: Bytes::from_static(b"de") }, b"\0\0\0\x04\x14\0de"),
        ] {
            assert_eq!(encoded(std::slice::from_ref(&message)), bytes);
            assert_eq!(after_handshake(bytes), Ok(vec![message]));
        }
    }

    #[test]
    fn lengths_that_no_message_has_are_refused_before_the_body_comes() {
        let refused = |len: u32, id: u8| {
            let mut bytes = len.to_be_bytes().to_vec();
            bytes.push(id);
            after_handshake(&bytes)
        };
        for (len, id) in [
            (2, id::CHOKE),
            (4, id::HAVE),
            (6, id::HAVE),
            (12, id::REQUEST),
            (14, id::CANCEL),
            (2, id::PORT),
            (8, id::PIECE),
            (10 + MAX_BLOCK_LEN, id::PIECE),
            (1 + PIECES.div_ceil(8) + 1, id::BITFIELD),
            (2, id::HAVE_NONE),
            (1, id::EXTENDED),
            (2 + (1 << 20), id::EXTENDED),
            (2 + MAX_BLOCK_LEN, 99),
        ] {
            let expected = match len {
                len if len > 1 + (1 << 20) => WireError::TooLong(len),
                len => WireError::WrongLength { id, len },
            };
            assert_eq!(refused(len, id), Err(expected));
        }
        for (len, id) in [(9 + MAX_BLOCK_LEN, id::PIECE), (1 + (1 << 20), id::EXTENDED), (14, id::BITFIELD)] {
            assert_eq!(refused(len, id), Ok(vec![]), "the longest of message {id} is waited for");
        }
        assert_eq!(after_handshake(&[0xff; 4]), Err(WireError::TooLong(u32::MAX)));
    }

    #[test]
    fn the_bitfield_of_a_large_torrent_fits() {
        let mut decoder = Decoder { stage: Stage::Messages, ..Decoder::new(16 << 20) };
        let message = Message::Bitfield(vec![0xff; 2 << 20].into());
        assert_eq!(decode_all(&mut decoder, &mut encoded(std::slice::from_ref(&message))), Ok(vec![message]));
    }

    #[test]
    fn unknown_messages_are_passed_over_whole() {
        assert_eq!(
            after_handshake(b"\0\0\0\x04\x63abc\0\0\0\x01\x01"),
            Ok(vec![Message::Unknown(99), Message::Unchoke])
        );
    }

    #[test]
    fn a_block_is_not_copied() {
        let block = Block { piece: PieceIndex(0), begin: 0, len: 16384 };
        let payload = Payload::Bytes(vec![5; 16384].into());
        let mut buffer = encoded(&[Message::Piece { block, payload }]);
        let place = buffer[13..].as_ptr();
        let mut decoder = Decoder { stage: Stage::Messages, ..Decoder::new(PIECES) };
        let Ok(Some(Message::Piece { payload: Payload::Bytes(bytes), .. })) = decoder.decode(&mut buffer)
        else {
            panic!("a piece");
        };
        assert_eq!(bytes.as_ptr(), place);
    }

    #[test]
    fn a_synthetic_payload_is_not_written() {
        let block = Block { piece: PieceIndex(0), begin: 0, len: 10 };
        let mut out = BytesMut::new();
        let message = Message::Piece { block, payload: Payload::Synthetic { len: 10, tag: 1 } };
        assert_eq!(encode(&message, &mut out), Err(SyntheticPayload));
        assert!(out.is_empty());
    }

    fn messages() -> impl Strategy<Value = Message> {
        let piece = || any::<u32>().prop_map(PieceIndex);
        let block = || {
            (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(piece, begin, len)| Block {
                piece: PieceIndex(piece),
                begin,
                len,
            })
        };
        let bytes = |max| prop::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from);
        prop_oneof![
            prop::sample::select(vec![
                Message::KeepAlive,
                Message::Choke,
                Message::Unchoke,
                Message::Interested,
                Message::NotInterested,
                Message::HaveAll,
                Message::HaveNone,
            ]),
            piece().prop_map(Message::Have),
            piece().prop_map(Message::Suggest),
            piece().prop_map(Message::AllowedFast),
            block().prop_map(Message::Request),
            block().prop_map(Message::Cancel),
            block().prop_map(Message::Reject),
            any::<u16>().prop_map(Message::Port),
            bytes(13).prop_map(Message::Bitfield),
            (any::<u8>(), bytes(40)).prop_map(|(id, payload)| Message::Extended { id, payload }),
            (block(), bytes(300)).prop_map(|(block, bytes)| Message::Piece {
                block: Block { len: bytes.len() as u32, ..block },
                payload: Payload::Bytes(bytes),
            }),
            (21u8..).prop_map(Message::Unknown),
        ]
    }

    proptest! {
        #[test]
        fn any_split_of_a_stream_decodes_equally(
            body in prop::collection::vec(messages(), 0..20),
            cuts in prop::collection::vec(1usize..60, 1..20),
        ) {
            let messages = [handshake().to_vec(), body].concat();
            let mut stream = encoded(&messages);
            prop_assert_eq!(stream.len() as u32, messages.iter().map(Message::wire_len).sum::<u32>());
            let (mut decoder, mut buffer, mut seen) = (Decoder::new(PIECES), BytesMut::new(), Vec::new());
            for cut in cuts.iter().cycle() {
                buffer.extend_from_slice(&stream.split_to((*cut).min(stream.len())));
                seen.extend(decode_all(&mut decoder, &mut buffer).unwrap());
                if stream.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(seen, messages);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = after_handshake(&bytes);
        }

        /// Lengths and ids that are nearly right, so that the bodies are reached.
        #[test]
        fn plausible_bytes_are_answered(frames in prop::collection::vec((0u8..24, 0u8..22, any::<u64>()), 0..40)) {
            let mut bytes = Vec::new();
            for (len, id, body) in frames {
                bytes.extend([0, 0, 0, len, id]);
                bytes.extend(body.to_be_bytes().iter().cycle().take(usize::from(len).saturating_sub(1)));
            }
            let _ = after_handshake(&bytes);
        }
    }
}
