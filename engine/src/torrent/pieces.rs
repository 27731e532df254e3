//! The bookkeeping of blocks: what is under way, who was asked, who sent what, and who is to blame.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use smallvec::SmallVec;

use crate::bitfield::Bitfield;
use crate::dice::Dice;
use crate::picker::{Availability, SwarmView};
use crate::state::{self, PartialState};
use crate::time::Instant;
use crate::units::{BLOCK_LEN, Block, ConnId, Geometry, PieceIndex};
use crate::why::Why;

/// Failed downloads of one piece that are remembered; beyond that the oldest is forgotten.
const MAX_FAILURES: usize = 8;

/// The most peers that are asked for the same block at once in the endgame.
const MAX_ASKED: u8 = 3;

/// The state of the pieces of one torrent.
#[derive(Debug)]
pub(super) struct Pieces {
    pub geometry: Geometry,
    pub have: Bitfield,
    pub availability: Availability,
    partials: BTreeMap<PieceIndex, Partial>,
    /// Pieces under way with a free block, the one begun first in front.
    hungry: Vec<PieceIndex>,
    /// Downloads that failed their check, until a good one shows who sent the wrong blocks.
    failures: BTreeMap<PieceIndex, Vec<Failure>>,
}

/// A piece under way.
#[derive(Debug)]
struct Partial {
    blocks: SmallVec<[BlockState; 16]>,
    /// Who sent blocks of it.
    sources: SmallVec<[IpAddr; 2]>,
    free: u32,
    missing: u32,
    /// Who it was begun with, as long as that peer serves us: others are asked for it only when they have nothing
    /// else to send.
    keeper: Option<ConnId>,
    /// After a failure one peer alone is asked, so that what it sends proves it right or wrong.
    sole: Option<ConnId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum BlockState {
    Free,
    /// By how many peers it was asked for.
    Asked(u8),
    /// Which of the sources sent it.
    Done(u16),
}

/// One download of a piece that failed its check.
#[derive(Debug)]
struct Failure {
    /// Who sent each block.
    senders: Vec<IpAddr>,
    digests: Vec<u64>,
}

/// What became of a block that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Receipt {
    /// It was missing.
    New {
        /// Others were asked for it too.
        cancel_others: bool,
        /// Its piece is whole now.
        piece_whole: bool,
    },
    /// It was there.
    Duplicate,
    /// Its piece is not under way.
    Unexpected,
}

impl Pieces {
    /// The pieces under way, as whoever inspects the torrent sees them.
    pub fn state(&self) -> Vec<PartialState> {
        let block = |block: &BlockState| match *block {
            BlockState::Free => state::BlockState::Free,
            BlockState::Asked(by) => state::BlockState::Asked(by),
            BlockState::Done(_) => state::BlockState::Done,
        };
        let partial = |(&piece, partial): (&PieceIndex, &Partial)| PartialState {
            piece,
            blocks: partial.blocks.iter().map(block).collect(),
        };
        self.partials.iter().map(partial).collect()
    }

    pub fn new(geometry: Geometry, have: Bitfield, mut availability: Availability) -> Self {
        for piece in have.iter() {
            availability.close(piece);
        }
        Self {
            geometry,
            have,
            availability,
            partials: BTreeMap::new(),
            hungry: Vec::new(),
            failures: BTreeMap::new(),
        }
    }

    pub fn view(&self, now: Instant) -> SwarmView<'_> {
        SwarmView { have: &self.have, availability: &self.availability, now, why: Why::default() }
    }

    /// Bytes that are not there and checked.
    pub fn left(&self) -> u64 {
        let whole = u64::from(self.have.count()) * u64::from(self.geometry.piece_len());
        let last = PieceIndex(self.geometry.pieces() - 1);
        let short =
            if self.have.has(last) { self.geometry.piece_len() - self.geometry.len_of(last) } else { 0 };
        self.geometry.total_len() - (whole - u64::from(short))
    }

    /// Whether every missing block has been asked for.
    pub fn all_asked(&self) -> bool {
        self.hungry.is_empty() && self.availability.open_pieces().is_empty()
    }

    /// Whether every missing piece was begun.
    pub fn all_begun(&self) -> bool {
        self.availability.open_pieces().is_empty()
    }

    /// Begins an open piece; after a failed check, with `conn` alone.
    pub fn begin(&mut self, piece: PieceIndex, conn: ConnId) {
        debug_assert!(self.availability.is_open(piece), "{piece} is not open");
        let blocks = self.geometry.blocks_in(piece);
        let sole = self.failures.contains_key(&piece).then_some(conn);
        let partial = Partial {
            blocks: SmallVec::from_elem(BlockState::Free, blocks as usize),
            sources: SmallVec::new(),
            free: blocks,
            missing: blocks,
            keeper: Some(conn),
            sole,
        };
        self.availability.close(piece);
        self.partials.insert(piece, partial);
        self.hungry.push(piece);
    }

    /// Whether `ip` sent part of a download of `piece` that failed.
    pub fn is_suspect(&self, piece: PieceIndex, ip: IpAddr) -> bool {
        self.failures.get(&piece).is_some_and(|all| all.iter().any(|failure| failure.senders.contains(&ip)))
    }

    /// Whether there is a free block of a piece under way that `conn` may be asked for.
    pub fn offers(&self, conn: ConnId, usable: impl Fn(PieceIndex) -> bool) -> bool {
        let free_for = |piece| self.partials[piece].sole.is_none_or(|sole| sole == conn);
        self.hungry.iter().any(|piece| usable(*piece) && free_for(piece))
    }

    /// Whether a block of `piece` is missing and nobody is asked for it.
    pub fn has_free(&self, piece: PieceIndex) -> bool {
        let under_way = self.partials.get(&piece);
        under_way.map_or_else(|| self.availability.is_open(piece), |partial| partial.free > 0)
    }

    /// Marks and gives the next free block of the pieces under way that `conn` may be asked for: of those that nobody
    /// else keeps, or of `any`.
    pub fn ask_free(
        &mut self,
        conn: ConnId,
        any: bool,
        usable: impl Fn(PieceIndex) -> bool,
    ) -> Option<Block> {
        self.ask_first(|piece, partial| {
            let keeper = if any { partial.sole } else { partial.keeper };
            keeper.is_none_or(|keeper| keeper == conn) && usable(piece)
        })
    }

    /// Marks and gives the first free block of the first piece under way that `wanted` holds for.
    fn ask_first(&mut self, wanted: impl Fn(PieceIndex, &Partial) -> bool) -> Option<Block> {
        let at = self.hungry.iter().position(|piece| wanted(*piece, &self.partials[piece]))?;
        let piece = self.hungry[at];
        let partial = self.partials.get_mut(&piece)?;
        let nth = partial.blocks.iter().position(|state| *state == BlockState::Free)?;
        partial.blocks[nth] = BlockState::Asked(1);
        partial.free -= 1;
        if partial.free == 0 {
            self.hungry.remove(at);
        }
        Some(self.geometry.block(piece, nth as u32))
    }

    /// Marks and gives the next free block of a piece that `conn` keeps.
    pub fn ask_own(&mut self, conn: ConnId) -> Option<Block> {
        self.ask_first(|_, partial| partial.keeper == Some(conn))
    }

    /// Marks and gives a block that others were asked for and that did not come yet: the one with the fewest askers
    /// (endgame). `asked` says whether this peer was asked for it already.
    pub fn ask_again(
        &mut self,
        usable: impl Fn(PieceIndex) -> bool,
        asked: impl Fn(Block) -> bool,
    ) -> Option<Block> {
        let mut best: Option<(u8, PieceIndex, usize)> = None;
        // What one peer alone is to send stays so: else a polluter spoils each attempt in the endgame.
        let usable = |piece, partial: &Partial| partial.sole.is_none() && usable(piece);
        for (&piece, partial) in self.partials.iter().filter(|&(&piece, partial)| usable(piece, partial)) {
            for (nth, state) in partial.blocks.iter().enumerate() {
                if let BlockState::Asked(times) = *state
                    && times < best.map_or(MAX_ASKED, |(fewest, ..)| fewest)
                    && !asked(self.geometry.block(piece, nth as u32))
                {
                    best = Some((times, piece, nth));
                }
            }
        }
        let (times, piece, nth) = best?;
        self.partials.get_mut(&piece)?.blocks[nth] = BlockState::Asked(times + 1);
        Some(self.geometry.block(piece, nth as u32))
    }

    /// As [`Pieces::ask_again`], but any such block of a piece without a free one, however many were asked for it: "one
    /// random block from one random partial piece" (libtorrent's `piece_picker.cpp`).
    pub fn ask_any_again(
        &mut self,
        usable: impl Fn(PieceIndex) -> bool,
        asked: impl Fn(Block) -> bool,
        dice: &mut Dice,
    ) -> Option<Block> {
        let mut candidates = Vec::new();
        let whole = |partial: &Partial| partial.free == 0 && partial.sole.is_none();
        for (&piece, partial) in &self.partials {
            if !whole(partial) || !usable(piece) {
                continue;
            }
            let waits = |state: &BlockState| matches!(state, BlockState::Asked(times) if *times < u8::MAX);
            let waiting = (0..).zip(&partial.blocks).filter(|(_, state)| waits(state));
            let blocks = waiting.map(|(nth, _)| self.geometry.block(piece, nth));
            candidates.extend(blocks.filter(|&block| !asked(block)));
        }
        let block = candidates[dice.index(candidates.len())?];
        let nth = (block.begin / BLOCK_LEN) as usize;
        if let BlockState::Asked(times) = &mut self.partials.get_mut(&block.piece)?.blocks[nth] {
            *times += 1;
        }
        Some(block)
    }

    /// One peer fewer is asked for `block`; it may still come `late`. Whether that opened something for others to ask for.
    pub fn release(&mut self, block: Block, late: bool) -> Release {
        let nth = (block.begin / BLOCK_LEN) as usize;
        let Some(partial) = self.partials.get_mut(&block.piece) else { return Release::Nothing };
        match partial.blocks.get_mut(nth) {
            Some(BlockState::Asked(times @ 2..)) => {
                *times -= 1;
                Release::Nothing
            }
            Some(state @ BlockState::Asked(_)) => {
                *state = BlockState::Free;
                partial.free += 1;
                partial.sole = None;
                if partial.free as usize == partial.blocks.len() && !late {
                    self.reopen(block.piece);
                    return Release::Piece;
                }
                if partial.free == 1 {
                    self.hungry.push(block.piece);
                }
                Release::Block
            }
            _ => Release::Nothing,
        }
    }

    /// `conn` can be asked no more: what was kept for it is anybody's. Whether others may be asked for something that
    /// it alone was to send.
    pub fn disown(&mut self, conn: ConnId) -> bool {
        let mut any = false;
        for partial in self.partials.values_mut().filter(|partial| partial.keeper == Some(conn)) {
            partial.keeper = None;
            any |= partial.sole.take().is_some();
        }
        any
    }

    /// The pieces that one peer alone may be asked for.
    pub fn soles(&self) -> impl Iterator<Item = (PieceIndex, ConnId)> + '_ {
        self.partials.iter().filter_map(|(&piece, partial)| Some((piece, partial.sole?)))
    }

    /// Nothing of `piece` is kept; it may be begun again.
    fn reopen(&mut self, piece: PieceIndex) {
        self.partials.remove(&piece);
        self.hungry.retain(|&other| other != piece);
        self.availability.open(piece);
    }

    /// A block came from `conn` at the address `source`, who was (still) asked for it or not.
    pub fn receive(&mut self, block: Block, conn: ConnId, source: IpAddr, asked: bool) -> Receipt {
        let expected = self.geometry.block(block.piece, block.begin / BLOCK_LEN);
        if self.have.has(block.piece) {
            return Receipt::Duplicate;
        }
        let Some(partial) = self.partials.get_mut(&block.piece).filter(|_| expected == block) else {
            return Receipt::Unexpected;
        };
        if partial.sole.is_some_and(|sole| sole != conn) {
            return Receipt::Unexpected;
        }
        let state = &mut partial.blocks[(block.begin / BLOCK_LEN) as usize];
        let cancel_others = match *state {
            BlockState::Done(_) => return Receipt::Duplicate,
            BlockState::Free => {
                partial.free -= 1;
                if partial.free == 0 {
                    self.hungry.retain(|&piece| piece != block.piece);
                }
                false
            }
            BlockState::Asked(times) => times > u8::from(asked),
        };
        let known = partial.sources.iter().position(|&ip| ip == source);
        let sender = known.unwrap_or_else(|| {
            partial.sources.push(source);
            partial.sources.len() - 1
        });
        *state = BlockState::Done(sender as u16);
        partial.missing -= 1;
        Receipt::New { cancel_others, piece_whole: partial.missing == 0 }
    }

    /// Whether `piece` is whole and waits for its check.
    pub fn is_checking(&self, piece: PieceIndex) -> bool {
        self.partials.get(&piece).is_some_and(|partial| partial.missing == 0)
    }

    /// How many pieces have failed and are not there yet.
    pub fn failed_pieces(&self) -> usize {
        self.failures.len()
    }

    /// Whether the digests of `piece` are wanted even if it is right.
    pub fn has_failed(&self, piece: PieceIndex) -> bool {
        self.failures.contains_key(&piece)
    }

    /// The check of `piece` was passed. Returns who is proven to have sent wrong blocks of it before.
    pub fn verified(&mut self, piece: PieceIndex, digests: &[u64]) -> BTreeSet<IpAddr> {
        self.partials.remove(&piece);
        self.have.insert(piece);
        let failures = self.failures.remove(&piece).unwrap_or_default();
        let wrong = failures.iter().flat_map(|failure| {
            let blocks = failure.senders.iter().zip(&failure.digests).zip(digests);
            blocks.filter(|((_, before), now)| before != now).map(|((sender, _), _)| *sender)
        });
        wrong.collect()
    }

    /// The check of `piece` failed. Returns who is proven to have sent wrong blocks: its only source, if there was
    /// just one.
    pub fn failed(&mut self, piece: PieceIndex, digests: Vec<u64>) -> Option<IpAddr> {
        let partial = self.partials.get(&piece)?;
        let only = (partial.sources.len() == 1).then(|| partial.sources[0]);
        if only.is_none() {
            let senders = partial.blocks.iter().map(|state| match state {
                BlockState::Done(source) => partial.sources[usize::from(*source)],
                BlockState::Free | BlockState::Asked(_) => unreachable!("a piece that was checked is whole"),
            });
            let failure = Failure { senders: senders.collect(), digests };
            let failures = self.failures.entry(piece).or_default();
            failures.push(failure);
            if failures.len() > MAX_FAILURES {
                failures.remove(0);
            }
        }
        self.reopen(piece);
        only
    }

    /// The blocks of `piece` could not be stored: it is to be fetched again, and nobody is to blame. Whether there
    /// were any.
    pub fn lost(&mut self, piece: PieceIndex) -> bool {
        let begun = self.partials.contains_key(&piece);
        if begun {
            self.reopen(piece);
        }
        begun
    }

    /// How many requests are out, and the free blocks, counted afresh.
    pub fn check_invariants(&self, asked: &BTreeMap<Block, u32>) {
        self.availability.check_invariants();
        let mut outstanding = 0;
        for (&piece, partial) in &self.partials {
            assert!(
                !self.have.has(piece) && !self.availability.is_open(piece),
                "{piece} is under way and more"
            );
            let count =
                |wanted: fn(&BlockState) -> bool| partial.blocks.iter().filter(|s| wanted(s)).count() as u32;
            assert_eq!(partial.free, count(|s| *s == BlockState::Free), "free blocks of {piece}");
            assert_eq!(
                partial.missing,
                count(|s| !matches!(s, BlockState::Done(_))),
                "missing blocks of {piece}"
            );
            assert_eq!(partial.free > 0, self.hungry.contains(&piece), "{piece} among the hungry");
            for (nth, state) in partial.blocks.iter().enumerate() {
                let times = asked.get(&self.geometry.block(piece, nth as u32)).copied().unwrap_or(0);
                match *state {
                    BlockState::Free => assert_eq!(times, 0, "a free block of {piece} was asked for"),
                    BlockState::Asked(n) => {
                        assert_eq!(times, u32::from(n), "askers of block {nth} of {piece}")
                    }
                    BlockState::Done(_) => {
                        assert_eq!(times, 0, "a block of {piece} that is there is asked for")
                    }
                }
                outstanding += times;
            }
        }
        assert_eq!(outstanding, asked.values().sum::<u32>(), "requests for blocks that are not under way");
        assert!(
            self.hungry.iter().all(|piece| self.partials.contains_key(piece)),
            "hungry without being under way"
        );
    }
}

/// What a release made available to others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Release {
    /// Nothing: others are still asked.
    Nothing,
    /// A block.
    Block,
    /// A whole piece, of which nothing was there.
    Piece,
}
