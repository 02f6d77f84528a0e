//! Whether a network fits on a chip without DRAM.
//!
//! Its input comes from outside and its output goes there; weights, activations and sums must stay.

use super::{CycleModel, LayerReport, Residence, Schedule};
use crate::{Accelerator, Layer, mapping};

/// A network that needs DRAM, on an accelerator without.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DoesNotFit {
    /// The weights of all layers are larger than their memory.
    #[error(
        "`{accelerator}` has no DRAM, and the network does not fit: weights take {}, the weight memory has {}",
        kib(*.bits), kib(*.capacity_bits)
    )]
    Weights {
        /// The accelerator.
        accelerator: String,
        /// Bits of all weights.
        bits: u64,
        /// Bits of the weight memory.
        capacity_bits: u64,
    },
    /// A layer's tensors or sums find no room.
    #[error(
        "`{accelerator}` has no DRAM, and the network does not fit: layer `{layer}` moves {bytes} bytes of \
         activations or sums for which there is no room; it reads {read} and writes {written}, its activation \
         memory has {capacity} bytes"
    )]
    Layer {
        /// The accelerator.
        accelerator: String,
        /// The first such layer.
        layer: String,
        /// Bytes beyond the network's own input and output.
        bytes: u64,
        /// Activations that the layer reads, in bytes.
        read: u64,
        /// Activations that it writes.
        written: u64,
        /// Bytes of the activation memory, of which other living tensors take a part.
        capacity: u64,
    },
    /// Weights are asked to come from DRAM.
    #[error("`{accelerator}` has no DRAM to stream weights from")]
    Streamed {
        /// The accelerator.
        accelerator: String,
    },
    /// SCALE-Sim's model moves every operand through DRAM.
    #[error("`{accelerator}` has no DRAM, through which `scalesim-v3` moves all operands")]
    Model {
        /// The accelerator.
        accelerator: String,
    },
}

impl DoesNotFit {
    /// A way out.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Weights { .. } => {
                "take fewer bits per weight, a smaller network, or an accelerator with `[dram]`"
            }
            Self::Layer { .. } => "take a smaller network, or an accelerator with `[dram]`",
            Self::Streamed { .. } => "choose resident weights, or an accelerator with `[dram]`",
            Self::Model { .. } => "choose the causal cycle model, or an accelerator with `[dram]`",
        }
    }
}

fn kib(bits: u64) -> String {
    format!("{:.1} KiB", bits as f64 / 8192.0)
}

/// Bits of the weights of all layers.
pub(super) fn weight_bits(layers: &[Layer]) -> u64 {
    layers
        .iter()
        .filter(|layer| !layer.computed_weights)
        .map(|layer| layer.weights.saturating_mul(u64::from(layer.weight_bits)))
        .fold(0, u64::saturating_add)
}

/// Refuses weights that would come from a DRAM that is not there.
pub(super) fn weights(
    accelerator: &Accelerator,
    schedule: Schedule,
    layers: &[Layer],
) -> Result<(), DoesNotFit> {
    if accelerator.dram.is_some() {
        return Ok(());
    }
    let name = || accelerator.name().to_owned();
    match (schedule.cycle_model, schedule.weights) {
        (CycleModel::ScalesimV3, _) => return Err(DoesNotFit::Model { accelerator: name() }),
        (CycleModel::Causal, Residence::Streamed) => {
            return Err(DoesNotFit::Streamed { accelerator: name() });
        }
        (CycleModel::Causal, Residence::Resident | Residence::Assumed) => {}
    }
    let (bits, capacity_bits) = (weight_bits(layers), accelerator.memories.weight.bits());
    if bits > capacity_bits {
        return Err(DoesNotFit::Weights { accelerator: name(), bits, capacity_bits });
    }
    Ok(())
}

/// Refuses layers that move more than the network's input and output.
pub(super) fn layers(
    accelerator: &Accelerator,
    layers: &[Layer],
    reports: &[LayerReport],
) -> Result<(), DoesNotFit> {
    if accelerator.dram.is_some() {
        return Ok(());
    }
    let from_outside = mapping::from_outside(accelerator, layers);
    for ((layer, report), outside) in layers.iter().zip(reports).zip(from_outside) {
        let moved = report.dram_bytes_read.saturating_add(report.dram_bytes_written);
        if moved > outside {
            return Err(DoesNotFit::Layer {
                accelerator: accelerator.name().to_owned(),
                layer: report.name.clone(),
                bytes: moved - outside,
                read: layer.inputs,
                written: layer.outputs,
                capacity: accelerator.memories.activation.bits() / 8,
            });
        }
    }
    Ok(())
}
