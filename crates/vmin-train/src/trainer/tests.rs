use std::ops::ControlFlow;

use vmin_nn::data::{Dataset, Split, shapes};
use vmin_nn::exec::{Executor, OutputSums};
use vmin_nn::{Graph, Op, TensorId};

use super::Trainer;
use super::gradient::{average, clamp};
use crate::bit_errors::{BitErrors, DataFaults, DataRates, Method, flip_all};
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
    trainer.start.active = true;
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
fn a_perturbed_step_follows_the_gradient_at_the_wrong_codes_alone() {
    let float = Recipe::from_toml(RECIPE).expect("valid");
    let quantization = WeightQuantization::deployable(4);
    let errors = BitErrors {
        rate: Some(0.05),
        method: Method::Perturbed,
        start_loss: 9.0,
        ..BitErrors::default()
    };
    let bit_errors = Some(errors);
    let under = Recipe { quantization: Some(quantization), bit_errors, ..float.clone() };
    let set = shapes::generate(shapes::SEED, Split::Train, 40);
    let network = crate::Network::build(&float.network, set.shape, float.seed).expect("builds");
    let parameters = network.parameter_values();
    let mut stored = weights::stored(&network, &parameters, quantization).expect("finite");
    let mut stream = Stream::new(float.seed, Purpose::BitErrors, 0);
    let codes = stored.iter_mut().map(|tensor| tensor.codes.as_mut_slice());
    assert!(flip_all(codes, 4, 0.05, &mut stream) > 0);
    let at_codes = moved(&float, Some(weights::with_codes(&network, &parameters, &stored)));
    // Adding the step to other floats rounds otherwise.
    let pairs = moved(&under, None).into_iter().zip(&at_codes);
    let furthest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
    let largest = at_codes.iter().fold(0.0_f32, |most, by| most.max(by.abs()));
    assert!(furthest < 1e-6 && largest > 1e-2, "{furthest} {largest}");
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

/// Taps of a fold.
const FOLD: usize = 16;

/// The share of images that the integer network gets wrong under flips of its own codes.
fn integer_rerr(graph: &Graph, test: &Dataset, rates: DataRates, chips: usize) -> f64 {
    let executor = Executor::new(graph, vmin_kernels::best());
    let codes: Vec<_> = graph.weights.iter().map(|weights| weights.codes.clone()).collect();
    let weights = executor.load_weights(&codes);
    let mut scratch = executor.scratch();
    let of_node = |node| OutputSums::new(graph, &codes, node).filter(|_| rates.sums > 0.0);
    let sums: Vec<_> = (0..graph.nodes.len()).map(of_node).collect();
    let steps = graph.nodes.iter().filter(|node| !matches!(node.op, Op::Reshape));
    let stored: Vec<_> = steps.map(|node| node.output).collect();
    let mut wrong = 0;
    for chip in 0..chips {
        let mut stream = Stream::new(99, Purpose::Initialization, chip);
        for (image, &label) in test.labels.iter().enumerate() {
            let mut pixels = test.image(image).to_vec();
            flip_all([pixels.as_mut_slice()], 8, rates.inputs, &mut stream);
            let mut of_sums = Stream::new(98, Purpose::Initialization, chip * test.len() + image);
            let read_sums = |node: usize, tensors: &[Vec<i8>], out: &mut [i8]| {
                let Some(sums) = &sums[node] else { return };
                let input = &tensors[graph.nodes[node].inputs[0].0];
                for (element, out) in out.iter_mut().enumerate() {
                    let flips = |sum: i32| {
                        let mut bytes = sum.to_le_bytes();
                        flip_all([&mut bytes[..]], 8, rates.sums, &mut of_sums);
                        i32::from_le_bytes(bytes)
                    };
                    *out = sums.output(input, element, FOLD, true, flips);
                }
            };
            let read = |id: TensorId, tensor: &mut [i8]| {
                if stored.contains(&id) {
                    let mut bytes: Vec<u8> =
                        tensor.iter().map(|code| code.cast_unsigned()).collect();
                    flip_all([bytes.as_mut_slice()], 8, rates.activations, &mut stream);
                    let read = tensor.iter_mut().zip(&bytes);
                    read.for_each(|(code, byte)| *code = byte.cast_signed());
                }
            };
            let class = executor.classify_watched(&weights, &pixels, &mut scratch, read_sums, read);
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
    let (data, all) = (set(Split::Train, 1_024), set(Split::Test, 700));
    for (inputs, activations, sums, images, limit) in [
        (0.0, 0.004, 0.0, 700, 0.05),
        (0.01, 0.0, 0.0, 700, 0.03),
        // 600 images in all: a deviation of two points each.
        (0.0, 0.0, 1e-5, 200, 0.08),
    ] {
        let test = all.subset(0..images).expect("in range");
        let rates = DataRates { inputs, activations, sums };
        let rerr = TestErrors {
            rate: 0.0,
            activations_rate: activations,
            inputs_rate: inputs,
            sums_rate: sums,
            sums_fold: FOLD,
            sums_kept: crate::SumKeeping::default(),
            data_faults: DataFaults::Transient,
            chips: 3,
        };
        let recipe = Recipe { rerr: Some(rerr), ..recipe.clone() };
        let mut trainer = Trainer::start_from(&recipe, &data, &test, &graph).expect("fits");
        let float = trainer.robust_error(0).expect("finite").expect("asked for");
        let integer = integer_rerr(&graph, &test, rates, 3);
        assert!(float > 0.03, "errors are felt: {float}");
        // Two samples of 2,100 images: each has a deviation of about a point.
        assert!((float - integer).abs() < limit, "{rates:?}: {float} {integer}");
    }
}
