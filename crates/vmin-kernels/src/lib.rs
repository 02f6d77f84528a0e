//! Exact int8 matrix products and the requantization of their sums, one kernel per instruction set.
//!
//! `out[m][n] = sum over k of a[m][k] * w[n][k]`; `a` and `w` are int8, sums are wrapping int32. A
//! kernel exists only where the processor can run it, and all kernels give the same bits for all int8
//! values, including -128: a corrupted memory gives codes that a clean network never holds. No kernel
//! uses an instruction that saturates sums.
//!
//! ```
//! let kernel = vmin_kernels::best();
//! let packed = kernel.pack(&[1, 2, 3, 4, 5, 6], 2, 3); // two output channels of three weights
//! let mut out = [0; 2];
//! kernel.gemm(&[1, 0, -1], 3, 1, &packed, &mut out);
//! assert_eq!(out, [-2, -2]);
//! ```
//!
//! | kernel | needs | how |
//! |---|---|---|
//! | `generic` | nothing | portable loops, the specification |
//! | `avx2` | AVX2 | `pmaddwd` on pairs of int16 |
//! | `avx512-vnni` | AVX-512 F, BW, VNNI | `vpdpbusd` on activations plus 128, less `128 * sum(w)` |
//!
//! `pmaddubsw`, the usual int8 instruction before VNNI, saturates its int16 sums; it is not used.
//! *Requantization* turns an int32 sum into a code ([`GemmKernel::requantize`]). No kernel reads beyond
//! its slices, so the caller need not pad them.
//!
//! `examples/convolution.rs` computes a 1 x 1 convolution from packing to codes. [`float`] has the
//! products for training.
//!
//! Every algorithm on vectors is written once over the traits in `lanes.rs`; a file in `arch` per
//! instruction set implements them. `unsafe` code calls intrinsics there, and reads gathered rows
//! without a check for each in `tile.rs` and `float`. In the workspace, the only other `unsafe` code
//! calls a GPU (crate `vmin-train-cuda`) or belongs to tests. The crate knows nothing of networks.

mod addition;
mod arch;
pub mod float;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod packed;
mod requantize;
mod select;
#[cfg(target_arch = "x86_64")]
mod tile;
#[cfg(target_arch = "x86_64")]
mod vectors;

pub use addition::Addition;
pub use packed::PackedWeights;
pub use requantize::{Factor, Requantization, Rounds};
pub use select::{UnknownKernel, available, best, by_name};

mod sealed {
    /// Allows implementations of [`GemmKernel`](crate::GemmKernel) in this crate alone, whose tests
    /// cover them.
    pub trait Sealed {}
}

/// Matrix product, requantization and addition for one instruction set.
pub trait GemmKernel: sealed::Sealed + Send + Sync {
    /// Stable name: `generic`, `avx2`, `avx512-vnni`.
    fn name(&self) -> &'static str;

    /// Packs `weights`, `n` rows of `k` values, in the layout of this kernel.
    ///
    /// # Panics
    /// If `weights` does not hold `n * k` values.
    fn pack(&self, weights: &[i8], n: usize, k: usize) -> PackedWeights;

    /// Writes the `m x n` product of `a` (`m` rows of `k` values, `a_stride` apart) and the packed
    /// weights to `out`, row-major.
    ///
    /// # Panics
    /// If a slice is too short, or the weights were packed for another kernel.
    fn gemm(&self, a: &[i8], a_stride: usize, m: usize, packed: &PackedWeights, out: &mut [i32]);

    /// Writes the codes of `sums` to `out`. `sums` holds one value per channel for each pixel;
    /// `offsets`, one per channel, are added before scaling.
    ///
    /// # Panics
    /// If the slices do not hold equally many whole pixels.
    fn requantize(&self, sums: &[i32], offsets: &[i32], rule: &Requantization, out: &mut [i8]);

    /// Adds the tensors `a` and `b`, element by element, and writes the codes to `out`.
    ///
    /// # Panics
    /// If the lengths differ.
    fn add(&self, a: &[i8], b: &[i8], rule: &Addition, out: &mut [i8]);
}
