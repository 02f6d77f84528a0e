//! Random numbers as a pure function of (seed, purpose, index): no shared stream.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::{SplitMix64, Xoshiro256PlusPlus};

/// Use of random numbers; each purpose has its own stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Initial values of parameter `index`.
    Initialization = 1,
    /// Order of the images in epoch `index`.
    Shuffle = 2,
    /// Shifts and flips of the images in epoch `index`.
    Augmentation = 3,
    /// Bit errors of step `index`.
    BitErrors = 4,
    /// Bit errors of test chip `index`.
    TestChip = 5,
    /// Seed of the chips that training samples from a population.
    ChipSeed = 6,
    /// Bit errors in activations of step `index`: in value `indices[1]` (0: the images) of chunk `indices[2]`.
    DataErrors = 7,
    /// Bit errors in activations of test chip `index`.
    TestData = 8,
    /// Measured chip of step `index`, and its first cell.
    ChipPlace = 9,
    /// What the adversary of step `index` attacks.
    Adversary = 10,
    /// Part of its rate that step `index` has.
    ErrorPart = 12,
    /// Moves of weights in sample `indices[0]` of tensor `indices[1]`.
    Flatness = 11,
}

/// The stream for one purpose and index.
pub(crate) struct Stream(Xoshiro256PlusPlus);

impl Stream {
    pub(crate) fn new(seed: u64, purpose: Purpose, index: usize) -> Self {
        Self::of(seed, purpose, &[index])
    }

    /// The stream for one purpose and several indices.
    pub(crate) fn of(seed: u64, purpose: Purpose, indices: &[usize]) -> Self {
        // Chained, so that every part of the key reaches the whole state.
        let parts = std::iter::once(purpose as u64).chain(indices.iter().map(|&i| i as u64));
        let key = parts.fold(seed, |key, part| {
            SplitMix64::seed_from_u64(key).next_u64() ^ SplitMix64::seed_from_u64(!part).next_u64()
        });
        Self(Xoshiro256PlusPlus::seed_from_u64(key))
    }

    /// 64 random bits.
    pub(crate) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `0..count`; the bias of the multiplication is below `count / 2^64`.
    #[expect(clippy::cast_possible_truncation, reason = "the high half is below `count`")]
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.0.next_u64()) * count as u128) >> 64) as usize
    }

    /// Standard normal (Box and Muller, with portable functions).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(2.0 * std::f64::consts::PI * self.unit())
    }

    /// `0..count` in random order (Fisher and Yates).
    pub(crate) fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::{Purpose, Stream};

    #[test]
    fn streams_differ_from_their_first_number_on() {
        let mut firsts: Vec<u64> = Vec::new();
        for seed in 0..8 {
            for purpose in [Purpose::Initialization, Purpose::Shuffle, Purpose::Augmentation] {
                firsts.extend((0..8).map(|i| Stream::new(seed, purpose, i).unit().to_bits()));
            }
        }
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 8 * 3 * 8);
    }

    #[test]
    fn numbers_have_the_stated_moments() {
        let mut stream = Stream::new(1, Purpose::Shuffle, 0);
        let count = 100_000;
        let normals: Vec<f64> = (0..count).map(|_| stream.normal()).collect();
        let mean = normals.iter().sum::<f64>() / f64::from(count);
        let square = normals.iter().map(|x| x * x).sum::<f64>() / f64::from(count);
        assert!(mean.abs() < 0.015 && (square - 1.0).abs() < 0.02, "{mean} {square}");
        let mut order = stream.permutation(1_000);
        assert_ne!(order[..3], [0, 1, 2]);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, &j)| i == j));
    }
}
