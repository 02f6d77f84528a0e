//! The training loop from outside: it learns, it repeats itself, it refuses.

mod common;

use std::ops::ControlFlow;

use vmin_nn::data::Dataset;
use vmin_train::{LayerSpec, Recipe, TrainError, Trained, WeightQuantization, train};

use common::{assert_refused, data, recipe_text};

fn text() -> String {
    let network = r#"[
  { conv2d = { channels = 8, kernel = 3, stride = 2 } },
  "relu",
  { residual = { body = [{ conv2d = { channels = 8, kernel = 3 } }] } },
  "relu",
  { max_pool = { window = 2 } },
  { fully_connected = { features = 10 } },
]"#;
    recipe_text(network, "").replace("learning_rate = 0.02", "learning_rate = 0.05")
}

fn recipe() -> Recipe {
    Recipe::from_toml(&text()).expect("a valid recipe")
}

fn run(recipe: &Recipe, images: usize) -> Result<Trained, TrainError> {
    let (data, test) = data(images);
    train(recipe, &data, &test, |_| ControlFlow::Continue(()))
}

fn on_threads(threads: usize, recipe: &Recipe) -> Vec<Vec<u32>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    let trained = pool.install(|| run(recipe, 330)).expect("trains");
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    trained.network.parameter_values().into_iter().map(bits).collect()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let recipe = Recipe {
        shift_pixels: 1,
        clip: Some(0.4),
        quantization: Some(WeightQuantization {
            from_epoch: 1,
            ..WeightQuantization::deployable(6)
        }),
        ..recipe()
    };
    let one = on_threads(1, &recipe);
    for threads in [2, 3, 5] {
        assert!(on_threads(threads, &recipe) == one, "{threads} threads");
    }
    assert!(on_threads(1, &Recipe { seed: 4, ..recipe }) != one, "the seed matters");
}

#[test]
fn training_lowers_the_loss_and_reports_every_epoch() {
    let mut epochs = Vec::new();
    let (data, test) = data(1_000);
    let recipe = Recipe { epochs: 6, ..recipe() };
    let trained = train(&recipe, &data, &test, |metrics| {
        epochs.push(metrics.clone());
        ControlFlow::Continue(())
    })
    .expect("trains");
    assert_eq!(trained.epochs, epochs);
    assert_eq!(epochs.iter().map(|m| m.epoch).collect::<Vec<_>>(), (0..6).collect::<Vec<_>>());
    assert!(epochs[5].loss < 0.8 * epochs[0].loss, "{epochs:?}");
    assert!(epochs[5].train_err < epochs[0].train_err);
    assert!(epochs.iter().all(|m| (0.0..=1.0).contains(&m.err) && m.rerr.is_none()));
}

#[test]
fn a_run_can_be_stopped() {
    let (data, test) = data(100);
    let trained = train(&recipe(), &data, &test, |_| ControlFlow::Break(())).expect("trains");
    assert_eq!(trained.epochs.len(), 1);
}

#[test]
fn clipping_bounds_every_parameter() {
    let trained = run(&Recipe { clip: Some(0.05), ..recipe() }, 200).expect("trains");
    assert!(trained.network.parameter_values().iter().flatten().all(|w| w.abs() <= 0.05));
}

#[test]
fn values_out_of_range_are_refused() {
    let change = |from: &str, to: &str| Recipe::from_toml(&text().replace(from, to));
    let cases = [
        ("seed = 3", "seed = -3", "seed"),
        ("epochs = 3", "epochs = 0", "epochs"),
        ("batch_size = 40", "batch_size = 0", "batch_size"),
        ("learning_rate = 0.05", "learning_rate = nan", "optimizer.learning_rate"),
        ("momentum = 0.9", "momentum = 1.0", "optimizer.momentum"),
        ("weight_decay = 5e-4", "weight_decay = -1.0", "optimizer.weight_decay"),
        ("seed = 3", "seed = 3\nclip = 0.0", "clip"),
        ("seed = 3", "seed = 3\nquantization = { bits = 9 }", "quantization.bits"),
        ("scale = 0.02", "scale = inf", "input.scale"),
        (
            "schedule = \"cosine\"",
            "schedule = { step = { factor = 0.1, milestones = [1.5] } }",
            "schedule.step.milestones[0]",
        ),
    ];
    for (from, to, wanted) in cases {
        assert_refused(change(from, to), wanted);
    }
    for (from, to) in [
        ("seed = 3", "seed = 3\nsede = 4"),
        ("kernel = 3,", "kernel = 3, kernle = 3,"),
        ("\"relu\"", "\"rule\""),
    ] {
        assert!(change(from, to).is_err(), "{to}");
    }
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let conv =
        |channels, kernel, stride| LayerSpec::Conv2d { channels, kernel, stride, bias: true };
    let end = LayerSpec::FullyConnected { features: 10 };
    let cases = [
        vec![conv(0, 3, 1)],
        vec![conv(4, 2, 1)],
        vec![conv(4, 3, 0)],
        vec![LayerSpec::MaxPool { window: 17 }],
        vec![LayerSpec::AveragePool { window: 0 }],
        vec![LayerSpec::Residual { body: vec![], shortcut: vec![] }],
        vec![LayerSpec::Residual { body: vec![conv(2, 3, 1)], shortcut: vec![] }],
        vec![LayerSpec::FullyConnected { features: 0 }],
    ];
    for mut network in cases {
        network.push(end.clone());
        let error = run(&Recipe { network, ..recipe() }, 20).expect_err("must be refused");
        assert!(matches!(error, TrainError::Layer { .. }), "{error:?}");
    }
    let huge = LayerSpec::FullyConnected { features: usize::MAX / 4 };
    for network in [vec![conv(usize::MAX / 2, 3, 1)], vec![huge]] {
        let error = run(&Recipe { network, ..recipe() }, 20).expect_err("must be refused");
        assert!(matches!(error, TrainError::TooLarge { .. }), "{error:?}");
    }
    let short = vec![LayerSpec::FullyConnected { features: 9 }];
    let error = run(&Recipe { network: short, ..recipe() }, 20).expect_err("nine for ten");
    assert!(matches!(error, TrainError::Classes { classes: 10, .. }), "{error:?}");
}

#[test]
fn unfit_sets_are_refused() {
    let (data, test) = data(20);
    let none = data.subset(0..0).expect("empty range");
    let silent = |_: &_| ControlFlow::Continue(());
    let error = train(&recipe(), &none, &test, silent).expect_err("no images");
    assert!(matches!(error, TrainError::Empty { split: "training" }));
    let error = train(&recipe(), &data, &none, silent).expect_err("no images");
    assert!(matches!(error, TrainError::Empty { split: "test" }));
    let other = Dataset { shape: [8, 32, 1], ..test };
    let error = train(&recipe(), &data, &other, silent).expect_err("another shape");
    assert!(matches!(error, TrainError::Split { .. }));
}

#[test]
fn divergence_is_told() {
    let mut recipe = recipe();
    recipe.optimizer.learning_rate = 1e30;
    let error = run(&recipe, 200).expect_err("diverges");
    assert!(matches!(error, TrainError::Diverged { epoch: 0 }), "{error:?}");
}
