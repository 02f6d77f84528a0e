//! Chips of the shipped profiles fail as often as the profiles say, and their maps nest.

use std::collections::BTreeSet;

use vmin_accel::VoltageProfile;
use vmin_sram::{Chip, ChipKey, Geometry};

const CHIPS: u64 = 24;

fn keys() -> impl Iterator<Item = ChipKey> {
    (0..CHIPS).map(|chip| ChipKey { seed: 11, chip, memory: 0 })
}

/// Voltages from the highest a profile allows to the lowest with at most 20 % of cells faulty.
fn voltages(profile: &VoltageProfile) -> Vec<f64> {
    let range = profile.vdd_mv_range();
    let (low, high) = (*range.start(), *range.end());
    (0..=24u32)
        .map(|step| high - (high - low) * f64::from(step) / 24.0)
        .filter(|&vdd_mv| profile.cell_fault_rate(vdd_mv) <= 0.2)
        .collect()
}

#[test]
fn cell_fault_rates_are_those_of_every_profile_at_every_voltage() {
    let geometry = Geometry::new(64, 256, 16).expect("small");
    let cells = geometry.cells() as f64;
    let mut compared = 0;
    for name in VoltageProfile::names() {
        let profile = VoltageProfile::load(name).expect("shipped");
        let voltages = voltages(&profile);
        let lowest = *voltages.last().expect("voltages");
        let floor = profile.threshold(lowest);
        let chips: Vec<Chip> = keys()
            .map(|key| Chip::sample(profile.population(), key, geometry, floor).expect("small"))
            .collect();
        for vdd_mv in voltages {
            let rate = profile.cell_fault_rate(vdd_mv);
            let threshold = profile.threshold(vdd_mv);
            let counts: Vec<f64> = chips
                .iter()
                .map(|chip| chip.faults(threshold).expect("above the floor").len() as f64)
                .collect();
            let mean = counts.iter().sum::<f64>() / CHIPS as f64;
            // Cells share columns and banks: the spread over chips tells how far the mean may be
            // off. Where cells are independent it must be the binomial one.
            let expected = rate * cells;
            let binomial = expected * (1.0 - rate);
            let spread =
                counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (CHIPS - 1) as f64;
            let variance = if profile.population().shares().cell() == 1.0 {
                binomial
            } else {
                spread.max(binomial)
            };
            let error = (variance / CHIPS as f64).sqrt();
            assert!(
                (mean - expected).abs() <= 5.0 * error + 1.0,
                "{name} at {vdd_mv} mV: {mean} faulty cells, {expected} expected, error {error}"
            );
            compared += 1;
        }
    }
    assert!(compared > 40, "only {compared} voltages compared");
}

#[test]
fn maps_nest_over_the_voltages_of_every_profile() {
    let geometry = Geometry::new(4, 128, 16).expect("small");
    for name in VoltageProfile::names() {
        let profile = VoltageProfile::load(name).expect("shipped");
        let voltages = voltages(&profile);
        let floor = profile.threshold(*voltages.last().expect("voltages"));
        for chip in 0..100 {
            let key = ChipKey { seed: 3, chip, memory: 0 };
            let chip = Chip::sample(profile.population(), key, geometry, floor).expect("small");
            let mut higher = BTreeSet::new();
            for &vdd_mv in &voltages {
                let faults = chip.faults(profile.threshold(vdd_mv)).expect("above the floor");
                let map: BTreeSet<u64> = faults.iter().map(|cell| cell.address).collect();
                assert!(map.is_superset(&higher), "{name} at {vdd_mv} mV");
                higher = map;
            }
        }
    }
}
