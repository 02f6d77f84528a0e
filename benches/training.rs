//! Images per second of training steps: forward, backward, step of the optimizer.
//!
//! The same networks in PyTorch: `benches/training_pytorch.py`.

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vmin_nn::data::Dataset;
use vmin_train::{Recipe, train};

const IMAGES: usize = 1280;

fn recipe(blocks: &str, norm: &str, errors: &str) -> Recipe {
    let text = format!(
        r#"
        name = "bench"
        seed = 1
        epochs = 1
        batch_size = 128
        schedule = "constant"
        optimizer = {{ learning_rate = 0.001, momentum = 0.9, nesterov = true, weight_decay = 5e-4 }}
        {errors}
        input = {{ zero_pixel = 128, scale = 0.02 }}
        network = [{{ resnet = {{ blocks = {blocks}, width = 16, classes = 10, norm = "{norm}" }} }}]
        "#
    );
    Recipe::from_toml(&text).expect("a valid recipe")
}

/// Noise in the shape of CIFAR-10.
fn noise(images: usize) -> Dataset {
    let pixel = |i: usize| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0];
    Dataset {
        name: "noise".to_owned(),
        shape: [32, 32, 3],
        images: (0..images * 3072).map(pixel).collect(),
        labels: (0..images).map(|i| (i % 10).to_le_bytes()[0]).collect(),
        classes: 10,
        class_names: (0..10).map(|class| class.to_string()).collect(),
    }
}

fn training(criterion: &mut Criterion) {
    let (data, test) = (noise(IMAGES), noise(1));
    let mut group = criterion.benchmark_group("training");
    group.throughput(Throughput::Elements(IMAGES as u64)).sample_size(10);
    let mut measure = |name: &str, recipe: &Recipe| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let silent = |_: &_| ControlFlow::Continue(());
                black_box(train(recipe, &data, &test, silent).expect("trains"))
            });
        });
    };
    for (name, blocks) in [("resnet8", "[1, 1, 1]"), ("resnet20", "[3, 3, 3]")] {
        for norm in ["none", "batch"] {
            measure(&format!("{name}, norm {norm}"), &recipe(blocks, norm, ""));
        }
    }
    let quantized = "quantization = { bits = 8 }";
    measure("resnet8, quantized", &recipe("[1, 1, 1]", "batch", quantized));
    // A start loss that is never missed: all but the first step are trained under errors.
    let errors = format!("{quantized}\nbit_errors = {{ rate = 0.01, start_loss = 1e9 }}");
    measure("resnet8, RandBET", &recipe("[1, 1, 1]", "batch", &errors));
    group.finish();
}

criterion_group!(benches, training);
criterion_main!(benches);
