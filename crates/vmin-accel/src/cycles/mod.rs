//! Cycles and traffic of a list of layers, in closed form: the time to answer grows with the number
//! of layers, not with the number of cycles.
//!
//! Two models answer:
//!
//! | | [`CycleModel::Causal`] | [`CycleModel::ScalesimV3`] |
//! |---|---|---|
//! | a fold takes | `2R + C + T - 2` in every dataflow | the same, but `R + C + T - 2` for `os` |
//! | total | all folds, then the stalls | one less (index of the last cycle), never stalls |
//! | partial sums | in the accumulator memory, read back | each pass written, never read back |
//! | proven by | a register-level simulation of the array | the reports of SCALE-Sim 3.0.0 |
//!
//! `R` rows and `C` columns of the array, `T` the dimension that streams. SCALE-Sim lets the results
//! of an output-stationary fold leave before the lower rows have computed them, hence the difference;
//! use this model to compare with SCALE-Sim, not to predict hardware.

mod banks;
mod causal;
mod fit;
mod fold_costs;
pub mod pipeline;
mod registers;
mod report;
mod roofline;
mod scalesim_v3;
mod traffic;

#[cfg(test)]
pub(crate) use causal::cost;
pub use fit::DoesNotFit;
pub use report::{LayerReport, Totals, totals};
pub use roofline::{Bound, dram_bytes_per_cycle};
pub use traffic::Residence;

use crate::{Accelerator, Dataflow, Layer, mapping};

/// Which closed form counts the cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CycleModel {
    /// No value is used before it is computed; the default.
    Causal,
    /// The numbers of SCALE-Sim 3.0.0.
    ScalesimV3,
}

impl CycleModel {
    /// Every model with its word.
    pub const ALL: [(&'static str, Self); 2] =
        [("causal", Self::Causal), ("scalesim-v3", Self::ScalesimV3)];
}

/// The work that transfers from and to DRAM overlap with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// With all of the layer's work, without latency: the least that any arrangement of buffers can wait.
    Layer,
    /// Tile by tile with two buffers: see [`pipeline`].
    Folds,
    /// With nothing: one buffer.
    None,
}

impl Overlap {
    /// Every choice with its word.
    pub const ALL: [(&'static str, Self); 3] =
        [("layer", Self::Layer), ("folds", Self::Folds), ("none", Self::None)];
}

/// Where partial sums wait between blocks of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PartialSums {
    /// In the accumulator memory, as far as it has room.
    Accumulator,
    /// In DRAM.
    Spill,
}

impl PartialSums {
    /// Every choice with its word.
    pub const ALL: [(&'static str, Self); 2] =
        [("accumulator", Self::Accumulator), ("spill", Self::Spill)];
}

/// How the layers are run on an accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Dataflow.
    pub dataflow: Dataflow,
    /// How cycles are counted.
    pub cycle_model: CycleModel,
    /// Whether the next tile of weights is loaded while the array still works (causal model only).
    pub weight_double_buffer: bool,
    /// Whether weights come from DRAM for every inference.
    pub weights: Residence,
    /// Whether activations go to DRAM between layers (causal model only).
    pub activations: Residence,
    /// Overlap of transfers with other work (causal model only).
    pub overlap: Overlap,
    /// Where partial sums wait (causal model only).
    pub partial_sums: PartialSums,
}

impl Schedule {
    /// As the accelerator's file says.
    #[must_use]
    pub fn of(accelerator: &Accelerator) -> Self {
        let dram = accelerator.dram;
        Self {
            dataflow: accelerator.dataflow,
            cycle_model: accelerator.cycle_model,
            weight_double_buffer: accelerator.weight_double_buffer,
            weights: dram.map_or(Residence::Resident, |dram| dram.weights),
            activations: dram.map_or(Residence::Resident, |dram| dram.activations),
            overlap: dram.map_or(Overlap::Layer, |dram| dram.overlap),
            partial_sums: accelerator.partial_sums,
        }
    }

    /// Resident weights are streamed if they do not fit in the weight memory all together.
    #[must_use]
    pub fn for_layers(self, accelerator: &Accelerator, layers: &[Layer]) -> Self {
        let fits = fit::weight_bits(layers) <= accelerator.memories.weight.bits();
        let weights = match self.weights {
            Residence::Resident if !fits => Residence::Streamed,
            Residence::Resident | Residence::Streamed | Residence::Assumed => self.weights,
        };
        Self { weights, ..self }
    }
}

/// Cycles and traffic of each layer of one inference, in order.
///
/// # Errors
/// The accelerator has no DRAM, and the network does not fit on the chip.
pub fn run(
    accelerator: &Accelerator,
    schedule: Schedule,
    layers: &[Layer],
) -> Result<Vec<LayerReport>, DoesNotFit> {
    fit::weights(accelerator, schedule, layers)?;
    let schedule = schedule.for_layers(accelerator, layers);
    let placed = |mut report: LayerReport| {
        roofline::place(accelerator, schedule.cycle_model, &mut report);
        report
    };
    let reports: Vec<LayerReport> = match schedule.cycle_model {
        CycleModel::Causal => layers
            .iter()
            .zip(mapping::places(accelerator, schedule, layers))
            .map(|(layer, place)| placed(causal::layer(accelerator, schedule, layer, &place)))
            .collect(),
        CycleModel::ScalesimV3 => layers
            .iter()
            .map(|layer| placed(scalesim_v3::layer(accelerator, schedule.dataflow, layer)))
            .collect(),
    };
    fit::layers(accelerator, layers, &reports)?;
    Ok(reports)
}
