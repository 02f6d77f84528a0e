//! The layers of a network as work for the accelerator.

use vmin_nn::{Graph, LayerShape, Op};

use crate::scalesim::Window;
use crate::{Flow, GemmShape, Layer, Read, ShapeError};

impl Layer {
    /// A layer of a network, its weights stored in `weight_bits` each.
    ///
    /// Convolutions and fully connected layers become matrix products on the array, padding positions
    /// included; everything else is vector work. Padding, stride and dilation show in the size of the
    /// output, which is the `m` of the product.
    ///
    /// # Errors
    /// A product with an empty dimension or too many multiply-accumulates.
    pub fn from_shape(shape: &LayerShape, weight_bits: u8) -> Result<Self, ShapeError> {
        let elements = |sides: [usize; 3]| {
            sides.into_iter().fold(1_u64, |product, side| product.saturating_mul(side as u64))
        };
        let (inputs, outputs) = (elements(shape.input), elements(shape.output));
        if !shape.has_weights() {
            let (reads, writes) = (shape.vector_reads as u64, shape.vector_writes as u64);
            return Ok(Self::vector(&shape.name, reads, writes));
        }
        let product = GemmShape::grouped(
            shape.m as u64,
            shape.n as u64,
            shape.k as u64,
            shape.groups as u64,
        )?;
        Ok(Self {
            inputs: inputs.min(crate::MACS_MAX),
            outputs: outputs.min(crate::MACS_MAX),
            weights: (shape.weights as u64).min(crate::MACS_MAX),
            weight_bits,
            window: window(shape),
            ..Self::gemm(&shape.name, product)
        })
    }
}

/// The windows of a convolution over its padded input, as far as it uses it.
fn window(shape: &LayerShape) -> Option<Window> {
    let pair = |[a, b]: [usize; 2]| [a as u64, b as u64];
    let [rows, columns, channels] = shape.input.map(|side| side as u64);
    let (kernel, stride, dilation) = (pair(shape.kernel), pair(shape.stride), pair(shape.dilation));
    let output = pair([shape.output[0], shape.output[1]]);
    let used = |axis: usize| {
        (output[axis].checked_sub(1)? * stride[axis])
            .checked_add(kernel[axis].checked_sub(1)? * dilation[axis] + 1)
    };
    let channels = channels / (shape.groups as u64).max(1);
    let window = Window {
        input: [used(0)?.max(rows), used(1)?.max(columns)],
        kernel,
        stride,
        dilation,
        channels,
        output,
    };
    // Otherwise the layer is a plain product.
    let fits = window.count() == shape.m as u64 && window.length() == shape.k as u64;
    fits.then_some(window)
}

/// The layers of a network in execution order, with the bits that its weights have.
///
/// # Errors
/// A layer has an empty or too large shape.
pub fn layers_of_graph(graph: &Graph) -> Result<Vec<Layer>, ShapeError> {
    let mut layers: Vec<Layer> = graph
        .layers()
        .iter()
        .map(|shape| {
            let conv = graph.nodes.get(shape.node).and_then(|node| node.op.product());
            let weights = conv.and_then(|conv| graph.weights.get(conv.weights.0));
            Layer::from_shape(shape, weights.map_or(8, |weights| weights.bits))
        })
        .collect::<Result<_, _>>()?;
    for (layer, flow) in layers.iter_mut().zip(flows(graph)) {
        layer.flow = Some(flow);
    }
    Ok(layers)
}

/// What each node reads. A reshape reads and writes nothing: its tensor is the one that it renames.
fn flows(graph: &Graph) -> Vec<Flow> {
    // The node that wrote the cells of each tensor.
    let mut writer: Vec<Option<usize>> = vec![None; graph.tensors.len()];
    let mut flows = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let renames = matches!(node.op, Op::Reshape);
        writer[node.output.0] = if renames { writer[node.inputs[0].0] } else { Some(index) };
        let mut reads: Vec<Read> = Vec::new();
        for input in node.inputs.iter().filter(|_| !renames) {
            let from = writer[input.0];
            let elements = (graph.tensors[input.0].elements() as u64).min(crate::MACS_MAX);
            if reads.iter().all(|read| read.from != from) {
                reads.push(Read { from, elements });
            }
        }
        flows.push(Flow { reads, leaves: false });
    }
    if let Some(last) = writer[graph.output.0] {
        flows[last].leaves = true;
    }
    flows
}
