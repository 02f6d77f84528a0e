//! The cells of one memory of a chip: drawn, measured, or of no account.

use std::borrow::Cow;

use vmin_sram::{
    CellErrors, Chip, ChipKey, DrawnFaults, FaultKind, FaultyCell, Geometry, SampleError,
};

use crate::Plan;
use crate::chip_file::{self, ChipFile};
use crate::experiment::{Memory, ReadErrors};
use crate::plan::MemoryAt;

/// The number of the read at which weights are loaded once for all images.
pub const LOAD: u64 = u64::MAX;

/// Which chip, from where in its map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    /// Number of the chip.
    pub(crate) chip: u32,
    /// Index among the offsets.
    pub(crate) offset: usize,
    /// Number of the trial: every one has its own reads.
    number: u32,
}

impl Trial {
    /// The trial of that number. Neighbouring ones are the offsets of one chip.
    pub(crate) fn of(plan: &Plan, number: u32) -> Self {
        // `Plan::resolve` has checked that trials are counted in u32.
        let offsets = u32::try_from(plan.address_maps.len()).unwrap_or(u32::MAX);
        Self { chip: number / offsets, offset: (number % offsets) as usize, number }
    }

    /// The key of a memory's cells.
    pub(crate) fn cells_key(self, plan: &Plan, memory: Memory) -> ChipKey {
        let seed = plan.experiment.seed;
        ChipKey { seed, chip: self.chip.into(), memory: memory.number() }
    }

    /// The key of a memory's reads.
    pub(crate) fn reads_key(self, plan: &Plan, memory: Memory) -> ChipKey {
        ChipKey { chip: self.number.into(), ..self.cells_key(plan, memory) }
    }
}

/// The cells of a memory.
pub(crate) enum Cells<'p> {
    /// Drawn from the population.
    Sampled(Chip),
    /// Those of a file, from an offset in its map.
    File(&'p ChipFile, u64),
    /// None that persist: every bit is drawn at every read.
    Drawn,
}

/// Faulty cells that do the same.
pub(crate) type Part<'c> = (Cow<'c, [FaultyCell]>, FaultKind);

impl<'p> Cells<'p> {
    /// The cells of a memory of this geometry that begins `first_cell` cells behind the first memory, down
    /// to the supply `lowest`.
    pub(crate) fn of(
        plan: &'p Plan,
        memory: Memory,
        (geometry, first_cell): (Geometry, u64),
        trial: Trial,
        lowest: &MemoryAt,
    ) -> Result<Self, SampleError> {
        if let Some(file) = plan.chip_files.get(trial.chip as usize) {
            let offset = plan.experiment.layout.offset_bits[trial.offset];
            let cells = file.chip.geometry().cells().max(1);
            // Both are below 2^64 less the other: maps and memories have at most 2^35 cells.
            return Ok(Self::File(file, (offset + first_cell) % cells));
        }
        if plan.draws_every_read() {
            return Ok(Self::Drawn);
        }
        let key = trial.cells_key(plan, memory);
        Chip::sample(&plan.population(), key, geometry, plan.floor(lowest)).map(Self::Sampled)
    }

    /// Of a file: the cells that err at a voltage, with their rates, in a memory of `cells` cells.
    pub(crate) fn measured(
        file: &ChipFile,
        offset: u64,
        cells: u64,
        vdd_mv: f64,
    ) -> Vec<CellErrors> {
        let level = chip_file::level_at(&file.chip, vdd_mv);
        let level = level.expect("`Plan::resolve` has checked the voltages");
        let errors = chip_file::errors_at(&file.chip, &level).expect("a level of this chip");
        vmin_sram::tile_errors(&errors, file.chip.geometry().cells(), cells, offset)
            .expect("`Plan::resolve` has checked the size")
    }

    /// What errs at a point in a memory of `cells` cells.
    pub(crate) fn erring(&self, plan: &Plan, at: &MemoryAt, cells: u64) -> Erring<'_> {
        match self {
            Self::Drawn => Erring::AnyBit(at.cell_fault_rate),
            Self::Sampled(chip) => {
                let kind = plan.experiment.fault_kind;
                if let Some(noise) = plan.read_noise(at) {
                    let near = chip.faults(plan.floor(at)).expect("the floor is the lowest of all");
                    return Erring::Sometimes(noise.errors(near, kind));
                }
                let faults = chip.faults(at.threshold).expect("the floor is the lowest threshold");
                Erring::Always(faults.into(), kind)
            }
            Self::File(file, offset) => {
                let errors = Self::measured(file, *offset, cells, at.vdd_mv);
                match plan.experiment.errors {
                    ReadErrors::Alike(kind) => {
                        let cells: Vec<_> = errors.iter().map(|error| error.cell).collect();
                        Erring::Always(cells.into(), kind)
                    }
                    ReadErrors::Measured | ReadErrors::Transient => Erring::Sometimes(errors),
                }
            }
        }
    }
}

/// What of a memory errs at a point, before a read decides.
pub(crate) enum Erring<'c> {
    /// These cells at every read.
    Always(Cow<'c, [FaultyCell]>, FaultKind),
    /// Each of these cells as often as its rates say.
    Sometimes(Vec<CellErrors>),
    /// Any bit, with this probability.
    AnyBit(f64),
}

impl Erring<'_> {
    /// The cells that err at one read; none where bits are drawn.
    pub(crate) fn at_read(&self, key: ChipKey, read: u64) -> Vec<Part<'_>> {
        match self {
            Self::Always(cells, kind) => vec![(Cow::Borrowed(cells), *kind)],
            Self::Sometimes(errors) => {
                let DrawnFaults { inverting, stuck } = vmin_sram::draw_faults(errors, key, read);
                vec![(inverting.into(), FaultKind::Flip), (stuck.into(), FaultKind::StuckAt)]
            }
            Self::AnyBit(_) => Vec::new(),
        }
    }
}

/// Parts as the emulator takes them.
pub(crate) fn borrowed<'a>(parts: &'a [Part<'_>]) -> Vec<(&'a [FaultyCell], FaultKind)> {
    parts.iter().map(|(faults, kind)| (&faults[..], *kind)).collect()
}
