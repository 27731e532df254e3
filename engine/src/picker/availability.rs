//! How many peers have each piece, with the open pieces kept in order of rarity.

use crate::bitfield::Bitfield;
use crate::dice::Dice;
use crate::units::PieceIndex;

/// Stands in [`Piece::place`] for a piece that is not open.
const CLOSED: u32 = u32::MAX;

/// How many connected peers have each piece, and which pieces are *open*: missing and not begun.
///
/// Open pieces stand in one array, fewest copies first, cut into a bucket for each number of copies (after libtorrent's
/// `piece_picker`): a HAVE moves a piece to the next bucket with one swap. Peers that have everything are counted apart,
/// once for all pieces. 12 bytes a piece.
#[derive(Debug)]
pub struct Availability {
    pieces: Vec<Piece>,
    open: Vec<PieceIndex>,
    /// Where in `open` the pieces with at most 0, 1, 2... copies end, seeds not counted.
    ends: Vec<u32>,
    seeds: u32,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    /// How many peers that are no seeds have it.
    copies: u32,
    /// Its position in `open`, or [`CLOSED`].
    place: u32,
}

impl Availability {
    /// No peers yet, and all of `pieces` open, in random order.
    pub fn new(pieces: u32, dice: &mut Dice) -> Self {
        let mut open: Vec<_> = (0..pieces).map(PieceIndex).collect();
        dice.shuffle(&mut open);
        let mut all = vec![Piece { copies: 0, place: CLOSED }; open.len()];
        (0..).zip(&open).for_each(|(place, piece)| all[piece.get()].place = place);
        Self { pieces: all, open, ends: vec![pieces], seeds: 0 }
    }

    /// How many connected peers have `piece`, seeds included.
    pub fn copies_of(&self, piece: PieceIndex) -> u32 {
        self.seeds + self.pieces[piece.get()].copies
    }

    /// How many connected peers have every piece.
    pub const fn seeds(&self) -> u32 {
        self.seeds
    }

    /// Whether `piece` is missing and not begun.
    pub fn is_open(&self, piece: PieceIndex) -> bool {
        self.pieces[piece.get()].place != CLOSED
    }

    /// The open pieces, those with the fewest copies first; those with equally many stand in no order.
    pub fn open_pieces(&self) -> &[PieceIndex] {
        &self.open
    }

    /// The open pieces in groups of equally many copies, seeds included; fewest first.
    pub fn rarest_first(&self) -> impl Iterator<Item = (u32, &[PieceIndex])> {
        let mut start = 0;
        (self.seeds..).zip(&self.ends).filter_map(move |(copies, &end)| {
            let bucket = &self.open[start..end as usize];
            start = end as usize;
            (!bucket.is_empty()).then_some((copies, bucket))
        })
    }

    /// The fewest copies that any piece has among the connected peers. Looks at every piece.
    pub fn min(&self) -> u32 {
        self.seeds + self.pieces.iter().map(|piece| piece.copies).min().unwrap_or(0)
    }

    /// The health of the swarm as we see it: the copies of the rarest piece, and the share of pieces that have more
    /// (libtorrent's `distributed_copies`; our own pieces in `have` count). Looks at every piece.
    pub fn distributed_copies(&self, have: &Bitfield) -> f64 {
        let copies =
            || (0..).map(PieceIndex).zip(&self.pieces).map(|(i, p)| p.copies + u32::from(have.has(i)));
        let Some(min) = copies().min() else { return 0.0 };
        let more = copies().filter(|&copies| copies > min).count();
        f64::from(self.seeds + min) + more as f64 / self.pieces.len() as f64
    }

    /// A peer came that has `has`.
    pub fn add_peer(&mut self, has: &Bitfield) {
        if has.is_full() {
            self.seeds += 1;
        } else {
            has.iter().for_each(|piece| self.increment(piece));
        }
    }

    /// A peer went that had `has` (or is to be added anew with another bitfield).
    pub fn remove_peer(&mut self, has: &Bitfield) {
        if has.is_full() {
            assert!(self.seeds > 0, "a seed goes that was not counted");
            self.seeds -= 1;
        } else {
            has.iter().for_each(|piece| self.decrement(piece));
        }
    }

    /// A peer got `piece`, and `has` is what it has now, `piece` included. Constant time, but for its last piece.
    pub fn add_have(&mut self, piece: PieceIndex, has: &Bitfield) {
        self.increment(piece);
        if has.is_full() {
            self.count_as_seed();
        }
    }

    /// `piece` is begun or had.
    pub fn close(&mut self, piece: PieceIndex) {
        let Piece { copies, place } = self.pieces[piece.get()];
        if place == CLOSED {
            return;
        }
        // It moves up to the end, through the last place of each bucket in turn.
        let mut at = place;
        for bucket in copies as usize..self.ends.len() {
            self.ends[bucket] -= 1;
            self.swap(at, self.ends[bucket]);
            at = self.ends[bucket];
        }
        self.open.pop();
        self.pieces[piece.get()].place = CLOSED;
    }

    /// `piece` is missing again and nothing of it is under way.
    pub fn open(&mut self, piece: PieceIndex) {
        let Piece { copies, place } = self.pieces[piece.get()];
        if place != CLOSED {
            return;
        }
        self.reach(copies as usize);
        let mut at = self.open.len() as u32;
        self.open.push(piece);
        self.put(piece, at);
        // It moves down from the end, through the first place of each bucket in turn.
        for bucket in (copies as usize + 1..self.ends.len()).rev() {
            let first = self.ends[bucket - 1];
            self.swap(at, first);
            self.ends[bucket] += 1;
            at = first;
        }
        self.ends[copies as usize] += 1;
    }

    /// Checks that the parts agree with each other.
    ///
    /// # Panics
    /// Where they do not.
    pub fn check_invariants(&self) {
        assert!(self.ends.is_sorted(), "the buckets overlap");
        assert_eq!(
            self.ends.last().copied(),
            Some(self.open.len() as u32),
            "the buckets are all that is open"
        );
        for (bucket, &end) in self.ends.iter().enumerate() {
            let start = if bucket == 0 { 0 } else { self.ends[bucket - 1] };
            for place in start..end {
                let piece = self.pieces[self.open[place as usize].get()];
                assert_eq!(
                    (piece.place, piece.copies as usize),
                    (place, bucket),
                    "an open piece stands elsewhere"
                );
            }
        }
        let open = self.pieces.iter().filter(|piece| piece.place != CLOSED).count();
        assert_eq!(open, self.open.len(), "a piece thinks that it is open");
    }

    fn increment(&mut self, piece: PieceIndex) {
        let Piece { copies, place } = self.pieces[piece.get()];
        self.pieces[piece.get()].copies = copies + 1;
        if place != CLOSED {
            self.reach(copies as usize + 1);
            self.ends[copies as usize] -= 1;
            self.swap(place, self.ends[copies as usize]);
        }
    }

    fn decrement(&mut self, piece: PieceIndex) {
        let Piece { copies, place } = self.pieces[piece.get()];
        assert!(copies > 0, "piece {piece} is taken from a peer that was not counted");
        self.pieces[piece.get()].copies = copies - 1;
        if place != CLOSED {
            self.swap(place, self.ends[copies as usize - 1]);
            self.ends[copies as usize - 1] += 1;
        }
    }

    /// A peer that was counted piece by piece has every piece now. Every piece has one copy less beside the seeds, so
    /// that the order stays and only the buckets' names change.
    fn count_as_seed(&mut self) {
        self.seeds += 1;
        self.pieces.iter_mut().for_each(|piece| piece.copies -= 1);
        assert_eq!(self.ends[0], 0, "a peer has everything, and yet a piece has no copy");
        if self.ends.len() > 1 {
            self.ends.remove(0);
        }
    }

    /// Makes sure that there is a bucket for `copies`.
    fn reach(&mut self, copies: usize) {
        if copies >= self.ends.len() {
            self.ends.resize(copies + 1, self.open.len() as u32);
        }
    }

    fn swap(&mut self, a: u32, b: u32) {
        let (piece_a, piece_b) = (self.open[a as usize], self.open[b as usize]);
        self.put(piece_b, a);
        self.put(piece_a, b);
    }

    fn put(&mut self, piece: PieceIndex, place: u32) {
        self.open[place as usize] = piece;
        self.pieces[piece.get()].place = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn dice() -> Dice {
        Dice::stream(1, ("test", 0, "availability"))
    }

    fn set(len: u32, pieces: impl IntoIterator<Item = u32>) -> Bitfield {
        let mut set = Bitfield::none(len);
        pieces.into_iter().for_each(|piece| _ = set.insert(PieceIndex(piece)));
        set
    }

    #[derive(Clone, Debug)]
    enum Op {
        Join(Vec<u32>),
        JoinAsSeed,
        Leave(usize),
        Have(usize, u32),
        Complete(usize),
        Close(u32),
        Open(u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => prop::collection::vec(any::<u32>(), 0..12).prop_map(Op::Join),
            1 => Just(Op::JoinAsSeed),
            2 => any::<usize>().prop_map(Op::Leave),
            8 => (any::<usize>(), any::<u32>()).prop_map(|(peer, piece)| Op::Have(peer, piece)),
            1 => any::<usize>().prop_map(Op::Complete),
            4 => any::<u32>().prop_map(Op::Close),
            4 => any::<u32>().prop_map(Op::Open),
        ]
    }

    /// The same, without a thought for speed: every peer's set, and the set of open pieces.
    struct Model {
        peers: Vec<Bitfield>,
        open: BTreeSet<u32>,
    }

    impl Model {
        fn copies_of(&self, piece: u32) -> u32 {
            self.peers.iter().filter(|has| has.has(PieceIndex(piece))).count() as u32
        }

        fn apply(&mut self, op: Op, len: u32, real: &mut Availability) {
            let give = |peers: &mut Vec<Bitfield>, peer: usize, piece, real: &mut Availability| {
                if peers[peer].insert(PieceIndex(piece)) {
                    real.add_have(PieceIndex(piece), &peers[peer]);
                }
            };
            let peers = self.peers.len();
            match op {
                Op::Join(pieces) => {
                    self.peers.push(set(len, pieces.into_iter().map(|piece| piece % len)));
                    real.add_peer(&self.peers[peers]);
                }
                Op::JoinAsSeed => {
                    self.peers.push(Bitfield::all(len));
                    real.add_peer(&self.peers[peers]);
                }
                Op::Leave(peer) if peers > 0 => real.remove_peer(&self.peers.swap_remove(peer % peers)),
                Op::Have(peer, piece) if peers > 0 => give(&mut self.peers, peer % peers, piece % len, real),
                Op::Complete(peer) if peers > 0 => {
                    (0..len).for_each(|piece| give(&mut self.peers, peer % peers, piece, real));
                }
                Op::Close(piece) => {
                    self.open.remove(&(piece % len));
                    real.close(PieceIndex(piece % len));
                }
                Op::Open(piece) => {
                    self.open.insert(piece % len);
                    real.open(PieceIndex(piece % len));
                }
                Op::Leave(_) | Op::Have(..) | Op::Complete(_) => {}
            }
        }

        fn check(&self, len: u32, real: &Availability) {
            real.check_invariants();
            let copies: Vec<_> = (0..len).map(|piece| self.copies_of(piece)).collect();
            assert_eq!((0..len).map(|piece| real.copies_of(PieceIndex(piece))).collect::<Vec<_>>(), copies);
            assert_eq!(real.min(), *copies.iter().min().unwrap());
            let told: Vec<_> = real
                .rarest_first()
                .flat_map(|(copies, bucket)| bucket.iter().map(move |piece| (copies, piece.0)))
                .collect();
            assert!(told.is_sorted_by_key(|&(copies, _)| copies));
            let open = self.open.iter().map(|&piece| (copies[piece as usize], piece));
            assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), open.collect());
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_count(len in 1u32..12, ops in prop::collection::vec(op(), 0..80)) {
            let mut real = Availability::new(len, &mut dice());
            let mut model = Model { peers: Vec::new(), open: (0..len).collect() };
            for op in ops {
                model.apply(op, len, &mut real);
                model.check(len, &real);
            }
        }
    }

    #[test]
    fn distributed_copies_count_our_own() {
        let mut swarm = Availability::new(4, &mut dice());
        assert_eq!(swarm.distributed_copies(&set(4, [])), 0.0);
        assert_eq!(swarm.distributed_copies(&set(4, [0])), 0.25);
        swarm.add_peer(&set(4, [0, 1, 2]));
        assert_eq!(swarm.distributed_copies(&set(4, [])), 0.75);
        assert_eq!(swarm.distributed_copies(&set(4, [3])), 1.0);
        assert_eq!(swarm.distributed_copies(&set(4, [2, 3])), 1.25);
        swarm.add_peer(&Bitfield::all(4));
        assert_eq!(swarm.distributed_copies(&Bitfield::all(4)), 2.75);
    }

    #[test]
    fn ties_do_not_stand_in_order_of_index() {
        let swarm = Availability::new(100, &mut dice());
        assert!(!swarm.open_pieces().is_sorted());
    }

    #[test]
    fn a_hundred_thousand_pieces_take_12_bytes_each() {
        let swarm = Availability::new(100_000, &mut dice());
        let bytes =
            swarm.pieces.capacity() * size_of::<Piece>() + swarm.open.capacity() * size_of::<PieceIndex>();
        assert_eq!(bytes, 1_200_000);
    }

    #[test]
    #[should_panic(expected = "was not counted")]
    fn a_peer_that_never_came_cannot_leave() {
        Availability::new(4, &mut dice()).remove_peer(&set(4, [1]));
    }
}
