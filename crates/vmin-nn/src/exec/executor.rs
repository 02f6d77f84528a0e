//! Fast execution: plans once per graph, weights once per weight set, no allocation per image.

use vmin_kernels::GemmKernel;

use super::scratch::{Scratch, Work};
use super::step::decoded;
use crate::ops::{At, NodeWeights, Plan, Run};
use crate::pixels::PixelCodes;
use crate::{Graph, Node, TensorId};

/// Runs one graph with one kernel; the bits are those of [`super::reference::run`] for every kernel.
///
/// ```text
///  Executor::new(graph, kernel)          shapes, padding, multipliers         once
///    .load_weights(codes)                decode, pack, zero point terms       per chip and voltage
///    .run(weights, input, scratch)                                            per image
/// ```
pub struct Executor<'g> {
    graph: &'g Graph,
    kernel: &'static dyn GemmKernel,
    plans: Vec<Box<dyn Plan>>,
    pixels: Option<PixelCodes>,
}

/// One weight set, decoded and packed for an [`Executor`].
pub struct LoadedWeights {
    nodes: Vec<NodeWeights>,
}

impl<'g> Executor<'g> {
    /// Plans every layer.
    ///
    /// # Panics
    /// If the graph does not pass [`Graph::validate`].
    #[must_use]
    pub fn new(graph: &'g Graph, kernel: &'static dyn GemmKernel) -> Self {
        let plan = |(index, node): (usize, &Node)| node.op.operator().plan(&At { graph, index });
        let plans = graph.nodes.iter().enumerate().map(plan).collect();
        Self { graph, kernel, plans, pixels: PixelCodes::of(graph) }
    }

    /// The graph.
    #[must_use]
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> &'static dyn GemmKernel {
        self.kernel
    }

    /// The kernel's name.
    #[must_use]
    pub fn kernel_name(&self) -> &'static str {
        self.kernel.name()
    }

    /// Decodes and packs one weight set: one vector per weight tensor, one code per byte, as the
    /// memory returned them. Bits above a tensor's `bits` are ignored.
    ///
    /// # Panics
    /// If the lengths are not those of the graph.
    #[must_use]
    pub fn load_weights(&self, codes: &[Vec<u8>]) -> LoadedWeights {
        assert_eq!(codes.len(), self.graph.weights.len(), "one vector of codes per weight tensor");
        let nodes = self.graph.nodes.iter().zip(&self.plans).map(|(node, plan)| {
            let Some(conv) = node.op.product() else { return NodeWeights::None };
            let tensor = &self.graph.weights[conv.weights.0];
            let integers = decoded(tensor, &codes[conv.weights.0]);
            plan.load(self.kernel, &conv.bias, tensor, &integers)
        });
        LoadedWeights { nodes: nodes.collect() }
    }

    /// Decodes and packs the graph's own, clean codes.
    #[must_use]
    pub fn load_clean_weights(&self) -> LoadedWeights {
        let codes: Vec<_> = self.graph.weights.iter().map(|w| w.codes.clone()).collect();
        self.load_weights(&codes)
    }

    /// Memory for one thread.
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        let mut sizes = [0; 3];
        for plan in &self.plans {
            let needed = plan.work();
            sizes = std::array::from_fn(|i| sizes[i].max(needed[i]));
        }
        Scratch {
            tensors: self.graph.tensors.iter().map(|t| vec![0; t.elements()]).collect(),
            codes: vec![0; self.graph.tensors[self.graph.input.0].elements()],
            work: Work {
                padded: vec![0; sizes[0]],
                patches: vec![0; sizes[1]],
                sums: vec![0; sizes[2]],
            },
        }
    }

    /// Runs one image of input codes and returns the output tensor.
    ///
    /// # Panics
    /// If `input` does not have the length of the input tensor, or `weights` or `scratch` belong to
    /// an executor of another graph or kernel.
    pub fn run<'s>(
        &self,
        weights: &LoadedWeights,
        input: &[i8],
        scratch: &'s mut Scratch,
    ) -> &'s [i8] {
        self.run_with(weights, input, scratch, |_, _| {})
    }

    /// As [`Self::run`]; `written` gets each tensor after it is written, the input first, and may change
    /// it for the next layers: a faulty activation memory.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn run_with<'s>(
        &self,
        weights: &LoadedWeights,
        input: &[i8],
        scratch: &'s mut Scratch,
        written: impl FnMut(TensorId, &mut [i8]),
    ) -> &'s [i8] {
        self.run_watched(weights, input, scratch, |_, _, _| {}, written)
    }

    /// As [`Self::run_with`]; `computed` gets the output of a node before it is written, with all tensors
    /// (the node's own is empty), and may change it: a faulty accumulator memory.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn run_watched<'s>(
        &self,
        weights: &LoadedWeights,
        input: &[i8],
        scratch: &'s mut Scratch,
        mut computed: impl FnMut(usize, &[Vec<i8>], &mut [i8]),
        mut written: impl FnMut(TensorId, &mut [i8]),
    ) -> &'s [i8] {
        scratch.tensors[self.graph.input.0].copy_from_slice(input);
        written(self.graph.input, &mut scratch.tensors[self.graph.input.0]);
        for (index, node) in self.graph.nodes.iter().enumerate() {
            // Taken out, so that the inputs can be borrowed beside it.
            let mut out = std::mem::take(&mut scratch.tensors[node.output.0]);
            let input =
                |at: usize| node.inputs.get(at).map_or(&[][..], |id| &scratch.tensors[id.0]);
            self.plans[index].run(Run {
                kernel: self.kernel,
                weights: &weights.nodes[index],
                inputs: [input(0), input(1)],
                work: &mut scratch.work,
                out: &mut out,
            });
            computed(index, &scratch.tensors, &mut out);
            written(node.output, &mut out);
            scratch.tensors[node.output.0] = out;
        }
        &scratch.tensors[self.graph.output.0]
    }

    /// Every activation tensor of one image, in the order of [`Graph::tensors`].
    ///
    /// # Panics
    /// As [`Self::run`].
    #[must_use]
    pub fn run_all(&self, weights: &LoadedWeights, input: &[i8]) -> Vec<Vec<i8>> {
        let mut scratch = self.scratch();
        self.run(weights, input, &mut scratch);
        scratch.tensors
    }

    /// The class of an image of `[height, width, channels]` pixels: the first of the largest output
    /// codes. The whole network runs, a final softmax too: its rounding can tie classes whose
    /// logits differ.
    ///
    /// # Panics
    /// As [`Self::run`], and if the graph has no rule for pixels.
    pub fn classify(&self, weights: &LoadedWeights, image: &[u8], scratch: &mut Scratch) -> usize {
        self.classify_with(weights, image, scratch, |_, _| {})
    }

    /// As [`Self::classify`], with `written` as in [`Self::run_with`].
    ///
    /// # Panics
    /// As [`Self::classify`].
    pub fn classify_with(
        &self,
        weights: &LoadedWeights,
        image: &[u8],
        scratch: &mut Scratch,
        written: impl FnMut(TensorId, &mut [i8]),
    ) -> usize {
        self.classify_watched(weights, image, scratch, |_, _, _| {}, written)
    }

    /// As [`Self::classify`], with `computed` and `written` as in [`Self::run_watched`].
    ///
    /// # Panics
    /// As [`Self::classify`].
    pub fn classify_watched(
        &self,
        weights: &LoadedWeights,
        image: &[u8],
        scratch: &mut Scratch,
        computed: impl FnMut(usize, &[Vec<i8>], &mut [i8]),
        written: impl FnMut(TensorId, &mut [i8]),
    ) -> usize {
        self.read_watched(weights, image, scratch, first_max, computed, written)
    }

    /// As [`Self::classify_watched`]; gives what `readout` makes of the output codes, in place of the class.
    ///
    /// # Panics
    /// As [`Self::classify`].
    pub fn read_watched<A>(
        &self,
        weights: &LoadedWeights,
        image: &[u8],
        scratch: &mut Scratch,
        readout: impl FnOnce(&[i8]) -> A,
        computed: impl FnMut(usize, &[Vec<i8>], &mut [i8]),
        written: impl FnMut(TensorId, &mut [i8]),
    ) -> A {
        assert_eq!(image.len(), scratch.codes.len(), "one pixel per input element");
        let mut codes = std::mem::take(&mut scratch.codes);
        self.pixels.as_ref().expect("a rule for pixels").translate(image, &mut codes);
        let answer = readout(self.run_watched(weights, &codes, scratch, computed, written));
        scratch.codes = codes;
        answer
    }
}

/// Index of the first of the largest codes; 0 of an empty slice.
#[must_use]
pub fn first_max(codes: &[i8]) -> usize {
    let better = |best: usize, i: usize| if codes[i] > codes[best] { i } else { best };
    (1..codes.len()).fold(0, better)
}
