//! Work for the accelerator: layers as shapes, without values.
//!
//! A [`Layer`] is a matrix product for the array or element-wise work for the vector unit. One file per
//! kind of workload turns its sizes into layers:
//!
//! - `network`: a graph of `vmin-nn`,
//! - `convolution`: one convolution ([`Convolution`]),
//! - `attention`: multi-head attention ([`Attention`]).
//!
//! SCALE-Sim's tables of layers are read by [`crate::scalesim::layers`].

mod attention;
mod convolution;
mod layer;
mod network;

pub use attention::Attention;
pub use convolution::Convolution;
pub use layer::{Flow, GemmShape, Layer, MACS_MAX, Read, ShapeError, Work};
pub use network::layers_of_graph;
