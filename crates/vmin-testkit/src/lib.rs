//! Helpers that the tests of several crates share; a dev-dependency only.
//!
//! ```text
//!  random.rs      Lcg: a fixed sequence of test values
//!  graphs.rs      random_graph: small valid networks with every operation
//!  tflite.rs      Tflite: small TFLite files
//!  mechanisms.rs  mechanism: the table of each mechanism of protection
//!  folders.rs     files of the repository, and data sets that a machine may lack
//!  binary.rs      Vmin: runs the command line in a folder of its own
//! ```
//!
//! Unit tests of a crate below this one may use what speaks of plain values only: the crate under test and
//! the crate that this one links are two.

mod binary;
mod folders;
mod graphs;
mod mechanisms;
mod random;
pub mod tflite;

pub use binary::Vmin;
pub use folders::{cifar10, data, root, toml_files, toml_names};
pub use graphs::random_graph;
pub use mechanisms::mechanism;
pub use random::Lcg;
