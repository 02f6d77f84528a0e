//! What is read out of the network for each image: its class, its class with its confidence, or what an
//! implementation of [`Readout`] notes.

use vmin_nn::exec::first_max;
use vmin_nn::{Graph, Op, TensorId};

/// What is read out of the network for each image: its value is noted step by step.
pub trait Readout: Clone + Send + Sync {
    /// Of one image.
    type Value: Clone + Default + Send;

    /// Notes a tensor as it is written to an activation memory that errs, the input first.
    fn written(&self, _: &mut Self::Value, _: TensorId, _: &[i8]) {}

    /// Notes a tensor as it is read there.
    fn read(&self, _: &mut Self::Value, _: TensorId, _: &[i8]) {}

    /// Notes the output codes, last.
    fn of(&self, value: &mut Self::Value, outputs: &[i8]);
}

/// The predicted class: the first of the largest output codes.
#[derive(Clone, Copy, Debug)]
pub struct Class;

impl Readout for Class {
    type Value = usize;

    fn of(&self, value: &mut usize, outputs: &[i8]) {
        *value = first_max(outputs);
    }
}

/// A class and how sure the network is of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prediction {
    /// The class, as [`Class`] gives it.
    pub class: usize,
    /// Its probability by the network, 0 to 1.
    pub confidence: f64,
}

/// The class with its confidence: the largest probability of a softmax over the dequantized outputs, or the
/// largest output where the network ends in a softmax of its own.
///
/// Exponentials come from a table that is made without math functions of the platform, and are summed in the order
/// of the classes, so that confidences are the same bits everywhere.
#[derive(Clone, Debug)]
pub struct Confidence {
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    /// The outputs are probabilities, in steps of 1/256 above code -128.
    Softmax,
    /// The exponential of minus so many steps of the logits.
    Logits(Box<[f64; 256]>),
}

impl Confidence {
    /// That of a network's outputs.
    #[must_use]
    pub fn of_network(graph: &Graph) -> Self {
        let node = |output| graph.nodes.iter().find(|node| node.output == output);
        let mut last = node(graph.output);
        while let Some(reshape) = last.filter(|node| node.op == Op::Reshape) {
            last = reshape.inputs.first().and_then(|&input| node(input));
        }
        let rule = if last.is_some_and(|node| matches!(node.op, Op::Softmax(_))) {
            Rule::Softmax
        } else {
            let scale = f64::from(graph.tensors[graph.output.0].quantization.scale);
            Rule::Logits(Box::new(std::array::from_fn(|steps| libm::exp(-(scale * steps as f64)))))
        };
        Self { rule }
    }
}

/// The confidences of all classes, as [`Confidence`] tells the largest.
#[derive(Clone, Debug)]
pub struct Confidences(Confidence);

impl Confidences {
    /// Those of a network's outputs.
    #[must_use]
    pub fn of_network(graph: &Graph) -> Self {
        Self(Confidence::of_network(graph))
    }
}

impl Readout for Confidences {
    type Value = Vec<f64>;

    fn of(&self, value: &mut Vec<f64>, outputs: &[i8]) {
        let most = outputs.iter().copied().max().unwrap_or(i8::MIN);
        let shares: Vec<f64> = match &self.0.rule {
            Rule::Softmax => {
                outputs.iter().map(|&code| f64::from(code.abs_diff(i8::MIN))).collect()
            }
            Rule::Logits(exp) => {
                outputs.iter().map(|&code| exp[usize::from(most.abs_diff(code))]).collect()
            }
        };
        let sum: f64 = shares.iter().sum();
        // An own softmax may be rounded to 0 everywhere.
        let of = |share: &f64| if sum > 0.0 { share / sum } else { 0.0 };
        *value = shares.iter().map(of).collect();
    }
}

impl Readout for Confidence {
    type Value = Prediction;

    fn of(&self, value: &mut Prediction, outputs: &[i8]) {
        let class = first_max(outputs);
        let below = |code: i8| usize::from(outputs[class].abs_diff(code));
        let confidence = match &self.rule {
            Rule::Softmax => below(i8::MIN) as f64 / 256.0,
            Rule::Logits(exp) => 1.0 / outputs.iter().map(|&code| exp[below(code)]).sum::<f64>(),
        };
        *value = Prediction { class, confidence };
    }
}
