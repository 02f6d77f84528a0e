//! Convolutions without patches, for devices with a library for them.

use std::fmt;

use crate::device::{Device, Sizes};

/// Sizes of a convolution over some images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Convolution {
    /// The sizes of its patches.
    pub(crate) sizes: Sizes,
    /// Channels of the output.
    pub(crate) out: i32,
    pub(crate) images: i32,
}

/// Sizes in the order of cuDNN's arguments, which is not the order in memory.
impl Convolution {
    /// `[images, channels, height, width]`.
    pub(crate) fn input(&self) -> [i32; 4] {
        [self.images, self.sizes.channels, self.sizes.height, self.sizes.width]
    }

    /// `[images, channels, height, width]`.
    pub(crate) fn output(&self) -> [i32; 4] {
        [self.images, self.out, self.sizes.out_height, self.sizes.out_width]
    }

    /// `[output channels, input channels, height, width]`.
    pub(crate) fn weights(&self) -> [i32; 4] {
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

/// A pass of a convolution over whole buffers. Values have the layout `[image, y, x, channel]`, weights
/// `[out, y, x, in]`.
pub(crate) enum Convolve<'a, D: Device + ?Sized> {
    /// `y = x * w + beta y`; `y` is not read if `beta` is 0.
    Forward { x: &'a D::Floats, weights: &'a D::Floats, y: &'a mut D::Floats, beta: f32 },
    /// Adds to `dx`.
    BackToData { weights: &'a D::Floats, dy: &'a D::Floats, dx: &'a mut D::Floats },
    /// Overwrites `dweights`.
    BackToWeights { x: &'a D::Floats, dy: &'a D::Floats, dweights: &'a mut D::Floats },
}
