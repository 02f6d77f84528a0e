//! The placement of an experiment's weights.

use vmin_accel::cycles::Residence;
use vmin_accel::placement::{Alignment, WeightPlacement};
use vmin_accel::{Accelerator, CycleModel, ResidentPlacement, StreamedPlacement};
use vmin_diagnostic::{Diagnostic, Diagnostics};
use vmin_nn::Graph;

use crate::experiment::{Experiment, Placement};

/// Places `graph` as the experiment asks.
pub(super) fn place(
    experiment: &Experiment,
    accelerator: &Accelerator,
    graph: &Graph,
) -> Result<WeightPlacement, Diagnostics> {
    let refused = |span: &std::ops::Range<usize>, message: String| {
        Diagnostic::new("placement", message).at(&experiment.source, span.clone())
    };
    let layout = &experiment.layout;
    match experiment.placement {
        Placement::Resident => {
            let sizes = graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
            let geometry = accelerator.memories.weight.geometry;
            let (placed, span) = match &layout.layer_first_bits[..] {
                [] => (
                    ResidentPlacement::aligned(geometry, layout.alignment, sizes),
                    &experiment.accelerator.span,
                ),
                places => (ResidentPlacement::at(geometry, places, sizes), &layout.span),
            };
            let placed = placed.map_err(|error| refused(span, error.to_string()))?;
            let within = placed
                .tensors
                .iter()
                .find(|tensor| !tensor.first_bit.is_multiple_of(u64::from(tensor.bits)));
            if let (Some(span), Some(tensor)) = (&layout.reliable_columns, within)
                && !layout.layer_first_bits.is_empty()
            {
                let message = format!(
                    "a layer of {}-bit codes begins at bit {}: no column would hold the same bit of all \
                     codes",
                    tensor.bits, tensor.first_bit
                );
                return Err(refused(span, message).into());
            }
            Ok(placed.into())
        }
        Placement::Streamed => {
            if layout.alignment != Alignment::Code || !layout.layer_first_bits.is_empty() {
                let message = "streamed weights begin with the half of the memory that is free, \
                               not aligned to rows or banks, nor at places of their own";
                return Err(refused(&layout.span, message.to_owned())
                    .hint("leave `align` and `layer_first_bits` away, or choose `placement = \"resident\"`")
                    .into());
            }
            let streamed = StreamedPlacement::new(accelerator, graph).map_err(|error| {
                refused(&experiment.placement_span, error.to_string())
                    .hint("`placement = \"resident\"` needs no room for tiles")
            })?;
            let columns = u64::from(streamed.geometry.columns());
            if let Some(span) = &layout.reliable_columns
                && !streamed.half_bits.is_multiple_of(columns)
            {
                let message = format!(
                    "half of the weight memory, {} bits, is no whole number of rows of {columns} \
                     columns: no column would hold the same bit of all codes",
                    streamed.half_bits
                );
                return Err(refused(span, message).into());
            }
            Ok(streamed.into())
        }
    }
}

/// A remark on the placement and what energies price, for readers of the results.
pub(super) fn note(placement: &WeightPlacement, accelerator: &Accelerator) -> String {
    let name = accelerator.name();
    match placement {
        WeightPlacement::Resident(_) => {
            let mut note = match accelerator.cycle_model {
                CycleModel::Causal => {
                    "resident placement: energies price weights that stay in the weight memory between \
                     inferences"
                }
                CycleModel::ScalesimV3 => {
                    "resident placement, but energies price weights that are fetched for every inference, as \
                     SCALE-Sim counts them"
                }
            }
            .to_owned();
            if accelerator.dram.is_some_and(|dram| dram.weights == Residence::Streamed) {
                note += &format!(
                    "; {name} by itself streams them, as `placement = \"streamed\"` and `vmin energy` price it"
                );
            }
            note
        }
        WeightPlacement::Streamed(placement) => format!(
            "streamed placement: the weights pass through halves of {} bits in {} loads, so that \
             a faulty cell lies under a weight of every load that reaches it",
            placement.half_bits,
            placement.loads()
        ),
    }
}
