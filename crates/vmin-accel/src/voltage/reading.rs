//! Simulated measurements: a test reads each cell of a chip once at each voltage.
//!
//! Critical voltages vary from read to read ([`ReadNoise`](super::ReadNoise)), so a cell that failed at one voltage may hold
//! at a lower one: the maps do not quite nest, as those of measured chips do not.

use vmin_sram::{
    Chip, ChipError, ChipKey, DrawnFaults, Geometry, Run, SampleError, Threshold, draw_faults,
};

use super::VoltageProfile;

/// Why a measurement could not be simulated.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// Too many cells would be faulty.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// Voltages do not fall, or are too many.
    #[error(transparent)]
    Chip(#[from] ChipError),
}

impl VoltageProfile {
    /// Samples a chip and reads each of its cells once at each voltage (falling, in microvolts), with
    /// Gaussian errors of `noise_mv` in its critical voltage at every read. Cells fail as the population's do.
    ///
    /// # Errors
    /// See [`ReadingError`].
    pub fn read_chip(
        &self,
        key: ChipKey,
        geometry: Geometry,
        vdd_uv: &[u32],
        noise_mv: f64,
    ) -> Result<Chip, ReadingError> {
        let reads: Vec<_> =
            vdd_uv.iter().map(|&uv| self.read_noise(f64::from(uv) / 1000.0, noise_mv)).collect();
        let floor = reads.iter().map(super::ReadNoise::floor).min().unwrap_or(Threshold::NEVER);
        let chip = Chip::sample(self.population(), key, geometry, floor)?;
        let mut runs = Vec::new();
        for (level, (&vdd_uv, noise)) in (0_u16..).zip(vdd_uv.iter().zip(&reads)) {
            let near = chip.faults(noise.floor()).unwrap_or(chip.cells());
            let kind = self.population().kind();
            let errors = noise.errors(near, kind);
            // Each voltage has a read of its own, independent of the other voltages.
            let DrawnFaults { inverting, stuck } = draw_faults(&errors, key, vdd_uv.into());
            runs.extend(inverting.iter().chain(&stuck).map(|cell| Run {
                address: cell.address,
                first_level: level,
                last_level: level,
                rates: kind.rates(cell.preferred),
            }));
        }
        let source = format!(
            "a chip of the population {}, seed {}, chip {}, read once at each voltage with noise of \
             {noise_mv} mV",
            self.population().name(),
            key.seed,
            key.chip
        );
        Ok(Chip::measured(geometry, source, String::new(), vdd_uv, runs)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmin_sram::Origin;
    use vmin_sram::fit::{FitOptions, fit};

    const GEOMETRY: (u32, u32, u32) = (200, 512, 16);

    fn levels(step_mv: u32) -> Vec<u32> {
        (0..9).map(|level| (590 - level * step_mv) * 1000).collect()
    }

    fn read(chip: u64, noise_mv: f64, step_mv: u32) -> Chip {
        let profile = VoltageProfile::load("fpga28-kc705b").unwrap();
        let (banks, rows, columns) = GEOMETRY;
        let geometry = Geometry::new(banks, rows, columns).unwrap();
        let key = ChipKey { seed: 4, chip, memory: 0 };
        profile.read_chip(key, geometry, &levels(step_mv), noise_mv).unwrap()
    }

    fn violations(chip: &Chip) -> u64 {
        let Origin::Measured { nesting_violations, .. } = chip.origin() else {
            panic!("it was measured")
        };
        *nesting_violations
    }

    #[test]
    fn without_noise_a_reading_is_the_chip() {
        let profile = VoltageProfile::load("fpga28-kc705b").unwrap();
        let quiet = read(1, 0.001, 10);
        assert_eq!(violations(&quiet), 0);
        let key = ChipKey { seed: 4, chip: 1, memory: 0 };
        let floor = profile.threshold(510.0);
        let chip = Chip::sample(profile.population(), key, quiet.geometry(), floor).unwrap();
        for (index, vdd_uv) in levels(10).into_iter().enumerate() {
            let mut faults =
                chip.faults(profile.threshold(f64::from(vdd_uv) / 1000.0)).unwrap().to_vec();
            faults.sort_unstable_by_key(|fault| fault.address);
            let mut read = quiet.measured_faults(index).unwrap();
            read.sort_unstable_by_key(|fault| fault.address);
            let places = |faults: &[vmin_sram::FaultyCell]| {
                faults.iter().map(|fault| (fault.address, fault.preferred)).collect::<Vec<_>>()
            };
            assert_eq!(places(&read), places(&faults), "{vdd_uv}");
        }
    }

    #[test]
    fn the_noise_that_was_put_in_is_found_again() {
        for noise_mv in [5.0, 9.0] {
            let chips: Vec<Chip> = (0..6).map(|chip| read(chip, noise_mv, 10)).collect();
            let broken: u64 = chips.iter().map(violations).sum();
            assert!(broken > 20, "{broken} cells break nesting");
            let fit = fit(&chips, &FitOptions { replicates: 20, ..FitOptions::default() }).unwrap();
            let found = fit.read_noise_mv.expect("cells break nesting");
            assert!((found.value / noise_mv - 1.0).abs() < 0.1, "{noise_mv} mV: {found:?}");
        }
    }

    #[test]
    fn a_reading_repeats_and_does_not_hang_on_the_other_voltages() {
        assert_eq!(read(2, 4.0, 10), read(2, 4.0, 10));
        assert_ne!(read(2, 4.0, 10), read(3, 4.0, 10));
        let (wide, narrow) = (read(2, 4.0, 10), read(2, 4.0, 5));
        // 580 mV is level 1 of the one and level 2 of the other.
        let at = |chip: &Chip, level| {
            let mut faults = chip.measured_faults(level).unwrap();
            faults.sort_unstable_by_key(|fault| fault.address);
            faults.iter().map(|fault| fault.address).collect::<Vec<_>>()
        };
        assert_eq!(at(&wide, 1), at(&narrow, 2));
        assert_eq!(at(&wide, 4), at(&narrow, 8));
    }
}
