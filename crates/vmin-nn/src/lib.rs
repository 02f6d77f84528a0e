//! Integer network graphs as an accelerator runs them.
//!
//! A [`Graph`] is a straight list of operations over int8 tensors with batch size one. It owns the
//! weight *codes* (what lies in memory and what faults corrupt) apart from everything else.
//!
//! ```text
//!  .tflite ------tflite--> +-------+ --layers--> shapes and matrix products (accelerator model)
//!  .safetensors -format--> | Graph | --weights-> codes (what a faulty memory corrupts)
//!  builtin:NAME ---------> +-------+ --exec----> int8 outputs, the bits of LiteRT's reference kernels
//!                              data: labelled images
//! ```
//!
//! ```no_run
//! let graph = vmin_nn::model::load("network.tflite")?;
//! let executor = vmin_nn::Executor::new(&graph, vmin_kernels::best());
//! let mut codes: Vec<Vec<u8>> = graph.weights.iter().map(|w| w.codes.clone()).collect();
//! codes[0][0] ^= 0x80; // a weak cell
//! let weights = executor.load_weights(&codes);
//! let image = vec![0; graph.tensors[graph.input.0].elements()];
//! let class = executor.classify(&weights, &image, &mut executor.scratch());
//! # let _ = class;
//! # Ok::<(), vmin_nn::ModelError>(())
//! ```
//!
//! What this crate does not know: voltages, chips, cycles.

pub mod builtin;
pub mod data;
pub mod error;
pub mod exec;
pub mod graph;
pub mod import;
pub mod layers;
pub mod limits;
pub mod model;
mod ops;
mod validate;
mod weight_bits;

pub use error::ModelError;
pub use exec::{Executor, LoadedWeights, Scratch};
pub use graph::{
    Activation, Dtype, Graph, Node, Quantization, Tensor, TensorId, WeightId, WeightTensor,
};
pub use layers::LayerShape;
pub use limits::Limits;
pub use ops::{
    Add, Conv2d, ConvKind, GroupNorm, Op, Pool2d, PoolKind, RequantizeRounding, Softmax,
};
pub use weight_bits::with_weight_bits;
