//! Single outputs of a product layer, with the partial sum seen each time it leaves the array.
//!
//! The array adds `fold` taps at a time; between folds the sum waits in the accumulator memory. Taps are in
//! the order of the weights: row, column, input channel of the kernel. Inputs enter the array less their
//! zero point, weights less theirs, so that taps in the padding add nothing:
//!
//! ```text
//!  sum = bias, or 0                         first word in the memory
//!  sum = through(sum) + taps 0..fold        fold 0; `through` only if the bias lay in the memory
//!  sum = through(sum) + taps fold..2 fold   fold 1
//!  ...
//!  output = requantized(through(sum))
//! ```

use crate::{Conv2d, ConvKind, Graph, Rounding};

/// A convolution or fully connected layer, output by output.
///
/// [`Self::output`] gives the codes of [`super::reference::run`] if `through` changes no sum. It is
/// fast enough where few outputs are needed.
pub struct OutputSums<'g> {
    conv: &'g Conv2d,
    rounding: Rounding,
    /// `[out, taps]`, less their zero points.
    weights: Vec<i32>,
    taps: usize,
    /// Height, width, channels.
    input: [usize; 3],
    output: [usize; 3],
    kernel: [usize; 2],
    /// Input channels that an output channel sees.
    per_group: usize,
    input_zero: i32,
    output_zero: i32,
}

impl<'g> OutputSums<'g> {
    /// A node's sums under weight codes as the memory returned them; none if the node is no product.
    ///
    /// # Panics
    /// If `node` is out of range, `codes` do not have the lengths of the graph's, or the graph does not
    /// pass [`Graph::validate`].
    #[must_use]
    pub fn new(graph: &'g Graph, codes: &[Vec<u8>], node: usize) -> Option<Self> {
        let conv = graph.nodes[node].op.product()?;
        let tensor = &graph.weights[conv.weights.0];
        let from = &graph.tensors[graph.nodes[node].inputs[0].0];
        let to = &graph.tensors[graph.nodes[node].output.0];
        let codes = &codes[conv.weights.0];
        assert_eq!(codes.len(), tensor.codes.len(), "one code per weight");
        let channels = tensor.shape[0];
        let taps = codes.len() / channels;
        let table = tensor.encoding.decode_table(tensor.bits);
        let weight = |(index, &code): (usize, &u8)| {
            let zero = tensor.zero_points[index / taps % tensor.zero_points.len()];
            i32::from(table[usize::from(code)]) - zero
        };
        let layer = graph.layer(node);
        Some(Self {
            conv,
            rounding: graph.rounding,
            weights: codes.iter().enumerate().map(weight).collect(),
            taps,
            input: layer.input,
            output: layer.output,
            kernel: layer.kernel,
            per_group: taps / (layer.kernel[0] * layer.kernel[1]),
            input_zero: from.quantization.zero_point,
            output_zero: to.quantization.zero_point,
        })
    }

    /// Output `element` for this input tensor: [`Self::sum`] requantized.
    ///
    /// # Panics
    /// As [`Self::sum`].
    pub fn output(
        &self,
        input: &[i8],
        element: usize,
        fold: usize,
        bias_in_memory: bool,
        through: impl FnMut(i32) -> i32,
    ) -> i8 {
        let sum = self.sum(input, element, fold, bias_in_memory, through);
        let scaled = self.conv.scaled(self.rounding, element % self.output[2], sum);
        self.conv.activation.clamp(scaled.wrapping_add(self.output_zero))
    }

    /// The sum of output `element` as the requantization reads it, `fold` taps at a time; `through` sees every
    /// sum that is read from the memory, the bias too if `bias_in_memory`.
    ///
    /// # Panics
    /// If `element` or `input` are not of this layer, or `fold` is 0.
    pub fn sum(
        &self,
        input: &[i8],
        element: usize,
        fold: usize,
        bias_in_memory: bool,
        mut through: impl FnMut(i32) -> i32,
    ) -> i32 {
        assert!(fold > 0, "a fold has taps");
        let bias = self.conv.bias[element % self.output[2]];
        let mut sum = if bias_in_memory { through(bias) } else { bias };
        let mut first = 0;
        while first < self.taps {
            let last = self.taps.min(first + fold);
            if first > 0 {
                sum = through(sum);
            }
            sum = sum.wrapping_add(self.products(input, element, first, last));
            first = last;
        }
        through(sum)
    }

    /// The sum of the products of taps `first..last`.
    fn products(&self, input: &[i8], element: usize, first: usize, last: usize) -> i32 {
        let [height, width, channels] = self.input;
        let [_, out_width, out_channels] = self.output;
        let (pixel, channel) = (element / out_channels, element % out_channels);
        let (out_y, out_x) = (pixel / out_width, pixel % out_width);
        let weights = &self.weights[channel * self.taps..][..self.taps];
        let in_channel = match self.conv.kind {
            ConvKind::Dense | ConvKind::FullyConnected => 0,
            ConvKind::Depthwise => channel / (out_channels / channels),
        };
        let [stride_y, stride_x] = self.conv.stride;
        let [dilation_y, dilation_x] = self.conv.dilation;
        let [top, left] = self.conv.padding;
        let mut sum = 0_i32;
        let mut tap = first;
        while tap < last {
            let (position, within) = (tap / self.per_group, tap % self.per_group);
            let count = (self.per_group - within).min(last - tap);
            let (kernel_y, kernel_x) = (position / self.kernel[1], position % self.kernel[1]);
            let y = (out_y * stride_y + kernel_y * dilation_y).checked_sub(top);
            let x = (out_x * stride_x + kernel_x * dilation_x).checked_sub(left);
            if let (Some(y), Some(x)) = (y.filter(|&y| y < height), x.filter(|&x| x < width)) {
                let from = (y * width + x) * channels + in_channel + within;
                let pairs = weights[tap..tap + count].iter().zip(&input[from..from + count]);
                sum = pairs.fold(sum, |sum, (&weight, &code)| {
                    sum.wrapping_add(weight * (i32::from(code) - self.input_zero))
                });
            }
            tap += count;
        }
        sum
    }
}
