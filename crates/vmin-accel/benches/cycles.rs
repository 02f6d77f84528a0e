//! Cycles and energy of ResNet-50: one design point of a sweep, on one thread.

mod resnet50;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use vmin_accel::cycles::{self, CycleModel, Overlap, Schedule};
use vmin_accel::energy::{self, OperatingPoint};
use vmin_accel::{Accelerator, Dataflow, VoltageProfile};

fn benches(criterion: &mut Criterion) {
    let profile = VoltageProfile::load("sram14").expect("shipped");
    let point = OperatingPoint::weight_memory(&profile, 833.0);
    let layers = resnet50::layers();
    // 3.86 * 10^9 in the paper, which has its strides in the 1 x 1 convolutions.
    let macs: u64 = layers.iter().map(vmin_accel::Layer::macs).sum();
    assert!((4_000_000_000..4_200_000_000).contains(&macs), "{macs}");

    let mut design_point = |name: &str, accelerator: &Accelerator, schedule: Schedule| {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let reports = cycles::run(accelerator, schedule, black_box(&layers)).expect("fits");
                energy::per_inference(accelerator, &profile, &reports, &point)
            });
        });
    };
    for name in Accelerator::names() {
        let accelerator = Accelerator::load(name).expect("shipped");
        if accelerator.dram.is_none() {
            // ResNet-50 does not fit.
            continue;
        }
        let schedule = Schedule::of(&accelerator);
        design_point(&format!("resnet50, {name}"), &accelerator, schedule);
        let folds = Schedule { overlap: Overlap::Folds, ..schedule };
        design_point(&format!("resnet50, {name}, fold by fold"), &accelerator, folds);
    }
    let accelerator = Accelerator::load("gemmini-16").expect("shipped");
    for &(name, dataflow) in Dataflow::ALL {
        let cycle_model = CycleModel::ScalesimV3;
        let schedule = Schedule { dataflow, cycle_model, ..Schedule::of(&accelerator) };
        design_point(&format!("resnet50, gemmini-16, scalesim-v3, {name}"), &accelerator, schedule);
    }
}

criterion_group! {
    name = group;
    config = Criterion::default().sample_size(10);
    targets = benches
}
criterion_main!(group);
