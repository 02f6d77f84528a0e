//! Adversarial bit errors: at most k wrong bits among the stored codes, at most one in each code.
//!
//! ```text
//!  Weights (codes, reachable bits) ──┐
//!  Victim (loss, slope at codes) ────┼─> pgd | progressive | first_order | random ──> Found: flips, loss, queries
//!  k, seed, restart ─────────────────┘
//! ```
//!
//! The victim's loss is what an attack raises: the mean cross-entropy of some images, or less that of a wanted class.
//! Sources: D. Stutz, N. Chandramoorthy, M. Hein, B. Schiele, "Random and Adversarial Bit Error Robustness", TPAMI
//! 2022 (the ball of bit errors and projected gradients); A. S. Rakin, Z. He, D. Fan, "Bit-Flip Attack", ICCV 2019
//! (progressive search).

mod baselines;
mod hamming;
mod pgd;
mod progressive;
mod restarts;
#[cfg(test)]
mod tests;

pub use baselines::{first_order, random};
pub use hamming::{Ranking, best, project};
pub use pgd::{Pgd, pgd};
pub use progressive::{After, progressive};
pub use restarts::restart;

use vmin_quant::Encoding;

/// The codes of a weight tensor, with the bits that an attack can flip.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// One code per weight, in the low bits of a byte.
    pub codes: Vec<u8>,
    /// Bits of a code.
    pub bits: u8,
    /// Map from codes to integers.
    pub encoding: Encoding,
    /// Real weight of one integer step: one for the tensor, or one for each output channel.
    pub scales: Vec<f32>,
    /// The bits of each code that can be flipped.
    pub reachable: Vec<u8>,
}

impl Weights {
    /// Codes all of whose bits can be flipped.
    #[must_use]
    pub fn all_reachable(codes: Vec<u8>, bits: u8, encoding: Encoding, scales: Vec<f32>) -> Self {
        let reachable = vec![0xff >> (8 - bits); codes.len()];
        Self { codes, bits, encoding, scales, reachable }
    }

    /// Real weight of one integer step of a code.
    fn scale(&self, index: usize) -> f32 {
        let per_scale = self.codes.len().div_ceil(self.scales.len().max(1));
        self.scales[index / per_scale.max(1)]
    }

    /// The integers of all codes, by code.
    fn integers(&self) -> [i8; 256] {
        self.encoding.decode_table(self.bits)
    }
}

/// One wrong bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flip {
    /// Index of the weight tensor.
    pub tensor: usize,
    /// Index of the code in its tensor.
    pub index: usize,
    /// Bit of the code, 0 the least significant.
    pub bit: u8,
}

/// The codes as read where these bits are wrong.
#[must_use]
pub fn flipped(weights: &[Weights], flips: &[Flip]) -> Vec<Vec<u8>> {
    let mut codes: Vec<Vec<u8>> = weights.iter().map(|of| of.codes.clone()).collect();
    for &Flip { tensor, index, bit } in flips {
        codes[tensor][index] ^= 1 << bit;
    }
    codes
}

/// A loss with its derivatives.
#[derive(Clone, Debug, PartialEq)]
pub struct Slope {
    /// The loss.
    pub loss: f64,
    /// Derivatives by the integer of each code, per tensor.
    pub by_integer: Vec<Vec<f32>>,
}

/// A network whose loss an attack raises.
pub trait Victim {
    /// Why a loss cannot be told.
    type Error;

    /// The loss where the memory gives back these codes.
    ///
    /// # Errors
    /// The victim's own.
    fn loss(&mut self, codes: &[Vec<u8>]) -> Result<f64, Self::Error>;

    /// The same with its derivatives.
    ///
    /// # Errors
    /// The victim's own.
    fn slope(&mut self, codes: &[Vec<u8>]) -> Result<Slope, Self::Error>;
}

/// Counts the questions that an attack asks its victim.
struct Asked<'v, V> {
    victim: &'v mut V,
    queries: u64,
}

impl<V: Victim> Asked<'_, V> {
    fn loss(&mut self, weights: &[Weights], flips: &[Flip]) -> Result<f64, V::Error> {
        self.queries += 1;
        self.victim.loss(&flipped(weights, flips))
    }

    fn slope(&mut self, weights: &[Weights], flips: &[Flip]) -> Result<Slope, V::Error> {
        self.queries += 1;
        self.victim.slope(&flipped(weights, flips))
    }
}

/// What an attack found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The wrong bits; in the order of their choice where an attack chooses one after the other, else in order.
    pub flips: Vec<Flip>,
    /// The victim's loss under them.
    pub loss: f64,
    /// Losses and slopes that the victim told.
    pub queries: u64,
}
