//! What the accumulator memory of a chip does to the partial sums that wait in it.

use vmin_accel::placement::{SUM_BITS, SumPlacement};
use vmin_nn::Graph;
use vmin_nn::exec::OutputSums;
use vmin_sram::{Applied, ChipKey, FaultKind, FaultyCell, random_bits};

/// The word read is `(stored & keep) ^ turn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WordFault {
    keep: u32,
    turn: u32,
}

impl WordFault {
    const NONE: Self = Self { keep: u32::MAX, turn: 0 };
}

/// What goes wrong with the sum of one output.
#[derive(Clone, Debug)]
enum Reads {
    /// The same at every read.
    All(WordFault),
    /// At single reads, rising by number: the bits that are inverted.
    Single(Vec<(u64, u32)>),
}

impl Reads {
    /// What goes wrong at a read.
    fn at(&self, number: u64) -> WordFault {
        match self {
            Self::All(fault) => *fault,
            Self::Single(turns) => turns
                .binary_search_by_key(&number, |&(read, _)| read)
                .map_or(WordFault::NONE, |at| WordFault { turn: turns[at].1, ..WordFault::NONE }),
        }
    }
}

/// The outputs of a layer whose sums are read wrongly.
#[derive(Clone, Debug)]
struct Layer {
    fold: usize,
    /// Rising by output element.
    outputs: Vec<(usize, Reads)>,
}

/// Faults of the accumulator memory, sorted out by layer and output. Persistent ones act at **every** read:
/// an inverting cell turns its bit once per fold, so that an even number of reads does not give back what
/// was written, since other products were added in between.
#[derive(Clone, Debug)]
pub struct SumFaults {
    /// One entry per node of the graph.
    layers: Vec<Option<Layer>>,
    bias_in_memory: bool,
}

impl SumFaults {
    /// Faults under the sums that `placement` places; `bias_in_memory` if biases are written to the memory
    /// first, as the start of each sum.
    #[must_use]
    pub fn new(
        placement: &SumPlacement,
        faults: &[FaultyCell],
        kind: FaultKind,
        bias_in_memory: bool,
    ) -> Self {
        Self::of_parts(placement, &[(faults, kind)], bias_in_memory)
    }

    /// As [`Self::new`] where cells err in different ways; no cell may be in two lists.
    #[must_use]
    pub fn of_parts(
        placement: &SumPlacement,
        parts: &[(&[FaultyCell], FaultKind)],
        bias_in_memory: bool,
    ) -> Self {
        // The memory's whole words; cells behind the last hold nothing.
        let words = usize::try_from(placement.geometry.cells() / SUM_BITS).unwrap_or(usize::MAX);
        let mut of_word = vec![WordFault::NONE; words];
        let of_parts =
            parts.iter().flat_map(|&(faults, kind)| faults.iter().map(move |f| (f, kind)));
        for (fault, kind) in of_parts {
            let word = usize::try_from(fault.address / SUM_BITS).ok();
            let Some(word) = word.and_then(|word| of_word.get_mut(word)) else { continue };
            let mask = 1_u32 << (fault.address % SUM_BITS);
            match kind {
                FaultKind::Flip => word.turn |= mask,
                FaultKind::StuckAt => {
                    word.keep &= !mask;
                    word.turn |= if fault.preferred { mask } else { 0 };
                }
            }
        }
        let layers = placement.layers.iter().map(|placed| {
            let placed = placed.as_ref()?;
            let outputs: Vec<(usize, Reads)> = (0..placed.outputs)
                // A word lies in the memory, whose words have usize numbers.
                .map(|element| (element, of_word[placed.word(element) as usize]))
                .filter(|&(_, fault)| fault != WordFault::NONE)
                .map(|(element, fault)| (element, Reads::All(fault)))
                .collect();
            (!outputs.is_empty()).then_some(Layer { fold: placed.fold, outputs })
        });
        Self { layers: layers.collect(), bias_in_memory }
    }

    /// Each bit of each sum inverted with probability `rate` at each read, for one image.
    #[must_use]
    pub fn drawn(
        placement: &SumPlacement,
        rate: f64,
        key: ChipKey,
        image: u64,
        bias_in_memory: bool,
    ) -> Self {
        let layers = (0..).zip(&placement.layers).map(|(number, placed)| {
            let placed = placed.as_ref()?;
            let reads = placed.reads(bias_in_memory);
            let per_output = (reads / placed.outputs.max(1) as u64).max(1);
            let mut outputs: Vec<(usize, Reads)> = Vec::new();
            // Output by output, read by read, bit by bit.
            random_bits(reads * SUM_BITS, rate, key, image, number, |bit| {
                let (read, turn) = (bit / SUM_BITS, 1_u32 << (bit % SUM_BITS));
                // Below the number of outputs.
                let (element, read) = ((read / per_output) as usize, read % per_output);
                match outputs.last_mut() {
                    Some((last, Reads::Single(turns))) if *last == element => {
                        match turns.last_mut() {
                            Some((number, turns)) if *number == read => *turns |= turn,
                            _ => turns.push((read, turn)),
                        }
                    }
                    _ => outputs.push((element, Reads::Single(vec![(read, turn)]))),
                }
            });
            (!outputs.is_empty()).then_some(Layer { fold: placed.fold, outputs })
        });
        Self { layers: layers.collect(), bias_in_memory }
    }

    /// True if no sum lies on a faulty cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.layers.iter().all(Option::is_none)
    }

    /// The faults for a network with these weight codes.
    ///
    /// # Panics
    /// If `graph` is not the graph whose sums were placed, or `codes` are not its.
    #[must_use]
    pub fn load<'a>(&'a self, graph: &'a Graph, codes: &[Vec<u8>]) -> LoadedSumFaults<'a> {
        let sums = self.layers.iter().enumerate().map(|(node, layer)| {
            let layer = layer.as_ref()?;
            Some((layer, OutputSums::new(graph, codes, node)?))
        });
        LoadedSumFaults {
            inputs: graph.nodes.iter().map(|node| node.inputs[0].0).collect(),
            layers: sums.collect(),
            bias_in_memory: self.bias_in_memory,
        }
    }
}

/// Faults of sums beside the weights that make these sums.
pub struct LoadedSumFaults<'a> {
    /// The tensor each node reads.
    inputs: Vec<usize>,
    layers: Vec<Option<(&'a Layer, OutputSums<'a>)>>,
    bias_in_memory: bool,
}

impl LoadedSumFaults<'_> {
    /// Makes of a node's right outputs those that the memory lets through; `tensors` are all activations as
    /// they are read.
    pub fn apply(&self, node: usize, tensors: &[Vec<i8>], out: &mut [i8]) -> Applied {
        let mut applied = Applied::default();
        let Some((layer, sums)) = &self.layers[node] else { return applied };
        let input = &tensors[self.inputs[node]];
        for (element, reads) in &layer.outputs {
            let mut number = 0;
            out[*element] = sums.output(input, *element, layer.fold, self.bias_in_memory, |sum| {
                let WordFault { keep, turn } = reads.at(number);
                number += 1;
                let stored = sum.cast_unsigned();
                let read = stored & keep ^ turn;
                applied.cells_hit += u64::from((!keep | turn).count_ones());
                applied.bits_flipped += u64::from((stored ^ read).count_ones());
                read.cast_signed()
            });
        }
        applied
    }
}
