//! A set of pieces.

use std::fmt;

use smallvec::SmallVec;

use crate::units::PieceIndex;

/// A set of the pieces of one torrent; up to 256 pieces are held inline.
#[derive(Clone, PartialEq, Eq)]
pub struct Bitfield {
    words: SmallVec<[u64; 4]>,
    len: u32,
    count: u32,
}

impl Bitfield {
    /// None of `len` pieces.
    pub fn none(len: u32) -> Self {
        Self { words: SmallVec::from_elem(0, len.div_ceil(64) as usize), len, count: 0 }
    }

    /// All of `len` pieces.
    pub fn all(len: u32) -> Self {
        let mut set =
            Self { words: SmallVec::from_elem(u64::MAX, len.div_ceil(64) as usize), len, count: len };
        if let (Some(last), 1..) = (set.words.last_mut(), len % 64) {
            *last = (1 << (len % 64)) - 1;
        }
        set
    }

    /// The set that a `bitfield` message carries: "the first byte corresponds to indices 0 - 7 from high bit to
    /// low bit" (BEP 3). Spare bits are not looked at, as in most clients; `None` when the length is wrong.
    pub fn from_wire(bytes: &[u8], len: u32) -> Option<Self> {
        if bytes.len() != len.div_ceil(8) as usize {
            return None;
        }
        let mut set = Self::none(len);
        for (index, byte) in bytes.iter().enumerate() {
            set.words[index / 8] |= u64::from(byte.reverse_bits()) << (index % 8 * 8);
        }
        if let (Some(last), 1..) = (set.words.last_mut(), len % 64) {
            *last &= (1 << (len % 64)) - 1;
        }
        set.count = set.words.iter().map(|word| word.count_ones()).sum();
        Some(set)
    }

    /// The body of a `bitfield` message: "Spare bits at the end are set to zero" (BEP 3).
    pub fn to_wire(&self) -> Vec<u8> {
        let bytes = self.words.iter().flat_map(|word| word.to_le_bytes()).map(u8::reverse_bits);
        bytes.take(self.len.div_ceil(8) as usize).collect()
    }

    /// How many pieces the torrent has.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// How many pieces are in the set.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether no piece is in the set.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether every piece is in the set.
    pub const fn is_full(&self) -> bool {
        self.count == self.len
    }

    /// Whether `piece` is in the set; an index out of range is not.
    pub fn has(&self, piece: PieceIndex) -> bool {
        piece.0 < self.len && self.words[piece.get() / 64] >> (piece.0 % 64) & 1 == 1
    }

    /// Puts `piece` into the set; whether it was missing.
    ///
    /// # Panics
    /// When the index is out of range: it must have been checked.
    pub fn insert(&mut self, piece: PieceIndex) -> bool {
        assert!(piece.0 < self.len, "piece {piece} of {}", self.len);
        let word = &mut self.words[piece.get() / 64];
        let bit = 1 << (piece.0 % 64);
        let new = *word & bit == 0;
        *word |= bit;
        self.count += u32::from(new);
        new
    }

    /// Takes `piece` out of the set; whether it was there.
    pub fn remove(&mut self, piece: PieceIndex) -> bool {
        let there = self.has(piece);
        if there {
            self.words[piece.get() / 64] &= !(1 << (piece.0 % 64));
            self.count -= 1;
        }
        there
    }

    /// The pieces in the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| ones(index, word))
    }

    /// The pieces in this set and not in `other`, in order.
    pub fn minus<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = PieceIndex> + 'a {
        let pairs = self.words.iter().zip(&other.words);
        pairs.enumerate().flat_map(|(index, (&mine, &theirs))| ones(index, mine & !theirs))
    }

    /// The set of the pieces in this set and not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        let words: SmallVec<[u64; 4]> =
            self.words.iter().zip(&other.words).map(|(mine, theirs)| mine & !theirs).collect();
        let count = words.iter().map(|word| word.count_ones()).sum();
        Self { words, len: self.len, count }
    }

    /// Whether this set has a piece that `other` lacks.
    pub fn exceeds(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(mine, theirs)| mine & !theirs != 0)
    }
}

/// The pieces that the `index`th word of a set stands for.
fn ones(index: usize, mut word: u64) -> impl Iterator<Item = PieceIndex> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(PieceIndex(index as u32 * 64 + bit))
    })
}

impl fmt::Debug for Bitfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_one_set_has_beyond_another() {
        let set = |pieces: &[u32]| {
            let mut set = Bitfield::none(130);
            pieces.iter().for_each(|&piece| _ = set.insert(PieceIndex(piece)));
            set
        };
        let (one, other) = (set(&[0, 63, 64, 129]), set(&[63, 70, 129]));
        assert_eq!(one.without(&other), set(&[0, 64]));
        assert_eq!(one.without(&one), Bitfield::none(130));
        assert_eq!(Bitfield::all(130).without(&Bitfield::none(130)), Bitfield::all(130));
    }

    proptest! {
        #[test]
        fn wire_form_round_trips_and_counts(len in 1u32..700, picks in prop::collection::vec(any::<u32>(), 0..80)) {
            let mut set = Bitfield::none(len);
            let mut model = std::collections::BTreeSet::new();
            for pick in picks {
                prop_assert_eq!(set.insert(PieceIndex(pick % len)), model.insert(pick % len));
            }
            prop_assert_eq!(set.count() as usize, model.len());
            prop_assert_eq!(set.iter().map(|p| p.0).collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(Bitfield::from_wire(&set.to_wire(), len), Some(set.clone()));
            let missing = Bitfield::all(len).minus(&set).count() as u32;
            prop_assert_eq!(missing, len - set.count());
            prop_assert_eq!(Bitfield::all(len).exceeds(&set), !set.is_full());
        }
    }

    #[test]
    fn the_first_piece_is_the_high_bit_and_spare_bits_are_dropped() {
        let set = Bitfield::from_wire(&[0b1000_0000, 0b0111_1111], 10).unwrap();
        assert_eq!(set.iter().collect::<Vec<_>>(), [PieceIndex(0), PieceIndex(9)]);
        assert_eq!(set.to_wire(), [0b1000_0000, 0b0100_0000]);
        assert_eq!(Bitfield::from_wire(&[0], 10), None);
        assert_eq!(Bitfield::from_wire(&[0, 0, 0], 10), None);
    }
}
