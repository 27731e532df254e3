//! A strategy whose parameters a scenario gives: of so many random pieces the rarest.
//!
//! ```sh
//! cargo run --release -p torrentlab --example with_parameters -- \
//!     run first-swarm --set 'hosts.leecher.picker={ choices = { of = 3 } }'
//! ```

use serde::Deserialize;
use torrentlab::engine::dice::Dice;
use torrentlab::engine::picker::{PeerView, Picker, SwarmView};
use torrentlab::engine::units::PieceIndex;
use torrentlab::engine::why::Reason;
use torrentlab::{Lab, Params};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Choices {
    of: usize,
}

impl Default for Choices {
    fn default() -> Self {
        Self { of: 2 }
    }
}

impl Params for Choices {
    fn check(&self) -> Result<(), String> {
        if self.of > 0 { Ok(()) } else { Err("`of` is 0: write 1 or more".to_owned()) }
    }
}

impl Picker for Choices {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        let copies = |piece| f64::from(view.availability.copies_of(piece));
        // For `--explain`; it may as well be left out.
        view.why.remark("of some random pieces the rarest");
        view.why.smallest_first(|| {
            view.offered_by(peer).map(|piece| Reason::new(piece, copies(piece), "copies"))
        });
        let mut offered: Vec<PieceIndex> = view.offered_by(peer).collect();
        for _ in 0..want {
            let drawn = (0..self.of).filter_map(|_| dice.index(offered.len()));
            let Some(rarest) = drawn.min_by_key(|&at| view.availability.copies_of(offered[at])) else {
                return;
            };
            out.push(offered.swap_remove(rarest));
        }
    }
}

fn main() -> std::process::ExitCode {
    Lab::new().picker_with("choices", |params: Choices, _| Box::new(params)).main()
}
