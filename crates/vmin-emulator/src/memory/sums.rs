//! Partial sums as the memory gives them back.

use std::sync::Arc;

use vmin_accel::placement::{PlacedSums, SUM_BITS, SumPlacement};
use vmin_nn::Graph;
use vmin_nn::exec::OutputSums;
use vmin_protection::rails::RailPlace;
use vmin_protection::store::Storage;
use vmin_protection::words::{CodeBit, Faults, Scheme, Stored, Stores, Sum, TowardZero, compile};
use vmin_sram::{Applied, CellEffect, ChipKey, Fault, FaultKind, FaultyCell, random_bits};

use super::contents::{Contents, Span};
use super::transient::AnyBit;
use super::{Arrays, Powered, region};
use crate::source::{Errors, faults};

/// Faults of the sum of one output.
#[derive(Clone, Debug)]
enum Reads {
    /// The same at every read.
    All(Arc<Faults>),
    /// At single reads, rising by number.
    Single(Vec<(u64, Faults)>),
}

impl Reads {
    /// The faults at a read.
    fn at(&self, number: u64) -> Option<&Faults> {
        match self {
            Self::All(faults) => Some(faults),
            Self::Single(reads) => {
                let found = reads.binary_search_by_key(&number, |&(read, _)| read).ok()?;
                Some(&reads[found].1)
            }
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
pub struct SumFaults<'m> {
    /// One entry per node of the graph.
    layers: Vec<Option<Layer>>,
    bias_in_memory: bool,
    scheme: &'m Scheme,
    stored: &'m [Stored],
}

/// The bits of a memory of sums, or of one sum, by address.
struct InSums;

impl Stores for InSums {
    fn held(&self, address: u64) -> Option<CodeBit> {
        // Words of a memory have usize numbers, a remainder by 32 fits.
        let (code, bit) = ((address / SUM_BITS) as usize, (address % SUM_BITS) as u8);
        Some(CodeBit { tensor: 0, code, bit })
    }
}

impl SumFaults<'static> {
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
        let parts: Vec<_> = parts.iter().map(|&(cells, kind)| (cells.into(), kind)).collect();
        Self::plain(placement, faults(&parts), bias_in_memory)
    }

    fn plain(placement: &SumPlacement, mut all: Vec<Fault>, bias_in_memory: bool) -> Self {
        // The memory's whole words; cells behind the last hold nothing.
        let end = placement.geometry.cells() / SUM_BITS * SUM_BITS;
        all.retain(|fault| fault.address < end);
        let of_word = shared(compile(&Scheme::Plain, &InSums, &[], &all, &[]));
        let layers = placement.layers.iter().map(|placed| lasting(placed.as_ref()?, &of_word));
        Self { layers: layers.collect(), bias_in_memory, scheme: &Scheme::Plain, stored: &[] }
    }
}

/// The faults of each word, rising, for all outputs that wait in it.
fn shared(faults: Faults) -> Vec<(usize, Arc<Faults>)> {
    faults.by_code().into_iter().map(|(word, faults)| (word, Arc::new(faults))).collect()
}

/// The outputs of a layer whose words have faults, given by word, rising.
fn lasting(placed: &PlacedSums, of_word: &[(usize, Arc<Faults>)]) -> Option<Layer> {
    let faults = |element: usize| {
        // A word lies in the memory, whose words have usize numbers.
        let word = placed.word(element) as usize;
        let found = of_word.binary_search_by_key(&word, |&(word, _)| word).ok()?;
        Some((element, Reads::All(Arc::clone(&of_word[found].1))))
    };
    let outputs: Vec<(usize, Reads)> = (0..placed.outputs).filter_map(faults).collect();
    (!outputs.is_empty()).then_some(Layer { fold: placed.fold, outputs })
}

/// How the bits of sums are stored; their values are not known when that is decided.
pub(crate) fn storage<'a>(placement: &SumPlacement, powered: &'a Powered<'_>) -> &'a Storage {
    powered.storage(&[used(placement)], None)
}

/// The accumulator memory at a read.
pub(crate) fn read<'a>(
    placement: &SumPlacement,
    powered: &'a Powered<'_>,
    bias_in_memory: bool,
    read: u64,
) -> SumFaults<'a> {
    let Arrays { protected, reads, .. } = powered.arrays;
    let scheme = &protected.stages.scheme;
    if powered.is_plain()
        && let [(_, errors @ (Errors::Always(..) | Errors::Sometimes(_)))] = &powered.at.data[..]
    {
        return SumFaults::plain(placement, faults(&errors.at_read(*reads, read)), bias_in_memory);
    }
    let any = AnyBit::of(powered, read);
    let per_layer = powered.places.iter().any(RailPlace::depends_on_tensor);
    let storage = storage(placement, powered);
    let of_words = |node: usize| {
        let content = contents(placement, node);
        shared(powered.compiled(&content, read, storage))
    };
    let shared = (any.is_none() && !per_layer).then(|| of_words(0));
    let layers = placement.layers.iter().enumerate().map(|(node, placed)| {
        let placed = placed.as_ref()?;
        match (&any, &shared) {
            (Some(any), _) => transient(placed, node, any, powered, bias_in_memory),
            (None, Some(of_word)) => lasting(placed, of_word),
            (None, None) => lasting(placed, &of_words(node)),
        }
    });
    SumFaults { layers: layers.collect(), bias_in_memory, scheme, stored: &protected.stored }
}

/// The outputs of a layer with errors at single reads.
fn transient(
    placed: &PlacedSums,
    node: usize,
    any: &AnyBit<'_>,
    powered: &Powered<'_>,
    bias_in_memory: bool,
) -> Option<Layer> {
    let Arrays { protected, reads: key, .. } = powered.arrays;
    let scheme = &protected.stages.scheme;
    let reads = placed.reads(bias_in_memory);
    let per_output = (reads / placed.outputs.max(1) as u64).max(1);
    // (read of all reads of the layer, address within the sum, check bit)
    let mut hits: Vec<(u64, bool, u64)> = Vec::new();
    // Nodes are numbered in u32.
    let stream = node as u32;
    // Output by output, read by read, bit by bit.
    random_bits(reads * SUM_BITS, any.rate, *key, any.read(), stream, |bit| {
        let held = CodeBit { tensor: node, code: 0, bit: (bit % SUM_BITS) as u8 };
        if any.errs(held, bit, key.memory) {
            hits.push((bit / SUM_BITS, false, bit % SUM_BITS));
        }
    });
    if let Scheme::Code { code, .. } = scheme {
        let check_bits =
            SUM_BITS / u64::from(code.data_bits()).max(1) * u64::from(code.check_bits());
        let of_check = ChipKey { memory: region(key.memory, 0), ..*key };
        random_bits(reads * check_bits, any.rate, of_check, any.read(), stream, |bit| {
            let held = CodeBit { tensor: node, code: 0, bit: 0 };
            if any.errs(held, bit, of_check.memory) {
                hits.push((bit / check_bits, true, bit % check_bits));
            }
        });
        hits.sort_unstable();
    }
    let mut outputs: Vec<(usize, Reads)> = Vec::new();
    for of_read in hits.chunk_by(|a, b| a.0 == b.0) {
        let of = |check: bool| -> Vec<Fault> {
            let of_kind = of_read.iter().filter(|hit| hit.1 == check);
            of_kind.map(|hit| Fault { address: hit.2, effect: CellEffect::Inverts }).collect()
        };
        let compiled = compile(scheme, &InSums, &protected.stored, &of(false), &of(true));
        // Below the number of outputs.
        let (element, read) = ((of_read[0].0 / per_output) as usize, of_read[0].0 % per_output);
        match outputs.last_mut() {
            Some((last, Reads::Single(reads))) if *last == element => reads.push((read, compiled)),
            Some(_) | None => outputs.push((element, Reads::Single(vec![(read, compiled)]))),
        }
    }
    (!outputs.is_empty()).then_some(Layer { fold: placed.fold, outputs })
}

/// All words of the memory, as sums of a node.
pub(crate) fn contents(placement: &SumPlacement, node: usize) -> Contents<'static> {
    let codes = placement.geometry.cells() / SUM_BITS;
    let span =
        Span { first_bit: 0, tensor: node, first_code: 0, codes, bits: SUM_BITS, order: None };
    // Nodes are numbered in u32.
    Contents { spans: vec![span], number: node as u32 }
}

/// The words of the memory that are used at some time.
fn used(placement: &SumPlacement) -> Contents<'static> {
    let words = placement.layers.iter().flatten().map(PlacedSums::words_used).max().unwrap_or(0);
    let mut contents = contents(placement, 0);
    for span in &mut contents.spans {
        span.codes = span.codes.min(words);
    }
    contents
}

/// The sums of each node, all words of the memory.
pub(crate) fn stored(placement: &SumPlacement) -> Vec<Stored> {
    let words = usize::try_from(placement.geometry.cells() / SUM_BITS).unwrap_or(usize::MAX);
    let stored =
        Stored { codes: words, bits: 32, zeros: vec![0], toward_zero: TowardZero::SignBit };
    vec![stored; placement.layers.len().max(1)]
}

impl SumFaults<'_> {
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
            scheme: self.scheme,
            stored: self.stored,
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
    scheme: &'a Scheme,
    stored: &'a [Stored],
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
                let faults = reads.at(number);
                number += 1;
                let Some(faults) = faults else { return sum };
                let mut read = Sum(sum.cast_unsigned());
                let done = faults.read(self.scheme, self.stored, &mut read);
                applied.cells_hit += done.cells_hit;
                applied.bits_flipped += done.bits_flipped;
                read.0.cast_signed()
            });
        }
        applied
    }
}
