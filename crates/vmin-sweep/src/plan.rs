//! An experiment with every name resolved, every size checked and the cost known.

mod checks;
mod digest;
mod layout;
mod measured;
mod operating_points;
mod remedies;
mod resolve;
mod weights;

use serde::Serialize;
use vmin_accel::placement::{AddressMap, WeightPlacement};
use vmin_accel::voltage::ReadNoise;
use vmin_accel::{Accelerator, VoltageProfile};
use vmin_emulator::Images;
use vmin_nn::Graph;
use vmin_nn::data::Dataset;
use vmin_sram::{Population, Threshold};

use crate::buffers::BufferPlacements;
use crate::chip_file::ChipFile;
use crate::experiment::{Experiment, Memory, ReadErrors};
use crate::preset::Preset;
use crate::remedy::PlannedRemedy;
use crate::results::{InputDigest, Setting};

pub use operating_points::{MemoryAt, PlanPoint};
pub(crate) use operating_points::{accesses_nj, memory_at, operating_point};

/// Energy and latency of one inference at the nominal voltage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nominal {
    /// Supply of all memories, in mV.
    pub vdd_mv: f64,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Latency of one inference, in us.
    pub latency_us: f64,
}

/// A resolved experiment.
pub struct Plan {
    /// What the user wrote.
    pub experiment: Experiment,
    /// The network, with weights in the bits asked for.
    pub graph: Graph,
    /// Where its codes lie in memory order.
    pub placement: WeightPlacement,
    /// Where its activations and partial sums lie, if they can err.
    pub buffers: BufferPlacements,
    /// Which cells that order has, one map per offset.
    pub address_maps: Vec<AddressMap>,
    /// Measured chips in place of a population's, in the order of the experiment.
    pub chip_files: Vec<ChipFile>,
    /// How cells fail.
    pub profile: VoltageProfile,
    /// The accelerator.
    pub accelerator: Accelerator,
    /// Voltages, falling.
    pub points: Vec<PlanPoint>,
    /// Energy and latency at the nominal voltage.
    pub nominal: Nominal,
    /// Remarks that a reader of the results must know.
    pub notes: Vec<String>,
    /// Digest of each input.
    pub inputs: Vec<InputDigest>,
    /// Remedies, in the order of the experiment; their points follow those of the plan.
    pub remedies: Vec<PlannedRemedy>,
    /// SHA-256 of everything that decides the results.
    pub digest: String,
    data: Dataset,
}

/// What a plan costs, for `vmin check`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanCost {
    /// Voltages, those of remedies included.
    pub points: usize,
    /// Chips.
    pub chips: u32,
    /// Offsets at which each chip is used.
    pub offsets: usize,
    /// Images per chip, offset and voltage.
    pub images: usize,
    /// Inferences of the whole sweep, the clean ones included.
    pub inferences_total: u64,
    /// Multiply-accumulates of one inference.
    pub macs_per_image: u64,
    /// Multiply-accumulates of the whole sweep.
    pub macs_total: u64,
    /// Weight codes.
    pub weights: u64,
    /// Bits of weight memory they occupy.
    pub stored_bits: u64,
    /// Bits of activations of an inference that can err.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_bits: Option<u64>,
    /// Bits of partial sums that an inference reads from a memory that can err.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accumulator_bits_read: Option<u64>,
    /// Banks of weight memory that are emulated.
    pub banks: u32,
    /// Faulty cells expected per chip, in all memories that err, at the lowest voltage.
    pub faulty_cells_max: f64,
}

impl Plan {
    /// True if no cell of a chip errs twice: every bit is drawn at every read.
    #[must_use]
    pub fn draws_every_read(&self) -> bool {
        self.experiment.errors == ReadErrors::Transient
            && self.chip_files.is_empty()
            && self.experiment.read_noise_mv.is_none()
    }

    /// The noise of a memory's reads, if cells are noisy.
    pub(crate) fn read_noise(&self, at: &MemoryAt) -> Option<ReadNoise> {
        let noise = self.experiment.read_noise_mv.as_ref()?;
        Some(self.profile.read_noise(at.vdd_mv, noise.value))
    }

    /// Down to which score cells of a memory can err.
    pub(crate) fn floor(&self, at: &MemoryAt) -> Threshold {
        self.read_noise(at).map_or(at.threshold, |noise| noise.floor().min(at.threshold))
    }

    /// What chips are drawn from.
    #[must_use]
    pub fn population(&self) -> Population {
        let preset = self.experiment.preset.map(Preset::population);
        preset.unwrap_or_else(|| self.profile.population().clone())
    }

    /// Points of the sweep and of all remedies.
    #[must_use]
    pub fn points_total(&self) -> usize {
        self.points.len() + self.remedies.iter().map(|remedy| remedy.points.len()).sum::<usize>()
    }

    /// The images, with labels.
    #[must_use]
    pub fn images(&self) -> Images<'_> {
        Images { pixels: &self.data.images, labels: &self.data.labels }
    }

    /// One label per image.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.data.labels
    }

    /// Chips times offsets: each is evaluated at every voltage.
    #[must_use]
    pub fn trials(&self) -> u32 {
        // `Plan::resolve` has checked the product.
        let offsets = u32::try_from(self.address_maps.len()).unwrap_or(u32::MAX);
        self.experiment.chips.saturating_mul(offsets)
    }

    /// Records a complete journal holds.
    #[must_use]
    pub fn records_total(&self) -> u64 {
        self.points_total() as u64 * u64::from(self.trials())
    }

    /// What the plan costs.
    #[must_use]
    pub fn cost(&self) -> PlanCost {
        let images = self.data.len() as u64;
        let inferences_total = self.records_total().saturating_add(1).saturating_mul(images);
        PlanCost {
            points: self.points_total(),
            chips: self.experiment.chips,
            offsets: self.address_maps.len(),
            images: self.data.len(),
            inferences_total,
            macs_per_image: self.graph.macs(),
            macs_total: inferences_total.saturating_mul(self.graph.macs()),
            weights: self.weights(),
            stored_bits: self.stored_bits(),
            activation_bits: self.buffers.activation_bits(),
            accumulator_bits_read: self.buffers.accumulator_bits_read(),
            banks: self.placement.geometry().banks(),
            faulty_cells_max: self.faulty_cells_max(),
        }
    }

    fn faulty_cells_max(&self) -> f64 {
        let Some(lowest) = self.points.last() else { return 0.0 };
        let of = |memory: Memory, cells: u64| {
            let Some(at) = lowest.memory(memory) else { return 0.0 };
            let noisy = self.experiment.read_noise_mv.as_ref().map(|_| self.floor(at).rate());
            cells as f64 * noisy.unwrap_or(0.0).max(at.cell_fault_rate)
        };
        let of_buffers = |memory| of(memory, self.buffers.cells(memory));
        of(Memory::Weight, self.placement.geometry().cells())
            + of_buffers(Memory::Activation)
            + of_buffers(Memory::Accumulator)
    }

    fn weights(&self) -> u64 {
        self.graph.weights.iter().map(|weights| weights.codes.len() as u64).sum()
    }

    fn stored_bits(&self) -> u64 {
        self.graph.weights.iter().map(|w| w.codes.len() as u64 * u64::from(w.bits)).sum()
    }

    /// The setting in words, for results.
    #[must_use]
    pub fn setting(&self) -> Setting {
        let experiment = &self.experiment;
        Setting {
            model: experiment.model.value.clone(),
            data: experiment.data.value.clone(),
            accelerator: self.accelerator.name().to_owned(),
            profile: self.profile.name().to_owned(),
            fault_kind: experiment.errors.word().to_owned(),
            placement: experiment.placement.word().to_owned(),
            memories: experiment.memories.words(),
            layout: experiment.layout.words(),
            offsets: experiment.layout.offset_bits.len(),
            weight_bits: self.graph.weights.iter().map(|w| w.bits).max().unwrap_or(0),
            weights: self.weights(),
            stored_bits: self.stored_bits(),
            activation_bits: self.buffers.activation_bits(),
            accumulator_bits_read: self.buffers.accumulator_bits_read(),
            macs_per_image: self.graph.macs(),
            vdd_nominal_mv: self.nominal.vdd_mv,
            seed: experiment.seed.to_string(),
            accuracy_loss_max: experiment.accuracy_loss_max_pct / 100.0,
        }
    }
}
