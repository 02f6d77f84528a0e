//! Elementwise sum of two values: the end of a residual block.

use crate::real::Real;

pub(super) fn forward<T: Real>(a: &[T], b: &[T], y: &mut [T]) {
    y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (&a, &b))| *y = a + b);
}

/// Adds `dy` to the gradient of one operand.
pub(super) fn backward<T: Real>(dy: &[T], dx: &mut [T]) {
    dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy);
}
