//! The roofline: which resource limits a layer. S. Williams et al., "Roofline", CACM 52(4), 2009.
//!
//! ```text
//!  attainable = min(peak, operational intensity x bandwidth)        MACs per cycle
//! ```

use serde::Serialize;

use super::LayerReport;
use crate::Accelerator;

/// The resource that limits a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
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

/// Bytes that DRAM moves in one cycle of the array: the slope of the roof.
#[must_use]
pub fn dram_bytes_per_cycle(accelerator: &Accelerator) -> f64 {
    accelerator.dram.bytes_per_second / (accelerator.clock_mhz * 1e6)
}

/// Places a counted layer under the roof.
pub(super) fn place(accelerator: &Accelerator, layer: &mut LayerReport) {
    let bytes = layer.dram_bytes_read.saturating_add(layer.dram_bytes_written);
    let moves = bytes > 0 && layer.macs > 0;
    layer.macs_per_byte = moves.then(|| layer.macs as f64 / bytes as f64);
    if layer.macs > 0 {
        let peak = accelerator.array.elements() as f64;
        layer.attainable_macs_per_cycle = layer
            .macs_per_byte
            .map_or(peak, |intensity| peak.min(intensity * dram_bytes_per_cycle(accelerator)));
        layer.achieved_macs_per_cycle = layer.macs as f64 / layer.cycles.max(1) as f64;
    }
    let waits = layer.stall_cycles.max(layer.sram_stall_cycles);
    layer.bound_by = if waits > 0 && layer.stall_cycles >= layer.sram_stall_cycles {
        Bound::Dram
    } else if waits > 0 {
        Bound::Sram
    } else if layer.macs == 0 {
        Bound::Vector
    } else {
        Bound::Compute
    };
}
