//! Convolutions as a whole, for devices with a library that needs no patches.

use std::fmt;

use super::{Device, Sizes};

/// A convolution over some images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct Convolution {
    /// As for its patches.
    pub(super) sizes: Sizes,
    /// Channels of the output.
    pub(super) out: i32,
    pub(super) images: i32,
}

/// Sizes in the order in which cuDNN is told them, whatever lies beside what in memory.
impl Convolution {
    /// `[images, channels, height, width]`.
    pub(super) fn input(&self) -> [i32; 4] {
        [self.images, self.sizes.channels, self.sizes.height, self.sizes.width]
    }

    /// `[images, channels, height, width]`.
    pub(super) fn output(&self) -> [i32; 4] {
        [self.images, self.out, self.sizes.out_height, self.sizes.out_width]
    }

    /// `[output channels, input channels, height, width]`.
    pub(super) fn weights(&self) -> [i32; 4] {
        [self.out, self.sizes.channels, self.sizes.kernel_height, self.sizes.kernel_width]
    }
}

impl fmt::Display for Convolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sizes: s, out, images } = self;
        write!(
            f,
            "a convolution of {images} images of {} x {} x {} with {out} kernels of {} x {}, stride {}, padding {}",
            s.height, s.width, s.channels, s.kernel_height, s.kernel_width, s.stride, s.padding
        )
    }
}

/// A pass of a convolution over whole buffers. Values lie `[image, y, x, channel]`, weights `[out, y, x, in]`.
pub(in crate::engine) enum Convolve<'a, D: Device + ?Sized> {
    /// `y = x * w + beta y`; what `y` held is not read where `beta` is 0.
    Forward { x: &'a D::Floats, weights: &'a D::Floats, y: &'a mut D::Floats, beta: f32 },
    /// Adds to `dx`.
    BackToData { weights: &'a D::Floats, dy: &'a D::Floats, dx: &'a mut D::Floats },
    /// Takes the place of what `dweights` held.
    BackToWeights { x: &'a D::Floats, dy: &'a D::Floats, dweights: &'a mut D::Floats },
}
