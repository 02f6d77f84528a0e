//! The kernels of this processor on convolutions of a small network: integer ones of inference, float ones
//! of training.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vmin_kernels::float::{self, Gather, Write, panels_len};
use vmin_kernels::{Addition, Factor, Requantization, Rounds};

/// `m` output places, `n` channels, `k` values each.
const SHAPES: [(usize, usize, usize); 3] = [(1024, 16, 144), (256, 32, 288), (64, 64, 576)];

/// Output places and channels.
const SUMS: [(usize, usize); 3] = [(1024, 8), (1024, 16), (256, 40)];

/// Width of an image, channels in, channels out, of a convolution of 3 x 3.
const LAYERS: [(usize, usize, usize); 3] = [(32, 3, 16), (32, 16, 16), (8, 64, 64)];

const FACTOR: Factor = Factor { multiplier: 1_500_000_000, shift: -7 };

/// A cheap sequence that visits all bytes.
fn bytes(count: usize) -> Vec<i8> {
    (0..count).map(|i| i8::from_le_bytes([(i * 167 % 256).to_le_bytes()[0]])).collect()
}

fn floats(count: usize) -> Vec<f32> {
    bytes(count).into_iter().map(|byte| f32::from(byte) / 64.0).collect()
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

fn requantize(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("requantize");
    for (m, n) in SUMS {
        let sums: Vec<i32> = bytes(m * n).into_iter().map(|byte| i32::from(byte) * 577).collect();
        let rule = Requantization::new(Rounds::Twice, &vec![FACTOR; n], 3, -128, 127);
        let (offsets, mut out) = (vec![17; n], vec![0; m * n]);
        group.throughput(Throughput::Elements((m * n) as u64));
        for kernel in vmin_kernels::available() {
            let id = BenchmarkId::new(kernel.name(), format!("{m}x{n}"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| kernel.requantize(black_box(&sums), &offsets, &rule, &mut out));
            });
        }
    }
    group.finish();
}

fn add(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("add");
    let (a, b) = (bytes(16_384), bytes(16_384));
    let rule = Addition::new([(5, FACTOR), (-7, FACTOR)], FACTOR, 3, -128, 127);
    let mut out = vec![0; a.len()];
    group.throughput(Throughput::Elements(a.len() as u64));
    for kernel in vmin_kernels::available() {
        group.bench_function(kernel.name(), |bencher| {
            bencher.iter(|| kernel.add(black_box(&a), &b, &rule, &mut out));
        });
    }
    group.finish();
}

fn train(criterion: &mut Criterion) {
    for (width, inputs, n) in LAYERS {
        let (padded, m) = ((width + 2) * inputs, width * width);
        let values = floats((width + 2) * padded);
        let at: Vec<usize> =
            (0..m).map(|place| place / width * padded + place % width * inputs).collect();
        let a = Gather { values: &values, at: &at, runs: 3, stride: padded, run: 3 * inputs };
        let (panels, right) = (floats(panels_len(a.depth(), n)), floats(panels_len(m, n)));
        let (mut c, mut dw) = (vec![0.0; m * n], panels.clone());
        let c_at: Vec<usize> = (0..m).map(|place| place * n).collect();
        let shape = format!("{m}x{n}x{}", a.depth());
        let work = Throughput::Elements((m * n * a.depth()) as u64);
        let mut group = criterion.benchmark_group("float_rows");
        group.throughput(work.clone());
        for kernel in float::available() {
            group.bench_function(BenchmarkId::new(kernel.name(), &shape), |bencher| {
                bencher.iter(|| kernel.rows(black_box(a), &panels, n, Write::Set, &mut c, &c_at));
            });
        }
        group.finish();
        let mut group = criterion.benchmark_group("float_outer");
        group.throughput(work);
        for kernel in float::available() {
            group.bench_function(BenchmarkId::new(kernel.name(), &shape), |bencher| {
                dw.fill(0.0);
                bencher.iter(|| kernel.outer(black_box(a), &right, n, &mut dw));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, multiply, pack, requantize, add, train);
criterion_main!(benches);
