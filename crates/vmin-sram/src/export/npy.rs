//! Arrays of numpy with the error probabilities of every cell, `[banks, rows, columns]`, single precision.

use npyz::WriterBuilder;

use super::{ExportError, ExportFile, dense, volts};
use crate::chip::Chip;

/// Two files per voltage, `p01_<V>V.npy` and `p10_<V>V.npy`.
///
/// # Errors
/// The chip has no levels or is too large. The inner error is that of `write`.
pub fn npy(
    chip: &Chip,
    mut write: impl FnMut(ExportFile) -> std::io::Result<()>,
) -> Result<std::io::Result<()>, ExportError> {
    let cells = dense(chip)?;
    for (index, level) in chip.levels().iter().enumerate() {
        for direction in ["p01", "p10"] {
            let mut values = vec![0.0_f32; cells];
            for (cell, rates) in chip.errors_at(index).into_iter().flatten() {
                let rate = if direction == "p01" { rates.p01 } else { rates.p10 };
                // Addresses lie below `cells`.
                values[cell.address as usize] = rate;
            }
            let name = format!("{direction}_{}V.npy", volts(level.vdd_uv));
            let written = array(chip, &values).and_then(|bytes| write(ExportFile { name, bytes }));
            if let Err(error) = written {
                return Ok(Err(error));
            }
        }
    }
    Ok(Ok(()))
}

fn array(chip: &Chip, values: &[f32]) -> std::io::Result<Vec<u8>> {
    let geometry = chip.geometry();
    let shape = [geometry.banks(), geometry.rows(), geometry.columns()].map(u64::from);
    let mut bytes = Vec::with_capacity(128 + 4 * values.len());
    let mut writer =
        npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()?;
    Ok(bytes)
}
