//! Quantizes weights to 4 bits, packs the codes as a memory holds them, flips one bit, and reads the
//! weights back.
#![expect(clippy::print_stdout, reason = "an example")]

use vmin_quant::{Formula, Quantizer, Scheme, pack, unpack};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let weights = [-0.5, -0.1, 0.2, 0.5];
    let quantizer = Quantizer::new(Scheme::RQuant, Formula::Paper, 4)?;
    let range = quantizer.fit(&weights)?;
    let mut memory = pack(&quantizer.quantize(&weights, &range)?, quantizer.bits());
    println!("clean:   {:?}", quantizer.dequantize(&unpack(&memory, 4, 4)?, &range));

    memory[0] ^= 1 << 7; // the top bit of the second code
    let read = quantizer.dequantize(&unpack(&memory, 4, 4)?, &range);
    println!("flipped: {read:?}");
    assert!((read[1] - weights[1]).abs() > 0.5);
    Ok(())
}
