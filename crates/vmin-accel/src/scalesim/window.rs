//! The windows of a convolution over its input, as addresses.

/// How the rows of the activation matrix lie in memory: window `i` starts at a pixel, element `j` of it
/// is so many words further. The input is stored row by row, channels together.
///
/// A plain product of `m x k` is a window of `1 x k` pixels of one channel over an input of `m x k`.
/// Padding belongs to the input: SCALE-Sim has none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Window {
    /// Rows and columns of the input, padding included.
    pub input: [u64; 2],
    /// Rows and columns of one window.
    pub kernel: [u64; 2],
    /// Pixels between windows.
    pub stride: [u64; 2],
    /// Pixels between the elements of a window.
    pub dilation: [u64; 2],
    /// Channels of the input.
    pub channels: u64,
    /// Rows and columns of windows.
    pub output: [u64; 2],
}

impl Window {
    /// The activation matrix of a plain product.
    #[must_use]
    pub const fn product(m: u64, k: u64) -> Self {
        Self {
            input: [m, k],
            kernel: [1, k],
            stride: [1, 1],
            dilation: [1, 1],
            channels: 1,
            output: [m, 1],
        }
    }

    /// The windows SCALE-Sim sees: `ceil((input - kernel + stride) / stride)` of them along each axis,
    /// so that a stride which does not divide makes a last window that hangs over the edge. `None` if
    /// a size is zero, a window exceeds the input or the numbers exceed 2^40.
    #[must_use]
    pub fn scalesim(
        input: [u64; 2],
        kernel: [u64; 2],
        channels: u64,
        stride: [u64; 2],
    ) -> Option<Self> {
        let sane = 1..=1 << 24;
        let mut sizes = input.iter().chain(&kernel).chain(&stride).chain([&channels]);
        let windows = |axis: usize| {
            Some((input[axis].checked_sub(kernel[axis])? + stride[axis]).div_ceil(stride[axis]))
        };
        if !sizes.all(|size| sane.contains(size)) {
            return None;
        }
        let small = |product: Option<u64>| product.is_some_and(|words| words <= 1 << 40);
        let words = |[rows, columns]: [u64; 2]| (rows * columns).checked_mul(channels);
        let window = Self {
            input,
            kernel,
            stride,
            dilation: [1, 1],
            channels,
            output: [windows(0)?, windows(1)?],
        };
        (small(words(input)) && small(words(kernel)) && small(words(window.output)))
            .then_some(window)
    }

    /// Windows: rows of the activation matrix.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.output[0] * self.output[1]
    }

    /// Words of one window: columns of the activation matrix.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.kernel[0] * self.kernel[1] * self.channels
    }

    /// Pixels from the first to the last of a window along an axis.
    const fn reach(&self, axis: usize) -> u64 {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    /// Whether a last window hangs over the edge of the input.
    #[must_use]
    pub const fn overhangs(&self) -> bool {
        self.overhangs_along(0) || self.overhangs_along(1)
    }

    const fn overhangs_along(&self, axis: usize) -> bool {
        (self.output[axis] - 1) * self.stride[axis] + self.reach(axis) > self.input[axis]
    }

    /// Whether no word is in two windows and every window is whole.
    #[must_use]
    pub const fn is_distinct(&self) -> bool {
        !self.overhangs() && self.is_disjoint_along(0) && self.is_disjoint_along(1)
    }

    const fn is_disjoint_along(&self, axis: usize) -> bool {
        self.output[axis] == 1 || self.reach(axis) <= self.stride[axis]
    }

    /// Different words in all windows together.
    #[must_use]
    pub fn addresses(&self) -> u64 {
        let along = |axis: usize| {
            if self.dilation[axis] == 1 {
                // Up to the start of the last window each adds a stride or, if less, a whole window.
                let before = self.output[axis] - 1;
                let last = self.input[axis].saturating_sub(before * self.stride[axis]);
                return before * self.stride[axis].min(self.kernel[axis])
                    + self.kernel[axis].min(last);
            }
            let mut seen = vec![false; usize::try_from(self.input[axis]).unwrap_or(0)];
            for window in 0..self.output[axis] {
                for element in 0..self.kernel[axis] {
                    let pixel = window * self.stride[axis] + element * self.dilation[axis];
                    if let Some(seen) = usize::try_from(pixel).ok().and_then(|i| seen.get_mut(i)) {
                        *seen = true;
                    }
                }
            }
            seen.into_iter().filter(|seen| *seen).count() as u64
        };
        along(0) * along(1) * self.channels
    }

    /// Pixel at which window `i` starts.
    #[must_use]
    pub const fn origin(&self, i: u64) -> [u64; 2] {
        [i / self.output[1] * self.stride[0], i % self.output[1] * self.stride[1]]
    }

    /// Pixel of element `j` relative to the start of its window, and its channel.
    #[must_use]
    pub const fn element(&self, j: u64) -> ([u64; 2], u64) {
        let row = self.kernel[1] * self.channels;
        let (y, rest) = (j / row, j % row);
        ([y * self.dilation[0], rest / self.channels * self.dilation[1]], rest % self.channels)
    }

    /// Address of element `j` of window `i`, `None` beyond the edge.
    #[must_use]
    pub const fn address(&self, i: u64, j: u64) -> Option<u64> {
        let origin = self.origin(i);
        let (offset, channel) = self.element(j);
        let (y, x) = (origin[0] + offset[0], origin[1] + offset[1]);
        if y < self.input[0] && x < self.input[1] {
            Some((y * self.input[1] + x) * self.channels + channel)
        } else {
            None
        }
    }
}
