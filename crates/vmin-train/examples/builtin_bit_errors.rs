//! How the embedded default network errs when each weight bit is flipped with probability p.
//!
//! ```text
//! cargo run --release -p vmin-train --example builtin_bit_errors -- \
//!     crates/vmin-nn/assets/shapes-cnn.safetensors
//! ```
//!
//! The flips are those of the source papers: XOR, independent, one pattern per chip that is nested
//! over p (a bit flips if its own uniform number is below p).
#![expect(clippy::print_stdout, reason = "the table is the output")]

use std::error::Error;

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use vmin_nn::data::{Limits, Split, load};
use vmin_train::deploy::integer_errors;

const CHIPS: u64 = 20;
const RATES_PCT: [f64; 9] = [0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: builtin_bit_errors MODEL.safetensors")?;
    let graph = vmin_nn::import::native::load(&std::fs::read(path)?, &vmin_nn::Limits::default())?;
    let test = load("builtin:shapes", Split::Test, Limits::default())?;
    println!("p %  | RErr %, mean over {CHIPS} chips | std | min | max");
    for rate_pct in RATES_PCT {
        let mut errors = Vec::new();
        for chip in 0..CHIPS {
            let mut codes: Vec<Vec<u8>> = graph.weights.iter().map(|w| w.codes.clone()).collect();
            flip(&mut codes, chip, rate_pct / 100.0);
            let wrong = integer_errors(&graph, &codes, &test)?;
            errors.push(100.0 * wrong as f64 / test.len() as f64);
        }
        let mean = errors.iter().sum::<f64>() / CHIPS as f64;
        let square = errors.iter().map(|error| (error - mean) * (error - mean)).sum::<f64>();
        let deviation = libm::sqrt(square / (CHIPS - 1) as f64);
        let low = errors.iter().copied().fold(f64::INFINITY, f64::min);
        let high = errors.iter().copied().fold(0.0, f64::max);
        println!("{rate_pct:4} | {mean:.2} | {deviation:.2} | {low:.2} | {high:.2}");
    }
    Ok(())
}

/// Flips every bit whose uniform number, drawn in memory order, is below `p`.
fn flip(codes: &mut [Vec<u8>], chip: u64, p: f64) {
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(chip);
    for code in codes.iter_mut().flatten() {
        for bit in 0..8 {
            let unit = (dice.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            *code ^= u8::from(unit < p) << bit;
        }
    }
}
