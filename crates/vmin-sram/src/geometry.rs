//! Positions of bits: banks of rows and columns, and the linear address over them.
//!
//! ```text
//! address = (bank * rows + row) * columns + column
//!
//!            column 0 .. columns-1
//! bank 0   row 0   | 0        1 ...  columns-1
//!          row 1   | columns  ...
//!          ...
//! bank 1   row 0   | rows * columns ...
//! ```
//!
//! A *column* is the physical column of one bank: the cells that share a bit line and a sense
//! amplifier. Its *upper half* are the rows below `rows / 2` (rounded up), its *lower half* the rest.

/// Most cells a memory may have, 2^35 (4 GiB): an address and a preferred value fit in 36 bits, which
/// the sampler's sort keys rely on.
pub const CELLS_MAX: u64 = 1 << 35;

/// Why a geometry or a position in it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// A dimension is zero.
    #[error("a memory needs at least one bank, row and column, not {banks} x {rows} x {columns}")]
    Empty {
        /// Banks asked for.
        banks: u32,
        /// Rows per bank asked for.
        rows: u32,
        /// Columns per bank asked for.
        columns: u32,
    },
    /// More than [`CELLS_MAX`] cells.
    #[error("{banks} banks of {rows} x {columns} cells are more than 2^35 cells")]
    TooLarge {
        /// Banks asked for.
        banks: u32,
        /// Rows per bank asked for.
        rows: u32,
        /// Columns per bank asked for.
        columns: u32,
    },
}

/// One cell's place: bank, row, column, all counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Bank.
    pub bank: u32,
    /// Row within the bank (word line).
    pub row: u32,
    /// Column within the bank (bit line).
    pub column: u32,
}

/// The shape of one memory: `banks` equal arrays of `rows` x `columns` cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Geometry {
    banks: u32,
    rows: u32,
    columns: u32,
}

impl Geometry {
    /// A geometry of `banks` banks, each `rows` x `columns` cells.
    ///
    /// # Errors
    /// A dimension is zero, or the product exceeds [`CELLS_MAX`].
    pub fn new(banks: u32, rows: u32, columns: u32) -> Result<Self, GeometryError> {
        if banks == 0 || rows == 0 || columns == 0 {
            return Err(GeometryError::Empty { banks, rows, columns });
        }
        // Two u32 factors always fit in u64; the third may not.
        let cells = (u64::from(rows) * u64::from(columns)).checked_mul(u64::from(banks));
        match cells {
            Some(cells) if cells <= CELLS_MAX => Ok(Self { banks, rows, columns }),
            _ => Err(GeometryError::TooLarge { banks, rows, columns }),
        }
    }

    /// Number of banks, at least 1.
    #[must_use]
    pub const fn banks(self) -> u32 {
        self.banks
    }

    /// Rows of each bank, at least 1.
    #[must_use]
    pub const fn rows(self) -> u32 {
        self.rows
    }

    /// Columns of each bank, at least 1.
    #[must_use]
    pub const fn columns(self) -> u32 {
        self.columns
    }

    /// Cells (bits) of one bank.
    #[must_use]
    pub fn cells_per_bank(self) -> u64 {
        u64::from(self.rows) * u64::from(self.columns)
    }

    /// Cells (bits) of the memory, at most [`CELLS_MAX`].
    #[must_use]
    pub fn cells(self) -> u64 {
        u64::from(self.banks) * self.cells_per_bank()
    }

    /// The linear bit address of a position, or `None` outside the memory.
    #[must_use]
    pub fn address(self, position: Position) -> Option<u64> {
        let Position { bank, row, column } = position;
        let inside = bank < self.banks && row < self.rows && column < self.columns;
        inside.then(|| {
            (u64::from(bank) * u64::from(self.rows) + u64::from(row)) * u64::from(self.columns)
                + u64::from(column)
        })
    }

    /// The position of a linear bit address, or `None` outside the memory.
    #[must_use]
    pub fn position(self, address: u64) -> Option<Position> {
        if address >= self.cells() {
            return None;
        }
        let columns = u64::from(self.columns);
        let (line, column) = (address / columns, address % columns);
        let (bank, row) = (line / u64::from(self.rows), line % u64::from(self.rows));
        Some(Position { bank: small(bank), row: small(row), column: small(column) })
    }

    /// First row of the lower half: rows below it are the upper half.
    #[must_use]
    pub const fn rows_upper_half(self) -> u32 {
        self.rows.div_ceil(2)
    }
}

/// A quotient or remainder by a u32 dimension of an address inside the memory.
fn small(value: u64) -> u32 {
    u32::try_from(value).expect("an address inside the memory has u32 coordinates")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_a_small_memory_goes_there_and_back() {
        let geometry = Geometry::new(3, 5, 7).unwrap();
        let mut expected = 0;
        for bank in 0..3 {
            for row in 0..5 {
                for column in 0..7 {
                    let position = Position { bank, row, column };
                    assert_eq!(geometry.address(position), Some(expected));
                    assert_eq!(geometry.position(expected), Some(position));
                    expected += 1;
                }
            }
        }
        assert_eq!(geometry.cells(), expected);
        assert_eq!(geometry.position(expected), None);
        for (bank, row, column) in [(3, 0, 0), (0, 5, 0), (0, 0, 7)] {
            assert_eq!(geometry.address(Position { bank, row, column }), None);
        }
    }

    #[test]
    fn empty_and_oversized_memories_are_refused() {
        assert!(matches!(Geometry::new(0, 1, 1), Err(GeometryError::Empty { .. })));
        assert!(matches!(Geometry::new(1, 0, 1), Err(GeometryError::Empty { .. })));
        assert!(matches!(Geometry::new(1, 1, 0), Err(GeometryError::Empty { .. })));
        assert!(Geometry::new(1 << 11, 1 << 12, 1 << 12).is_ok());
        assert!(matches!(
            Geometry::new((1 << 11) + 1, 1 << 12, 1 << 12),
            Err(GeometryError::TooLarge { .. })
        ));
        assert!(matches!(
            Geometry::new(u32::MAX, u32::MAX, u32::MAX),
            Err(GeometryError::TooLarge { .. })
        ));
    }
}
