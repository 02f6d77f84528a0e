//! `y = max(x, 0)`; at deployment a clamp of the layer before it.

use crate::real::Real;

pub(super) fn forward<T: Real>(x: &[T], y: &mut [T]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = if x > T::zero() { x } else { T::zero() });
}

/// Adds to `dx` where the output was positive.
pub(super) fn backward<T: Real>(y: &[T], dy: &[T], dx: &mut [T]) {
    for ((dx, &dy), &y) in dx.iter_mut().zip(dy).zip(y) {
        // Always a sum: a store that depends on `y` would prevent vectorization.
        *dx += if y > T::zero() { dy } else { T::zero() };
    }
}
