//! Laws of energy, leakage and clock over the voltage, or points in their place.

/// Points of a factor, rising in voltage; straight lines between them, the ends beyond them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    points: Vec<(f64, f64)>,
}

impl Scale {
    /// `None` unless there is a point and voltages rise.
    pub(super) fn new(points: Vec<(f64, f64)>) -> Option<Self> {
        let rising = points.windows(2).all(|pair| pair[0].0 < pair[1].0);
        (rising && !points.is_empty()).then_some(Self { points })
    }

    /// With every voltage times a factor.
    pub(super) fn stretched(&self, factor: f64) -> Self {
        Self { points: self.points.iter().map(|&(mv, scale)| (mv * factor, scale)).collect() }
    }

    pub(super) fn at(&self, vdd_mv: f64) -> f64 {
        let above = self.points.partition_point(|&(voltage, _)| voltage < vdd_mv);
        match (above.checked_sub(1).map(|below| self.points[below]), self.points.get(above)) {
            (Some((low, a)), Some(&(high, b))) => a + (b - a) * ((vdd_mv - low) / (high - low)),
            (Some((_, end)), None) | (None, Some(&(_, end))) => end,
            (None, None) => 1.0,
        }
    }
}

/// Leakage power.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum LeakageLaw {
    /// In proportion to the voltage.
    Linear,
    /// In proportion to the voltage, times a decade per so many millivolts.
    Exponential { mv_per_decade: f64 },
    /// As measured or simulated.
    Points(Scale),
}

impl LeakageLaw {
    /// With every voltage times a factor.
    pub(super) fn stretched(&self, factor: f64) -> Self {
        match self {
            Self::Linear => Self::Linear,
            Self::Exponential { mv_per_decade } => {
                Self::Exponential { mv_per_decade: mv_per_decade * factor }
            }
            Self::Points(points) => Self::Points(points.stretched(factor)),
        }
    }

    pub(super) fn scale(&self, vdd_mv: f64, v_ref_mv: f64) -> f64 {
        let ratio = vdd_mv / v_ref_mv;
        match self {
            Self::Linear => ratio,
            Self::Exponential { mv_per_decade } => {
                ratio * libm::pow(10.0, (vdd_mv - v_ref_mv) / mv_per_decade)
            }
            Self::Points(points) => points.at(vdd_mv),
        }
    }
}

/// Highest clock.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ClockLaw {
    /// The same at every voltage.
    Constant,
    /// T. Sakurai and A. R. Newton, JSSC 1990.
    AlphaPower { threshold_mv: f64, alpha: f64 },
    /// As measured or simulated.
    Points(Scale),
}

impl ClockLaw {
    /// With every voltage times a factor.
    pub(super) fn stretched(&self, factor: f64) -> Self {
        match self {
            Self::Constant => Self::Constant,
            Self::AlphaPower { threshold_mv, alpha } => {
                Self::AlphaPower { threshold_mv: threshold_mv * factor, alpha: *alpha }
            }
            Self::Points(points) => Self::Points(points.stretched(factor)),
        }
    }

    pub(super) fn scale(&self, vdd_mv: f64, v_ref_mv: f64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::AlphaPower { threshold_mv, alpha } => {
                if vdd_mv > *threshold_mv {
                    let overdrive = (vdd_mv - threshold_mv) / (v_ref_mv - threshold_mv);
                    libm::pow(overdrive, *alpha) * v_ref_mv / vdd_mv
                } else {
                    0.0
                }
            }
            Self::Points(points) => points.at(vdd_mv),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_met_and_joined_by_straight_lines() {
        let scale = Scale::new(vec![(500.0, 0.2), (1000.0, 1.0)]).unwrap();
        assert_eq!(scale.at(500.0), 0.2);
        assert_eq!(scale.at(1000.0), 1.0);
        assert!((scale.at(750.0) - 0.6).abs() < 1e-12);
        assert_eq!((scale.at(100.0), scale.at(2000.0)), (0.2, 1.0));
        assert_eq!(Scale::new(vec![(500.0, 0.2), (500.0, 1.0)]), None);
        assert_eq!(Scale::new(Vec::new()), None);
    }

    #[test]
    fn the_laws_are_one_at_the_reference() {
        let laws = [LeakageLaw::Linear, LeakageLaw::Exponential { mv_per_decade: 300.0 }];
        assert!(laws.iter().all(|law| law.scale(900.0, 900.0) == 1.0));
        let clock = ClockLaw::AlphaPower { threshold_mv: 300.0, alpha: 1.3 };
        assert_eq!(clock.scale(900.0, 900.0), 1.0);
        assert_eq!(clock.scale(300.0, 900.0), 0.0);
        assert!(clock.scale(600.0, 900.0) < 0.65);
    }
}
