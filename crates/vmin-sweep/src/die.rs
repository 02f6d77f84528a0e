//! The memories of one trial: one chip at one offset.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;

use vmin_accel::placement::AddressMap;
use vmin_emulator::{BufferApplied, Corrupted, Emulator, ImageRead, Score, Stopped};
use vmin_sram::{Applied, Chip, FaultyCell, SampleError};

use crate::Plan;
use crate::buffers::{BufferErrors, Buffers};
use crate::cells::{Cells, Erring, LOAD, Part, Trial, borrowed};
use crate::experiment::{Memory, ReadErrors};

/// What a trial did at one point.
pub(crate) struct Outcome {
    pub(crate) score: Score,
    /// To the weights.
    pub(crate) weights: Applied,
    /// To activations and sums of all images.
    pub(crate) buffers: BufferApplied,
}

/// One trial.
pub(crate) struct Die<'p> {
    plan: &'p Plan,
    trial: Trial,
    /// Of the weight memory, where it errs.
    weights: Option<Cells<'p>>,
    buffers: Buffers<'p>,
    map: Cow<'p, AddressMap>,
}

impl<'p> Die<'p> {
    /// The trial of that number, to be read down to the point `lowest`.
    pub(crate) fn new(plan: &'p Plan, number: u32, lowest: u32) -> Result<Self, SampleError> {
        let trial = Trial::of(plan, number);
        let point = &plan.points[lowest as usize];
        let place = (plan.placement.geometry(), 0);
        let weights = point
            .memory(Memory::Weight)
            .map(|lowest| Cells::of(plan, Memory::Weight, place, trial, lowest))
            .transpose()?;
        let buffers = Buffers::new(plan, &plan.buffers, trial, point.supplies())?;
        let map = Cow::Borrowed(&plan.address_maps[trial.offset]);
        let mut die = Self { plan, trial, weights, buffers, map };
        if plan.experiment.layout.reliable_columns.is_some() {
            die.map = Cow::Owned(die.reliable_columns()?);
        }
        Ok(die)
    }

    /// Columns chosen from the chip's faults at the lowest voltage of the plan, whatever is still to be
    /// done.
    fn reliable_columns(&self) -> Result<AddressMap, SampleError> {
        let plan = self.plan;
        let choose = |faults: &[FaultyCell]| {
            let bits = plan.graph.weights.first().map_or(8, |weights| weights.bits);
            let map = AddressMap::clone(&self.map).with_reliable_columns(bits, faults);
            map.expect("`Plan::resolve` has checked that codes divide rows")
        };
        let lowest = plan.points.last().and_then(|point| point.memory(Memory::Weight));
        Ok(match (&self.weights, lowest) {
            (Some(Cells::File(file, offset)), Some(at)) => {
                let cells = plan.placement.geometry().cells();
                let errors = Cells::measured(file, *offset, cells, at.vdd_mv);
                choose(&errors.iter().map(|error| error.cell).collect::<Vec<_>>())
            }
            (Some(Cells::Sampled(_)), Some(at)) => {
                let key = self.trial.cells_key(plan, Memory::Weight);
                let geometry = plan.placement.geometry();
                let chip = Chip::sample(&plan.population(), key, geometry, at.threshold)?;
                choose(chip.faults(at.threshold).expect("its floor"))
            }
            _ => AddressMap::clone(&self.map),
        })
    }

    /// What of the weight memory errs at a point; none if it makes no errors.
    fn erring(&self, point: u32) -> Option<Erring<'_>> {
        let at = self.plan.points[point as usize].memory(Memory::Weight)?;
        let cells = self.plan.placement.geometry().cells();
        Some(self.weights.as_ref()?.erring(self.plan, at, cells))
    }

    /// Reads the memories at a point and classifies all images; what the reads did together.
    pub(crate) fn evaluate(
        &self,
        point: u32,
        emulator: &Emulator<'_>,
        clean: &[usize],
        stop: &AtomicBool,
    ) -> Result<Outcome, Stopped> {
        let weights = self.erring(point);
        let buffers = self.buffers.erring(self.plan.points[point as usize].supplies());
        if self.plan.experiment.errors == ReadErrors::Transient {
            return self.transient(weights.as_ref(), &buffers, emulator, clean, stop);
        }
        let corrupted = self.corrupt(emulator, weights.as_ref(), LOAD);
        let (score, buffers) = buffers.score(&corrupted, emulator, clean, stop)?;
        Ok(Outcome { score, weights: corrupted.applied, buffers })
    }

    fn transient(
        &self,
        weights: Option<&Erring<'_>>,
        buffers: &BufferErrors<'_>,
        emulator: &Emulator<'_>,
        clean: &[usize],
        stop: &AtomicBool,
    ) -> Result<Outcome, Stopped> {
        let first = self.plan.experiment.first_image.value;
        let (predictions, weights, buffers) = emulator.predict_reread(
            |index| {
                let image = (first + index) as u64;
                ImageRead {
                    weights: self.corrupt(emulator, weights, image),
                    activations: buffers.activations_at(image),
                    sums: buffers.sums_at(image),
                }
            },
            stop,
        )?;
        let score = emulator.score(&predictions, clean);
        Ok(Outcome { score, weights, buffers })
    }

    /// The codes at a read.
    fn corrupt(
        &self,
        emulator: &Emulator<'_>,
        weights: Option<&Erring<'_>>,
        read: u64,
    ) -> Corrupted {
        let key = self.trial.reads_key(self.plan, Memory::Weight);
        let faults = match weights {
            Some(Erring::AnyBit(rate)) => return emulator.flip_at_random(*rate, key, read),
            Some(erring) => erring.at_read(key, read),
            None => Vec::new(),
        };
        let bits: Vec<Part<'_>> =
            faults.iter().map(|(faults, kind)| (self.bits(faults), *kind)).collect();
        emulator.corrupt_parts(&borrowed(&bits))
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
