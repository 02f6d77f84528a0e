use std::ops::ControlFlow;

use vmin_nn::data::{Split, shapes};

use super::Trainer;
use super::gradient::{average, clamp};
use crate::{Recipe, WeightQuantization, weights};

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
