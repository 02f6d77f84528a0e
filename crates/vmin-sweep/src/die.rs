//! The cells of one trial: one chip at one offset.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;

use vmin_accel::placement::AddressMap;
use vmin_emulator::{
    ActivationFaults, BufferApplied, BufferFaults, Corrupted, Emulator, Score, Stopped, SumFaults,
};
use vmin_sram::{
    Applied, CellErrors, Chip, ChipKey, DrawnFaults, FaultKind, FaultyCell, Geometry, SampleError,
};

use crate::Plan;
use crate::chip_file::{self, ChipFile};
use crate::experiment::{Experiment, Memory, ReadErrors};
use crate::run::WEIGHT_MEMORY;

/// The number of the read at which weights are loaded once for all images.
pub const LOAD: u64 = u64::MAX;

/// What a trial did at one point.
pub(crate) struct Outcome {
    pub(crate) score: Score,
    /// To the weights.
    pub(crate) weights: Applied,
    /// To activations and sums of all images.
    pub(crate) buffers: BufferApplied,
}

enum Cells<'p> {
    /// Drawn from the population.
    Sampled(Chip),
    /// Those of a file, from an offset in its map.
    File(&'p ChipFile, u64),
    /// None that persist.
    None,
}

impl Cells<'_> {
    fn of(chip: Option<Chip>) -> Self {
        chip.map_or(Self::None, Self::Sampled)
    }
}

/// One trial.
pub(crate) struct Die<'p> {
    plan: &'p Plan,
    cells: Cells<'p>,
    /// Of the activation memory, where it errs.
    activations: Option<Chip>,
    /// Of the accumulator memory, where it errs.
    sums: Option<Chip>,
    map: Cow<'p, AddressMap>,
    /// Of the reads: every trial has its own.
    key: ChipKey,
}

impl<'p> Die<'p> {
    /// The trial of that number, to be read down to the point `lowest`.
    pub(crate) fn new(plan: &'p Plan, trial: u32, lowest: u32) -> Result<Self, SampleError> {
        // Neighbouring trials are the offsets of one chip.
        let offsets = u32::try_from(plan.address_maps.len()).expect("trials are counted in u32");
        let (chip, offset) = (trial / offsets, (trial % offsets) as usize);
        let seed = plan.experiment.seed;
        let key = ChipKey { seed, chip: trial.into(), memory: WEIGHT_MEMORY };
        let of_chip = ChipKey { chip: chip.into(), ..key };
        let cells = match plan.chip_files.get(chip as usize) {
            Some(file) => Cells::File(file, plan.experiment.layout.offset_bits[offset]),
            None if plan.draws_every_read() => Cells::None,
            None => {
                let geometry = plan.placement.geometry();
                Cells::of(sample(plan, Memory::Weight, geometry, of_chip, lowest)?)
            }
        };
        let activations = match &plan.activations {
            Some(placed) => sample(plan, Memory::Activation, placed.geometry, of_chip, lowest)?,
            None => None,
        };
        let sums = match &plan.sums {
            Some(placed) => sample(plan, Memory::Accumulator, placed.geometry, of_chip, lowest)?,
            None => None,
        };
        let map = Cow::Borrowed(&plan.address_maps[offset]);
        let mut die = Self { plan, cells, activations, sums, map, key };
        if plan.experiment.layout.reliable_columns.is_some() {
            die.map = Cow::Owned(die.reliable_columns(of_chip)?);
        }
        Ok(die)
    }

    /// Columns chosen from the chip's faults at the lowest voltage of the plan, whatever is still to be
    /// done.
    fn reliable_columns(&self, of_chip: ChipKey) -> Result<AddressMap, SampleError> {
        let plan = self.plan;
        let choose = |faults: &[FaultyCell]| {
            let bits = plan.graph.weights.first().map_or(8, |weights| weights.bits);
            let map = AddressMap::clone(&self.map).with_reliable_columns(bits, faults);
            map.expect("`Plan::resolve` has checked that codes divide rows")
        };
        Ok(match &self.cells {
            Cells::File(..) => {
                let lowest = u32::try_from(plan.points.len() - 1).unwrap_or(u32::MAX);
                let faults: Vec<_> = self.errors(lowest).iter().map(|error| error.cell).collect();
                choose(&faults)
            }
            Cells::Sampled(_) => {
                let lowest = u32::try_from(plan.points.len() - 1).unwrap_or(u32::MAX);
                let geometry = plan.placement.geometry();
                let chip = sample(plan, Memory::Weight, geometry, of_chip, lowest)?;
                choose(
                    chip.as_ref().map_or(&[], |chip| faults_at(plan, Memory::Weight, chip, lowest)),
                )
            }
            Cells::None => AddressMap::clone(&self.map),
        })
    }

    /// Cells of the weight memory that err at a point, with their rates; empty for a population's chip
    /// without read noise.
    fn errors(&self, point: u32) -> Vec<CellErrors> {
        let (file, offset) = match &self.cells {
            Cells::File(file, offset) => (file, offset),
            Cells::Sampled(chip) => {
                let at = &self.plan.points[point as usize];
                let Some((noise, floor)) = at.read_noise.as_ref().zip(at.floor(Memory::Weight))
                else {
                    return Vec::new();
                };
                let cells = chip.faults(floor).expect("the floor of this point");
                return noise.errors(cells, self.plan.experiment.fault_kind);
            }
            Cells::None => return Vec::new(),
        };
        let vdd_mv = self.plan.points[point as usize].cost.vdd_mv;
        let level = chip_file::level_at(&file.chip, vdd_mv);
        let level = level.expect("`Plan::resolve` has checked the voltages");
        let errors = chip_file::errors_at(&file.chip, &level).expect("a level of this chip");
        let (map, memory) = (file.chip.geometry(), self.plan.placement.geometry());
        vmin_sram::tile_errors(&errors, map.cells(), memory.cells(), *offset)
            .expect("`Plan::resolve` has checked the size")
    }

    /// Reads the weights at a point and classifies all images; what the reads did together.
    pub(crate) fn evaluate(
        &self,
        point: u32,
        emulator: &Emulator<'_>,
        clean: &[usize],
        stop: &AtomicBool,
    ) -> Result<Outcome, Stopped> {
        let noisy = self.plan.experiment.read_noise_mv.is_some();
        let corrupted = match self.plan.experiment.errors {
            ReadErrors::Alike(kind) if !noisy => {
                let faults: Cow<'_, [FaultyCell]> = match &self.cells {
                    Cells::Sampled(chip) => {
                        faults_at(self.plan, Memory::Weight, chip, point).into()
                    }
                    _ => self.errors(point).iter().map(|error| error.cell).collect(),
                };
                emulator.corrupt(&self.bits(&faults), kind)
            }
            ReadErrors::Alike(_) | ReadErrors::Measured => {
                self.draw(emulator, &self.errors(point), LOAD)
            }
            ReadErrors::Transient => return self.transient(point, emulator, clean, stop),
        };
        let weights = corrupted.applied;
        let activations = self.activation_faults(point).filter(|faults| !faults.is_empty());
        let sums = self.sum_faults(point).filter(|faults| !faults.is_empty());
        let (score, buffers) = if activations.is_some() || sums.is_some() {
            let faults = BufferFaults { activations: activations.as_ref(), sums: sums.as_ref() };
            let (predictions, applied) =
                emulator.predict_through(&corrupted.codes, faults, stop)?;
            (emulator.score(&predictions, clean), applied)
        } else if weights.bits_flipped == 0 {
            (emulator.score(clean, clean), BufferApplied::default())
        } else {
            let predictions = emulator.predict(&corrupted.codes, stop)?;
            (emulator.score(&predictions, clean), BufferApplied::default())
        };
        Ok(Outcome { score, weights, buffers })
    }

    /// Faults under the partial sums at a point; none if they cannot err.
    fn sum_faults(&self, point: u32) -> Option<SumFaults> {
        let (placed, chip) = (self.plan.sums.as_ref()?, self.sums.as_ref()?);
        let faults = faults_at(self.plan, Memory::Accumulator, chip, point);
        let Experiment { fault_kind, memories, .. } = &self.plan.experiment;
        Some(SumFaults::new(placed, faults, *fault_kind, memories.biases))
    }

    /// Faults under the activations at a point; none if they cannot err.
    fn activation_faults(&self, point: u32) -> Option<ActivationFaults> {
        let (placed, chip) = (self.plan.activations.as_ref()?, self.activations.as_ref()?);
        let faults = faults_at(self.plan, Memory::Activation, chip, point);
        let kind = self.plan.experiment.fault_kind;
        Some(ActivationFaults::new(placed, faults, kind, self.plan.spared_input()))
    }

    fn transient(
        &self,
        point: u32,
        emulator: &Emulator<'_>,
        clean: &[usize],
        stop: &AtomicBool,
    ) -> Result<Outcome, Stopped> {
        let first = self.plan.experiment.first_image.value;
        let rate = self.plan.points[point as usize].cost.cell_fault_rate;
        let errors = self.errors(point);
        let (predictions, applied) = emulator.predict_reread(
            |index| {
                let image = (first + index) as u64;
                match self.cells {
                    Cells::None => emulator.flip_at_random(rate, self.key, image),
                    _ => self.draw(emulator, &errors, image),
                }
            },
            stop,
        )?;
        let score = emulator.score(&predictions, clean);
        Ok(Outcome { score, weights: applied, buffers: BufferApplied::default() })
    }

    fn draw(&self, emulator: &Emulator<'_>, errors: &[CellErrors], read: u64) -> Corrupted {
        let DrawnFaults { inverting, stuck } = vmin_sram::draw_faults(errors, self.key, read);
        emulator.corrupt_parts(&[
            (&self.bits(&inverting), FaultKind::Flip),
            (&self.bits(&stuck), FaultKind::StuckAt),
        ])
    }

    /// Faulty cells as faulty bits of the model's own order.
    fn bits<'f>(&self, faults: &'f [FaultyCell]) -> Cow<'f, [FaultyCell]> {
        if self.map.is_identity() {
            Cow::Borrowed(faults)
        } else {
            Cow::Owned(self.map.faulty_bits(faults))
        }
    }
}

/// The cells of a memory of a chip down to the point `lowest`; none if the memory does not err.
fn sample(
    plan: &Plan,
    memory: Memory,
    geometry: Geometry,
    key: ChipKey,
    lowest: u32,
) -> Result<Option<Chip>, SampleError> {
    let Some(floor) = plan.points[lowest as usize].floor(memory) else { return Ok(None) };
    let key = ChipKey { memory: memory.number(), ..key };
    Chip::sample(&plan.population(), key, geometry, floor).map(Some)
}

/// The faulty cells at a point of a chip that was sampled for this memory.
fn faults_at<'c>(plan: &Plan, memory: Memory, chip: &'c Chip, point: u32) -> &'c [FaultyCell] {
    let at = plan.points[point as usize].memory(memory).expect("the memory errs at every point");
    chip.faults(at.threshold).expect("the floor is the lowest threshold of the plan")
}
