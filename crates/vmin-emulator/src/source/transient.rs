//! Transient errors without a map: every bit is inverted at every read with the cell-fault rate of its supply
//! as probability.

use vmin_accel::MemoryAt;
use vmin_protection::MapKind;
use vmin_sram::{SampleError, Threshold};

use super::{CellSource, Cells, Errors, Site};

/// Chips whose bits err anywhere, anew at every read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transient {
    /// Seed of the reads.
    pub seed: u64,
}

struct AnyCell;

impl CellSource for Transient {
    fn cells(&self, _: Site, _: Threshold) -> Result<Box<dyn Cells + '_>, SampleError> {
        Ok(Box::new(AnyCell))
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn identity(&self, _: u32) -> serde_json::Value {
        let Self { seed } = self;
        serde_json::json!(["transient", seed])
    }

    fn map_kind(&self) -> MapKind {
        MapKind::Nothing
    }
}

impl Cells for AnyCell {
    fn errors(&self, at: &MemoryAt) -> Errors<'_> {
        Errors::AnyBit(at.cell_fault_rate)
    }
}
