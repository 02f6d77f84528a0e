//! Exact int8 matrix products, and the codes of their sums, one kernel per instruction set.
//!
//! `out[m][n] = sum over k of a[m][k] * w[n][k]`, `a` and `w` int8, sums in wrapping int32. A kernel
//! exists only where the processor can run it, and all kernels give the same bits for all int8
//! values, -128 included: corrupted memories produce codes that clean networks never hold. No
//! instruction that saturates is used.
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
//! | `generic` | nothing | the specification, portable |
//! | `avx2` | AVX2 | `pmaddwd` on pairs of int16 |
//! | `avx512-vnni` | AVX-512 F, BW, VNNI | `vpdpbusd`, activations moved to uint8, the surplus taken off |
//!
//! `pmaddubsw`, the usual int8 instruction before VNNI, saturates its int16 sums; it is not used.
//! The loops that turn sums into codes ([`GemmKernel::requantize`], [`GemmKernel::add`]) are vectors of
//! eight int32 in `avx2` and of sixteen in `avx512-vnni`. Inputs are never read beyond the slices,
//! tails included, so no padding is asked of the caller.
//!
//! The only crate of the workspace with `unsafe` code. It knows nothing of networks.

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
    /// Keeps [`GemmKernel`](crate::GemmKernel) to kernels that are tested here.
    pub trait Sealed {}
}

/// A matrix product for one instruction set.
pub trait GemmKernel: sealed::Sealed + Send + Sync {
    /// Stable name: `generic`, `avx2`, `avx512-vnni`.
    fn name(&self) -> &'static str;

    /// Rearranges `weights`, `n` rows of `k` values, for this kernel.
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

    /// Writes the codes of `sums`, pixels of one value per channel, to `out`, in the same layout;
    /// `offsets`, one per channel, are added first.
    ///
    /// # Panics
    /// If the slices do not hold equally many whole pixels.
    fn requantize(&self, sums: &[i32], offsets: &[i32], rule: &Requantization, out: &mut [i8]);

    /// Writes the codes of the sums of the elements of `a` and `b` to `out`.
    ///
    /// # Panics
    /// If the lengths differ.
    fn add(&self, a: &[i8], b: &[i8], rule: &Addition, out: &mut [i8]);
}
