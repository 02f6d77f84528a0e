//! Values that must never change: a chip of a published result is drawn again from its key by every later
//! version, on every machine. Changing one of these is a results-breaking change.

use vmin_sram::{
    CellErrors, Chip, ChipKey, ErrorRates, FaultyCell, Geometry, Origin, Population, Score,
    Threshold, VarianceShares, draw_faults, file, flip_at_random,
};

fn chip(shares: [f64; 4], key: (u64, u64, u32), size: (u32, u32, u32), rate: f64) -> Chip {
    let [die, bank, column, half_column] = shares;
    let shares = VarianceShares::with_cell_as_rest(die, bank, column, half_column).unwrap();
    let population = Population::new("golden", shares, 0.25).unwrap();
    let (seed, chip, memory) = key;
    let (banks, rows, columns) = size;
    let geometry = Geometry::new(banks, rows, columns).unwrap();
    let floor = Threshold::from_rate(rate).unwrap();
    Chip::sample(&population, ChipKey { seed, chip, memory }, geometry, floor).unwrap()
}

/// CRC-32 of the cells alone, whatever the file format.
fn checksum(cells: &[FaultyCell]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for cell in cells {
        hasher.update(&cell.address.to_le_bytes());
        hasher.update(&cell.score.0.to_le_bytes());
        hasher.update(&[u8::from(cell.preferred)]);
    }
    hasher.finalize()
}

#[test]
fn chips_keep_their_cells() {
    let independent = [0.0; 4];
    let columns = [0.0, 0.046, 0.368, 0.156];
    let everything = [0.1, 0.1, 0.2, 0.1];
    // Almost nothing of a cell's own: bands are wide, scores are drawn by inversion.
    let rigid = [0.1, 0.2, 0.3, 0.38];
    let chips = [
        chip(independent, (0, 0, 0), (4, 256, 128), 0.05),
        chip(independent, (1, 0, 0), (4, 256, 128), 0.5),
        chip(independent, (u64::MAX, u64::MAX, u32::MAX), (1, 1024, 1024), 0.01),
        chip(columns, (7, 3, 1), (20, 512, 16), 0.02),
        chip(everything, (7, 3, 2), (6, 100, 33), 0.3),
        chip([0.0, 0.0, 0.4, 0.0], (7, 3, 3), (2, 200, 200), 0.1),
        chip(rigid, (7, 4, 4), (6, 101, 33), 0.4),
    ];
    let found = chips.map(|chip| (chip.cells().len(), checksum(chip.cells())));
    assert_eq!(found, CHIPS);
}
const CHIPS: [(usize, u32); 7] = [
    (6604, 2466407588),
    (65119, 2150855728),
    (10563, 2720370049),
    (3662, 3546447524),
    (4167, 3715439386),
    (8508, 893766077),
    (1431, 2280069593),
];

#[test]
fn the_weakest_cells_by_name() {
    let chip = chip([0.1, 0.1, 0.2, 0.1], (2026, 1, 0), (4, 64, 64), 0.001);
    let cells: Vec<(u64, i32, bool)> =
        chip.cells().iter().take(6).map(|c| (c.address, c.score.0, c.preferred)).collect();
    assert_eq!(cells, WEAKEST);
}
const WEAKEST: [(u64, i32, bool); 6] = [
    (13907, 63642509, true),
    (10788, 62705547, false),
    (3847, 56823759, true),
    (1760, 55441633, false),
    (13555, 55237407, true),
    (15217, 55159269, true),
];

#[test]
fn rates_keep_their_thresholds() {
    let found = [1e-12, 1e-9, 1e-6, 1e-4, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7]
        .map(|rate| Threshold::from_rate(rate).unwrap().0);
    assert_eq!(found, THRESHOLDS);
}
/// Equal to 50-digit arithmetic (mpmath), rounded up.
const THRESHOLDS: [i32; 13] = [
    118019055, 100626504, 79749227, 62394743, 51845495, 39029641, 34456190, 27596065, 21500868,
    14120062, 8797981, 0, -8797980,
];

/// The bytes of the chip file's version 1.
#[test]
fn a_measured_chip_keeps_its_bytes() {
    let origin = Origin::Measured { source: "a".to_owned(), nesting_violations: 2 };
    let cells = vec![
        FaultyCell { address: 70, score: Score(3), preferred: true },
        FaultyCell { address: 1, score: Score(2), preferred: false },
    ];
    let geometry = Geometry::new(2, 6, 7).unwrap();
    let chip = Chip::from_cells(geometry, origin, Threshold(2), Vec::new(), cells).unwrap();
    let mut expected = b"VMINCHIP\x01\0\x01\0".to_vec();
    expected.extend(b"\x02\0\0\0\x06\0\0\0\x07\0\0\0\x02\0\0\0");
    expected.extend(b"\x01a\x02\0\0\0\0\0\0\0\0");
    // Two cells: 2^31 - 1 - 3 below the start, address 70 to 1; one below, address 1 to 0.
    expected.extend(b"\x02\xfc\xff\xff\xff\x07\x8d\x01\x01\x02");
    let checksum = crc32fast::hash(&expected);
    expected.extend(checksum.to_le_bytes());
    assert_eq!(file::write(&chip), expected);
}

#[test]
fn draws_at_reads_keep_their_cells() {
    let key = ChipKey { seed: 7, chip: 3, memory: 1 };
    let errors: Vec<CellErrors> = (0..1000)
        .map(|address| CellErrors {
            cell: FaultyCell { address, score: Score(0), preferred: false },
            rates: ErrorRates { p01: 0.25, p10: 0.5 },
        })
        .collect();
    let found = [0, 1, u64::MAX].map(|read| {
        let drawn = draw_faults(&errors, key, read);
        let first = drawn.inverting.iter().take(3).map(|cell| cell.address).collect::<Vec<_>>();
        (drawn.inverting.len(), drawn.stuck.len(), first)
    });
    assert_eq!(found, DRAWS.map(|(inverting, stuck, first)| (inverting, stuck, first.to_vec())));
    let found = [(0, 0), (1, 0), (0, 1)].map(|(image, layer)| {
        let mut codes = vec![0; 4000];
        let applied = flip_at_random(&mut codes, 5, 0.01, key, image, layer);
        (applied.bits_flipped, crc32fast::hash(&codes))
    });
    assert_eq!(found, FLIPS);
}
const DRAWS: [(usize, usize, [u64; 3]); 3] =
    [(258, 239, [0, 2, 13]), (275, 243, [1, 3, 4]), (236, 244, [0, 13, 18])];
const FLIPS: [(u64, u32); 3] = [(197, 3886658005), (210, 3745076879), (194, 3531925222)];
