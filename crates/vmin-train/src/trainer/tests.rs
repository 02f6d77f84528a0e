use std::ops::ControlFlow;

use vmin_nn::data::{Dataset, Split, shapes};
use vmin_nn::exec::Executor;
use vmin_nn::{Graph, Op};

use super::Trainer;
use super::gradient::{average, clamp};
use crate::bit_errors::{DataRates, flip_all};
use crate::random::{Purpose, Stream};
use crate::{Recipe, TestErrors, WeightQuantization, weights};

const RECIPE: &str = r#"
name = "one-step"
seed = 3
epochs = 1
batch_size = 40
schedule = "constant"
network = [
  { conv2d = { channels = 6, kernel = 3, stride = 2 } },
  "relu",
  { fully_connected = { features = 10 } },
]
[optimizer]
learning_rate = 0.02
momentum = 0.0
nesterov = false
weight_decay = 0.0
[input]
zero_pixel = 128
scale = 0.02
"#;

/// What one step of plain descent adds, from `start` or from the initial weights.
fn moved(recipe: &Recipe, start: Option<Vec<Vec<f32>>>) -> Vec<f32> {
    let set = |split| shapes::generate(shapes::SEED, split, 40);
    let (data, test) = (set(Split::Train), set(Split::Test));
    let mut trainer = Trainer::new(recipe, &data, &test).expect("fits");
    if let Some(start) = start {
        trainer.parameters = start;
    }
    let before = trainer.parameters.concat();
    trainer.epoch(|_, _| ControlFlow::Continue(())).expect("trains").expect("an epoch");
    trainer.parameters.concat().iter().zip(before).map(|(after, before)| after - before).collect()
}

#[test]
fn the_gradient_at_the_codes_moves_the_floats() {
    let float = Recipe::from_toml(RECIPE).expect("valid");
    let quantization = WeightQuantization::deployable(3);
    let quantized = Recipe { quantization: Some(quantization), ..float.clone() };
    let straight_through = moved(&quantized, None);
    let set = shapes::generate(shapes::SEED, Split::Train, 40);
    let network = crate::Network::build(&float.network, set.shape, float.seed).expect("builds");
    let codes_mean = weights::quantized(&network, &network.parameter_values(), quantization);
    let at_codes = moved(&float, Some(codes_mean));
    let at_floats = moved(&float, None);
    let furthest = |other: &[f32]| {
        let pairs = straight_through.iter().zip(other);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max)
    };
    assert!(furthest(&at_codes) < 1e-6, "{}", furthest(&at_codes));
    assert!(furthest(&at_floats) > 1e-3, "{}", furthest(&at_floats));
}

#[test]
fn gradients_are_clamped_and_joined_by_hand() {
    let mut clean = vec![vec![1.0, -2.0], vec![0.0]];
    let mut perturbed = vec![vec![0.5, -0.01], vec![-7.0]];
    clamp(&mut perturbed, Some(0.05));
    assert_eq!(perturbed, [vec![0.05, -0.01], vec![-0.05]]);
    average(&mut clean, &perturbed);
    assert_eq!(clean, [vec![0.525, -1.005], vec![-0.025]]);
}

/// The share of images that the integer network gets wrong under flips of its own codes.
fn integer_rerr(graph: &Graph, test: &Dataset, rates: DataRates, chips: usize) -> f64 {
    let executor = Executor::new(graph, vmin_kernels::best());
    let codes: Vec<_> = graph.weights.iter().map(|weights| weights.codes.clone()).collect();
    let weights = executor.load_weights(&codes);
    let mut scratch = executor.scratch();
    let steps = graph.nodes.iter().filter(|node| !matches!(node.op, Op::Reshape));
    let stored: Vec<_> =
        steps.map(|node| node.output).filter(|&tensor| tensor != graph.output).collect();
    let mut wrong = 0;
    for chip in 0..chips {
        let mut stream = Stream::new(99, Purpose::Initialization, chip);
        for (image, &label) in test.labels.iter().enumerate() {
            let mut pixels = test.image(image).to_vec();
            flip_all([pixels.as_mut_slice()], 8, rates.inputs, &mut stream);
            let class = executor.classify_with(&weights, &pixels, &mut scratch, |id, tensor| {
                if stored.contains(&id) {
                    let mut bytes: Vec<u8> =
                        tensor.iter().map(|code| code.cast_unsigned()).collect();
                    flip_all([bytes.as_mut_slice()], 8, rates.activations, &mut stream);
                    let read = tensor.iter_mut().zip(&bytes);
                    read.for_each(|(code, byte)| *code = byte.cast_signed());
                }
            });
            wrong += usize::from(class != usize::from(label));
        }
    }
    wrong as f64 / (chips * test.len()) as f64
}

#[test]
fn errors_in_what_layers_read_do_what_they_do_to_the_integer_network() {
    let recipe = include_str!("../../../../recipes/shapes-rquant-8bit.toml");
    let recipe = Recipe::from_toml(recipe).expect("a shipped recipe");
    let graph = vmin_nn::model::load("builtin:shapes-rquant-8bit").expect("built in");
    let set = |split, count| shapes::generate(shapes::SEED, split, count);
    let (data, test) = (set(Split::Train, 1_024), set(Split::Test, 700));
    for (inputs, activations, limit) in [(0.0, 0.004, 0.05), (0.01, 0.0, 0.03)] {
        let rates = DataRates { inputs, activations };
        let rerr =
            TestErrors { rate: 0.0, activations_rate: activations, inputs_rate: inputs, chips: 3 };
        let recipe = Recipe { rerr: Some(rerr), ..recipe.clone() };
        let mut trainer = Trainer::start_from(&recipe, &data, &test, &graph).expect("fits");
        let float = trainer.robust_error(0).expect("finite").expect("asked for");
        let integer = integer_rerr(&graph, &test, rates, 3);
        assert!(float > 0.03, "errors are felt: {float}");
        // Two samples of 2,100 images: each has a deviation of about a point.
        assert!((float - integer).abs() < limit, "{rates:?}: {float} {integer}");
    }
}
