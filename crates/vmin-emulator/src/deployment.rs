//! A network in the memories of an accelerator, under protection.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use vmin_accel::placement::{ActivationPlacement, AddressMap, SumPlacement, WeightPlacement};
use vmin_accel::{Memory, MemoryAt, PerMemory};
use vmin_kernels::GemmKernel;
use vmin_nn::{Graph, TensorId};
use vmin_protection::mechanism::{Fitted, Guard, SumKeeping};
use vmin_protection::store::Storage;
use vmin_protection::{Extent, ProtectedAt, Protection};
use vmin_sram::{Applied, Fault, FaultyCell, Geometry, SampleError, Score, Threshold};

use crate::emulator::{BufferFaults, Emulator, EmulatorError, ImageRead, Score as Counts, Stopped};
use crate::memory::Contents;
use crate::memory::image::{FaultSite, Image, ImageError};
use crate::memory::sums::SumRule;
use crate::memory::weights::{self, Corrupted};
use crate::memory::{Arrays, NEVER, Powered, Protected, ProtectedError, Setup, activations, sums};
use crate::moments::moments;
use crate::recalibrate::{Calibration, Corrected};
use crate::source::CellSource;
use crate::sum_ranges::sum_ranges;

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

/// The number of the first read by which a chip is calibrated where every image reads anew.
const CALIBRATION: u64 = 1 << 62;

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

/// A chip under a network.
pub struct OpenChip<'c> {
    deployment: &'c Deployment<'c>,
    arrays: PerMemory<Option<Arrays<'c>>>,
    /// How bits are stored, where the mechanisms do not decide it.
    storages: Option<PerMemory<Storage>>,
}

impl OpenChip<'_> {
    /// The chip with bits stored so, in place of what the mechanisms decide.
    #[must_use]
    pub fn with_storages(self, storages: PerMemory<Storage>) -> Self {
        Self { storages: Some(storages), ..self }
    }

    /// The cells of the weight memory as they are written at these supplies, for each content: the whole network,
    /// or a load. None if the memory makes no errors.
    #[must_use]
    pub fn images(&self, supplies: &Supplies) -> Vec<Image> {
        let PoweredChip { deployment: Deployment { graph, weights, .. }, memories } =
            self.powered(supplies, &NEVER);
        let of = |powered: &Powered<'_>| {
            let storage = weights::storage(graph, weights, powered);
            powered.images(weights, &weights::written(graph), storage)
        };
        memories.weight.as_ref().map_or_else(Vec::new, of)
    }

    /// The chip with the codes that `images` hold, stored as `storages` say but for codes.
    ///
    /// # Errors
    /// The images are not those of the network under its placement.
    pub fn with_images(
        self,
        supplies: &Supplies,
        images: &[Image],
        mut storages: PerMemory<Storage>,
    ) -> Result<Self, ImageError> {
        let PoweredChip { deployment: Deployment { graph, weights, .. }, memories } =
            self.powered(supplies, &NEVER);
        if let Some(powered) = &memories.weight {
            weights::stored_as(graph, weights, powered, images, &mut storages.weight)?;
        }
        drop(memories);
        Ok(self.with_storages(storages))
    }

    /// The faulty cells under weights at a read; none where any bit can err.
    #[must_use]
    pub fn sites(&self, supplies: &Supplies, read: u64) -> Vec<FaultSite> {
        let PoweredChip { deployment: Deployment { graph, weights, .. }, memories } =
            self.powered(supplies, &NEVER);
        let of = |powered: &Powered<'_>| {
            let storage = weights::storage(graph, weights, powered);
            weights.iter().flat_map(|of| powered.sites(of, read, storage)).collect()
        };
        memories.weight.as_ref().map_or_else(Vec::new, of)
    }

    /// Faulty cells of all memories that spare lines repaired and that were left, at the voltage of the test;
    /// none without spares.
    #[must_use]
    pub fn repaired(&self) -> Option<(u64, u64)> {
        let repairs = self.arrays.present().filter_map(|(_, arrays)| arrays.repair());
        let counts = repairs.map(|repair| (repair.cells_repaired, repair.cells_unrepaired));
        counts.reduce(|sum, count| (sum.0 + count.0, sum.1 + count.1))
    }

    /// The weights at one read.
    #[must_use]
    pub fn weights(&self, supplies: &Supplies, read: u64) -> Corrupted {
        self.powered(supplies, &NEVER).weights(read)
    }

    /// How far the weights of one read lie from the network's: the root of the squared errors over that of the squared
    /// values, each weighted by how far its channel moves the output.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn weight_deviation(
        &self,
        supplies: &Supplies,
        read: u64,
        stop: &AtomicBool,
    ) -> Result<f64, Stopped> {
        let read = self.powered(supplies, stop).weights(read);
        unless_stopped(stop, weights::deviation(self.deployment.graph, &read.codes))
    }

    /// How the bits of each memory are stored on the chip at these supplies; plain where it makes no errors.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn storages(
        &self,
        supplies: &Supplies,
        stop: &AtomicBool,
    ) -> Result<PerMemory<Storage>, Stopped> {
        let PoweredChip { ref deployment, ref memories } = self.powered(supplies, stop);
        let Deployment { graph, placement, weights, activations, .. } = deployment;
        let storages = PerMemory::from_fn(|memory| {
            let Some(powered) = memories.get(memory) else { return Storage::default() };
            let storage = match memory {
                Memory::Weight => Some(weights::storage(graph, weights, powered)),
                Memory::Activation => placement.activations.as_ref().map(|placed| {
                    let spared = placement.spared_input;
                    activations::storage(placed, activations, powered, spared)
                }),
                Memory::Accumulator => {
                    placement.sums.as_ref().map(|placed| sums::storage(placed, powered))
                }
            };
            storage.cloned().unwrap_or_default()
        });
        unless_stopped(stop, storages)
    }

    /// What this gives is of no use once `stop` is set.
    fn powered<'a>(&'a self, supplies: &'a Supplies, stop: &'a AtomicBool) -> PoweredChip<'a> {
        let deployment = self.deployment;
        let of = |memory: Memory| {
            let arrays = self.arrays.get(memory).as_ref()?;
            let at = supplies.get(memory).as_ref()?;
            let contents = deployment.contents(memory);
            let mut powered = arrays.powered(&at.access, at.known.as_ref(), &contents, stop);
            if let Some(storages) = &self.storages {
                powered.store(storages.get(memory).clone());
            }
            Some(powered)
        };
        PoweredChip { deployment, memories: PerMemory::from_fn(of) }
    }

    /// The network with the biases and multipliers fitted to this chip at these supplies; none where nothing is
    /// fitted, or nothing errs.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn fitted(
        &self,
        supplies: &Supplies,
        reads: Reads,
        stop: &AtomicBool,
    ) -> Result<Option<Graph>, Stopped> {
        unless_stopped(stop, self.powered(supplies, stop).fitted(reads, stop)?)
    }

    /// Classifies all images of `emulator`; `clean` are its predictions without bit errors.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn run(
        &self,
        trial: TrialSpec<'_>,
        emulator: &Emulator<'_>,
        clean: &[usize],
        stop: &AtomicBool,
    ) -> Result<Outcome, Stopped> {
        let (predictions, applied) = self.predict(trial, emulator, clean, stop)?;
        Ok(Outcome { score: emulator.score(&predictions, clean), applied })
    }

    /// The predicted classes of a trial, as [`Self::run`] counts them.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn predict(
        &self,
        trial: TrialSpec<'_>,
        emulator: &Emulator<'_>,
        clean: &[usize],
        stop: &AtomicBool,
    ) -> Result<(Vec<usize>, PerMemory<Applied>), Stopped> {
        let chip = self.powered(trial.supplies, stop);
        unless_stopped(stop, chip.predict(trial, emulator, clean, stop)?)
    }
}

/// A value that may be of what was decided by half.
fn unless_stopped<T>(stop: &AtomicBool, value: T) -> Result<T, Stopped> {
    if stop.load(Ordering::Relaxed) { Err(Stopped) } else { Ok(value) }
}

/// A chip at one set of supplies.
struct PoweredChip<'a> {
    deployment: &'a Deployment<'a>,
    memories: PerMemory<Option<Powered<'a>>>,
}

impl PoweredChip<'_> {
    fn weights(&self, read: u64) -> Corrupted {
        let Deployment { graph, placement, weights: contents, .. } = self.deployment;
        match &self.memories.weight {
            Some(powered) => weights::read(graph, &placement.weights, contents, powered, read),
            None => Corrupted { codes: weights::written(graph), applied: Applied::default() },
        }
    }

    fn activations(&self, read: u64) -> Option<activations::ActivationFaults<'_>> {
        let Deployment { placement, activations: contents, .. } = self.deployment;
        let (placed, powered) =
            (placement.activations.as_ref()?, self.memories.activation.as_ref()?);
        Some(activations::read(placed, contents, powered, placement.spared_input, read))
    }

    fn sums(&self, read: u64) -> Option<sums::SumFaults<'_>> {
        let placement = self.deployment.placement;
        let (placed, powered) = (placement.sums.as_ref()?, self.memories.accumulator.as_ref()?);
        let faults = sums::read(placed, powered, placement.biases_in_memory, read);
        Some(match &self.deployment.sum_rules {
            Some(rules) => faults.with_rules(placed, rules),
            None => faults,
        })
    }

    fn predict(
        &self,
        trial: TrialSpec<'_>,
        emulator: &Emulator<'_>,
        clean: &[usize],
        stop: &AtomicBool,
    ) -> Result<(Vec<usize>, PerMemory<Applied>), Stopped> {
        let fitted = self.fitted(trial.reads, stop)?;
        let of_chip = fitted.as_ref().map(|graph| emulator.with_graph(graph));
        let emulator = of_chip.as_ref().unwrap_or(emulator);
        match trial.reads {
            Reads::EveryImage => {
                let read = |index: usize| self.read(trial.first_image + index as u64);
                emulator.predict_reread(read, stop)
            }
            Reads::Once => {
                let Loaded { weights, activations, sums } = self.loaded();
                let faults =
                    BufferFaults { activations: activations.as_ref(), sums: sums.as_ref() };
                let mut applied =
                    PerMemory::<Applied> { weight: weights.applied, ..PerMemory::default() };
                let predictions = if faults.activations.is_some() || faults.sums.is_some() {
                    let (predictions, of_buffers) =
                        emulator.predict_through(&weights.codes, faults, stop)?;
                    applied.activation = of_buffers.activation;
                    applied.accumulator = of_buffers.accumulator;
                    predictions
                } else if weights.applied.bits_flipped == 0 {
                    clean.to_vec()
                } else {
                    emulator.predict(&weights.codes, stop)?
                };
                Ok((predictions, applied))
            }
        }
    }

    /// What the memories do to an image.
    fn read(&self, image: u64) -> ImageRead<'_> {
        ImageRead {
            weights: self.weights(image),
            activations: self.activations(image),
            sums: self.sums(image),
        }
    }

    /// What they do to all images, where one load serves all; without faults that change nothing.
    fn loaded(&self) -> Loaded<'_> {
        let ImageRead { weights, activations, sums } = self.read(LOAD);
        ImageRead {
            weights,
            activations: activations.filter(|faults| !faults.is_empty()),
            sums: sums.filter(|faults| !faults.is_empty()),
        }
    }

    /// The network with the constants fitted to this chip, if some are and something errs.
    fn fitted(&self, reads: Reads, stop: &AtomicBool) -> Result<Option<Graph>, Stopped> {
        let Some((fitted, calibration)) = &self.deployment.fitted else { return Ok(None) };
        let calibration = calibration.as_ref().expect("such deployments are calibrated first");
        let what = match fitted.multipliers {
            true => Corrected::BiasesAndMultipliers,
            false => Corrected::Biases,
        };
        match reads {
            Reads::EveryImage => {
                let read = |index: usize| self.read(CALIBRATION + index as u64);
                calibration.recalibrated_reread(read, what, stop).map(Some)
            }
            Reads::Once => {
                let Loaded { weights, activations, sums } = self.loaded();
                if activations.is_none() && sums.is_none() && weights.applied.bits_flipped == 0 {
                    return Ok(None);
                }
                let faults =
                    BufferFaults { activations: activations.as_ref(), sums: sums.as_ref() };
                calibration.recalibrated(&weights.codes, faults, what, stop).map(Some)
            }
        }
    }
}

/// What the memories do to all images.
type Loaded<'m> = ImageRead<'m>;
