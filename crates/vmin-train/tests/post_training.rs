//! A published float network, quantized without training (where the data is at hand).

use vmin_nn::data::{Limits, Split};
use vmin_train::{FloatNetwork, Recipe, Trainer};

/// Images that are compared.
const IMAGES: usize = 500;

#[test]
fn a_published_resnet20_keeps_its_error() {
    let (Some(network), Some(folder)) =
        (vmin_testkit::data("models/akamaster/resnet20.safetensors"), vmin_testkit::cifar10())
    else {
        return;
    };
    let spec = format!("cifar10:{}", folder.display());
    let images = |split, count| {
        let all = vmin_nn::data::load(&spec, split, Limits::default()).expect("CIFAR-10");
        all.subset(0..count).expect("a range of it")
    };
    let [train, test] = [images(Split::Train, 512), images(Split::Test, IMAGES)];
    let recipe = vmin_testkit::root().join("recipes/cifar10-resnet20-ptq-8bit.toml");
    let text = std::fs::read_to_string(recipe).expect("a shipped recipe");
    let recipe = Recipe::from_toml(&text).expect("valid");
    let bytes = std::fs::read(network).expect("readable");
    let float = FloatNetwork::read(&bytes).expect("float tensors");
    let trainer = Trainer::start_from_float(&recipe, &train, &test, &float).expect("it fits");
    let deployed = trainer.finish().compare(&train, &test).expect("it lowers");
    // Its authors' own outputs err on 45 of these images.
    let images = IMAGES as f64;
    assert!((deployed.float_err * images - 45.0).abs() <= 2.5, "float: {}", deployed.float_err);
    let difference = (deployed.integer_err - deployed.float_err) * images;
    assert!(difference.abs() <= 3.5, "integers: {difference} images");
}
