//! Samples a chip and corrupts the codes of a memory at three cell-fault rates.
#![expect(clippy::print_stdout, reason = "an example prints")]

use vmin_sram::{Chip, ChipKey, FaultKind, Geometry, Population, Threshold, VarianceShares, apply};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Half of the variance is common to a column, so faults crowd in few columns.
    let shares = VarianceShares::new(0.0, 0.0, 0.5, 0.0, 0.5)?;
    let population = Population::new("crowded", shares, 0.5)?;
    let geometry = Geometry::new(4, 256, 128)?;
    let key = ChipKey { seed: 1, chip: 0, memory: 0 };
    let chip = Chip::sample(&population, key, geometry, Threshold::from_rate(0.05)?)?;
    for rate in [0.001, 0.01, 0.05] {
        let faults = chip.faults(Threshold::from_rate(rate)?)?;
        let mut codes = vec![0_u8; 16_384];
        let applied = apply(faults, FaultKind::StuckAt, &mut codes, 8, 0)?;
        println!(
            "rate {rate}: {} faulty cells, {} flipped bits in {} codes",
            faults.len(),
            applied.bits_flipped,
            codes.len()
        );
    }
    Ok(())
}
