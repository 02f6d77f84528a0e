//! The chip file: lossless, and never believed.

use proptest::prelude::*;
use vmin_sram::file::{self, ChipFileError, ChipFileLimits};
use vmin_sram::{
    Chip, ChipError, ChipKey, ErrorRates, FaultKind, FaultyCell, Geometry, Origin, Population, Run,
    Score, Threshold, VarianceShares, VddLevel,
};

fn sampled() -> Chip {
    let shares = VarianceShares::with_cell_as_rest(0.1, 0.1, 0.2, 0.1).unwrap();
    let population = Population::new("Größe", shares, 0.85).unwrap();
    let key = ChipKey { seed: u64::MAX, chip: 3, memory: 7 };
    let floor = Threshold::from_rate(0.02).unwrap();
    let chip = Chip::sample(&population, key, Geometry::new(3, 32, 16).unwrap(), floor).unwrap();
    let level = |vdd_uv, rate| VddLevel { vdd_uv, threshold: Threshold::from_rate(rate).unwrap() };
    chip.with_levels(vec![level(600_000, 0.0), level(590_000, 1e-6), level(530_000, 0.02)]).unwrap()
}

fn measured() -> Chip {
    let cell = |address, score, preferred| FaultyCell { address, score: Score(score), preferred };
    let cells = vec![
        cell(9, -5, true),
        cell(2, i32::MIN, false),
        cell(77, -5, false),
        cell(0, i32::MAX - 1, true),
    ];
    let origin = Origin::Measured { source: "a board".to_owned(), nesting_violations: 2 };
    let geometry = Geometry::new(1, 10, 8).unwrap();
    Chip::from_cells(geometry, origin, Threshold::ALWAYS, Vec::new(), cells).unwrap()
}

/// With a healing cell, cells of every kind, and rates that change with the voltage.
fn with_maps() -> Chip {
    let run =
        |address, first_level, last_level, rates| Run { address, first_level, last_level, rates };
    let runs = vec![
        run(0, 0, 2, ErrorRates::stuck_at_0(1.0)),
        run(0, 4, 4, ErrorRates::stuck_at_0(0.25)),
        run(9, 1, 1, ErrorRates { p01: 0.1, p10: 0.9 }),
        run(9, 2, 4, ErrorRates::flip(1.0)),
        run(79, 4, 4, ErrorRates::stuck_at_1(1e-6)),
    ];
    let geometry = Geometry::new(2, 5, 8).unwrap();
    let levels = [590_000, 580_000, 570_000, 560_500, 550_000];
    let (source, licence) = ("a böard".to_owned(), "CC0".to_owned());
    Chip::measured(geometry, source, licence, &levels, runs).unwrap()
}

fn read(bytes: &[u8]) -> Result<Chip, ChipFileError> {
    file::read(bytes, &ChipFileLimits::default())
}

/// With a checksum that agrees, so that what lies behind it is reached.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 4;
    let checksum = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn what_is_written_is_read() {
    let floor = Threshold::NEVER;
    let population = Population::new("x", VarianceShares::INDEPENDENT, 0.5).unwrap();
    let key = ChipKey { seed: 0, chip: 0, memory: 0 };
    let small = Geometry::new(1, 1, 1).unwrap();
    let none = Chip::sample(&population, key, small, floor).unwrap();
    let population = population.with_kind(FaultKind::StuckAt);
    let stuck = Chip::sample(&population, key, small, floor).unwrap();
    assert_eq!([none.kind(), stuck.kind()], [FaultKind::Flip, FaultKind::StuckAt]);
    assert_ne!(file::write(&none), file::write(&stuck));
    for chip in [sampled(), measured(), with_maps(), none, stuck] {
        let bytes = file::write(&chip);
        let back = read(&bytes).unwrap();
        assert_eq!(back, chip);
        assert_eq!(file::write(&back), bytes);
    }
}

#[test]
fn every_truncation_is_an_error() {
    for chip in [sampled(), measured(), with_maps()] {
        let bytes = file::write(&chip);
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length} bytes");
            if length >= 16 {
                assert!(read(&sealed(bytes[..length].to_vec())).is_err(), "{length} bytes, sealed");
            }
        }
    }
}

#[test]
fn every_changed_byte_is_noticed_and_harmless_even_when_sealed() {
    for chip in [sampled(), measured(), with_maps()] {
        let bytes = file::write(&chip);
        for at in 0..bytes.len() {
            for change in [0x01, 0x80, 0xff, 0x7f] {
                let mut damaged = bytes.clone();
                damaged[at] ^= change;
                assert!(read(&damaged).is_err(), "byte {at}");
                if at < bytes.len() - 4 {
                    let damaged = sealed(damaged);
                    if let Ok(chip) = read(&damaged) {
                        assert_eq!(file::write(&chip), damaged, "one chip has one file");
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_behind_the_header_are_harmless(tail in proptest::collection::vec(any::<u8>(), 4..200), cut in 12_usize..120) {
        let mut bytes = file::write(&sampled());
        bytes.truncate(cut);
        bytes.extend_from_slice(&tail);
        let bytes = sealed(bytes);
        if let Ok(chip) = read(&bytes) {
            prop_assert_eq!(file::write(&chip), bytes);
        }
    }
}

#[test]
fn each_broken_rule_is_named() {
    use ChipFileError as E;
    type Rule = fn(&E) -> bool;
    let bytes = file::write(&measured());
    // Behind magic, version, flags, geometry and floor: the text, u64, levels and cells.
    let text = 8 + 2 + 2 + 12 + 4;
    let levels = text + 1 + "a board".len() + 8;
    let cells = levels + 1;
    type Change = Box<dyn Fn(&mut Vec<u8>)>;
    let set = |at: usize, value: u8| -> Change { Box::new(move |bytes| bytes[at] = value) };
    let insert = |at: usize, extra: &'static [u8]| -> Change {
        Box::new(move |bytes| {
            bytes.splice(at..at, extra.iter().copied());
        })
    };
    let cases: Vec<(&str, Change, Rule)> = vec![
        ("magic", set(0, b'v'), |e| matches!(e, E::Magic)),
        ("version", set(8, 3), |e| matches!(e, E::Version { found: 3 })),
        ("flags", set(10, 3), |e| matches!(e, E::Flags { found: 3 })),
        ("banks", set(12, 0), |e| matches!(e, E::Geometry(_))),
        ("text", set(text + 1, 0xff), |e| matches!(e, E::Text { .. })),
        ("long text", set(text, 0x7f), |e| matches!(e, E::Truncated { .. })),
        ("cell count", set(cells, 0x7f), |e| matches!(e, E::Truncated { .. })),
        ("fewer cells", set(cells, 3), |e| matches!(e, E::Trailing { .. })),
        ("long form", insert(levels, &[0x80]), |e| matches!(e, E::Number { .. })),
        ("too long", insert(levels, &[0xff; 10]), |e| matches!(e, E::Number { .. })),
        ("limit", insert(levels, &[0xff, 0xff, 0x7f]), |e| matches!(e, E::Limit { .. })),
        ("trailing", insert(bytes.len() - 4, &[0]), |e| matches!(e, E::Trailing { bytes: 1 })),
    ];
    for (name, change, rule) in cases {
        let mut changed = bytes.clone();
        change(&mut changed);
        let error = read(&sealed(changed)).unwrap_err();
        assert!(rule(&error), "{name}: {error:?}");
    }
    let mut changed = bytes.clone();
    changed[text + 1] ^= 1;
    assert!(matches!(read(&changed), Err(E::Checksum { .. })));
    assert!(matches!(read(&bytes[..13]), Err(E::Checksum { .. })));
    assert!(matches!(read(&bytes[..11]), Err(E::Truncated { .. })));
    let few = ChipFileLimits { faulty_cells_max: 3, ..ChipFileLimits::default() };
    let error = file::read(&bytes, &few).unwrap_err();
    assert!(matches!(error, E::Limit { what: "faulty cells", value: 4, max: 3 }));

    // A population that is none: the sampled file's first share, behind a text of 7 bytes.
    let mut changed = file::write(&sampled());
    changed[text + 8..text + 16].copy_from_slice(&f64::NAN.to_le_bytes());
    assert!(matches!(read(&sealed(changed)), Err(E::Population(_))));
}

#[test]
fn cells_out_of_order_are_refused() {
    // Two cells of equal score: swapping their addresses breaks the order, equal ones repeat a cell.
    let cell = |address| FaultyCell { address, score: Score(0), preferred: false };
    let chip = |cells| {
        let origin = Origin::Measured { source: String::new(), nesting_violations: 0 };
        let geometry = Geometry::new(1, 8, 8).unwrap();
        Chip::from_cells(geometry, origin, Threshold::HALF, Vec::new(), cells)
    };
    let bytes = file::write(&chip(vec![cell(5), cell(6)]).unwrap());
    let last = bytes.len() - 5;
    let mut swapped = bytes.clone();
    swapped[last] = 2 * 4;
    assert!(matches!(read(&sealed(swapped)), Err(ChipFileError::Order { index: 1 })));
    let mut outside = bytes.clone();
    outside[last] = 2 * 63 + 2 - 1;
    assert!(read(&sealed(outside.clone())).is_ok());
    outside.splice(last..=last, [0x80, 0x01]);
    let error = read(&sealed(outside)).unwrap_err();
    assert!(matches!(error, ChipFileError::Chip(ChipError::Address { address: 64, cells: 64 })));

    assert!(matches!(chip(vec![cell(5), cell(5)]), Err(ChipError::Duplicate { address: 5 })));
    let strong = FaultyCell { score: Score(-1), ..cell(1) };
    assert!(matches!(chip(vec![strong]), Err(ChipError::Score { address: 1, .. })));
    let levels = vec![VddLevel { vdd_uv: 1, threshold: Threshold::ALWAYS }];
    let result = chip(vec![]).unwrap().with_levels(levels);
    assert!(matches!(result, Err(ChipError::Levels { index: 0 })));
    let rising = [1, 2].map(|vdd_uv| VddLevel { vdd_uv, threshold: Threshold::HALF }).to_vec();
    let result = chip(vec![]).unwrap().with_levels(rising);
    assert!(matches!(result, Err(ChipError::Levels { index: 1 })));
}
