//! One forward and one backward pass of a chunk of images through all steps.

use std::ops::Range;

use super::batch_norm::Moments;
use super::memory::{Memory, Values};
use super::{Layer, Network, ParameterId, Step, add, relu};
use crate::real::Real;

/// One gradient per parameter, in the order of [`Network::parameters`].
pub type Gradients<T> = Vec<Vec<T>>;

/// Computes every value from `input` with the given parameter values; normalizations use their
/// running averages.
pub(crate) fn forward<T: Real>(net: &Network, parameters: &[Vec<T>], input: &[T]) -> Vec<Vec<T>> {
    let mut values = Values::new();
    forward_into(net, parameters, input, None, &mut values);
    values.made
}

/// As [`forward`], with these moments of the normalizations.
pub(crate) fn forward_with<T: Real>(
    net: &Network,
    parameters: &[Vec<T>],
    moments: &[Moments<T>],
    input: &[T],
) -> Values<T> {
    let mut values = Values::new();
    values.start(net, input);
    forward_steps(net, parameters, moments, 0..net.steps.len(), None, &mut values);
    values
}

/// As [`forward`], into the buffers of earlier values: allocating new pages costs as much time as the layers.
/// `memory` is the memory of the values, with the number of the chunk.
pub(crate) fn forward_into<T: Real>(
    net: &Network,
    parameters: &[Vec<T>],
    input: &[T],
    memory: Option<(&dyn Memory<T>, usize)>,
    values: &mut Values<T>,
) {
    let moments = net.running_moments();
    values.start(net, input);
    forward_steps(net, parameters, &moments, 0..net.steps.len(), memory, values);
}

/// Computes the values of some steps, each normalization with its own moments.
pub(super) fn forward_steps<T: Real>(
    net: &Network,
    parameters: &[Vec<T>],
    moments: &[Moments<T>],
    steps: Range<usize>,
    memory: Option<(&dyn Memory<T>, usize)>,
    values: &mut Values<T>,
) {
    let images = values.made[0].len() / net.elements(super::ValueId(0));
    for step in &net.steps[steps] {
        let mut y = std::mem::take(&mut values.made[step.output.0]);
        // Every layer writes all elements.
        y.resize(images * net.elements(step.output), T::zero());
        let x = values.read(step.inputs[0]);
        match &step.layer {
            Layer::Conv2d(layer) => {
                let bias = layer.bias.map_or(&[][..], |bias| &parameters[bias.0]);
                layer.forward(x, &parameters[layer.weights.0], bias, &mut y);
            }
            Layer::FullyConnected(layer) => {
                layer.forward(x, &parameters[layer.weights.0], &parameters[layer.bias.0], &mut y);
            }
            Layer::BatchNorm(norm) => {
                let (scale, shift) = (&parameters[norm.scale.0], &parameters[norm.shift.0]);
                norm.forward(x, scale, shift, &moments[norm.statistics], &mut y);
            }
            Layer::GroupNorm(norm) => {
                norm.forward(x, &parameters[norm.scale.0], &parameters[norm.shift.0], &mut y);
            }
            Layer::Relu => relu::forward(x, &mut y),
            Layer::Add => add::forward(x, values.read(step.inputs[1]), &mut y),
            Layer::Pool2d(layer) => layer.forward(x, &mut y),
        }
        if let Some((memory, chunk)) = memory.filter(|(memory, _)| memory.errs_in_sums(step.output))
        {
            let cut_off = memory.read_sums(step, chunk, parameters, x, &mut y);
            values.cut_off[step.output.0] = cut_off;
        }
        if let Some([low, high]) = limits::<T>(net, step) {
            y.iter_mut().for_each(|y| *y = y.max(low).min(high));
        }
        if let Some((memory, chunk)) = memory.filter(|(memory, _)| memory.holds(step.output)) {
            memory.read_back(step.output, chunk, &y, &mut values.read[step.output.0]);
        }
        values.made[step.output.0] = y;
    }
}

/// Input of the backward pass.
pub(super) struct Back<'a, T> {
    pub(super) net: &'a Network,
    pub(super) parameters: &'a [Vec<T>],
    pub(super) moments: &'a [Moments<T>],
    /// Whether the derivatives by the images are wanted.
    pub(super) images: bool,
}

/// Backward pass through some steps. Batch normalizations among them have constant moments.
pub(super) fn backward_steps<T: Real>(
    back: &Back<'_, T>,
    values: &Values<T>,
    steps: Range<usize>,
    dvalues: &mut [Vec<T>],
    gradients: &mut Gradients<T>,
) {
    for step in back.net.steps[steps].iter().rev() {
        let mut dy = std::mem::take(&mut dvalues[step.output.0]);
        values.cut_off[step.output.0].iter().for_each(|&element| dy[element] = T::zero());
        cut_back(back.net, step, values, &mut dy);
        backward_step(back, step, values, &dy, dvalues, gradients);
        dvalues[step.output.0] = dy;
    }
}

/// Sets the derivatives by what was cut off to 0.
pub(super) fn cut_back<T: Real>(net: &Network, step: &Step, values: &Values<T>, dy: &mut [T]) {
    let Some([low, high]) = limits::<T>(net, step) else { return };
    for (dy, y) in dy.iter_mut().zip(values.made(step.output)) {
        *dy = if *y > low && *y < high { *dy } else { T::zero() };
    }
}

/// Where the output of a step is cut off, if it is.
fn limits<T: Real>(net: &Network, step: &Step) -> Option<[T; 2]> {
    let limits = net.limits[step.output.0];
    limits[1].is_finite().then(|| limits.map(|limit| T::of(limit.into())))
}

fn backward_step<T: Real>(
    &Back { parameters, moments, images, .. }: &Back<'_, T>,
    step: &Step,
    values: &Values<T>,
    dy: &[T],
    dvalues: &mut [Vec<T>],
    gradients: &mut [Vec<T>],
) {
    let from = step.inputs[0].0;
    let (x, y) = (values.read(step.inputs[0]), values.made(step.output));
    let dx = &mut dvalues[from];
    let wanted = |dx| if from == 0 && !images { None } else { Some(dx) };
    match &step.layer {
        Layer::Conv2d(layer) => {
            let weights = &parameters[layer.weights.0];
            let dx = wanted(dx.as_mut_slice());
            if let Some(bias) = layer.bias {
                let (dw, db) = two_mut(gradients, layer.weights, bias);
                layer.backward(x, weights, dy, dx, dw, db);
            } else {
                layer.backward(x, weights, dy, dx, &mut gradients[layer.weights.0], &mut []);
            }
        }
        Layer::BatchNorm(norm) => {
            let moments = &moments[norm.statistics];
            let sums = norm.gradient_sums(x, dy, moments);
            for (parameter, which) in [(norm.shift, 0), (norm.scale, 1)] {
                let totals = gradients[parameter.0].iter_mut().zip(&sums);
                totals.for_each(|(total, sums)| *total += T::of(sums[which]));
            }
            norm.backward_constant(dy, &parameters[norm.scale.0], moments, dx);
        }
        Layer::GroupNorm(norm) => {
            let (dscale, dshift) = two_mut(gradients, norm.scale, norm.shift);
            norm.backward((x, dy), &parameters[norm.scale.0], dx, dscale, dshift);
        }
        Layer::FullyConnected(layer) => {
            let (dw, db) = two_mut(gradients, layer.weights, layer.bias);
            let weights = &parameters[layer.weights.0];
            layer.backward(x, weights, dy, wanted(dx.as_mut_slice()), dw, db);
        }
        Layer::Relu => relu::backward(y, dy, dx),
        Layer::Add => step.inputs.iter().for_each(|input| add::backward(dy, &mut dvalues[input.0])),
        Layer::Pool2d(layer) => layer.backward(x, y, dy, dx),
    }
}

/// Two gradients of one layer.
fn two_mut<T>(
    gradients: &mut [Vec<T>],
    first: ParameterId,
    second: ParameterId,
) -> (&mut [T], &mut [T]) {
    let [first, second] =
        gradients.get_disjoint_mut([first.0, second.0]).expect("two parameters of the network");
    (first, second)
}
