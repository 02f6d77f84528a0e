//! SRAM geometry, populations of chips, fault maps.
//!
//! A chip is the list of its weak cells, weakest first. Each has a fixed critical voltage, here a
//! standardised [`Score`]; a supply voltage becomes a [`Threshold`] through its cell-fault rate; the
//! cells at or above the threshold are the fault map, a prefix of the list. So maps nest: what fails at
//! a voltage fails at every lower one.
//!
//! ```text
//! Population --+
//! ChipKey -----+--> Chip::sample --> Chip --faults(threshold)--> [FaultyCell] --apply--> codes
//! Geometry ----+                      ^
//! measured maps, chip files ----------+
//! ```
//!
//! Sampled chips know cell-fault rates only; a voltage profile turns a voltage into a rate. Measured
//! chips and fits have voltages, in microvolts. [`apply()`] corrupts the codes of any
//! network; graphs, placements and protection belong to other crates.
//!
//! `cargo run -p vmin-sram --example sample_chip` samples a chip and counts its faults.
//!
//! ```
//! use vmin_sram::{
//!     Chip, ChipKey, FaultKind, Geometry, Population, Threshold, VarianceShares, apply,
//! };
//!
//! let population = Population::new("independent", VarianceShares::INDEPENDENT, 0.5)?;
//! let geometry = Geometry::new(4, 256, 128)?;
//! let key = ChipKey { seed: 1, chip: 0, memory: 0 };
//! let chip = Chip::sample(&population, key, geometry, Threshold::from_rate(0.05)?)?;
//!
//! let mut codes = vec![0x80_u8; 16_384];
//! let faults = chip.faults(Threshold::from_rate(0.01)?)?;
//! let applied = apply(faults, FaultKind::Flip, &mut codes, 8, 0)?;
//! assert_eq!(applied.cells_hit, faults.len() as u64);
//! assert_eq!(applied.bits_flipped, applied.cells_hit);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod apply;
mod bit_set;
mod chip;
pub mod export;
pub mod file;
pub mod fit;
mod geometry;
pub mod import;
mod key;
mod measured_maps;
pub mod normal;
mod population;
mod reading;
mod sample;
mod score;
mod statistics;
mod tile;

pub use apply::{Applied, ApplyError, CellEffect, CodeTensor, Fault, FaultKind, apply, apply_all};
pub use chip::{BelowFloor, Chip, ChipError, FaultyCell, Origin, VddLevel};
pub use geometry::{CELLS_MAX, Geometry, GeometryError, Position};
pub use key::ChipKey;
pub use measured_maps::{CellKind, ErrorRates, MEASURED_LEVELS_MAX, MeasuredMaps, Run};
pub use population::{CELL_SHARE_MIN, NAME_BYTES_MAX, Population, PopulationError, VarianceShares};
pub use reading::{CellErrors, DrawnFaults, draw_faults, flip_at_random, random_bits};
pub use sample::{SAMPLED_BANK_CELLS_MAX, SAMPLED_BANKS_MAX, STORED_CELLS_MAX, SampleError};
pub use score::{RateError, Score, Threshold, UNITS_PER_SIGMA};
pub use statistics::{CROWDED_COLUMN, FaultStatistics, nesting_violations};
pub use tile::{TooManyFaults, tile, tile_errors};
