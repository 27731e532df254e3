//! What is shared, and what each host has of it.

use bytes::{Bytes, BytesMut};
use sha1::{Digest as _, Sha1};
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::metainfo::{Content as Files, Metainfo, NewTorrent, hash_piece};
use torrentlab_engine::units::{BLOCK_LEN, Block, Geometry, InfoHash, PieceIndex};
use torrentlab_engine::wire::Payload;
use xxhash_rust::xxh3::xxh3_64;

/// What is shared.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing but a shape: blocks are stood for by tags that follow from their place.
    Synthetic(Geometry),
    /// Real bytes, one copy for all hosts.
    Real(Box<RealContent>),
}

/// Real content with its hashes.
#[derive(Clone, Debug)]
pub struct RealContent {
    /// Its hashes and shape.
    pub metainfo: Metainfo,
    /// Its bytes, file after file.
    pub parts: Vec<Bytes>,
}

impl Content {
    /// How it is cut.
    pub fn geometry(&self) -> Geometry {
        match self {
            Self::Synthetic(geometry) => *geometry,
            Self::Real(real) => real.metainfo.geometry(),
        }
    }

    /// The torrent that it is. Synthetic content has one of its own for each shape.
    pub fn info_hash(&self) -> InfoHash {
        match self {
            Self::Synthetic(geometry) => {
                let shape = [geometry.total_len(), u64::from(geometry.piece_len())];
                InfoHash(Sha1::digest(shape.map(u64::to_le_bytes).concat()).into())
            }
            Self::Real(real) => real.metainfo.info_hash(),
        }
    }

    /// Real bytes of this shape: itself, or bytes that follow from `seed` where there were none.
    pub fn into_real(self, seed: u64) -> RealContent {
        match self {
            Self::Real(real) => *real,
            Self::Synthetic(geometry) => RealContent::made_up(geometry, seed),
        }
    }

    /// What is in `block` of the original, which must lie in it.
    pub fn original(&self, block: Block) -> Payload {
        match self {
            Self::Synthetic(_) => Payload::Synthetic { len: block.len, tag: tag(block) },
            Self::Real(real) => Payload::Bytes(real.block(block)),
        }
    }
}

impl RealContent {
    /// Bytes that follow from `seed`, with their hashes.
    fn made_up(geometry: Geometry, seed: u64) -> Self {
        let len = usize::try_from(geometry.total_len()).expect("content that is made up fits into memory");
        let mut bytes = vec![0; len];
        for (nth, word) in (0u64..).zip(bytes.chunks_mut(8)) {
            word.copy_from_slice(&mixed(seed.wrapping_add(nth)).to_le_bytes()[..word.len()]);
        }
        let torrent = NewTorrent {
            name: "content".to_owned(),
            content: Files::File(geometry.total_len()),
            piece_len: geometry.piece_len(),
            hashes: bytes.chunks(geometry.piece_len() as usize).map(hash_piece).collect(),
            private: false,
            tiers: Vec::new(),
            comment: None,
            created_by: None,
        };
        let encoded = torrent.encode().expect("its shape was checked");
        let metainfo = Metainfo::parse(&encoded).expect("it was just made");
        Self { metainfo, parts: vec![bytes.into()] }
    }

    /// The bytes of a block: a view, unless it spans files.
    fn block(&self, block: Block) -> Bytes {
        let start = self.metainfo.geometry().offset_of(block.piece) + u64::from(block.begin);
        self.slice(start, block.len as usize)
    }

    /// `len` bytes from `start` on, or as many as there are: a view, unless they span files.
    pub(crate) fn slice(&self, mut start: u64, mut len: usize) -> Bytes {
        let mut whole = BytesMut::new();
        for part in &self.parts {
            let part_len = part.len() as u64;
            if start >= part_len {
                start -= part_len;
                continue;
            }
            let here = len.min((part_len - start) as usize);
            let bytes = part.slice(start as usize..start as usize + here);
            if whole.is_empty() && here == len {
                return bytes;
            }
            whole.extend_from_slice(&bytes);
            (start, len) = (0, len - here);
            if len == 0 {
                break;
            }
        }
        whole.freeze()
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the output for a state.
fn mixed(state: u64) -> u64 {
    let z = state.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What stands for the content of a synthetic block: never 0, and of no other block.
pub(crate) fn tag(block: Block) -> u64 {
    (u64::from(block.piece.0) << 32 | u64::from(block.begin)) + 1
}

/// What one host has.
#[derive(Debug)]
pub struct Storage {
    /// Pieces that are there and were checked.
    have: Bitfield,
    /// Synthetic content: pieces under way, with a tag for each block, 0 where there is none.
    partial: Vec<(PieceIndex, Box<[u64]>)>,
    /// Real content: each block.
    blocks: Vec<Option<Bytes>>,
}

impl Storage {
    /// A storage that has `have` of `content`.
    pub fn new(content: &Content, have: Bitfield) -> Self {
        let mut storage = Self { have, partial: Vec::new(), blocks: Vec::new() };
        if let Content::Real(real) = content {
            let geometry = content.geometry();
            storage.blocks.resize(geometry.blocks() as usize, None);
            for piece in storage.have.iter() {
                for nth in 0..geometry.blocks_in(piece) {
                    let block = geometry.block(piece, nth);
                    storage.blocks[index(&geometry, block)] = Some(real.block(block));
                }
            }
        }
        storage
    }

    /// Pieces that are there and were checked.
    pub fn have(&self) -> &Bitfield {
        &self.have
    }

    /// Whether `block` is there, checked or not.
    pub fn holds(&self, content: &Content, block: Block) -> bool {
        self.have.has(block.piece)
            || match content {
                Content::Synthetic(_) => self
                    .partial
                    .iter()
                    .find(|(piece, _)| *piece == block.piece)
                    .is_some_and(|(_, tags)| tags[(block.begin / BLOCK_LEN) as usize] != 0),
                Content::Real(_) => self.blocks[index(&content.geometry(), block)].is_some(),
            }
    }

    /// Stores a block. A payload of the other kind is what a liar would send: it fails its check.
    pub fn write(&mut self, content: &Content, block: Block, payload: Payload) {
        match content {
            Content::Synthetic(geometry) => {
                let at =
                    self.partial.iter().position(|(piece, _)| *piece == block.piece).unwrap_or_else(|| {
                        let blocks = geometry.blocks_in(block.piece) as usize;
                        self.partial.push((block.piece, vec![0; blocks].into_boxed_slice()));
                        self.partial.len() - 1
                    });
                self.partial[at].1[(block.begin / BLOCK_LEN) as usize] = match payload {
                    Payload::Synthetic { tag, .. } => tag,
                    Payload::Bytes(bytes) => !xxh3_64(&bytes) | 1,
                };
            }
            Content::Real(_) => {
                let bytes = match payload {
                    Payload::Bytes(bytes) => bytes,
                    Payload::Synthetic { len, .. } => Bytes::from(vec![0; len as usize]),
                };
                self.blocks[index(&content.geometry(), block)] = Some(bytes);
            }
        }
    }

    /// Reads a block for a peer.
    ///
    /// # Panics
    /// When the piece was not checked: "a piece is served only after its check" is an invariant.
    pub fn read(&self, content: &Content, block: Block) -> Payload {
        assert!(self.have.has(block.piece), "piece {} is served before its check", block.piece);
        match content {
            Content::Synthetic(_) => content.original(block),
            Content::Real(_) => Payload::Bytes(self.bytes(content, block)),
        }
    }

    /// Checks a piece: whether it is right, and a digest for each block, if wanted or if it is not. A piece that is
    /// wrong is dropped.
    pub fn check(&mut self, content: &Content, piece: PieceIndex, digests: bool) -> (bool, Vec<u64>) {
        let geometry = content.geometry();
        let blocks = (0..geometry.blocks_in(piece)).map(|nth| geometry.block(piece, nth));
        let (ok, all) = match content {
            Content::Synthetic(_) => {
                let at = self.partial.iter().position(|(partial, _)| *partial == piece);
                let tags = at.map(|at| self.partial.swap_remove(at).1).unwrap_or_default();
                (blocks.map(tag).eq(tags.iter().copied()), tags.into_vec())
            }
            Content::Real(real) => {
                let bytes: Vec<Bytes> = blocks.map(|block| self.bytes(content, block)).collect();
                let ok = hash(&bytes) == real.metainfo.hashes()[piece.get()];
                let all = if ok && !digests {
                    Vec::new()
                } else {
                    bytes.iter().map(|bytes| xxh3_64(bytes)).collect()
                };
                (ok, all)
            }
        };
        if ok {
            self.have.insert(piece);
        } else if let Content::Real(_) = content {
            self.drop_blocks(content, piece);
        }
        (ok, if ok && !digests { Vec::new() } else { all })
    }

    /// Forgets what was not checked: what a client does that starts again.
    pub fn restart(&mut self, content: &Content) {
        self.partial.clear();
        let geometry = content.geometry();
        for (nth, block) in self.blocks.iter_mut().enumerate() {
            let per_piece = geometry.piece_len().div_ceil(BLOCK_LEN) as usize;
            if !self.have.has(PieceIndex((nth / per_piece) as u32)) {
                *block = None;
            }
        }
    }

    /// A piece is not right any more.
    pub fn lose(&mut self, content: &Content, piece: PieceIndex) {
        self.have.remove(piece);
        if let Content::Real(_) = content {
            self.drop_blocks(content, piece);
        }
    }

    fn drop_blocks(&mut self, content: &Content, piece: PieceIndex) {
        let geometry = content.geometry();
        for nth in 0..geometry.blocks_in(piece) {
            self.blocks[index(&geometry, geometry.block(piece, nth))] = None;
        }
    }

    /// Whether everything that was checked equals the original, by hashing what is stored again. Of synthetic
    /// content nothing is stored.
    pub fn equals_original(&self, content: &Content) -> bool {
        let Content::Real(real) = content else { return true };
        let geometry = content.geometry();
        self.have.iter().all(|piece| {
            let blocks = (0..geometry.blocks_in(piece)).map(|nth| geometry.block(piece, nth));
            let bytes: Vec<Bytes> = blocks.map(|block| self.bytes(content, block)).collect();
            hash(&bytes) == real.metainfo.hashes()[piece.get()]
        })
    }

    /// Bytes of real content that are stored, aligned to blocks or not; what is missing is left out.
    fn bytes(&self, content: &Content, block: Block) -> Bytes {
        let geometry = content.geometry();
        let first = self.blocks[index(&geometry, block)].as_ref();
        let within = (block.begin % BLOCK_LEN) as usize;
        if let Some(bytes) = first.filter(|bytes| bytes.len() >= within + block.len as usize) {
            return bytes.slice(within..within + block.len as usize);
        }
        let mut whole = BytesMut::new();
        let last = (block.begin + block.len - 1) / BLOCK_LEN;
        for nth in block.begin / BLOCK_LEN..=last {
            let stored = &self.blocks[index(&geometry, geometry.block(block.piece, nth))];
            whole.extend_from_slice(stored.as_deref().unwrap_or_default());
        }
        let whole = whole.freeze();
        whole.slice(within.min(whole.len())..(within + block.len as usize).min(whole.len()))
    }
}

/// Where a block of real content is stored.
fn index(geometry: &Geometry, block: Block) -> usize {
    block.piece.get() * geometry.piece_len().div_ceil(BLOCK_LEN) as usize + (block.begin / BLOCK_LEN) as usize
}

fn hash(blocks: &[Bytes]) -> [u8; 20] {
    let mut sha1 = Sha1::new();
    blocks.iter().for_each(|bytes| sha1.update(bytes));
    sha1.finalize().into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const PIECE: u32 = 3 * BLOCK_LEN + 100;

    /// Two files whose border lies within a block, in pieces that are no whole blocks.
    pub(crate) fn real() -> (Vec<u8>, Content) {
        let bytes: Vec<u8> = (0..5 * PIECE + 77).map(|at| (at / 251 + at) as u8).collect();
        let hashes = bytes.chunks(PIECE as usize).map(hash_piece).collect();
        let torrent = NewTorrent {
            name: "x".to_owned(),
            content: Files::File(bytes.len() as u64),
            piece_len: PIECE,
            hashes,
            private: false,
            tiers: Vec::new(),
            comment: None,
            created_by: None,
        };
        let metainfo = Metainfo::parse(&torrent.encode().unwrap()).unwrap();
        let parts = vec![Bytes::copy_from_slice(&bytes[..40_000]), Bytes::copy_from_slice(&bytes[40_000..])];
        (bytes, Content::Real(Box::new(RealContent { metainfo, parts })))
    }

    fn copy(content: &Content, spoil: impl Fn(Block, Payload) -> Payload) -> Vec<(bool, Vec<u64>)> {
        let geometry = content.geometry();
        let seed = Storage::new(content, Bitfield::all(geometry.pieces()));
        let mut leecher = Storage::new(content, Bitfield::none(geometry.pieces()));
        let mut checks = Vec::new();
        for piece in (0..geometry.pieces()).map(PieceIndex) {
            for block in (0..geometry.blocks_in(piece)).map(|nth| geometry.block(piece, nth)) {
                assert!(!leecher.holds(content, block));
                leecher.write(content, block, spoil(block, seed.read(content, block)));
                assert!(leecher.holds(content, block));
            }
            checks.push(leecher.check(content, piece, false));
        }
        assert!(leecher.equals_original(content));
        let right = checks.iter().filter(|(ok, _)| *ok).count();
        assert_eq!(leecher.have().count() as usize, right);
        checks
    }

    #[test]
    fn what_is_read_and_written_is_what_was_there() {
        let (bytes, content) = real();
        let seed = Storage::new(&content, Bitfield::all(6));
        for (begin, len) in [(0, BLOCK_LEN), (100, 1_000), (BLOCK_LEN - 5, 10), (10, 2 * BLOCK_LEN)] {
            let block = Block { piece: PieceIndex(0), begin, len };
            let expected = &bytes[begin as usize..(begin + len) as usize];
            assert_eq!(seed.read(&content, block), Payload::Bytes(Bytes::copy_from_slice(expected)));
        }
        let synthetic = Content::Synthetic(content.geometry());
        for content in [content, synthetic] {
            assert!(
                copy(&content, |_, payload| payload).iter().all(|(ok, digests)| *ok && digests.is_empty())
            );
        }
    }

    #[test]
    fn a_spoilt_block_fails_its_piece_and_its_digest_stands_out() {
        let (_, content) = real();
        let synthetic = Content::Synthetic(content.geometry());
        for content in [content, synthetic] {
            let spoil = |block: Block, payload: Payload| {
                let spoils = (block.piece, block.begin) == (PieceIndex(2), BLOCK_LEN);
                if spoils { Payload::Synthetic { len: block.len, tag: 1 << 60 } } else { payload }
            };
            let checks = copy(&content, spoil);
            assert_eq!(
                checks.iter().map(|(ok, _)| *ok).collect::<Vec<_>>(),
                [true, true, false, true, true, true]
            );
            assert_eq!(checks[2].1.len(), 4, "a digest for each block");
        }
    }

    #[test]
    #[should_panic(expected = "served before its check")]
    fn an_unchecked_piece_is_never_served() {
        let (_, content) = real();
        let block = content.geometry().block(PieceIndex(0), 0);
        Storage::new(&content, Bitfield::none(6)).read(&content, block);
    }
}
