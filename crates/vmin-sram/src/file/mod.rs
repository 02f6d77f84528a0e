//! The project's own chip file: everything a [`Chip`](crate::Chip) holds, in about five bytes per
//! faulty cell, checksummed. `README.md` beside this file describes it byte for byte.
//!
//! A chip has exactly one file and a file at most one chip, so equal files mean equal chips. A reader
//! refuses versions and flags it does not know. Whatever changes the meaning of a byte changes the
//! version: 1 holds chips without [measured maps](crate::MeasuredMaps), 2 those with them.

mod maps;
mod read;
mod write;

pub use read::read;
pub use write::write;

use crate::chip::ChipError;
use crate::geometry::GeometryError;
use crate::population::PopulationError;

const MAGIC: [u8; 8] = *b"VMINCHIP";
/// Newest version of the format: that of chips with measured maps. Both it and
/// [`VERSION_WITHOUT_MAPS`] are read and written.
pub const VERSION: u16 = 2;
/// Version of the format of chips without measured maps.
pub const VERSION_WITHOUT_MAPS: u16 = 1;
const FLAG_MEASURED: u16 = 1;
/// Of sampled chips: cells hold their preferred value, else they invert their bit.
const FLAG_STUCK_AT: u16 = 2;

/// Limits of the loader, checked before it reserves memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChipFileLimits {
    /// Most faulty cells.
    pub faulty_cells_max: u64,
    /// Most voltage levels.
    pub levels_max: u64,
    /// Longest text in bytes.
    pub text_bytes_max: u64,
}

impl Default for ChipFileLimits {
    /// 2^28 faulty cells (what a sampled chip may hold), 65,536 levels, 1 MiB of text.
    fn default() -> Self {
        Self {
            faulty_cells_max: crate::sample::STORED_CELLS_MAX,
            levels_max: 1 << 16,
            text_bytes_max: 1 << 20,
        }
    }
}

/// An error in a chip file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChipFileError {
    /// Other first bytes.
    #[error("not a chip file: it does not begin with \"VMINCHIP\"")]
    Magic,
    /// An unknown version.
    #[error("version {found} of the chip file is not known, only 1 to {VERSION}")]
    Version {
        /// The value in the file.
        found: u16,
    },
    /// Flags without a meaning in this version.
    #[error("the chip file's flags {found:#06x} are not known")]
    Flags {
        /// The value in the file.
        found: u16,
    },
    /// The bytes end early.
    #[error("the chip file ends early, at byte {offset}")]
    Truncated {
        /// End of the bytes.
        offset: usize,
    },
    /// The checksum does not agree.
    #[error(
        "the chip file is damaged: its checksum is {computed:#010x}, the stored one {stored:#010x}"
    )]
    Checksum {
        /// The value in the file.
        stored: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
    /// A count above the reader's limit.
    #[error("the chip file has {value} {what}, more than the limit of {max}")]
    Limit {
        /// The counted things.
        what: &'static str,
        /// Their number.
        value: u64,
        /// The limit.
        max: u64,
    },
    /// A number that is too long or too large.
    #[error("the chip file has a number out of range at byte {offset}")]
    Number {
        /// Where it begins.
        offset: usize,
    },
    /// A text that is not UTF-8.
    #[error("the chip file has a text at byte {offset} that is not UTF-8")]
    Text {
        /// Where it begins.
        offset: usize,
    },
    /// Cells out of order.
    #[error("cell {index} of the chip file is out of order")]
    Order {
        /// Index of the cell.
        index: u64,
    },
    /// More bytes than the contents explain.
    #[error("{bytes} bytes follow the contents of the chip file")]
    Trailing {
        /// Their number.
        bytes: usize,
    },
    /// An impossible memory.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// An impossible population.
    #[error(transparent)]
    Population(#[from] PopulationError),
    /// Cells or levels that contradict the rest.
    #[error(transparent)]
    Chip(#[from] ChipError),
}
