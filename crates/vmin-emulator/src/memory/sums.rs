//! Partial sums as the memory gives them back.
//!
//! ```text
//!  sum ─ cut to the cells in use ─ faults ─ sign extended ─ clamped into the node's range ─> sum as read
//! ```

use std::sync::Arc;

use vmin_accel::placement::{PlacedSums, SUM_BITS, SumPlacement};
use vmin_kernels::GemmKernel;
use vmin_nn::Graph;
use vmin_nn::exec::{LayerSums, OutputSums};
use vmin_protection::rails::RailPlace;
use vmin_protection::store::Storage;
use vmin_protection::words::{CodeBit, Faults, Scheme, Stored, Stores, Sum, TowardZero, compile};
use vmin_sram::{Applied, CellEffect, ChipKey, Fault, FaultKind, FaultyCell, random_bits};

use super::contents::{Contents, Span};
use super::transient::AnyBit;
use super::{Arrays, Powered, region};
use crate::source::{Errors, faults};
use crate::sum_ranges::sum_bounds;

/// Faulty cells under a sum without protection: it reads as `sum & keep ^ turn`.
#[derive(Clone, Copy, Debug)]
struct Mask {
    keep: u32,
    turn: u32,
}

impl Mask {
    /// What plain reads of one word do.
    fn of(faults: &Faults) -> Self {
        let read = |word: u32| {
            let mut read = Sum(word);
            faults.read(&Scheme::Plain, &[], &mut read);
            read.0
        };
        let turn = read(0);
        Self { keep: turn ^ read(u32::MAX), turn }
    }

    /// Without the cells from `bits` on.
    fn below(self, bits: u8) -> Self {
        let used = u32::MAX >> (32 - u32::from(bits));
        Self { keep: self.keep | !used, turn: self.turn & used }
    }

    fn cells(self) -> u32 {
        !self.keep | self.turn
    }

    fn faults(self) -> Faults {
        let effect = |cell: u32| {
            let holds = CellEffect::Holds(self.turn >> cell & 1 == 1);
            if self.keep >> cell & 1 == 1 { CellEffect::Inverts } else { holds }
        };
        let faulty = (0..32).filter(|cell| self.cells() >> cell & 1 == 1);
        let faulty = faulty.map(|cell| Fault { address: cell.into(), effect: effect(cell) });
        compile(&Scheme::Plain, &InSums, &[], &faulty.collect::<Vec<_>>(), &[])
    }
}

/// Faults of the sum of one output.
#[derive(Clone, Debug)]
enum Reads {
    /// The same at every read, without protection.
    Plain(Mask),
    /// The same at every read.
    All(Arc<Faults>),
    /// At single reads, rising by number.
    Single(Vec<(u64, Faults)>),
}

/// Faults at one read.
#[derive(Clone, Copy)]
enum Read<'f> {
    Plain(Mask),
    Through(&'f Faults),
}

impl Reads {
    /// The faults at a read.
    fn at(&self, number: u64) -> Option<Read<'_>> {
        match self {
            Self::Plain(mask) => Some(Read::Plain(*mask)),
            Self::All(faults) => Some(Read::Through(faults)),
            Self::Single(reads) => {
                let found = reads.binary_search_by_key(&number, |&(read, _)| read).ok()?;
                Some(Read::Through(&reads[found].1))
            }
        }
    }

    /// Those of the cells below `bits`, if there are any.
    fn below(self, bits: u8) -> Option<Self> {
        let narrow = |faults: &Faults| Mask::of(faults).below(bits).faults();
        match self {
            Self::Plain(mask) => {
                let left = mask.below(bits);
                (left.cells() != 0).then_some(Self::Plain(left))
            }
            Self::All(faults) => {
                let left = narrow(&faults);
                (!left.is_empty()).then(|| Self::All(Arc::new(left)))
            }
            Self::Single(reads) => {
                let left = reads.into_iter().map(|(read, faults)| (read, narrow(&faults)));
                let left: Vec<_> = left.filter(|(_, left)| !left.is_empty()).collect();
                (!left.is_empty()).then_some(Self::Single(left))
            }
        }
    }
}

/// How the sums of a node are kept and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumRule {
    /// Cells in use of each word, 1..=32, the lowest first: a sum is cut to them and sign extended when it is
    /// read.
    pub bits: u8,
    /// Lowest and highest sum; what is read beyond them is clamped.
    pub range: [i32; 2],
}

impl SumRule {
    /// Whole words, whatever they hold.
    pub const NONE: Self = Self { bits: 32, range: [i32::MIN, i32::MAX] };

    /// A sum as its cells hold it.
    #[must_use]
    pub fn cut(self, sum: i32) -> i32 {
        let unused = 32 - u32::from(self.bits);
        sum << unused >> unused
    }

    /// What the rule makes of the bits of a word.
    #[must_use]
    pub fn read(self, sum: i32) -> i32 {
        self.cut(sum).clamp(self.range[0], self.range[1])
    }

    /// True if the rule changes no sum of this range.
    fn keeps(self, [low, high]: [i64; 2]) -> bool {
        let fits = |sum: i64| {
            i32::try_from(sum).is_ok_and(|sum| self.range[0] <= sum && sum <= self.range[1])
                && sum << (64 - u32::from(self.bits)) >> (64 - u32::from(self.bits)) == sum
        };
        fits(low) && fits(high)
    }
}

/// The outputs of a layer whose sums are read wrongly.
#[derive(Clone, Debug)]
struct Layer {
    fold: usize,
    /// Rising by output element.
    outputs: Vec<(usize, Reads)>,
    rule: SumRule,
}

impl Layer {
    fn of(fold: usize, outputs: Vec<(usize, Reads)>) -> Option<Self> {
        (!outputs.is_empty()).then_some(Self { fold, outputs, rule: SumRule::NONE })
    }
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
        let of_word = by_word(compile(&Scheme::Plain, &InSums, &[], &all, &[]), &Scheme::Plain);
        let layers = placement.layers.iter().map(|placed| lasting(placed.as_ref()?, &of_word));
        Self { layers: layers.collect(), bias_in_memory, scheme: &Scheme::Plain, stored: &[] }
    }
}

/// The faults of each word, rising, for all outputs that wait in it.
fn by_word(faults: Faults, scheme: &Scheme) -> Vec<(usize, Reads)> {
    let reads = |faults: Faults| match scheme {
        Scheme::Plain => Reads::Plain(Mask::of(&faults)),
        Scheme::Code { .. } | Scheme::Detecting(_) => Reads::All(Arc::new(faults)),
    };
    faults.by_code().into_iter().map(|(word, faults)| (word, reads(faults))).collect()
}

/// The outputs of a layer whose words have faults, given by word, rising.
fn lasting(placed: &PlacedSums, of_word: &[(usize, Reads)]) -> Option<Layer> {
    let faults = |element: usize| {
        // A word lies in the memory, whose words have usize numbers.
        let word = placed.word(element) as usize;
        let found = of_word.binary_search_by_key(&word, |&(word, _)| word).ok()?;
        Some((element, of_word[found].1.clone()))
    };
    let outputs: Vec<(usize, Reads)> = (0..placed.outputs).filter_map(faults).collect();
    Layer::of(placed.fold, outputs)
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
        by_word(powered.compiled(&content, read, storage), scheme)
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
    Layer::of(placed.fold, outputs)
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
pub(crate) fn used(placement: &SumPlacement) -> Contents<'static> {
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

impl<'m> SumFaults<'m> {
    /// The same memory with one rule for the sums of each node. Words with check bits hold all 32 bits of a
    /// sum whatever the rule; elsewhere faults of cells that are not in use are left out.
    ///
    /// # Panics
    /// If there is not one rule per node of `placement`, or a rule has no or more than 32 bits.
    #[must_use]
    pub fn with_rules(mut self, placement: &SumPlacement, rules: &[SumRule]) -> Self {
        assert_eq!(rules.len(), placement.layers.len(), "one rule per node");
        let of_nodes = self.layers.iter_mut().zip(&placement.layers).zip(rules);
        for ((layer, placed), &rule) in of_nodes {
            assert!((1..=32).contains(&rule.bits), "sums have 1 to 32 bits");
            let Some(placed) = placed.as_ref().filter(|_| rule != SumRule::NONE) else { continue };
            let whole = layer.take().map_or_else(Vec::new, |layer| layer.outputs);
            let outputs = match self.scheme {
                Scheme::Code { .. } => whole,
                Scheme::Plain | Scheme::Detecting(_) => {
                    let below =
                        |(element, reads): (usize, Reads)| Some((element, reads.below(rule.bits)?));
                    whole.into_iter().filter_map(below).collect()
                }
            };
            *layer = Some(Layer { fold: placed.fold, outputs, rule });
        }
        self
    }

    /// True if every sum is read as it was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.layers.iter().all(Option::is_none)
    }

    /// The faults for a network with these weight codes.
    ///
    /// # Panics
    /// If `graph` is not the graph whose sums were placed, or `codes` are not its.
    #[must_use]
    pub fn load<'a>(
        &'a self,
        graph: &'a Graph,
        codes: &[Vec<u8>],
        kernel: &'static dyn GemmKernel,
    ) -> LoadedSumFaults<'a> {
        let layer = |node| self.load_layer(graph, codes, node, kernel);
        LoadedSumFaults {
            inputs: graph.nodes.iter().map(|node| node.inputs[0].0).collect(),
            layers: (0..self.layers.len()).map(layer).collect(),
        }
    }

    /// As [`Self::load`], of one node.
    pub(crate) fn load_layer<'a>(
        &'a self,
        graph: &'a Graph,
        codes: &[Vec<u8>],
        node: usize,
        kernel: &'static dyn GemmKernel,
    ) -> Option<LoadedLayer<'a>> {
        let layer = self.layers[node].as_ref()?;
        let bounds = sum_bounds(graph, codes, node)?;
        let elements = graph.tensors[graph.nodes[node].output.0].elements();
        let few = layer.outputs.len() <= elements / FEW;
        let sums = if few && layer.rule.keeps(bounds) {
            Outputs::Few(OutputSums::new(graph, codes, node)?)
        } else {
            Outputs::All(LayerSums::new(graph, node, codes, layer.fold, kernel)?)
        };
        Some(LoadedLayer {
            layer,
            sums,
            bias_in_memory: self.bias_in_memory,
            scheme: self.scheme,
            stored: self.stored,
        })
    }
}

/// Outputs of a layer per one that is computed by itself; with more, matrix products of all are faster.
const FEW: usize = 16;

/// Faults of sums beside the weights that make these sums.
pub struct LoadedSumFaults<'a> {
    /// The tensor each node reads.
    inputs: Vec<usize>,
    layers: Vec<Option<LoadedLayer<'a>>>,
}

impl LoadedSumFaults<'_> {
    /// Makes of a node's right outputs those that the memory lets through; `tensors` are all activations as
    /// they are read.
    pub fn apply(&self, node: usize, tensors: &[Vec<i8>], out: &mut [i8]) -> Applied {
        let layer = self.layers[node].as_ref();
        layer.map_or_else(Applied::default, |layer| layer.apply(&tensors[self.inputs[node]], out))
    }
}

/// How sums are computed again.
enum Outputs<'a> {
    Few(OutputSums<'a>),
    All(LayerSums),
}

/// Faults of one layer's sums.
pub(crate) struct LoadedLayer<'a> {
    layer: &'a Layer,
    sums: Outputs<'a>,
    bias_in_memory: bool,
    scheme: &'a Scheme,
    stored: &'a [Stored],
}

impl LoadedLayer<'_> {
    /// Makes of the right outputs those that the memory lets through.
    pub(crate) fn apply(&self, input: &[i8], out: &mut [i8]) -> Applied {
        let mut applied = Applied::default();
        let Layer { fold, outputs, .. } = self.layer;
        match &self.sums {
            Outputs::Few(sums) => {
                for (element, reads) in outputs {
                    let through = self.reader(reads, &mut applied);
                    out[*element] =
                        sums.output(input, *element, *fold, self.bias_in_memory, through);
                }
            }
            Outputs::All(sums) => {
                let read = |number, first, sums: &mut [i32]| {
                    self.read_all(number, first, sums, &mut applied);
                };
                out.copy_from_slice(&sums.run(input, self.bias_in_memory, read));
            }
        }
        applied
    }

    /// Makes of the right sums of all outputs those that the requantization reads.
    pub(crate) fn read_sums(&self, input: &[i8], right: &mut [i32]) {
        let mut applied = Applied::default();
        let Layer { fold, outputs, .. } = self.layer;
        match &self.sums {
            Outputs::Few(sums) => {
                for (element, reads) in outputs {
                    let through = self.reader(reads, &mut applied);
                    right[*element] =
                        sums.sum(input, *element, *fold, self.bias_in_memory, through);
                }
            }
            Outputs::All(sums) => {
                let _ = sums.run(input, self.bias_in_memory, |number, first, sums| {
                    self.read_all(number, first, sums, &mut applied);
                    // The last read of a block stays.
                    right[first..first + sums.len()].copy_from_slice(sums);
                });
            }
        }
    }

    /// The sum that is read of what was written.
    fn read(&self, read: Option<Read<'_>>, sum: i32, applied: &mut Applied) -> i32 {
        let rule = self.layer.rule;
        let written = rule.cut(sum).cast_unsigned();
        let word = match read {
            None => written,
            Some(Read::Plain(mask)) => {
                let word = written & mask.keep ^ mask.turn;
                applied.cells_hit += u64::from(mask.cells().count_ones());
                applied.bits_flipped += u64::from((word ^ written).count_ones());
                word
            }
            Some(Read::Through(faults)) => {
                let mut word = Sum(written);
                let done = faults.read(self.scheme, self.stored, &mut word);
                applied.cells_hit += done.cells_hit;
                applied.bits_flipped += done.bits_flipped;
                word.0
            }
        };
        rule.read(word.cast_signed())
    }

    /// The reads of one output, one after the other.
    fn reader(&self, reads: &Reads, applied: &mut Applied) -> impl FnMut(i32) -> i32 {
        let mut number = 0;
        move |sum| {
            number += 1;
            self.read(reads.at(number - 1), sum, applied)
        }
    }

    /// One read of the sums of some neighbouring outputs.
    fn read_all(&self, number: u64, first: usize, sums: &mut [i32], applied: &mut Applied) {
        let Layer { outputs, rule, .. } = self.layer;
        let from = outputs.partition_point(|&(element, _)| element < first);
        let end = first + sums.len();
        let hit = outputs[from..].iter().take_while(|&&(element, _)| element < end);
        let read = |(element, reads): &(usize, Reads)| {
            let read = reads.at(number)?;
            Some((element - first, self.read(Some(read), sums[element - first], applied)))
        };
        let read: Vec<(usize, i32)> = hit.filter_map(read).collect();
        if *rule != SumRule::NONE {
            sums.iter_mut().for_each(|sum| *sum = rule.read(*sum));
        }
        for (at, sum) in read {
            sums[at] = sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use vmin_testkit::Lcg;

    use super::*;

    #[test]
    fn masks_and_faults_of_a_word_read_alike_below_any_bit() {
        let mut rng = Lcg(3);
        let mut word = |sparse: bool| {
            let bytes =
                [0; 4].map(|_: u8| if sparse { rng.byte() & rng.byte() } else { rng.byte() });
            u32::from_le_bytes(bytes)
        };
        for bits in 1..=32 {
            for _ in 0..20 {
                let mask = Mask { keep: !word(true), turn: word(true) };
                let through = Reads::Single(vec![(4, mask.faults())]);
                let all = Reads::All(Arc::new(mask.faults()));
                let used = u32::MAX >> (32 - u32::from(bits));
                let written = word(false);
                let expected = (written & mask.keep ^ mask.turn) & used | written & !used;
                for reads in [Reads::Plain(mask), all, through] {
                    let left = reads.below(bits);
                    let read = match left.as_ref().and_then(|reads| reads.at(4)) {
                        None => written,
                        Some(Read::Plain(mask)) => written & mask.keep ^ mask.turn,
                        Some(Read::Through(faults)) => {
                            let mut read = Sum(written);
                            faults.read(&Scheme::Plain, &[], &mut read);
                            read.0
                        }
                    };
                    assert_eq!(read, expected, "{mask:?} {bits}");
                }
            }
        }
    }
}
