//! The weights as bits in the cells of their memory: what is written there, and what codes that means.
//!
//! ```text
//!  code ─ order of channels ─ bit of the order ─ row table, rotation ─> position ─ layout ─> cell ─ flag of its row ─> bit
//! ```
//!
//! Writing goes from the codes to the cells ([`Storage::placed`]), reading back from the cells to the codes
//! ([`Storage::landed`]). Cells of a used row that hold no bit are written as zeros, before the row's flag.

use std::collections::BTreeMap;

use vmin_accel::placement::AddressMap;
use vmin_protection::store::{CellPlaces, Storage};
use vmin_protection::words::{Stored, Stores};
use vmin_sram::{CellEffect, Geometry};

use super::contents::{Contents, InWords, Span};

/// The cells of a memory while a content lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Number of the content: 0 for resident weights, that of the load for streamed ones.
    pub content: u32,
    /// Numbers of the tensors of which it holds codes, rising.
    pub tensors: Vec<usize>,
    /// The used rows of the memory, counted through all banks; each with its cells, eight to a byte, the first
    /// column in the least significant bit of the first byte.
    pub rows: BTreeMap<u64, Vec<u8>>,
}

/// Why cells do not tell the codes of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The number of images is another.
    #[error("it has {found} images, the placement of the network {expected}")]
    Images {
        /// Of the placement.
        expected: usize,
        /// Given.
        found: usize,
    },
    /// Other rows are in use.
    #[error("image {content} does not have the rows in which the placement stores codes")]
    Rows {
        /// The image.
        content: u32,
    },
    /// A row has another length.
    #[error("row {row} of image {content} does not have the memory's columns")]
    Columns {
        /// The image.
        content: u32,
        /// The row.
        row: u64,
    },
}

/// A faulty cell under a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultSite {
    /// Number of the content that holds the code.
    pub content: u32,
    /// Index of the weight tensor.
    pub tensor: usize,
    /// Index of the code.
    pub code: usize,
    /// Bit of the code, 0 the least significant.
    pub bit: u8,
    /// What the cell does to that bit, behind the flag of its row.
    pub effect: CellEffect,
    /// Row of the memory, counted through all banks.
    pub row: u64,
    /// Column of the cell.
    pub column: u64,
}

/// A memory with what lies there and how.
#[derive(Clone, Copy)]
pub(super) struct Laid<'a> {
    pub(super) contents: &'a Contents<'a>,
    pub(super) layout: &'a AddressMap,
    pub(super) stored: &'a [Stored],
    pub(super) cells: CellPlaces<'a>,
    pub(super) storage: &'a Storage,
}

impl Laid<'_> {
    fn geometry(&self) -> Geometry {
        self.layout.geometry()
    }

    /// Row and column of the cell at a position.
    pub(super) fn cell(&self, position: u64) -> (u64, u64) {
        let cell = self.layout.cell(self.layout.bit_at(position));
        (cell / self.cells.columns, cell % self.cells.columns)
    }

    /// The used rows with all their cells clear.
    fn clear(&self) -> BTreeMap<u64, Vec<u8>> {
        let bytes = self.geometry().columns().div_ceil(8) as usize;
        let order = self.contents.rows(self.layout);
        let table = self.storage.rows.as_ref();
        let rows = order.into_iter().filter_map(|row| table.map_or(Some(row), |it| it.row_of(row)));
        rows.map(|row| (self.cell(row * self.cells.columns).0, vec![0; bytes])).collect()
    }

    /// Inverts the cells of the rows with a flag.
    fn turn(&self, rows: &mut BTreeMap<u64, Vec<u8>>) {
        let of = self.storage.contents.get(&self.contents.number);
        for row in of.iter().flat_map(|of| &of.inverted_rows) {
            let Some(cells) = rows.get_mut(&self.cell(row * self.cells.columns).0) else {
                continue;
            };
            cells.iter_mut().for_each(|byte| *byte = !*byte);
            let beyond = self.geometry().columns() % 8;
            if let Some(last) = cells.last_mut().filter(|_| beyond > 0) {
                *last &= 0xff >> (8 - beyond);
            }
        }
    }

    /// The cells where `codes` are written.
    pub(super) fn image(&self, codes: &[Vec<u8>]) -> Image {
        let mut rows = self.clear();
        for span in &self.contents.spans {
            let Span { first_bit, tensor, codes: count, bits, .. } = *span;
            // A span's codes are those of a tensor, its bits at most 32.
            for place in 0..count as usize {
                let Some(code) = span.code(place) else { continue };
                let code = codes[tensor][self.storage.code_at(tensor, code)];
                let first = self.layout.position(self.layout.cell(first_bit + place as u64 * bits));
                for bit in (0..bits as u8).filter(|bit| code >> bit & 1 == 1) {
                    let position = self.storage.placed(self.cells, first, bit, bits as u8);
                    let Some((row, column)) = position.map(|position| self.cell(position)) else {
                        continue;
                    };
                    if let Some(cells) = rows.get_mut(&row) {
                        cells[(column / 8) as usize] |= 1 << (column % 8);
                    }
                }
            }
        }
        self.turn(&mut rows);
        let mut tensors: Vec<usize> = self.contents.spans.iter().map(|span| span.tensor).collect();
        tensors.sort_unstable();
        tensors.dedup();
        Image { content: self.contents.number, tensors, rows }
    }

    /// Sets the codes that `image` holds.
    pub(super) fn codes(&self, image: &Image, codes: &mut [Vec<u8>]) -> Result<(), ImageError> {
        let Image { content, .. } = *image;
        let clear = self.clear();
        if !clear.keys().eq(image.rows.keys()) {
            return Err(ImageError::Rows { content });
        }
        let other = clear.iter().zip(image.rows.values()).find(|(of, row)| of.1.len() != row.len());
        if let Some(((&row, _), _)) = other {
            return Err(ImageError::Columns { content, row });
        }
        let mut rows = image.rows.clone();
        self.turn(&mut rows);
        let stores = InWords { contents: self.contents, layout: self.layout };
        let ordered = self.storage.ordered(&stores);
        for (row, cells) in rows {
            for column in 0..self.cells.columns {
                let position = self.layout.position(row * self.cells.columns + column);
                let landed = self.storage.landed(&stores, self.stored, self.cells, position);
                let Some(held) = landed.and_then(|position| ordered.held(position)) else {
                    continue;
                };
                let bit = cells[(column / 8) as usize] >> (column % 8) & 1;
                let code = &mut codes[held.tensor][held.code];
                *code = *code & !(1 << held.bit) | bit << held.bit;
            }
        }
        Ok(())
    }
}
