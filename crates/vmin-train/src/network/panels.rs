//! Matrices in the layout of the float kernels: panels of neighbouring outputs, one after the other.

use vmin_kernels::float::{PANEL, panels_len};

use crate::real::Real;

/// Panels of the `depth x n` matrix whose element is `value(k, output)`; surplus outputs are zero.
pub(super) fn panels<T: Real>(depth: usize, n: usize, value: impl Fn(usize, usize) -> T) -> Vec<T> {
    let mut panels = vec![T::zero(); panels_len(depth, n)];
    fill(&mut panels, depth, n, value);
    panels
}

/// As [`panels`], into a buffer whose surplus outputs are already zero.
pub(super) fn fill<T: Real>(
    panels: &mut [T],
    depth: usize,
    n: usize,
    value: impl Fn(usize, usize) -> T,
) {
    for (panel, first) in panels.chunks_exact_mut(depth * PANEL).zip((0..n).step_by(PANEL)) {
        let width = PANEL.min(n - first);
        for (k, group) in panel.chunks_exact_mut(PANEL).enumerate() {
            for (output, place) in group[..width].iter_mut().enumerate() {
                *place = value(k, first + output);
            }
        }
    }
}

/// Adds panels to a matrix of `n` rows of `depth` values.
pub(super) fn add_transposed<T: Real>(panels: &[T], depth: usize, n: usize, sums: &mut [T]) {
    for (panel, rows) in panels.chunks_exact(depth * PANEL).zip(sums.chunks_mut(PANEL * depth)) {
        for (output, row) in rows.chunks_exact_mut(depth).enumerate() {
            let values = panel.chunks_exact(PANEL).map(|group| group[output]);
            row.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    }
    debug_assert_eq!(sums.len(), depth * n);
}
