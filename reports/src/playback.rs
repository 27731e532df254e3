//! What somebody sees who watches the content while it comes.

/// A player's experience.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Playback {
    /// From joining until playback begins; `None` if it never did.
    pub startup_s: Option<f64>,
    /// How often it stood still, waiting for a piece.
    pub stalls: u32,
    /// For how long, all together, up to the end.
    pub stalled_s: f64,
    /// The share of the pieces that were not there when a player that never waits would have played them.
    pub late_share: f64,
}

/// Plays pieces of `piece_s` seconds each, of which piece i came at `came_s[i]` (`None`: it never did), for somebody who
/// joined at `joined_s`, up to `end_s`. Playback begins when the first `buffer` pieces are there.
///
/// A player that waits goes on as soon as the piece that it waits for has come: piece i begins at
/// b(i) = max(b(i - 1) + `piece_s`, came(i)), and each time that the second is later is a stall. A player that never
/// waits plays piece i at b(0) + i · `piece_s`: what comes later is late.
pub fn play(came_s: &[Option<f64>], piece_s: f64, buffer: usize, joined_s: f64, end_s: f64) -> Playback {
    let first = &came_s[..buffer.clamp(1, came_s.len().max(1)).min(came_s.len())];
    let ready = first.iter().copied().try_fold(joined_s, |latest, came| came.map(|came| latest.max(came)));
    let Some(began) = ready.filter(|_| !came_s.is_empty()) else {
        return Playback { late_share: if came_s.is_empty() { 0.0 } else { 1.0 }, ..Playback::default() };
    };
    let late = (0u32..)
        .zip(came_s)
        .filter(|&(nth, came)| came.is_none_or(|came| came > began + f64::from(nth) * piece_s));
    let mut playback = Playback {
        startup_s: Some(began - joined_s),
        late_share: late.count() as f64 / came_s.len() as f64,
        ..Playback::default()
    };
    let mut due = began;
    for came in came_s {
        if due >= end_s {
            break;
        }
        let begins = came.map_or(end_s, |came| came.max(due));
        if begins > due {
            playback.stalls += 1;
            playback.stalled_s += begins - due;
        }
        due = begins + piece_s;
    }
    playback
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(came: &[f64]) -> Vec<Option<f64>> {
        came.iter().copied().map(Some).collect()
    }

    #[test]
    fn who_has_everything_in_time_never_waits() {
        let playback = play(&all(&[3.0, 4.0, 2.0, 5.0]), 2.0, 2, 1.0, 100.0);
        assert_eq!(playback, Playback { startup_s: Some(3.0), stalls: 0, stalled_s: 0.0, late_share: 0.0 });
    }

    #[test]
    fn a_late_piece_holds_up_those_behind_it_once() {
        // Begins at 1; piece 1 is due at 3 and comes at 10; piece 2 is then due at 12, and there.
        let playback = play(&all(&[1.0, 10.0, 11.0, 12.0]), 2.0, 1, 0.0, 100.0);
        assert_eq!(playback, Playback { startup_s: Some(1.0), stalls: 1, stalled_s: 7.0, late_share: 0.75 });
    }

    #[test]
    fn each_wait_is_a_stall() {
        let playback = play(&all(&[0.0, 3.0, 9.0]), 2.0, 1, 0.0, 100.0);
        // Piece 1 is due at 2, one second too soon; piece 2 at 5, four seconds too soon.
        assert_eq!((playback.stalls, playback.stalled_s), (2, 5.0));
    }

    #[test]
    fn what_never_comes_is_waited_for_to_the_end() {
        let playback = play(&[Some(1.0), None, Some(2.0)], 2.0, 1, 0.0, 20.0);
        assert_eq!((playback.stalls, playback.stalled_s), (1, 17.0));
        assert_eq!(playback.late_share, 1.0 / 3.0);
        let never = play(&[None, Some(1.0)], 2.0, 1, 0.0, 20.0);
        assert_eq!(never, Playback { startup_s: None, late_share: 1.0, ..Playback::default() });
    }

    #[test]
    fn a_buffer_longer_than_the_content_is_all_of_it() {
        assert_eq!(play(&all(&[1.0, 4.0]), 2.0, 9, 1.0, 20.0).startup_s, Some(3.0));
        assert_eq!(play(&[], 2.0, 9, 1.0, 20.0), Playback::default());
    }
}
