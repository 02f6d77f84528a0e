//! What a chip costs: drawing it and applying its faults.
//!
//! A network of 5.48 million 8-bit weights (43.9 Mbit) at rates up to 5 % is the size at which other
//! tools were measured.

use core::hint::black_box;
use criterion::{Criterion, criterion_group, criterion_main};
use vmin_sram::{
    Chip, ChipKey, CodeTensor, FaultKind, Geometry, Population, Threshold, VarianceShares, apply,
    apply_all, file,
};

const CODES: usize = 5_484_736;

fn threshold(rate: f64) -> Threshold {
    Threshold::from_rate(rate).expect("a rate")
}

/// 84 banks of 1024 x 512 cells, 44 Mbit.
fn weight_memory() -> Geometry {
    Geometry::new(84, 1024, 512).expect("a geometry")
}

fn sample(c: &mut Criterion) {
    let independent = Population::new("independent", VarianceShares::INDEPENDENT, 0.5).expect("ok");
    let shares = VarianceShares::with_cell_as_rest(0.0, 0.046, 0.368, 0.156).expect("ok");
    let columns = Population::new("columns", shares, 0.5).expect("ok");
    let board = Geometry::new(890, 512, 16).expect("ok");
    // One thread: figures to compare with other tools; the chip is the same with any number.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let mut chip = 0;
    let mut draw = |population: &Population, geometry, rate| {
        chip += 1;
        let key = ChipKey { seed: 1, chip, memory: 0 };
        pool.install(|| black_box(Chip::sample(population, key, geometry, threshold(rate))))
    };
    let mut group = c.benchmark_group("sample");
    group.sample_size(10);
    group.bench_function("44 Mbit independent, floor 5 %", |b| {
        b.iter(|| draw(&independent, weight_memory(), 0.05));
    });
    group.bench_function("44 Mbit independent, floor 1 %", |b| {
        b.iter(|| draw(&independent, weight_memory(), 0.01));
    });
    group.bench_function("44 Mbit columns, floor 5 %", |b| {
        b.iter(|| draw(&columns, weight_memory(), 0.05));
    });
    group.bench_function("kc705b 7.3 Mbit, floor 1.6e-4", |b| {
        b.iter(|| draw(&columns, board, 1.6e-4));
    });
    group.finish();
}

fn apply_faults(c: &mut Criterion) {
    let population = Population::new("independent", VarianceShares::INDEPENDENT, 0.5).expect("ok");
    let key = ChipKey { seed: 1, chip: 0, memory: 0 };
    let chip = Chip::sample(&population, key, weight_memory(), threshold(0.05)).expect("a chip");
    let faults = chip.faults(threshold(0.01)).expect("above the floor");
    let mut codes = vec![0x55_u8; CODES];
    let mut group = c.benchmark_group("apply 1 % to 5.48 M codes");
    for kind in [FaultKind::Flip, FaultKind::StuckAt] {
        group.bench_function(format!("{kind:?}"), |b| {
            b.iter(|| apply(faults, kind, black_box(&mut codes), 8, 0));
        });
    }
    group.bench_function("Flip, 64 tensors", |b| {
        let length = CODES / 64;
        b.iter(|| {
            let mut tensors: Vec<CodeTensor<'_>> = codes
                .chunks_exact_mut(length)
                .enumerate()
                .map(|(i, codes)| CodeTensor { codes, bits: 8, first_bit: (i * length * 8) as u64 })
                .collect();
            apply_all(faults, FaultKind::Flip, black_box(&mut tensors))
        });
    });
    group.finish();

    let bytes = file::write(&chip);
    let mut group = c.benchmark_group(format!("file of {} cells", chip.cells().len()));
    group.sample_size(10);
    group.bench_function(format!("write {} bytes", bytes.len()), |b| {
        b.iter(|| black_box(file::write(&chip)));
    });
    group.bench_function("read", |b| {
        b.iter(|| file::read(black_box(&bytes), &file::ChipFileLimits::default()));
    });
    group.finish();
}

criterion_group!(benches, sample, apply_faults);
criterion_main!(benches);
