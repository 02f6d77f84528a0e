//! An unprotected array of cells, and the walk of partial sums through one.

use vmin_accel::Dataflow;
use vmin_accel::dataflow::Dimension;
use vmin_nn::{Conv2d, ConvKind, Graph, Op};
use vmin_sram::{Applied, FaultKind, FaultyCell, Geometry, Score};
use vmin_testkit::Lcg;

pub(crate) const KINDS: [FaultKind; 2] = [FaultKind::Flip, FaultKind::StuckAt];

/// An array of cells that forget.
pub(crate) struct Cells {
    pub(crate) stored: Vec<Option<bool>>,
    faults: Vec<Option<bool>>,
    kind: FaultKind,
    pub(crate) applied: Applied,
}

impl Cells {
    pub(crate) fn new(geometry: Geometry, faults: &[FaultyCell], kind: FaultKind) -> Self {
        let cells = usize::try_from(geometry.cells()).unwrap();
        let mut map = vec![None; cells];
        for fault in faults {
            map[usize::try_from(fault.address).unwrap()] = Some(fault.preferred);
        }
        Self { stored: vec![None; cells], faults: map, kind, applied: Applied::default() }
    }

    pub(crate) fn write(&mut self, address: usize, bit: bool) {
        self.stored[address] = Some(bit);
    }

    pub(crate) fn read(&mut self, address: usize) -> bool {
        let stored = self.stored[address].expect("written before it is read");
        let Some(preferred) = self.faults[address] else { return stored };
        let read = match self.kind {
            FaultKind::Flip => !stored,
            FaultKind::StuckAt => preferred,
        };
        self.applied.cells_hit += 1;
        self.applied.bits_flipped += u64::from(read != stored);
        read
    }
}

pub(crate) fn faults(rng: &mut Lcg, geometry: Geometry) -> Vec<FaultyCell> {
    let one_in = rng.pick(1..=40);
    (0..geometry.cells())
        .filter_map(|address| {
            let preferred = rng.byte() & 1 == 1;
            let faulty = rng.pick(1..=one_in) == 1;
            faulty.then_some(FaultyCell { address, score: Score(0), preferred })
        })
        .collect()
}

/// Height, width, channels of a tensor.
fn dimensions(shape: &[usize]) -> [usize; 3] {
    match *shape {
        [height, width, channels] => [height, width, channels],
        [channels] => [1, 1, channels],
        _ => panic!("a shape of a random graph: {shape:?}"),
    }
}

/// The products of one output, tap by tap; those in the padding are 0.
fn products(graph: &Graph, node: usize, conv: &Conv2d, x: &[i8], element: usize) -> Vec<i32> {
    let tensor = &graph.weights[conv.weights.0];
    let from = &graph.tensors[graph.nodes[node].inputs[0].0];
    let to = &graph.tensors[graph.nodes[node].output.0];
    let taps = tensor.codes.len() / tensor.shape[0];
    let [_, out_w, out_c] = if conv.kind == ConvKind::FullyConnected {
        [1, 1, tensor.shape[0]]
    } else {
        dimensions(&to.shape)
    };
    let channel = element % out_c;
    let weight = |tap: usize| {
        let code = tensor.codes[channel * taps + tap];
        let zero = tensor.zero_points[channel % tensor.zero_points.len()];
        i32::from(tensor.encoding.decode(code, tensor.bits)) - zero
    };
    let input = |at: usize| i32::from(x[at]) - from.quantization.zero_point;
    if conv.kind == ConvKind::FullyConnected {
        return (0..taps).map(|tap| weight(tap) * input(tap)).collect();
    }
    let [in_h, in_w, in_c] = dimensions(&from.shape);
    let [kh, kw, seen] = [tensor.shape[1], tensor.shape[2], tensor.shape[3]];
    let (oy, ox) = (element / out_c / out_w, element / out_c % out_w);
    let mut all = Vec::new();
    for ky in 0..kh {
        for kx in 0..kw {
            for c in 0..seen {
                let y = (oy * conv.stride[0] + ky * conv.dilation[0]) as isize
                    - conv.padding[0] as isize;
                let x = (ox * conv.stride[1] + kx * conv.dilation[1]) as isize
                    - conv.padding[1] as isize;
                let inside = (0..in_h as isize).contains(&y) && (0..in_w as isize).contains(&x);
                let from_channel =
                    if conv.kind == ConvKind::Dense { c } else { channel / (out_c / in_c) };
                all.push(if inside {
                    let at = (y as usize * in_w + x as usize) * in_c + from_channel;
                    weight(all.len()) * input(at)
                } else {
                    0
                });
            }
        }
    }
    all
}

/// A memory of partial sums.
pub(crate) trait Sums {
    /// How many it holds.
    fn words(&self) -> usize;
    /// Writes one.
    fn put(&mut self, word: usize, sum: i32);
    /// Reads one.
    fn get(&mut self, word: usize) -> i32;
}

impl Sums for Cells {
    fn words(&self) -> usize {
        self.stored.len() / 32
    }

    fn put(&mut self, word: usize, sum: i32) {
        (0..32).for_each(|bit| self.write(word * 32 + bit, sum >> bit & 1 == 1));
    }

    fn get(&mut self, word: usize) -> i32 {
        (0..32).fold(0, |sum, bit| sum | i32::from(self.read(word * 32 + bit)) << bit)
    }
}

/// Walks the sums of a layer through the accumulator memory in the order of the schedule.
pub(crate) fn walk_sums(
    graph: &Graph,
    node: usize,
    x: &[i8],
    cells: &mut impl Sums,
    [height, width]: [usize; 2],
    dataflow: Dataflow,
    bias_in_memory: bool,
) -> (Vec<i8>, bool) {
    let Op::Conv2d(conv) = &graph.nodes[node].op else { panic!("a product") };
    let layer = graph.layer(node);
    let to = &graph.tensors[graph.nodes[node].output.0];
    let channels = layer.n * layer.groups;
    let words = cells.words();
    let pixels_across = dataflow.dimensions()[1] == Dimension::M;
    let fold = if dataflow.sums_stay() { layer.k } else { height };
    let mut out = vec![0; to.elements()];
    let mut spilt = false;
    for group in 0..layer.groups {
        // What lies across the columns is worked off in blocks, what lies along them all at once.
        let (along, across) = if pixels_across { (layer.n, layer.m) } else { (layer.m, layer.n) };
        for block in (0..across).step_by(width) {
            let mut places = Vec::new();
            for a in 0..along {
                for b in block..across.min(block + width) {
                    let (m, n) = if pixels_across { (b, a) } else { (a, b) };
                    places.push((m * channels + group * layer.n + n, a * width + b - block));
                }
            }
            // As many as the memory holds at a time; with more, the others wait outside.
            spilt |= along * width > words;
            for part in places.chunk_by(|a, b| a.1 / words == b.1 / words) {
                for &(element, place) in part {
                    cells.put(place % words, conv.bias[element % channels]);
                }
                let taps: Vec<Vec<i32>> =
                    part.iter().map(|&(e, _)| products(graph, node, conv, x, e)).collect();
                for first in (0..layer.k).step_by(fold) {
                    for (&(element, place), taps) in part.iter().zip(&taps) {
                        let before = if first == 0 && !bias_in_memory {
                            conv.bias[element % channels]
                        } else {
                            cells.get(place % words)
                        };
                        let taps = &taps[first..layer.k.min(first + fold)];
                        let sum = taps.iter().fold(before, |sum, tap| sum.wrapping_add(*tap));
                        cells.put(place % words, sum);
                    }
                }
                for &(element, place) in part {
                    let sum = cells.get(place % words);
                    let scaled = conv.scaled(graph.rounding, element % channels, sum);
                    let (min, max) = (conv.activation.min, conv.activation.max);
                    out[element] = scaled
                        .wrapping_add(to.quantization.zero_point)
                        .clamp(i32::from(min), i32::from(max))
                        as i8;
                }
            }
        }
    }
    (out, spilt)
}
