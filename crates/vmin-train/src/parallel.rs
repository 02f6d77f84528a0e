//! What is done to every element of many tensors, tensors in parallel.
//!
//! Between its passes a step touches every parameter about ten times. Where a GPU computes the passes, that is
//! most of a step of a large network.

/// Elements below which threads cost more than they save.
const ELEMENTS_MIN: usize = 1 << 16;

/// How many tensors stay together (rayon's `with_min_len`): each can go its own way if there is enough to do.
pub(crate) fn together<T>(tensors: &[impl AsRef<[T]>]) -> usize {
    let elements: usize = tensors.iter().map(|tensor| tensor.as_ref().len()).sum();
    if elements < ELEMENTS_MIN { tensors.len().max(1) } else { 1 }
}
