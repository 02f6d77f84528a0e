//! Dense convolution and fully connected layers as matrix products.
//!
//! ```text
//!  input --pad--> padded --gather--> patches [pixels x k] --gemm--> i32 [pixels x n] --> codes
//!                 (zero = zx)        a few output rows at a time, so that they stay in the cache
//! ```
//!
//! A 1x1 convolution of stride one reads its input as patches, without a copy. With zero points,
//! `sum (x - zx)(w - zw) = sum xw - zx sum w - zw sum x + k zx zw`: all but `zw sum x` depends on the
//! weights alone and is added as one offset per channel.

use vmin_kernels::{GemmKernel, PackedWeights, Requantization};

use super::Conv2d;
use crate::exec::Work;
use crate::ops::{At, FoldWeights, NodeWeights, Plan, Run, RunFolds, Through};
use crate::{LayerShape, WeightTensor};

/// Pixels multiplied in one call: enough rows for a kernel, few enough to stay in the cache.
const PIXELS: usize = 64;

/// A layer without its weights.
pub(super) struct MatrixPlan {
    layer: LayerShape,
    input_zero: i8,
    rule: Requantization,
    /// Height and width of the padded input; `None` without padding.
    padded: Option<[usize; 2]>,
    /// The input is the matrix of patches.
    direct: bool,
    rows_at_once: usize,
}

/// One weight set of a layer, packed.
pub(crate) struct MatrixWeights {
    packed: PackedWeights,
    /// Per channel, added to every sum: bias and zero point terms.
    offsets: Vec<i32>,
    /// Zero point per channel, where any is not zero.
    zeros: Option<Vec<i32>>,
}

/// The weights of the taps that are added at a time, packed.
pub(crate) struct MatrixFold {
    first: usize,
    packed: PackedWeights,
    /// Zero point terms per channel.
    offsets: Vec<i32>,
}

impl MatrixPlan {
    pub(super) fn new(at: &At<'_>, conv: &Conv2d) -> Self {
        let layer = at.layer();
        let [in_h, in_w, _] = layer.input;
        let reach = |axis: usize| {
            (layer.output[axis] - 1) * layer.stride[axis]
                + (layer.kernel[axis] - 1) * layer.dilation[axis]
                + 1
        };
        let needed = [reach(0).max(layer.padding[0] + in_h), reach(1).max(layer.padding[1] + in_w)];
        let padded = (needed != [in_h, in_w]).then_some(needed);
        let direct = padded.is_none() && layer.kernel == [1, 1] && layer.stride == [1, 1];
        Self {
            input_zero: at.input(0).quantization.zero_point as i8,
            rule: conv.requantization(at.graph.rounding, at.output().quantization.zero_point),
            padded,
            direct,
            rows_at_once: PIXELS.div_ceil(layer.output[1]).min(layer.output[0]),
            layer,
        }
    }
}

impl Plan for MatrixPlan {
    fn work(&self) -> [usize; 3] {
        let pixels = self.rows_at_once * self.layer.output[1];
        let padded = self.padded.map_or(0, |[h, w]| h * w * self.layer.input[2]);
        let patches = if self.direct { 0 } else { pixels * self.layer.k };
        [padded, patches, pixels * self.layer.n]
    }

    fn load(
        &self,
        kernel: &dyn GemmKernel,
        bias: &[i32],
        tensor: &WeightTensor,
        integers: &[i8],
    ) -> NodeWeights {
        let (n, k) = (self.layer.n, self.layer.k);
        let zx = i32::from(self.input_zero);
        let offsets = (0..n).map(|c| {
            let row = &integers[c * k..(c + 1) * k];
            let sum = row.iter().fold(0i32, |sum, &w| sum.wrapping_add(i32::from(w)));
            let all = (k as i32).wrapping_mul(self.zero_of(tensor, c)).wrapping_sub(sum);
            bias[c].wrapping_add(zx.wrapping_mul(all))
        });
        let offsets = offsets.collect();
        let zeros = tensor.zero_points.iter().any(|&z| z != 0);
        NodeWeights::Matrix(MatrixWeights {
            packed: kernel.pack(integers, n, k),
            offsets,
            zeros: zeros.then(|| (0..n).map(|c| self.zero_of(tensor, c)).collect()),
        })
    }

    fn run(&self, run: Run<'_>) {
        let Run { kernel, weights, inputs: [input, _], work, out } = run;
        let NodeWeights::Matrix(weights) = weights else {
            panic!("weights were loaded by an executor of this graph")
        };
        let (n, k) = (self.layer.n, self.layer.k);
        self.blocks(input, work, |first, patches, sums| {
            kernel.gemm(patches, k, sums.len() / n, &weights.packed, sums);
            if let Some(zeros) = &weights.zeros {
                subtract_zeros(zeros, patches.chunks_exact(k), sums);
            }
            let out = &mut out[first..first + sums.len()];
            kernel.requantize(sums, &weights.offsets, &self.rule, out);
        });
    }

    fn load_folds(
        &self,
        kernel: &dyn GemmKernel,
        tensor: &WeightTensor,
        integers: &[i8],
        fold: usize,
    ) -> FoldWeights {
        let (n, k) = (self.layer.n, self.layer.k);
        let zeros: Vec<i32> = (0..n).map(|c| self.zero_of(tensor, c)).collect();
        let of_fold = |first: usize| {
            let taps = fold.min(k - first);
            let rows = integers.chunks_exact(k).map(|row| &row[first..first + taps]);
            let offset = |(row, zero): (&[i8], &i32)| {
                let sum = row.iter().fold(0i32, |sum, &w| sum.wrapping_add(i32::from(w)));
                let all = (taps as i32).wrapping_mul(*zero).wrapping_sub(sum);
                i32::from(self.input_zero).wrapping_mul(all)
            };
            let offsets = rows.clone().zip(&zeros).map(offset).collect();
            let packed = kernel.pack(&rows.flatten().copied().collect::<Vec<i8>>(), n, taps);
            MatrixFold { first, packed, offsets }
        };
        let folds = (0..k).step_by(fold).map(of_fold).collect();
        FoldWeights::Matrix(folds, zeros.iter().any(|&zero| zero != 0).then_some(zeros))
    }

    fn run_folds(&self, run: RunFolds<'_>, through: &mut Through<'_>) {
        let RunFolds { kernel, weights, bias, bias_in_memory, input, work, out } = run;
        let FoldWeights::Matrix(folds, zeros) = weights else {
            panic!("weights were loaded for this layer")
        };
        let (n, k) = (self.layer.n, self.layer.k);
        let mut products = vec![0; self.work()[2]];
        self.blocks(input, work, |first, patches, sums| {
            let mut read = 0;
            let mut reread = |sums: &mut [i32]| {
                through(read, first, sums);
                read += 1;
            };
            sums.chunks_exact_mut(n).for_each(|pixel| pixel.copy_from_slice(bias));
            if bias_in_memory {
                reread(sums);
            }
            let pixels = sums.len() / n;
            for (number, MatrixFold { first, packed, offsets }) in folds.iter().enumerate() {
                if number > 0 {
                    reread(sums);
                }
                let products = &mut products[..sums.len()];
                kernel.gemm(&patches[*first..], k, pixels, packed, products);
                if let Some(zeros) = zeros {
                    let taps = *first..*first + packed.k();
                    let rows = patches.chunks_exact(k).map(|row| &row[taps.clone()]);
                    subtract_zeros(zeros, rows, products);
                }
                for (sums, products) in sums.chunks_exact_mut(n).zip(products.chunks_exact(n)) {
                    for ((sum, &product), &offset) in sums.iter_mut().zip(products).zip(offsets) {
                        *sum = sum.wrapping_add(product).wrapping_add(offset);
                    }
                }
            }
            reread(sums);
            kernel.requantize(sums, &vec![0; n], &self.rule, &mut out[first..first + sums.len()]);
        });
    }
}

impl MatrixPlan {
    fn zero_of(&self, tensor: &WeightTensor, channel: usize) -> i32 {
        tensor.zero_points[channel % tensor.zero_points.len()]
    }

    /// Some output rows at a time: the first element, the patches of its pixels and room for their sums.
    fn blocks(
        &self,
        input: &[i8],
        work: &mut Work,
        mut block: impl FnMut(usize, &[i8], &mut [i32]),
    ) {
        let [out_h, out_w, _] = self.layer.output;
        let (n, k) = (self.layer.n, self.layer.k);
        let (source, width) = match self.padded {
            None => (input, self.layer.input[1]),
            Some([h, w]) => {
                let padded = &mut work.padded[..h * w * self.layer.input[2]];
                pad(&self.layer, input, self.input_zero, w, padded);
                (&*padded, w)
            }
        };
        for top in (0..out_h).step_by(self.rows_at_once) {
            let rows = self.rows_at_once.min(out_h - top);
            let pixels = rows * out_w;
            let first = top * out_w;
            let patches = if self.direct {
                &source[first * k..(first + pixels) * k]
            } else {
                let patches = &mut work.patches[..pixels * k];
                gather(&self.layer, source, width, top, rows, patches);
                &*patches
            };
            block(first * n, patches, &mut work.sums[..pixels * n]);
        }
    }
}

/// Copies the input into a frame of its zero point.
fn pad(layer: &LayerShape, input: &[i8], zero: i8, width: usize, padded: &mut [i8]) {
    let [_, in_w, c] = layer.input;
    let [top, left] = layer.padding;
    padded.fill(zero);
    let rows = padded.chunks_exact_mut(width * c).skip(top);
    for (padded, row) in rows.zip(input.chunks_exact(in_w * c)) {
        padded[left * c..(left + in_w) * c].copy_from_slice(row);
    }
}

/// Copies the patches of `rows` output rows, one after the other.
fn gather(
    layer: &LayerShape,
    source: &[i8],
    width: usize,
    top: usize,
    rows: usize,
    patches: &mut [i8],
) {
    let c = layer.input[2];
    let [kh, kw] = layer.kernel;
    // Adjacent taps form one run.
    let (runs, run) = if layer.dilation[1] == 1 { (1, kw * c) } else { (kw, c) };
    let mut patches = patches.chunks_exact_mut(run);
    for oy in top..top + rows {
        for ox in 0..layer.output[1] {
            for ky in 0..kh {
                let y = oy * layer.stride[0] + ky * layer.dilation[0];
                for r in 0..runs {
                    let x = ox * layer.stride[1] + r * layer.dilation[1];
                    let from = (y * width + x) * c;
                    if let Some(patch) = patches.next() {
                        copy_run(&source[from..from + run], patch);
                    }
                }
            }
        }
    }
}

/// A copy whose common lengths are known to the compiler: a call of `memcpy` for 48 bytes costs
/// more than the copy.
#[inline(always)]
fn copy_run(from: &[i8], to: &mut [i8]) {
    fn fixed<const N: usize>(from: &[i8], to: &mut [i8]) {
        if let (Some(from), Some(to)) = (from.first_chunk::<N>(), to.first_chunk_mut::<N>()) {
            *to = *from;
        }
    }
    match to.len() {
        9 => fixed::<9>(from, to),
        16 => fixed::<16>(from, to),
        32 => fixed::<32>(from, to),
        48 => fixed::<48>(from, to),
        96 => fixed::<96>(from, to),
        192 => {
            // In two halves: compilers call `memcpy` for arrays above 128 bytes.
            let ((from, from_rest), (to, to_rest)) = (from.split_at(96), to.split_at_mut(96));
            fixed::<96>(from, to);
            fixed::<96>(from_rest, to_rest);
        }
        _ => to.copy_from_slice(from),
    }
}

/// `sums[pixel][channel] -= zeros[channel] * sum of the patch`.
fn subtract_zeros<'p>(zeros: &[i32], patches: impl Iterator<Item = &'p [i8]>, sums: &mut [i32]) {
    for (patch, sums) in patches.zip(sums.chunks_exact_mut(zeros.len())) {
        let total = patch.iter().fold(0i32, |sum, &x| sum.wrapping_add(i32::from(x)));
        for (sum, &zero) in sums.iter_mut().zip(zeros) {
            *sum = sum.wrapping_sub(zero.wrapping_mul(total));
        }
    }
}
