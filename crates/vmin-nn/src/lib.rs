//! Integer network graphs as an accelerator runs them.
//!
//! A [`Graph`] is a straight list of operations over int8 tensors with batch size one. It owns the
//! weight *codes* (what lies in memory and what faults corrupt) apart from everything else.
//!
//! What this crate does not know: voltages, chips, cycles.

pub mod builtin;
pub mod data;
pub mod error;
pub mod exec;
pub mod format;
pub mod graph;
pub mod layers;
pub mod limits;
pub mod model;
pub mod requantize;
pub mod tflite;
mod validate;

pub use error::ModelError;
pub use exec::{Executor, LoadedWeights, Scratch};
pub use graph::{
    Activation, Conv2d, ConvKind, Dtype, Graph, Node, Op, Pool2d, PoolKind, Quantization, Tensor,
    TensorId, WeightId, WeightTensor,
};
pub use layers::{LayerKind, LayerShape};
pub use limits::Limits;
pub use requantize::requantize_weights;
