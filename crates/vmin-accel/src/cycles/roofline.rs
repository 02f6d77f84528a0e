//! What limits a layer: S. Williams et al., "Roofline", CACM 52(4), 2009.
//!
//! ```text
//!  attainable = min(peak, operational intensity x bandwidth)        MACs per cycle
//! ```

use serde::Serialize;

use super::LayerReport;
use crate::Accelerator;

/// What a layer waits for most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The array.
    Compute,
    /// The vector unit.
    Vector,
    /// The on-chip memories.
    Sram,
    /// DRAM.
    Dram,
}

impl Bound {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Vector => "vector",
            Self::Sram => "sram",
            Self::Dram => "dram",
        }
    }
}

/// A layer under the roof.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Roofline {
    /// Multiply-accumulates per byte from and to DRAM; absent if nothing moves.
    pub macs_per_byte: Option<f64>,
    /// Multiply-accumulates per cycle that array and DRAM allow.
    pub attainable_macs_per_cycle: f64,
    /// Multiply-accumulates per cycle reached.
    pub achieved_macs_per_cycle: f64,
    /// What limits it.
    pub bound_by: Bound,
}

impl Roofline {
    /// Of one layer.
    #[must_use]
    pub fn of(accelerator: &Accelerator, layer: &LayerReport) -> Self {
        let bytes = layer.dram_bytes_read.saturating_add(layer.dram_bytes_written);
        let macs_per_byte = (bytes > 0).then(|| layer.macs as f64 / bytes as f64);
        let peak = accelerator.array.elements() as f64;
        let attainable = macs_per_byte
            .map_or(peak, |intensity| peak.min(intensity * Self::bytes_per_cycle(accelerator)));
        let waits = layer.stall_cycles.max(layer.sram_stall_cycles);
        let bound_by = if waits > 0 && layer.stall_cycles >= layer.sram_stall_cycles {
            Bound::Dram
        } else if waits > 0 {
            Bound::Sram
        } else if layer.folds == 0 {
            Bound::Vector
        } else {
            Bound::Compute
        };
        Self {
            macs_per_byte,
            attainable_macs_per_cycle: attainable,
            achieved_macs_per_cycle: layer.macs as f64 / layer.cycles.max(1) as f64,
            bound_by,
        }
    }

    /// The slope of the roof: bytes that DRAM moves in one cycle of the array.
    #[must_use]
    pub fn bytes_per_cycle(accelerator: &Accelerator) -> f64 {
        accelerator.dram.bytes_per_second / (accelerator.clock_mhz * 1e6)
    }
}
