//! f32 for training, f64 for the tests of gradients.

use ndarray::NdFloat;
use vmin_kernels::float::{Float, FloatKernel, Portable, best};

/// A float type with the same bits of `exp` and `ln` on every platform.
pub trait Real: NdFloat + Float {
    /// Kernel of matrix products of this type.
    fn kernel() -> &'static dyn FloatKernel<Self>;
    /// `e^self`.
    fn portable_exp(self) -> Self;
    /// Natural logarithm.
    fn portable_ln(self) -> Self;
    /// The nearest value to `x`.
    fn of(x: f64) -> Self;
    /// As f64.
    fn wide(self) -> f64;
}

impl Real for f32 {
    fn kernel() -> &'static dyn FloatKernel<Self> {
        best()
    }
    fn portable_exp(self) -> Self {
        libm::expf(self)
    }
    fn portable_ln(self) -> Self {
        libm::logf(self)
    }
    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose")]
    fn of(x: f64) -> Self {
        x as Self
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn kernel() -> &'static dyn FloatKernel<Self> {
        &Portable
    }
    fn portable_exp(self) -> Self {
        libm::exp(self)
    }
    fn portable_ln(self) -> Self {
        libm::log(self)
    }
    fn of(x: f64) -> Self {
        x
    }
    fn wide(self) -> f64 {
        self
    }
}
