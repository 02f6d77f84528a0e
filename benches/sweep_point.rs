//! One point of the demo sweep: sample a chip, corrupt the codes, classify images.

use std::sync::atomic::AtomicBool;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vmin_accel::placement::WeightPlacement;
use vmin_accel::{Accelerator, ResidentPlacement, VoltageProfile};
use vmin_emulator::{Emulator, Images, corrupt};
use vmin_nn::data::{Limits, Split};
use vmin_sram::{Chip, ChipKey, FaultKind};

const IMAGES: usize = 100;

fn sweep_point(criterion: &mut Criterion) {
    let graph = vmin_nn::model::load("builtin:shapes-cnn").expect("built in");
    let data = vmin_nn::data::load("builtin:shapes", Split::Test, Limits::default())
        .and_then(|data| data.subset(0..IMAGES))
        .expect("built in");
    let accelerator = Accelerator::load("gemmini-16").expect("shipped");
    let profile = VoltageProfile::load("sram14").expect("shipped");
    let sizes = graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
    let placement = ResidentPlacement::new(&accelerator, sizes).expect("it fits");
    let placement = WeightPlacement::from(placement);
    let images = Images { pixels: &data.images, labels: &data.labels };
    let key = ChipKey { seed: 1, chip: 0, memory: 0 };
    let threshold = profile.threshold(833.0);
    let sample =
        || Chip::sample(profile.population(), key, placement.geometry(), threshold).expect("small");
    let chip = sample();
    let faults = chip.faults(threshold).expect("at the floor");
    let stop = AtomicBool::new(false);

    criterion.bench_function("sample the chip", |bencher| bencher.iter(sample));
    let corrupted = || corrupt(&graph, &placement, &[(faults, FaultKind::Flip)]).expect("it fits");
    criterion.bench_function("corrupt the codes", |bencher| bencher.iter(corrupted));
    let codes = corrupted().codes;
    let mut group = criterion.benchmark_group("emulate");
    for kernel in vmin_kernels::available() {
        let emulator = Emulator::new(&graph, images, kernel).expect("they fit");
        group.throughput(Throughput::Elements(IMAGES as u64));
        group.bench_function(format!("classify images ({})", kernel.name()), |bencher| {
            bencher.iter(|| emulator.predict(&codes, &stop).expect("nobody stops it"));
        });
    }
    group.finish();
}

criterion_group!(benches, sweep_point);
criterion_main!(benches);
