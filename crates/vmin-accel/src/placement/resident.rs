//! The whole model in one weight memory, tensor after tensor, code after code, without gaps.
//!
//! ```text
//! bit   0           codes * bits
//!       | tensor 0  | tensor 1 | ... | unused |
//!       | bank 0  | bank 1  | ...             |     banks of the accelerator, as many as needed
//! ```
//!
//! A code may straddle two rows or two banks; addresses are those of [`Geometry`].

use vmin_sram::{Geometry, GeometryError};

use crate::Accelerator;

/// Why a model could not be placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// A tensor has codes of 0 or more than 8 bits.
    #[error("tensor {tensor} has codes of {bits} bits, not of 1 to 8")]
    Bits {
        /// Which tensor.
        tensor: usize,
        /// Its bits per code.
        bits: u8,
    },
    /// The model needs more cells than a memory may have.
    #[error("the weights do not fit in any memory: {0}")]
    Geometry(#[from] GeometryError),
    /// Tensors and places are not as many.
    #[error("{places} places are named, which is not the number of layers with weights")]
    Places {
        /// Places that were named.
        places: usize,
    },
    /// A place within the tensor before.
    #[error("layer {} cannot begin at bit {first}: the layer before it ends at bit {end}", tensor + 1)]
    Overlap {
        /// Which tensor.
        tensor: usize,
        /// Where it was to begin.
        first: u64,
        /// Where the one before ends.
        end: u64,
    },
    /// The number of bits overflows.
    #[error("the weights are too many to count their bits")]
    TooLarge,
}

/// Where a tensor may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alignment {
    /// Right behind the tensor before it.
    #[default]
    Code,
    /// At the next row.
    Row,
    /// At the next bank.
    Bank,
}

impl Alignment {
    /// Every alignment with its word.
    pub const ALL: [(&'static str, Self); 3] =
        [("code", Self::Code), ("row", Self::Row), ("bank", Self::Bank)];
}

/// Where one tensor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlacedTensor {
    /// Address of the first bit of its first code.
    pub first_bit: u64,
    /// Number of codes.
    pub codes: u64,
    /// Bits per code.
    pub bits: u8,
}

/// A model in the weight memory.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ResidentPlacement {
    /// The tensors in memory order.
    pub tensors: Vec<PlacedTensor>,
    /// The memory: banks of the accelerator's shape, at least as many as it has.
    pub geometry: Geometry,
    /// Bits from the first cell to the end of the last tensor, gaps of the alignment included.
    pub bits_used: u64,
    /// Banks the accelerator's weight memory really has.
    pub physical_banks: u32,
    /// True if the model needs more banks than that.
    pub exceeds_physical: bool,
}

impl ResidentPlacement {
    /// A remark where the weights do not fit in the weight memory of `accelerator`.
    #[must_use]
    pub fn larger_note(&self, accelerator: &str) -> Option<String> {
        let (taken, has) = (self.geometry.banks(), self.physical_banks);
        self.exceeds_physical.then(|| {
            format!(
                "the weights do not fit in the weight memory of `{accelerator}`: they take {taken} banks, it has {has}, \
                 and the errors are those of a memory with all of them"
            )
        })
    }

    /// Places tensors, given as (number of codes, bits per code) in memory order.
    ///
    /// # Errors
    /// A tensor's codes are not 1 to 8 bits wide, or the model is larger than a memory may be.
    pub fn new(
        accelerator: &Accelerator,
        tensors: impl IntoIterator<Item = (u64, u8)>,
    ) -> Result<Self, PlacementError> {
        Self::in_memory(accelerator.memories.weight.geometry, tensors)
    }

    /// As [`Self::new`], for a weight memory of this geometry.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn in_memory(
        physical: Geometry,
        tensors: impl IntoIterator<Item = (u64, u8)>,
    ) -> Result<Self, PlacementError> {
        Self::aligned(physical, Alignment::Code, tensors)
    }

    /// As [`Self::in_memory`], every tensor at a place of its own kind.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn aligned(
        physical: Geometry,
        alignment: Alignment,
        tensors: impl IntoIterator<Item = (u64, u8)>,
    ) -> Result<Self, PlacementError> {
        let unit = match alignment {
            Alignment::Code => 1,
            Alignment::Row => u64::from(physical.columns()),
            Alignment::Bank => physical.cells_per_bank(),
        };
        let next =
            |_: usize, end: u64| end.checked_next_multiple_of(unit).ok_or(PlacementError::TooLarge);
        Self::placed(physical, tensors, next)
    }

    /// As [`Self::in_memory`], every tensor at the bit that is named for it.
    ///
    /// # Errors
    /// As for [`Self::new`]; not as many places as tensors, or one before the end of the tensor before it.
    pub fn at(
        physical: Geometry,
        first_bits: &[u64],
        tensors: impl IntoIterator<Item = (u64, u8)>,
    ) -> Result<Self, PlacementError> {
        let missing = PlacementError::Places { places: first_bits.len() };
        let next = |tensor: usize, end: u64| {
            let &first = first_bits.get(tensor).ok_or_else(|| missing.clone())?;
            if first < end {
                Err(PlacementError::Overlap { tensor, first, end })
            } else {
                Ok(first)
            }
        };
        let placed = Self::placed(physical, tensors, next)?;
        if placed.tensors.len() == first_bits.len() { Ok(placed) } else { Err(missing) }
    }

    /// Places tensors where `next` says, given their number and the end of the one before.
    fn placed(
        physical: Geometry,
        tensors: impl IntoIterator<Item = (u64, u8)>,
        next: impl Fn(usize, u64) -> Result<u64, PlacementError>,
    ) -> Result<Self, PlacementError> {
        let mut placed = Vec::new();
        let mut next_bit = 0_u64;
        for (tensor, (codes, bits)) in tensors.into_iter().enumerate() {
            if !(1..=8).contains(&bits) {
                return Err(PlacementError::Bits { tensor, bits });
            }
            next_bit = next(tensor, next_bit)?;
            placed.push(PlacedTensor { first_bit: next_bit, codes, bits });
            next_bit = codes
                .checked_mul(u64::from(bits))
                .and_then(|size| next_bit.checked_add(size))
                .ok_or(PlacementError::TooLarge)?;
        }
        let needed = next_bit.div_ceil(physical.cells_per_bank());
        let needed = u32::try_from(needed).map_err(|_| PlacementError::TooLarge)?;
        let banks = needed.max(physical.banks());
        Ok(Self {
            tensors: placed,
            geometry: Geometry::new(banks, physical.rows(), physical.columns())?,
            bits_used: next_bit,
            physical_banks: physical.banks(),
            exceeds_physical: needed > physical.banks(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_lies_in_its_own_cells_of_the_memory() {
        let physical = Geometry::new(2, 4, 8).unwrap();
        // Exhaustive over two tensors of up to 12 codes of every width.
        for (bits_a, bits_b) in (1..=8).flat_map(|a| (1..=8).map(move |b| (a, b))) {
            for codes in 0..12 {
                let list = [(codes, bits_a), (12 - codes, bits_b)];
                let placement = ResidentPlacement::in_memory(physical, list).unwrap();
                let mut owners = vec![0_u32; usize::try_from(placement.geometry.cells()).unwrap()];
                for tensor in &placement.tensors {
                    for code in 0..tensor.codes {
                        for bit in 0..u64::from(tensor.bits) {
                            let address = tensor.first_bit + code * u64::from(tensor.bits) + bit;
                            owners[usize::try_from(address).unwrap()] += 1;
                        }
                    }
                }
                let used = usize::try_from(placement.bits_used).unwrap();
                assert!(owners[..used].iter().all(|&count| count == 1));
                assert!(owners[used..].iter().all(|&count| count == 0));
                assert_eq!(placement.exceeds_physical, used > 64);
                assert!(placement.geometry.banks() == 2 || used > 64);
                assert_eq!(placement.geometry.rows(), 4);
            }
        }
    }

    #[test]
    fn aligned_tensors_begin_at_rows_or_banks() {
        let physical = Geometry::new(2, 4, 8).unwrap();
        let first_bits = |alignment| {
            let placement =
                ResidentPlacement::aligned(physical, alignment, [(3, 3), (1, 8), (9, 4)]).unwrap();
            placement.tensors.iter().map(|tensor| tensor.first_bit).collect::<Vec<_>>()
        };
        assert_eq!(first_bits(Alignment::Code), [0, 9, 17]);
        assert_eq!(first_bits(Alignment::Row), [0, 16, 24]);
        assert_eq!(first_bits(Alignment::Bank), [0, 32, 64]);
    }

    #[test]
    fn tensors_begin_where_they_are_told() {
        let physical = Geometry::new(2, 4, 8).unwrap();
        let place = |first_bits: &[u64]| {
            ResidentPlacement::at(physical, first_bits, [(3, 3), (1, 8), (9, 4)])
        };
        let placed = place(&[5, 14, 40]).unwrap();
        let first_bits: Vec<u64> = placed.tensors.iter().map(|tensor| tensor.first_bit).collect();
        assert_eq!(first_bits, [5, 14, 40]);
        assert_eq!((placed.bits_used, placed.exceeds_physical), (76, true));
        assert_eq!(
            place(&[5, 13, 40]),
            Err(PlacementError::Overlap { tensor: 1, first: 13, end: 14 })
        );
        for places in [&[0_u64, 50][..], &[0, 50, 60, 100]] {
            assert_eq!(place(places), Err(PlacementError::Places { places: places.len() }));
        }
    }

    #[test]
    fn impossible_models_are_refused() {
        let physical = Geometry::new(1, 4, 8).unwrap();
        let place = |codes, bits| ResidentPlacement::in_memory(physical, [(codes, bits)]);
        assert_eq!(place(1, 0), Err(PlacementError::Bits { tensor: 0, bits: 0 }));
        assert_eq!(place(1, 9), Err(PlacementError::Bits { tensor: 0, bits: 9 }));
        assert_eq!(place(u64::MAX, 8), Err(PlacementError::TooLarge));
        assert_eq!(place(1 << 60, 8), Err(PlacementError::TooLarge));
        assert!(matches!(place(1 << 33, 8), Err(PlacementError::Geometry(_))));
        assert!(!place(0, 8).unwrap().exceeds_physical);
    }
}
