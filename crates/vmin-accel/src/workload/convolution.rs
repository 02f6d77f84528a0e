//! Convolutions as work for the array.

use crate::scalesim::Window;
use crate::{GemmShape, Layer, MACS_MAX, ShapeError};

/// A two-dimensional convolution of one image. Pairs are `[vertical, horizontal]`.
///
/// ```
/// use vmin_accel::{Convolution, Layer};
/// let convolution = Convolution {
///     padding: [1, 1, 1, 1],
///     ..Convolution::new([56, 56], [3, 3], 64, 128)
/// };
/// let layer = Layer::convolution("conv", &convolution)?;
/// assert_eq!(layer.outputs, 56 * 56 * 128);
/// # Ok::<(), vmin_accel::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Rows and columns of the input, without padding.
    pub input: [u64; 2],
    /// Rows and columns of the kernel.
    pub kernel: [u64; 2],
    /// Channels of the input, all groups together.
    pub channels: u64,
    /// Filters, all groups together.
    pub filters: u64,
    /// Pixels between windows.
    pub stride: [u64; 2],
    /// Pixels between the elements of a window.
    pub dilation: [u64; 2],
    /// Zero rows and columns: top, left, bottom, right.
    pub padding: [u64; 4],
    /// Independent convolutions; the number of channels for a depthwise one.
    pub groups: u64,
}

/// Largest size along any axis.
const SIDE_MAX: u64 = 1 << 20;

impl Convolution {
    /// A plain convolution: stride 1, no padding, one group.
    #[must_use]
    pub const fn new(input: [u64; 2], kernel: [u64; 2], channels: u64, filters: u64) -> Self {
        let one = [1, 1];
        Self {
            input,
            kernel,
            channels,
            filters,
            stride: one,
            dilation: one,
            padding: [0; 4],
            groups: 1,
        }
    }

    /// The windows over the padded input of one group.
    fn window(&self) -> Result<Window, ShapeError> {
        let sizes = [self.input, self.kernel, self.stride, self.dilation];
        let too_small_or_large = sizes
            .iter()
            .flatten()
            .chain([&self.channels, &self.filters, &self.groups])
            .any(|size| !(1..=SIDE_MAX).contains(size))
            || self.padding.iter().any(|padding| *padding > SIDE_MAX);
        if too_small_or_large {
            return Err(ShapeError::Size { max: SIDE_MAX });
        }
        if !self.channels.is_multiple_of(self.groups) || !self.filters.is_multiple_of(self.groups) {
            return Err(ShapeError::Groups {
                channels: self.channels,
                filters: self.filters,
                groups: self.groups,
            });
        }
        let mut window = Window {
            input: [0, 1]
                .map(|axis: usize| self.input[axis] + self.padding[axis] + self.padding[axis + 2]),
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            channels: self.channels / self.groups,
            output: [0, 0],
        };
        for axis in 0..2 {
            let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            let Some(slack) = window.input[axis].checked_sub(reach) else {
                return Err(ShapeError::Window { input: window.input[axis], reach });
            };
            window.output[axis] = slack / self.stride[axis] + 1;
        }
        Ok(window)
    }
}

impl Layer {
    /// A convolution as `groups` products of (output pixels) x (filters) x (kernel x channels).
    ///
    /// # Errors
    /// A size is zero or above 2^20, groups do not divide channels and filters, the kernel exceeds the
    /// padded input, or the product exceeds [`MACS_MAX`].
    pub fn convolution(
        name: impl Into<String>,
        convolution: &Convolution,
    ) -> Result<Self, ShapeError> {
        let window = convolution.window()?;
        let groups = convolution.groups;
        let shape = GemmShape::grouped(
            window.count(),
            convolution.filters / groups,
            window.kernel[0].saturating_mul(window.kernel[1]).saturating_mul(window.channels),
            groups,
        )?;
        let [rows, columns] = convolution.input;
        Ok(Self {
            // Padding is made on the chip, not fetched.
            inputs: (rows * columns).saturating_mul(convolution.channels).min(MACS_MAX),
            window: Some(window),
            ..Self::gemm(name, shape)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_padding_stride_dilation_and_groups() {
        let plain = Convolution::new([224, 224], [7, 7], 3, 64);
        let stem = Convolution { stride: [2, 2], padding: [3, 3, 3, 3], ..plain };
        let layer = Layer::convolution("stem", &stem).unwrap();
        assert_eq!(layer.macs(), 112 * 112 * 64 * 147);
        assert_eq!((layer.inputs, layer.weights), (224 * 224 * 3, 64 * 147));

        let dilated = Convolution { dilation: [2, 2], ..Convolution::new([9, 9], [3, 3], 1, 1) };
        assert_eq!(Layer::convolution("x", &dilated).unwrap().outputs, 25);

        let depthwise = Convolution {
            groups: 32,
            padding: [1, 1, 1, 1],
            ..Convolution::new([10, 12], [3, 3], 32, 32)
        };
        let layer = Layer::convolution("dw", &depthwise).unwrap();
        assert_eq!((layer.macs(), layer.weights), (10 * 12 * 9 * 32, 9 * 32));
    }

    #[test]
    fn impossible_convolutions_are_refused() {
        let plain = Convolution::new([3, 3], [3, 3], 4, 4);
        let errors = [
            Convolution { stride: [0, 1], ..plain },
            Convolution { groups: 3, ..plain },
            Convolution { dilation: [2, 1], ..plain },
            Convolution { padding: [u64::MAX, 0, 0, 0], ..plain },
            Convolution { channels: 1 << 20, ..Convolution::new([1 << 20; 2], [1 << 20; 2], 4, 4) },
        ]
        .map(|convolution| Layer::convolution("x", &convolution).unwrap_err());
        assert!(matches!(errors[0], ShapeError::Size { .. }));
        assert!(matches!(errors[1], ShapeError::Groups { .. }));
        assert!(matches!(errors[2], ShapeError::Window { input: 3, reach: 5 }));
        assert!(matches!(errors[3], ShapeError::Size { .. }));
        assert!(matches!(errors[4], ShapeError::TooLarge { .. } | ShapeError::Empty { .. }));
    }
}
