use std::ops::ControlFlow;

use vmin_nn::data::{Dataset, Split, shapes};
use vmin_nn::{Graph, Op};

use super::{StartError, codes::settle, reals};
use crate::codec::{SchemeFormula, WeightScheme, encode};
use crate::network::Network;
use crate::{LayerSpec, Recipe, TrainError, Trained, Trainer, WeightQuantization, train};

const RECIPE: &str = r#"
name = "start"
seed = 5
epochs = 4
batch_size = 16
schedule = "cosine"
clip = 0.4
network = [{ resnet = { blocks = [1, 1], width = 6, classes = 10, norm = "batch" } }]
[quantization]
bits = 8
[optimizer]
learning_rate = 0.05
momentum = 0.9
weight_decay = 5e-4
[input]
zero_pixel = 120
scale = 0.02
"#;

fn recipe() -> Recipe {
    Recipe::from_toml(RECIPE).expect("a valid recipe")
}

fn plain() -> Recipe {
    let network = vec![
        LayerSpec::Conv2d { channels: 6, kernel: 3, stride: 2, bias: true },
        LayerSpec::Relu,
        LayerSpec::MaxPool { window: 2 },
        LayerSpec::FullyConnected { features: 10 },
    ];
    Recipe { network, ..recipe() }
}

fn sets() -> (Dataset, Dataset) {
    let set = |split, count| shapes::generate(shapes::SEED, split, count);
    (set(Split::Train, 1_200), set(Split::Test, 400))
}

fn trained(recipe: &Recipe) -> (Trained, Graph) {
    let (data, test) = sets();
    let trained = train(recipe, &data, &test, |_| ControlFlow::Continue(())).expect("trains");
    let graph = trained.lower(&data).expect("lowers");
    (trained, graph)
}

/// The network of a graph, untrained.
fn taken(recipe: &Recipe, graph: &Graph) -> Trained {
    let (data, test) = sets();
    Trainer::start_from(recipe, &data, &test, graph).expect("fits").finish()
}

#[test]
fn an_untrained_network_is_deployed_as_it_was() {
    let (data, test) = sets();
    for recipe in [recipe(), plain()] {
        let (_, graph) = trained(&recipe);
        let again = taken(&recipe, &graph).lower(&data).expect("lowers");
        assert_eq!(again.nodes.len(), graph.nodes.len());
        for (again, weights) in again.weights.iter().zip(&graph.weights) {
            assert!(again.codes == weights.codes, "{}", weights.name);
            assert_eq!(again.zero_points, weights.zero_points);
            assert!((again.scales[0] / weights.scales[0] - 1.0).abs() < 3e-5);
        }
        for (again, node) in again.nodes.iter().zip(&graph.nodes) {
            let (Op::Conv2d(again), Op::Conv2d(conv)) = (&again.op, &node.op) else { continue };
            for (&again, &multiplier) in again.multipliers.iter().zip(&conv.multipliers) {
                let ratio = again / multiplier;
                assert!((ratio - 1.0).abs() < 1e-4, "{}: {ratio}", node.name);
            }
            for (&again, &bias) in again.bias.iter().zip(&conv.bias) {
                assert!((again - bias).abs() <= 1, "{}: {again} {bias}", node.name);
            }
        }
        let wrong = |graph: &Graph| {
            let codes: Vec<_> = graph.weights.iter().map(|weights| weights.codes.clone()).collect();
            crate::deploy::integer_errors(graph, &codes, &test).expect("runs")
        };
        let (before, after) = (wrong(&graph), wrong(&again));
        assert!(before < 300, "it must have learnt something: {before} of 400");
        assert_eq!(before, after, "less than 0.1 points of 400 images are none");
    }
}

#[test]
fn norms_are_taken_apart_into_what_they_were() {
    let recipe = Recipe { clip: None, epochs: 2, ..recipe() };
    let (trained, graph) = trained(&recipe);
    let taken = taken(&recipe, &graph);
    for (was, is) in trained.network.statistics.iter().zip(&taken.network.statistics) {
        for (was, is) in was.variance.iter().zip(&is.variance) {
            // Running averages lag behind the weights.
            assert!((is / was).ln().abs() < 0.7, "{was} {is}");
        }
    }
}

#[test]
fn bounds_are_kept_and_the_network_computes_the_same() {
    let (data, _) = sets();
    let free = Recipe { clip: None, epochs: 1, ..recipe() };
    let (_, graph) = trained(&free);
    let bounded = taken(&Recipe { clip: Some(0.02), ..free.clone() }, &graph);
    let free = taken(&free, &graph);
    let scales = |trained: &Trained| -> Vec<f32> {
        let scales = trained.network.parameters.iter();
        let scales = scales.filter(|p| p.kind == crate::network::ParameterKind::Scale);
        scales.flat_map(|p| p.values.clone()).collect()
    };
    assert!(scales(&free).iter().any(|scale| scale.abs() > 0.02), "there is something to bound");
    assert!(scales(&bounded).iter().all(|scale| scale.abs() <= 0.02));
    // The weights were clipped: with those of the other, the same gains.
    let mut mixed = free.clone();
    for (index, parameter) in bounded.network.parameters.iter().enumerate() {
        if parameter.kind == crate::network::ParameterKind::Scale {
            mixed.network.parameters[index] = parameter.clone();
        }
    }
    for (mixed, bounded) in mixed.network.statistics.iter_mut().zip(&bounded.network.statistics) {
        mixed.variance.clone_from(&bounded.variance);
    }
    let gains = |trained: &Trained| -> Vec<f64> {
        let graph = trained.lower(&data).expect("lowers");
        let mut all = Vec::new();
        for node in &graph.nodes {
            if let Op::Conv2d(conv) = &node.op {
                all.extend(&conv.multipliers);
            }
        }
        all
    };
    let (free, mixed) = (gains(&free), gains(&mixed));
    let worst = free.iter().zip(&mixed).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-3, "{worst}");
}

#[test]
fn codes_of_every_scheme_come_back() {
    use WeightScheme::{Asymmetric, AsymmetricUnsigned, Deployable, Global, Normal, Rquant};
    let built = plain();
    let network = Network::build(&built.network, [16, 16, 1], 1).expect("builds");
    for scheme in [Deployable, Global, Normal, Asymmetric, AsymmetricUnsigned, Rquant] {
        for formula in [SchemeFormula::Paper, SchemeFormula::Code] {
            for bits in [3, 4, 8] {
                let storage = WeightQuantization { bits, from_epoch: 0, scheme, formula };
                let recipe = Recipe { quantization: Some(storage), clip: None, ..built.clone() };
                check_codes(&network, &recipe);
            }
        }
    }
}

/// Codes of random weights, of what they mean, once more.
fn check_codes(network: &Network, recipe: &Recipe) {
    let storage = recipe.storage();
    let (data, test) = sets();
    let mut network = network.clone();
    let trained = Trainer::new(recipe, &data, &test).expect("fits").finish();
    let graph = trained.lower(&data).expect("lowers");
    let mut sources = Vec::new();
    let mut tensors = graph.weights.iter();
    for index in 0..network.parameters.len() {
        if network.parameters[index].kind == crate::network::ParameterKind::Weight {
            let tensor = tensors.next().expect("one per weight");
            network.parameters[index].values = reals(tensor);
            sources.push((tensor, crate::network::ParameterId(index)));
        }
    }
    settle(&mut network, &sources, recipe);
    let values: Vec<&[f32]> =
        sources.iter().map(|(_, id)| network.parameters[id.0].values.as_slice()).collect();
    let again = encode(storage, &values).expect("finite");
    for ((tensor, _), again) in sources.iter().zip(&again) {
        let differ = tensor.codes.iter().zip(&again.codes).filter(|(a, b)| a != b).count();
        assert_eq!(differ, 0, "{storage:?} {} of {}", tensor.name, tensor.codes.len());
    }
}

#[test]
fn other_networks_are_refused_with_the_step() {
    let (_, graph) = trained(&Recipe { epochs: 1, ..plain() });
    let (data, test) = sets();
    let error = |change: &dyn Fn(&mut Recipe)| {
        let mut recipe = plain();
        change(&mut recipe);
        match Trainer::start_from(&recipe, &data, &test, &graph).map(|_| ()) {
            Err(TrainError::Start(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let at = |error| {
        let StartError::Step { step, found, expected } = error else { panic!("{error:?}") };
        (step, found, expected)
    };
    let (step, found, expected) = at(error(&|recipe| {
        recipe.network[0] = LayerSpec::Conv2d { channels: 7, kernel: 3, stride: 2, bias: true };
    }));
    assert_eq!(step, 1);
    assert!(found.contains("[6, 3, 3, 1]") && expected.contains("[7, 3, 3, 1]"), "{found}");
    let (step, found, expected) = at(error(&|recipe| {
        recipe.network.remove(1);
    }));
    assert_eq!(step, 1);
    assert!(found.contains("rectified") && !expected.contains("rectified"), "{found} {expected}");
    let (step, found, _) = at(error(&|recipe| {
        recipe.network.insert(3, LayerSpec::FullyConnected { features: 4 });
    }));
    assert_eq!((step, found.contains("fully connected")), (3, true), "{found}");
    let (step, found, _) = at(error(&|recipe| {
        recipe.network.push(LayerSpec::FullyConnected { features: 10 });
    }));
    assert_eq!((step, found.as_str()), (4, "missing"));
    let (step, _, expected) = at(error(&|recipe| {
        recipe.network[2] = LayerSpec::AveragePool { window: 2 };
    }));
    assert_eq!((step, expected.contains("average")), (2, true), "{expected}");
    let scaled = error(&|recipe| recipe.input.scale = 0.03);
    assert!(matches!(scaled, StartError::Input { .. }), "{scaled:?}");
    let undeployable = error(&|recipe| {
        recipe.network[2] = LayerSpec::Residual { body: vec![LayerSpec::Relu], shortcut: vec![] };
    });
    assert!(matches!(undeployable, StartError::NotDeployable(_)), "{undeployable:?}");
}

#[test]
fn hostile_numbers_are_refused() {
    let (data, test) = sets();
    let (_, graph) = trained(&Recipe { epochs: 1, ..recipe() });
    let refused = |change: &dyn Fn(&mut Graph), recipe: &Recipe| {
        let mut graph = graph.clone();
        change(&mut graph);
        match Trainer::start_from(recipe, &data, &test, &graph).map(|_| ()) {
            Err(TrainError::Start(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let change = |graph: &mut Graph| {
        if let Op::Conv2d(conv) = &mut graph.nodes[0].op {
            conv.multipliers[2] = 0.0;
        }
    };
    assert!(matches!(refused(&change, &recipe()), StartError::Scale { step: 1 }));
    let mut without = recipe();
    let LayerSpec::Resnet { norm, .. } = &mut without.network[0] else { panic!("a resnet") };
    *norm = crate::network::Norm::None;
    assert!(matches!(refused(&|_| (), &without), StartError::Normalized { step: 1 }));
    let missing = Recipe { start: Some("x.safetensors".to_owned()), ..recipe() };
    let Err(TrainError::Start(error)) = Trainer::new(&missing, &data, &test).map(|_| ()) else {
        panic!("a recipe that starts from a network needs it")
    };
    assert!(matches!(error, StartError::Missing(_)));
}

fn grouped(recipe: &Recipe) -> Recipe {
    let mut grouped = recipe.clone();
    let LayerSpec::Resnet { norm, .. } = &mut grouped.network[0] else { panic!("a resnet") };
    *norm = crate::network::Norm::Group;
    grouped
}

/// On one image the averages over images are its own moments, so both networks are the same there.
#[test]
fn groups_do_what_batch_normalizations_did_on_average() {
    let recipe = Recipe { clip: None, ..recipe() };
    let (_, graph) = trained(&recipe);
    let (mut one, test) = sets();
    one.images.truncate(one.pixels_per_image());
    one.labels.truncate(1);
    let logits = |recipe: &Recipe| {
        let network = Trainer::start_from(recipe, &one, &test, &graph).expect("fits").finish();
        let network = network.network;
        let inputs = recipe.input.inputs(&one.images);
        let values = crate::network::forward(&network, &network.parameter_values(), &inputs);
        values.last().expect("logits").clone()
    };
    let (batch, groups) = (logits(&recipe), logits(&grouped(&recipe)));
    let spread = batch.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    for (batch, groups) in batch.iter().zip(&groups) {
        assert!((batch - groups).abs() < 1e-3 * spread, "{batch} {groups}");
    }
}

#[test]
fn going_on_learns_from_where_it_was() {
    let (data, test) = sets();
    let recipe = recipe();
    let (before, graph) = trained(&recipe);
    let mut more = Recipe { epochs: 1, start: Some("it".to_owned()), ..recipe };
    more.optimizer.learning_rate = 1e-4;
    let mut trainer = Trainer::start_from(&more, &data, &test, &graph).expect("fits");
    let metrics = trainer.epoch(|_, _| ControlFlow::Continue(())).expect("trains").expect("one");
    let last = before.epochs.last().expect("epochs");
    assert!((metrics.loss - last.loss).abs() < 0.15 * last.loss, "{} {}", metrics.loss, last.loss);
    let checkpoint = trainer.checkpoint();
    let resumed = Trainer::resume(&more, &data, &test, checkpoint).expect("needs no network");
    assert_eq!(resumed.epochs().len(), 1);
}
