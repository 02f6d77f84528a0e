//! Start of training, or of quantization alone, from a float network of another program.
//!
//! ```text
//!  safetensors ── modules in natural order ──┬─ weights of rank 4 or 2 ──> convolutions, fully connected
//!  (f32)                                     └─ running averages ────────> batch normalizations
//! ```
//!
//! Modules are the names without their last part (`layer1.0.conv1` of `layer1.0.conv1.weight`), numbers in
//! them in numeric order; the n-th with weights is the n-th such layer of the recipe, the n-th with running
//! averages its n-th batch normalization. Weights are `[out, in, height, width]` as PyTorch has them. Every
//! shape must agree and every module must be used.
//!
//! If the network was trained on pixels scaled by `(pixel / 255 - mean) / std` per channel, the weights of the
//! first layer and the mean or bias after it are changed for the scaling of the recipe's `input`. That is exact
//! where the kernel lies inside the image; padding has the recipe's `zero_pixel` instead of the mean of each
//! channel.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensors};

use super::StartError;
use crate::network::{Network, ParameterId};
use crate::real::Real;
use crate::recipe::StartPixels;
use crate::{InputScaling, Recipe};

/// A float network as named tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatNetwork {
    modules: Vec<Module>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Module {
    name: String,
    /// Tensors by the last part of the name.
    tensors: BTreeMap<String, Tensor>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl FloatNetwork {
    /// Parses a safetensors file of `F32` tensors; `I64` counters are ignored.
    ///
    /// # Errors
    /// The file is no safetensors file, a tensor has a type other than `F32` and `I64`, or a value is not
    /// finite.
    pub fn read(bytes: &[u8]) -> Result<Self, StartError> {
        let file = |error: &dyn std::fmt::Display| StartError::File(error.to_string());
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| file(&error))?;
        let mut modules: BTreeMap<String, Module> = BTreeMap::new();
        for (name, view) in tensors.iter() {
            let dtype = view.dtype();
            // PyTorch counts batches.
            if dtype == Dtype::I64 {
                continue;
            }
            if dtype != Dtype::F32 {
                return Err(file(&format!("tensor `{name}` is of type {dtype:?}, not F32")));
            }
            let values: Vec<f32> = view
                .data()
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect();
            if values.iter().any(|value| !value.is_finite()) {
                return Err(file(&format!("tensor `{name}` holds values that are no numbers")));
            }
            let (module, part) = name.rsplit_once('.').unwrap_or(("", name));
            let module = modules
                .entry(module.to_owned())
                .or_insert_with(|| Module { name: module.to_owned(), tensors: BTreeMap::new() });
            let tensor = Tensor { shape: view.shape().to_vec(), values };
            module.tensors.insert(part.to_owned(), tensor);
        }
        let mut modules: Vec<Module> = modules.into_values().collect();
        modules.sort_by(|a, b| natural(&a.name, &b.name));
        Ok(Self { modules })
    }
}

/// Natural order of names: numbers in them are compared by value.
fn natural(a: &str, b: &str) -> Ordering {
    let parts = |name: &str| -> Vec<(String, u128)> {
        let mut parts = Vec::new();
        let mut rest = name;
        while !rest.is_empty() {
            let word = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let (text, tail) = rest.split_at(word);
            let digits = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
            let (number, tail) = tail.split_at(digits);
            parts.push((text.to_owned(), number.parse().unwrap_or(u128::MAX)));
            rest = tail;
        }
        parts
    };
    parts(a).cmp(&parts(b)).then_with(|| a.cmp(b))
}

/// Gives `network`, built from `recipe`, the parameters and running averages of `float`.
pub(crate) fn take(
    network: &mut Network,
    recipe: &Recipe,
    float: &FloatNetwork,
) -> Result<(), StartError> {
    let mut problems = Vec::new();
    let steps = network.steps.clone();
    let trained = steps.iter().filter(|step| !step.name.starts_with("subsample"));
    let products: Vec<_> = trained.filter_map(|step| Some((step, step.layer.product()?))).collect();
    let norms: Vec<_> =
        steps.iter().filter_map(|step| Some((step, step.layer.batch_norm()?))).collect();
    let is_norm = |module: &&Module| module.tensors.contains_key("running_mean");
    let (of_norms, of_products): (Vec<&Module>, Vec<&Module>) =
        float.modules.iter().partition(is_norm);
    for (what, wanted, found) in [
        ("layers with weights", products.len(), of_products.len()),
        ("batch normalizations", norms.len(), of_norms.len()),
    ] {
        if wanted != found {
            problems.push(format!("the file has {found} {what}, the recipe {wanted}"));
        }
    }
    for (&(step, (weights, bias)), module) in products.iter().zip(&of_products) {
        let input = network.values[step.inputs[0].0];
        let mut give = |part: &str, to: ParameterId, order: Option<[usize; 3]>| {
            give(network, module, part, to, order, &mut problems);
        };
        give("weight", weights, Some(input));
        match (bias, module.tensors.contains_key("bias")) {
            (Some(bias), true) => give("bias", bias, None),
            (None, true) => problems.push(format!(
                "`{}` has a bias, layer `{}` of the recipe none",
                module.name, step.name
            )),
            // A layer's own bias starts at 0.
            (_, false) => {}
        }
    }
    for ((step, norm), module) in norms.iter().zip(&of_norms) {
        give(network, module, "weight", norm.scale, None, &mut problems);
        give(network, module, "bias", norm.shift, None, &mut problems);
        let (mean, variance) =
            (module.tensors.get("running_mean"), module.tensors.get("running_var"));
        match (mean, variance) {
            (Some(mean), Some(variance))
                if mean.values.len() == norm.channels && variance.values.len() == norm.channels =>
            {
                // The file has the whole scale, the network the scale less 1.
                for scale in &mut network.parameters[norm.scale.0].values {
                    *scale -= 1.0;
                }
                let statistics = &mut network.statistics[norm.statistics];
                statistics.mean.clone_from(&mean.values);
                statistics.variance.clone_from(&variance.values);
                if let Some(channel) = variance.values.iter().position(|&v| v < 0.0) {
                    problems.push(format!(
                        "`{}.running_var` is {} in channel {channel}: a variance is never negative",
                        module.name, variance.values[channel]
                    ));
                }
            }
            _ => problems.push(format!(
                "`{}` has no running averages of the {} channels of `{}`",
                module.name, norm.channels, step.name
            )),
        }
    }
    if problems.is_empty()
        && let Some(pixels) = &recipe.start_pixels
        && let Err(problem) = fold_pixels(network, recipe.input, pixels)
    {
        problems.push(problem);
    }
    if problems.is_empty() {
        turn_negative_scales(network);
    }
    if problems.is_empty() { Ok(()) } else { Err(StartError::Float(problems)) }
}

/// Copies a tensor into a parameter; `order` is the shape `[height, width, channels]` of the input of
/// weights, whose channels come first in the file and last in the network.
fn give(
    network: &mut Network,
    module: &Module,
    part: &str,
    to: ParameterId,
    order: Option<[usize; 3]>,
    problems: &mut Vec<String>,
) {
    let parameter = &mut network.parameters[to.0];
    let name = format!("{}.{part}", module.name);
    let Some(tensor) = module.tensors.get(part) else {
        problems.push(format!("there is no tensor `{name}`"));
        return;
    };
    let convolution = parameter.shape.len() == 4;
    let expected = match parameter.shape[..] {
        [out, height, width, channels] => vec![out, channels, height, width],
        ref other => other.to_vec(),
    };
    if tensor.shape != expected {
        problems.push(format!(
            "`{name}` is of shape {:?}, `{}` of the recipe needs {expected:?}",
            tensor.shape, parameter.name
        ));
        return;
    }
    let Some([height, width, channels]) = order else {
        parameter.values.clone_from(&tensor.values);
        return;
    };
    // Positions of a filter, or of the input image of a fully connected layer.
    let (height, width, channels) = if convolution {
        (expected[2], expected[3], expected[1])
    } else {
        (height, width, channels)
    };
    let positions = height * width;
    for (index, value) in parameter.values.iter_mut().enumerate() {
        let (row, within) = (index / (positions * channels), index % (positions * channels));
        let (position, channel) = (within / channels, within % channels);
        *value = tensor.values[(row * channels + channel) * positions + position];
    }
}

/// Changes the first layer from the pixel scaling of the file to that of the recipe.
fn fold_pixels(
    network: &mut Network,
    input: InputScaling,
    pixels: &StartPixels,
) -> Result<(), String> {
    let channels = network.values[0][2];
    for (what, found) in [("mean", pixels.mean.len()), ("std", pixels.std.len())] {
        if found != channels {
            return Err(format!(
                "`start_pixels.{what}` has {found} numbers for {channels} channels"
            ));
        }
    }
    let reads_image = |step: &crate::network::Step| step.inputs.iter().any(|input| input.0 == 0);
    let mut readers_of_image =
        network.steps.iter().enumerate().filter(|(_, step)| reads_image(step));
    let (Some((first, _)), None) = (readers_of_image.next(), readers_of_image.next()) else {
        return Err(
            "`start_pixels` needs a network in which only one layer reads the image".to_owned()
        );
    };
    let Some((weights, bias)) = network.steps[first].layer.product() else {
        return Err(
            "`start_pixels` needs a convolution or a fully connected layer first".to_owned()
        );
    };
    let output = network.steps[first].output;
    let parameter = &mut network.parameters[weights.0];
    let filters = parameter.shape[0];
    let taps = parameter.values.len() / filters;
    let (zero, scale) = (f64::from(input.zero_pixel), f64::from(input.scale));
    let mut extra = vec![0.0; filters];
    for (index, value) in parameter.values.iter_mut().enumerate() {
        let channel = index % channels;
        let (mean, std) = (pixels.mean[channel], pixels.std[channel]);
        let weight = f64::from(*value);
        extra[index / taps] += weight * (zero / 255.0 - mean) / std;
        *value = f32::of(weight / (255.0 * scale * std));
    }
    if let Some(bias) = bias {
        for (bias, extra) in network.parameters[bias.0].values.iter_mut().zip(&extra) {
            *bias = f32::of(f64::from(*bias) + extra);
        }
        return Ok(());
    }
    let mut readers = network.steps.iter().filter(|step| step.inputs[0] == output);
    let norm = readers.find_map(|step| Some(step.layer.batch_norm()?.statistics));
    let Some(norm) = norm else {
        return Err(
            "`start_pixels` needs a bias or a batch normalization after the first layer".to_owned()
        );
    };
    for (mean, extra) in network.statistics[norm].mean.iter_mut().zip(&extra) {
        *mean = f32::of(f64::from(*mean) - extra);
    }
    Ok(())
}

/// Makes all scales positive, as multipliers must be: if a normalization scales a channel by a negative number, the
/// weights, bias, mean and scale of the channel change their signs, and the network computes the same.
fn turn_negative_scales(network: &mut Network) {
    let steps = network.steps.clone();
    for step in &steps {
        let Some(norm) = step.layer.batch_norm() else { continue };
        let source = steps.iter().find(|before| before.output == step.inputs[0]);
        let readers = steps.iter().filter(|reader| reader.inputs.contains(&step.inputs[0])).count();
        let product = source.filter(|_| readers == 1).and_then(|source| source.layer.product());
        let Some((weights, bias)) = product else { continue };
        for channel in 0..norm.channels {
            let scale = &mut network.parameters[norm.scale.0].values[channel];
            if 1.0 + *scale >= 0.0 {
                continue;
            }
            *scale = -(1.0 + *scale) - 1.0;
            let mean = &mut network.statistics[norm.statistics].mean[channel];
            *mean = -*mean;
            let values = &mut network.parameters[weights.0].values;
            let taps = values.len() / norm.channels;
            for value in &mut values[channel * taps..(channel + 1) * taps] {
                *value = -*value;
            }
            if let Some(bias) = bias {
                let bias = &mut network.parameters[bias.0].values[channel];
                *bias = -*bias;
            }
        }
    }
}
