//! Parallel work on every element of many tensors.
//!
//! Between its passes a training step touches every parameter about ten times. If a GPU computes the passes of a large
//! network, that is most of the time.

/// Fewest elements for which threads save time.
const ELEMENTS_MIN: usize = 1 << 16;

/// Tensors per task (rayon's `with_min_len`): one if there is enough work, all of them otherwise.
pub(crate) fn together<T>(tensors: &[impl AsRef<[T]>]) -> usize {
    let elements: usize = tensors.iter().map(|tensor| tensor.as_ref().len()).sum();
    if elements < ELEMENTS_MIN { tensors.len().max(1) } else { 1 }
}
