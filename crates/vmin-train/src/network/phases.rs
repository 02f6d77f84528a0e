//! The gradient of the input of a convolution, as products of gathered rows.
//!
//! With stride s, all input pixels with one remainder modulo s use the same taps of the kernel, and consecutive
//! ones use neighbouring output pixels: each remainder (a *phase*) is a convolution of the padded `dy` with stride 1
//! and reversed taps. No zeros are inserted and multiplied.
//!
//! ```text
//!  s = 2, kernel 3, padding 1     input  0  1  2  3  4      even pixels: tap 1 of one output
//!                                 output 0     1     2      odd pixels: tap 2 of the one before,
//!                                                                       tap 0 of the one after it
//! ```

use vmin_kernels::float::Gather;

use super::Conv2d;
use super::panels::panels;
use crate::real::Real;

/// One phase in both axes.
pub(super) struct Phase<T> {
    at: Vec<usize>,
    runs: usize,
    stride: usize,
    run: usize,
    /// Weights by `[tap row, tap column, output channel][input channel]`.
    pub(super) panels: Vec<T>,
    /// Start of each row in `dx`.
    pub(super) to: Vec<usize>,
}

impl<T> Phase<T> {
    /// The rows, without values.
    pub(super) fn gather(&self) -> Gather<'_, T> {
        let Self { at, runs, stride, run, .. } = self;
        Gather { values: &[], at, runs: *runs, stride: *stride, run: *run }
    }
}

/// One phase along one axis.
#[derive(Clone, Copy)]
struct AxisPhase {
    /// First input position.
    first: usize,
    /// Number of input positions, a stride apart.
    count: usize,
    /// Highest tap, which is used first.
    tap: usize,
    /// Number of taps.
    taps: usize,
    /// Output position, in the padded `dy`, of the first tap of the first input position.
    start: usize,
}

/// The phases of one axis, and the zeros before and after its outputs.
fn axis(conv: &Conv2d, axis: usize) -> (Vec<AxisPhase>, [usize; 2]) {
    let (size, outputs) = (conv.input[axis], conv.output[axis]);
    let phase = |first: usize| {
        let taps = (0..conv.kernel).filter(|tap| {
            (first + conv.padding + tap * (conv.stride - 1)).is_multiple_of(conv.stride)
        });
        let (taps, tap) = taps.fold((0, 0), |(count, _), tap| (count + 1, tap));
        let count = size.saturating_sub(first).div_ceil(conv.stride);
        (first, count, tap, taps)
    };
    let phases = (0..conv.stride).map(phase).filter(|&(_, count, _, taps)| count > 0 && taps > 0);
    let phases: Vec<_> = phases.collect();
    // The output position of the first tap is (first + padding - tap) / stride, which may be negative.
    let lack =
        |tap: usize, first: usize| tap.saturating_sub(first + conv.padding).div_ceil(conv.stride);
    let before = phases.iter().map(|&(first, _, tap, _)| lack(tap, first)).max().unwrap_or(0);
    let phases: Vec<AxisPhase> = phases
        .into_iter()
        .map(|(first, count, tap, taps)| {
            let start = (first + conv.padding + before * conv.stride - tap) / conv.stride;
            AxisPhase { first, count, tap, taps, start }
        })
        .collect();
    let end = phases.iter().map(|phase| phase.start + phase.count + phase.taps - 1).max();
    let after = end.unwrap_or(0).saturating_sub(before + outputs);
    (phases, [before, after])
}

/// All phases, and the margins `[[top, bottom], [left, right]]` that `dy` needs.
pub(super) fn phases<T: Real>(conv: &Conv2d, weights: &[T]) -> (Vec<Phase<T>>, [[usize; 2]; 2]) {
    let ((rows, vertical), (columns, horizontal)) = (axis(conv, 0), axis(conv, 1));
    let [_, width, channels] = conv.input;
    let out = conv.output[2];
    let padded = conv.output[1] + horizontal[0] + horizontal[1];
    let mut phases = Vec::new();
    for row in &rows {
        for column in &columns {
            let pixels = (0..row.count).flat_map(|y| (0..column.count).map(move |x| (y, x)));
            let at = pixels
                .clone()
                .map(|(y, x)| ((row.start + y) * padded + column.start + x) * out)
                .collect();
            let to = pixels
                .map(|(y, x)| (row.first + y * conv.stride, column.first + x * conv.stride))
                .map(|(y, x)| (y * width + x) * channels)
                .collect();
            let run = column.taps * out;
            let panels = panels(row.taps * run, channels, |k, channel| {
                let (ty, tx, output) = (k / run, k % run / out, k % out);
                let (ky, kx) = (row.tap - ty * conv.stride, column.tap - tx * conv.stride);
                weights[((output * conv.kernel + ky) * conv.kernel + kx) * channels + channel]
            });
            phases.push(Phase { at, runs: row.taps, stride: padded * out, run, panels, to });
        }
    }
    (phases, [vertical, horizontal])
}
