//! The cells of one trial: one chip at one offset.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;

use vmin_accel::placement::AddressMap;
use vmin_emulator::{Corrupted, Emulator, Score, Stopped};
use vmin_sram::{
    Applied, CellErrors, Chip, ChipKey, DrawnFaults, FaultKind, FaultyCell, SampleError, Threshold,
};

use crate::Plan;
use crate::chip_file::{self, ChipFile};
use crate::experiment::ReadErrors;
use crate::run::WEIGHT_MEMORY;

/// The number of the read at which weights are loaded once for all images.
pub const LOAD: u64 = u64::MAX;

enum Cells<'p> {
    /// Drawn from the population.
    Sampled(Chip),
    /// Those of a file, from an offset in its map.
    File(&'p ChipFile, u64),
    /// None that persist.
    None,
}

/// One trial.
pub(crate) struct Die<'p> {
    plan: &'p Plan,
    cells: Cells<'p>,
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
            None if plan.experiment.errors == ReadErrors::Transient => Cells::None,
            None => Cells::Sampled(sample(plan, of_chip, plan.points[lowest as usize].threshold)?),
        };
        let mut die = Self { plan, cells, map: Cow::Borrowed(&plan.address_maps[offset]), key };
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
                let threshold = plan.points.iter().map(|point| point.threshold).min();
                let threshold = threshold.expect("a plan has a voltage");
                let die = sample(plan, of_chip, threshold)?;
                choose(die.faults(threshold).expect("the floor of this chip"))
            }
            Cells::None => AddressMap::clone(&self.map),
        })
    }

    /// Cells of the weight memory that err at a point, with their rates; empty for a population's chip.
    fn errors(&self, point: u32) -> Vec<CellErrors> {
        let Cells::File(file, offset) = &self.cells else { return Vec::new() };
        let vdd_mv = self.plan.points[point as usize].cost.vdd_mv;
        let level = chip_file::level_at(&file.chip, vdd_mv);
        let level = level.expect("`Plan::resolve` has checked the voltages");
        let errors = chip_file::errors_at(&file.chip, &level).expect("a level of this chip");
        let (map, memory) = (file.chip.geometry(), self.plan.placement.geometry);
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
    ) -> Result<(Score, Applied), Stopped> {
        let corrupted = match self.plan.experiment.errors {
            ReadErrors::Alike(kind) => {
                let faults: Cow<'_, [FaultyCell]> = match &self.cells {
                    Cells::Sampled(chip) => Cow::Borrowed(
                        chip.faults(self.plan.points[point as usize].threshold)
                            .expect("the floor is the lowest threshold of the plan"),
                    ),
                    _ => self.errors(point).iter().map(|error| error.cell).collect(),
                };
                emulator.corrupt(&self.bits(&faults), kind)
            }
            ReadErrors::Measured => self.draw(emulator, &self.errors(point), LOAD),
            ReadErrors::Transient => return self.transient(point, emulator, clean, stop),
        };
        let score = if corrupted.applied.bits_flipped == 0 {
            emulator.score(clean, clean)
        } else {
            emulator.score(&emulator.predict(&corrupted.codes, stop)?, clean)
        };
        Ok((score, corrupted.applied))
    }

    fn transient(
        &self,
        point: u32,
        emulator: &Emulator<'_>,
        clean: &[usize],
        stop: &AtomicBool,
    ) -> Result<(Score, Applied), Stopped> {
        let first = self.plan.experiment.first_image.value;
        let rate = self.plan.points[point as usize].cost.cell_fault_rate;
        let errors = self.errors(point);
        let (predictions, applied) = emulator.predict_reread(
            |index| {
                let image = (first + index) as u64;
                match self.cells {
                    Cells::File(..) => self.draw(emulator, &errors, image),
                    _ => emulator.flip_at_random(rate, self.key, image),
                }
            },
            stop,
        )?;
        Ok((emulator.score(&predictions, clean), applied))
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

fn sample(plan: &Plan, key: ChipKey, floor: Threshold) -> Result<Chip, SampleError> {
    Chip::sample(&plan.population(), key, plan.placement.geometry, floor)
}
