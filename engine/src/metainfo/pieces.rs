//! The hashes of pieces.

use sha1::{Digest as _, Sha1};

/// SHA-1 of one piece.
pub type PieceHash = [u8; 20];

/// SHA-1 of `bytes`, which are a whole piece.
pub fn hash_piece(bytes: &[u8]) -> PieceHash {
    Sha1::digest(bytes).into()
}

/// Hashes content piece by piece, while it comes in stretches of any length: for creating a torrent, where pieces
/// run over the ends of files.
#[derive(Clone, Debug)]
pub struct PieceHasher {
    piece_len: usize,
    /// How much of the current piece has come.
    filled: usize,
    current: Sha1,
    hashes: Vec<PieceHash>,
}

impl PieceHasher {
    /// A hasher for pieces of `piece_len` bytes.
    ///
    /// # Panics
    /// When `piece_len` is 0.
    pub fn new(piece_len: u32) -> Self {
        assert!(piece_len > 0, "pieces have a length");
        Self { piece_len: piece_len as usize, filled: 0, current: Sha1::new(), hashes: Vec::new() }
    }

    /// Takes in the next bytes of the content.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.piece_len - self.filled));
            self.current.update(now);
            self.filled += now.len();
            if self.filled == self.piece_len {
                self.close_piece();
            }
            bytes = later;
        }
    }

    /// The hashes of all pieces; the last may be short.
    pub fn finish(mut self) -> Vec<PieceHash> {
        if self.filled > 0 {
            self.close_piece();
        }
        self.hashes
    }

    fn close_piece(&mut self) {
        self.hashes.push(self.current.finalize_reset().into());
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stretches_do_not_matter(
            content in prop::collection::vec(any::<u8>(), 0..200),
            piece_len in 1u32..50,
            stretch in 1usize..70,
        ) {
            let mut hasher = PieceHasher::new(piece_len);
            content.chunks(stretch).for_each(|bytes| hasher.update(bytes));
            let expected: Vec<_> = content.chunks(piece_len as usize).map(hash_piece).collect();
            prop_assert_eq!(hasher.finish(), expected);
        }
    }
}
