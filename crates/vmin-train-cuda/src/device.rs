//! A device with its own memory, which runs kernels and matrix products.

use vmin_train::EngineError;

use crate::convolution::{Convolution, Convolve};

/// Source of the kernels, for NVRTC and, in the tests, for the C compiler of the host.
pub(crate) const KERNELS: &str = include_str!("kernels.cu");

/// A kernel of `kernels.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kernel {
    Rows,
    Lines,
    LinesBack,
    ChannelSums,
    Relu,
    ReluBack,
    Cut,
    CutBack,
    Add,
    Accumulate,
    Pool,
    PoolBack,
    Patches,
    PatchesBack,
}

impl Kernel {
    /// Every kernel with its name in `kernels.cu`.
    pub(crate) const ALL: [(Self, &'static str); 14] = [
        (Self::Rows, "rows"),
        (Self::Lines, "lines"),
        (Self::LinesBack, "lines_back"),
        (Self::ChannelSums, "channel_sums"),
        (Self::Relu, "relu"),
        (Self::ReluBack, "relu_back"),
        (Self::Cut, "cut"),
        (Self::CutBack, "cut_back"),
        (Self::Add, "add"),
        (Self::Accumulate, "accumulate"),
        (Self::Pool, "pool"),
        (Self::PoolBack, "pool_back"),
        (Self::Patches, "patches"),
        (Self::PatchesBack, "patches_back"),
    ];
}

/// Sizes that a kernel works with: the `Sizes` of `kernels.cu`, field by field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sizes {
    pub(crate) height: i32,
    pub(crate) width: i32,
    pub(crate) channels: i32,
    pub(crate) out_height: i32,
    pub(crate) out_width: i32,
    pub(crate) kernel_height: i32,
    pub(crate) kernel_width: i32,
    pub(crate) stride: i32,
    pub(crate) padding: i32,
    pub(crate) per_image: i32,
    pub(crate) mode: i32,
}

/// Floats on the device that are read, from an element on.
pub(crate) struct At<'a, D: Device + ?Sized>(pub(crate) &'a D::Floats, pub(crate) usize);

/// Floats on the device that are written from an element on.
pub(crate) struct To<'a, D: Device + ?Sized>(pub(crate) &'a mut D::Floats, pub(crate) usize);

/// Buffers of a kernel; it does not touch those that are absent.
pub(crate) struct Arguments<'a, D: Device + ?Sized> {
    pub(crate) out: Option<To<'a, D>>,
    pub(crate) inputs: [Option<At<'a, D>>; 3],
    pub(crate) sums: Option<&'a mut D::Doubles>,
}

/// Sizes of a BLAS matrix product: `c = op(a) op(b) + beta c`, columns one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gemm {
    pub(crate) transposed: [bool; 2],
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) leading: [usize; 3],
    pub(crate) beta: f32,
}

/// Memory, kernels, matrix products and maybe convolutions of a device.
pub(crate) trait Device {
    /// f32 in its memory.
    type Floats: Send;
    /// f64 in its memory.
    type Doubles: Send;

    fn upload(&mut self, values: &[f32]) -> Result<Self::Floats, EngineError>;
    /// All zero.
    fn floats(&mut self, len: usize) -> Result<Self::Floats, EngineError>;
    /// All zero.
    fn doubles(&mut self, len: usize) -> Result<Self::Doubles, EngineError>;
    fn clear(&mut self, floats: &mut Self::Floats) -> Result<(), EngineError>;
    fn len(floats: &Self::Floats) -> usize;
    fn download(&mut self, floats: &Self::Floats) -> Result<Vec<f32>, EngineError>;
    fn download_doubles(&mut self, doubles: &Self::Doubles) -> Result<Vec<f64>, EngineError>;
    /// Runs `threads` threads of a kernel after all earlier calls.
    fn launch(
        &mut self,
        kernel: Kernel,
        threads: usize,
        arguments: Arguments<'_, Self>,
        sizes: Sizes,
    ) -> Result<(), EngineError>;
    fn gemm(
        &mut self,
        gemm: Gemm,
        a: At<'_, Self>,
        b: At<'_, Self>,
        c: To<'_, Self>,
    ) -> Result<(), EngineError>;

    /// Whether the device computes all passes of this convolution without patches.
    fn convolves(&mut self, convolution: &Convolution) -> Result<bool, EngineError>;

    /// Computes a pass of a convolution for which [`Self::convolves`] holds.
    fn convolve(
        &mut self,
        convolution: &Convolution,
        pass: Convolve<'_, Self>,
    ) -> Result<(), EngineError>;
}

/// A size as the kernels take it. `Network::build` bounds all sizes far below the limit.
pub(crate) fn int(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}
