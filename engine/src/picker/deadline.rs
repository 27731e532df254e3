//! Pieces by when they are played.

use super::streaming::rarest_first_apart;
use super::{PeerView, Picker, SwarmView};
use crate::bitfield::Bitfield;
use crate::dice::Dice;
use crate::time::{Duration, Instant};
use crate::units::PieceIndex;
use crate::why::Reason;

/// Earliest deadline first among the pieces that are played soon, rarest first among all others.
///
/// It follows a player that begins once it has [`buffer`](Deadline::buffer) pieces from the beginning, plays each for
/// [`piece_time`](Deadline::piece_time), and waits for one that is late.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// How long a piece is played.
    pub piece_time: Duration,
    /// Pieces from the beginning that playback waits for.
    pub buffer: u32,
    /// What is played within this time is urgent.
    pub ahead: Duration,
    /// The piece that is being played, or waited for, and since when; `None` before the beginning.
    playing: Option<(u32, Instant)>,
}

impl Deadline {
    /// A picker for a player that has not begun.
    pub fn new(piece_time: Duration, buffer: u32, ahead: Duration) -> Self {
        Self { piece_time, buffer, ahead, playing: None }
    }

    /// Lets the player go on to `now`.
    fn play(&mut self, have: &Bitfield, now: Instant) {
        let has = |piece| piece < have.len() && have.has(PieceIndex(piece));
        if self.playing.is_none() && (0..self.buffer.min(have.len())).all(has) {
            self.playing = Some((0, now));
        }
        let Some((piece, since)) = &mut self.playing else { return };
        while has(*piece) && *since + self.piece_time <= now {
            *piece += 1;
            *since += self.piece_time;
        }
        if !has(*piece) {
            // It waits: the piece is played as soon as it comes.
            *since = now;
        }
    }

    /// The first piece that is not urgent.
    fn urgent_end(&self, now: Instant) -> u32 {
        let Some((piece, since)) = self.playing else { return self.buffer };
        let left = (now + self.ahead).since(since).as_nanos();
        let pieces = left / self.piece_time.as_nanos().max(1) + 1;
        piece.saturating_add(u32::try_from(pieces).unwrap_or(u32::MAX))
    }
}

impl Deadline {
    /// How soon a piece is played, as a reason.
    fn urgency(&self, piece: PieceIndex, now: Instant) -> Reason<PieceIndex> {
        let Some((playing, since)) = self.playing else {
            return Reason::new(piece, piece.get() as f64, "pieces from the beginning, for the buffer");
        };
        let ahead = piece.get().saturating_sub(playing as usize) as f64;
        let played_s = now.since(since).as_secs_f64();
        Reason::new(piece, ahead * self.piece_time.as_secs_f64() - played_s, "s until it is played")
    }
}

impl Picker for Deadline {
    fn pick(
        &mut self,
        view: &SwarmView<'_>,
        peer: &PeerView<'_>,
        want: usize,
        dice: &mut Dice,
        out: &mut Vec<PieceIndex>,
    ) {
        self.play(view.have, view.now);
        let end = self.urgent_end(view.now);
        let (mut urgent, later) = rarest_first_apart(view, peer, dice, |piece| piece < PieceIndex(end));
        urgent.sort_unstable();
        view.why.say(|| {
            let is_urgent = |&piece: &PieceIndex| self.urgency(piece, view.now);
            let is_later = |&piece: &PieceIndex| view.copies(piece, "copies, not urgent");
            urgent.iter().map(is_urgent).chain(later.iter().map(is_later))
        });
        out.extend(urgent.into_iter().chain(later).take(want));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picker::tests::check;

    const SECOND: Duration = Duration::from_secs(1);

    /// Pieces of a second each; the pictures show the swarm at the time zero.
    fn picker(buffer: u32, ahead: u64) -> Deadline {
        Deadline::new(SECOND, buffer, SECOND * ahead)
    }

    #[test]
    fn before_the_beginning_the_buffer_comes_first() {
        check(
            &mut picker(3, 100),
            "
            copies 9991 2345
            have   x... ....
            begun  .... ....
            peer   xxxx xxxx
            pick   .123 4567
            ",
        );
    }

    #[test]
    fn what_is_played_soon_comes_in_order_and_the_rest_rarest_first() {
        check(
            &mut picker(1, 2),
            "
            copies 9993 2131
            have   x... ....
            begun  .... ....
            peer   xxxx xxxx
            pick   .125 4353
            ",
        );
    }

    #[test]
    fn the_player_goes_on_and_waits_for_what_is_late() {
        let mut deadline = picker(1, 2);
        let mut have = Bitfield::none(10);
        let at = |secs| Instant::ZERO + SECOND * secs;
        deadline.play(&have, at(5));
        assert_eq!((deadline.playing, deadline.urgent_end(at(5))), (None, 1));
        have.insert(PieceIndex(0));
        have.insert(PieceIndex(1));
        deadline.play(&have, at(6));
        assert_eq!((deadline.playing, deadline.urgent_end(at(6))), (Some((0, at(6))), 3));
        deadline.play(&have, at(7));
        assert_eq!(deadline.playing, Some((1, at(7))));
        // Piece 2 is due at 8 and missing until 20.
        deadline.play(&have, at(12));
        assert_eq!((deadline.playing, deadline.urgent_end(at(12))), (Some((2, at(12))), 5));
        have.insert(PieceIndex(2));
        deadline.play(&have, at(20));
        assert_eq!(deadline.playing.map(|(piece, _)| piece), Some(3), "it waited from 12 on at most");
    }
}
