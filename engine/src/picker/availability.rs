//! How many peers have each piece, with the open pieces kept in order of rarity.

/// Placeholder.
#[derive(Debug)]
pub struct Availability;
