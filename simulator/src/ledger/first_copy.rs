//! Whether the seeds send each block once before they send any again.

use torrentlab_engine::units::{BLOCK_LEN, Block, Geometry};

/// What the seeds have sent, until each block of the content was among it.
///
/// Blocks are counted and not pieces: two peers that fetch the halves of one piece from a seed get different content
/// from it, and a seed that sends each block once has sent nothing twice, however the blocks of a piece are parted.
#[derive(Clone, Debug, Default)]
pub struct FirstCopy {
    /// Bytes of the content.
    total: u64,
    blocks_per_piece: usize,
    /// The blocks that were sent.
    sent: Vec<bool>,
    /// Payload that was sent, and what of it had not been sent before.
    payload: u64,
    unique: u64,
    /// Both at the block that brought the payload to a copy's worth, or at the last one before.
    pub first: (u64, u64),
    /// The payload by which each block had been sent.
    pub whole_after: Option<u64>,
}

impl FirstCopy {
    /// Nothing sent yet of content of this shape.
    pub fn new(geometry: Geometry) -> Self {
        let blocks_per_piece = geometry.piece_len().div_ceil(BLOCK_LEN) as usize;
        let sent = vec![false; blocks_per_piece * geometry.pieces() as usize];
        Self { total: geometry.total_len(), blocks_per_piece, sent, ..Self::default() }
    }

    /// A seed's block came to somebody. Where whole pieces are sent, a piece is one block.
    pub fn note(&mut self, block: Block) {
        if self.whole_after.is_some() {
            return;
        }
        let bytes = u64::from(block.len);
        let place = block.piece.get() * self.blocks_per_piece + (block.begin / BLOCK_LEN) as usize;
        let again = std::mem::replace(&mut self.sent[place], true);
        let within = self.payload < self.total;
        self.payload += bytes;
        self.unique += if again { 0 } else { bytes };
        if within {
            self.first = (self.payload, self.unique);
        }
        self.whole_after = (self.unique >= self.total).then_some(self.payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use torrentlab_engine::units::PieceIndex;

    /// Two pieces of two blocks, the last of which is half as long.
    fn sent(blocks: &[u32]) -> FirstCopy {
        let block_len = u64::from(BLOCK_LEN);
        let geometry = Geometry::new(3 * block_len + block_len / 2, 2 * BLOCK_LEN).expect("a shape");
        let mut copy = FirstCopy::new(geometry);
        blocks.iter().for_each(|nth| copy.note(geometry.block(PieceIndex(nth / 2), nth % 2)));
        copy
    }

    /// In halves of a block.
    fn halves(copy: &FirstCopy) -> ([u64; 2], Option<u64>) {
        let half = u64::from(BLOCK_LEN / 2);
        ([copy.first.0 / half, copy.first.1 / half], copy.whole_after.map(|bytes| bytes / half))
    }

    #[test]
    fn each_block_once_is_a_perfect_first_copy() {
        assert_eq!(halves(&sent(&[2, 0, 3, 1])), ([7, 7], Some(7)));
        assert_eq!(halves(&sent(&[2, 0, 3, 1, 1, 1])), ([7, 7], Some(7)), "what comes later does not count");
    }

    #[test]
    fn a_block_that_is_sent_again_before_the_copy_is_out_counts_against_it() {
        // 2 + 2 + 2 + 2 halves make more than a copy's 7; of them the third was sent before. The rest comes later.
        assert_eq!(halves(&sent(&[0, 1, 0, 2])), ([8, 6], None));
        assert_eq!(halves(&sent(&[0, 1, 0, 2, 0, 3])), ([8, 6], Some(11)));
        assert_eq!(halves(&sent(&[0])), ([2, 2], None), "less than a copy is what there is");
    }
}
