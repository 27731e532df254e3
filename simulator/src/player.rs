//! Who watches the content while it comes.

use torrentlab_engine::time::Duration;
use torrentlab_scenarios::Scenario;
use torrentlab_scenarios::schema::Playback;

/// A player, in pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Player {
    /// How long a piece is played. The last one is taken for as long as the others.
    pub piece_time: Duration,
    /// Pieces from the beginning that playback waits for.
    pub buffer: u32,
}

impl Player {
    /// The player that a scenario describes.
    pub fn of(scenario: &Scenario, playback: &Playback) -> Self {
        let rate = playback.rate.bytes_per_s().unwrap_or(u64::MAX).max(1);
        let piece_time = Duration::of_transfer(scenario.content.piece_size.bytes(), rate);
        let buffer = playback.buffer.as_nanos().div_ceil(piece_time.as_nanos().max(1));
        Self { piece_time, buffer: u32::try_from(buffer).unwrap_or(u32::MAX).max(1) }
    }
}
