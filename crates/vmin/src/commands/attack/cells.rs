//! The cells under the bits of weights, and chips whose cells an attack flips.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use vmin_accel::{Memory, MemoryAt, PerMemory};
use vmin_attack::bits::{Flip, Weights};
use vmin_emulator::source::{CellSource, Measured, MeasuredChip};
use vmin_emulator::{
    ChipSpec, Deployment, Emulator, FaultSite, LOAD, OpenChip, Reads, Supplies, TrialSpec,
};
use vmin_nn::Graph;
use vmin_protection::ProtectedAt;
use vmin_protection::store::Storage;
use vmin_sram::{
    CellEffect, CellErrors, Chip, ErrorRates, FaultyCell, Geometry, Position, Run, Score,
};

use crate::Failure;
use crate::args::Reach;
use crate::commands::setup::Setup;

/// Supply of the weight memory, in mV, where none is named.
const VDD_MV: f64 = 900.0;
/// The supply of parts that are out of reach, in mV above it.
const SAFE_MV: f64 = 100.0;

/// Supplies of the weight memory alone.
fn supplies(setup: &Setup) -> Result<Supplies, Failure> {
    let given = setup.chips.supplies.weight.clone();
    let at = |mv: f64, _| Ok::<_, Failure>(MemoryAt::new(mv, 0.0));
    let weight = match given {
        Some(given) => given,
        None => setup.typed.protection().at(Memory::Weight, VDD_MV, at)?,
    };
    Ok(PerMemory { weight: Some(weight), activation: None, accumulator: None })
}

/// The weight memory of a chip before an attack.
pub(super) struct Cells<'c> {
    setup: &'c Setup,
    deployment: &'c Deployment<'c>,
    supplies: Supplies,
    /// How bits are stored, decided before the attack; none without protection.
    storages: Option<PerMemory<Storage>>,
    /// Address of the cell under each bit of each code, if it is in reach.
    addresses: Vec<Vec<[Option<u64>; 8]>>,
    geometry: Geometry,
}

/// A chip with its place, from whose source it is opened alone.
const ALONE: ChipSpec = ChipSpec { chip: 0, offset_bits: 0, layout: 0, map_offset: 0 };

impl<'c> Cells<'c> {
    /// The cells in reach: all under stored bits, or those that are faulty on the chip.
    ///
    /// # Errors
    /// The chip is larger than can be held, or `stop` was set.
    pub(super) fn new(
        graph: &Graph,
        setup: &'c Setup,
        deployment: &'c Deployment<'c>,
        reach: Reach,
        stop: &AtomicBool,
    ) -> Result<Self, Failure> {
        let mut cells = Self {
            setup,
            deployment,
            supplies: supplies(setup)?,
            storages: None,
            addresses: graph.weights.iter().map(|of| vec![[None; 8]; of.codes.len()]).collect(),
            geometry: setup.placement.weights.geometry(),
        };
        let columns = u64::from(cells.geometry.columns());
        let chip = match reach {
            Reach::Faulty => {
                Some(setup.open(deployment, setup.chips.range.start, &cells.supplies)?)
            }
            Reach::Any => None,
        };
        if !setup.typed.protection().is_empty() {
            let none = cells.source(&[]);
            let before = {
                let clean = cells.open(&none)?;
                chip.as_ref().unwrap_or(&clean).storages(&cells.supplies, stop)
            };
            cells.storages = Some(before.map_err(|_| interrupted())?);
        }
        let sites = match chip {
            Some(chip) => chip.sites(&cells.supplies, LOAD),
            None => {
                let all: Vec<u64> = (0..cells.geometry.cells()).collect();
                let all = cells.source(&all);
                cells.open(&all)?.sites(&cells.supplies, LOAD)
            }
        };
        for FaultSite { tensor, code, bit, effect, row, column, .. } in sites {
            let stored = graph.weights[tensor].codes[code] >> bit & 1 == 1;
            let flips = match effect {
                CellEffect::Inverts => true,
                CellEffect::Holds(value) => value != stored,
            };
            if flips {
                let address = row * columns + column;
                cells.addresses[tensor][code][usize::from(bit)] = Some(address);
            }
        }
        Ok(cells)
    }

    /// Leaves only the bits in reach whose cells `keep` names.
    pub(super) fn restrict(&self, weights: &mut [Weights], keep: impl Fn(Position) -> bool) {
        for (of, addresses) in weights.iter_mut().zip(&self.addresses) {
            for (reachable, addresses) in of.reachable.iter_mut().zip(addresses) {
                for (bit, address) in addresses.iter().enumerate() {
                    let position = address.and_then(|address| self.geometry.position(address));
                    if !position.is_some_and(&keep) {
                        *reachable &= !(1 << bit);
                    }
                }
            }
        }
    }

    /// The cell under a bit in reach.
    pub(super) fn position(&self, flip: &Flip) -> Option<Position> {
        self.geometry.position(self.address(flip)?)
    }

    fn address(&self, &Flip { tensor, index, bit }: &Flip) -> Option<u64> {
        self.addresses[tensor][index][usize::from(bit)]
    }

    /// The classes that the chip predicts where these bits are wrong, and how many are wrong as read.
    ///
    /// # Errors
    /// The chip is larger than can be held, or `stop` was set.
    pub(super) fn predict(
        &self,
        flips: &[Flip],
        emulator: &Emulator<'_>,
        clean: &[usize],
        stop: &AtomicBool,
    ) -> Result<(Vec<usize>, u64), Failure> {
        let source = self.source(&self.cells(flips));
        let trial = TrialSpec { supplies: &self.supplies, reads: Reads::Once, first_image: 0 };
        let predicted = self.open(&source)?.predict(trial, emulator, clean, stop);
        let (predictions, applied) = predicted.map_err(|_| interrupted())?;
        Ok((predictions, applied.weight.bits_flipped))
    }

    /// Addresses of the cells under some bits, rising.
    fn cells(&self, flips: &[Flip]) -> Vec<u64> {
        let mut cells: Vec<u64> = flips.iter().filter_map(|flip| self.address(flip)).collect();
        cells.sort_unstable();
        cells
    }

    /// Supply at which the chip of [`Self::chip`] has its wrong bits, in mV.
    pub(super) fn vdd_mv(&self) -> f64 {
        let given = self.supplies.weight.as_ref().map(|at| at.access.base().vdd_mv);
        given.filter(|mv| *mv > 0.0).unwrap_or(VDD_MV)
    }

    /// A measured chip whose cells under these bits always invert at [`Self::vdd_mv`], and never above.
    ///
    /// # Errors
    /// The map of all memories is larger than a chip file holds.
    pub(super) fn chip(&self, flips: &[Flip], source: String) -> Result<Chip, Failure> {
        let columns = self.geometry.columns();
        let rows = u32::try_from(self.map_cells() / u64::from(columns)).unwrap_or(u32::MAX);
        let geometry =
            Geometry::new(1, rows, columns).map_err(|error| Failure::input("too-large", &error))?;
        let vdd_mv = self.vdd_mv();
        let levels = self.supplies.weight.iter().flat_map(ProtectedAt::levels);
        let mut levels_uv: Vec<u32> = levels
            .map(MemoryAt::vdd_uv)
            .chain([vdd_mv, vdd_mv + SAFE_MV].map(|mv| MemoryAt::new(mv, 0.0).vdd_uv()))
            .filter(|&uv| f64::from(uv) > vdd_mv * 1000.0 - 0.5)
            .collect();
        levels_uv.sort_unstable_by(|a, b| b.cmp(a));
        levels_uv.dedup();
        let last = u16::try_from(levels_uv.len() - 1).unwrap_or(u16::MAX);
        let run = |address| Run {
            address,
            first_level: last,
            last_level: last,
            rates: ErrorRates::flip(1.0),
        };
        let runs = self.cells(flips).into_iter().map(run).collect();
        Chip::measured(geometry, source, String::new(), &levels_uv, runs)
            .map_err(|error| Failure::input("too-large", &error))
    }

    /// A chip on which these cells invert what they store.
    fn source(&self, cells: &[u64]) -> Measured {
        let inverts = |&address: &u64| CellErrors {
            cell: FaultyCell { address, score: Score(0), preferred: false },
            rates: ErrorRates::flip(1.0),
        };
        let at = self.supplies.weight.as_ref().map_or(0, |at| at.access.base().vdd_uv());
        let errors = BTreeMap::from([(at, cells.iter().map(inverts).collect())]);
        let chip = MeasuredChip { sha256: String::new(), cells: self.map_cells(), errors };
        Measured { chips: vec![chip], seed: 0, kind: None }
    }

    /// Cells of all memories with check bits and spare lines: so large a map is not repeated.
    fn map_cells(&self) -> u64 {
        let columns = u64::from(self.geometry.columns());
        let cells = self.setup.placement.first_extra_cell + self.deployment.extra_cells();
        cells.max(self.geometry.cells()).div_ceil(columns) * columns
    }

    fn open<'o>(&'o self, source: &'o dyn CellSource) -> Result<OpenChip<'o>, Failure> {
        let open = self.deployment.open(source, ALONE, &[&self.supplies], None);
        let open = open.map_err(|error| Failure::input("too-large", &error))?;
        Ok(match &self.storages {
            Some(storages) => open.with_storages(storages.clone()),
            None => open,
        })
    }
}

fn interrupted() -> Failure {
    Failure::Interrupted("interrupted".to_owned())
}
