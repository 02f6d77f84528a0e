//! The memories beside that of the weights: activations and partial sums.
//!
//! Each has cells of its own. Of a measured chip there is one map: the memories lie in it one behind the
//! other, weights, activations, partial sums, and begin again at its first cell where it ends.

use std::sync::atomic::AtomicBool;

use vmin_accel::Accelerator;
use vmin_accel::placement::{ActivationPlacement, SumError, SumPlacement};
use vmin_emulator::{
    ActivationFaults, BufferApplied, BufferFaults, Corrupted, Emulator, Score, Stopped, SumFaults,
};
use vmin_nn::{Graph, TensorId};
use vmin_sram::{Geometry, SampleError};

use crate::Plan;
use crate::cells::{Cells, Erring, LOAD, Trial, borrowed};
use crate::experiment::{Experiment, Memories, Memory, Supply};
use crate::plan::MemoryAt;

/// Where activations and partial sums of a network lie, if they can err.
#[derive(Clone, Debug, Default)]
pub struct BufferPlacements {
    /// Activations.
    pub activations: Option<ActivationPlacement>,
    /// Partial sums.
    pub sums: Option<SumPlacement>,
    /// The network's input, if it is not to err.
    spared: Option<TensorId>,
    /// True if biases lie in the accumulator memory first.
    biases: bool,
}

impl BufferPlacements {
    pub(crate) fn of(
        memories: &Memories,
        accelerator: &Accelerator,
        graph: &Graph,
    ) -> Result<Self, SumError> {
        let activations = (memories.activation != Supply::Nominal)
            .then(|| ActivationPlacement::new(accelerator.memories.activation.geometry, graph));
        let sums = (memories.accumulator != Supply::Nominal)
            .then(|| SumPlacement::new(accelerator, graph))
            .transpose()?;
        let spared = (!memories.inputs).then_some(graph.input);
        Ok(Self { activations, sums, spared, biases: memories.biases })
    }

    /// Bits of an inference's activations that can err: of every tensor once, however often it is read.
    pub(crate) fn activation_bits(&self) -> Option<u64> {
        let placement = self.activations.as_ref()?;
        let written = placement.tensors.iter().enumerate().filter(|&(tensor, placed)| {
            placed.owner == tensor && self.spared.is_none_or(|spared| spared.0 != tensor)
        });
        Some(written.map(|(_, placed)| placed.codes * 8).sum())
    }

    /// Bits of partial sums that an inference reads, of every word once per fold.
    pub(crate) fn accumulator_bits_read(&self) -> Option<u64> {
        Some(self.sums.as_ref()?.bits_read(self.biases))
    }

    /// Cells of a memory that can err.
    pub(crate) fn cells(&self, memory: Memory) -> u64 {
        self.geometry(memory).map_or(0, Geometry::cells)
    }

    fn geometry(&self, memory: Memory) -> Option<Geometry> {
        match memory {
            Memory::Weight => None,
            Memory::Activation => Some(self.activations.as_ref()?.geometry),
            Memory::Accumulator => Some(self.sums.as_ref()?.geometry),
        }
    }
}

/// The supplies of the memories at one point, by number; none that makes no errors.
pub(crate) type Supplies = [Option<MemoryAt>; Memory::ALL.len()];

/// The cells of both memories on one trial.
pub(crate) struct Buffers<'p> {
    plan: &'p Plan,
    placed: &'p BufferPlacements,
    trial: Trial,
    activations: Option<Cells<'p>>,
    sums: Option<Cells<'p>>,
}

/// Right predictions, and what the memories did to all images.
pub(crate) type Scored = (Score, BufferApplied);

impl<'p> Buffers<'p> {
    /// The memories of a trial, to be read down to the supplies `lowest`.
    pub(crate) fn new(
        plan: &'p Plan,
        placed: &'p BufferPlacements,
        trial: Trial,
        lowest: &Supplies,
    ) -> Result<Self, SampleError> {
        let cells = |memory: Memory, first_cell: u64| {
            let at = lowest[memory.number() as usize];
            let (Some(geometry), Some(at)) = (placed.geometry(memory), &at) else {
                return Ok(None);
            };
            let place = (geometry, first_cell);
            Cells::of(plan, memory, place, trial, at).map(Some)
        };
        let behind_weights = plan.placement.geometry().cells();
        let behind_activations =
            behind_weights + plan.accelerator.memories.activation.geometry.cells();
        Ok(Self {
            plan,
            placed,
            trial,
            activations: cells(Memory::Activation, behind_weights)?,
            sums: cells(Memory::Accumulator, behind_activations)?,
        })
    }

    /// What errs at these supplies.
    pub(crate) fn erring<'b>(&'b self, supplies: &Supplies) -> BufferErrors<'b> {
        let of = |memory: Memory, cells: &'b Option<Cells<'p>>| {
            let at = supplies[memory.number() as usize].as_ref()?;
            Some(cells.as_ref()?.erring(self.plan, at, self.placed.cells(memory)))
        };
        BufferErrors {
            buffers: self,
            activations: of(Memory::Activation, &self.activations),
            sums: of(Memory::Accumulator, &self.sums),
        }
    }
}

/// What of both memories errs at a point.
pub(crate) struct BufferErrors<'b> {
    buffers: &'b Buffers<'b>,
    activations: Option<Erring<'b>>,
    sums: Option<Erring<'b>>,
}

impl BufferErrors<'_> {
    /// Classifies all images with these weights, loaded once, and memories whose errors last; `clean` are
    /// the predictions without errors.
    pub(crate) fn score(
        &self,
        corrupted: &Corrupted,
        emulator: &Emulator<'_>,
        clean: &[usize],
        stop: &AtomicBool,
    ) -> Result<Scored, Stopped> {
        let activations = self.activations_at(LOAD).filter(|faults| !faults.is_empty());
        let sums = self.sums_at(LOAD).filter(|faults| !faults.is_empty());
        if activations.is_some() || sums.is_some() {
            let faults = BufferFaults { activations: activations.as_ref(), sums: sums.as_ref() };
            let (predictions, applied) =
                emulator.predict_through(&corrupted.codes, faults, stop)?;
            return Ok((emulator.score(&predictions, clean), applied));
        }
        let score = if corrupted.applied.bits_flipped == 0 {
            emulator.score(clean, clean)
        } else {
            emulator.score(&emulator.predict(&corrupted.codes, stop)?, clean)
        };
        Ok((score, BufferApplied::default()))
    }

    /// Faults of the activation memory at a read; none if it makes no errors.
    pub(crate) fn activations_at(&self, read: u64) -> Option<ActivationFaults> {
        let Buffers { plan, placed: BufferPlacements { activations, spared, .. }, trial, .. } =
            self.buffers;
        let (placed, erring) = (activations.as_ref()?, self.activations.as_ref()?);
        let key = trial.reads_key(plan, Memory::Activation);
        Some(match erring {
            Erring::AnyBit(rate) => ActivationFaults::drawn(placed, *rate, key, read, *spared),
            _ => {
                let parts = erring.at_read(key, read);
                ActivationFaults::of_parts(placed, &borrowed(&parts), *spared)
            }
        })
    }

    /// Faults of the accumulator memory at a read; none if it makes no errors.
    pub(crate) fn sums_at(&self, read: u64) -> Option<SumFaults> {
        let Buffers { plan, placed: BufferPlacements { sums, biases, .. }, trial, .. } =
            self.buffers;
        let (placed, erring) = (sums.as_ref()?, self.sums.as_ref()?);
        let key = trial.reads_key(plan, Memory::Accumulator);
        Some(match erring {
            Erring::AnyBit(rate) => SumFaults::drawn(placed, *rate, key, read, *biases),
            _ => {
                let parts = erring.at_read(key, read);
                SumFaults::of_parts(placed, &borrowed(&parts), *biases)
            }
        })
    }
}

/// The supplies of an experiment's memories where the swept voltage is `swept`; `at` gives a memory at
/// another voltage.
pub(crate) fn supplies(
    experiment: &Experiment,
    swept: MemoryAt,
    at: impl Fn(f64) -> MemoryAt,
) -> Supplies {
    Memory::ALL.map(|memory| match experiment.memories.supply(memory) {
        Supply::Nominal => None,
        Supply::Swept => Some(swept),
        Supply::Fixed(fixed) => Some(at(fixed.value)),
    })
}
