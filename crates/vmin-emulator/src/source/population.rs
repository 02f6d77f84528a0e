//! Chips sampled from a population. Read noise, where the supply has it, makes cells near their critical
//! voltage err at some reads and not at others.

use vmin_accel::MemoryAt;
use vmin_protection::MapKind;
use vmin_sram::{Chip, ChipKey, FaultKind, Population, SampleError, Threshold};

use super::{CellSource, Cells, Errors, Site};

/// Chips of a population.
#[derive(Clone, Debug, PartialEq)]
pub struct SampledChips {
    /// The distribution of critical voltages.
    pub population: Population,
    /// Seed of the chips.
    pub seed: u64,
    /// What a faulty cell does.
    pub kind: FaultKind,
}

struct Sampled {
    chip: Chip,
    kind: FaultKind,
}

impl CellSource for SampledChips {
    fn cells(&self, site: Site, floor: Threshold) -> Result<Box<dyn Cells + '_>, SampleError> {
        let key = ChipKey { seed: self.seed, chip: site.chip, memory: site.region };
        let chip = Chip::sample(&self.population, key, site.geometry, floor)?;
        Ok(Box::new(Sampled { chip, kind: self.kind }))
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn identity(&self, _: u32) -> serde_json::Value {
        let Self { population, seed, kind } = self;
        let shares = population.shares();
        let shares =
            [shares.die(), shares.bank(), shares.column(), shares.half_column(), shares.cell()];
        let kind = *kind == FaultKind::StuckAt;
        serde_json::json!(["population", shares, population.share_stuck_at_0(), seed, kind])
    }

    fn map_kind(&self) -> MapKind {
        super::map_kind(self.kind)
    }
}

impl Cells for Sampled {
    fn errors(&self, at: &MemoryAt) -> Errors<'_> {
        let known = |threshold: Threshold| {
            // A chip is opened for the lowest of the supplies that it is then asked for.
            self.chip.faults(threshold.max(self.chip.floor())).unwrap_or(self.chip.cells())
        };
        match &at.noise {
            Some(noise) => Errors::Sometimes(noise.errors(known(at.floor()), self.kind)),
            None => Errors::Always(known(at.threshold).into(), self.kind),
        }
    }
}
