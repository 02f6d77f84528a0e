//! Cycles and energy of a ResNet-50-like list of layers.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use vmin_accel::cycles::{self, Schedule};
use vmin_accel::energy::{self, OperatingPoint};
use vmin_accel::{Accelerator, GemmShape, Layer, VoltageProfile};

/// Bottleneck blocks of four stages: (output pixels, channels, blocks).
const STAGES: [(u64, u64, u64); 4] = [(3136, 64, 3), (784, 128, 4), (196, 256, 6), (49, 512, 3)];

fn resnet50_like() -> Vec<Layer> {
    let mut sizes = vec![(12_544, 64, 147)];
    for (pixels, channels, blocks) in STAGES {
        for _ in 0..blocks {
            sizes.push((pixels, channels, 4 * channels));
            sizes.push((pixels, channels, 9 * channels));
            sizes.push((pixels, 4 * channels, channels));
        }
    }
    sizes.push((1, 1000, 2048));
    sizes
        .into_iter()
        .map(|(m, n, k)| Layer::gemm("layer", GemmShape::new(m, n, k).expect("a sane layer")))
        .collect()
}

fn benches(criterion: &mut Criterion) {
    let accelerator = Accelerator::load("gemmini-16").expect("shipped");
    let profile = VoltageProfile::load("sram14").expect("shipped");
    let layers = resnet50_like();
    let schedule = Schedule::of(&accelerator);
    criterion.bench_function("cycles of 50 layers", |bencher| {
        bencher.iter(|| cycles::run(&accelerator, schedule, black_box(&layers)));
    });
    let reports = cycles::run(&accelerator, schedule, &layers);
    let point = OperatingPoint::weight_memory(&profile, 833.0);
    criterion.bench_function("energy of 50 layers", |bencher| {
        bencher.iter(|| energy::per_inference(&accelerator, &profile, black_box(&reports), &point));
    });
}

criterion_group!(group, benches);
criterion_main!(group);
