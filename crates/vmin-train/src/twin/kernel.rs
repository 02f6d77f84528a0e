//! Kernels of any window as square kernels with the same padding on all sides.
//!
//! The trainer's convolutions have square kernels and equal padding. A kernel of another kind is placed in a larger one
//! whose other weights are 0: after `above` rows of zeros for padding that lacks at the top, with `dilation - 1` zeros
//! between taps, and, where each output sees one input channel, zeros for the others. That costs time, and changes
//! nothing.

use vmin_nn::{Conv2d, ConvKind, Tensor, WeightTensor};

/// Where the weights of a tensor lie in the parameter of a layer.
#[derive(Clone, Debug)]
pub(super) struct Embedding {
    /// Weights per output channel, and their `[columns, channels]`.
    per_channel: usize,
    window: [usize; 2],
    outputs: usize,
    /// Size of the square kernel, and channels of the layer's input.
    pub(super) kernel: usize,
    inputs: usize,
    first: [usize; 2],
    dilation: [usize; 2],
    /// Output channels per input channel, where each sees one.
    multiplier: Option<usize>,
    /// Padding of the square kernel.
    pub(super) padding: usize,
}

impl Embedding {
    /// A fully connected layer: as it is.
    pub(super) fn flat(weights: &WeightTensor) -> Self {
        let outputs = weights.shape[0];
        let per_channel = weights.codes.len() / outputs.max(1);
        Self {
            per_channel,
            window: [1, per_channel],
            outputs,
            kernel: 1,
            inputs: per_channel,
            first: [0; 2],
            dilation: [1; 2],
            multiplier: None,
            padding: 0,
        }
    }

    /// A convolution from `[height, width, channels]` to a shape of its outputs.
    pub(super) fn of(conv: &Conv2d, weights: &WeightTensor, from: &Tensor, to: &Tensor) -> Self {
        let (size, inputs) = ([from.shape[0], from.shape[1]], from.shape[2]);
        let taps = [weights.shape[1], weights.shape[2]];
        let covered = |axis: usize| (taps[axis] - 1) * conv.dilation[axis] + 1;
        let kernel_with = |padding: usize| {
            (0..2).map(|axis| padding - conv.padding[axis] + covered(axis)).max().unwrap_or(1)
        };
        // The last window ends within the padded image; each step makes room for one more element.
        let fits = |padding: usize| {
            let end = |axis: usize| (to.shape[axis] - 1) * conv.stride[axis] + kernel_with(padding);
            (0..2).all(|axis| end(axis) <= size[axis] + 2 * padding)
        };
        let least = conv.padding.into_iter().max().unwrap_or(0);
        let padding = (least..).find(|&padding| fits(padding)).unwrap_or(least);
        let (first, kernel) = (conv.padding.map(|before| padding - before), kernel_with(padding));
        let per_group = weights.shape[3];
        Self {
            per_channel: taps[0] * taps[1] * per_group,
            window: [taps[1], per_group],
            outputs: weights.shape[0],
            kernel,
            inputs,
            first,
            dilation: conv.dilation,
            multiplier: match conv.kind {
                ConvKind::Depthwise => Some((weights.shape[0] / inputs.max(1)).max(1)),
                ConvKind::Dense | ConvKind::FullyConnected => None,
            },
            padding,
        }
    }

    /// Elements of the layer's parameter.
    pub(super) fn elements(&self) -> Option<usize> {
        let area = self.kernel.checked_mul(self.kernel)?;
        self.outputs.checked_mul(area)?.checked_mul(self.inputs)
    }

    /// Codes of the tensor.
    pub(super) fn codes(&self) -> usize {
        self.outputs * self.per_channel
    }

    /// Output channel of a code.
    pub(super) fn channel(&self, index: usize) -> usize {
        index / self.per_channel
    }

    /// Index of a code's weight in the parameter.
    pub(super) fn place(&self, index: usize) -> usize {
        let (output, rest) = (index / self.per_channel, index % self.per_channel);
        let [columns, channels] = self.window;
        let (row, column) = (rest / channels / columns, rest / channels % columns);
        let channel = self.multiplier.map_or(rest % channels, |multiplier| output / multiplier);
        let y = self.first[0] + row * self.dilation[0];
        let x = self.first[1] + column * self.dilation[1];
        ((output * self.kernel + y) * self.kernel + x) * self.inputs + channel
    }
}
