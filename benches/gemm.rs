//! Three convolutions of a small network, for each kernel of this processor.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// `m` output places, `n` channels, `k` values each.
const SHAPES: [(usize, usize, usize); 3] = [(1024, 16, 144), (256, 32, 288), (64, 64, 576)];

/// A cheap sequence that visits all bytes.
fn bytes(count: usize) -> Vec<i8> {
    (0..count).map(|i| i8::from_le_bytes([(i * 167 % 256).to_le_bytes()[0]])).collect()
}

fn multiply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gemm");
    for (m, n, k) in SHAPES {
        let (a, w) = (bytes(m * k), bytes(n * k));
        let mut out = vec![0; m * n];
        group.throughput(Throughput::Elements((m * n * k) as u64));
        for kernel in vmin_kernels::available() {
            let packed = kernel.pack(&w, n, k);
            let id = BenchmarkId::new(kernel.name(), format!("{m}x{n}x{k}"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| kernel.gemm(black_box(&a), k, m, &packed, &mut out));
            });
        }
    }
    group.finish();
}

fn pack(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pack");
    for (_, n, k) in SHAPES {
        let w = bytes(n * k);
        group.throughput(Throughput::Bytes((n * k) as u64));
        for kernel in vmin_kernels::available() {
            let id = BenchmarkId::new(kernel.name(), format!("{n}x{k}"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| kernel.pack(black_box(&w), n, k));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, multiply, pack);
criterion_main!(benches);
