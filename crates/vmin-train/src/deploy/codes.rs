//! Deployed weight codes: one asymmetric range per tensor, unsigned (offset binary), rounded to
//! nearest: RQuant of "Bit Error Robustness for Energy-Efficient DNN Accelerators" with the integer
//! zero point that integer hardware needs.

use vmin_quant::{Deployable, Encoding, Granularity, Rounding, Symmetry};

/// The quantizer of weights at `bits` (2 to 8) bits per code.
#[must_use]
pub fn rquant(bits: u8) -> Deployable {
    Deployable {
        bits,
        encoding: Encoding::OffsetBinary,
        granularity: Granularity::PerTensor,
        symmetry: Symmetry::Asymmetric,
        rounding: Rounding::HalfEven,
    }
}
