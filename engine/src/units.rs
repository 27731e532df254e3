//! The small types that everything else is said in: pieces, blocks, identities, and the shape of the content.

use std::fmt;

use thiserror::Error;

/// Bytes in a block, the unit that is asked for and sent: "All current implementations use 2^14 (16 kiB)" (BEP 3).
pub const BLOCK_LEN: u32 = 16 * 1024;

/// The index of a piece, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PieceIndex(pub u32);

impl PieceIndex {
    /// The index as a position in a slice.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for PieceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stretch of one piece, as it stands in `request`, `cancel`, `reject` and in the head of `piece` (BEP 3, 6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Block {
    /// The piece that it lies in.
    pub piece: PieceIndex,
    /// Its first byte, counted from the start of the piece.
    pub begin: u32,
    /// Its length in bytes.
    pub len: u32,
}

/// SHA-1 of a torrent's `info` dictionary: the torrent's identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash(pub [u8; 20]);

/// The 20 bytes by which a peer calls itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 20]);

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// One connection of one node: a slot, and how often that slot was used before. The driver hands them out
/// ([`ConnSlots`]); an id whose generation is past is dead, and input for it is ignored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    slot: u32,
    generation: u32,
}

impl ConnId {
    /// The position of the connection in a dense table.
    pub const fn slot(self) -> usize {
        self.slot as usize
    }

    /// How many connections used the slot before this one.
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}.{}", self.slot, self.generation)
    }
}

/// Hands out [`ConnId`]s for one node, the lowest free slot first, so that tables indexed by slot stay dense.
#[derive(Debug, Default)]
pub struct ConnSlots {
    generations: Vec<u32>,
    free: std::collections::BinaryHeap<std::cmp::Reverse<u32>>,
}

impl ConnSlots {
    /// An id that no living connection has.
    pub fn open(&mut self) -> ConnId {
        let slot = self.free.pop().map_or_else(
            || {
                self.generations.push(0);
                self.generations.len() as u32 - 1
            },
            |std::cmp::Reverse(slot)| slot,
        );
        ConnId { slot, generation: self.generations[slot as usize] }
    }

    /// Ends `conn`; its slot may be used again under another generation. A dead id is ignored.
    pub fn close(&mut self, conn: ConnId) {
        if self.is_open(conn) {
            self.generations[conn.slot()] += 1;
            self.free.push(std::cmp::Reverse(conn.slot));
        }
    }

    /// Whether `conn` was handed out and not closed since.
    pub fn is_open(&self, conn: ConnId) -> bool {
        self.generations.get(conn.slot()) == Some(&conn.generation)
    }
}

/// How a torrent's bytes are cut into pieces and blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    total_len: u64,
    piece_len: u32,
}

/// Why a content length and a piece length do not go together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// There is nothing to share.
    #[error("the content is empty: a torrent needs at least one byte")]
    Empty,
    /// Pieces of no length.
    #[error("the piece length is 0")]
    NoPieceLength,
    /// Pieces too long to hold the state of their blocks.
    #[error("a piece length of {0} bytes is too long (at most {max})", max = Geometry::MAX_PIECE_LEN)]
    LongPieces(u32),
    /// More pieces than an index can count, or than is sane to hold in memory.
    #[error("{0} pieces are too many (at most {max}): choose a larger piece length", max = Geometry::MAX_PIECES)]
    TooManyPieces(u64),
}

impl Geometry {
    /// The most pieces that a torrent may have: hashes of 80 MiB.
    pub const MAX_PIECES: u64 = 1 << 22;

    /// The longest piece: 16,384 blocks.
    pub const MAX_PIECE_LEN: u32 = 256 * 1024 * 1024;

    /// The shape of `total_len` bytes in pieces of `piece_len` bytes.
    ///
    /// # Errors
    /// Where either is 0, or the pieces would be too many or too long.
    pub fn new(total_len: u64, piece_len: u32) -> Result<Self, GeometryError> {
        if total_len == 0 {
            return Err(GeometryError::Empty);
        }
        if piece_len == 0 {
            return Err(GeometryError::NoPieceLength);
        }
        if piece_len > Self::MAX_PIECE_LEN {
            return Err(GeometryError::LongPieces(piece_len));
        }
        match total_len.div_ceil(u64::from(piece_len)) {
            pieces if pieces > Self::MAX_PIECES => Err(GeometryError::TooManyPieces(pieces)),
            _ => Ok(Self { total_len, piece_len }),
        }
    }

    /// Bytes in all.
    pub const fn total_len(&self) -> u64 {
        self.total_len
    }

    /// Bytes of every piece but the last.
    pub const fn piece_len(&self) -> u32 {
        self.piece_len
    }

    /// How many pieces there are.
    pub const fn pieces(&self) -> u32 {
        self.total_len.div_ceil(self.piece_len as u64) as u32
    }

    /// Whether `piece` is one of them.
    pub const fn contains(&self, piece: PieceIndex) -> bool {
        piece.0 < self.pieces()
    }

    /// Bytes of `piece`: the last one may be short.
    pub fn len_of(&self, piece: PieceIndex) -> u32 {
        let rest = self.total_len.saturating_sub(self.offset_of(piece));
        rest.min(u64::from(self.piece_len)) as u32
    }

    /// Where `piece` begins in the content.
    pub const fn offset_of(&self, piece: PieceIndex) -> u64 {
        piece.0 as u64 * self.piece_len as u64
    }

    /// Blocks in `piece`.
    pub fn blocks_in(&self, piece: PieceIndex) -> u32 {
        self.len_of(piece).div_ceil(BLOCK_LEN)
    }

    /// Blocks in all.
    pub fn blocks(&self) -> u64 {
        let full = u64::from(self.pieces() - 1) * u64::from(self.piece_len.div_ceil(BLOCK_LEN));
        full + u64::from(self.blocks_in(PieceIndex(self.pieces() - 1)))
    }

    /// The `nth` block of `piece`, of [`BLOCK_LEN`] bytes or what is left.
    pub fn block(&self, piece: PieceIndex, nth: u32) -> Block {
        let begin = nth * BLOCK_LEN;
        Block { piece, begin, len: self.len_of(piece).saturating_sub(begin).min(BLOCK_LEN) }
    }

    /// Whether `block` lies within its piece and is not empty.
    pub fn holds(&self, block: Block) -> bool {
        self.contains(block.piece)
            && block.len > 0
            && u64::from(block.begin) + u64::from(block.len) <= u64::from(self.len_of(block.piece))
    }
}
