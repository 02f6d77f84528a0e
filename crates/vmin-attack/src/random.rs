//! Random numbers as a pure function of a seed and indices.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::{SplitMix64, Xoshiro256PlusPlus};

/// The random numbers of one seed and these indices.
pub(crate) struct Stream(Xoshiro256PlusPlus);

impl Stream {
    pub(crate) fn new(seed: u64, indices: &[u64]) -> Self {
        // Chained, so that every index reaches the whole state.
        let key = indices.iter().fold(seed, |key, &index| {
            SplitMix64::seed_from_u64(key).next_u64() ^ SplitMix64::seed_from_u64(!index).next_u64()
        });
        Self(Xoshiro256PlusPlus::seed_from_u64(key))
    }

    /// Uniform in `0..count`; the bias of the multiplication is below `count / 2^64`.
    #[expect(clippy::cast_possible_truncation, reason = "the high half is below `count`")]
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.0.next_u64()) * count as u128) >> 64) as usize
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `[-1, 1)`.
    pub(crate) fn signed(&mut self) -> f64 {
        2.0 * self.unit() - 1.0
    }

    /// 1 or -1.
    pub(crate) fn sign(&mut self) -> f32 {
        if self.below(2) == 1 { 1.0 } else { -1.0 }
    }

    /// Standard normal (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(2.0 * std::f64::consts::PI * self.unit())
    }
}
