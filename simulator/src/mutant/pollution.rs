//! Wrong bytes in what a host serves.

use bytes::BytesMut;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::units::{BLOCK_LEN, Geometry, PieceIndex};
use torrentlab_engine::wire::Payload;

/// Which blocks a polluter spoils.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Spoils {
    /// Every one.
    All,
    /// Each with this probability, from 0 to 1.
    Some(f64),
    /// Those of one piece.
    Piece(PieceIndex),
}

/// Spoils blocks between a host's storage and its peers; what the host itself checks stays right. The same in both
/// backends: bytes differ in the first byte, and the tags that stand for them in one bit.
#[derive(Clone, Debug)]
pub struct Pollution {
    spoils: Spoils,
    dice: Dice,
}

impl Pollution {
    /// Pollution that draws from `dice` what it spoils.
    pub fn new(spoils: Spoils, dice: Dice) -> Self {
        Self { spoils, dice }
    }

    /// What is sent in the place of `payload`, which is a block of `piece`.
    pub fn apply(&mut self, piece: PieceIndex, payload: Payload) -> Payload {
        if !self.strikes(piece) {
            return payload;
        }
        match payload {
            Payload::Synthetic { len, tag } => Payload::Synthetic { len, tag: tag ^ 1 << 63 },
            Payload::Bytes(bytes) => {
                let mut bytes = BytesMut::from(bytes);
                spoil(&mut bytes);
                Payload::Bytes(bytes.freeze())
            }
        }
    }

    /// Does the same to blocks that follow upon each other, of which the first begins at `offset` in the content.
    pub fn apply_to(&mut self, offset: u64, blocks: &mut [u8], geometry: Geometry) {
        let (mut at, end) = (offset, offset + blocks.len() as u64);
        while at < end {
            let piece = PieceIndex((at / u64::from(geometry.piece_len())) as u32);
            let within = (at - geometry.offset_of(piece)) as u32;
            let block = geometry.block(piece, within / BLOCK_LEN);
            let next = end.min(geometry.offset_of(piece) + u64::from(block.begin + block.len));
            if self.strikes(piece) {
                spoil(&mut blocks[(at - offset) as usize..(next - offset) as usize]);
            }
            at = next;
        }
    }

    /// Whether the next block, of `piece`, is spoilt.
    fn strikes(&mut self, piece: PieceIndex) -> bool {
        match self.spoils {
            Spoils::All => true,
            Spoils::Some(probability) => self.dice.unit() < probability,
            Spoils::Piece(spoilt) => spoilt == piece,
        }
    }
}

fn spoil(bytes: &mut [u8]) {
    bytes.iter_mut().take(1).for_each(|byte| *byte = !*byte);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_spoilt_block_by_block_as_they_would_be_one_by_one() {
        let piece_len = 2 * BLOCK_LEN + 100;
        let geometry = Geometry::new(3 * u64::from(piece_len), piece_len).unwrap();
        for spoils in [Spoils::All, Spoils::Some(0.5), Spoils::Piece(PieceIndex(1))] {
            let pollution = || Pollution::new(spoils, Dice::stream(3, ("host", 0, "pollution")));
            let mut together = vec![0; 3 * piece_len as usize];
            pollution().apply_to(0, &mut together, geometry);
            let (mut one_by_one, mut tags, mut each) = (Vec::new(), Vec::new(), pollution());
            let mut by_tag = pollution();
            for piece in (0..3).map(PieceIndex) {
                for len in [BLOCK_LEN, BLOCK_LEN, 100] {
                    let bytes = Payload::Bytes(vec![0; len as usize].into());
                    let Payload::Bytes(bytes) = each.apply(piece, bytes) else { panic!("bytes stay bytes") };
                    let tag = by_tag.apply(piece, Payload::Synthetic { len, tag: 5 });
                    tags.push((bytes[0] != 0, tag != Payload::Synthetic { len, tag: 5 }));
                    one_by_one.extend_from_slice(&bytes);
                }
            }
            assert!(together == one_by_one, "{spoils:?}");
            assert!(tags.iter().all(|(bytes, tag)| bytes == tag) && tags.contains(&(true, true)), "{tags:?}");
            assert_eq!(tags.contains(&(false, false)), spoils != Spoils::All);
        }
    }
}
