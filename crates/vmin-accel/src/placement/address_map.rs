//! From the bits of a model, in memory order, to the cells of a memory and back.
//!
//! ```text
//!  bit of the model ── + offset, around the end ──> position in linear order
//!        ── rows over the banks ── columns behind multiplexers ── chosen columns ──> cell
//! ```
//!
//! Every step is a bijection of the memory's cells, so each bit has its own cell and no step loses one.
//!
//! *Rows over the banks*: row `r` of the linear order lies in bank `r mod banks`, as in memories that
//! serve several words at once. *Columns behind multiplexers*: of a row with `x` words, bit `i` of word
//! `k` lies in column `i * x + k`, as in most SRAMs, where the sense amplifier of a bit serves `x` columns:
//!
//! ```text
//!  linear           w0: b0 b1 b2 b3 | w1: b0 b1 b2 b3
//!  multiplexed      b0 b0 b1 b1 b2 b2 b3 b3              (of w0 w1 w0 w1 ...)
//! ```

use vmin_sram::{FaultyCell, Geometry, Position};

/// How rows and columns of the linear order are laid out in the banks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Interleaving {
    /// Neighbouring rows lie in different banks.
    pub rows: bool,
    /// Neighbouring columns belong to different words.
    pub columns: bool,
}

/// Why a memory cannot be laid out so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressMapError {
    /// Rows are no whole number of words.
    #[error("words of {word_bits} bits do not divide rows of {columns} columns")]
    Words {
        /// Bits per word.
        word_bits: u64,
        /// Columns of the memory.
        columns: u32,
    },
    /// Columns cannot be given to bits of codes.
    #[error(
        "bits can only be given columns where all codes have the same width and it divides the row; \
         here codes have {bits} bits and rows {columns} columns"
    )]
    Codes {
        /// Bits per code.
        bits: u8,
        /// Columns of the memory.
        columns: u32,
    },
}

/// A bijection between the bits of a memory in linear order and its cells.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AddressMap {
    geometry: Geometry,
    words_per_row: u64,
    interleaving: Interleaving,
    offset_bits: u64,
    /// Per bank, the column of the layout that each physical column serves; empty if its own.
    serves: Vec<Vec<u32>>,
}

impl AddressMap {
    /// The map of a memory with words of `word_bits`; bit 0 lies `offset_bits` behind the first cell, and
    /// what reaches beyond the last cell begins again at the first.
    ///
    /// # Errors
    /// `word_bits` is zero or does not divide the columns, where columns are interleaved.
    pub fn new(
        geometry: Geometry,
        word_bits: u64,
        interleaving: Interleaving,
        offset_bits: u64,
    ) -> Result<Self, AddressMapError> {
        let columns = u64::from(geometry.columns());
        let fits = word_bits > 0 && columns.is_multiple_of(word_bits);
        if interleaving.columns && !fits {
            return Err(AddressMapError::Words { word_bits, columns: geometry.columns() });
        }
        Ok(Self {
            geometry,
            words_per_row: if fits { columns / word_bits } else { 1 },
            interleaving,
            offset_bits: offset_bits % geometry.cells(),
            serves: Vec::new(),
        })
    }

    /// Every bit in the cell of its own number.
    #[must_use]
    pub fn linear(geometry: Geometry) -> Self {
        let interleaving = Interleaving { rows: false, columns: false };
        Self { geometry, words_per_row: 1, interleaving, offset_bits: 0, serves: Vec::new() }
    }

    /// The same map from the first cell on.
    #[must_use]
    pub fn without_offset(&self) -> Self {
        Self { offset_bits: 0, ..self.clone() }
    }

    /// The memory.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The same map with columns chosen from a chip's own faults: in every bank the columns with the most
    /// faulty cells serve the least significant bits of codes of `bits` bits. Columns with equally many
    /// stay in order.
    ///
    /// # Errors
    /// `bits` is zero or does not divide the columns.
    pub fn with_reliable_columns(
        mut self,
        bits: u8,
        faults: &[FaultyCell],
    ) -> Result<Self, AddressMapError> {
        let geometry = self.geometry;
        let columns = geometry.columns();
        if bits == 0 || !columns.is_multiple_of(u32::from(bits)) {
            return Err(AddressMapError::Codes { bits, columns });
        }
        self.serves = Vec::new();
        let mut counts = vec![vec![0_u32; columns as usize]; geometry.banks() as usize];
        for fault in faults {
            if let Some(Position { bank, column, .. }) = geometry.position(fault.address) {
                counts[bank as usize][column as usize] += 1;
            }
        }
        let serves = counts
            .iter()
            .enumerate()
            .map(|(bank, counts)| {
                // The first row tells which bit of a code a column of the layout holds: codes divide rows.
                let first = bank as u64 * geometry.cells_per_bank();
                let significance =
                    |column: u32| self.bit(first + u64::from(column)) % u64::from(bits);
                let mut by_significance: Vec<u32> = (0..columns).collect();
                by_significance.sort_by_key(|&column| significance(column));
                let mut by_faults: Vec<u32> = (0..columns).collect();
                by_faults.sort_by_key(|&column| core::cmp::Reverse(counts[column as usize]));
                let mut serves = vec![0; columns as usize];
                for (physical, served) in by_faults.into_iter().zip(by_significance) {
                    serves[physical as usize] = served;
                }
                serves
            })
            .collect();
        self.serves = serves;
        Ok(self)
    }

    /// True if every bit lies in the cell of its own number.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.offset_bits == 0
            && self.serves.is_empty()
            && (!self.interleaving.columns || self.words_per_row == 1)
            && (!self.interleaving.rows || self.geometry.banks() == 1)
    }

    /// The bit that a cell holds. Addresses beyond the memory stay as they are.
    #[must_use]
    pub fn bit(&self, cell: u64) -> u64 {
        self.bit_at(self.position(cell))
    }

    /// The bit at a position in linear order, which words are counted in. Positions beyond the memory stay
    /// as they are.
    #[must_use]
    pub fn bit_at(&self, position: u64) -> u64 {
        let cells = self.geometry.cells();
        if position >= cells {
            return position;
        }
        (position + cells - self.offset_bits) % cells
    }

    /// The position of a cell in linear order. Addresses beyond the memory stay as they are.
    #[must_use]
    pub fn position(&self, cell: u64) -> u64 {
        let Some(Position { bank, row, column }) = self.geometry.position(cell) else {
            return cell;
        };
        let column = match self.serves.get(bank as usize) {
            Some(serves) => serves[column as usize],
            None => column,
        };
        let column = u64::from(column);
        let column = if self.interleaving.columns {
            let word_bits = u64::from(self.geometry.columns()) / self.words_per_row;
            column % self.words_per_row * word_bits + column / self.words_per_row
        } else {
            column
        };
        let (bank, row) = (u64::from(bank), u64::from(row));
        let row = if self.interleaving.rows {
            row * u64::from(self.geometry.banks()) + bank
        } else {
            bank * u64::from(self.geometry.rows()) + row
        };
        row * u64::from(self.geometry.columns()) + column
    }

    /// The map of a memory beside this one, of as many banks and rows: rows go the same way, columns
    /// stay where they are.
    #[must_use]
    pub fn beside(&self, geometry: Geometry) -> Self {
        Self {
            geometry,
            words_per_row: 1,
            interleaving: Interleaving { columns: false, ..self.interleaving },
            offset_bits: 0,
            serves: Vec::new(),
        }
    }

    /// The cell that holds a bit. Numbers beyond the memory stay as they are.
    #[must_use]
    pub fn cell(&self, bit: u64) -> u64 {
        let cells = self.geometry.cells();
        if bit >= cells {
            return bit;
        }
        let position = (bit + self.offset_bits) % cells;
        let columns = u64::from(self.geometry.columns());
        let (row, column) = (position / columns, position % columns);
        let column = if self.interleaving.columns {
            let word_bits = columns / self.words_per_row;
            column % word_bits * self.words_per_row + column / word_bits
        } else {
            column
        };
        let (banks, rows) = (u64::from(self.geometry.banks()), u64::from(self.geometry.rows()));
        let (bank, row) = if self.interleaving.rows {
            (row % banks, row / banks)
        } else {
            (row / rows, row % rows)
        };
        // Below `banks`.
        let column = match self.serves.get(bank as usize) {
            Some(serves) => serves
                .iter()
                .position(|&served| u64::from(served) == column)
                .map_or(column, |physical| physical as u64),
            None => column,
        };
        (bank * rows + row) * columns + column
    }

    /// A fault map with the addresses of the bits that its cells hold, in the same order.
    #[must_use]
    pub fn faulty_bits(&self, faults: &[FaultyCell]) -> Vec<FaultyCell> {
        faults
            .iter()
            .map(|fault| FaultyCell { address: self.bit(fault.address), ..*fault })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmin_sram::Score;

    fn maps() -> Vec<AddressMap> {
        let mut maps = Vec::new();
        for (banks, rows, columns) in [(1, 1, 8), (2, 3, 8), (3, 4, 12), (5, 2, 24)] {
            let geometry = Geometry::new(banks, rows, columns).unwrap();
            for word_bits in [4, u64::from(columns)] {
                for interleaving in [(false, false), (true, false), (false, true), (true, true)] {
                    let interleaving =
                        Interleaving { rows: interleaving.0, columns: interleaving.1 };
                    for offset in [0, 1, 8, 29, 1000] {
                        let map = AddressMap::new(geometry, word_bits, interleaving, offset);
                        maps.push(map.unwrap());
                    }
                }
            }
        }
        maps
    }

    fn fault(address: u64) -> FaultyCell {
        FaultyCell { address, score: Score(0), preferred: false }
    }

    #[test]
    fn every_bit_has_its_own_cell_and_the_way_back_is_the_way_there() {
        for plain in maps() {
            let cells = plain.geometry.cells();
            let faults: Vec<_> = (0..cells).filter(|cell| cell * 7 % 5 == 1).map(fault).collect();
            let chosen = plain.clone().with_reliable_columns(4, &faults).unwrap();
            for map in [plain, chosen] {
                let mut owners = vec![0; usize::try_from(cells).unwrap()];
                for bit in 0..cells {
                    let cell = map.cell(bit);
                    owners[usize::try_from(cell).unwrap()] += 1;
                    assert_eq!(map.bit(cell), bit, "{map:?}");
                    assert_eq!(map.bit_at(map.position(cell)), bit, "{map:?}");
                }
                assert!(owners.iter().all(|&count| count == 1), "{map:?}");
                assert_eq!(
                    map.is_identity(),
                    (0..cells).all(|bit| map.cell(bit) == bit),
                    "{map:?}"
                );
                assert_eq!((map.cell(cells), map.bit(cells + 3)), (cells, cells + 3));
            }
        }
    }

    #[test]
    fn a_memory_beside_has_its_rows_in_the_same_banks() {
        let check = Geometry::new(2, 3, 2).unwrap();
        let geometry = Geometry::new(2, 3, 8).unwrap();
        let interleaving = Interleaving { rows: true, columns: true };
        let map = AddressMap::new(geometry, 4, interleaving, 5).unwrap();
        let beside = map.beside(check);
        for cell in 0..geometry.cells() {
            let row = map.position(cell) / 8;
            let of_check = beside.cell(row * 2);
            let bank = |geometry: Geometry, cell| geometry.position(cell).unwrap().bank;
            assert_eq!(bank(geometry, cell), bank(check, of_check));
        }
    }

    #[test]
    fn words_behind_a_multiplexer_share_no_neighbouring_columns() {
        let geometry = Geometry::new(1, 1, 8).unwrap();
        let map =
            AddressMap::new(geometry, 4, Interleaving { columns: true, rows: false }, 0).unwrap();
        let cells: Vec<u64> = (0..8).map(|bit| map.cell(bit)).collect();
        assert_eq!(cells, [0, 2, 4, 6, 1, 3, 5, 7]);
    }

    #[test]
    fn neighbouring_rows_lie_in_different_banks() {
        let geometry = Geometry::new(2, 3, 4).unwrap();
        let map =
            AddressMap::new(geometry, 4, Interleaving { rows: true, columns: false }, 0).unwrap();
        let banks: Vec<u32> =
            (0..6).map(|row| geometry.position(map.cell(row * 4)).unwrap().bank).collect();
        assert_eq!(banks, [0, 1, 0, 1, 0, 1]);
    }

    #[test]
    fn the_worst_columns_serve_the_least_significant_bits() {
        let geometry = Geometry::new(2, 16, 16).unwrap();
        for interleaving in [Interleaving::default(), Interleaving { rows: true, columns: true }] {
            // In bank 0 columns 3 and 7 (most significant bits as stored) are bad, in bank 1 column 0.
            let faults: Vec<FaultyCell> = (0..16)
                .flat_map(|row| [row * 16 + 3, row * 16 + 7, 256 + row * 16])
                .map(fault)
                .collect();
            let map = AddressMap::new(geometry, 8, interleaving, 0)
                .unwrap()
                .with_reliable_columns(4, &faults)
                .unwrap();
            for bit in map.faulty_bits(&faults) {
                assert_eq!(bit.address % 4, 0, "{interleaving:?}");
            }
        }
    }

    #[test]
    fn what_does_not_divide_is_refused() {
        let geometry = Geometry::new(1, 4, 10).unwrap();
        let columns = Interleaving { columns: true, rows: false };
        assert!(matches!(
            AddressMap::new(geometry, 4, columns, 0),
            Err(AddressMapError::Words { .. })
        ));
        let map = AddressMap::new(geometry, 0, Interleaving::default(), 0).unwrap();
        assert!(map.clone().with_reliable_columns(3, &[]).is_err());
        assert!(map.clone().with_reliable_columns(0, &[]).is_err());
        assert!(map.with_reliable_columns(5, &[]).is_ok());
    }
}
