//! The health of a swarm, counted a second time and in another way.
//!
//! The ledger keeps its counts from what hosts store. This one goes by what the trace goes by, which is what hosts are
//! told: the pieces with which each begins, each check of a piece that it hears of, and when it comes and goes.

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::units::PieceIndex;

/// What every host present believes to have.
#[derive(Clone, Debug, Default)]
pub struct Recount {
    /// By host; `None` while it is away.
    present: Vec<Option<Bitfield>>,
    /// By piece.
    copies: Vec<u32>,
}

impl Recount {
    /// A host came with `have`.
    pub fn came(&mut self, host: u32, have: &Bitfield) {
        self.went(host);
        let (host, pieces) = (host as usize, have.len() as usize);
        self.present.resize(self.present.len().max(host + 1), None);
        self.copies.resize(self.copies.len().max(pieces), 0);
        have.iter().for_each(|piece| self.copies[piece.get()] += 1);
        self.present[host] = Some(have.clone());
    }

    /// It went.
    pub fn went(&mut self, host: u32) {
        if let Some(have) = self.present.get_mut(host as usize).and_then(Option::take) {
            have.iter().for_each(|piece| self.copies[piece.get()] -= 1);
        }
    }

    /// It was told that a piece is right.
    pub fn got(&mut self, host: u32, piece: PieceIndex) {
        let have = self.present.get_mut(host as usize).and_then(Option::as_mut);
        if have.is_some_and(|have| have.insert(piece)) {
            self.copies[piece.get()] += 1;
        }
    }

    /// Distributed copies: complete copies, and the share of the pieces of which there is another one.
    pub fn distributed_copies(&self) -> f64 {
        let Some(&complete) = self.copies.iter().min() else { return 0.0 };
        let more = self.copies.iter().filter(|&&copies| copies > complete).count();
        f64::from(complete) + more as f64 / self.copies.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_by_hand() {
        let mut recount = Recount::default();
        assert_eq!(recount.distributed_copies(), 0.0, "nobody is there");
        recount.came(3, &Bitfield::all(4));
        recount.came(0, &Bitfield::none(4));
        assert_eq!(recount.distributed_copies(), 1.0);
        recount.got(0, PieceIndex(2));
        recount.got(0, PieceIndex(2));
        assert_eq!(recount.distributed_copies(), 1.25, "a piece that is told of twice counts once");
        recount.got(1, PieceIndex(1));
        assert_eq!(recount.distributed_copies(), 1.25, "who is away counts for nothing");
        recount.went(3);
        recount.went(3);
        assert_eq!(recount.distributed_copies(), 0.25);
        recount.came(3, &Bitfield::none(4));
        assert_eq!(recount.distributed_copies(), 0.25, "it came back without anything");
    }
}
