//! The rules a [`Graph`] keeps; both loaders end here, and execution relies on it.

use std::collections::BTreeSet;

use crate::error::{check_limit, checked_product};
use crate::exec::group_norm::{EPSILON_MAX, GROUP_MAX, SHIFTS};
use crate::exec::{AddParams, SoftmaxParams};
use crate::{
    Activation, Conv2d, ConvKind, Graph, GroupNorm, Limits, ModelError, Node, Op, Pool2d, Tensor,
    TensorId, WeightTensor,
};

impl Graph {
    /// Checks every rule under the default [`Limits`].
    ///
    /// # Errors
    /// The first broken rule, with its tensor or operation.
    pub fn validate(&self) -> Result<(), ModelError> {
        self.validate_within(&Limits::default())
    }

    /// Checks every rule: indices in range, nodes in order, shapes that follow from each other,
    /// lengths, quantization parameters, sizes within `limits`.
    ///
    /// # Errors
    /// The first broken rule, with its tensor or operation.
    pub fn validate_within(&self, limits: &Limits) -> Result<(), ModelError> {
        check_limit(|| "number of nodes".into(), self.nodes.len(), limits.nodes_max)?;
        let tensors = self.tensors.len().saturating_add(self.weights.len());
        check_limit(|| "number of tensors".into(), tensors, limits.tensors_max)?;
        if !(-255..=255).contains(&self.pixel_offset) {
            return Err(ModelError::graph("the pixel offset is in -255..=255", self.pixel_offset));
        }
        self.check_tensors(limits)?;
        self.check_weights(limits)?;
        self.check_order()?;
        let mut macs = 0u64;
        for (index, node) in self.nodes.iter().enumerate() {
            self.check_node(node, limits)?;
            macs = macs.saturating_add(self.node_macs(index));
        }
        if macs > limits.macs_max {
            let what = "multiply-accumulates of one inference".to_owned();
            return Err(ModelError::TooLarge { what, value: macs, limit: limits.macs_max });
        }
        Ok(())
    }

    fn check_tensors(&self, limits: &Limits) -> Result<(), ModelError> {
        let mut total = 0usize;
        for tensor in &self.tensors {
            let what = || format!("elements of tensor `{}`", tensor.name);
            check_shape(&tensor.name, &tensor.shape, limits)?;
            let elements = checked_product(what, &tensor.shape, limits.tensor_elements_max)?;
            total = total.saturating_add(elements);
            check_scale(&tensor.name, tensor.quantization.scale)?;
            check_zero_point(&tensor.name, tensor.quantization.zero_point)?;
        }
        check_limit(|| "elements of all tensors".into(), total, limits.activation_elements_max)
    }

    fn check_weights(&self, limits: &Limits) -> Result<(), ModelError> {
        let mut total = 0usize;
        for weights in &self.weights {
            check_weight_tensor(weights, limits)?;
            total = total.saturating_add(weights.codes.len());
        }
        check_limit(|| "number of weights".into(), total, limits.weights_max)
    }

    /// Every tensor is the input or the output of exactly one earlier node.
    fn check_order(&self) -> Result<(), ModelError> {
        let mut known = vec![false; self.tensors.len()];
        let Some(first) = known.get_mut(self.input.0) else {
            return Err(ModelError::graph("the input is a tensor", self.input.0));
        };
        *first = true;
        let mut names = BTreeSet::new();
        for node in &self.nodes {
            if node.name.is_empty() || !names.insert(&node.name) {
                return Err(ModelError::graph("node names are unique", format!("`{}`", node.name)));
            }
            for id in &node.inputs {
                if known.get(id.0) != Some(&true) {
                    let rule = "inputs are computed by earlier operators";
                    return Err(ModelError::node(&node.name, rule, format!("tensor {}", id.0)));
                }
            }
            match known.get_mut(node.output.0) {
                Some(slot @ false) => *slot = true,
                _ => {
                    let rule = "the output is a tensor that nothing else computes";
                    let found = format!("tensor {}", node.output.0);
                    return Err(ModelError::node(&node.name, rule, found));
                }
            }
        }
        if known.get(self.output.0) != Some(&true) {
            return Err(ModelError::graph("the output is computed", self.output.0));
        }
        match known.iter().position(|k| !k) {
            Some(unused) => Err(ModelError::graph("every tensor is computed", unused)),
            None => Ok(()),
        }
    }

    fn check_node(&self, node: &Node, limits: &Limits) -> Result<(), ModelError> {
        let operands = if matches!(node.op, Op::Add { .. }) { 2 } else { 1 };
        if node.inputs.len() != operands {
            let found = node.inputs.len();
            return Err(ModelError::node(&node.name, "the number of inputs fits", found));
        }
        let [input, output] = [node.inputs[0], node.output].map(|id| self.tensor(id));
        match &node.op {
            Op::Conv2d(conv) => self.check_conv(node, conv, input, output, limits),
            Op::Pool2d(pool) => check_pool(node, pool, input, output),
            Op::Add { activation } => {
                check_activation(&node.name, *activation)?;
                let other = self.tensor(node.inputs[1]);
                if input.shape != output.shape || other.shape != output.shape {
                    let rule = "both addends have the shape of the sum";
                    let found = format!("{:?}, {:?}, {:?}", input.shape, other.shape, output.shape);
                    return Err(ModelError::node(&node.name, rule, found));
                }
                if AddParams::new(input.quantization, other.quantization, output.quantization)
                    .is_none()
                {
                    let rule = "scales of a sum are within a factor of 2^19";
                    return Err(ModelError::node(&node.name, rule, output.quantization.scale));
                }
                Ok(())
            }
            Op::GroupNorm(norm) => check_group_norm(node, norm, input, output),
            Op::Reshape => {
                if input.elements() != output.elements() || input.dtype != output.dtype {
                    let found = format!("{:?} to {:?}", input.shape, output.shape);
                    let rule = "a reshape keeps elements and type";
                    return Err(ModelError::node(&node.name, rule, found));
                }
                check_same_quantization(node, input, output)
            }
            Op::Softmax { beta } => check_softmax(node, *beta, input, output),
        }
    }

    /// The tensor of an id that [`Self::check_order`] has checked.
    fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }

    fn check_conv(
        &self,
        node: &Node,
        conv: &Conv2d,
        input: &Tensor,
        output: &Tensor,
        limits: &Limits,
    ) -> Result<(), ModelError> {
        let error = |rule, found: String| Err(ModelError::node(&node.name, rule, found));
        let Some(weights) = self.weights.get(conv.weights.0) else {
            return error("the weights are a weight tensor", conv.weights.0.to_string());
        };
        check_activation(&node.name, conv.activation)?;
        let (filters, per_filter) = match (conv.fully_connected, conv.kind, &*weights.shape) {
            (true, ConvKind::Dense, &[out, features]) => {
                if input.elements() != features || output.elements() != out {
                    let found = format!("{:?} -> {:?}", input.shape, output.shape);
                    return error("features are those of the weights", found);
                }
                if (conv.stride, conv.dilation, conv.padding) != ([1, 1], [1, 1], [0, 0]) {
                    return error("a fully connected layer has no window", format!("{conv:?}"));
                }
                (out, features)
            }
            (false, kind, &[out, kh, kw, per_group]) => {
                let (&[_, _, from], &[_, _, to]) = (&*input.shape, &*output.shape) else {
                    let found = format!("{:?} -> {:?}", input.shape, output.shape);
                    return error("tensors are [height, width, channels]", found);
                };
                let fits = match kind {
                    ConvKind::Dense => per_group == from,
                    ConvKind::Depthwise => per_group == 1 && out % from == 0,
                };
                if !fits || to != out {
                    let found = format!("{from} -> {to} channels through {:?}", weights.shape);
                    return error("channels are those of the weights", found);
                }
                let window = Window {
                    size: [kh, kw],
                    stride: conv.stride,
                    dilation: conv.dilation,
                    padding: conv.padding,
                };
                window.check(&node.name, input, output)?;
                (out, kh * kw * per_group)
            }
            _ => {
                return error("weights have the rank of the layer", format!("{:?}", weights.shape));
            }
        };
        let what = || format!("length of a dot product of `{}`", node.name);
        check_limit(what, per_filter, limits.dot_length_max)?;
        for (what, length) in [
            ("one bias per output channel", conv.bias.len()),
            ("one multiplier per output channel", conv.multipliers.len()),
        ] {
            if length != filters {
                return error(what, format!("{length} for {filters}"));
            }
        }
        for m in &conv.multipliers {
            if m.multiplier < 0 || !(-31..=30).contains(&m.shift) {
                return error("multipliers are positive, shifts in -31..=30", format!("{m:?}"));
            }
        }
        Ok(())
    }
}

/// A sliding window over two axes.
struct Window {
    size: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 2],
}

impl Window {
    /// Every placement of the window covers at least one element of the input.
    fn check(&self, node: &str, input: &Tensor, output: &Tensor) -> Result<(), ModelError> {
        for axis in 0..2 {
            let [size, stride] = [self.size[axis], self.stride[axis]];
            let [dilation, padding] = [self.dilation[axis], self.padding[axis]];
            if stride == 0 || dilation == 0 || size == 0 {
                let rule = "windows, strides and dilations are at least 1";
                return Err(ModelError::node(node, rule, 0));
            }
            let reach = (size - 1).checked_mul(dilation);
            let last = (output.shape[axis] - 1).checked_mul(stride);
            // The first window ends inside the input or later, the last begins before its end.
            let covers = reach.is_some_and(|r| r >= padding)
                && last.is_some_and(|l| l < input.shape[axis].saturating_add(padding));
            if !covers || padding > i32::MAX as usize || reach > Some(i32::MAX as usize) {
                let rule = "every window covers a part of the input";
                let found = format!(
                    "window {size}, stride {stride}, dilation {dilation}, padding {padding}, {} -> {}",
                    input.shape[axis], output.shape[axis]
                );
                return Err(ModelError::node(node, rule, found));
            }
        }
        Ok(())
    }
}

fn check_pool(
    node: &Node,
    pool: &Pool2d,
    input: &Tensor,
    output: &Tensor,
) -> Result<(), ModelError> {
    check_activation(&node.name, pool.activation)?;
    check_same_quantization(node, input, output)?;
    match (&*input.shape, &*output.shape) {
        (&[_, _, from], &[_, _, to]) if from == to && input.dtype == output.dtype => {}
        _ => {
            let found = format!("{:?} -> {:?}", input.shape, output.shape);
            let rule = "pooling keeps [_, _, channels] and type";
            return Err(ModelError::node(&node.name, rule, found));
        }
    }
    let covered = pool.window[0].checked_mul(pool.window[1]);
    if covered.is_none_or(|c| c > 1 << 20) {
        let rule = "a window has at most 2^20 elements";
        return Err(ModelError::node(&node.name, rule, format!("{:?}", pool.window)));
    }
    let window =
        Window { size: pool.window, stride: pool.stride, dilation: [1, 1], padding: pool.padding };
    window.check(&node.name, input, output)
}

fn check_group_norm(
    node: &Node,
    norm: &GroupNorm,
    input: &Tensor,
    output: &Tensor,
) -> Result<(), ModelError> {
    let error = |rule, found: String| Err(ModelError::node(&node.name, rule, found));
    check_activation(&node.name, norm.activation)?;
    let &[_, _, channels] = &*output.shape else {
        return error("tensors are [height, width, channels]", format!("{:?}", output.shape));
    };
    if input.shape != output.shape {
        let found = format!("{:?} -> {:?}", input.shape, output.shape);
        return error("a normalization keeps the shape", found);
    }
    if norm.groups == 0 || channels % norm.groups != 0 {
        let found = format!("{} groups of {channels}", norm.groups);
        return error("groups divide the channels", found);
    }
    let of_group = output.elements() / norm.groups;
    if of_group > GROUP_MAX {
        return error("a group has at most 2^20 elements", of_group.to_string());
    }
    if !(1..=EPSILON_MAX).contains(&norm.epsilon) {
        return error("epsilon is in 1..=2^58", norm.epsilon.to_string());
    }
    for (rule, length) in
        [("one gain per channel", norm.gains.len()), ("one offset per channel", norm.offsets.len())]
    {
        if length != channels {
            return error(rule, format!("{length} for {channels}"));
        }
    }
    for gain in &norm.gains {
        if gain.multiplier < 0 || !SHIFTS.contains(&gain.shift) {
            return error("gains are positive, their shifts in -24..=15", format!("{gain:?}"));
        }
    }
    Ok(())
}

fn check_softmax(
    node: &Node,
    beta: f32,
    input: &Tensor,
    output: &Tensor,
) -> Result<(), ModelError> {
    let q = output.quantization;
    if q.zero_point != -128 || q.scale != 1.0 / 256.0 {
        let rule = "a softmax has scale 1/256 and its lowest code as zero point";
        let found = format!("scale {}, zero point {}", q.scale, q.zero_point);
        return Err(ModelError::node(&node.name, rule, found));
    }
    let length = input.shape.last().copied().unwrap_or(0);
    if input.shape != output.shape || length > SoftmaxParams::LENGTH_MAX {
        let rule = "a softmax keeps the shape, of at most 4095 classes";
        let found = format!("{:?} -> {:?}", input.shape, output.shape);
        return Err(ModelError::node(&node.name, rule, found));
    }
    if SoftmaxParams::new(beta, input.quantization.scale).is_none() {
        let rule = "beta is positive and beta times scale above 2^-26";
        return Err(ModelError::node(&node.name, rule, beta));
    }
    Ok(())
}

fn check_same_quantization(node: &Node, input: &Tensor, output: &Tensor) -> Result<(), ModelError> {
    let (a, b) = (input.quantization, output.quantization);
    if a.zero_point == b.zero_point && (a.scale - b.scale).abs() <= 1e-6 {
        return Ok(());
    }
    let found = format!("{} @ {} -> {} @ {}", a.scale, a.zero_point, b.scale, b.zero_point);
    Err(ModelError::node(&node.name, "input and output have one quantization", found))
}

fn check_activation(node: &str, activation: Activation) -> Result<(), ModelError> {
    if activation.min <= activation.max {
        return Ok(());
    }
    let found = format!("{} > {}", activation.min, activation.max);
    Err(ModelError::node(node, "the clamp is not empty", found))
}

fn check_shape(tensor: &str, shape: &[usize], limits: &Limits) -> Result<(), ModelError> {
    if shape.is_empty() || shape.contains(&0) {
        let rule = "a tensor has axes, each at least 1 long";
        return Err(ModelError::tensor(tensor, rule, format!("{shape:?}")));
    }
    check_limit(|| format!("rank of tensor `{tensor}`"), shape.len(), limits.rank_max)
}

/// A step size is a positive finite number.
pub(crate) fn check_scale(tensor: &str, scale: f32) -> Result<(), ModelError> {
    if scale.is_finite() && scale > 0.0 {
        return Ok(());
    }
    Err(ModelError::tensor(tensor, "scales are positive and finite", scale))
}

fn check_zero_point(tensor: &str, zero_point: i32) -> Result<(), ModelError> {
    if (-128..=127).contains(&zero_point) {
        return Ok(());
    }
    Err(ModelError::tensor(tensor, "zero points are in -128..=127", zero_point))
}

fn check_weight_tensor(weights: &WeightTensor, limits: &Limits) -> Result<(), ModelError> {
    let error = |rule, found: String| Err(ModelError::tensor(&weights.name, rule, found));
    check_shape(&weights.name, &weights.shape, limits)?;
    let what = || format!("elements of tensor `{}`", weights.name);
    let elements = checked_product(what, &weights.shape, limits.weights_max)?;
    if weights.codes.len() != elements {
        return error("one code per element", format!("{} for {elements}", weights.codes.len()));
    }
    if !(1..=8).contains(&weights.bits) {
        return error("codes have 1 to 8 bits", weights.bits.to_string());
    }
    if let Some(code) = weights.codes.iter().find(|&&c| u16::from(c) >> weights.bits != 0) {
        return error("codes use their low bits only", format!("{code:#04x}"));
    }
    let channels = weights.shape[0];
    for (rule, length) in [
        ("one scale, or one per output channel", weights.scales.len()),
        ("one zero point, or one per output channel", weights.zero_points.len()),
    ] {
        if length != 1 && length != channels {
            return error(rule, format!("{length} for {channels} channels"));
        }
    }
    for &scale in &weights.scales {
        check_scale(&weights.name, scale)?;
    }
    weights.zero_points.iter().try_for_each(|&z| check_zero_point(&weights.name, z))
}
