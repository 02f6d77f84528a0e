//! Read noise: the critical voltage of a cell varies from read to read.
//!
//! At a read a cell of critical voltage `V_c` errs if `V_c + e > V`, with `e` Gaussian of sigma `read
//! noise`: it errs with probability `Phi((V_c - V) / noise)`, one half at its own critical voltage and
//! nearly always or never a few sigmas away. The voltage of a score comes from the profile's curve, sampled
//! over the few sigmas that matter.

use vmin_sram::{
    CellErrors, ErrorRates, FaultKind, FaultyCell, Score, Threshold, UNITS_PER_SIGMA, normal,
};

use super::VoltageProfile;

/// Read noise that can be asked for, in mV; less would differ from none in nothing.
pub const READ_NOISE_MV: std::ops::RangeInclusive<f64> = 0.001..=5_000.0;

/// Beyond so many sigmas of the noise a cell errs always or never (probability 3e-7).
const SIGMAS: f64 = 5.0;
/// Steps of the curve on either side of the supply.
const STEPS: u32 = 20;

/// The reads of a memory at one supply.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ReadNoise {
    /// `(score in sigmas of the population, V_c - V in sigmas of the noise)`, both rising.
    curve: Vec<(f64, f64)>,
}

impl VoltageProfile {
    /// Reads at `vdd_mv` with Gaussian errors of `noise_mv` in each cell's critical voltage.
    #[must_use]
    pub fn read_noise(&self, vdd_mv: f64, noise_mv: f64) -> ReadNoise {
        let steps = (0..=2 * STEPS).map(|step| {
            let sigmas = SIGMAS * (f64::from(step) / f64::from(STEPS) - 1.0);
            // At its critical voltage a cell is at the threshold.
            let threshold = self.threshold(vdd_mv + sigmas * noise_mv);
            (f64::from(threshold.0) / f64::from(UNITS_PER_SIGMA), sigmas)
        });
        let mut curve: Vec<(f64, f64)> = steps.collect();
        // Where the curve is flat, the first of its points stands for all.
        curve.dedup_by(|a, b| a.0 <= b.0);
        ReadNoise { curve }
    }
}

impl ReadNoise {
    /// Cells of at least this score may err.
    #[must_use]
    pub fn floor(&self) -> Threshold {
        let lowest = self.curve.first().map_or(f64::INFINITY, |point| point.0);
        Threshold(Score::from_sigmas(lowest).0).max(Threshold::HALF)
    }

    /// The probability that a cell of this score errs at a read.
    #[must_use]
    pub fn probability(&self, score: Score) -> f64 {
        let z = score.sigmas();
        let Some((&first, &last)) = self.curve.first().zip(self.curve.last()) else { return 0.0 };
        if z < first.0 {
            return 0.0;
        }
        if z >= last.0 {
            return 1.0;
        }
        let above = self.curve.partition_point(|point| point.0 <= z);
        let (low, high) = (self.curve[above - 1], self.curve[above]);
        let share = (z - low.0) / (high.0 - low.0);
        normal::cdf(low.1 + share * (high.1 - low.1))
    }

    /// How often each cell errs, for cells that err in the same way; those that never do are left out.
    #[must_use]
    pub fn errors(&self, cells: &[FaultyCell], kind: FaultKind) -> Vec<CellErrors> {
        let of = |cell: &FaultyCell| {
            // Rates are stored in 32 bits.
            let p = self.probability(cell.score) as f32;
            let rates = match (kind, cell.preferred) {
                (FaultKind::Flip, _) => ErrorRates::flip(p),
                (FaultKind::StuckAt, false) => ErrorRates::stuck_at_0(p),
                (FaultKind::StuckAt, true) => ErrorRates::stuck_at_1(p),
            };
            (p > 0.0).then_some(CellErrors { cell: *cell, rates })
        };
        cells.iter().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> VoltageProfile {
        VoltageProfile::load("fpga28-kc705b").expect("shipped")
    }

    #[test]
    fn a_cell_errs_at_half_of_the_reads_at_its_critical_voltage() {
        let profile = profile();
        let noise = profile.read_noise(540.0, 4.0);
        let at = |vdd_mv: f64| noise.probability(Score(profile.threshold(vdd_mv).0));
        assert!((at(540.0) - 0.5).abs() < 1e-6);
        for (sigmas, expected) in [(-3.0, 0.00135), (-1.0, 0.15866), (1.0, 0.84134), (2.0, 0.97725)]
        {
            let found = at(540.0 + 4.0 * sigmas);
            assert!((found - expected).abs() < 1e-3, "{sigmas}: {found}");
        }
        assert_eq!((at(570.0), at(515.0)), (1.0, 0.0));
        assert!(noise.floor() < profile.threshold(540.0));
    }

    #[test]
    fn probabilities_rise_with_the_score_and_end_with_the_profile() {
        let profile = profile();
        let (low, high) = (*profile.vdd_mv_range().start(), *profile.vdd_mv_range().end());
        for vdd_mv in [low, (low + high) / 2.0, high] {
            let noise = profile.read_noise(vdd_mv, 10.0);
            let mut last = 0.0;
            for score in (0..700).map(|score| Score::from_sigmas(f64::from(score) / 100.0)) {
                let p = noise.probability(score);
                assert!((0.0..=1.0).contains(&p) && p >= last, "{vdd_mv} {score:?} {p}");
                last = p;
            }
        }
    }

    #[test]
    fn every_cell_errs_in_its_kind() {
        let profile = profile();
        let noise = profile.read_noise(540.0, 4.0);
        let score = Score(profile.threshold(541.0).0);
        let cell = |preferred| FaultyCell { address: 3, score, preferred };
        let never = FaultyCell { address: 4, score: Score(0), preferred: false };
        let errors = noise.errors(&[cell(true), cell(false), never], FaultKind::StuckAt);
        assert_eq!(errors.len(), 2);
        assert!(errors[0].rates.p01 > 0.5 && errors[0].rates.p10 == 0.0);
        assert!(errors[1].rates.p10 > 0.5 && errors[1].rates.p01 == 0.0);
        let flips = noise.errors(&[cell(true)], FaultKind::Flip);
        assert_eq!(flips[0].rates.p01, flips[0].rates.p10);
    }
}
