//! Float products of training: rows gathered from an image times packed panels.
//!
//! A convolution is a matrix product whose left rows are patches of an image. In a padded image of
//! layout `[height, width, channels]` a patch is `kernel` runs of contiguous values, one per kernel
//! row, a constant distance apart. So nothing is copied: a row is the index of its first value.
//!
//! ```text
//!  forward and dx   c[c_at[i]..][..n]  =  sum over runs, k of  a[a_at[i] + run * stride + k] * panels[run, k][..n]
//!  dw               panels[run, k][..n] += sum over rows i of  a[a_at[i] + run * stride + k] * b[i][..n]
//! ```
//!
//! Panels hold [`PANEL`] outputs side by side, so a vector register spans outputs, never terms of a
//! sum: every output is one chain of fused multiply-adds in the same order whatever the width of the
//! registers. All kernels give the same bits; [`Portable`] is the specification, and the same code
//! in `f64` is what gradients are checked with.

mod portable;
#[cfg(target_arch = "x86_64")]
mod vectors;

use std::sync::OnceLock;

pub use portable::Portable;

#[cfg(target_arch = "x86_64")]
use crate::{arch, tile::Vectors};

/// Outputs per panel.
pub const PANEL: usize = 16;

/// Rows whose sum is taken in one chain before it is added to `dw`; part of the result's bits.
pub const CHAIN_ROWS: usize = 128;

/// A float that kernels multiply.
pub trait Float:
    Copy + Send + Sync + Default + PartialOrd + core::ops::Add<Output = Self> + 'static
{
    /// `self * b + c` with one rounding.
    #[must_use]
    fn fused(self, b: Self, c: Self) -> Self;
}

impl Float for f32 {
    #[inline(always)]
    fn fused(self, b: Self, c: Self) -> Self {
        self.mul_add(b, c)
    }
}

impl Float for f64 {
    #[inline(always)]
    fn fused(self, b: Self, c: Self) -> Self {
        self.mul_add(b, c)
    }
}

/// Left rows: row `i` consists of `runs` runs of `run` values, `stride` apart, from `at[i]` on.
#[derive(Clone, Copy, Debug)]
pub struct Gather<'a, T> {
    /// The values, for instance a padded image.
    pub values: &'a [T],
    /// Index of the first value of each row.
    pub at: &'a [usize],
    /// Runs per row.
    pub runs: usize,
    /// Distance of the starts of two runs.
    pub stride: usize,
    /// Values per run.
    pub run: usize,
}

impl<T> Gather<'_, T> {
    /// Values per row.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.runs * self.run
    }

    /// The values of one run of the row at `at`.
    ///
    /// # Safety
    /// [`Self::check`] has accepted the row, and `run` is less than `runs`. A run begins at `at` plus a
    /// multiple of `stride`, not of `run`.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    #[expect(unsafe_code, reason = "checks in the loops over small runs cost a tenth of the time")]
    pub(crate) unsafe fn values_of(&self, at: usize, run: usize) -> &[T] {
        let first = at + run * self.stride;
        // SAFETY: by contract `first + self.run` is at most the end that `check` compared.
        unsafe { self.values.get_unchecked(first..first + self.run) }
    }

    /// Panics unless every row lies in the values: the kernels rely on it.
    fn check(&self) {
        let Some(last) = self.at.iter().copied().max() else { return };
        let end = self.runs.saturating_sub(1).checked_mul(self.stride);
        let end = end.and_then(|end| end.checked_add(self.run)?.checked_add(last));
        assert!(end.is_some_and(|end| end <= self.values.len()), "a row ends beyond the values");
        assert!(self.runs.checked_mul(self.run).is_some(), "a row is too long");
    }
}

/// How results meet what is there.
#[derive(Clone, Copy, Debug)]
pub enum Write<'a, T> {
    /// Overwrites; sums start at the bias of their output.
    Biased(&'a [T]),
    /// Overwrites.
    Set,
    /// Adds the finished sum.
    Add,
}

/// Number of values of `depth` rows of panels for `n` outputs.
#[must_use]
pub fn panels_len(depth: usize, n: usize) -> usize {
    n.div_ceil(PANEL) * depth * PANEL
}

/// Float products for one instruction set.
pub trait FloatKernel<T: Float>: crate::sealed::Sealed + Send + Sync {
    /// Stable name.
    fn name(&self) -> &'static str;

    /// Writes the `n` outputs of every row of `a` to `c`, row `i` from `c_at[i]` on. `panels` holds
    /// panel after panel `depth` groups of [`PANEL`] values, surplus outputs zero.
    ///
    /// # Panics
    /// If a slice is too short for what is asked.
    fn rows(
        &self,
        a: Gather<'_, T>,
        panels: &[T],
        n: usize,
        write: Write<'_, T>,
        c: &mut [T],
        c_at: &[usize],
    );

    /// Adds to `dw` (in the layout of panels) the products of every row of `a` with its row of `b`,
    /// which holds panel after panel `a.at.len()` groups of [`PANEL`] values.
    ///
    /// # Panics
    /// If a slice is too short for what is asked.
    fn outer(&self, a: Gather<'_, T>, b: &[T], n: usize, dw: &mut [T]);
}

/// Checks shared by the kernels' `rows`.
fn check_rows<T>(
    a: &Gather<'_, T>,
    panels: &[T],
    n: usize,
    write: &Write<'_, T>,
    c: &[T],
    c_at: &[usize],
) {
    a.check();
    assert_eq!(a.at.len(), c_at.len(), "one place per row");
    assert!(panels.len() >= panels_len(a.depth(), n), "too few panels");
    let last = c_at.iter().copied().max().unwrap_or(0);
    let fits = c_at.is_empty() || last.checked_add(n).is_some_and(|end| end <= c.len());
    assert!(fits, "a result ends beyond its place");
    if let Write::Biased(bias) = write {
        assert_eq!(bias.len(), n, "one bias per output");
    }
}

/// Checks shared by the kernels' `outer`.
fn check_outer<T>(a: &Gather<'_, T>, b: &[T], n: usize, dw: &[T]) {
    a.check();
    assert!(b.len() >= panels_len(a.at.len(), n), "too few right rows");
    assert!(dw.len() >= panels_len(a.depth(), n), "too few panels");
}

fn found() -> &'static [&'static dyn FloatKernel<f32>] {
    static FOUND: OnceLock<Vec<&'static dyn FloatKernel<f32>>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut kernels: Vec<&'static dyn FloatKernel<f32>> = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(lanes) = arch::avx512::Avx512::new() {
                kernels.push(Box::leak(Box::new(Vectors::<_, 16, 1>(lanes))));
            }
            if let Some(lanes) = arch::avx2::Avx2Fma::new() {
                kernels.push(Box::leak(Box::new(Vectors::<_, 8, 2>(lanes))));
            }
        }
        kernels.push(&Portable);
        kernels
    })
}

/// The `f32` kernels this processor can run, best first; [`Portable`] is always the last.
#[must_use]
pub fn available() -> Vec<&'static dyn FloatKernel<f32>> {
    found().to_vec()
}

/// The fastest `f32` kernel this processor can run.
#[must_use]
pub fn best() -> &'static dyn FloatKernel<f32> {
    found()[0]
}
