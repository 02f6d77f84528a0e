//! Bits that pass from register to register inside the array.
//!
//! Cycle and energy models often stop at the array's edge, but every operand hops from PE to PE, and so
//! does every partial sum where weights or inputs stay:
//!
//! ```text
//!        per MAC, of one PE                       per fold of r x c used PEs
//!  ws    input 8 + sum                            weights in:  r (r + 1) / 2 * c hops of 8
//!  is    weight 8 + sum                           inputs in:   the same
//!  os    input 8 + weight 8                       sums out:    r (r + 1) / 2 * c hops of a sum
//! ```
//!
//! A value that stays in the `i`-th row passes `i` registers on its way in, or on its way out.
//! Unused PEs are taken as gated: they count nothing.

use crate::dataflow::{ArraySize, Extent, Operand, Path};
use crate::{Dataflow, GemmShape};

/// Bits of an operand.
const OPERAND_BITS: u64 = 8;

/// Register bits written for one product, all groups, whose kept values are loaded so many times; saturating.
pub(super) fn bits(
    dataflow: Dataflow,
    shape: GemmShape,
    array: ArraySize,
    sum_bits: u64,
    loads: u64,
) -> u64 {
    let bits = |path| match dataflow.operand(path) {
        Operand::Ifmap | Operand::Filter => OPERAND_BITS,
        Operand::Ofmap => sum_bits,
    };
    // Per group the MACs are rows * columns * stream.
    let macs = shape.macs();
    let hops = hops(dataflow.extent(shape), array).saturating_mul(shape.groups() * loads);
    macs.saturating_mul(bits(Path::Right) + bits(Path::Down))
        .saturating_add(hops.saturating_mul(bits(Path::Stays)))
}

/// Hops that bring every kept value of every fold to its row.
fn hops(extent: Extent, array: ArraySize) -> u64 {
    let triangle = |rows: u64| rows * (rows + 1) / 2;
    let whole = extent.rows / array.rows();
    let rest = extent.rows % array.rows();
    let of_column = whole.saturating_mul(triangle(array.rows())).saturating_add(triangle(rest));
    of_column.saturating_mul(extent.columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fold by fold, row by row, as the picture shows it.
    fn slow(dataflow: Dataflow, shape: GemmShape, array: ArraySize, sum_bits: u64) -> u64 {
        let extent = dataflow.extent(shape);
        let mut total = 0;
        for first_column in (0..extent.columns).step_by(array.columns() as usize) {
            for first_row in (0..extent.rows).step_by(array.rows() as usize) {
                for column in first_column..extent.columns.min(first_column + array.columns()) {
                    let _ = column;
                    for row in first_row..extent.rows.min(first_row + array.rows()) {
                        let hops = row - first_row + 1;
                        total += if dataflow.sums_stay() {
                            sum_bits * hops + extent.stream * 16
                        } else {
                            8 * hops + extent.stream * (8 + sum_bits)
                        };
                    }
                }
            }
        }
        total * shape.groups()
    }

    #[test]
    fn the_closed_form_is_the_sum_over_rows_and_folds() {
        for &(word, dataflow) in Dataflow::ALL {
            for (rows, columns) in [(1, 1), (3, 2), (4, 4), (2, 7)] {
                let array = ArraySize::new(rows, columns).unwrap();
                for (m, n, k, groups) in
                    [(1, 1, 1, 1), (5, 3, 9, 1), (8, 8, 8, 2), (13, 1, 9, 5), (2, 17, 6, 1)]
                {
                    let shape = GemmShape::grouped(m, n, k, groups).unwrap();
                    let expected = slow(dataflow, shape, array, 32);
                    assert_eq!(bits(dataflow, shape, array, 32, 1), expected, "{word} {shape:?}");
                }
            }
        }
    }
}
