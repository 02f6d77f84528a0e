//! The integer network against the float network it came from.

mod common;

use std::ops::ControlFlow;

use vmin_nn::data::{Dataset, Split, shapes};
use vmin_nn::{ConvKind, Graph, Op};
use vmin_quant::Encoding;
use vmin_train::{DeployError, InputScaling, LayerSpec, Recipe, Trained, Trainer, train};

use common::recipe_text;

/// All kinds of layers except normalizations, both kinds of branches.
const LAYERS: &str = r#"[
  { conv2d = { channels = 12, kernel = 3 } },
  "relu",
  { max_pool = { window = 2 } },
  { residual = { body = [{ conv2d = { channels = 16, kernel = 3, stride = 2 } }, "relu", { conv2d = { channels = 16, kernel = 3 } }], shortcut = [{ conv2d = { channels = 16, kernel = 1, stride = 2 } }] } },
  "relu",
  { residual = { body = [{ conv2d = { channels = 16, kernel = 3 } }] } },
  { average_pool = { window = 2 } },
  "relu",
  { fully_connected = { features = 20 } },
  "relu",
  { fully_connected = { features = 10 } },
]"#;

fn recipe(network: &str, epochs: u32) -> Recipe {
    let recipe = Recipe::from_toml(&recipe_text(network, "")).expect("a valid recipe");
    let input = InputScaling { zero_pixel: 120, scale: 0.02 };
    Recipe { seed: 1, epochs, batch_size: 32, input, ..recipe }
}

/// Discs, rings and bars only: learnt in seconds.
fn sets() -> (Dataset, Dataset) {
    let set = |split, count| {
        let all = shapes::generate(shapes::SEED, split, count);
        let kept = |image: &usize| [0, 1, 6].contains(&all.labels[*image]);
        let kept: Vec<usize> = (0..all.len()).filter(kept).collect();
        Dataset {
            images: kept.iter().flat_map(|&image| all.image(image)).copied().collect(),
            labels: kept.iter().map(|&image| all.labels[image]).collect(),
            ..all
        }
    };
    (set(Split::Train, 5_000), set(Split::Test, 3_000))
}

fn trained(recipe: &Recipe) -> Trained {
    let (data, test) = sets();
    train(recipe, &data, &test, |_| ControlFlow::Continue(())).expect("trains")
}

#[test]
fn every_layer_deploys_and_keeps_the_accuracy() {
    let trained = trained(&recipe(LAYERS, 10));
    let (data, test) = sets();
    let deployed = trained.deploy(&data, &test).expect("deploys within the limit");
    let last = trained.epochs.last().expect("ten epochs").err;
    assert!(deployed.float_err == last, "the same weights, the same images");
    assert!(deployed.float_err < 0.2, "it must have learnt something: {last}");
    assert!((deployed.integer_err - deployed.float_err).abs() < 0.01);
    check_structure(&deployed.graph);
}

fn check_structure(graph: &Graph) {
    let kinds: Vec<&str> = graph
        .nodes
        .iter()
        .map(|node| match &node.op {
            Op::Conv2d(conv) if conv.kind == ConvKind::FullyConnected => "fc",
            Op::Conv2d(_) => "conv",
            Op::Pool2d(_) => "pool",
            Op::Add(_) => "add",
            Op::Reshape => "reshape",
            Op::GroupNorm(_) => "group norm",
            Op::Softmax(_) => "softmax",
            Op::Extremum(_) => "extremum",
        })
        .collect();
    let wanted = [
        "conv", "pool", "conv", "conv", "conv", "add", "conv", "add", "pool", "reshape", "fc", "fc",
    ];
    assert_eq!(kinds, wanted);
    let input = &graph.tensors[graph.input.0];
    assert_eq!(input.quantization.zero_point, -8);
    assert_eq!(graph.pixels, Some(vmin_nn::Pixels::Codes { offset: 128 }));
    for weights in &graph.weights {
        assert_eq!((weights.bits, weights.encoding), (8, Encoding::OffsetBinary));
        assert_eq!(weights.scales.len(), 1, "one range per tensor");
        assert!((-128..=127).contains(&weights.zero_points[0]), "the range holds zero");
    }
}

#[test]
fn batch_norm_lies_in_the_multipliers_and_keeps_the_accuracy() {
    let trained =
        trained(&recipe("[{ resnet = { blocks = [1, 1], width = 8, classes = 10 } }]", 6));
    let (data, test) = sets();
    let deployed = trained.deploy(&data, &test).expect("deploys within the limit");
    assert!(deployed.float_err < 0.2, "it must have learnt something: {}", deployed.float_err);
    assert!(deployed.integer_err < 0.2, "{}", deployed.integer_err);
    let mut count = 0;
    for node in &deployed.graph.nodes {
        let Op::Conv2d(conv) = &node.op else { continue };
        if conv.kind == ConvKind::FullyConnected {
            continue;
        }
        count += 1;
        assert!(conv.multipliers.iter().any(|m| *m != conv.multipliers[0]), "one per channel");
        let weights = &deployed.graph.weights[conv.weights.0];
        assert_eq!(weights.scales.len(), 1, "the codes know nothing of it");
    }
    assert_eq!(count, 6);
    let statistics = &trained.network.statistics;
    assert!(statistics.iter().all(|s| s.variance.iter().any(|&v| (v - 1.0).abs() > 0.05)));
}

#[test]
fn a_rectifier_needs_its_layer_for_itself() {
    let mut recipe = recipe(LAYERS, 1);
    recipe.network = vec![
        LayerSpec::Conv2d { channels: 4, kernel: 3, stride: 4, bias: true },
        LayerSpec::Residual { body: vec![LayerSpec::Relu], shortcut: vec![] },
        LayerSpec::FullyConnected { features: 10 },
    ];
    let (data, _) = sets();
    let error = trained(&recipe).lower(&data).expect_err("the shortcut reads it too");
    assert!(matches!(error, DeployError::Rectifier { .. }), "{error:?}");
}

#[test]
fn calibration_images_must_fit() {
    let mut recipe = recipe(LAYERS, 1);
    recipe.network = vec![LayerSpec::FullyConnected { features: 10 }];
    let trained = trained(&recipe);
    let (data, _) = sets();
    let none = data.subset(0..0).expect("empty range");
    let other = Dataset { shape: [8, 32, 1], ..data };
    for unfit in [none, other] {
        let error = trained.lower(&unfit).expect_err("must be refused");
        assert!(matches!(error, DeployError::Images { .. }), "{error:?}");
    }
}

#[test]
fn group_norm_is_a_step_of_its_own_and_keeps_the_accuracy() {
    let network = r#"[{ resnet = { blocks = [1, 1], width = 8, classes = 10, norm = "group" } }]"#;
    let recipe = recipe(network, 6);
    let trained = trained(&recipe);
    assert!(trained.network.statistics.is_empty(), "no running averages");
    let (data, test) = sets();
    let deployed = trained.deploy(&data, &test).expect("deploys within the limit");
    assert!(deployed.float_err < 0.2, "it must have learnt something: {}", deployed.float_err);
    let mut groups = Vec::new();
    for node in &deployed.graph.nodes {
        if let Op::GroupNorm(norm) = &node.op {
            groups.push(norm.groups);
        }
    }
    // Half the channels: 8, then 16.
    assert_eq!(groups, [4, 4, 4, 8, 8, 8]);
    // What was deployed is a start: every code, and the same scales and shifts but for rounding.
    let again = Recipe { start: Some("itself".into()), epochs: 0, ..recipe };
    let trainer = Trainer::start_from(&again, &data, &test, &deployed.graph);
    let started = trainer.expect("the same network").finish();
    for (name, a, b) in trained
        .network
        .parameters
        .iter()
        .zip(&started.network.parameters)
        .map(|(a, b)| (&a.name, &a.values, &b.values))
        .filter(|(name, ..)| name.starts_with("group_norm"))
    {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4), "{name}: {a:?} {b:?}");
    }
    let graph = started.lower(&data).expect("lowers");
    for (a, b) in deployed.graph.weights.iter().zip(&graph.weights) {
        assert_eq!(a.codes, b.codes);
    }
    let other = Recipe {
        network: vec![
            LayerSpec::Conv2d { channels: 8, kernel: 3, stride: 1, bias: true },
            LayerSpec::GroupNorm { groups: Some(8) },
            LayerSpec::FullyConnected { features: 10 },
        ],
        ..again
    };
    let refused = Trainer::start_from(&other, &data, &test, &deployed.graph).map(|_| ());
    let message = refused.expect_err("other groups").to_string();
    assert!(message.contains("4 groups") && message.contains("8 groups"), "{message}");
}
