//! Int8 matrix products of a small residual network's layers, per kernel.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn products(criterion: &mut Criterion) {
    for (m, k, n) in [(1024, 144, 16), (256, 288, 32), (64, 576, 64)] {
        let a = vec![3i8; m * k];
        let w: Vec<i8> = (0..n * k).map(|i| (i % 251) as u8 as i8).collect();
        let mut group = criterion.benchmark_group(format!("gemm {m}x{k}x{n}"));
        group.throughput(Throughput::Elements((2 * m * n * k) as u64));
        for kernel in vmin_kernels::available() {
            let packed = kernel.pack(&w, n, k);
            let mut out = vec![0; m * n];
            group.bench_function(BenchmarkId::from_parameter(kernel.name()), |bencher| {
                bencher.iter(|| kernel.gemm(&a, k, m, &packed, &mut out));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
