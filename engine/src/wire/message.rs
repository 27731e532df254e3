//! Every message that two peers exchange (BEP 3, 5, 6, 10), typed.

use bytes::Bytes;

use crate::units::{Block, InfoHash, PeerId, PieceIndex};

/// The bytes of a block, which the engine hands on and never looks into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// Real bytes.
    Bytes(Bytes),
    /// A stand-in for `len` bytes in a simulation; content is equal where tags are.
    Synthetic {
        /// How many bytes it stands for.
        len: u32,
        /// What the content would be.
        tag: u64,
    },
}

impl Payload {
    /// Length in bytes.
    pub fn len(&self) -> u32 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u32,
            Self::Synthetic { len, .. } => *len,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The eight reserved bytes of a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reserved(pub [u8; 8]);

impl Reserved {
    /// What this engine speaks: the Fast extension and the extension protocol.
    pub const OURS: Self = Self([0, 0, 0, 0, 0, 0x10, 0, 0x04]);

    /// "The Fast Extension is enabled by setting the third least significant bit of the last reserved byte" (BEP 6).
    pub const fn fast(self) -> bool {
        self.0[7] & 0x04 != 0
    }

    /// "The bit selected for the extension protocol is bit 20 from the right" (BEP 10).
    pub const fn extended(self) -> bool {
        self.0[5] & 0x10 != 0
    }
}

/// One message. The handshake is two of them, since a peer answers it before the peer id has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// The first 48 bytes of a handshake: protocol name, reserved bytes, info-hash (BEP 3).
    Hello {
        /// Which extensions the sender speaks.
        reserved: Reserved,
        /// Which torrent it wants.
        info_hash: InfoHash,
    },
    /// The last 20 bytes of a handshake (BEP 3).
    PeerId(PeerId),
    /// No news; "generally sent once every two minutes" (BEP 3).
    KeepAlive,
    /// The sender will not serve requests for now (BEP 3).
    Choke,
    /// The sender serves requests from now on (BEP 3).
    Unchoke,
    /// The sender wants something that the receiver has (BEP 3).
    Interested,
    /// The sender wants nothing that the receiver has (BEP 3).
    NotInterested,
    /// The sender completed and checked a piece (BEP 3).
    Have(PieceIndex),
    /// The pieces that the sender has, a bit each: the wire form, its length unchecked (BEP 3).
    Bitfield(Bytes),
    /// Asks for a block (BEP 3).
    Request(Block),
    /// A block; `block.len` is the payload's length (BEP 3).
    Piece {
        /// Which one.
        block: Block,
        /// Its bytes.
        payload: Payload,
    },
    /// Takes a request back (BEP 3).
    Cancel(Block),
    /// The sender's DHT port (BEP 5).
    Port(u16),
    /// "You might like to download this piece" (BEP 6).
    Suggest(PieceIndex),
    /// The sender has every piece, in place of a bitfield (BEP 6).
    HaveAll,
    /// The sender has no piece, in place of a bitfield (BEP 6).
    HaveNone,
    /// The request will not be served (BEP 6).
    Reject(Block),
    /// "If you ask for this piece, I'll give it to you even if you're choked" (BEP 6).
    AllowedFast(PieceIndex),
    /// A message of the extension protocol; id 0 is its handshake (BEP 10).
    Extended {
        /// The id that the receiver gave to the extension.
        id: u8,
        /// What follows the id.
        payload: Bytes,
    },
    /// A message with an id that this engine does not know.
    Unknown(u8),
}

impl Message {
    /// Bytes that the message takes on the wire.
    pub fn wire_len(&self) -> u32 {
        match self {
            Self::Hello { .. } => 48,
            Self::PeerId(_) => 20,
            Self::KeepAlive => 4,
            Self::Choke
            | Self::Unchoke
            | Self::Interested
            | Self::NotInterested
            | Self::HaveAll
            | Self::HaveNone => 5,
            Self::Unknown(_) => 5,
            Self::Port(_) => 7,
            Self::Have(_) | Self::Suggest(_) | Self::AllowedFast(_) => 9,
            Self::Request(_) | Self::Cancel(_) | Self::Reject(_) => 17,
            Self::Bitfield(bits) => 5 + bits.len() as u32,
            Self::Extended { payload, .. } => 6 + payload.len() as u32,
            Self::Piece { payload, .. } => 13 + payload.len(),
        }
    }
}
