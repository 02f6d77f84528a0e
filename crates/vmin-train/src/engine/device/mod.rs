//! The passes on a device with its own memory.
//!
//! ```text
//!  Passes ── OnDevice: which kernel when, over which buffers        layers.rs
//!                 │ launch, gemm, convolve, upload, download
//!                 v
//!              Device ──┬── Cuda: driver, NVRTC, cuBLAS, cuDNN       cuda.rs, cudnn.rs
//!                       └── Host: the kernels as C, in the tests     host.rs
//! ```
//!
//! Convolutions are a matrix of patches times a matrix of weights (`products.rs`), or whole where the device has
//! a library for them (`convolution.rs`): patches are nine times the image for a kernel of three, written and
//! read once in each direction. Normalizations are sums over pixels on the device, then the same arithmetic in
//! f64 as on the processor, then lines on the device.
//!
//! What cuDNN makes of a layer cannot be tested where there is no GPU, and depends on its version and the GPU
//! where there is one. So patches stay, and whenever a device begins they are what it is measured by
//! (`check.rs`): a cuDNN that fails, gives other values or gives them only once is not used, and the reason is
//! told. Its algorithms are those that promise the same bits at every run.
//!
//! The calls of `cuda.rs` and `cudnn.rs` are made in the tests as well, to libraries of this project that stand in
//! for NVIDIA's (`stand_ins.rs`).

mod check;
mod convolution;
#[cfg(feature = "cuda")]
pub(super) mod cuda;
#[cfg(feature = "cuda")]
mod cudnn;
#[cfg(test)]
pub(super) mod host;
mod layers;
#[cfg(feature = "cuda")]
mod libraries;
mod norms;
mod products;
#[cfg(all(test, feature = "cuda", target_os = "linux", target_env = "gnu"))]
mod stand_ins;
#[cfg(test)]
mod tests;

use vmin_nn::data::Dataset;

use self::convolution::{Convolution, Convolve};
use self::layers::Values;
use super::{EngineError, Pass, Passes, Room};
use crate::CHUNK_IMAGES;
use crate::bit_errors::DataErrors;
use crate::evaluate::{Score, inputs};
use crate::loss::cross_entropy;
use crate::network::{
    Batch, BatchSum, Forward, Gradients, Memory, Network, Normalization, ValueId,
};
use crate::recipe::InputScaling;

/// The kernels, for NVRTC and, in the tests, for the host's compiler.
const KERNELS: &str = include_str!("kernels.cu");

/// Most images of one pass of an evaluation.
const EVALUATED_IMAGES: usize = 32 * CHUNK_IMAGES;
/// Most floats of their values, 1 GiB.
const EVALUATED_FLOATS: usize = 1 << 28;

/// A kernel of `kernels.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kernel {
    Rows,
    Lines,
    LinesBack,
    ChannelSums,
    Relu,
    ReluBack,
    Add,
    Accumulate,
    Pool,
    PoolBack,
    Patches,
    PatchesBack,
}

impl Kernel {
    const ALL: [(Self, &'static str); 12] = [
        (Self::Rows, "rows"),
        (Self::Lines, "lines"),
        (Self::LinesBack, "lines_back"),
        (Self::ChannelSums, "channel_sums"),
        (Self::Relu, "relu"),
        (Self::ReluBack, "relu_back"),
        (Self::Add, "add"),
        (Self::Accumulate, "accumulate"),
        (Self::Pool, "pool"),
        (Self::PoolBack, "pool_back"),
        (Self::Patches, "patches"),
        (Self::PatchesBack, "patches_back"),
    ];
}

/// `Sizes` of `kernels.cu`, field by field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sizes {
    height: i32,
    width: i32,
    channels: i32,
    out_height: i32,
    out_width: i32,
    kernel_height: i32,
    kernel_width: i32,
    stride: i32,
    padding: i32,
    per_image: i32,
    mode: i32,
}

/// Floats on the device from an element on.
pub(super) struct At<'a, D: Device + ?Sized>(&'a D::Floats, usize);

/// Floats on the device that are written from an element on.
pub(super) struct To<'a, D: Device + ?Sized>(&'a mut D::Floats, usize);

/// What a kernel reads and writes; what is absent it does not touch.
pub(super) struct Arguments<'a, D: Device + ?Sized> {
    out: Option<To<'a, D>>,
    inputs: [Option<At<'a, D>>; 3],
    sums: Option<&'a mut D::Doubles>,
}

/// A matrix product in the words of BLAS: `c = op(a) op(b) + beta c`, columns one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gemm {
    transposed: [bool; 2],
    m: usize,
    n: usize,
    k: usize,
    leading: [usize; 3],
    beta: f32,
}

/// Memory, kernels and matrix products, maybe convolutions.
pub(super) trait Device {
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
    /// Runs `threads` threads of a kernel after what was asked for before.
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

    /// Whether it computes all passes of this convolution whole; one that it does not is cut into patches.
    fn convolves(&mut self, _convolution: &Convolution) -> Result<bool, EngineError> {
        Ok(false)
    }

    /// A pass of a convolution for which [`Self::convolves`].
    fn convolve(
        &mut self,
        convolution: &Convolution,
        _pass: Convolve<'_, Self>,
    ) -> Result<(), EngineError> {
        let reason = format!("nothing computes {convolution} whole");
        Err(EngineError::Failed { doing: "compute a convolution", reason })
    }
}

/// Sizes of a network are far below the limit of the kernels' integers (`network/build.rs` bounds them).
fn int(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

/// The passes on a device.
pub(super) struct OnDevice<D: Device> {
    device: D,
    clean: Values<D>,
    perturbed: Values<D>,
}

impl<D: Device> OnDevice<D> {
    pub(super) fn new(device: D) -> Self {
        Self { device, clean: Values::default(), perturbed: Values::default() }
    }

    /// The device and the values of a room.
    fn room(&mut self, room: Room) -> (&mut D, &mut Values<D>) {
        let values = match room {
            Room::Clean => &mut self.clean,
            Room::Perturbed => &mut self.perturbed,
        };
        (&mut self.device, values)
    }
}

impl<D: Device> Passes for OnDevice<D> {
    fn forward(&mut self, room: Room, pass: &Pass<'_>) -> Result<Forward<f32>, EngineError> {
        let (device, values) = self.room(room);
        values.take_parameters(device, pass.parameters)?;
        values.forward(device, pass, 0)
    }

    fn backward(
        &mut self,
        room: Room,
        pass: &Pass<'_>,
        forward: &Forward<f32>,
        through: Option<&Gradients<f32>>,
    ) -> Result<BatchSum<f32>, EngineError> {
        let (device, values) = self.room(room);
        let logits = values.read(device, pass.network.output())?;
        let Batch { labels, scale, .. } = pass.batch;
        let loss = cross_entropy(&logits, labels, pass.network.classes(), scale);
        let gradients = values.backward(device, pass, forward, through, &loss.dlogits)?;
        let images = match pass.batch.image_gradient {
            true => values.image_gradient(device)?,
            false => Vec::new(),
        };
        Ok(BatchSum { gradients, loss: loss.sum, wrong: loss.wrong, images })
    }

    fn extremes(&mut self, room: Room, values: &[ValueId]) -> Result<Vec<[f32; 2]>, EngineError> {
        let (device, kept) = self.room(room);
        let of = |&value| {
            let made = kept.made(device, value)?;
            Ok(made.iter().fold([0.0_f32; 2], |[low, high], &x| [low.min(x), high.max(x)]))
        };
        values.iter().map(of).collect()
    }

    fn evaluate(
        &mut self,
        network: &Network,
        parameters: &[Vec<f32>],
        input: InputScaling,
        data: &Dataset,
        errors: Option<&DataErrors>,
    ) -> Result<Score, EngineError> {
        let (device, values) = self.room(Room::Perturbed);
        values.take_parameters(device, parameters)?;
        let moments = network.running_moments();
        let size = data.pixels_per_image();
        let floats: usize = (0..network.values.len()).map(|v| network.elements(ValueId(v))).sum();
        let images = (EVALUATED_FLOATS / floats.max(1)).clamp(CHUNK_IMAGES, EVALUATED_IMAGES);
        let images = images / CHUNK_IMAGES * CHUNK_IMAGES;
        let batches = data.labels.chunks(images);
        let pixels = data.images.chunks(images * size);
        let mut score = Score::default();
        for (index, (labels, pixels)) in batches.zip(pixels).enumerate() {
            let first_chunk = index * images / CHUNK_IMAGES;
            let read = match errors {
                Some(errors) => {
                    let chunks = pixels.chunks(CHUNK_IMAGES * size).enumerate();
                    let read = chunks
                        .flat_map(|(chunk, x)| errors.pixels(first_chunk + chunk, x).into_owned());
                    inputs(&read.collect::<Vec<u8>>(), input)
                }
                None => inputs(pixels, input),
            };
            let memory = errors.map(|errors| errors as &dyn Memory<f32>);
            let pass = Pass {
                network,
                parameters,
                batch: Batch { inputs: &read, labels, scale: 1.0, memory, image_gradient: false },
                normalization: Normalization::Constant(&moments),
            };
            values.forward(device, &pass, first_chunk)?;
            let logits = values.read(device, network.output())?;
            let loss = cross_entropy(&logits, labels, network.classes(), 1.0);
            score.loss += loss.sum;
            score.wrong += loss.wrong;
        }
        Ok(score)
    }
}
