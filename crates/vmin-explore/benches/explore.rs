//! A design space of more than 10,000 points, designs per second.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vmin_diagnostic::Source;
use vmin_explore::{Plan, explore};

const SPACE: &str = r#"
name = "ten thousand points"
[network]
model = "builtin:shapes-cnn"
[accelerator]
base = "gemmini-16"
[memory]
profile = "sram14"
vdd_mv = { from = 1000, to = 800, step = 20 }
[vary]
array_rows = [4, 8, 12, 16, 24, 32]
array_columns = [4, 8, 12, 16, 24, 32]
dataflow = ["ws", "os", "is"]
weight_kib = [32, 64, 128]
activation_kib = [32, 64, 128]
"#;

fn bench(criterion: &mut Criterion) {
    let plan = Plan::read(&Source::new("bench", SPACE), Path::new(".")).expect("a sound space");
    let mut group = criterion.benchmark_group("explore");
    group.sample_size(10);
    group.throughput(Throughput::Elements(plan.points() as u64));
    group.bench_function("10692 points of shapes-cnn", |bencher| {
        bencher.iter(|| explore(&plan, &AtomicBool::new(false)));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
