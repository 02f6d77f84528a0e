//! Where the weights of a plan lie.

use vmin_accel::cycles::Residence;
use vmin_accel::placement::Alignment;
use vmin_accel::{Accelerator, ResidentPlacement, Schedule, StreamedPlacement};
use vmin_diagnostic::{Diagnostic, Diagnostics};
use vmin_emulator::{Emulator, EmulatorError, Images};
use vmin_kernels::GemmKernel;
use vmin_nn::Graph;
use vmin_sram::Geometry;

use crate::experiment::{Experiment, Placement};

/// The codes of a network in the weight memory.
#[derive(Clone, Debug)]
pub enum WeightPlacement {
    /// All at once, at fixed addresses.
    Resident(ResidentPlacement),
    /// One part after the other.
    Streamed(StreamedPlacement),
}

impl WeightPlacement {
    /// Places `graph` as the experiment asks.
    pub(super) fn of(
        experiment: &Experiment,
        accelerator: &Accelerator,
        graph: &Graph,
    ) -> Result<Self, Diagnostics> {
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
                Ok(Self::Resident(placed))
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
                Ok(Self::Streamed(streamed))
            }
        }
    }

    /// The memory that is emulated.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        match self {
            Self::Resident(placement) => placement.geometry,
            Self::Streamed(placement) => placement.geometry,
        }
    }

    /// The placement, if all weights have addresses of their own.
    #[must_use]
    pub const fn resident(&self) -> Option<&ResidentPlacement> {
        match self {
            Self::Resident(placement) => Some(placement),
            Self::Streamed(_) => None,
        }
    }

    /// What the accelerator keeps between inferences.
    #[must_use]
    pub fn schedule(&self, accelerator: &Accelerator) -> Schedule {
        // What lies in the weight memory for good is not fetched for every inference.
        let weights = match self {
            Self::Resident(_) => Residence::Resident,
            Self::Streamed(_) => Residence::Streamed,
        };
        Schedule { weights, ..Schedule::of(accelerator) }
    }

    /// The network with its weights here.
    ///
    /// # Errors
    /// As for [`Emulator::new`] and [`Emulator::streamed`].
    pub fn emulator<'g>(
        &self,
        graph: &'g Graph,
        images: Images<'g>,
        kernel: &'static dyn GemmKernel,
    ) -> Result<Emulator<'g>, EmulatorError> {
        match self {
            Self::Resident(placement) => Emulator::new(graph, placement, images, kernel),
            Self::Streamed(placement) => Emulator::streamed(graph, placement, images, kernel),
        }
    }

    /// What a reader of the results must know, if anything.
    pub(super) fn note(&self, accelerator: &Accelerator) -> Option<String> {
        match self {
            Self::Resident(placement) => placement.exceeds_physical.then(|| {
                format!(
                    "resident placement assumes a weight memory of {} banks; {} has {}",
                    placement.geometry.banks(),
                    accelerator.name(),
                    placement.physical_banks
                )
            }),
            Self::Streamed(placement) => Some(format!(
                "streamed placement: the weights pass through halves of {} bits in {} loads, so that \
                 a faulty cell lies under a weight of every load that reaches it",
                placement.half_bits,
                placement.loads()
            )),
        }
    }
}
