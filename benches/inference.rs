//! One image through a whole network, for each kernel of this processor.
//!
//! MLPerf Tiny ResNet-8 where its file is there (`VMIN_DATA`), and the built-in network.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vmin_nn::{
    Executor, Graph, Limits, builtin,
    import::{native, tflite},
};

fn resnet8() -> Option<Graph> {
    let path = vmin_testkit::data("models/mlperf-tiny/pretrainedResnet_quant.tflite")?;
    tflite::load(&std::fs::read(path).ok()?, &Limits::default()).ok()
}

/// The built-in networks.
fn builtins() -> impl Iterator<Item = (&'static str, Graph)> {
    builtin::BUILTIN_MODELS.iter().map(|(name, bytes)| {
        (*name, native::load(bytes, &Limits::default()).expect("built-in models load"))
    })
}

/// A cheap sequence that visits all bytes.
fn image(count: usize) -> Vec<i8> {
    (0..count).map(|i| i8::from_le_bytes([(i * 167 % 256).to_le_bytes()[0]])).collect()
}

fn inference(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inference");
    for (name, graph) in resnet8().map(|graph| ("resnet8", graph)).into_iter().chain(builtins()) {
        let input = image(graph.tensors[graph.input.0].elements());
        group.throughput(Throughput::Elements(graph.macs()));
        for kernel in vmin_kernels::available() {
            let executor = Executor::new(&graph, kernel);
            let weights = executor.load_clean_weights();
            let mut scratch = executor.scratch();
            group.bench_function(BenchmarkId::new(kernel.name(), name), |bencher| {
                bencher.iter(|| {
                    black_box(executor.run(&weights, black_box(&input), &mut scratch));
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, inference);
criterion_main!(benches);
