//! Single nodes, for what goes through a network layer by layer.

use vmin_kernels::GemmKernel;

use super::Work;
use crate::ops::{At, FoldWeights, NodeWeights, Plan, Run, RunFolds};
use crate::{Graph, WeightTensor};

/// The integers of weight codes as the memory returned them.
pub(super) fn decoded(tensor: &WeightTensor, codes: &[u8]) -> Vec<i8> {
    assert_eq!(codes.len(), tensor.codes.len(), "one code per weight");
    let table = tensor.encoding.decode_table(tensor.bits);
    codes.iter().map(|&code| table[usize::from(code)]).collect()
}

/// One node with its weights; the bits are those of [`super::Executor`].
pub struct Step {
    kernel: &'static dyn GemmKernel,
    plan: Box<dyn Plan>,
    weights: NodeWeights,
    elements: usize,
}

impl Step {
    /// Plans a node under weight codes as the memory returned them.
    ///
    /// # Panics
    /// If `node` is out of range, `codes` do not have the lengths of the graph's, or the graph does not
    /// pass [`Graph::validate`].
    #[must_use]
    pub fn new(
        graph: &Graph,
        node: usize,
        codes: &[Vec<u8>],
        kernel: &'static dyn GemmKernel,
    ) -> Self {
        let at = At { graph, index: node };
        let op = &at.node().op;
        let plan = op.operator().plan(&at);
        let weights = op.product().map_or(NodeWeights::None, |conv| {
            let tensor = &graph.weights[conv.weights.0];
            plan.load(kernel, &conv.bias, tensor, &decoded(tensor, &codes[conv.weights.0]))
        });
        Self { kernel, plan, weights, elements: at.output().elements() }
    }

    /// The output of one image.
    ///
    /// # Panics
    /// If `inputs` do not have the lengths of the node's.
    #[must_use]
    pub fn run(&self, inputs: &[&[i8]]) -> Vec<i8> {
        let mut out = vec![0; self.elements];
        let input = |at: usize| inputs.get(at).copied().unwrap_or_default();
        self.plan.run(Run {
            kernel: self.kernel,
            weights: &self.weights,
            inputs: [input(0), input(1)],
            work: &mut work(self.plan.as_ref()),
            out: &mut out,
        });
        out
    }
}

fn work(plan: &dyn Plan) -> Work {
    let [padded, patches, sums] = plan.work();
    Work { padded: vec![0; padded], patches: vec![0; patches], sums: vec![0; sums] }
}

/// A product layer whose sums leave the array after every `fold` taps: all outputs of
/// [`OutputSums`](super::OutputSums) together, as matrix products.
pub struct LayerSums {
    kernel: &'static dyn GemmKernel,
    plan: Box<dyn Plan>,
    weights: FoldWeights,
    bias: Vec<i32>,
    elements: usize,
}

impl LayerSums {
    /// A node's sums under weight codes as the memory returned them; none if the node is no product.
    ///
    /// # Panics
    /// As [`Step::new`], and if `fold` is 0.
    #[must_use]
    pub fn new(
        graph: &Graph,
        node: usize,
        codes: &[Vec<u8>],
        fold: usize,
        kernel: &'static dyn GemmKernel,
    ) -> Option<Self> {
        assert!(fold > 0, "a fold has taps");
        let at = At { graph, index: node };
        let conv = at.node().op.product()?;
        let tensor = &graph.weights[conv.weights.0];
        let plan = at.node().op.operator().plan(&at);
        let integers = decoded(tensor, &codes[conv.weights.0]);
        Some(Self {
            kernel,
            weights: plan.load_folds(kernel, tensor, &integers, fold),
            plan,
            bias: conv.bias.clone(),
            elements: at.output().elements(),
        })
    }

    /// The output of one image. `through` sees the sums of some neighbouring outputs each time they are read
    /// from the memory, the bias too if `bias_in_memory`, and may change them: the number of the read of
    /// these outputs, the first of them, their sums. The last read is what the requantization takes.
    ///
    /// # Panics
    /// If `input` does not have the length of the node's.
    #[must_use]
    pub fn run(
        &self,
        input: &[i8],
        bias_in_memory: bool,
        mut through: impl FnMut(u64, usize, &mut [i32]),
    ) -> Vec<i8> {
        let mut out = vec![0; self.elements];
        let run = RunFolds {
            kernel: self.kernel,
            weights: &self.weights,
            bias: &self.bias,
            bias_in_memory,
            input,
            work: &mut work(self.plan.as_ref()),
            out: &mut out,
        };
        self.plan.run_folds(run, &mut through);
        out
    }
}
