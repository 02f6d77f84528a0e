//! The least that any order of the work moves from and to DRAM.
//!
//! Two arguments bound each layer from below, and the larger counts.
//!
//! *What cannot be on the chip.* Layers run one after another, and activations wait for the next layer in the
//! activation memory of `A` bytes. Of a tensor of `t` bytes at least `t - A` lie in DRAM when its layer has
//! ended: they were written, and each reader fetches as many, since before it runs no more than `A` are on the
//! chip. The network's input is fetched, its output written. Weights are fetched once, but for as many as the
//! weight memory keeps between inferences. This holds for every tiling, order and choice of tensors, also for
//! parts of tensors, but not where two layers run interleaved.
//!
//! *Products.* `2 m n k / sqrt(S) - 2 S` words move between a memory of `S` words and a slow one, whatever the
//! order of the multiply-accumulates: J. Hong and H. T. Kung, STOC 1981, with the constant of T. M. Smith,
//! B. Lowery, J. Langou and R. A. van de Geijn, arXiv:1702.02017. `S` are all on-chip memories together. Of a
//! convolution an input takes part in up to `R` rows of the activation matrix, `R` the windows that it lies in,
//! so `S` words allow `sqrt(R)` times as many products (X. Chen, Y. Han and Y. Wang, HPCA 2020):
//! `2 m n k / sqrt(R S)`. Both start and end with an empty memory; one that is full at the start and at the end
//! saves at most `S` each, so `4 S` are taken off.

use serde::Serialize;

use super::liveness::Life;
use crate::cycles::{Residence, Schedule};
use crate::scalesim::Window;
use crate::{Accelerator, Layer, Work};

/// Least bytes from and to DRAM of one inference, layer after layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct LowerBound {
    /// Weights that the weight memory cannot keep.
    pub weight_bytes: u64,
    /// The network's input and output, and activations that the activation memory cannot keep.
    pub activation_bytes: u64,
    /// What products need beyond that.
    pub product_bytes: u64,
    /// All of them.
    pub bytes: u64,
}

/// The lower bound of a network on an accelerator's memories.
#[must_use]
pub fn lower_bound(accelerator: &Accelerator, schedule: Schedule, layers: &[Layer]) -> LowerBound {
    let life = Life::of(accelerator, layers);
    let kept_bits = match schedule.weights {
        Residence::Streamed => 0,
        Residence::Resident => accelerator.memories.weight.bits(),
        Residence::Assumed => u64::MAX,
    };
    let (mut weight_bits, mut bound) = (0_u64, LowerBound::default());
    for (index, layer) in layers.iter().enumerate() {
        let activations = life.compulsory_bytes(index);
        let weights = if layer.computed_weights { 0 } else { layer.weights };
        let own_bits = weights.saturating_mul(u64::from(layer.weight_bits));
        weight_bits = weight_bits.saturating_add(own_bits);
        bound.activation_bytes = bound.activation_bytes.saturating_add(activations);
        let both = activations.saturating_add(own_bits / 8);
        let more = product_bytes(accelerator, layer).saturating_sub(both);
        bound.product_bytes = bound.product_bytes.saturating_add(more);
    }
    bound.weight_bytes = weight_bits.saturating_sub(kept_bits) / 8;
    bound.bytes = bound
        .weight_bytes
        .saturating_add(bound.activation_bytes)
        .saturating_add(bound.product_bytes);
    bound
}

/// Bytes that a product moves through the chip's memories.
fn product_bytes(accelerator: &Accelerator, layer: &Layer) -> u64 {
    let Work::Gemm(shape) = layer.work else { return 0 };
    let bits = f64::from(layer.weight_bits.min(8));
    let words = accelerator.on_chip_bits() as f64 / bits;
    let reuse = layer.window.as_ref().map_or(1, windows_of_an_input) as f64;
    let moved = 2.0 * shape.macs() as f64 / libm::sqrt(reuse * words) - 4.0 * words;
    // The cast saturates at 0.
    (moved * bits / 8.0) as u64
}

/// Windows that an input lies in, at most.
fn windows_of_an_input(window: &Window) -> u64 {
    let along = |axis: usize| match window.dilation[axis] {
        1 => window.kernel[axis].div_ceil(window.stride[axis]),
        _ => window.kernel[axis],
    };
    along(0) * along(1)
}
