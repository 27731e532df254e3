//! A piece-selection strategy of one's own: of two random pieces the rarer one ("the power of two choices").
//!
//! ```sh
//! cargo run --release -p torrentlab --example own_strategy -- run first-swarm --set hosts.leecher.picker=two-choices
//! ```

use torrentlab::Lab;
use torrentlab::engine::dice::Dice;
use torrentlab::engine::picker::{PeerView, Picker, SwarmView};
use torrentlab::engine::units::PieceIndex;

#[derive(Debug)]
struct TwoChoices;

impl Picker for TwoChoices {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        let mut offered: Vec<PieceIndex> = view.offered_by(peer).collect();
        for _ in 0..want {
            let (Some(one), Some(other)) = (dice.index(offered.len()), dice.index(offered.len())) else {
                return;
            };
            let copies = |at: usize| view.availability.copies_of(offered[at]);
            let rarer = if copies(one) <= copies(other) { one } else { other };
            out.push(offered.swap_remove(rarer));
        }
    }
}

fn main() -> std::process::ExitCode {
    Lab::new().picker("two-choices", || Box::new(TwoChoices)).main()
}
