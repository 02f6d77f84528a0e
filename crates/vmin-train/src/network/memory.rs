//! What lies between the step that makes a value and the steps that read it.
//!
//! Errors in the memory of activations change what is read, not what was made: a rectifier's or a
//! pool's derivative is that at what it made, the gradient of a layer's weights that at what it
//! read. The gradient passes from what was read to what was made unchanged (straight-through).

use super::{Network, ValueId};

/// A memory that values lie in.
pub(crate) trait Memory<T>: Sync {
    /// Whether a value lies in it; one that does not is read as it was made.
    fn holds(&self, value: ValueId) -> bool;

    /// Fills `read`, which is empty, with a value that it holds as the steps after it read it in chunk
    /// number `chunk`.
    fn read_back(&self, value: ValueId, chunk: usize, made: &[T], read: &mut Vec<T>);
}

/// The values of a chunk, `images * elements` each.
#[derive(Debug, Default)]
pub(crate) struct Values<T> {
    /// As the steps made them.
    pub(super) made: Vec<Vec<T>>,
    /// As they are read; empty where nothing changed.
    pub(super) read: Vec<Vec<T>>,
}

impl<T: Clone> Values<T> {
    pub(crate) fn new() -> Self {
        Self { made: Vec::new(), read: Vec::new() }
    }

    /// The input in its place, room for every other value.
    pub(super) fn start(&mut self, net: &Network, input: &[T]) {
        self.made.resize_with(net.values.len(), Vec::new);
        self.read.resize_with(net.values.len(), Vec::new);
        self.read.iter_mut().for_each(Vec::clear);
        self.made[0].clear();
        self.made[0].extend_from_slice(input);
    }

    /// As the step made it.
    pub(crate) fn made(&self, value: ValueId) -> &[T] {
        &self.made[value.0]
    }

    /// As the steps after it read it.
    pub(crate) fn read(&self, value: ValueId) -> &[T] {
        let read = &self.read[value.0];
        if read.is_empty() { &self.made[value.0] } else { read }
    }
}
