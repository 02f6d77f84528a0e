//! Pictures of the first chip of a sweep for its report.

use std::fmt::Write;

use vmin_sram::fit::{FitOptions, fit};
use vmin_sram::{Chip, FaultyCell};

use crate::chip;
use crate::html::figure;

/// Simulated chips behind the band of the curve.
const REPLICATES: u32 = 40;

/// Pictures of the chip at its lowest voltage, and its fault rate over all voltages.
pub(crate) fn section(page: &mut String, chip: &Chip) {
    let Some((level, faults)) = lowest(chip) else { return };
    let vdd_mv = f64::from(level) / 1000.0;
    let geometry = chip.geometry();
    let _ = write!(
        page,
        "<h2>The first chip's weight memory</h2>\n<p>Its faulty cells at {vdd_mv} mV, the lowest voltage at \
         which they can be drawn; <code>first-chip.chip</code> holds them for \
         <code>vmin chip inspect|draw</code>.</p>\n<div class=\"chip\">\n"
    );
    let title = format!("{vdd_mv} mV");
    let pictures = [
        chip::map(&title, geometry, &faults),
        chip::columns(&title, geometry, &faults),
        chip::banks(&title, geometry, &faults),
    ];
    // A chip of a single voltage, or without a fault, has no curve.
    let options = FitOptions { replicates: REPLICATES, ..FitOptions::default() };
    let curve = fit(std::slice::from_ref(chip), &options).ok().map(|fit| chip::probit(&fit));
    for picture in pictures.into_iter().chain(curve) {
        figure(page, true, &picture);
    }
    page.push_str("</div>\n");
}

/// The lowest voltage of a chip, in uV, and its faulty cells there; none if it has no voltages.
fn lowest(chip: &Chip) -> Option<(u32, Vec<FaultyCell>)> {
    let level = chip.levels().last()?;
    let faults = chip
        .measured_faults(chip.levels().len() - 1)
        .or_else(|| chip.faults(level.threshold).ok().map(<[FaultyCell]>::to_vec))?;
    Some((level.vdd_uv, faults))
}
