//! The memory of one running inference, allocated once per thread.

/// All activation tensors and the work buffers of one inference.
///
/// Made by [`super::Executor::scratch`] and usable with executors of the same graph only.
#[derive(Clone, Debug)]
pub struct Scratch {
    pub(super) tensors: Vec<Vec<i8>>,
    pub(super) codes: Vec<i8>,
    pub(super) work: Work,
}

/// Buffers for the layer that needs the most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    pub(crate) padded: Vec<i8>,
    pub(crate) patches: Vec<i8>,
    pub(crate) sums: Vec<i32>,
}
