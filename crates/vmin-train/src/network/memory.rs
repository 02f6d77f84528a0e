//! The activation memory, between the step that computes a value and the steps that read it.
//!
//! Errors in this memory change the value that is read, not the value that was computed. The derivatives of
//! rectifiers and pools use the computed output, the gradients of weights the input as read. The gradient passes
//! unchanged from the read value to the computed value (straight-through).

use super::{Network, Step, ValueId};

/// A memory for values.
pub(crate) trait Memory<T>: Sync {
    /// Whether the memory holds a value; other values are read as computed.
    fn holds(&self, value: ValueId) -> bool;

    /// Whether the sums of the product that makes a value may be read wrongly.
    fn errs_in_sums(&self, _value: ValueId) -> bool {
        false
    }

    /// Makes of the right outputs of such a product those of the sums as read, in chunk number `chunk`; `x` is its
    /// input as read. Returns the outputs that have no derivative.
    fn read_sums(
        &self,
        _step: &Step,
        _chunk: usize,
        _parameters: &[Vec<T>],
        _x: &[T],
        _made: &mut [T],
    ) -> Vec<usize> {
        Vec::new()
    }

    /// Fills the empty `read` with a value of the memory as the following steps read it, in chunk number `chunk`.
    fn read_back(&self, value: ValueId, chunk: usize, made: &[T], read: &mut Vec<T>);
}

/// The values of a chunk, `images * elements` each.
#[derive(Debug, Default)]
pub(crate) struct Values<T> {
    /// Values as computed.
    pub(super) made: Vec<Vec<T>>,
    /// Values as read; empty if they are as computed.
    pub(super) read: Vec<Vec<T>>,
    /// Elements of each value that have no derivative, because wrong sums lie outside the deployed codes.
    pub(super) cut_off: Vec<Vec<usize>>,
}

impl<T: Clone> Values<T> {
    pub(crate) fn new() -> Self {
        Self { made: Vec::new(), read: Vec::new(), cut_off: Vec::new() }
    }

    /// Sets the input and clears all other values.
    pub(super) fn start(&mut self, net: &Network, input: &[T]) {
        self.made.resize_with(net.values.len(), Vec::new);
        self.read.resize_with(net.values.len(), Vec::new);
        self.read.iter_mut().for_each(Vec::clear);
        self.cut_off.clear();
        self.cut_off.resize_with(net.values.len(), Vec::new);
        self.made[0].clear();
        self.made[0].extend_from_slice(input);
    }

    /// A value as computed.
    pub(crate) fn made(&self, value: ValueId) -> &[T] {
        &self.made[value.0]
    }

    /// A value as the following steps read it.
    pub(crate) fn read(&self, value: ValueId) -> &[T] {
        let read = &self.read[value.0];
        if read.is_empty() { &self.made[value.0] } else { read }
    }
}
