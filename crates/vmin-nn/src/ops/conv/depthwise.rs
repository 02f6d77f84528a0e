//! Depthwise convolution: a loop over channels inside a loop over window positions.

use std::ops::Range;

use vmin_kernels::{GemmKernel, Requantization};

use super::Conv2d;
use crate::ops::{At, FoldWeights, NodeWeights, Plan, Run, RunFolds, Through};
use crate::{LayerShape, WeightTensor};

/// A layer without its weights.
pub(super) struct DepthwisePlan {
    layer: LayerShape,
    input_zero: i16,
    rule: Requantization,
}

/// One weight set, `[tap][channel]`, less the zero points.
pub(crate) struct DepthwiseWeights {
    taps: Vec<i16>,
    bias: Vec<i32>,
}

impl DepthwisePlan {
    pub(super) fn new(at: &At<'_>, conv: &Conv2d) -> Self {
        Self {
            layer: at.layer(),
            input_zero: at.input(0).quantization.zero_point as i16,
            rule: conv.requantization(at.graph.rounding, at.output().quantization.zero_point),
        }
    }
}

impl Plan for DepthwisePlan {
    fn work(&self) -> [usize; 3] {
        [0, 0, self.layer.output[2]]
    }

    fn load(
        &self,
        _: &dyn GemmKernel,
        bias: &[i32],
        tensor: &WeightTensor,
        integers: &[i8],
    ) -> NodeWeights {
        let taps = self.taps(tensor, integers);
        NodeWeights::Depthwise(DepthwiseWeights { taps, bias: bias.to_vec() })
    }

    fn run(&self, run: Run<'_>) {
        let Run { kernel, weights, inputs: [input, _], work, out } = run;
        let NodeWeights::Depthwise(weights) = weights else {
            panic!("weights were loaded by an executor of this graph")
        };
        let channels = self.layer.output[2];
        let sums = &mut work.sums[..channels];
        for (pixel, out) in out.chunks_exact_mut(channels).enumerate() {
            sums.fill(0);
            self.add(input, &weights.taps, pixel, 0..self.layer.k, sums);
            kernel.requantize(sums, &weights.bias, &self.rule, out);
        }
    }

    fn load_folds(
        &self,
        _: &dyn GemmKernel,
        tensor: &WeightTensor,
        integers: &[i8],
        fold: usize,
    ) -> FoldWeights {
        FoldWeights::Depthwise { taps: self.taps(tensor, integers), fold }
    }

    fn run_folds(&self, run: RunFolds<'_>, through: &mut Through<'_>) {
        let RunFolds { kernel, weights, bias, bias_in_memory, input, work, out } = run;
        let FoldWeights::Depthwise { taps, fold } = weights else {
            panic!("weights were loaded for this layer")
        };
        let (channels, k) = (self.layer.output[2], self.layer.k);
        let sums = &mut work.sums[..channels];
        let zeros = vec![0; channels];
        for (pixel, out) in out.chunks_exact_mut(channels).enumerate() {
            let mut read = 0;
            let mut reread = |sums: &mut [i32]| {
                through(read, pixel * channels, sums);
                read += 1;
            };
            sums.copy_from_slice(bias);
            if bias_in_memory {
                reread(sums);
            }
            for first in (0..k).step_by(*fold) {
                if first > 0 {
                    reread(sums);
                }
                self.add(input, taps, pixel, first..k.min(first + fold), sums);
            }
            reread(sums);
            kernel.requantize(sums, &zeros, &self.rule, out);
        }
    }
}

impl DepthwisePlan {
    /// The weights less their zero points, `[tap][channel]`.
    fn taps(&self, tensor: &WeightTensor, integers: &[i8]) -> Vec<i16> {
        let (channels, k) = (self.layer.output[2], self.layer.k);
        let zero_of = |c: usize| tensor.zero_points[c % tensor.zero_points.len()] as i16;
        let at = |tap: usize, c: usize| i16::from(integers[c * k + tap]) - zero_of(c);
        (0..k).flat_map(|tap| (0..channels).map(move |c| at(tap, c))).collect()
    }

    /// Adds some taps of an output pixel; those in the padding add nothing.
    fn add(&self, input: &[i8], taps: &[i16], pixel: usize, range: Range<usize>, sums: &mut [i32]) {
        let layer = &self.layer;
        let [in_h, in_w, in_c] = layer.input;
        let (oy, ox) = (pixel / layer.output[1], pixel % layer.output[1]);
        for tap in range {
            let (ky, kx) = (tap / layer.kernel[1], tap % layer.kernel[1]);
            let at = |axis: usize, out: usize, of: usize, length: usize| {
                let place = out * layer.stride[axis] + of * layer.dilation[axis];
                place.checked_sub(layer.padding[axis]).filter(|&place| place < length)
            };
            let (Some(iy), Some(ix)) = (at(0, oy, ky, in_h), at(1, ox, kx, in_w)) else {
                continue;
            };
            let x = &input[(iy * in_w + ix) * in_c..][..in_c];
            accumulate(&taps[tap * sums.len()..][..sums.len()], x, self.input_zero, sums);
        }
    }
}

/// `sums[c] += (x[c / multiplier] - zero) * w[c]`; sums of at most 2^16 products below 2^16 wrap as
/// the reference does.
fn accumulate(w: &[i16], x: &[i8], zero: i16, sums: &mut [i32]) {
    if w.len() == x.len() {
        for ((sum, &w), &x) in sums.iter_mut().zip(w).zip(x) {
            *sum = sum.wrapping_add(i32::from(i16::from(x) - zero) * i32::from(w));
        }
        return;
    }
    let multiplier = w.len() / x.len();
    let groups = sums.chunks_exact_mut(multiplier).zip(w.chunks_exact(multiplier));
    for ((sums, w), &x) in groups.zip(x) {
        for (sum, &w) in sums.iter_mut().zip(w) {
            *sum = sum.wrapping_add(i32::from(i16::from(x) - zero) * i32::from(w));
        }
    }
}
