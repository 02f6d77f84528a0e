//! Draws the map and the column histogram of a sampled chip: `chip_pictures > chip.svg`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use vmin_report::chip::{columns, map, stack};
use vmin_sram::{Chip, ChipKey, Geometry, Population, Threshold, VarianceShares};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shares = VarianceShares::new(0.0, 0.0, 0.5, 0.0, 0.5)?;
    let population = Population::new("crowded", shares, 0.5)?;
    let geometry = Geometry::new(4, 256, 128)?;
    let threshold = Threshold::from_rate(0.01)?;
    let key = ChipKey { seed: 1, chip: 0, memory: 0 };
    let chip = Chip::sample(&population, key, geometry, threshold)?;
    let faults = chip.faults(threshold)?;
    let pictures = [map("Faults", geometry, faults), columns("Columns", geometry, faults)];
    println!("{}", stack(&pictures));
    Ok(())
}
