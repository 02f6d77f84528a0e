//! One network on one chip, without a test image: the map, the decisions of the mechanisms, the codes as read, the fitted
//! biases. On one thread.
//!
//! MLPerf Tiny ResNet-8 (77 k weights) where its file is there (`VMIN_DATA`), and a built-in network.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use vmin_accel::{Accelerator, Memory, MemoryAt, PerMemory, ResidentPlacement, VoltageProfile};
use vmin_emulator::source::SampledChips;
use vmin_emulator::{ChipSpec, Deployment, LOAD, Placement, Reads, Supplies};
use vmin_nn::import::tflite;
use vmin_nn::{Graph, Limits};
use vmin_protection::mechanisms::{
    ClosestCode, Compensate, InvertRows, PermuteChannels, Recalibrate, StrongestRows,
};
use vmin_protection::{Mechanism, Protection};
use vmin_sram::FaultKind;
use vmin_testkit::Lcg;

/// Calibration images.
const IMAGES: u32 = 128;

fn networks() -> Vec<(&'static str, Graph)> {
    let path = vmin_testkit::data("models/mlperf-tiny/pretrainedResnet_quant.tflite");
    let resnet8 = path
        .and_then(|path| tflite::load(&std::fs::read(path).ok()?, &Limits::default()).ok())
        .map(|graph| ("resnet8", graph));
    let shapes = vmin_nn::model::load("builtin:shapes-cnn").expect("built in");
    resnet8.into_iter().chain([("shapes-cnn", shapes)]).collect()
}

type Mechanisms = Vec<Arc<dyn Mechanism>>;

fn remedies() -> [(&'static str, Mechanisms); 5] {
    let in_place = || -> Mechanisms { vec![Arc::new(InvertRows {}), Arc::new(ClosestCode {})] };
    let before = |first: Arc<dyn Mechanism>| [vec![first], in_place()].concat();
    let after = |last: Arc<dyn Mechanism>| [in_place(), vec![last]].concat();
    [
        ("invert, closest", in_place()),
        ("and strongest rows", before(Arc::new(StrongestRows { share: None, ways: Some(16) }))),
        ("and permute", before(Arc::new(PermuteChannels {}))),
        ("and compensate", after(Arc::new(Compensate { images: IMAGES }))),
        ("and recalibrate", after(Arc::new(Recalibrate { images: IMAGES, multipliers: false }))),
    ]
}

fn deployment(criterion: &mut Criterion) {
    let profile = VoltageProfile::load("sram14").expect("shipped");
    let accelerator = Accelerator::load("edge-14nm").expect("shipped");
    let vdd_mv = 836.0; // 1 % of faulty cells
    let source = SampledChips {
        population: profile.population().clone(),
        seed: 1,
        kind: FaultKind::StuckAt,
    };
    let stop = AtomicBool::new(false);
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    for (name, graph) in networks() {
        let mut group = criterion.benchmark_group(format!("deploy {name}"));
        let sizes = graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
        let resident = ResidentPlacement::new(&accelerator, sizes).expect("it fits");
        let placement = Placement::of_weights(resident);
        let mut bytes = Lcg(1);
        let size = graph.tensors[graph.input.0].elements() * IMAGES as usize;
        let pixels: Vec<u8> = (0..size).map(|_| bytes.byte()).collect();
        for (remedy, mechanisms) in remedies() {
            let protection = Protection::of_weights(mechanisms).expect("they go together");
            let deployment = Deployment::new(&graph, &placement, &protection)
                .expect("it fits")
                .calibrated(&pixels, vmin_kernels::best(), &stop)
                .expect("images of this network");
            let at = |mv: f64, _| {
                Ok::<_, std::convert::Infallible>(MemoryAt::new(mv, profile.cell_fault_rate(mv)))
            };
            let Ok(weight) = protection.at(Memory::Weight, vdd_mv, at);
            let supplies = Supplies { weight: Some(weight), ..PerMemory::default() };
            let mut chip = 0;
            let mut next = || {
                chip += 1;
                ChipSpec { chip, offset_bits: 0, layout: 0, map_offset: 0 }
            };
            let deploy = |spec: ChipSpec| {
                one_thread.install(|| {
                    let open = deployment.open(&source, spec, &[&supplies], None).expect("small");
                    black_box(open.weights(&supplies, LOAD));
                    open.fitted(&supplies, Reads::Once, &stop).expect("nobody stops it")
                })
            };
            group.sample_size(10);
            group.bench_function(BenchmarkId::from_parameter(remedy), |bencher| {
                bencher.iter_batched(&mut next, deploy, BatchSize::PerIteration);
            });
        }
        group.finish();
    }
}

criterion_group!(benches, deployment);
criterion_main!(benches);
