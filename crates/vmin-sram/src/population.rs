//! Populations of chips: the parts of the variance of a critical voltage, and the share of cells
//! stuck at 0.

use crate::apply::FaultKind;

/// Longest population name in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Smallest share of a cell's own part. Below it whole columns fail at once, and the precision of a
/// float is too low to order their cells.
pub const CELL_SHARE_MIN: f64 = 0.01;
/// How far from 1 the five shares may sum.
const SUM_TOLERANCE: f64 = 1e-9;

/// Why a population was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PopulationError {
    /// A variance share is negative, above 1 or not a number.
    #[error("the {part} share of the variance lies between 0 and 1, not {share}")]
    Share {
        /// Name of the part.
        part: &'static str,
        /// The given value.
        share: f64,
    },
    /// The shares do not sum to 1.
    #[error("the variance shares sum to {sum}, not to 1")]
    Sum {
        /// Their sum.
        sum: f64,
    },
    /// The cell's own share is below [`CELL_SHARE_MIN`].
    #[error("the cell's own share of the variance is at least 0.01, not {cell}")]
    CellShare {
        /// The given value.
        cell: f64,
    },
    /// The share of cells stuck at 0 is not a probability.
    #[error("the share of cells stuck at 0 lies between 0 and 1, not {share}")]
    StuckAt0 {
        /// The given value.
        share: f64,
    },
    /// The name is empty or too long.
    #[error("a population's name has 1 to 255 bytes, not {bytes}")]
    Name {
        /// Its length.
        bytes: usize,
    },
}

/// The shares of five independent causes in the variance of a critical voltage; they sum to 1.
///
/// Two cells of one chip have the correlation `die`, in one bank `die + bank`, in one column
/// `die + bank + column`, in one half of a column `die + bank + column + half_column`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VarianceShares {
    die: f64,
    bank: f64,
    column: f64,
    half_column: f64,
    cell: f64,
}

impl VarianceShares {
    /// Independent cells.
    pub const INDEPENDENT: Self =
        Self { die: 0.0, bank: 0.0, column: 0.0, half_column: 0.0, cell: 1.0 };

    /// The five shares.
    ///
    /// # Errors
    /// A share is not in `[0, 1]`, they do not sum to 1 (within 1e-9), or `cell` is below
    /// [`CELL_SHARE_MIN`].
    pub fn new(
        die: f64,
        bank: f64,
        column: f64,
        half_column: f64,
        cell: f64,
    ) -> Result<Self, PopulationError> {
        let parts = [
            ("die", die),
            ("bank", bank),
            ("column", column),
            ("half-column", half_column),
            ("cell", cell),
        ];
        for (part, share) in parts {
            if !(0.0..=1.0).contains(&share) {
                return Err(PopulationError::Share { part, share });
            }
        }
        let sum = die + bank + column + half_column + cell;
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(PopulationError::Sum { sum });
        }
        if cell < CELL_SHARE_MIN {
            return Err(PopulationError::CellShare { cell });
        }
        Ok(Self { die, bank, column, half_column, cell })
    }

    /// Four shares; the rest is the cell's own share.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with_cell_as_rest(
        die: f64,
        bank: f64,
        column: f64,
        half_column: f64,
    ) -> Result<Self, PopulationError> {
        Self::new(die, bank, column, half_column, 1.0 - die - bank - column - half_column)
    }

    /// Part common to all cells of a die.
    #[must_use]
    pub const fn die(&self) -> f64 {
        self.die
    }

    /// Part common to the cells of a bank.
    #[must_use]
    pub const fn bank(&self) -> f64 {
        self.bank
    }

    /// Part common to the cells of a column of a bank.
    #[must_use]
    pub const fn column(&self) -> f64 {
        self.column
    }

    /// Part common to the cells of the upper or lower half of a column.
    #[must_use]
    pub const fn half_column(&self) -> f64 {
        self.half_column
    }

    /// Each cell's own part.
    #[must_use]
    pub const fn cell(&self) -> f64 {
        self.cell
    }
}

/// A distribution of chips, without voltages: mean and standard deviation belong to the voltage
/// profile, which turns a voltage into a rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    name: String,
    shares: VarianceShares,
    share_stuck_at_0: f64,
    kind: FaultKind,
}

impl Population {
    /// A population of that name whose faulty cells invert their bit, with `share_stuck_at_0` the probability
    /// that a faulty cell's preferred value is 0 (used in steps of 2^-24).
    ///
    /// # Errors
    /// The probability is not in `[0, 1]`, or the name is empty or longer than [`NAME_BYTES_MAX`].
    pub fn new(
        name: impl Into<String>,
        shares: VarianceShares,
        share_stuck_at_0: f64,
    ) -> Result<Self, PopulationError> {
        let name = name.into();
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(PopulationError::Name { bytes: name.len() });
        }
        if !(0.0..=1.0).contains(&share_stuck_at_0) {
            return Err(PopulationError::StuckAt0 { share: share_stuck_at_0 });
        }
        Ok(Self { name, shares, share_stuck_at_0, kind: FaultKind::Flip })
    }

    /// The same population with faulty cells of another kind.
    #[must_use]
    pub fn with_kind(self, kind: FaultKind) -> Self {
        Self { kind, ..self }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shares of the variance.
    #[must_use]
    pub const fn shares(&self) -> &VarianceShares {
        &self.shares
    }

    /// What its faulty cells do.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Probability that a faulty cell's preferred value is 0.
    #[must_use]
    pub const fn share_stuck_at_0(&self) -> f64 {
        self.share_stuck_at_0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broken_rule_is_named() {
        use PopulationError as E;
        type Rule = fn(&E) -> bool;
        let cases: [([f64; 5], Rule); 6] = [
            ([-0.1, 0.0, 0.0, 0.0, 1.1], |e| matches!(e, E::Share { part: "die", .. })),
            ([0.0, f64::NAN, 0.0, 0.0, 1.0], |e| matches!(e, E::Share { part: "bank", .. })),
            ([0.0, 0.0, 1.5, 0.0, 1.0], |e| matches!(e, E::Share { part: "column", .. })),
            ([0.0, 0.0, 0.0, -1.0, 1.0], |e| matches!(e, E::Share { part: "half-column", .. })),
            ([0.1, 0.1, 0.1, 0.1, 0.5], |e| matches!(e, E::Sum { .. })),
            ([0.0, 0.5, 0.5, 0.0, 0.0], |e| matches!(e, E::CellShare { .. })),
        ];
        for ([die, bank, column, half, cell], rule) in cases {
            let error = VarianceShares::new(die, bank, column, half, cell).unwrap_err();
            assert!(rule(&error), "{error}");
        }
        let shares = VarianceShares::INDEPENDENT;
        assert!(matches!(Population::new("", shares, 0.5), Err(E::Name { bytes: 0 })));
        assert!(matches!(Population::new("x".repeat(256), shares, 0.5), Err(E::Name { .. })));
        for share in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(Population::new("x", shares, share), Err(E::StuckAt0 { .. })));
        }
    }

    #[test]
    fn the_rest_belongs_to_the_cell() {
        let shares = VarianceShares::with_cell_as_rest(0.0, 0.046, 0.368, 0.156).unwrap();
        assert!((shares.cell() - 0.43).abs() < 1e-12);
    }
}
