//! A small map over a large memory.
//!
//! Measured maps are often smaller than the network that shall lie in them. The papers lay the network
//! linearly over the map and begin again at its end, from several offsets (Stutz et al., MLSys 2021,
//! profiled chips). So the memory's cell `a` behaves as the map's cell `(a + offset) mod cells`.

use crate::chip::FaultyCell;
use crate::reading::CellErrors;
use crate::sample::STORED_CELLS_MAX;

/// A tiled map would have more than 2^28 faulty cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{faults} faulty cells of a map of {map_cells} are too many for a memory of {cells} cells")]
pub struct TooManyFaults {
    /// Faults of the map.
    pub faults: u64,
    /// Cells of the map.
    pub map_cells: u64,
    /// Cells of the memory.
    pub cells: u64,
}

/// The faults of a memory of `cells` cells that lies over a map of `map_cells`, in the order of a
/// chip's cells. Faults beyond the map are ignored.
///
/// # Errors
/// More than 2^28 cells would be faulty.
pub fn tile(
    faults: &[FaultyCell],
    map_cells: u64,
    cells: u64,
    offset: u64,
) -> Result<Vec<FaultyCell>, TooManyFaults> {
    let place = |fault: &FaultyCell, address| FaultyCell { address, ..*fault };
    let mut tiled = tile_by(faults, |fault| fault.address, place, map_cells, cells, offset)?;
    tiled.sort_unstable_by_key(FaultyCell::order);
    Ok(tiled)
}

/// As [`tile`], for cells with their error rates; by address.
///
/// # Errors
/// More than 2^28 cells would be faulty.
pub fn tile_errors(
    errors: &[CellErrors],
    map_cells: u64,
    cells: u64,
    offset: u64,
) -> Result<Vec<CellErrors>, TooManyFaults> {
    let place = |error: &CellErrors, address| CellErrors {
        cell: FaultyCell { address, ..error.cell },
        ..*error
    };
    let mut tiled = tile_by(errors, |error| error.cell.address, place, map_cells, cells, offset)?;
    tiled.sort_unstable_by_key(|error| error.cell.address);
    Ok(tiled)
}

fn tile_by<T>(
    faults: &[T],
    address: impl Fn(&T) -> u64,
    place: impl Fn(&T, u64) -> T,
    map_cells: u64,
    cells: u64,
    offset: u64,
) -> Result<Vec<T>, TooManyFaults> {
    if map_cells == 0 {
        return Ok(Vec::new());
    }
    let copies = cells.div_ceil(map_cells);
    let count = faults.len() as u64;
    if count.checked_mul(copies).is_none_or(|all| all > STORED_CELLS_MAX) {
        return Err(TooManyFaults { faults: count, map_cells, cells });
    }
    let offset = offset % map_cells;
    let mut tiled = Vec::new();
    for fault in faults.iter().filter(|fault| address(fault) < map_cells) {
        let mut here = (address(fault) + map_cells - offset) % map_cells;
        while here < cells {
            tiled.push(place(fault, here));
            here += map_cells;
        }
    }
    Ok(tiled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured_maps::ErrorRates;
    use crate::score::Score;

    #[test]
    fn every_cell_behaves_as_the_one_it_lies_over() {
        let faults = [1, 4, 5].map(|address| FaultyCell {
            address,
            score: Score(-i32::try_from(address).unwrap()),
            preferred: address == 4,
        });
        for cells in 0..30 {
            for offset in 0..20 {
                let tiled = tile(&faults, 7, cells, offset).unwrap();
                assert!(tiled.is_sorted_by_key(FaultyCell::order));
                for address in 0..cells {
                    let under = faults.iter().find(|f| f.address == (address + offset) % 7);
                    let here = tiled.iter().find(|f| f.address == address);
                    let same = |f: &FaultyCell| (f.score, f.preferred);
                    assert_eq!(here.map(same), under.map(same), "{cells} {offset} {address}");
                }
                assert!(tiled.iter().all(|fault| fault.address < cells));
                let errors = faults.map(|cell| CellErrors {
                    cell,
                    rates: ErrorRates::flip(1.0 / cell.address as f32),
                });
                let with_rates = tile_errors(&errors, 7, cells, offset).unwrap();
                assert!(with_rates.is_sorted_by_key(|error| error.cell.address));
                assert_eq!(with_rates.len(), tiled.len());
                for error in with_rates {
                    assert!(tiled.contains(&error.cell));
                    let source = (error.cell.address + offset) % 7;
                    assert_eq!(error.rates, ErrorRates::flip(1.0 / source as f32));
                }
            }
        }
        assert!(tile(&faults, 7, 1 << 35, 0).is_err());
        assert_eq!(tile(&faults, 0, 5, 0), Ok(Vec::new()));
    }
}
