//! The description of an accelerator: array, memories, DRAM, clock, energy constants.
//!
//! ```text
//!            DRAM ── io                         if there is one
//!             │
//!   ┌─────────┴─────────┐
//!   weight memory    activation memory       each behind its own rail
//!   │                   │
//!   └──> R x C array <──┘ ── logic
//!             │
//!      accumulator memory ──> vector unit ──> activation memory
//! ```
//!
//! A description is a TOML file (`accel-models/` holds the shipped ones); [`Accelerator::load`]
//! reads and checks it and reports every problem at once.

mod read;
mod shipped;
mod vary;

pub use vary::{MemoryName, Variation, VariationError};

use std::path::Path;

use vmin_diagnostic::{Diagnostics, Source};
use vmin_sram::Geometry;

use crate::cycles::{
    CycleModel, DoesNotFit, LayerReport, Overlap, PartialSums, Residence, Schedule,
};
use crate::dataflow::{ArraySize, Dataflow};
use crate::energy::{Bank, Cells, EnergyTable, Rail};
use crate::mapping::MappingRules;
use crate::{Layer, ShapeError, cycles};

/// One on-chip memory.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Memory {
    /// Banks of rows and columns.
    pub geometry: Geometry,
    /// Bits that one access moves.
    pub word_bits: u64,
    /// Its supply.
    pub rail: Rail,
    /// Its transistors.
    pub cells: Cells,
    /// Leakage at the reference voltage, in microwatts per KiB.
    pub leakage_uw_per_kib: f64,
    /// Where the leakage comes from.
    pub leakage_source: String,
    /// Time between two accesses at the reference voltage, if the file gives it; else that of its cells.
    pub given_cycle_ns: Option<f64>,
    /// Accesses that a bank serves in one cycle; a memory without it never makes the array wait.
    pub ports: Option<u64>,
}

impl Memory {
    /// Size in bits.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.geometry.cells()
    }

    /// One bank of it.
    pub(crate) fn bank(&self) -> Bank {
        Bank::of(self.geometry, self.word_bits, self.cells)
    }

    /// Accesses needed for `elements` of `bits` each, words packed without gaps.
    #[must_use]
    pub fn words(&self, elements: u64, bits: u64) -> u64 {
        elements.saturating_mul(bits).div_ceil(self.word_bits)
    }
}

/// The three memories, by purpose.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Memories {
    /// Weight codes.
    pub weight: Memory,
    /// Inputs and outputs of layers.
    pub activation: Memory,
    /// Partial and final sums.
    pub accumulator: Memory,
}

impl Memories {
    /// One of them.
    #[must_use]
    pub const fn get(&self, memory: crate::Memory) -> &Memory {
        match memory {
            crate::Memory::Weight => &self.weight,
            crate::Memory::Activation => &self.activation,
            crate::Memory::Accumulator => &self.accumulator,
        }
    }
}

/// Off-chip memory.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Dram {
    /// Sustained bandwidth in bytes per second.
    pub bytes_per_second: f64,
    /// Whether weights are fetched for every inference.
    pub weights: Residence,
    /// Whether activations leave the chip between layers.
    pub activations: Residence,
    /// Time from the end of a transfer to its use, in nanoseconds.
    pub latency_ns: f64,
    /// The work that transfers overlap with.
    pub overlap: Overlap,
}

/// Where the numbers of a file come from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provenance {
    /// The source.
    pub source: String,
    /// What it states.
    pub exact: String,
    /// What was estimated, and how.
    pub estimated: String,
}

/// A network cannot be mapped to an accelerator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// A layer has an empty or too large shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The chip is too small.
    #[error(transparent)]
    Fit(#[from] DoesNotFit),
}

/// A checked accelerator.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Accelerator {
    name: String,
    text: String,
    /// One line for tables.
    pub title: String,
    /// What its source states, and what is estimated.
    pub provenance: Provenance,
    /// Keys that its file does not give and that have no default of their own: their values are those of
    /// [`Self::REFERENCE`], rows of memories as wide for each row or column of the array.
    pub defaults: Vec<String>,
    /// The array.
    pub array: ArraySize,
    /// Default dataflow.
    pub dataflow: Dataflow,
    /// Dataflows the hardware offers.
    pub dataflows: Vec<Dataflow>,
    /// Clock at the nominal voltage, in MHz.
    pub clock_mhz: f64,
    /// Whether the array loads its next tile while it works.
    pub weight_double_buffer: bool,
    /// Default cycle model.
    pub cycle_model: CycleModel,
    /// Leakage of one processing element at the reference voltage, in microwatts.
    pub leakage_uw_per_pe: f64,
    /// Where that comes from.
    pub leakage_source: String,
    /// Elements per cycle of the vector unit.
    pub vector_lanes: u64,
    /// Bits of a sum in the accumulator memory.
    pub accumulator_bits: u64,
    /// Where partial sums wait between blocks of rows.
    pub partial_sums: PartialSums,
    /// On-chip memories.
    pub memories: Memories,
    /// Off-chip memory; without it a network lies on the chip as a whole, and its inputs come from outside.
    pub dram: Option<Dram>,
    /// Energy per action, with sources.
    pub energy: EnergyTable,
    /// What is prescribed for the tiles of layers.
    pub mapping: MappingRules,
}

impl Accelerator {
    /// The shipped accelerator whose values stand for those that a file does not give.
    pub const REFERENCE: &str = read::REFERENCE;

    /// Loads a shipped accelerator by name, or a file by path: TOML, or a SCALE-Sim configuration
    /// (`.cfg`), whose accelerator runs the `scalesim-v3` cycle model unless its bandwidth is limited.
    ///
    /// # Errors
    /// No such name or file, or all problems of the file.
    pub fn load(name_or_path: impl AsRef<Path>) -> Result<Self, Diagnostics> {
        let path = name_or_path.as_ref();
        let source = vmin_files::shipped_or_path("accelerator", path, shipped::ALL)?;
        if path.as_os_str().as_encoded_bytes().ends_with(b".cfg") {
            let config = crate::scalesim::Config::parse(&source)?;
            return Self::parse(&Source::new(source.name(), &config.to_toml()));
        }
        Self::parse(&source)
    }

    /// Reads and checks a description.
    ///
    /// # Errors
    /// All problems of the text.
    pub fn parse(source: &Source) -> Result<Self, Diagnostics> {
        read::accelerator(source)
    }

    /// Names of the shipped accelerators, in the order they are listed.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        shipped::ALL.iter().map(|(name, _)| *name).collect()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text it was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Cycles and traffic of a network's layers with 8-bit weights, as the accelerator's file says.
    /// For narrower weights see [`crate::layers_of_graph`], for other choices [`cycles::run`].
    ///
    /// # Errors
    /// A layer has an empty or too large shape, or the network does not fit on a chip without DRAM.
    pub fn map_layers(&self, layers: &[vmin_nn::LayerShape]) -> Result<Vec<LayerReport>, MapError> {
        let layers: Vec<Layer> =
            layers.iter().map(|shape| Layer::from_shape(shape, 8)).collect::<Result<_, _>>()?;
        Ok(cycles::run(self, Schedule::of(self), &layers)?)
    }

    /// As [`Self::map_layers`], with the bits per weight that the graph has.
    ///
    /// # Errors
    /// As [`Self::map_layers`].
    pub fn map_graph(&self, graph: &vmin_nn::Graph) -> Result<Vec<LayerReport>, MapError> {
        Ok(cycles::run(self, Schedule::of(self), &crate::layers_of_graph(graph)?)?)
    }

    /// Cycles the DRAM bus needs for so many bytes, rounded up; none without DRAM.
    #[must_use]
    pub fn dram_cycles(&self, bytes: u64) -> u64 {
        let Some(dram) = self.dram else { return 0 };
        let cycles = bytes as f64 * self.clock_mhz * 1e6 / dram.bytes_per_second;
        // The cast saturates beyond 2^64, which no layer reaches.
        libm::ceil(cycles) as u64
    }

    /// Least time between two accesses of a memory at the reference voltage, in ns, with its source.
    #[must_use]
    pub fn cycle_ns(&self, memory: crate::Memory) -> (f64, String) {
        let memory = self.memories.get(memory);
        match memory.given_cycle_ns {
            Some(cycle_ns) => (cycle_ns, format!("given in the file of `{}`", self.name)),
            None => {
                let (sram, sources) = self.energy.constants().sram(memory.bank());
                (sram.cycle_ns, sources.cycle)
            }
        }
    }

    /// Latency of the DRAM in cycles, rounded up.
    #[must_use]
    pub fn dram_latency_cycles(&self) -> u64 {
        libm::ceil(self.dram.map_or(0.0, |dram| dram.latency_ns) * self.clock_mhz * 1e-3) as u64
    }

    /// Bits of all on-chip memories.
    #[must_use]
    pub fn on_chip_bits(&self) -> u64 {
        let Memories { weight, activation, accumulator } = &self.memories;
        weight.bits() + activation.bits() + accumulator.bits()
    }
}
