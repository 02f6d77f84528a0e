//! Float matrix products for training: rows gathered from an image times packed panels.
//!
//! A convolution is a matrix product whose left rows are patches of an image. In a padded image of
//! layout `[height, width, channels]` a patch consists of `kernel` runs of contiguous values, one per
//! kernel row, a constant distance apart. A row is given by the index of its first value, so no patch
//! is copied.
//!
//! ```text
//!  forward and dx   c[c_at[i]..][..n]  =  sum over runs, k of  a[a_at[i] + run * stride + k] * panels[run, k][..n]
//!  dw               panels[run, k][..n] += sum over rows i of  a[a_at[i] + run * stride + k] * b[i][..n]
//! ```
//!
//! A panel holds [`PANEL`] outputs side by side, so a vector register spans outputs and never terms of
//! one sum: each output is a chain of fused multiply-adds in an order that does not depend on the width
//! of the registers. All kernels give the same bits. [`Portable`] is the specification; the tests of
//! gradients run it in `f64`.

mod portable;
#[cfg(target_arch = "x86_64")]
mod vectors;

use std::sync::OnceLock;

pub use portable::Portable;

#[cfg(target_arch = "x86_64")]
use crate::{arch, tile::Vectors};

/// Outputs per panel.
pub const PANEL: usize = 16;

/// Rows that are summed in one chain before the sum is added to `dw`. Another number gives other bits.
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

/// The left rows of a product: row `i` has `runs` runs of `run` values; its first run starts at
/// `at[i]`, each further run `stride` later.
#[derive(Clone, Copy, Debug)]
pub struct Gather<'a, T> {
    /// The values, for instance a padded image.
    pub values: &'a [T],
    /// Index of the first value of each row.
    pub at: &'a [usize],
    /// Runs per row.
    pub runs: usize,
    /// Distance between the starts of neighbouring runs.
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

    /// Panics unless every row lies in the values; the kernels rely on this.
    fn check(&self) {
        let Some(last) = self.at.iter().copied().max() else { return };
        let end = self.runs.saturating_sub(1).checked_mul(self.stride);
        let end = end.and_then(|end| end.checked_add(self.run)?.checked_add(last));
        assert!(end.is_some_and(|end| end <= self.values.len()), "a row ends beyond the values");
        assert!(self.runs.checked_mul(self.run).is_some(), "a row is too long");
    }
}

/// How a result is written to its place.
#[derive(Clone, Copy, Debug)]
pub enum Write<'a, T> {
    /// Overwrites the place; each sum starts at the bias of its output.
    Biased(&'a [T]),
    /// Overwrites the place.
    Set,
    /// Adds the finished sum to the value in the place.
    Add,
}

impl<'a, T> Write<'a, T> {
    fn bias(&self) -> Option<&'a [T]> {
        match self {
            Write::Biased(bias) => Some(bias),
            Write::Set | Write::Add => None,
        }
    }

    fn adds(&self) -> bool {
        match self {
            Write::Biased(_) | Write::Set => false,
            Write::Add => true,
        }
    }
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
    /// `depth` groups of [`PANEL`] values per panel; the values of surplus outputs are zero.
    ///
    /// # Panics
    /// If a slice is too short.
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
    /// which holds `a.at.len()` groups of [`PANEL`] values per panel.
    ///
    /// # Panics
    /// If a slice is too short.
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
    if let Some(bias) = write.bias() {
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
