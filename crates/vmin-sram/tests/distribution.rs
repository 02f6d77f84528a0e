//! Chips against the distributions they are drawn from. Bounds are 5 standard deviations of the exact
//! law, so that a right sampler fails about once in a million.

use vmin_sram::{
    Chip, ChipKey, FaultStatistics, FaultyCell, Geometry, Population, Threshold, VarianceShares,
    normal,
};

fn population(shares: VarianceShares, share_stuck_at_0: f64) -> Population {
    Population::new("test", shares, share_stuck_at_0).unwrap()
}

fn shares(die: f64, bank: f64, column: f64, half_column: f64) -> VarianceShares {
    VarianceShares::with_cell_as_rest(die, bank, column, half_column).unwrap()
}

fn threshold(rate: f64) -> Threshold {
    Threshold::from_rate(rate).unwrap()
}

fn chip(population: &Population, chip: u64, geometry: Geometry, rate: f64) -> Chip {
    let key = ChipKey { seed: 20_261_123, chip, memory: 0 };
    Chip::sample(population, key, geometry, threshold(rate)).unwrap()
}

#[test]
fn independent_cells_fail_at_the_rate_asked_for() {
    let population = population(VarianceShares::INDEPENDENT, 0.5);
    let geometry = Geometry::new(4, 256, 256).unwrap();
    let chips: Vec<Chip> = (0..64).map(|k| chip(&population, k, geometry, 0.3)).collect();
    let cells = 64.0 * geometry.cells() as f64;
    for rate in [1e-5, 1e-4, 1e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3] {
        let t = threshold(rate);
        let counts = chips.iter().map(|chip| chip.faults(t).unwrap().len() as f64);
        let total: f64 = counts.clone().sum();
        let expected = cells * rate;
        let sigma = (expected * (1.0 - rate)).sqrt();
        assert!((total - expected).abs() < 5.0 * sigma, "{rate}: {total} of {expected}");
        // The spread between chips is binomial too: chi-square with 64 degrees of freedom.
        let chi2: f64 =
            counts.map(|count| (count - expected / 64.0).powi(2) / (sigma * sigma / 64.0)).sum();
        assert!((chi2 - 64.0).abs() < 5.0 * 128_f64.sqrt(), "{rate}: chi-square {chi2}");
    }
}

/// Kolmogorov and Smirnov: scores follow the normal's tail, seams of bands and all. Where every cell has a
/// column, a half-column or a bank to itself, they are independent whatever the shares.
#[test]
fn scores_follow_the_normal_distribution() {
    let cases = [
        (shares(0.0, 0.0, 0.0, 0.0), (1, 512, 512)),
        (shares(0.0, 0.0, 0.5, 0.2), (1, 1, 262_144)),
        (shares(0.0, 0.0, 0.98, 0.0), (1, 1, 262_144)),
        (shares(0.0, 0.0, 0.0, 0.3), (1, 2, 131_072)),
        (shares(0.0, 0.0, 0.0, 0.98), (1, 2, 131_072)),
        (shares(0.0, 0.6, 0.0, 0.0), (131_072, 1, 1)),
        (shares(0.0, 0.3, 0.3, 0.38), (131_072, 1, 1)),
    ];
    for (shares, (banks, rows, columns)) in cases {
        let population = population(shares, 0.5);
        let geometry = Geometry::new(banks, rows, columns).unwrap();
        let chip = chip(&population, 0, geometry, 0.5);
        let total = geometry.cells() as f64;
        let mut worst = 0.0_f64;
        for (rank, cell) in chip.cells().iter().enumerate() {
            let expected = normal::cdf(-cell.score.sigmas());
            worst = worst.max((expected - rank as f64 / total).abs());
        }
        // P(sqrt n D > 2.4) = 2e-5.
        assert!(worst * total.sqrt() < 2.4, "distance {worst} for {shares:?}");
        // The same for the far tail alone, where a distance of the whole would not show it.
        let tail = chip.faults(threshold(0.002)).unwrap();
        let count = tail.len() as f64;
        let worst = tail.iter().enumerate().fold(0.0_f64, |worst, (rank, cell)| {
            worst.max((normal::cdf(-cell.score.sigmas()) / 0.002 - rank as f64 / count).abs())
        });
        assert!(worst * count.sqrt() < 2.4, "distance {worst} of the tail for {shares:?}");
    }
}

#[test]
fn maps_nest_on_a_hundred_chips() {
    let populations =
        [population(VarianceShares::INDEPENDENT, 0.5), population(shares(0.1, 0.1, 0.3, 0.1), 0.2)];
    let geometry = Geometry::new(3, 64, 32).unwrap();
    for k in 0..100 {
        let chip = chip(&populations[k % 2], k as u64, geometry, 0.5);
        let mut last: Vec<u64> = Vec::new();
        for rate in [0.0, 1e-4, 0.001, 0.01, 0.05, 0.2, 0.5] {
            let faults = chip.faults(threshold(rate)).unwrap();
            let mut map: Vec<u64> = faults.iter().map(|cell| cell.address).collect();
            map.sort_unstable();
            map.dedup();
            assert_eq!(map.len(), faults.len(), "an address occurs once");
            assert!(last.iter().all(|cell| map.binary_search(cell).is_ok()), "nested at {rate}");
            assert_eq!(faults, &chip.cells()[..faults.len()], "a prefix");
            last = map;
        }
        assert!(chip.cells().is_sorted_by_key(FaultyCell::order));
        assert!(chip.faults(threshold(0.500_001)).is_err(), "below the floor");
    }
}

#[test]
fn a_deeper_floor_only_adds_cells() {
    for shares in
        [VarianceShares::INDEPENDENT, shares(0.05, 0.05, 0.3, 0.2), shares(0.9, 0.0, 0.08, 0.0)]
    {
        let population = population(shares, 0.7);
        let geometry = Geometry::new(5, 100, 40).unwrap();
        for k in 0..8 {
            let deepest = chip(&population, k, geometry, 0.5);
            for rate in [0.0, 1e-12, 1e-9, 1e-5, 0.003, 0.01, 0.05, 0.11, 0.4] {
                let shallow = chip(&population, k, geometry, rate);
                assert_eq!(shallow.cells(), deepest.faults(threshold(rate)).unwrap(), "{rate}");
            }
        }
    }
}

#[test]
fn banks_do_not_depend_on_their_number() {
    let population = population(shares(0.1, 0.1, 0.2, 0.1), 0.5);
    let small = chip(&population, 3, Geometry::new(2, 64, 32).unwrap(), 0.2);
    let large = chip(&population, 3, Geometry::new(9, 64, 32).unwrap(), 0.2);
    let common: Vec<FaultyCell> =
        large.cells().iter().filter(|cell| cell.address < 2 * 64 * 32).copied().collect();
    assert_eq!(small.cells(), common);
}

#[test]
fn threads_do_not_matter() {
    let population = population(shares(0.1, 0.1, 0.2, 0.1), 0.5);
    let geometry = Geometry::new(33, 64, 64).unwrap();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| chip(&population, 0, geometry, 0.1))
    };
    let one = with(1);
    for threads in [2, 3, 8] {
        assert_eq!(with(threads), one);
    }
}

/// Two maps of independent chips share as many cells as chance gives them, whatever differs in the key,
/// and so do two banks of one chip.
#[test]
fn different_keys_give_unrelated_maps() {
    let population = population(VarianceShares::INDEPENDENT, 0.5);
    let geometry = Geometry::new(2, 512, 512).unwrap();
    let map = |key: ChipKey| -> Vec<u64> {
        let chip = Chip::sample(&population, key, geometry, threshold(0.1)).unwrap();
        let mut map: Vec<u64> = chip.cells().iter().map(|cell| cell.address).collect();
        map.sort_unstable();
        map
    };
    let base = ChipKey { seed: 0, chip: 0, memory: 0 };
    let mut keys = vec![base];
    for bit in [0, 1, 2, 7, 31, 32, 63] {
        keys.push(ChipKey { seed: 1 << bit, ..base });
        keys.push(ChipKey { chip: 1 << bit, ..base });
    }
    for bit in [0, 1, 31] {
        keys.push(ChipKey { memory: 1 << bit, ..base });
    }
    // The same words in other places, and sums that agree.
    keys.push(ChipKey { seed: 1, chip: 1, memory: 0 });
    keys.push(ChipKey { seed: 1, chip: 0, memory: 1 });
    keys.push(ChipKey { seed: 2, chip: u64::MAX, memory: 0 });
    let half = geometry.cells_per_bank();
    let mut maps = Vec::new();
    for map in keys.into_iter().map(map) {
        let split = map.partition_point(|&address| address < half);
        maps.push(map[..split].to_vec());
        maps.push(map[split..].iter().map(|address| address - half).collect());
    }
    let expected = half as f64 * 0.01;
    let sigma = (expected * 0.99).sqrt();
    for (i, a) in maps.iter().enumerate() {
        for b in &maps[..i] {
            let common = a.iter().filter(|cell| b.binary_search(cell).is_ok()).count() as f64;
            assert!(
                (common - expected).abs() < 5.5 * sigma,
                "{common} common, {expected} expected"
            );
        }
    }
}

/// The number of faults per column of a chip with column effects: its variance follows from the
/// correlation of two cells of a column, here by integrating over the common part.
#[test]
fn column_counts_vary_as_the_shares_say() {
    for (column, half_column) in [(0.0, 0.0), (0.4, 0.0), (0.3, 0.3), (0.0, 0.4)] {
        let population = population(shares(0.0, 0.0, column, half_column), 0.5);
        let (rows, columns, rate) = (64, 16_384, 0.05);
        let geometry = Geometry::new(1, rows, columns).unwrap();
        let chip = chip(&population, 11, geometry, rate);
        let mut counts = vec![[0_f64; 2]; columns as usize];
        for cell in chip.cells() {
            let position = geometry.position(cell.address).unwrap();
            counts[position.column as usize][(position.row >= 32) as usize] += 1.0;
        }
        // Pairs of faults within a half and across the halves, against P(both faulty).
        let pairs = |count: f64| count * (count - 1.0) / 2.0;
        let within: f64 = counts.iter().map(|[a, b]| pairs(*a) + pairs(*b)).sum();
        let across: f64 = counts.iter().map(|[a, b]| a * b).sum();
        let spread = |values: Vec<f64>| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|v| (v - mean).powi(2)).sum::<f64>().sqrt()
        };
        let sigma_within = spread(counts.iter().map(|[a, b]| pairs(*a) + pairs(*b)).collect());
        let sigma_across = spread(counts.iter().map(|[a, b]| a * b).collect());
        let expected_within =
            f64::from(columns) * 2.0 * pairs(32.0) * both(rate, column + half_column);
        let expected_across = f64::from(columns) * 1024.0 * both(rate, column);
        assert!(
            (within - expected_within).abs() < 5.0 * sigma_within,
            "{within} {expected_within}"
        );
        assert!(
            (across - expected_across).abs() < 5.0 * sigma_across,
            "{across} {expected_across}"
        );
    }
}

/// P(two standard normals of that correlation both exceed the threshold of `rate`).
fn both(rate: f64, correlation: f64) -> f64 {
    let t = -normal::quantile(rate);
    let steps = 20_000;
    let sum: f64 = (0..steps)
        .map(|k| {
            let common = normal::quantile((f64::from(k) + 0.5) / f64::from(steps));
            let z = (correlation.sqrt() * common - t) / (1.0 - correlation).sqrt();
            normal::cdf(z).powi(2)
        })
        .sum();
    sum / f64::from(steps)
}

/// Chips differ by their dies, banks by the banks' part; the memories of a chip share its die.
#[test]
fn dies_and_banks_vary_as_the_shares_say() {
    let geometry = Geometry::new(2, 64, 64).unwrap();
    let rate = 0.1;
    let population = population(shares(0.2, 0.1, 0.0, 0.0), 0.5);
    let chips = 3000;
    // Faults of bank 0 and bank 1 of memory 0, and of bank 0 of memory 1.
    let counts: Vec<[f64; 3]> = (0..chips)
        .map(|chip| {
            let sample = |memory| {
                let key = ChipKey { seed: 5, chip, memory };
                let chip = Chip::sample(&population, key, geometry, threshold(rate)).unwrap();
                let total = chip.cells().len() as f64;
                let first = chip.cells().iter().filter(|cell| cell.address < 4096).count() as f64;
                (first, total - first)
            };
            let ((a, b), (c, _)) = (sample(0), sample(1));
            [a, b, c]
        })
        .collect();
    let check = |values: Vec<f64>, expected: f64, what: &str| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let sigma = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n / n).sqrt();
        assert!((mean - expected).abs() < 5.0 * sigma, "{what}: {mean}, not {expected} +- {sigma}");
    };
    let cells = 4096.0;
    check(counts.iter().map(|c| c[0] / cells).collect(), rate, "rate");
    let within = cells * (cells - 1.0);
    check(counts.iter().map(|c| c[0] * (c[0] - 1.0) / within).collect(), both(rate, 0.3), "bank");
    check(counts.iter().map(|c| c[0] * c[1] / cells / cells).collect(), both(rate, 0.2), "die");
    check(
        counts.iter().map(|c| c[0] * c[2] / cells / cells).collect(),
        both(rate, 0.2),
        "memories",
    );
}

#[test]
fn preferred_values_follow_their_share() {
    let geometry = Geometry::new(1, 1024, 1024).unwrap();
    for share in [0.0, 0.15, 0.5, 0.85, 1.0] {
        let population = population(VarianceShares::INDEPENDENT, share);
        let chip = chip(&population, 0, geometry, 0.1);
        // Weak and weaker cells alike.
        for rate in [0.01, 0.1] {
            let faults = chip.faults(threshold(rate)).unwrap();
            let figures = FaultStatistics::new(faults, geometry).unwrap();
            let sigma = (share * (1.0 - share) / faults.len() as f64).sqrt();
            let measured = figures.share_stuck_at_0().unwrap();
            assert!((measured - share).abs() <= 5.0 * sigma, "{measured}, not {share}");
        }
    }
}

/// PAPERS: two or more errors in a 64-bit word at p = 1 %, why SECDED does not suffice.
#[test]
fn words_with_two_faults_at_one_percent() {
    let population = population(VarianceShares::INDEPENDENT, 0.5);
    let geometry = Geometry::new(64, 1024, 128).unwrap();
    let chip = chip(&population, 0, geometry, 0.01);
    let mut words = vec![0_u8; (geometry.cells() / 64) as usize];
    for cell in chip.cells() {
        words[(cell.address / 64) as usize] += 1;
    }
    let share = words.iter().filter(|&&faults| faults >= 2).count() as f64 / words.len() as f64;
    let exact = 1.0 - 0.99_f64.powi(64) - 64.0 * 0.01 * 0.99_f64.powi(63);
    assert!((exact - 0.1346).abs() < 5e-5);
    let sigma = (exact * (1.0 - exact) / words.len() as f64).sqrt();
    assert!((share - exact).abs() < 5.0 * sigma, "{share}, not {exact}");
}

#[test]
fn degenerate_memories_and_populations_are_sampled() {
    let all = [
        shares(0.0, 0.0, 0.0, 0.0),
        shares(0.98, 0.0, 0.0, 0.0),
        shares(0.0, 0.98, 0.0, 0.0),
        shares(0.0, 0.0, 0.98, 0.0),
        shares(0.0, 0.0, 0.0, 0.98),
        shares(0.25, 0.25, 0.25, 0.24),
    ];
    for shares in all {
        let population = population(shares, 0.5);
        for (banks, rows, columns) in [(1, 1, 1), (1, 1, 50), (1, 50, 1), (50, 1, 1), (3, 5, 7)] {
            let geometry = Geometry::new(banks, rows, columns).unwrap();
            let mut total = 0;
            for k in 0..300 {
                let chip = chip(&population, k, geometry, 0.5);
                assert!(chip.cells().iter().all(|cell| cell.address < geometry.cells()));
                total += chip.cells().len();
            }
            let share = total as f64 / 300.0 / geometry.cells() as f64;
            // At worst all cells of a chip go together: 300 fair coins.
            assert!((share - 0.5).abs() < 5.0 * 0.5 / 300_f64.sqrt(), "{shares:?}: {share}");
        }
    }
}
