//! The roofline: which resource limits a layer. S. Williams et al., "Roofline", CACM 52(4), 2009.
//!
//! ```text
//!  attainable = min(peak, operational intensity x bandwidth)        MACs per cycle
//! ```

use serde::Serialize;

use super::{CycleModel, LayerReport};
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

/// Bytes that DRAM moves in one cycle of the array: the slope of the roof. Without DRAM, and in SCALE-Sim's model, nothing
/// waits for it.
#[must_use]
pub fn dram_bytes_per_cycle(accelerator: &Accelerator, model: CycleModel) -> f64 {
    match (model, accelerator.dram) {
        (CycleModel::Causal, Some(dram)) => dram.bytes_per_second / (accelerator.clock_mhz * 1e6),
        (CycleModel::Causal, None) | (CycleModel::ScalesimV3, _) => f64::INFINITY,
    }
}

/// Places a counted layer under the roof. The cycles of SCALE-Sim's model are the index of the last one of each group.
pub(super) fn place(accelerator: &Accelerator, model: CycleModel, layer: &mut LayerReport) {
    let bytes = layer.dram_bytes_read.saturating_add(layer.dram_bytes_written);
    let moves = bytes > 0 && layer.macs > 0;
    layer.macs_per_byte = moves.then(|| layer.macs as f64 / bytes as f64);
    if layer.macs > 0 {
        let peak = accelerator.array.elements() as f64;
        let slope = dram_bytes_per_cycle(accelerator, model);
        layer.attainable_macs_per_cycle =
            layer.macs_per_byte.map_or(peak, |intensity| peak.min(intensity * slope));
        let cycles = match model {
            CycleModel::Causal => layer.cycles,
            CycleModel::ScalesimV3 => layer.cycles.saturating_add(layer.groups),
        };
        layer.achieved_macs_per_cycle = layer.macs as f64 / cycles.max(1) as f64;
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
