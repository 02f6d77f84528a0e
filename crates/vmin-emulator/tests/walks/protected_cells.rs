//! A protected memory told as plainly as can be: every cell has a supply, every word is encoded, read and decoded.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use vmin_accel::placement::AddressMap;
use vmin_accel::{Memory, MemoryAt};
use vmin_emulator::source::{CellSource, Measured, SampledChips, Site};
use vmin_protection::mechanisms::{
    BankRail, Boost, DetectingRead, DetectingReads, LayerRail, Masking, Parity, ParityCode, Repair,
    SafeBits, Secded, SecdedCode, SpareFaults, SpareLines, Spares, repaired_faults,
};
use vmin_protection::rails::{Supply, weakest_banks};
use vmin_protection::store::Storage;
use vmin_protection::words::{OnDetected, Stored, TowardZero, Verdict, WordCode};
use vmin_protection::{Mechanism, Protection};
use vmin_sram::{
    Applied, CellEffect, CellErrors, Chip, ChipKey, ErrorRates, Fault, FaultKind, Geometry,
    draw_faults,
};

/// Voltage of the test that allocates spares.
pub(crate) const TEST_MV: f64 = 825.0;

/// What stands between cells and codes; supplies as so many mV above that of the memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mechanisms {
    pub(crate) boost_mv: Option<f64>,
    pub(crate) safe_bits: Option<(u8, f64)>,
    pub(crate) layer: Option<(usize, f64)>,
    pub(crate) banks: Option<(f64, f64)>,
    pub(crate) spares: Option<SpareLines>,
    /// How bits are stored.
    pub(crate) store: Vec<Arc<dyn Mechanism>>,
    pub(crate) words: OnRead,
}

/// How cells become codes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum OnRead {
    #[default]
    Plain,
    Secded(u32, OnDetected),
    Parity(Option<u32>),
    Detecting(Masking),
}

impl Mechanisms {
    pub(crate) fn list(&self) -> Vec<Arc<dyn Mechanism>> {
        let mut list: Vec<Arc<dyn Mechanism>> = Vec::new();
        if let Some(raise_mv) = self.boost_mv {
            list.push(Arc::new(Boost { raise_mv }));
        }
        if let Some((bits, raise)) = self.safe_bits {
            list.push(Arc::new(SafeBits { bits, supply: Supply::RaisedByMv(raise) }));
        }
        if let Some((layer, raise)) = self.layer {
            let supply = Supply::RaisedByMv(raise);
            list.push(Arc::new(LayerRail { layers: vec![layer], supply }));
        }
        if let Some((share, raise)) = self.banks {
            list.push(Arc::new(BankRail { share, supply: Supply::RaisedByMv(raise) }));
        }
        if let Some(SpareLines { rows, columns }) = self.spares {
            list.push(Arc::new(Spares { rows, columns, repair_vdd_mv: TEST_MV }));
        }
        list.extend(self.store.iter().cloned());
        match self.words {
            OnRead::Plain => {}
            OnRead::Secded(data_bits, on_detected) => {
                list.push(Arc::new(Secded { data_bits, on_detected }));
            }
            OnRead::Parity(data_bits) => list.push(Arc::new(Parity { data_bits })),
            OnRead::Detecting(masking) => list.push(Arc::new(DetectingRead { masking })),
        }
        list
    }

    pub(crate) fn protection(&self, memory: Memory) -> Protection {
        let list = self.list().into_iter().map(|mechanism| (memory, mechanism));
        Protection::new(list).expect("they go together")
    }

    /// The code over words of a memory whose codes have `code_bits` bits.
    pub(crate) fn code(&self, code_bits: u8) -> Option<(Box<dyn WordCode>, OnDetected)> {
        match self.words {
            OnRead::Plain | OnRead::Detecting(_) => None,
            OnRead::Secded(bits, then) => Some((Box::new(SecdedCode::new(bits).unwrap()), then)),
            OnRead::Parity(bits) => {
                let bits = bits.unwrap_or(code_bits.into());
                Some((Box::new(ParityCode::new(bits).unwrap()), OnDetected::Zero))
            }
        }
    }
}

/// How often the cells of an array err, told without the sources of the emulator.
pub(crate) trait Silicon: CellSource {
    fn errors(&self, site: Site, at: &MemoryAt) -> Vec<CellErrors>;
}

impl Silicon for SampledChips {
    fn errors(&self, site: Site, at: &MemoryAt) -> Vec<CellErrors> {
        let key = ChipKey { seed: self.seed, chip: site.chip, memory: site.region };
        let chip = Chip::sample(&self.population, key, site.geometry, at.floor()).unwrap();
        if let Some(noise) = &at.noise {
            return noise.errors(chip.cells(), self.kind);
        }
        let certain = |cell: &vmin_sram::FaultyCell| CellErrors {
            cell: *cell,
            rates: match (self.kind, cell.preferred) {
                (FaultKind::Flip, _) => ErrorRates::flip(1.0),
                (FaultKind::StuckAt, false) => ErrorRates::stuck_at_0(1.0),
                (FaultKind::StuckAt, true) => ErrorRates::stuck_at_1(1.0),
            },
        };
        chip.cells().iter().map(certain).collect()
    }
}

impl Silicon for Measured {
    fn errors(&self, site: Site, at: &MemoryAt) -> Vec<CellErrors> {
        let chip = &self.chips[site.chip as usize];
        let known = &chip.errors[&at.vdd_uv()];
        let mut found = Vec::new();
        for address in 0..site.geometry.cells() {
            let of_map = (site.first_cell + address) % chip.cells;
            for error in known.iter().filter(|error| error.cell.address == of_map) {
                let cell = vmin_sram::FaultyCell { address, ..error.cell };
                let p = error.rates.p01.max(error.rates.p10);
                let rates = match self.kind {
                    None => error.rates,
                    Some(FaultKind::Flip) => ErrorRates::flip(p),
                    Some(FaultKind::StuckAt) if cell.preferred => ErrorRates::stuck_at_1(p),
                    Some(FaultKind::StuckAt) => ErrorRates::stuck_at_0(p),
                };
                found.push(CellErrors { cell, rates });
            }
        }
        found
    }
}

/// One memory of one chip.
#[derive(Clone, Copy)]
pub(crate) struct OnChip<'a> {
    pub(crate) silicon: &'a dyn Silicon,
    pub(crate) at: &'a dyn Fn(f64) -> MemoryAt,
    pub(crate) chip: u32,
    pub(crate) offset_bits: u64,
    pub(crate) memory: Memory,
    pub(crate) mechanisms: &'a Mechanisms,
    pub(crate) layout: &'a AddressMap,
    /// First cell of the data, and of check bits and spares, in a measured map.
    pub(crate) first_cells: [u64; 2],
    pub(crate) vdd_mv: f64,
    /// Bits of the memory's first code.
    pub(crate) code_bits: u8,
    /// True if codes lie there for good.
    pub(crate) lasting: bool,
    pub(crate) read: u64,
}

/// A bit of a code with the width of the code and its zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bit {
    pub(crate) tensor: usize,
    pub(crate) code: usize,
    pub(crate) bit: u8,
    pub(crate) width: u8,
    pub(crate) zero: u32,
    pub(crate) toward_zero: Toward,
}

/// [`TowardZero`], ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Toward {
    Sign,
    NotSign,
    Clear,
}

/// Which tensors lie on a layer's rail.
pub(crate) type OnLayerRail<'a> = &'a dyn Fn(usize) -> bool;
/// The bit at a place of the memory in linear order.
pub(crate) type At<'a> = &'a dyn Fn(u64) -> Option<Bit>;

impl OnChip<'_> {
    fn check_geometry(&self) -> Option<Geometry> {
        let data = self.layout.geometry();
        let (code, _) = self.mechanisms.code(self.code_bits)?;
        let words = data.cells() / u64::from(code.data_bits());
        let rows = u64::from(data.banks()) * u64::from(data.rows());
        let columns = (words * u64::from(code.check_bits())).div_ceil(rows).max(1);
        Some(Geometry::new(data.banks(), data.rows(), u32::try_from(columns).unwrap()).unwrap())
    }

    /// The arrays: (region, geometry, first cell) of data, check bits, spare rows, spare columns.
    fn arrays(&self) -> [Option<Site>; 4] {
        let memory = self.memory.number();
        let data = self.layout.geometry();
        let lines = self.mechanisms.spares.unwrap_or(SpareLines { rows: 0, columns: 0 });
        let beside = [
            self.check_geometry(),
            lines.row_geometry(data).unwrap(),
            lines.column_geometry(data).unwrap(),
        ];
        let mut first_cell = self.first_cells[1];
        let mut all = vec![Some(Site {
            chip: self.chip.into(),
            region: memory,
            geometry: data,
            first_cell: self.first_cells[0],
        })];
        for (part, geometry) in (0..).zip(beside) {
            all.push(geometry.map(|geometry| {
                let region = 0x100 + 0x10 * memory + part;
                let site = Site { chip: self.chip.into(), region, geometry, first_cell };
                first_cell += geometry.cells();
                site
            }));
        }
        all.try_into().unwrap()
    }

    /// What each faulty cell of an array gives back at this read.
    fn at_read(&self, site: Option<Site>, mv: f64) -> BTreeMap<u64, CellEffect> {
        let Some(site) = site else { return BTreeMap::new() };
        let offset = self.offset_bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let chip = self.silicon.reads(self.chip) ^ offset;
        let key = ChipKey { seed: self.silicon.seed(), chip, memory: site.region };
        let mut effects = BTreeMap::new();
        for error in self.silicon.errors(site, &(self.at)(mv)) {
            let drawn = draw_faults(&[error], key, self.read);
            for cell in drawn.inverting {
                effects.insert(cell.address, CellEffect::Inverts);
            }
            for cell in drawn.stuck {
                effects.insert(cell.address, CellEffect::Holds(cell.preferred));
            }
        }
        effects
    }

    /// What a test finds of an array: cells that give one of the values wrongly at half of the reads.
    fn at_test(&self, site: Option<Site>, mv: f64) -> BTreeSet<u64> {
        let Some(site) = site else { return BTreeSet::new() };
        let errors = self.silicon.errors(site, &(self.at)(mv));
        let bad = errors.iter().filter(|error| error.rates.p01 >= 0.5 || error.rates.p10 >= 0.5);
        bad.map(|error| error.cell.address).collect()
    }

    /// The supply of a cell when that of the memory is `mv`.
    fn supply(&self, mv: f64, bank: bool, held: Option<Bit>, layer: OnLayerRail<'_>) -> f64 {
        let Mechanisms { boost_mv, safe_bits, layer: layers, banks, .. } = self.mechanisms;
        let mut supply = mv + boost_mv.unwrap_or(0.0);
        let mut raise = |by: f64| supply = supply.max(mv + by);
        if let (Some((bits, by)), Some(held)) = (safe_bits, held)
            && held.bit + bits >= held.width
        {
            raise(*by);
        }
        if let (Some((_, by)), Some(held)) = (layers, held)
            && layer(held.tensor)
        {
            raise(*by);
        }
        if let Some((_, by)) = banks
            && bank
        {
            raise(*by);
        }
        supply
    }

    /// The banks on a rail of their own when the memory's supply is `mv`.
    fn weak(&self, mv: f64, used: &BTreeSet<u32>) -> BTreeSet<u32> {
        let Some((share, _)) = self.mechanisms.banks else { return BTreeSet::new() };
        let base = mv + self.mechanisms.boost_mv.unwrap_or(0.0);
        let fault = |address| Fault { address, effect: CellEffect::Inverts };
        let faults = self.at_test(self.arrays()[0], base).into_iter().map(fault);
        let used: Vec<u32> = used.iter().copied().collect();
        let count = (share * used.len() as f64).ceil() as usize;
        let faults: Vec<Fault> = faults.collect();
        weakest_banks(&faults, self.layout.geometry(), &used, count).into_iter().collect()
    }

    /// The memory while it holds a content, `used` being the banks that hold something at any time.
    pub(crate) fn holding(
        &self,
        content: At<'_>,
        layer: OnLayerRail<'_>,
        used: &BTreeSet<u32>,
    ) -> Holding {
        let geometry = self.layout.geometry();
        let [data, check, spare_rows, spare_columns] = self.arrays();
        let base = |mv: f64| mv + self.mechanisms.boost_mv.unwrap_or(0.0);
        let weak = self.weak(self.vdd_mv, used);
        // A cell on its own supply, from the maps of all supplies.
        let of_cell = |mv: f64, weak: &BTreeSet<u32>, cell: u64, held: Option<Bit>| {
            let bank = geometry.position(cell).unwrap().bank;
            self.supply(mv, weak.contains(&bank), held, layer)
        };
        let mut maps: BTreeMap<u64, BTreeMap<u64, CellEffect>> = BTreeMap::new();
        let mut effects: Vec<Option<CellEffect>> = (0..geometry.cells())
            .map(|cell| {
                let mv = of_cell(self.vdd_mv, &weak, cell, content(self.layout.bit(cell)));
                let map = maps.entry(mv.to_bits()).or_insert_with(|| self.at_read(data, mv));
                map.get(&cell).copied()
            })
            .collect();
        if let Some(lines) = self.mechanisms.spares {
            let inverts = |address| Fault { address, effect: CellEffect::Inverts };
            let weak = self.weak(TEST_MV, used);
            let mut maps: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
            let known: Vec<Fault> = (0..geometry.cells())
                .filter(|&cell| {
                    let held = content(self.layout.bit(cell)).filter(|_| self.lasting);
                    let mv = of_cell(TEST_MV, &weak, cell, held);
                    let map = maps.entry(mv.to_bits()).or_insert_with(|| self.at_test(data, mv));
                    map.contains(&cell)
                })
                .map(inverts)
                .collect();
            let test = |site| -> Vec<Fault> {
                self.at_test(site, base(TEST_MV)).into_iter().map(inverts).collect()
            };
            let (rows, columns) = (test(spare_rows), test(spare_columns));
            let spares = SpareFaults { rows: &rows, columns: &columns };
            let repair = Repair::allocate(geometry, lines, &known, spares);
            let read = |site| -> Vec<Fault> {
                let of = |(address, effect)| Fault { address, effect };
                self.at_read(site, base(self.vdd_mv)).into_iter().map(of).collect()
            };
            let of_data = (0..)
                .zip(&effects)
                .filter_map(|(address, effect)| Some(Fault { address, effect: (*effect)? }));
            let of_data: Vec<Fault> = of_data.collect();
            let (rows, columns) = (read(spare_rows), read(spare_columns));
            let spares = SpareFaults { rows: &rows, columns: &columns };
            effects = vec![None; effects.len()];
            for fault in repaired_faults(geometry, lines, &repair, &of_data, spares) {
                effects[usize::try_from(fault.address).unwrap()] = Some(fault.effect);
            }
        }
        let mut of_data = vec![None; effects.len()];
        for (cell, effect) in (0..).zip(effects) {
            of_data[usize::try_from(self.layout.position(cell)).unwrap()] = effect;
        }
        // A check bit hangs on the supply of its word's first bit.
        let mut of_check = Vec::new();
        if let (Some(check), Some((code, _))) = (check, self.mechanisms.code(self.code_bits)) {
            let (k, r) = (u64::from(code.data_bits()), u64::from(code.check_bits()));
            let beside = self.layout.beside(check.geometry);
            let mut maps: BTreeMap<u64, BTreeMap<u64, CellEffect>> = BTreeMap::new();
            for bit in 0..geometry.cells() / k * r {
                let held = content(self.layout.bit_at(bit / r * k));
                let cell = beside.cell(bit);
                let bank = check.geometry.position(cell).unwrap().bank;
                let mv = self.supply(self.vdd_mv, weak.contains(&bank), held, layer);
                let map = maps.entry(mv.to_bits()).or_insert_with(|| self.at_read(Some(check), mv));
                of_check.push(map.get(&cell).copied());
            }
        }
        Holding {
            data: of_data,
            check: of_check,
            code: self.mechanisms.code(self.code_bits),
            detecting: match self.mechanisms.words {
                OnRead::Detecting(masking) => Some(DetectingReads { masking }),
                OnRead::Plain | OnRead::Secded(..) | OnRead::Parity(_) => None,
            },
            applied: Applied::default(),
        }
    }
}

/// A bit, its place among those that are read, and its value as written.
type Stands = (Bit, usize, bool);

/// A memory that holds a content: what its faulty cells do, by position.
pub(crate) struct Holding {
    data: Vec<Option<CellEffect>>,
    check: Vec<Option<CellEffect>>,
    code: Option<(Box<dyn WordCode>, OnDetected)>,
    detecting: Option<DetectingReads>,
    /// Counts of all reads.
    pub(crate) applied: Applied,
}

fn through(effect: Option<CellEffect>, stored: bool) -> bool {
    match effect {
        None => stored,
        Some(CellEffect::Inverts) => !stored,
        Some(CellEffect::Holds(value)) => value,
    }
}

/// The position of the cell in which the bit at a position of the order lies.
pub(crate) fn place_of(
    storage: &Storage,
    layout: &AddressMap,
    first: &dyn Fn(u64) -> Option<(u64, u8)>,
    position: u64,
) -> Option<u64> {
    let columns = u64::from(layout.geometry().columns());
    let moved = |row: u64| storage.rows.as_ref().map_or(Some(row), |table| table.row_of(row));
    let bank = |row: u64| {
        let cell = layout.cell(layout.bit_at(row * columns));
        layout.geometry().position(cell).unwrap().bank
    };
    let rotated = match first(position) {
        None => position,
        Some((first, width)) => {
            let lane = (bank(moved(first / columns)?), first % columns);
            let mut by = 0;
            for rotation in &storage.rotations {
                if (rotation.bank, rotation.column) == lane {
                    by = u64::from(rotation.bits);
                }
            }
            first + (position - first + by) % u64::from(width)
        }
    };
    Some(moved(rotated / columns)? * columns + rotated % columns)
}

impl Holding {
    /// Lays the bits of a content in other cells, as `storage` says, going from each bit to its cell. `first` is
    /// the position of the code of a bit.
    pub(crate) fn laid(
        &mut self,
        storage: &Storage,
        content: u32,
        layout: &AddressMap,
        first: &dyn Fn(u64) -> Option<(u64, u8)>,
    ) {
        let geometry = layout.geometry();
        let columns = u64::from(geometry.columns());
        let inverted = storage.contents.get(&content).map_or(&[][..], |of| &of.inverted_rows);
        let of_data = |position: u64| {
            let cell = place_of(storage, layout, first, position)?;
            let effect = self.data[usize::try_from(cell).unwrap()]?;
            Some(match effect {
                CellEffect::Holds(value) => {
                    CellEffect::Holds(value != inverted.contains(&(cell / columns)))
                }
                CellEffect::Inverts => CellEffect::Inverts,
            })
        };
        let moved = |row: u64| storage.rows.as_ref().map_or(Some(row), |table| table.row_of(row));
        let data = (0..geometry.cells()).map(of_data).collect();
        let rows = u64::from(geometry.banks()) * u64::from(geometry.rows());
        let checks = self.check.len() as u64 / rows;
        let of_check = |bit: u64| {
            let row = moved(bit / checks)?;
            self.check[usize::try_from(row * checks + bit % checks).unwrap()]
        };
        let check = (0..self.check.len() as u64).map(of_check).collect();
        (self.data, self.check) = (data, check);
    }

    /// Reads whole words: `held` gives the bits by position with the values that were written.
    pub(crate) fn read(
        &mut self,
        positions: Range<u64>,
        held: &dyn Fn(u64) -> Option<(Bit, bool)>,
    ) -> Vec<(Bit, bool)> {
        let index = |position: u64| usize::try_from(position).unwrap();
        let stored = |position: u64| held(position).is_some_and(|(_, value)| value);
        let cell = |position: u64| through(self.data[index(position)], stored(position));
        let mut used: Vec<(u64, bool)> = Vec::new();
        if let Some((code, on_detected)) = &self.code {
            let (k, r) = (u64::from(code.data_bits()), u64::from(code.check_bits()));
            assert!(positions.start.is_multiple_of(k) && positions.end.is_multiple_of(k));
            for word in positions.start / k..positions.end / k {
                let bits = word * k..(word + 1) * k;
                let gather = |of: &dyn Fn(u64) -> bool| {
                    (0..)
                        .zip(bits.clone())
                        .fold(0_u128, |data, (bit, p)| data | u128::from(of(p)) << bit)
                };
                let encoded = code.encode(gather(&stored));
                let check = (0..r).fold(0_u16, |check, bit| {
                    let effect = self.check[index(word * r + bit)];
                    check | u16::from(through(effect, encoded >> bit & 1 == 1)) << bit
                });
                let decoded = code.decode(gather(&cell), check);
                let lost = decoded.verdict == Verdict::Detected && *on_detected == OnDetected::Zero;
                for (bit, position) in (0..).zip(bits) {
                    let value = match held(position) {
                        Some((of, _)) if lost => of.zero >> of.bit & 1 == 1,
                        Some(_) | None => decoded.data >> bit & 1 == 1,
                    };
                    used.push((position, value));
                }
            }
        } else {
            used.extend(positions.map(|position| (position, cell(position))));
        }
        if let Some(reads) = self.detecting {
            // Code by code.
            let mut codes: BTreeMap<(usize, usize), Vec<Stands>> = BTreeMap::new();
            for (place, &(position, _)) in used.iter().enumerate() {
                if let Some((bit, value)) = held(position) {
                    codes.entry((bit.tensor, bit.code)).or_default().push((bit, place, value));
                }
            }
            for bits in codes.values() {
                let (mut read, mut wrong) = (0, 0);
                for &(bit, place, value) in bits {
                    read |= u32::from(used[place].1) << bit.bit;
                    wrong |= u32::from(used[place].1 != value) << bit.bit;
                }
                let Bit { width, zero, toward_zero, .. } = bits[0].0;
                let toward_zero = match toward_zero {
                    Toward::Sign => TowardZero::SignBit,
                    Toward::NotSign => TowardZero::NotSignBit,
                    Toward::Clear => TowardZero::Clear,
                };
                let stored = Stored { codes: 1, bits: width, zeros: vec![zero], toward_zero };
                let value = reads.used(read, wrong, &stored, 0);
                for &(bit, place, _) in bits {
                    used[place].1 = value >> bit.bit & 1 == 1;
                }
            }
        }
        let mut read = Vec::new();
        for (position, value) in used {
            let Some((bit, written)) = held(position) else { continue };
            self.applied.cells_hit += u64::from(self.data[index(position)].is_some());
            self.applied.bits_flipped += u64::from(value != written);
            read.push((bit, value));
        }
        read
    }
}
