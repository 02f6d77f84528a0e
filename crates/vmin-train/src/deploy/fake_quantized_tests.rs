//! The network in fake quantization (reals that codes mean, every value rounded to a code as it is stored)
//! against the integer engine: the same codes.
//!
//! Every step reads what the integer engine stored, so that one difference cannot hide in the next. In f64 the
//! sums of products of codes are exact but for their common factor. LiteRT's convolutions round twice, first to a
//! fraction of a code that depends on the multiplier: that is part of what they compute, and of the rule here.
//! What averages, adds or normalizes by group lies exactly, or nearly, between two codes now and then: there,
//! and only there, neighbouring codes are the same result.

use std::sync::atomic::{AtomicUsize, Ordering};

use vmin_nn::data::{Dataset, Split, shapes};
use vmin_nn::exec::Executor;
use vmin_nn::{ConvKind, Graph, Node, Op, Quantization};
use vmin_quant::FixedMultiplier;

use super::{Fused, fuse};
use crate::network::{Memory, Network, ParameterKind, ValueId, Values, forward_into};
use crate::random::{Purpose, Stream};
use crate::{Recipe, Trained};

const RECIPE: &str = r#"
name = "n"
seed = 3
epochs = 1
batch_size = 1
schedule = "constant"
input = { zero_pixel = 120, scale = 0.02 }
network = ["relu"]
"#;

/// An untrained network whose biases, normalizations and averages are no round numbers.
fn network(layers: &str, bits: u8) -> Trained {
    let text = RECIPE.replace("[\"relu\"]", layers);
    let text = format!("{text}[quantization]\nbits = {bits}\n");
    let recipe = Recipe::from_toml(&text).expect("parses");
    let mut network = Network::build(&recipe.network, [16, 16, 1], 3).expect("builds");
    let mut stream = Stream::new(5, Purpose::Initialization, 0);
    for parameter in &mut network.parameters {
        for value in &mut parameter.values {
            *value += 0.1 * stream.normal() as f32;
        }
    }
    for statistics in &mut network.statistics {
        statistics.mean.iter_mut().for_each(|mean| *mean += 0.3 * stream.normal() as f32);
        statistics.variance.iter_mut().for_each(|v| *v *= 0.5 + stream.unit() as f32);
    }
    Trained { recipe, network, epochs: Vec::new() }
}

/// The parameters as the integer graph has them: codes by their meaning, biases at the scale of their sums.
fn deployed_parameters(trained: &Trained, graph: &Graph, steps: &[Fused<'_>]) -> Vec<Vec<f64>> {
    let net = &trained.network;
    let mut parameters: Vec<Vec<f64>> =
        net.parameters.iter().map(|p| p.values.iter().map(|&x| f64::from(x)).collect()).collect();
    for fused in steps {
        let node = graph.nodes.iter().find(|node| node.name == fused.step.name).expect("a node");
        let Some(conv) = node.op.product() else { continue };
        let stored = &graph.weights[conv.weights.0];
        let weights = net.parameters.iter().position(|p| p.name == stored.name).expect("weights");
        let [scale, zero] = [f64::from(stored.scales[0]), f64::from(stored.zero_points[0])];
        let real =
            |&code: &u8| scale * (f64::from(stored.encoding.decode(code, stored.bits)) - zero);
        parameters[weights] = stored.codes.iter().map(real).collect();
        let unit = scale * f64::from(graph.tensors[node.inputs[0].0].quantization.scale);
        let biases: Vec<f64> = conv.bias.iter().map(|&bias| unit * f64::from(bias)).collect();
        let own = net.parameters.iter().enumerate().skip(weights + 1).find(|(_, p)| {
            p.kind == ParameterKind::Bias && p.name.starts_with(fused.step.name.as_str())
        });
        match (fused.norm, own) {
            (Some(norm), own) => {
                // The bias of the sums stands in the shift: y = gain (sum - mean) + shift.
                let statistics = &net.statistics[norm.statistics];
                let inverse = statistics.inverse_deviations();
                for (c, inverse) in inverse.enumerate() {
                    let gain = (1.0 + parameters[norm.scale.0][c]) * inverse;
                    let mean = f64::from(statistics.mean[c]);
                    parameters[norm.shift.0][c] = gain * (biases[c] + mean);
                }
                if let Some((index, _)) = own {
                    parameters[index].fill(0.0);
                }
            }
            (None, Some((index, _))) => parameters[index] = biases,
            (None, None) => assert!(biases.iter().all(|&bias| bias == 0.0), "{}", fused.step.name),
        }
    }
    parameters
}

/// A value of the network that lies in memory, as the integer engine made it.
#[derive(Clone)]
struct Stored<'a> {
    name: &'a str,
    codes: &'a [i8],
    quantization: Quantization,
    /// Binary places to which each channel is rounded first.
    places: Vec<i32>,
    /// What two engines may differ by before they round, in codes.
    slack: f64,
}

impl<'a> Stored<'a> {
    fn of(graph: &'a Graph, node: &'a Node, codes: &'a [i8]) -> Self {
        let (places, slack) = match &node.op {
            // Multipliers have 31 bits.
            Op::Conv2d(conv) if conv.kind == ConvKind::FullyConnected => (vec![], 2e-7),
            Op::Conv2d(conv) => {
                let shift = |&factor| FixedMultiplier::from_real(factor).expect("a factor").shift;
                (conv.multipliers.iter().map(shift).map(|shift| (-shift).max(0)).collect(), 2e-7)
            }
            Op::Pool2d(_)
            | Op::Add(_)
            | Op::Extremum(_)
            | Op::GroupNorm(_)
            | Op::Reshape
            | Op::Softmax(_) => (vec![], 1e-3),
        };
        let quantization = graph.tensors[node.output.0].quantization;
        Self { name: &node.name, codes, quantization, places, slack }
    }

    /// The code of a result in steps of the quantization.
    fn code(&self, steps: f64, index: usize) -> f64 {
        let steps = match self.places.get(index % self.places.len().max(1)) {
            Some(&places) => {
                let unit = libm::ldexp(1.0, places);
                libm::floor(steps * unit + 0.5) / unit
            }
            None => steps,
        };
        (libm::round(steps) + f64::from(self.quantization.zero_point)).clamp(-128.0, 127.0)
    }
}

/// The integer engine's values of one image, which compares what is stored in it.
struct Integers<'a> {
    values: Vec<Option<Stored<'a>>>,
    /// Values compared, and those of them between two codes.
    counts: [AtomicUsize; 2],
}

impl Memory<f64> for Integers<'_> {
    fn holds(&self, value: ValueId) -> bool {
        self.values[value.0].is_some()
    }

    fn read_back(&self, value: ValueId, _: usize, made: &[f64], read: &mut Vec<f64>) {
        let Some(stored) = &self.values[value.0] else { return };
        let Stored { name, codes, quantization, slack, .. } = stored;
        assert_eq!(made.len(), codes.len(), "{name}");
        let (scale, zero) = (f64::from(quantization.scale), f64::from(quantization.zero_point));
        for (index, (&made, &integer)) in made.iter().zip(*codes).enumerate() {
            let steps = made / scale;
            let possible = [-slack, *slack].map(|slack| stored.code(steps + slack, index));
            let integer = f64::from(integer);
            assert!(
                possible.contains(&integer),
                "{name} [{index}]: {} in reals, {integer} in integers",
                steps + zero
            );
            let between = usize::from(possible[0] != possible[1]);
            self.counts[1].fetch_add(between, Ordering::Relaxed);
            read.push(scale * (integer - zero));
        }
        self.counts[0].fetch_add(codes.len(), Ordering::Relaxed);
    }
}

/// A pixel less 128.
fn input_code(pixel: u8) -> i8 {
    (pixel ^ 0x80).cast_signed()
}

/// Values compared, and those that lay halfway.
fn compare(trained: &Trained, data: &Dataset) -> [usize; 2] {
    let graph = trained.lower(data).expect("lowers");
    let net = &trained.network;
    let steps = fuse(net).expect("fuses");
    let parameters = deployed_parameters(trained, &graph, &steps);
    let executor = Executor::new(&graph, vmin_kernels::best());
    let weights = executor.load_clean_weights();
    let size = data.pixels_per_image();
    let input = trained.recipe.input;
    let mut counts = [0; 2];
    for pixels in data.images.chunks(size) {
        let codes: Vec<i8> = pixels.iter().map(|&pixel| input_code(pixel)).collect();
        let integers = executor.run_all(&weights, &codes);
        let mut values: Vec<Option<Stored<'_>>> = vec![None; net.values.len()];
        for fused in &steps {
            let named = |node: &&Node| node.name == fused.step.name;
            let node = graph.nodes.iter().find(named).expect("a node");
            values[fused.output.0] = Some(Stored::of(&graph, node, &integers[node.output.0]));
        }
        let memory = Integers { values, counts: Default::default() };
        let zero = f64::from(input.zero_pixel);
        let reals: Vec<f64> =
            pixels.iter().map(|&p| f64::from(input.scale) * (f64::from(p) - zero)).collect();
        forward_into(net, &parameters, &reals, Some((&memory, 0)), &mut Values::new());
        let own = memory.counts.map(AtomicUsize::into_inner);
        counts = [counts[0] + own[0], counts[1] + own[1]];
    }
    counts
}

#[test]
fn every_code_is_that_of_the_integer_engine() {
    let data = shapes::generate(shapes::SEED, Split::Train, 40);
    // Nothing here falls between two codes but by chance.
    let exact = [
        r#"[{ conv2d = { channels = 6, kernel = 3 } }, "relu", { max_pool = { window = 2 } },
            { conv2d = { channels = 8, kernel = 5, stride = 2 } }, { fully_connected = { features = 20 } },
            "relu", { fully_connected = { features = 10 } }]"#,
        r#"[{ conv2d = { channels = 6, kernel = 3, bias = false } }, "batch_norm", "relu",
            { conv2d = { channels = 8, kernel = 3, stride = 2 } }, "batch_norm",
            { conv2d = { channels = 8, kernel = 1 } }, "relu", { fully_connected = { features = 10 } }]"#,
    ];
    for layers in exact {
        for bits in [2, 3, 4, 8] {
            let [compared, between] = compare(&network(layers, bits), &data);
            assert!(
                compared > 40 * 200 && between <= compared / 10_000,
                "{bits} bits: {between} of {compared}"
            );
        }
    }
    let others = [
        r#"[{ resnet = { blocks = [1, 1], width = 6, classes = 10, norm = "batch" } }]"#,
        r#"[{ resnet = { blocks = [1, 1], width = 8, classes = 10, norm = "group" } }]"#,
        r#"[{ lenet = { width = 4, classes = 10, norm = "group" } }]"#,
        r#"[{ conv2d = { channels = 6, kernel = 3 } }, "relu", { average_pool = { window = 2 } },
            { fully_connected = { features = 10 } }]"#,
    ];
    for layers in others {
        for bits in [2, 3, 4, 8] {
            let [compared, between] = compare(&network(layers, bits), &data);
            assert!(compared > 40 * 200, "{layers}");
            // A quarter of the averages of four codes.
            assert!(between < compared / 10, "{layers} {bits}: {between} of {compared}");
        }
    }
}

/// A comparison that cannot fail proves nothing.
#[test]
#[should_panic(expected = "in integers")]
fn another_rounding_is_noticed() {
    let data = shapes::generate(shapes::SEED, Split::Train, 4);
    let trained = network(r#"[{ fully_connected = { features = 10 } }]"#, 8);
    let graph = trained.lower(&data).expect("lowers");
    let steps = fuse(&trained.network).expect("fuses");
    let mut parameters = deployed_parameters(&trained, &graph, &steps);
    parameters[0].iter_mut().for_each(|w| *w *= 1.02);
    let executor = Executor::new(&graph, vmin_kernels::best());
    let codes: Vec<i8> = data.image(0).iter().map(|&pixel| input_code(pixel)).collect();
    let integers = executor.run_all(&executor.load_clean_weights(), &codes);
    let node = graph.nodes.last().expect("one node");
    let values = vec![None, Some(Stored::of(&graph, node, &integers[node.output.0]))];
    let memory = Integers { values, counts: Default::default() };
    let input = trained.recipe.input;
    let reals: Vec<f64> = data
        .image(0)
        .iter()
        .map(|&p| f64::from(input.scale) * (f64::from(p) - f64::from(input.zero_pixel)))
        .collect();
    forward_into(&trained.network, &parameters, &reals, Some((&memory, 0)), &mut Values::new());
}
