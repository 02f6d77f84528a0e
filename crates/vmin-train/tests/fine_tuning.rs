//! The shipped networks, started from with their own recipes and deployed again untrained.

use vmin_nn::data::{Dataset, Limits, Split};
use vmin_train::deploy::integer_errors;
use vmin_train::{Recipe, Trainer};

/// Images that are compared; 0.1 points are one of them.
const IMAGES: usize = 1_000;
/// Images that moments and ranges are measured on.
const CALIBRATION: usize = 1_024;

fn recipe(name: &str) -> Recipe {
    let path = vmin_testkit::root().join(format!("recipes/{name}.toml"));
    Recipe::from_toml(&std::fs::read_to_string(path).expect("a shipped recipe")).expect("valid")
}

/// Codes that differ, errors before and after.
fn again(recipe: &Recipe, model: &str, data: &Dataset, test: &Dataset) -> (usize, [usize; 2]) {
    let graph = vmin_nn::model::load(model).expect("a shipped network");
    let trainer = Trainer::start_from(recipe, data, test, &graph);
    let trained = trainer.unwrap_or_else(|error| panic!("{model}: {error}")).finish();
    let again = trained.lower(data).expect("lowers");
    let pairs = graph.weights.iter().zip(&again.weights);
    let codes = pairs.flat_map(|(a, b)| a.codes.iter().zip(&b.codes));
    let differ = codes.filter(|(a, b)| a != b).count();
    let wrong = [&graph, &again].map(|graph| {
        let codes: Vec<_> = graph.weights.iter().map(|weights| weights.codes.clone()).collect();
        integer_errors(graph, &codes, test).expect("runs")
    });
    (differ, wrong)
}

fn set(spec: &str, split: Split, count: usize) -> Option<Dataset> {
    let data = vmin_nn::data::load(spec, split, Limits::default()).ok()?;
    Some(data.subset(0..count.min(data.len())).expect("a range of it"))
}

#[test]
fn built_in_networks_come_back() {
    let data = set("builtin:shapes", Split::Train, CALIBRATION).expect("drawn");
    let test = set("builtin:shapes", Split::Test, IMAGES).expect("drawn");
    let mut names = vec!["shapes-cnn".to_owned()];
    for method in ["normal", "rquant", "clipping", "randbet"] {
        names.extend([4, 8].map(|bits| format!("shapes-{method}-{bits}bit")));
    }
    for name in names {
        let (differ, [before, after]) =
            again(&recipe(&name), &format!("builtin:{name}"), &data, &test);
        assert_eq!(differ, 0, "{name}: codes");
        assert!(before.abs_diff(after) * 1_000 <= IMAGES, "{name}: {before} {after}");
    }
}

#[test]
fn a_network_with_batch_normalization_comes_back() {
    let Some(folder) = vmin_testkit::cifar10() else { return };
    let spec = format!("cifar10:{}", folder.display());
    let [data, test] = [(Split::Train, CALIBRATION), (Split::Test, IMAGES)]
        .map(|(split, count)| set(&spec, split, count).expect("CIFAR-10"));
    let name = "cifar10-resnet8-randbet-8bit";
    let model = vmin_testkit::root().join(format!("models/{name}.safetensors"));
    let (differ, [before, after]) =
        again(&recipe(name), &model.display().to_string(), &data, &test);
    assert_eq!(differ, 0, "codes");
    assert!(before < 300, "a trained network: {before} of 1000");
    assert!(before.abs_diff(after) <= 1, "{before} {after}");
}
