//! A published float network, quantized without training (where the data is at hand).

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::path::{Path, PathBuf};

use vmin_nn::data::{Limits, Split};
use vmin_train::{FloatNetwork, Recipe, Trainer};

/// Images that are compared.
const IMAGES: usize = 500;

#[test]
fn a_published_resnet20_keeps_its_error() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let data = std::env::var_os("VMIN_DATA")
        .map_or_else(|| root.join("../shared/data"), PathBuf::from)
        .join("models/akamaster/resnet20.safetensors");
    let folder = std::env::var_os("VMIN_CIFAR10").map(PathBuf::from).or_else(|| {
        std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/vmin/cifar10"))
    });
    let images = |split, count| {
        let spec = format!("cifar10:{}", folder.as_ref()?.display());
        let all = vmin_nn::data::load(&spec, split, Limits::default()).ok()?;
        all.subset(0..count).ok()
    };
    let (Ok(bytes), Some(train), Some(test)) =
        (std::fs::read(data), images(Split::Train, 512), images(Split::Test, IMAGES))
    else {
        eprintln!("skipped: no ResNet-20 in VMIN_DATA or no CIFAR-10 in VMIN_CIFAR10");
        return;
    };
    let text = std::fs::read_to_string(root.join("recipes/cifar10-resnet20-ptq-8bit.toml"));
    let recipe = Recipe::from_toml(&text.expect("a shipped recipe")).expect("valid");
    let float = FloatNetwork::read(&bytes).expect("float tensors");
    let trainer = Trainer::start_from_float(&recipe, &train, &test, &float).expect("it fits");
    let deployed = trainer.finish().compare(&train, &test).expect("it lowers");
    // Its authors' own outputs err on 45 of these images.
    let images = IMAGES as f64;
    assert!((deployed.float_err * images - 45.0).abs() <= 2.5, "float: {}", deployed.float_err);
    let difference = (deployed.integer_err - deployed.float_err) * images;
    assert!(difference.abs() <= 3.5, "integers: {difference} images");
}
