//! Pairs of comma-separated 0/1 files, the banks' rows one after another.

use super::{ExportError, ExportFile, dense, volts};
use crate::chip::Chip;

/// A pair of files per voltage. The files do not mark banks: an import needs the rows of a bank.
///
/// # Errors
/// The chip has no levels, is too large, or errs with probabilities below 1.
pub fn ibm(
    chip: &Chip,
    mut write: impl FnMut(ExportFile) -> std::io::Result<()>,
) -> Result<std::io::Result<()>, ExportError> {
    let cells = dense(chip)?;
    for level in 0..chip.levels().len() {
        for (cell, rates) in chip.errors_at(level).into_iter().flatten() {
            if [rates.p01, rates.p10].iter().any(|&p| p > 0.0 && p < 1.0) {
                return Err(ExportError::Probability { address: cell.address });
            }
        }
    }
    let columns = chip.geometry().columns() as usize;
    for (index, level) in chip.levels().iter().enumerate() {
        for stuck_at_1 in [false, true] {
            let mut bytes = b"0,".repeat(cells);
            for end in bytes.chunks_exact_mut(2 * columns) {
                end[2 * columns - 1] = b'\n';
            }
            for (cell, rates) in chip.errors_at(index).into_iter().flatten() {
                if if stuck_at_1 { rates.p01 } else { rates.p10 } > 0.0 {
                    // Addresses lie below `cells`.
                    bytes[2 * cell.address as usize] = b'1';
                }
            }
            let kind = u8::from(stuck_at_1);
            let name = format!("fmap_sa{kind}_v_{}.txt", volts(level.vdd_uv));
            if let Err(error) = write(ExportFile { name, bytes }) {
                return Ok(Err(error));
            }
        }
    }
    Ok(Ok(()))
}
