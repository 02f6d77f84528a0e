//! Depthwise convolution: a loop over channels inside a loop over window positions.

use vmin_kernels::{GemmKernel, Requantization};

use super::Conv2d;
use crate::ops::{At, NodeWeights, Plan, Run};
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
        let (channels, k) = (self.layer.output[2], self.layer.k);
        let zero_of = |c: usize| tensor.zero_points[c % tensor.zero_points.len()] as i16;
        let at = |tap: usize, c: usize| i16::from(integers[c * k + tap]) - zero_of(c);
        let taps = (0..k).flat_map(|tap| (0..channels).map(move |c| at(tap, c))).collect();
        NodeWeights::Depthwise(DepthwiseWeights { taps, bias: bias.to_vec() })
    }

    fn run(&self, run: Run<'_>) {
        let Run { kernel, weights, inputs: [input, _], work, out } = run;
        let NodeWeights::Depthwise(weights) = weights else {
            panic!("weights were loaded by an executor of this graph")
        };
        let layer = &self.layer;
        let [in_h, in_w, in_c] = layer.input;
        let [_, out_w, channels] = layer.output;
        let ([kh, kw], [sv, sh], [dv, dh]) = (layer.kernel, layer.stride, layer.dilation);
        let [top, left] = layer.padding;
        let sums = &mut work.sums[..channels];
        for (pixel, out) in out.chunks_exact_mut(channels).enumerate() {
            let (oy, ox) = (pixel / out_w, pixel % out_w);
            sums.fill(0);
            for ky in 0..kh {
                let Some(iy) = (oy * sv + ky * dv).checked_sub(top).filter(|&y| y < in_h) else {
                    continue;
                };
                for kx in 0..kw {
                    let Some(ix) = (ox * sh + kx * dh).checked_sub(left).filter(|&x| x < in_w)
                    else {
                        continue;
                    };
                    let from = (iy * in_w + ix) * in_c;
                    let x = &input[from..from + in_c];
                    let tap = (ky * kw + kx) * channels;
                    accumulate(&weights.taps[tap..tap + channels], x, self.input_zero, sums);
                }
            }
            kernel.requantize(sums, &weights.bias, &self.rule, out);
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
