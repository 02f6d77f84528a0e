//! Integer network graphs as an accelerator runs them.
//!
//! A [`Graph`] is a list of operations over int8 tensors with batch size one. It keeps the weight
//! *codes*, which memories store and faults corrupt, apart from everything else.
//!
//! ```text
//!  .tflite ------import--> +-------+ --layers--> shapes and matrix products (accelerator model)
//!  .safetensors -import--> | Graph | --weights-> codes (corrupted by a faulty memory)
//!  builtin:NAME ---------> +-------+ --exec----> int8 outputs, the bits of LiteRT's reference kernels
//!                             ops: a file per operator          data: labelled images
//! ```
//!
//! ```no_run
//! let graph = vmin_nn::model::load("network.tflite")?;
//! let executor = vmin_nn::Executor::new(&graph, vmin_kernels::best());
//! let mut codes: Vec<Vec<u8>> = graph.weights.iter().map(|w| w.codes.clone()).collect();
//! codes[0][0] ^= 0x80; // a faulty cell
//! let weights = executor.load_weights(&codes);
//! let image = vec![0; graph.tensors[graph.input.0].elements()];
//! let class = executor.classify(&weights, &image, &mut executor.scratch());
//! # let _ = class;
//! # Ok::<(), vmin_nn::ModelError>(())
//! ```
//!
//! `cargo run --release -p vmin-nn --example run_network` counts the correct images of a network.
//! Voltages, chips and cycles belong to other crates.

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
pub mod permute;
pub mod pixels;
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
    Add, Conv2d, ConvKind, Extremum, ExtremumKind, GroupNorm, Op, Pool2d, PoolKind, Rounding,
    Softmax,
};
pub use permute::ChannelGroup;
pub use pixels::Pixels;
pub use weight_bits::with_weight_bits;
