//! Limits of a model file.

/// Upper bounds checked before anything of that size is allocated.
///
/// The defaults admit every network for an embedded accelerator and refuse a small hostile file that
/// declares gigabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the file.
    pub file_bytes_max: usize,
    /// Tensors of the file (activations, weights, constants).
    pub tensors_max: usize,
    /// Operations.
    pub nodes_max: usize,
    /// Axes of one tensor.
    pub rank_max: usize,
    /// Elements of one tensor.
    pub tensor_elements_max: usize,
    /// Elements of all activation tensors together.
    pub activation_elements_max: usize,
    /// Weight codes of all layers together.
    pub weights_max: usize,
    /// Length of one dot product, `kernel_height * kernel_width * in_channels`: up to here a sum of
    /// products of two `i8` stays inside an `i32`.
    pub dot_length_max: usize,
    /// Multiply-accumulates of one inference.
    pub macs_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes_max: 256 << 20,
            tensors_max: 1 << 16,
            nodes_max: 1 << 14,
            rank_max: 8,
            tensor_elements_max: 1 << 26,
            activation_elements_max: 1 << 28,
            weights_max: 1 << 28,
            dot_length_max: 1 << 16,
            macs_max: 1 << 40,
        }
    }
}
