//! Sources of faulty cells: which cells of a memory err at a supply, and at which reads.
//!
//! A source is one file here. It opens a memory of a chip once ([`CellSource::cells`]) and then tells the errors
//! at each supply ([`Cells::errors`]), so that a chip is sampled once for all supplies.

mod measured;
mod population;
mod transient;

use std::borrow::Cow;
use std::fmt;

pub use measured::{Measured, MeasuredChip};
pub use population::SampledChips;
pub use transient::Transient;

use vmin_accel::MemoryAt;
use vmin_protection::MapKind;
use vmin_sram::{
    CellErrors, ChipKey, DrawnFaults, Fault, FaultKind, FaultyCell, Geometry, SampleError,
    Threshold,
};

/// One array of cells of one chip.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Number of the chip.
    pub chip: u64,
    /// Number of the array on the chip; every array has its own cells.
    pub region: u32,
    /// Its shape.
    pub geometry: Geometry,
    /// Its first cell in a measured map, in which the arrays of a chip lie one behind the other.
    pub first_cell: u64,
}

/// Where faulty cells come from.
pub trait CellSource: fmt::Debug + Send + Sync {
    /// The cells of an array that can err at thresholds down to `floor`.
    ///
    /// # Errors
    /// The array is larger than can be held.
    fn cells(&self, site: Site, floor: Threshold) -> Result<Box<dyn Cells + '_>, SampleError>;

    /// Seed of the chips and of their reads.
    fn seed(&self) -> u64;

    /// Keys the draws that decide which uncertain cells of a chip err: the same wherever the chip is used.
    fn reads(&self, chip: u32) -> u64 {
        chip.into()
    }

    /// What decides which cells of a chip err, by value.
    fn identity(&self, chip: u32) -> serde_json::Value;

    /// What a test of its chips finds out about faulty cells.
    fn map_kind(&self) -> MapKind;
}

/// The cells of one array of one chip.
pub trait Cells: Send + Sync {
    /// Which of them err at a supply.
    fn errors(&self, at: &MemoryAt) -> Errors<'_>;
}

/// The errors of an array at a supply.
#[derive(Clone, Debug)]
pub enum Errors<'c> {
    /// These cells err at every read, all in the same way.
    Always(Cow<'c, [FaultyCell]>, FaultKind),
    /// Each of these cells errs as often as its rates say.
    Sometimes(Vec<CellErrors>),
    /// Every bit is inverted at every read with this probability.
    AnyBit(f64),
}

/// Cells that err at one read in the same way.
pub type Part<'c> = (Cow<'c, [FaultyCell]>, FaultKind);

impl Errors<'_> {
    /// The cells that err at read number `read`; none where any bit can err.
    #[must_use]
    pub fn at_read(&self, key: ChipKey, read: u64) -> Vec<Part<'_>> {
        match self {
            Self::Always(cells, kind) => vec![(Cow::Borrowed(cells), *kind)],
            Self::Sometimes(errors) => {
                let DrawnFaults { inverting, stuck } = vmin_sram::draw_faults(errors, key, read);
                vec![(inverting.into(), FaultKind::Flip), (stuck.into(), FaultKind::StuckAt)]
            }
            Self::AnyBit(_) => Vec::new(),
        }
    }

    /// The fault map that a test of the chip finds: cells that err at half of the reads or more, as they
    /// err most often.
    #[must_use]
    pub fn map(&self) -> Vec<Fault> {
        match self {
            Self::Always(..) | Self::AnyBit(_) => {
                faults(&self.at_read(ChipKey { seed: 0, chip: 0, memory: 0 }, 0))
            }
            Self::Sometimes(errors) => errors
                .iter()
                .filter_map(|error| {
                    let effect = error.usual()?.effect(error.rates.preferred());
                    Some(Fault { address: error.cell.address, effect })
                })
                .collect(),
        }
    }
}

/// What a map of cells that all err in this way shows.
fn map_kind(kind: FaultKind) -> MapKind {
    match kind {
        FaultKind::Flip => MapKind::Inverting,
        FaultKind::StuckAt => MapKind::Stuck,
    }
}

/// The cells of all parts with their effects.
#[must_use]
pub fn faults(parts: &[Part<'_>]) -> Vec<Fault> {
    let of_part = |(cells, kind): &Part<'_>| {
        let kind = *kind;
        let of = move |cell: &FaultyCell| Fault {
            address: cell.address,
            effect: kind.effect(cell.preferred),
        };
        cells.iter().map(of).collect::<Vec<_>>()
    };
    parts.iter().flat_map(of_part).collect()
}
