//! Export of a measured chip's maps in the formats of [`crate::import`].
//!
//! A chip that does not fit a format is refused, so export and import give the same chip.

mod ibm;
mod list;
mod npy;

pub use ibm::ibm;
pub use list::list;
pub use npy::npy;

/// Most cells whose maps are written one by one, in 0/1 files and arrays: 2^28.
pub const DENSE_CELLS_MAX: u64 = 1 << 28;

/// An exported file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFile {
    /// Its name, with the voltage.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Why a chip does not fit a format.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// No voltages to write maps of.
    #[error("the chip has no voltage levels")]
    NoLevels,
    /// More than [`DENSE_CELLS_MAX`] cells.
    #[error("the chip has {cells} cells; maps of all cells are written of up to {DENSE_CELLS_MAX}")]
    TooLarge {
        /// Its cells.
        cells: u64,
    },
    /// Maps of zeros and ones hold no probabilities.
    #[error(
        "cell {address} errs with a probability below 1, and a map of zeros and ones cannot say so"
    )]
    Probability {
        /// Its address.
        address: u64,
    },
}

/// A voltage in volts, without trailing zeros: 530,000 microvolts are `0.53`.
fn volts(vdd_uv: u32) -> String {
    let text = format!("{}.{:06}", vdd_uv / 1_000_000, vdd_uv % 1_000_000);
    let short = text.trim_end_matches('0');
    match short.strip_suffix('.') {
        Some(whole) => format!("{whole}.0"),
        None => short.to_owned(),
    }
}

/// A voltage in millivolts, without trailing zeros.
fn millivolts(vdd_uv: u32) -> String {
    let text = format!("{}.{:03}", vdd_uv / 1000, vdd_uv % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn dense(chip: &crate::Chip) -> Result<usize, ExportError> {
    let cells = chip.geometry().cells();
    if chip.levels().is_empty() {
        return Err(ExportError::NoLevels);
    }
    match usize::try_from(cells) {
        Ok(count) if cells <= DENSE_CELLS_MAX => Ok(count),
        _ => Err(ExportError::TooLarge { cells }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voltages_are_written_exactly() {
        for (uv, v, mv) in [
            (530_000, "0.53", "530"),
            (1_000_000, "1.0", "1000"),
            (850_125, "0.850125", "850.125"),
            (1, "0.000001", "0.001"),
        ] {
            assert_eq!((volts(uv).as_str(), millivolts(uv).as_str()), (v, mv));
        }
    }
}
