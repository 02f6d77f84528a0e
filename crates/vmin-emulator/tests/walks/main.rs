//! The fast paths against memories whose every cell is written and read, one access after another.

mod buffers;
mod cells;
mod memory_walk;
mod protected_cells;
mod protected_walk;
mod sources;
