//! Training on NVIDIA GPUs: an [`Engine`] whose layers run on a device with its own memory.
//!
//! ```text
//!  vmin_train::engine::Passes ── OnDevice: which kernel when, over which buffers   passes.rs, layers.rs
//!                                   │ launch, gemm, convolve, upload, download
//!                                   v
//!                                Device ──┬── Cuda: driver, NVRTC, cuBLAS, cuDNN    cuda.rs, cudnn.rs
//!                                         └── Host: the kernels as C, in the tests  host.rs
//! ```
//!
//! Everything builds without CUDA; its libraries are found when the program runs (`libraries.rs`).
//!
//! A convolution is the product of a matrix of patches and a matrix of weights (`products.rs`). Patches of a 3x3
//! kernel are nine times the image, written and read once in each direction; where cuDNN is available it computes
//! convolutions without them (`convolution.rs`). A normalization sums over pixels on the device, computes its
//! moments in f64 on the processor by the code of `vmin-train`, and applies lines on the device (`norms.rs`).
//!
//! The results of cuDNN depend on its version and on the GPU, and cannot be tested on a machine without a GPU. So
//! every start compares its convolutions with patches (`check.rs`). A cuDNN that fails, gives other values or gives
//! other bits at the second run is not used, and [`Engine::note`] tells the reason. Only cuDNN algorithms that
//! promise the same bits at every run are used.
//!
//! Two kinds of tests run without a GPU: the kernels, compiled as C, are compared with the processor pass by pass
//! (`host.rs`, `tests.rs`), and the calls of `cuda.rs` and `cudnn.rs` go to mocks of NVIDIA's libraries (`mocks/`).
//!
//! ```no_run
//! use vmin_nn::data::{Split, shapes};
//! use vmin_train::{Recipe, Trainer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let recipe = Recipe::from_toml(&std::fs::read_to_string("recipes/shapes-cnn.toml")?)?;
//! let data = shapes::generate(shapes::SEED, Split::Train, 5_000);
//! let test = shapes::generate(shapes::SEED, Split::Test, 1_000);
//! let trainer = Trainer::new(&recipe, &data, &test)?.with_engine(vmin_train_cuda::engine()?);
//! # Ok(())
//! # }
//! ```

mod check;
mod convolution;
mod cuda;
mod cudnn;
mod device;
#[cfg(test)]
mod host;
mod layers;
mod libraries;
#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod mocks;
mod norms;
mod passes;
mod products;
#[cfg(test)]
mod tests;

use vmin_train::{Engine, EngineError};

/// The first CUDA device, with cuDNN if that is installed and passes its check.
///
/// The libraries (driver, NVRTC, cuBLAS, cuDNN) are searched in the folders of the environment variable
/// `VMIN_CUDA_LIBRARIES` (separated as in `PATH`), where the loader searches, in Python's packages of NVIDIA and in
/// the toolkit. The environment variable `VMIN_WITHOUT_CUDNN` switches cuDNN off.
///
/// # Errors
/// [`EngineError::Absent`] without a device or its libraries, [`EngineError::Failed`] if the device failed.
pub fn engine() -> Result<Engine, EngineError> {
    let device = cuda::Cuda::new()?;
    let (name, note) = (device.name(), device.note());
    Ok(Engine::new(Box::new(passes::OnDevice::new(device)), name, note))
}
