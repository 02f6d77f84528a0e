//! One forward and one backward pass of a chunk of images through all steps.

use super::{Layer, Network, ParameterId, Step, add, relu};
use crate::real::Real;

/// One gradient per parameter, in the order of [`Network::parameters`].
pub(crate) type Gradients<T> = Vec<Vec<T>>;

/// All values of a chunk, `images * elements` each.
pub(crate) type Values<T> = Vec<Vec<T>>;

/// Computes every value from `input` with the given parameter values.
pub(crate) fn forward<T: Real>(net: &Network, parameters: &[Vec<T>], input: Vec<T>) -> Values<T> {
    let images = input.len() / net.elements(super::ValueId(0));
    let mut values: Values<T> = vec![Vec::new(); net.values.len()];
    values[0] = input;
    for step in &net.steps {
        let mut y = vec![T::zero(); images * net.elements(step.output)];
        let x = &values[step.inputs[0].0];
        match &step.layer {
            Layer::Conv2d(layer) => {
                layer.forward(x, &parameters[layer.weights.0], &parameters[layer.bias.0], &mut y);
            }
            Layer::FullyConnected(layer) => {
                layer.forward(x, &parameters[layer.weights.0], &parameters[layer.bias.0], &mut y);
            }
            Layer::Relu => relu::forward(x, &mut y),
            Layer::Add => add::forward(x, &values[step.inputs[1].0], &mut y),
            Layer::Pool2d(layer) => layer.forward(x, &mut y),
        }
        values[step.output.0] = y;
    }
    values
}

/// The gradients of a loss whose derivative by the logits is `dlogits`.
pub(crate) fn backward<T: Real>(
    net: &Network,
    parameters: &[Vec<T>],
    values: &[Vec<T>],
    dlogits: Vec<T>,
) -> Gradients<T> {
    let mut gradients: Gradients<T> =
        parameters.iter().map(|values| vec![T::zero(); values.len()]).collect();
    let mut dvalues: Values<T> = values.iter().map(|value| vec![T::zero(); value.len()]).collect();
    dvalues[net.output().0] = dlogits;
    for step in net.steps.iter().rev() {
        let dy = std::mem::take(&mut dvalues[step.output.0]);
        backward_step(step, parameters, values, &dy, &mut dvalues, &mut gradients);
    }
    gradients
}

fn backward_step<T: Real>(
    step: &Step,
    parameters: &[Vec<T>],
    values: &[Vec<T>],
    dy: &[T],
    dvalues: &mut [Vec<T>],
    gradients: &mut [Vec<T>],
) {
    let from = step.inputs[0].0;
    let (x, y) = (&values[from], &values[step.output.0]);
    let dx = &mut dvalues[from];
    // Nobody asks for the gradient of the image.
    let wanted = |dx| if from == 0 { None } else { Some(dx) };
    match &step.layer {
        Layer::Conv2d(layer) => {
            let (dw, db) = two_mut(gradients, layer.weights, layer.bias);
            let weights = &parameters[layer.weights.0];
            layer.backward(x, weights, dy, wanted(dx.as_mut_slice()), dw, db);
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

/// Weight and bias gradients of one layer; the builder makes the bias right after the weights.
fn two_mut<T>(
    gradients: &mut [Vec<T>],
    weights: ParameterId,
    bias: ParameterId,
) -> (&mut [T], &mut [T]) {
    let [weights, bias] =
        gradients.get_disjoint_mut([weights.0, bias.0]).expect("two parameters of the network");
    (weights, bias)
}
