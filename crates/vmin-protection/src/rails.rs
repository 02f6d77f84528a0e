//! Cells on a supply of their own, and the supplies of a memory at one operating point.

use serde::Serialize;
use vmin_accel::MemoryAt;
use vmin_diagnostic::{Diagnostic, TableReader};
use vmin_sram::{Fault, Geometry};

use crate::words::CodeBit;

/// Highest supply voltage that a file may name, in mV.
pub(crate) const VDD_MV_MAX: f64 = 5_000.0;

/// A raise that a file may name, in mV; none is no rail.
pub(crate) const RAISE_MV: std::ops::RangeInclusive<f64> = 0.001..=VDD_MV_MAX;

/// A supply voltage that follows from that of the memory; never below it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Supply {
    /// This voltage, in mV.
    FixedMv(f64),
    /// The memory's voltage and so much more, in mV.
    RaisedByMv(f64),
}

impl Supply {
    /// In mV, when the memory's supply is at `vdd_mv`.
    #[must_use]
    pub fn at(self, vdd_mv: f64) -> f64 {
        match self {
            Self::FixedMv(own) => own.max(vdd_mv),
            Self::RaisedByMv(more) => vdd_mv + more.max(0.0),
        }
    }

    /// In words.
    pub(crate) fn words(self) -> String {
        match self {
            Self::FixedMv(mv) => format!("at {mv} mV"),
            Self::RaisedByMv(mv) => format!("+{mv} mV"),
        }
    }

    /// Reads `vdd_mv = ...` or `raise_mv = ...`, one of them.
    pub(crate) fn read(entry: &TableReader<'_>) -> Option<Self> {
        let fixed = entry.optional_number("vdd_mv", 1.0..=VDD_MV_MAX);
        let raised = entry.optional_number("raise_mv", RAISE_MV);
        match (fixed, raised) {
            (Some(mv), None) if !entry.has("raise_mv") => Some(Self::FixedMv(mv.value)),
            (None, Some(mv)) if !entry.has("vdd_mv") => Some(Self::RaisedByMv(mv.value)),
            (None, None) if entry.has("vdd_mv") != entry.has("raise_mv") => None,
            _ => {
                let problem = Diagnostic::new("supply", "the rail needs a voltage").allowed(
                    "expected either `vdd_mv` (a fixed supply) or `raise_mv` (above the swept one)",
                );
                match entry.span() {
                    Some(span) => entry.report_at(span, problem),
                    None => entry.report(problem),
                }
                None
            }
        }
    }
}

/// Which cells hang on a rail.
#[derive(Clone, Debug, PartialEq)]
pub enum RailCells {
    /// All cells of the memory.
    All,
    /// The most significant bits of each code: how many.
    TopBits(u8),
    /// What belongs to these layers: counted from 1 among those with weights, in execution order; rising.
    Layers(Vec<usize>),
    /// The banks with most faulty cells: this share of those that hold something, rounded up.
    WeakestBanks(f64),
}

/// Cells on a supply of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Rail {
    /// Which cells.
    pub cells: RailCells,
    /// Their supply.
    pub supply: Supply,
    /// True if the supply is raised during accesses alone, so that leakage is that of the memory's supply.
    pub accesses_only: bool,
}

/// The cells of a rail, found in a memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RailPlace {
    /// All cells of the memory.
    All,
    /// The most significant bits of each code.
    TopBits(u8),
    /// Cells that hold codes of these tensors, rising.
    Tensors(Vec<usize>),
    /// Cells of these banks, rising.
    Banks(Vec<u32>),
}

impl RailPlace {
    /// Whether it matters to which tensor a code belongs.
    #[must_use]
    pub const fn depends_on_tensor(&self) -> bool {
        match self {
            Self::Tensors(_) => true,
            Self::All | Self::TopBits(_) | Self::Banks(_) => false,
        }
    }

    /// Whether a cell belongs to the rail: `held` is its content, with the width of that code.
    #[must_use]
    pub fn has(&self, bank: u32, held: Option<(CodeBit, u8)>) -> bool {
        match self {
            Self::All => true,
            Self::TopBits(count) => held.is_some_and(|(held, bits)| held.bit + count >= bits),
            Self::Tensors(tensors) => {
                held.is_some_and(|(held, _)| tensors.binary_search(&held.tensor).is_ok())
            }
            Self::Banks(banks) => banks.binary_search(&bank).is_ok(),
        }
    }
}

/// The supplies of one memory at one operating point: the memory's own, then one per rail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Supplies {
    levels: Vec<MemoryAt>,
    /// Indices of the levels, highest supply first.
    falling: Vec<usize>,
}

impl Supplies {
    /// A memory at `vdd_mv` with these rails; `at` gives a memory at a voltage.
    ///
    /// # Errors
    /// The first that `at` gives.
    pub fn new<E>(
        vdd_mv: f64,
        rails: &[Rail],
        at: impl Fn(f64) -> Result<MemoryAt, E>,
    ) -> Result<Self, E> {
        let all = [vdd_mv].into_iter().chain(rails.iter().map(|rail| rail.supply.at(vdd_mv)));
        let levels = all.map(at).collect::<Result<Vec<_>, E>>()?;
        let mut falling: Vec<usize> = (0..levels.len()).collect();
        falling.sort_by(|&a, &b| levels[b].vdd_mv.total_cmp(&levels[a].vdd_mv));
        // What all cells hang on leaves nothing to lower supplies.
        let lowest = |&level: &usize| {
            let rail = level.checked_sub(1).and_then(|rail| rails.get(rail));
            rail.is_some_and(|rail| rail.cells == RailCells::All)
        };
        if let Some(last) = falling.iter().position(lowest) {
            falling.truncate(last + 1);
        }
        Ok(Self { levels, falling })
    }

    /// A memory without rails.
    pub(crate) fn single(at: MemoryAt) -> Self {
        Self { levels: vec![at], falling: vec![0] }
    }

    /// The supply of cells without a rail of their own, during an access.
    #[must_use]
    pub fn base(&self) -> &MemoryAt {
        let lowest = self.falling.last().copied().unwrap_or(0);
        &self.levels[lowest]
    }

    /// Whether rail `number` of the list is above the supply of the other cells.
    pub(crate) fn raises(&self, rail: &Rail, number: usize) -> bool {
        let others = if rail.cells == RailCells::All { &self.levels[0] } else { self.base() };
        self.levels[number + 1].vdd_mv > others.vdd_mv
    }

    /// Every supply that some cell may hang on.
    pub fn levels(&self) -> impl Iterator<Item = (usize, &MemoryAt)> {
        self.falling.iter().map(|&level| (level, &self.levels[level]))
    }

    /// The supply of a cell: the highest of its rails. `places` are those of the rails, in order.
    pub fn level_of(&self, places: &[RailPlace], bank: u32, held: Option<(CodeBit, u8)>) -> usize {
        let has = |level: usize| match level.checked_sub(1) {
            None => true,
            Some(rail) => places.get(rail).is_some_and(|place| place.has(bank, held)),
        };
        self.falling.iter().copied().find(|&level| has(level)).unwrap_or(0)
    }
}

/// How many of the `used` banks are a share of them: rounded up to whole banks.
#[must_use]
pub fn banks_on_rail(share: f64, used: u32) -> u32 {
    // At most `used`.
    (share * f64::from(used)).ceil().clamp(0.0, f64::from(used)) as u32
}

/// The `count` of the `used` banks (rising) with the most faults, in rising order; of two with as many the
/// lower number.
#[must_use]
pub fn weakest_banks(faults: &[Fault], geometry: Geometry, used: &[u32], count: usize) -> Vec<u32> {
    let mut counts: Vec<(u64, u32)> = used.iter().map(|&bank| (0, bank)).collect();
    for fault in faults {
        let bank = geometry.position(fault.address).map(|position| position.bank);
        let entry = bank.and_then(|bank| used.binary_search(&bank).ok());
        if let Some(entry) = entry {
            counts[entry].0 += 1;
        }
    }
    counts.sort_by_key(|&(faults, bank)| (core::cmp::Reverse(faults), bank));
    let mut banks: Vec<u32> = counts.iter().take(count).map(|&(_, bank)| bank).collect();
    banks.sort_unstable();
    banks
}
