//! The rules of a [`Graph`]: every loader checks them, and execution relies on them.

use std::collections::BTreeSet;

use crate::error::{check_limit, checked_product};
use crate::ops::At;
use crate::{Graph, Limits, ModelError, WeightTensor};

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
        self.check_tensors(limits)?;
        self.check_weights(limits)?;
        self.check_order()?;
        if let Some(pixels) = &self.pixels {
            pixels.check(&self.tensors[self.input.0])?;
        }
        let mut macs = 0u64;
        for index in 0..self.nodes.len() {
            self.check_node(index, limits)?;
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

    fn check_node(&self, index: usize, limits: &Limits) -> Result<(), ModelError> {
        let at = At { graph: self, index };
        let op = at.node().op.operator();
        if at.node().inputs.len() != op.inputs() {
            return Err(at.error("the number of inputs fits", at.node().inputs.len()));
        }
        op.check(&at, limits)
    }
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

/// A weight scale may be 0: that of a channel without weights.
pub(crate) fn check_weight_tensor(
    weights: &WeightTensor,
    limits: &Limits,
) -> Result<(), ModelError> {
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
    if let Some(scale) = weights.scales.iter().find(|scale| !(scale.is_finite() && **scale >= 0.0))
    {
        return error("scales of weights are finite and not negative", scale.to_string());
    }
    weights.zero_points.iter().try_for_each(|&z| check_zero_point(&weights.name, z))
}
