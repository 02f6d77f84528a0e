//! Pooling: a loop over channels inside a loop over window positions.

use super::reference::mean;
use super::scratch::Work;
use crate::{Dtype, Graph, LayerShape, Pool2d, PoolKind};

/// One pooling layer.
pub(super) struct PoolPlan {
    layer: LayerShape,
    pool: Pool2d,
    dtype: Dtype,
}

impl PoolPlan {
    pub(super) fn new(graph: &Graph, node: usize, pool: &Pool2d) -> Self {
        let dtype = graph.tensors[graph.nodes[node].inputs[0].0].dtype;
        Self { layer: graph.layer(node), pool: pool.clone(), dtype }
    }

    /// Length of the row of sums.
    pub(super) fn work(&self) -> [usize; 3] {
        [0, 0, self.layer.output[2]]
    }

    pub(super) fn run(&self, input: &[i8], work: &mut Work, out: &mut [i8]) {
        let [in_h, in_w, channels] = self.layer.input;
        let out_w = self.layer.output[1];
        let ([sv, sh], [top, left]) = (self.pool.stride, self.pool.padding);
        let [wh, ww] = self.pool.window;
        let values = &mut work.sums[..channels];
        let (min, max) = (self.pool.activation.min, self.pool.activation.max);
        for (pixel, out) in out.chunks_exact_mut(channels).enumerate() {
            // The part of the window that lies inside the input.
            let (y, x) = (pixel / out_w * sv, pixel % out_w * sh);
            let ys = y.saturating_sub(top)..(y + wh).saturating_sub(top).min(in_h);
            let xs = x.saturating_sub(left)..(x + ww).saturating_sub(left).min(in_w);
            let count = (ys.len() * xs.len()) as i32;
            values.fill(match self.pool.kind {
                PoolKind::Max => -128,
                PoolKind::Average => 0,
            });
            for iy in ys {
                let row = &input[iy * in_w * channels..(iy + 1) * in_w * channels];
                for x in row[xs.start * channels..xs.end * channels].chunks_exact(channels) {
                    let pairs = values.iter_mut().zip(x);
                    match self.pool.kind {
                        PoolKind::Max => pairs.for_each(|(v, &x)| *v = (*v).max(i32::from(x))),
                        PoolKind::Average => pairs.for_each(|(v, &x)| *v += i32::from(x)),
                    }
                }
            }
            for (out, &value) in out.iter_mut().zip(&*values) {
                let code = match self.pool.kind {
                    PoolKind::Max => value,
                    PoolKind::Average => mean(value, count, self.dtype),
                };
                *out = code.clamp(i32::from(min), i32::from(max)) as i8;
            }
        }
    }
}
