//! Variations of an accelerator: another array, other memories, another DRAM.

use vmin_sram::Geometry;

use super::{Accelerator, Memory};
use crate::dataflow::{ArraySize, Dataflow};

/// Bits per KiB.
const KIB_BITS: u64 = 8192;

/// One of the on-chip memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryName {
    /// Weight codes.
    Weight,
    /// Inputs and outputs of layers.
    Activation,
    /// Partial and final sums.
    Accumulator,
}

impl core::fmt::Display for MemoryName {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(match self {
            Self::Weight => "weight",
            Self::Activation => "activation",
            Self::Accumulator => "accumulator",
        })
    }
}

/// The parameters of an accelerator that a design replaces; absent ones stay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Variation {
    /// Rows and columns of processing elements.
    pub array: Option<ArraySize>,
    /// Dataflow, whether or not the accelerator's file offers it.
    pub dataflow: Option<Dataflow>,
    /// Elements per cycle of the vector unit.
    pub vector_lanes: Option<u64>,
    /// Size of the weight memory in KiB.
    pub weight_kib: Option<u64>,
    /// Size of the activation memory in KiB.
    pub activation_kib: Option<u64>,
    /// Size of the accumulator memory in KiB.
    pub accumulator_kib: Option<u64>,
    /// Sustained DRAM bandwidth in bytes per second.
    pub dram_bytes_per_second: Option<f64>,
}

/// A variation that the accelerator cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VariationError {
    /// The size of a memory is no whole number of rows.
    #[error(
        "the {memory} memory cannot have {kib} KiB: with its banks and columns, sizes are multiples of \
         {step_kib} KiB from {step_kib} on"
    )]
    Size {
        /// The memory.
        memory: MemoryName,
        /// The size asked for.
        kib: u64,
        /// Possible sizes are multiples of this.
        step_kib: u64,
    },
    /// There is no DRAM whose bandwidth could change.
    #[error("the accelerator has no DRAM, hence no bandwidth to vary")]
    NoDram,
}

impl Accelerator {
    /// The same with an accumulator memory of this share of the rows, one at least.
    #[must_use]
    pub fn with_sums_in(&self, share: f64) -> Self {
        let mut smaller = self.clone();
        let geometry = &mut smaller.memories.accumulator.geometry;
        // A share of a number of rows.
        let rows = ((f64::from(geometry.rows()) * share) as u32).clamp(1, geometry.rows());
        if let Ok(of) = vmin_sram::Geometry::new(geometry.banks(), rows, geometry.columns()) {
            *geometry = of;
        }
        smaller
    }

    /// The same accelerator with `variation` applied.
    ///
    /// A memory of another size keeps its banks, columns and word width and gets more or fewer rows;
    /// its energy per access follows the constants of the accelerator's file. Clock, leakage per KiB
    /// and replaced energies stay.
    ///
    /// # Errors
    /// A memory's size is no whole number of rows, or there is no DRAM to vary.
    pub fn varied(&self, variation: &Variation) -> Result<Self, VariationError> {
        let mut varied = self.clone();
        if let Some(array) = variation.array {
            varied.array = array;
        }
        if let Some(dataflow) = variation.dataflow {
            varied.dataflow = dataflow;
        }
        if let Some(lanes) = variation.vector_lanes {
            varied.vector_lanes = lanes.max(1);
        }
        if let Some(bytes_per_second) = variation.dram_bytes_per_second {
            varied.dram.as_mut().ok_or(VariationError::NoDram)?.bytes_per_second = bytes_per_second;
        }
        let memories = &mut varied.memories;
        for (name, memory, kib) in [
            (MemoryName::Weight, &mut memories.weight, variation.weight_kib),
            (MemoryName::Activation, &mut memories.activation, variation.activation_kib),
            (MemoryName::Accumulator, &mut memories.accumulator, variation.accumulator_kib),
        ] {
            if let Some(kib) = kib {
                resize(name, memory, kib)?;
            }
        }
        varied.energy = self.energy.resized(&varied.memories);
        Ok(varied)
    }
}

fn resize(name: MemoryName, memory: &mut Memory, kib: u64) -> Result<(), VariationError> {
    let geometry = memory.geometry;
    let row_bits = u64::from(geometry.banks()) * u64::from(geometry.columns());
    let step_kib = row_bits / gcd(row_bits, KIB_BITS);
    let refused = VariationError::Size { memory: name, kib, step_kib };
    let bits = kib.checked_mul(KIB_BITS).ok_or(refused)?;
    if bits == 0 || !bits.is_multiple_of(row_bits) {
        return Err(refused);
    }
    let rows = u32::try_from(bits / row_bits).map_err(|_| refused)?;
    memory.geometry =
        Geometry::new(geometry.banks(), rows, geometry.columns()).map_err(|_| refused)?;
    Ok(())
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::energy::Action;

    #[test]
    fn a_memory_keeps_its_banks_and_gets_other_rows() {
        let base = Accelerator::load("gemmini-16").unwrap();
        let same = base.varied(&Variation::default()).unwrap();
        assert_eq!(same, base);
        let variation = Variation { weight_kib: Some(64), ..Variation::default() };
        let half = base.varied(&variation).unwrap();
        assert_eq!(half.memories.weight.bits(), 64 * 8192);
        assert_eq!(half.memories.weight.geometry.banks(), 2);
        assert_eq!(half.memories.activation, base.memories.activation);
        assert!(half.energy.pj(Action::WeightRead) < base.energy.pj(Action::WeightRead));
        assert_eq!(half.energy.pj(Action::ActivationRead), base.energy.pj(Action::ActivationRead));
    }

    #[test]
    fn sizes_between_rows_are_refused_with_the_step() {
        let base = Accelerator::load("lowvolt-14nm").unwrap();
        for kib in [0, u64::MAX] {
            let variation = Variation { accumulator_kib: Some(kib), ..Variation::default() };
            let error = base.varied(&variation).unwrap_err();
            assert!(error.to_string().contains("multiples of 1 KiB"), "{error}");
        }
    }

    #[test]
    fn a_given_energy_outlives_the_size() {
        let mut base = Accelerator::load("gemmini-16").unwrap();
        base.energy.set(Action::WeightRead, 1.25, "a test");
        let variation = Variation { weight_kib: Some(1024), ..Variation::default() };
        let large = base.varied(&variation).unwrap();
        assert_eq!(large.energy.pj(Action::WeightRead), 1.25);
        assert!(large.energy.pj(Action::WeightWrite) > base.energy.pj(Action::WeightWrite));
    }
}
