//! Where activation tensors lie in the activation memory.
//!
//! A tensor lives from the node that writes it to the last node that reads it; a reshape gives the same
//! cells another name. Each tensor takes the lowest gap between the tensors alive. One that finds no gap
//! passes through the memory in pieces as large as the memory: its bits lie at addresses modulo the size.
//! (Traffic and energy choose the tensors that stay by what they save, [`crate::mapping`]: in a memory that is
//! too small these may be others.)
//!
//! ```text
//!  node 0 writes b   | a a a a | b b b b |
//!  node 1 writes c   | a a a a | b b b b | c c |    a is still wanted by the sum
//!  node 2 writes d   | d d d d | ....... | c c |
//! ```

use vmin_nn::{Graph, Op};
use vmin_sram::Geometry;

/// Bits of an activation code.
const ACTIVATION_BITS: u64 = 8;

/// The cells of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlacedActivation {
    /// Address of the first bit of its first code.
    pub first_bit: u64,
    /// Number of codes.
    pub codes: u64,
    /// The tensor whose cells these are: itself, or what a reshape renames.
    pub owner: usize,
    /// True if the tensor found no gap and wraps around the memory.
    pub wraps: bool,
}

/// The activations of a network in the activation memory.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ActivationPlacement {
    /// One entry per tensor of the graph.
    pub tensors: Vec<PlacedActivation>,
    /// The memory.
    pub geometry: Geometry,
}

impl ActivationPlacement {
    /// Places the activations of one inference.
    #[must_use]
    pub fn new(geometry: Geometry, graph: &Graph) -> Self {
        let count = graph.tensors.len();
        let mut owner: Vec<usize> = (0..count).collect();
        for node in &graph.nodes {
            if matches!(node.op, Op::Reshape) {
                owner[node.output.0] = owner[node.inputs[0].0];
            }
        }
        // The last node that reads a tensor under any name; the output is read after all of them.
        let mut last_use = vec![0; count];
        for (index, node) in graph.nodes.iter().enumerate() {
            for input in &node.inputs {
                last_use[owner[input.0]] = index;
            }
        }
        last_use[owner[graph.output.0]] = graph.nodes.len();
        let mut memory = Memory { bits: geometry.cells(), taken: Vec::new() };
        let mut spans: Vec<(u64, bool)> = vec![(0, false); count];
        let mut place = |tensor: usize, now: usize| {
            let bits = graph.tensors[tensor].elements() as u64 * ACTIVATION_BITS;
            memory.taken.retain(|taken| taken.until >= now);
            spans[tensor] = memory.place(bits, last_use[tensor].max(now));
        };
        place(graph.input.0, 0);
        for (index, node) in graph.nodes.iter().enumerate() {
            if owner[node.output.0] == node.output.0 {
                place(node.output.0, index);
            }
        }
        let tensors = (0..count).map(|tensor| {
            let (first_bit, wraps) = spans[owner[tensor]];
            let codes = graph.tensors[tensor].elements() as u64;
            PlacedActivation { first_bit, codes, owner: owner[tensor], wraps }
        });
        Self { tensors: tensors.collect(), geometry }
    }
}

struct Taken {
    start: u64,
    end: u64,
    /// The last node that reads it.
    until: usize,
}

struct Memory {
    bits: u64,
    /// Rising.
    taken: Vec<Taken>,
}

impl Memory {
    /// The lowest gap of so many bits, or the whole memory again and again.
    fn place(&mut self, bits: u64, until: usize) -> (u64, bool) {
        let mut start = 0;
        let mut index = 0;
        for taken in &self.taken {
            if taken.start.saturating_sub(start) >= bits {
                break;
            }
            start = taken.end;
            index += 1;
        }
        let end = start.saturating_add(bits);
        if end > self.bits {
            return (0, true);
        }
        self.taken.insert(index, Taken { start, end, until });
        (start, false)
    }
}
