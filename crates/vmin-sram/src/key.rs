//! The key of a chip and its random streams.

use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Names one memory of one chip. Different chips are independent; the memories of one chip share
/// only its die's part of the variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChipKey {
    /// The experiment's seed.
    pub seed: u64,
    /// Index of the chip.
    pub chip: u64,
    /// Index of the memory in the chip.
    pub memory: u32,
}

/// The purpose of a stream; part of the key, so that no two purposes share a stream.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
enum Purpose {
    Die = 1,
    Bank = 2,
    Read = 3,
    Cell = 4,
}

impl ChipKey {
    /// The stream of one bank. It does not depend on how many banks there are.
    pub(crate) fn bank_stream(self, bank: u32) -> Xoshiro256PlusPlus {
        stream([
            Purpose::Bank as u64,
            self.seed,
            self.chip,
            u64::from(self.memory),
            u64::from(bank),
        ])
    }

    /// The stream of one layer's reads for one image.
    pub(crate) fn read_stream(self, image: u64, layer: u32) -> Xoshiro256PlusPlus {
        let place = u64::from(self.memory) << 32 | u64::from(layer);
        stream([Purpose::Read as u64, self.seed, self.chip, place, image])
    }

    /// The random word of one cell at one read.
    pub(crate) fn cell_word(self, read: u64, address: u64) -> u64 {
        let place = Purpose::Cell as u64 | u64::from(self.memory) << 8;
        let key = [place, self.seed, self.chip, read, address];
        mix(key.iter().fold(STARTS[0], |hash, &word| mix(hash.wrapping_add(word))))
    }

    /// The stream of the die, common to all memories of a chip.
    pub(crate) fn die_stream(self) -> Xoshiro256PlusPlus {
        stream([Purpose::Die as u64, self.seed, self.chip, 0, 0])
    }
}

/// Digits of the fractions of sqrt 2, 3, 5 and 7: arbitrary, different, not regular.
const STARTS: [u64; 4] =
    [0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];

/// A generator keyed by five words. Each of its four state words absorbs the key on its own, from a
/// different start, so two keys share a state only if four 64-bit hashes collide at once.
fn stream(key: [u64; 5]) -> Xoshiro256PlusPlus {
    let mut state = [0; 32];
    for (bytes, start) in state.chunks_exact_mut(8).zip(STARTS) {
        let hash = key.iter().fold(start, |hash, &word| mix(hash.wrapping_add(word)));
        bytes.copy_from_slice(&mix(hash).to_le_bytes());
    }
    Xoshiro256PlusPlus::from_seed(state)
}

/// The output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), a bijection of 64 bits.
const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
