//! From pairs of faults to correlations, from correlations to shares of the variance.
//!
//! If faults were independent, a share `p^2` of the pairs of cells would be faulty both. A larger share
//! gives the correlation of their critical voltages: the tetrachoric correlation of a threshold model.

use super::bivariate::both_above;
use super::observe::{Observation, PairKind};
use crate::normal;
use crate::population::CELL_SHARE_MIN;

/// Correlations are sought in this range.
const RHO: (f64, f64) = (-0.95, 0.9999);
const BISECTIONS: u32 = 40;

/// One correlation per kind of pair; none where the geometry has no such pair.
pub(crate) type Correlations = [Option<f64>; 4];

/// The correlations that make the expected number of faulty pairs over all chips the observed one.
pub(crate) fn correlations(chips: &[Observation]) -> Correlations {
    core::array::from_fn(|kind| {
        let groups: Vec<(f64, f64)> = chips
            .iter()
            .map(|chip| (-normal::quantile(chip.rate()), chip.pairs_of_cells()[kind]))
            .collect();
        let cells: f64 = groups.iter().map(|group| group.1).sum();
        let seen: f64 = chips.iter().map(|chip| chip.pairs[kind]).sum();
        (cells > 0.0).then(|| {
            let expected =
                |rho| groups.iter().map(|&(t, pairs)| pairs * both_above(t, rho)).sum::<f64>();
            let (mut low, mut high) = RHO;
            for _ in 0..BISECTIONS {
                let middle = 0.5 * (low + high);
                if expected(middle) < seen { low = middle } else { high = middle }
            }
            0.5 * (low + high)
        })
    })
}

/// Pairs of each kind that independent faults of the same number would make.
pub(crate) fn independent(chips: &[Observation]) -> [f64; 4] {
    core::array::from_fn(|kind| {
        chips.iter().map(|chip| chip.pairs_of_cells()[kind] * chip.rate() * chip.rate()).sum()
    })
}

/// Shares of the variance within a die: bank, column, half-column, cell.
///
/// Each is the rise of the correlation from one kind of pair to the next closer one; a fall is taken
/// as none, and the cell keeps at least [`CELL_SHARE_MIN`].
pub(crate) fn shares(correlations: &Correlations) -> [f64; 4] {
    let of = |kind: PairKind| correlations[kind as usize];
    let top = 1.0 - CELL_SHARE_MIN;
    let bank = of(PairKind::Bank).unwrap_or(0.0).clamp(0.0, top);
    let column = of(PairKind::Column).unwrap_or(bank).clamp(bank, top);
    let half = of(PairKind::HalfColumn).unwrap_or(column).clamp(column, top);
    [bank, column - bank, half - column, 1.0 - half]
}

/// The rises of the correlation behind the shares of bank, column and half-column, falls included: the
/// scatter of a share that stops at zero would look too small.
pub(crate) fn rises(correlations: &Correlations) -> [f64; 3] {
    let of = |kind: PairKind| correlations[kind as usize];
    let bank = of(PairKind::Bank).unwrap_or(0.0);
    let column = of(PairKind::Column).unwrap_or(bank);
    let half = of(PairKind::HalfColumn).unwrap_or(column);
    [bank, column - bank, half - column]
}
