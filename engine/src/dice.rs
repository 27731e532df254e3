//! Portable randomness: ChaCha8 streams keyed by the run's seed, one for each purpose.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// A stream of random numbers. Streams with different names are independent, so that a new class, peer or purpose
/// does not change what the others draw.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream that `name` (host class, index in the class, purpose) has in the run with this `seed`.
    pub fn stream(seed: u64, name: (&str, u64, &str)) -> Self {
        let (class, index, purpose) = name;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // FNV-1a, 64 bits; a byte that UTF-8 cannot hold parts the three names.
        let bytes =
            class.bytes().chain([0xff]).chain(index.to_le_bytes()).chain([0xff]).chain(purpose.bytes());
        rng.set_stream(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }));
        Self(rng)
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A whole number below `bound`, each as likely as the next (Lemire's multiplication; the bias is below
    /// `bound` / 2^64). 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A position in a slice of `len`, or `None` when it is empty.
    pub fn index(&mut self, len: usize) -> Option<usize> {
        (len > 0).then(|| self.below(len as u64) as usize)
    }

    /// A number in `[0, 1)` with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Puts `items` in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}
