//! Rails cell by cell; spares against a memory walked cell by cell.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use vmin_accel::MemoryAt;
use vmin_sram::{CellEffect, Fault, Geometry, Position};

use crate::mechanisms::{Repair, SpareFaults, SpareLines, repaired_faults};
use crate::rails::{Rail, RailCells, RailPlace, Supplies, Supply, weakest_banks};
use crate::words::{CodeBit, Stores};

fn fault(address: u64) -> Fault {
    Fault { address, effect: CellEffect::Holds(address.is_multiple_of(2)) }
}

/// Four-bit codes from cell 0 on, ten to a tensor.
struct Codes;

impl Stores for Codes {
    fn held(&self, address: u64) -> Option<CodeBit> {
        let code = (address / 4) as usize;
        (address < 80).then_some(CodeBit {
            tensor: code / 10,
            code: code % 10,
            bit: (address % 4) as u8,
        })
    }
}

fn supplies(vdd_mv: f64, rails: &[Rail]) -> Supplies {
    let at = |mv| Ok::<_, std::convert::Infallible>(MemoryAt::new(mv, 0.0));
    let Ok(supplies) = Supplies::new(vdd_mv, rails, at);
    supplies
}

#[test]
fn a_cell_hangs_on_the_highest_of_its_rails() {
    let geometry = Geometry::new(3, 4, 10).unwrap();
    let rail = |cells, supply| Rail { cells, supply, accesses_only: false };
    let rails = [
        rail(RailCells::TopBits(1), Supply::FixedMv(20.0)),
        rail(RailCells::Layers(vec![2]), Supply::RaisedByMv(5.0)),
        rail(RailCells::WeakestBanks(0.3), Supply::FixedMv(30.0)),
        rail(RailCells::WeakestBanks(0.3), Supply::FixedMv(5.0)),
        rail(RailCells::All, Supply::RaisedByMv(0.0)),
    ];
    let places = [
        RailPlace::TopBits(1),
        RailPlace::Tensors(vec![1]),
        RailPlace::Banks(vec![2]),
        RailPlace::Banks(vec![0]),
        RailPlace::All,
    ];
    // All cells on a supply that the others exceed, equal, or stay below.
    for (raised, all_mv) in [(0.0, 10.0), (3.0, 13.0), (5.0, 15.0), (12.0, 22.0), (90.0, 100.0)] {
        for with_all in [false, true] {
            let mut rails = rails.to_vec();
            rails[4].supply = Supply::RaisedByMv(raised);
            let count = if with_all { 5 } else { 4 };
            let supplies = supplies(10.0, &rails[..count]);
            let base = if with_all { all_mv } else { 10.0 };
            assert_eq!(supplies.base().vdd_mv, base);
            let levels: BTreeMap<usize, f64> =
                supplies.levels().map(|(level, at)| (level, at.vdd_mv)).collect();
            assert!(levels.values().all(|&mv| mv >= base));
            for address in 0..120 {
                let mut expected = base;
                if address < 80 && address % 4 == 3 {
                    expected = expected.max(20.0);
                }
                if (40..80).contains(&address) {
                    expected = expected.max(15.0);
                }
                if address >= 80 {
                    expected = expected.max(30.0);
                }
                let bank = geometry.position(address).unwrap().bank;
                let held = Codes.held(address).map(|held| (held, 4));
                let level = supplies.level_of(&places[..count], bank, held);
                assert_eq!(levels[&level], expected, "cell {address}, all at {all_mv} mV");
            }
        }
    }
    let single = supplies(10.0, &[]);
    assert_eq!(single.levels().count(), 1);
    assert_eq!(single.level_of(&[], 0, None), 0);
    // A supply never lies below that of the memory.
    assert_eq!(Supply::FixedMv(5.0).at(10.0), 10.0);
    assert_eq!(Supply::RaisedByMv(-5.0).at(10.0), 10.0);
}

#[test]
fn the_weakest_banks_are_those_with_most_faults() {
    let geometry = Geometry::new(4, 1, 10).unwrap();
    let faults = [0, 10, 11, 20, 21, 30, 31, 32].map(fault);
    assert_eq!(weakest_banks(&faults, geometry, &[0, 1, 2, 3], 1), [3]);
    assert_eq!(weakest_banks(&faults, geometry, &[0, 1, 2, 3], 2), [1, 3]);
    assert_eq!(weakest_banks(&faults, geometry, &[0, 1, 2], 2), [1, 2], "unused banks stay");
    assert_eq!(weakest_banks(&faults, geometry, &[0, 2, 3], 1), [3]);
    assert_eq!(weakest_banks(&faults, geometry, &[0, 1, 2, 3], 9), [0, 1, 2, 3]);
}

fn maps(cells: u64, most: usize) -> impl Strategy<Value = Vec<Fault>> {
    proptest::collection::btree_set(0..cells, 0..most)
        .prop_map(|cells| cells.into_iter().map(fault).collect())
}

proptest! {
    #[test]
    fn repaired_maps_equal_a_walk_over_all_cells(
        faults in maps(2 * 6 * 8, 30), of_rows in maps(2 * 2 * 8, 10), of_columns in maps(2 * 6 * 3, 10),
        rows in 0_u32..3, columns in 0_u32..4,
    ) {
        let memory = Geometry::new(2, 6, 8).unwrap();
        let lines = SpareLines { rows, columns };
        let row_cells = lines.row_geometry(memory).unwrap();
        let column_cells = lines.column_geometry(memory).unwrap();
        let within = |map: Vec<Fault>, cells: Option<Geometry>| -> Vec<Fault> {
            map.into_iter().filter(|f| cells.is_some_and(|c| f.address < c.cells())).collect()
        };
        let (of_rows, of_columns) = (within(of_rows, row_cells), within(of_columns, column_cells));
        let spares = SpareFaults { rows: &of_rows, columns: &of_columns };
        let repair = Repair::allocate(memory, lines, &faults, spares);
        prop_assert!(repair.rows_used() <= 2 * rows as usize);
        prop_assert!(repair.columns_used() <= 2 * columns as usize);
        prop_assert_eq!(repair.cells_repaired + repair.cells_unrepaired, faults.len() as u64);

        // Which lines were replaced shows from outside: make every cell of the memory faulty and
        // none of the spares; what is gone lies in a replaced line.
        let all: Vec<_> = (0..memory.cells()).map(fault).collect();
        let left = repaired_faults(memory, lines, &repair, &all, SpareFaults::default());
        let left: BTreeSet<u64> = left.iter().map(|fault| fault.address).collect();
        let unrepaired = faults.iter().filter(|fault| left.contains(&fault.address)).count();
        prop_assert_eq!(repair.cells_unrepaired, unrepaired as u64);

        // No spare is left unused while a faulty cell is.
        for bank in 0..2 {
            let at = |f: &&Fault| memory.position(f.address).unwrap().bank == bank;
            if faults.iter().filter(at).any(|fault| left.contains(&fault.address)) {
                let gone: Vec<Position> = (0..memory.cells())
                    .filter(|address| !left.contains(address))
                    .map(|address| memory.position(address).unwrap())
                    .filter(|position| position.bank == bank)
                    .collect();
                let mut per_row: BTreeMap<u32, u32> = BTreeMap::new();
                let mut per_column: BTreeMap<u32, u32> = BTreeMap::new();
                for position in gone {
                    *per_row.entry(position.row).or_default() += 1;
                    *per_column.entry(position.column).or_default() += 1;
                }
                let whole_rows = per_row.values().filter(|&&count| count == 8).count() as u32;
                let whole_columns = per_column.values().filter(|&&count| count == 6).count() as u32;
                prop_assert_eq!((whole_rows, whole_columns), (rows, columns));
            }
        }

        // The map after repair: each faulty cell once, none of a repaired line but from spares.
        let after = repaired_faults(memory, lines, &repair, &faults, spares);
        let mut addresses: Vec<u64> = after.iter().map(|fault| fault.address).collect();
        addresses.sort_unstable();
        prop_assert!(addresses.windows(2).all(|pair| pair[0] < pair[1]));
        for fault in &faults {
            if left.contains(&fault.address) {
                prop_assert!(addresses.binary_search(&fault.address).is_ok());
            }
        }
        let from_spares =
            addresses.iter().filter(|address| !left.contains(address)).count();
        prop_assert!(from_spares <= of_rows.len() + of_columns.len());
    }
}

#[test]
fn a_full_column_and_a_full_row_take_one_spare_each() {
    let memory = Geometry::new(1, 8, 8).unwrap();
    let column = (0..8).map(|row| row * 8 + 3);
    let row = (0..8).map(|column| 5 * 8 + column);
    let cells: BTreeSet<u64> = column.chain(row).chain([0]).collect();
    let faults: Vec<_> = cells.into_iter().map(fault).collect();
    let lines = SpareLines { rows: 1, columns: 1 };
    let repair = Repair::allocate(memory, lines, &faults, SpareFaults::default());
    assert_eq!((repair.rows_used(), repair.columns_used()), (1, 1));
    assert_eq!((repair.cells_repaired, repair.cells_unrepaired), (15, 1));
    // The spare column fails in row 2 and, where the spare row is used instead, in row 5.
    let of_columns = [fault(2), fault(5)];
    let spares = SpareFaults { rows: &[], columns: &of_columns };
    let after = repaired_faults(memory, lines, &repair, &faults, spares);
    let addresses: BTreeSet<u64> = after.iter().map(|fault| fault.address).collect();
    assert_eq!(addresses, BTreeSet::from([0, 2 * 8 + 3]));
}

#[test]
fn the_better_of_two_spares_is_used() {
    let memory = Geometry::new(1, 4, 4).unwrap();
    let lines = SpareLines { rows: 2, columns: 0 };
    let faults = [fault(4)];
    let of_rows = [fault(1)];
    let spares = SpareFaults { rows: &of_rows, columns: &[] };
    let repair = Repair::allocate(memory, lines, &faults, spares);
    assert!(repaired_faults(memory, lines, &repair, &faults, spares).is_empty());
}
