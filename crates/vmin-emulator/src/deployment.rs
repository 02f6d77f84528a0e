//! A network in the memories of an accelerator, under protection.

mod open;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

use vmin_accel::placement::{ActivationPlacement, AddressMap, SumPlacement, WeightPlacement};
use vmin_accel::{Memory, MemoryAt, PerMemory};
use vmin_kernels::GemmKernel;
use vmin_nn::{Graph, TensorId};
use vmin_protection::mechanism::{Fitted, Guard, SumKeeping};
use vmin_protection::{Extent, ProtectedAt, Protection};
use vmin_sram::{Applied, Fault, FaultyCell, Geometry, SampleError, Score, Threshold};

use crate::emulator::{EmulatorError, Score as Counts};
use crate::memory::sums::SumRule;
use crate::memory::{
    Arrays, Contents, Protected, ProtectedError, Setup, activations, sums, weights,
};
use crate::moments::moments;
use crate::recalibrate::Calibration;
use crate::source::CellSource;
use crate::sum_ranges::sum_ranges;

pub use self::open::OpenChip;

/// Where the codes of a network lie.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Placement {
    /// Weights, in memory order.
    pub weights: WeightPlacement,
    /// Which cells that order has, one map per offset.
    pub layouts: Vec<AddressMap>,
    /// The width of codes whose most significant bits go to each chip's reliable columns, if they do.
    pub reliable_columns: Option<u8>,
    /// Activations, if they can err.
    pub activations: Option<ActivationPlacement>,
    /// Partial sums, if they can err.
    pub sums: Option<SumPlacement>,
    /// The network's input, if it is not to err.
    #[serde(serialize_with = "by_index")]
    pub spared_input: Option<TensorId>,
    /// True if biases lie in the accumulator memory first, as the start of each sum.
    pub biases_in_memory: bool,
    /// Bits that an access of each memory moves.
    pub word_bits: PerMemory<u64>,
    /// First cell of each memory in a measured map.
    pub first_cells: PerMemory<u64>,
    /// First cell of check bits and spare lines in a measured map.
    pub first_extra_cell: u64,
}

fn by_index<S: serde::Serializer>(id: &Option<TensorId>, serializer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&id.map(|id| id.0), serializer)
}

impl Placement {
    /// Weights alone, in linear order.
    #[must_use]
    pub fn of_weights(weights: impl Into<WeightPlacement>) -> Self {
        let weights = weights.into();
        let cells = weights.geometry().cells();
        Self {
            layouts: vec![AddressMap::linear(weights.geometry())],
            weights,
            reliable_columns: None,
            activations: None,
            sums: None,
            spared_input: None,
            biases_in_memory: true,
            word_bits: PerMemory::from_fn(|_| 1),
            first_cells: PerMemory { weight: 0, activation: cells, accumulator: cells },
            first_extra_cell: cells,
        }
    }

    /// Bits of an inference's activations that can err: of every tensor once, however often it is read.
    #[must_use]
    pub fn activation_bits(&self) -> Option<u64> {
        let placement = self.activations.as_ref()?;
        let written = placement.tensors.iter().enumerate().filter(|&(tensor, placed)| {
            placed.owner == tensor && self.spared_input.is_none_or(|spared| spared.0 != tensor)
        });
        Some(written.map(|(_, placed)| placed.codes * 8).sum())
    }

    /// Bits of partial sums that an inference reads, of every word once per fold.
    #[must_use]
    pub fn accumulator_bits_read(&self) -> Option<u64> {
        Some(self.sums.as_ref()?.bits_read(self.biases_in_memory))
    }

    /// Cells of a memory that can err.
    #[must_use]
    pub fn cells(&self, memory: Memory) -> u64 {
        match memory {
            Memory::Weight => self.weights.geometry().cells(),
            Memory::Activation => self.activations.as_ref().map_or(0, |of| of.geometry.cells()),
            Memory::Accumulator => self.sums.as_ref().map_or(0, |of| of.geometry.cells()),
        }
    }
}

/// The supplies of the memories; none where a memory makes no errors.
pub type Supplies = PerMemory<Option<ProtectedAt>>;

/// When cells that do not always err decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Reads {
    /// Once for all images: weights are loaded once, and the other memories err alike for every image.
    Once,
    /// Anew for every image.
    EveryImage,
}

/// The number of the read of [`Reads::Once`].
pub const LOAD: u64 = u64::MAX;

/// Which chip, and how the network lies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChipSpec {
    /// Number of the chip.
    pub chip: u32,
    /// Offset of the network on the chip, in bits: uncertain cells are drawn for each offset.
    pub offset_bits: u64,
    /// Index among the layouts of the weights.
    pub layout: usize,
    /// Cell of a measured map under the first cell of the weight memory.
    pub map_offset: u64,
}

/// One trial: one chip at one set of supplies. Everything is resolved.
#[derive(Clone, Copy, Debug)]
pub struct TrialSpec<'p> {
    /// The supplies.
    pub supplies: &'p Supplies,
    /// When cells that do not always err decide.
    pub reads: Reads,
    /// Number of the first image in its set, which keys the reads.
    pub first_image: u64,
}

/// What a trial did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Right predictions.
    pub score: Counts,
    /// Faulty cells and changed bits: of weights, at each read; of the rest, summed over all images.
    pub applied: PerMemory<Applied>,
}

/// What a trial did to some images of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InPart {
    /// Their places in the order.
    pub places: Range<usize>,
    /// Its counts over them.
    pub outcome: Outcome,
}

/// Images in an order of their own.
#[derive(Clone, Copy, Debug)]
pub struct Ordered<'o> {
    /// Number of each image, from the first of the trial on: it keys the reads, so that every order gives an image
    /// the same prediction.
    pub numbers: &'o [u32],
    /// Predictions without bit errors, in the order.
    pub clean: &'o [usize],
}

/// A network in protected memories.
#[derive(Debug)]
pub struct Deployment<'g> {
    graph: &'g Graph,
    placement: &'g Placement,
    memories: PerMemory<Option<Protected>>,
    weights: Vec<Contents<'g>>,
    activations: Vec<Vec<Contents<'static>>>,
    /// How sums are kept, per node; none if they are whole words.
    sum_rules: Option<Vec<SumRule>>,
    fitted: Option<(Fitted, Option<Calibration<'g>>)>,
    guards: Vec<Guard>,
}

impl<'g> Deployment<'g> {
    /// Protects the memories that hold `graph`.
    ///
    /// # Errors
    /// See [`ProtectedError`].
    pub fn new(
        graph: &'g Graph,
        placement: &'g Placement,
        protection: &Protection,
    ) -> Result<Self, ProtectedError> {
        weights::check(graph, &placement.weights)?;
        let layers: Vec<usize> = graph.layers().iter().map(|layer| layer.node).collect();
        let with_weights = |&&node: &&usize| graph.nodes[node].op.product().is_some();
        let nodes: Vec<usize> = layers.iter().filter(with_weights).copied().collect();
        let mut sum_bits = Vec::new();
        let mut guards = Vec::new();
        for keeping in protection.stages(Memory::Accumulator, 32).sums {
            match keeping {
                SumKeeping::Narrow => {
                    let bits = crate::sum_bits(graph).into_iter();
                    sum_bits = bits.map(|bits| bits.map(|bits| bits.min(32))).collect();
                }
                SumKeeping::Guarded(guard) => guards.push(guard),
            }
        }
        let setup = |memory: Memory, first_extra_cell: u64| -> Option<Setup> {
            let of_layers =
                |of: &dyn Fn(usize) -> Vec<usize>| nodes.iter().map(|&n| of(n)).collect();
            let word_bits = *placement.word_bits.get(memory);
            let first_cells = [*placement.first_cells.get(memory), first_extra_cell];
            Some(match memory {
                Memory::Weight => Setup {
                    memory,
                    data: placement.weights.geometry(),
                    word_bits,
                    unit_bits: match &placement.weights {
                        WeightPlacement::Resident(_) => None,
                        WeightPlacement::Streamed(streamed) => Some(streamed.half_bits),
                    },
                    first_cells,
                    layers: of_layers(&|node| {
                        let Some(conv) = graph.nodes[node].op.product() else { return Vec::new() };
                        vec![conv.weights.0]
                    }),
                    stored: weights::stored(graph),
                    damage: weights::damage(graph),
                    used_bits: 32,
                    channels: weights::channels(graph),
                },
                Memory::Activation => {
                    let placed = placement.activations.as_ref()?;
                    Setup {
                        memory,
                        data: placed.geometry,
                        word_bits,
                        unit_bits: Some(placed.geometry.cells()),
                        first_cells,
                        layers: of_layers(&|node| {
                            let inputs = graph.nodes[node].inputs.iter();
                            inputs.map(|input| placed.tensors[input.0].owner).collect()
                        }),
                        stored: activations::stored(graph),
                        damage: Vec::new(),
                        used_bits: 32,
                        channels: Vec::new(),
                    }
                }
                Memory::Accumulator => {
                    let placed = placement.sums.as_ref()?;
                    Setup {
                        memory,
                        data: placed.geometry,
                        word_bits,
                        unit_bits: Some(vmin_accel::placement::SUM_BITS),
                        first_cells,
                        layers: of_layers(&|node| vec![node]),
                        stored: sums::stored(placed),
                        damage: Vec::new(),
                        used_bits: sum_bits.iter().flatten().copied().max().unwrap_or(32),
                        channels: Vec::new(),
                    }
                }
            })
        };
        let mut first_extra_cell = placement.first_extra_cell;
        let memories = PerMemory::from_fn(|memory| -> Result<_, ProtectedError> {
            let Some(setup) = setup(memory, first_extra_cell) else { return Ok(None) };
            let protected = Protected::new(protection, setup)?;
            first_extra_cell += protected.extra_cells();
            Ok(Some(protected))
        });
        let rule = |bits: Option<u8>| SumRule { bits: bits.unwrap_or(32), ..SumRule::NONE };
        let sum_rules = (!sum_bits.is_empty()).then(|| sum_bits.into_iter().map(rule).collect());
        let deployment = Self {
            sum_rules,
            guards,
            fitted: protection.fitted().map(|fitted| (fitted, None)),
            graph,
            placement,
            memories: memories.transpose()?,
            weights: Contents::of_weights(&placement.weights),
            activations: placement
                .activations
                .as_ref()
                .map_or_else(Vec::new, activations::contents),
        };
        Ok(deployment)
    }

    /// The same, calibrated on unlabelled images, `[count, height, width, channels]` flat: as many of the first as
    /// each mechanism asks for. A protection that asks for images ([`Protection::calibration_images`]) must be
    /// calibrated before a chip runs.
    ///
    /// # Errors
    /// The images do not fit the network, or `stop` was set.
    pub fn calibrated(
        mut self,
        pixels: &[u8],
        kernel: &'static dyn GemmKernel,
        stop: &AtomicBool,
    ) -> Result<Self, EmulatorError> {
        let size = self.graph.tensors[self.graph.input.0].elements();
        let first = |images: u32| &pixels[..pixels.len().min(images as usize * size)];
        if let Some((fitted, calibration)) = &mut self.fitted {
            *calibration = Some(Calibration::new(self.graph, first(fitted.images), kernel, stop)?);
        }
        if let Some(weights) = &mut self.memories.weight
            && let Some(images) = weights.calibration_images()
        {
            // Fitted biases take back what the mean of inputs does.
            let about_mean = self.fitted.is_some();
            weights.moments = moments(self.graph, first(images), about_mean, kernel, stop)?;
        }
        let Some(placed) = &self.placement.sums else { return Ok(self) };
        for guard in &self.guards {
            let biases = self.placement.biases_in_memory;
            let ranges =
                sum_ranges(self.graph, placed, biases, first(guard.images), guard.margin, kernel)
                    .map_err(|error| EmulatorError::Pixels(error.to_string()))?;
            let none = || vec![SumRule::NONE; ranges.len()];
            let rules = self.sum_rules.get_or_insert_with(none);
            for (rule, range) in rules.iter_mut().zip(ranges) {
                rule.range = range.unwrap_or(rule.range);
            }
        }
        Ok(self)
    }

    /// The same for a network whose constants were fitted before; partial sums are kept as in the deployment of the
    /// network that it was.
    #[must_use]
    pub fn fitted_from(self, clean: &Deployment<'_>) -> Self {
        Self { fitted: None, sum_rules: clean.sum_rules.clone(), ..self }
    }

    /// All contents of a memory.
    fn contents(&self, memory: Memory) -> Cow<'_, [Contents<'g>]> {
        match memory {
            Memory::Weight => Cow::Borrowed(&self.weights),
            Memory::Activation => self.activations.iter().flatten().cloned().collect(),
            Memory::Accumulator => {
                self.placement.sums.iter().map(|placed| sums::contents(placed, 0)).collect()
            }
        }
    }

    /// Number of banks of each memory that hold something.
    #[must_use]
    pub fn banks_used(&self) -> PerMemory<u32> {
        PerMemory::from_fn(|memory| match memory {
            Memory::Weight => self
                .placement
                .layouts
                .first()
                .map_or(1, |layout| crate::memory::banks_used(self.weights.iter(), layout)),
            Memory::Activation => self.placement.activations.as_ref().map_or(1, |placed| {
                let layout = AddressMap::linear(placed.geometry);
                crate::memory::banks_used(self.activations.iter().flatten(), &layout)
            }),
            Memory::Accumulator => self.placement.sums.as_ref().map_or(1, |of| of.geometry.banks()),
        })
    }

    /// What each memory holds.
    #[must_use]
    pub fn extents(&self) -> PerMemory<Extent> {
        let banks_used = self.banks_used();
        PerMemory::from_fn(|memory| {
            let protected = self.memories.get(memory).as_ref();
            let (rows_used, rows) = protected.map_or((0, 0), |of| self.rows(memory, of.geometry()));
            Extent {
                code_bits: protected.map_or(0, Protected::code_bits),
                banks_used: *banks_used.get(memory),
                rows_used,
                rows,
            }
        })
    }

    /// Rows that hold something at some time, and all rows.
    fn rows(&self, memory: Memory, geometry: Geometry) -> (u64, u64) {
        let linear = AddressMap::linear(geometry);
        let layout = match memory {
            Memory::Weight => self.placement.layouts.first().unwrap_or(&linear),
            Memory::Activation | Memory::Accumulator => &linear,
        };
        let contents = match (memory, &self.placement.sums) {
            (Memory::Accumulator, Some(placed)) => vec![sums::used(placed)].into(),
            (Memory::Weight | Memory::Activation | Memory::Accumulator, _) => self.contents(memory),
        };
        let used: BTreeSet<u64> = contents.iter().flat_map(|of| of.rows(layout)).collect();
        (used.len() as u64, geometry.cells() / u64::from(geometry.columns()))
    }

    /// Cells of check bits and spare lines of all memories.
    #[must_use]
    pub fn extra_cells(&self) -> u64 {
        self.memories.present().map(|(_, memory)| memory.extra_cells()).sum()
    }

    /// Opens a chip to be read at these supplies, and at no others. `columns_at` are the supplies at which the
    /// reliable columns are chosen.
    ///
    /// # Errors
    /// The chip is larger than can be held.
    pub fn open<'c>(
        &'c self,
        source: &'c dyn CellSource,
        spec: ChipSpec,
        wanted: &[&Supplies],
        columns_at: Option<&Supplies>,
    ) -> Result<OpenChip<'c>, SampleError> {
        let columns_at = columns_at.filter(|_| self.placement.reliable_columns.is_some());
        let arrays = PerMemory::from_fn(|memory| {
            let Some(protected) = self.memories.get(memory) else { return Ok(None) };
            let at =
                wanted.iter().copied().chain(columns_at).filter_map(|at| at.get(memory).as_ref());
            let at: Vec<&ProtectedAt> = at.collect();
            let Some(first) = at.first() else { return Ok(None) };
            let floors = at.iter().flat_map(|at| at.levels()).map(MemoryAt::floor);
            let floor = floors.min().unwrap_or(Threshold::NEVER);
            let layout = match memory {
                Memory::Weight => Cow::Borrowed(&self.placement.layouts[spec.layout]),
                Memory::Activation | Memory::Accumulator => {
                    Cow::Owned(AddressMap::linear(protected.geometry()))
                }
            };
            let mut arrays = Arrays::open(protected, source, spec, layout, floor)?;
            if memory == Memory::Weight
                && let (Some(bits), Some(at)) = (self.placement.reliable_columns, columns_at)
                && let Some(at) = &at.weight
            {
                let known = arrays.errors(at.access.base()).map();
                let map = self.placement.layouts[spec.layout].clone();
                let cells: Vec<FaultyCell> = known.iter().map(as_cell).collect();
                let chosen = map.with_reliable_columns(bits, &cells);
                arrays.set_layout(chosen.expect("planning has checked that codes divide rows"));
            }
            arrays.test(first.test.as_ref(), &self.contents(memory));
            Ok(Some(arrays))
        });
        Ok(OpenChip { deployment: self, arrays: arrays.transpose()?, storages: None })
    }
}

/// A faulty cell without its score.
fn as_cell(fault: &Fault) -> FaultyCell {
    FaultyCell { address: fault.address, score: Score(0), preferred: false }
}
