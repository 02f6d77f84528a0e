//! Average and maximum over windows.

use serde::{Deserialize, Serialize};

use super::{At, Operator, Plan, Run, Window, position};
use crate::layers::height_width_channels;
use crate::{Activation, Dtype, LayerShape, Limits, ModelError, Tensor};

/// Average or maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// Mean over the valid elements, rounded half away from zero.
    Average,
    /// Maximum over the valid elements.
    Max,
}

/// A pooling window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool2d {
    /// Average or maximum.
    pub kind: PoolKind,
    /// `[height, width]` of the window.
    pub window: [usize; 2],
    /// `[vertical, horizontal]` stride.
    pub stride: [usize; 2],
    /// `[top, left]` padding, never counted in the mean.
    pub padding: [usize; 2],
    /// Clamp of the output.
    #[serde(rename = "clamp")]
    pub activation: Activation,
}

impl Operator for Pool2d {
    fn kind(&self) -> &'static str {
        match self.kind {
            PoolKind::Average => "average_pool",
            PoolKind::Max => "max_pool",
        }
    }

    fn check(&self, at: &At<'_>, _: &Limits) -> Result<(), ModelError> {
        at.check_activation(self.activation)?;
        at.check_same_quantization()?;
        let (input, output) = (at.input(0), at.output());
        match (&*input.shape, &*output.shape) {
            (&[_, _, from], &[_, _, to]) if from == to && input.dtype == output.dtype => {}
            _ => {
                let found = format!("{:?} -> {:?}", input.shape, output.shape);
                let rule = "pooling keeps [_, _, channels] and type";
                return Err(at.error(rule, found));
            }
        }
        let covered = self.window[0].checked_mul(self.window[1]);
        if covered.is_none_or(|c| c > 1 << 20) {
            let rule = "a window has at most 2^20 elements";
            return Err(at.error(rule, format!("{:?}", self.window)));
        }
        let window = Window {
            size: self.window,
            stride: self.stride,
            dilation: [1, 1],
            padding: self.padding,
        };
        window.check(at)
    }

    fn layer(&self, _: &At<'_>, plain: LayerShape) -> LayerShape {
        let Self { window, stride, padding, .. } = *self;
        LayerShape { kernel: window, stride, padding, ..plain }
    }

    fn reference(&self, at: &At<'_>, _: &[Vec<u8>], inputs: &[&[i8]]) -> Vec<i8> {
        pooling(self, at.input(0), at.output(), inputs[0])
    }

    fn plan(&self, at: &At<'_>) -> Box<dyn Plan> {
        Box::new(PoolPlan { layer: at.layer(), pool: self.clone(), dtype: at.input(0).dtype })
    }
}

fn pooling(pool: &Pool2d, from: &Tensor, to: &Tensor, x: &[i8]) -> Vec<i8> {
    let [in_h, in_w, channels] = height_width_channels(&from.shape);
    let [out_h, out_w, _] = height_width_channels(&to.shape);
    let ([sv, sh], [pt, pl]) = (pool.stride, pool.padding);
    let mut out = Vec::with_capacity(out_h * out_w * channels);
    for oy in 0..out_h {
        for ox in 0..out_w {
            for c in 0..channels {
                let mut values = Vec::new();
                for ky in 0..pool.window[0] {
                    let Some(iy) = position(oy, sv, ky, 1, pt, in_h) else { continue };
                    for kx in 0..pool.window[1] {
                        let Some(ix) = position(ox, sh, kx, 1, pl, in_w) else { continue };
                        values.push(i32::from(x[(iy * in_w + ix) * channels + c]));
                    }
                }
                let value = match pool.kind {
                    PoolKind::Max => values.iter().copied().max().unwrap_or(-128),
                    PoolKind::Average => mean(values.iter().sum(), values.len() as i32, from.dtype),
                };
                out.push(pool.activation.clamp(value));
            }
        }
    }
    out
}

/// The mean of `count` codes, rounded half away from the zero of the declared element type.
fn mean(sum: i32, count: i32, dtype: Dtype) -> i32 {
    let shift = match dtype {
        Dtype::I8 => 0,
        Dtype::U8 => 128,
    };
    let sum = sum + shift * count;
    let half = if sum > 0 { count / 2 } else { -(count / 2) };
    (sum + half) / count - shift
}

/// A loop over channels inside a loop over window positions.
struct PoolPlan {
    layer: LayerShape,
    pool: Pool2d,
    dtype: Dtype,
}

impl Plan for PoolPlan {
    fn work(&self) -> [usize; 3] {
        [0, 0, self.layer.output[2]]
    }

    fn run(&self, run: Run<'_>) {
        let (input, work, out) = (run.inputs[0], run.work, run.out);
        let [in_h, in_w, channels] = self.layer.input;
        let out_w = self.layer.output[1];
        let ([sv, sh], [top, left]) = (self.pool.stride, self.pool.padding);
        let [wh, ww] = self.pool.window;
        let values = &mut work.sums[..channels];
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
                *out = self.pool.activation.clamp(code);
            }
        }
    }
}
