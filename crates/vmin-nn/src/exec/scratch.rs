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

/// Buffers as large as the hungriest layer needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    pub(super) padded: Vec<i8>,
    pub(super) patches: Vec<i8>,
    pub(super) sums: Vec<i32>,
}
