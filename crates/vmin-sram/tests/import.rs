//! Importers: what is exported is imported as the same chip, and wrong files are named.

use std::io::Write;

use npyz::WriterBuilder;
use proptest::prelude::*;
use vmin_sram::export::{self, ExportFile};
use vmin_sram::import::{
    FoldDuplicates, ImportError, ImportLimits, ImportOptions, ImportProblem, ImportReport,
    Importer, Meaning, NpyValues, VddUnit,
};
use vmin_sram::{Chip, ErrorRates, Geometry, Origin, Run};

type Imported = Result<(Chip, ImportReport), ImportError>;

fn import(files: &[(&str, &[u8])], options: ImportOptions) -> Imported {
    let mut importer = Importer::new(options, ImportLimits::default());
    for (name, bytes) in files {
        importer.add(name, bytes)?;
    }
    importer.finish()
}

fn problem(result: Imported) -> ImportProblem {
    result.expect_err("refused").problem
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What only the options can say again.
fn told(chip: &Chip) -> ImportOptions {
    let source = match chip.origin() {
        Origin::Measured { source, .. } => source.clone(),
        Origin::Sampled { .. } => String::new(),
    };
    let licence = chip.maps().unwrap().licence().to_owned();
    ImportOptions {
        source: Some(source),
        licence: Some(licence),
        rows_per_bank: Some(chip.geometry().rows()),
        ..ImportOptions::default()
    }
}

fn rates(persistent: bool) -> impl Strategy<Value = ErrorRates> {
    let p = move || {
        let any = (1_u32..=1000).prop_map(|thousandths| thousandths as f32 / 1000.0);
        if persistent {
            Just(1.0_f32).boxed()
        } else {
            prop_oneof![any, Just(1.0), Just(1e-7)].boxed()
        }
    };
    prop_oneof![
        p().prop_map(ErrorRates::flip),
        p().prop_map(ErrorRates::stuck_at_0),
        p().prop_map(ErrorRates::stuck_at_1),
        (p(), p()).prop_map(|(p01, p10)| ErrorRates { p01, p10 }),
    ]
}

/// Chips of a few cells with a random map at each of a few voltages, nested or not.
fn chips(persistent: bool) -> impl Strategy<Value = Chip> {
    let geometry = (1_u32..4, 1_u32..6, 1_u32..7);
    let levels = proptest::collection::btree_set(1_u32..2_000_000, 1..5);
    let found = proptest::collection::btree_map((0_u64..90, 0_u16..5), rates(persistent), 0..60);
    (geometry, levels, found, "[a-z\\\\\n =,#]{0,20}").prop_map(
        |((banks, rows, columns), levels, found, source)| {
            let geometry = Geometry::new(banks, rows, columns).unwrap();
            let vdd_uv: Vec<u32> = levels.into_iter().rev().collect();
            let runs = found
                .into_iter()
                .filter(|((address, level), _)| {
                    *address < geometry.cells() && usize::from(*level) < vdd_uv.len()
                })
                .map(|((address, level), rates)| Run {
                    address,
                    first_level: level,
                    last_level: level,
                    rates,
                })
                .collect();
            Chip::measured(geometry, source, "CC0".to_owned(), &vdd_uv, runs).unwrap()
        },
    )
}

fn exported(
    write: impl FnOnce(&mut dyn FnMut(ExportFile) -> std::io::Result<()>),
) -> Vec<ExportFile> {
    let mut files = Vec::new();
    write(&mut |file| {
        files.push(file);
        Ok(())
    });
    files
}

fn again(files: &[ExportFile], options: ImportOptions) -> Chip {
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|file| (file.name.as_str(), file.bytes.as_slice())).collect();
    import(&files, options).unwrap().0
}

/// Dumps of a chip: for every level two patterns, all ones and all zeros, in hex digits or bytes.
fn dumps(chip: &Chip, binary: bool) -> (Vec<ExportFile>, ImportOptions) {
    let words = chip.geometry().cells() / u64::from(chip.geometry().columns());
    let mut files = Vec::new();
    let mut options = told(chip);
    for (index, level) in chip.levels().iter().enumerate() {
        for ones in [true, false] {
            let pattern: u8 = if ones { 0xff } else { 0 };
            let mut memory = vec![pattern; usize::try_from(words).unwrap()];
            for (cell, rates) in chip.errors_at(index).unwrap() {
                if if ones { rates.p10 } else { rates.p01 } > 0.0 {
                    memory[usize::try_from(cell.address / 8).unwrap()] ^= 1 << (cell.address % 8);
                }
            }
            let hex = || memory.iter().map(|word| format!("{word:02X}\n")).collect::<String>();
            let bytes = if binary { memory.clone() } else { hex().into_bytes() };
            options.vdd_mv.push(f64::from(level.vdd_uv) / 1000.0);
            options.written.push(u64::from(pattern));
            files.push(ExportFile { name: format!("dump-{index}-{ones}"), bytes });
        }
    }
    options.word_bits = 8;
    options.binary = Some(binary);
    options.format = vmin_sram::import::Format::named("dump");
    options.words_per_bank = Some(chip.geometry().rows());
    options.fold_duplicates = FoldDuplicates::Never;
    (files, options)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn lists_hold_everything(chip in chips(false), zipped in any::<bool>()) {
        let mut file = export::list(&chip);
        if zipped {
            file.bytes = gzip(&file.bytes);
        }
        // The list itself says where it is from.
        prop_assert_eq!(again(&[file], ImportOptions::default()), chip);
    }

    #[test]
    fn arrays_hold_everything(chip in chips(false)) {
        let files = exported(|write| export::npy(&chip, write).unwrap().unwrap());
        prop_assert_eq!(again(&files, told(&chip)), chip);
    }

    #[test]
    fn pairs_of_0_1_files_hold_persistent_maps(chip in chips(true)) {
        let files = exported(|write| export::ibm(&chip, write).unwrap().unwrap());
        // A file of one column has no comma to be known by.
        let format = vmin_sram::import::Format::named("ibm");
        prop_assert_eq!(again(&files, ImportOptions { format, ..told(&chip) }), chip);
    }

    #[test]
    fn dumps_of_two_patterns_hold_persistent_maps(
        (runs, binary) in (proptest::collection::btree_map((0_u64..96, 0_u16..3), rates(true), 0..40), any::<bool>()),
    ) {
        let runs = runs.into_iter().map(|((address, level), rates)| Run {
            address, first_level: level, last_level: level, rates,
        });
        let geometry = Geometry::new(3, 4, 8).unwrap();
        let levels = [900_000, 800_000, 700_000];
        let chip = Chip::measured(geometry, "x".to_owned(), String::new(), &levels, runs.collect()).unwrap();
        let (files, options) = dumps(&chip, binary);
        prop_assert_eq!(again(&files, options), chip);
    }
}

#[test]
fn probabilities_do_not_fit_into_zeros_and_ones() {
    let geometry = Geometry::new(1, 2, 2).unwrap();
    let run = Run { address: 3, first_level: 0, last_level: 0, rates: ErrorRates::flip(0.5) };
    let chip = Chip::measured(geometry, String::new(), String::new(), &[1], vec![run]).unwrap();
    let refused = export::ibm(&chip, |_| Ok(()));
    assert!(matches!(refused, Err(export::ExportError::Probability { address: 3 })));
}

#[test]
fn words_that_repeat_are_folded_and_others_not() {
    // Four words of 8 bits; the second has bits 1 and 5 wrong: one cell read twice.
    let repeated: &[u8] = b"FF DD FF FF FF FF FF FF FF FF FF FF FF FF FF FF";
    let single: &[u8] = b"FF DF FF FF FF FF FF FF FF FF FF FF FF FF FF FF";
    let options = ImportOptions {
        word_bits: 8,
        words_per_bank: Some(16),
        column_mux: 2,
        ..ImportOptions::default()
    };
    let (chip, report) = import(&[("x-0.5.hex", repeated)], options.clone()).unwrap();
    assert!(report.folded);
    // Word 1, bit 1: row 0, column 1 * 2 + 1 of 8.
    assert_eq!(chip.geometry(), Geometry::new(1, 8, 8).unwrap());
    assert_eq!(chip.cells().iter().map(|cell| cell.address).collect::<Vec<_>>(), [3]);
    assert_eq!(report.files[0].faults, 2);
    assert_eq!(report.levels[0].stuck_at_0, 1);

    let two = [("a-0.5.hex", repeated), ("b-0.4.hex", single)];
    let (chip, report) = import(&two, options.clone()).unwrap();
    assert!(!report.folded);
    assert_eq!(chip.geometry(), Geometry::new(1, 8, 16).unwrap());
    let always = ImportOptions { fold_duplicates: FoldDuplicates::Always, ..options };
    assert_eq!(problem(import(&two, always)), ImportProblem::NotRepeated { words: 1 });
}

#[test]
fn voltages_of_failure_become_levels() {
    let values: [f64; 6] = [600.0, f64::NAN, 580.0, 600.0, f64::NEG_INFINITY, 590.0];
    let array = |values: &[f64]| {
        let mut bytes = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(&[2, 3]);
        let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
        bytes
    };
    let file = array(&values);
    let (chip, report) = import(&[("vfail.npy", &file)], ImportOptions::default()).unwrap();
    let faults: Vec<u64> = report.levels.iter().map(|level| level.faults).collect();
    let levels: Vec<f64> = report.levels.iter().map(|level| level.vdd_mv).collect();
    assert_eq!((levels, faults), (vec![600.0, 590.0, 580.0], vec![2, 3, 4]));
    assert_eq!(chip.maps().unwrap().runs().len(), 4);

    // Cut at two levels: 600 and 590 fail from 590 down, 580 from 570.
    let cut = ImportOptions { levels_mv: vec![570.0, 590.0], ..ImportOptions::default() };
    let (_, report) = import(&[("vfail.npy", &file)], cut).unwrap();
    assert_eq!(report.levels.iter().map(|level| level.faults).collect::<Vec<_>>(), [3, 4]);

    let volts = array(&values.map(|value| value / 1000.0));
    let unclear = problem(import(&[("vfail.npy", &volts)], ImportOptions::default()));
    assert!(matches!(unclear, ImportProblem::FailureUnit { .. }));
    let unit = ImportOptions { vdd_unit: Some(VddUnit::Volts), ..ImportOptions::default() };
    let (_, report) = import(&[("vfail.npy", &volts)], unit).unwrap();
    assert_eq!(report.levels[1].vdd_mv, 590.0);
    let always = array(&[f64::INFINITY; 6]);
    let refused = problem(import(&[("vfail.npy", &always)], ImportOptions::default()));
    assert!(matches!(refused, ImportProblem::Element { index: 0, .. }));
    let never = array(&[f64::NAN; 6]);
    let refused = problem(import(&[("vfail.npy", &never)], ImportOptions::default()));
    assert_eq!(refused, ImportProblem::NeverFails);
}

#[test]
fn odd_things_are_told() {
    let sa0: &[u8] = b"0,1\n0,0\n";
    let sa1: &[u8] = b"0,1\n1,0\n";
    let none: &[u8] = b"0,0\n0,0\n";
    let files = [
        ("fmap_sa0_v_0.6.txt", sa0),
        ("fmap_sa1_v_0.6.txt", sa1),
        ("fmap_sa0_v_0.5.txt", sa0),
        ("fmap_sa1_v_0.5.txt", sa1),
        ("fmap_sa0_v_0.4.txt", none),
    ];
    let (_, report) = import(&files, ImportOptions::default()).unwrap();
    assert_eq!(report.both_directions, 1);
    assert_eq!(report.nesting_violations, 2);
    assert_eq!(report.identical_maps, [(600.0, 500.0)]);
    assert!(report.notes.iter().any(|note| note.contains("at 400 mV") && note.contains("none")));
    assert_eq!(report.levels[0].flip, 1);
    let fraction =
        ImportOptions { vdd_unit: Some(VddUnit::OfVmin { vmin_mv: 700.0 }), ..Default::default() };
    assert_eq!(import(&files, fraction).unwrap().1.levels[0].vdd_mv, 420.0);
}

#[test]
fn each_broken_rule_is_named() {
    use ImportProblem as P;
    type Rule = fn(&P) -> bool;
    type Files<'a> = &'a [(&'a str, &'a [u8])];
    const LIST: &[u8] = b"bank,row,column,vdd_mv,kind\n0,0,1,500,flip\n";
    let sized = ImportOptions { geometry: Geometry::new(1, 1, 4).ok(), ..Default::default() };
    let plain = ImportOptions::default();
    let npy = ImportOptions { npy_values: Some(NpyValues::P01), ..Default::default() };
    let byte = |bits| ImportOptions { word_bits: bits, ..Default::default() };
    let cases: Vec<(Files<'_>, &ImportOptions, Rule)> = vec![
        (&[], &plain, |p| *p == P::NoFiles),
        (&[("a-0.5", b"")], &plain, |p| *p == P::Empty),
        (&[("a-0.5", b"hello, world")], &plain, |p| *p == P::Unrecognised),
        (&[("a-0.5", b"VMINCHIP")], &plain, |p| *p == P::ChipFile),
        (&[("l.csv", LIST), ("a-0.5", b"FFFF")], &plain, |p| matches!(p, P::MixedFormats { .. })),
        (&[("a", b"FFFF")], &plain, |p| *p == P::NoVoltage),
        (&[("3-0.5", b"FFFF")], &plain, |p| matches!(p, P::TwoVoltages { .. })),
        (&[("a-50", b"FFFF")], &plain, |p| matches!(p, P::VoltageUnit { .. })),
        (&[("a-0mV", b"FFFF")], &plain, |p| matches!(p, P::Voltage { .. })),
        (&[("fmap_v_0.5", b"0,1\n")], &plain, |p| matches!(p, P::Role { .. })),
        (&[("sa0_0.5", b"0,1\n0,2\n")], &plain, |p| matches!(p, P::Text { line: 2, .. })),
        (&[("sa0_0.5", b"0,1\n0\n")], &plain, |p| matches!(p, P::Width { line: 2, .. })),
        (&[("sa0_0.5", b"0,1\n"), ("sa1_0.5", b"0\n,\n")], &plain, |p| {
            matches!(p, P::MixedFormats { .. } | P::Text { .. } | P::Unrecognised)
        }),
        (&[("sa0_0.5", b"0,1\n"), ("sa1_0.5", b"0,1,0\n")], &plain, |p| {
            matches!(p, P::Size { .. })
        }),
        (&[("sa0_0.5", b"0,1\n"), ("sa0_0.50", b"0,1\n")], &plain, |p| {
            matches!(p, P::Repeated { .. })
        }),
        (&[("a-0.5", b"FFFF0000")], &plain, |p| *p == P::Pattern),
        (&[("a-0.5", b"FFFFFFFF")], &plain, |p| *p == P::NoBanks { words: 2, word_bits: 16 }),
        (&[("a-0.5", b"FFF")], &plain, |p| matches!(p, P::PartialWord { word_bits: 16 })),
        (&[("l.csv", LIST)], &plain, |p| matches!(p, P::NoGeometry { column: 1, .. })),
        (&[("l.csv", b"bank,row,column,vdd_mv,kind\n0,0,4,500,flip\n")], &sized, |p| {
            matches!(p, P::Outside { column: 4, .. })
        }),
        (&[("l.csv", b"bank,row,column,vdd_mv,kind\n0,0,1,500,flap\n")], &sized, |p| {
            matches!(p, P::Text { line: 2, .. })
        }),
        (&[("l.csv", b"bank,row,column,vdd_mv,kind\n0,0,1,0,flip\n")], &sized, |p| {
            matches!(p, P::Voltage { .. })
        }),
        (&[("l.csv", b"bank,row,column,kind\n")], &sized, |p| {
            matches!(p, P::NoColumn { name: "vdd_mv" })
        }),
        (&[("l.csv", b"bank,row,column,vdd_mv,kind,x\n")], &sized, |p| {
            matches!(p, P::Column { .. })
        }),
        (&[("l.csv", LIST), ("m.csv", LIST)], &sized, |p| {
            matches!(p, P::CellTwice { address: 1, .. })
        }),
        (&[("p.npy", b"\x93NUMPY\x01\x00\xff\xff")], &npy, |p| matches!(p, P::NoVoltage)),
        (&[("p-0.5.npy", b"\x93NUMPY\x01\x00\xff\xff")], &npy, |p| matches!(p, P::Npy(_))),
        (&[("q-0.5.npy", b"\x93NUMPY\x01\x00\xff\xff")], &plain, |p| matches!(p, P::Role { .. })),
        (&[("q.parquet", b"PAR1 and no more")], &plain, |p| matches!(p, P::Table(_))),
        (&[("a-0.5.gz", b"\x1f\x8b\x08\x00")], &plain, |p| matches!(p, P::Gzip(_))),
    ];
    let mut wrong = String::new();
    for (files, options, rule) in cases {
        let found = import(files, options.clone());
        if !found.as_ref().is_err_and(|error| rule(&error.problem)) {
            wrong += &format!("{files:?}\n  gives {:?}\n", found.err());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let odd = problem(import(&[("a-0.5", b"FFFF")], byte(7)));
    assert!(matches!(odd, P::Option { found: 7, .. }));
    let order = ImportOptions { binary: Some(true), ..plain };
    let order = problem(import(
        &[("a-0.5", b"FFFF")],
        ImportOptions { format: vmin_sram::import::Format::named("dump"), ..order },
    ));
    assert_eq!(order, P::ByteOrder { word_bits: 16 });
}

#[test]
fn bombs_are_refused() {
    let mut limits = ImportLimits::default();
    limits.unpacked_bytes_max = 1 << 20;
    let zeros = gzip(&b"0,".repeat(1 << 20));
    let mut importer = Importer::new(ImportOptions::default(), limits);
    let error = importer.add("sa0_0.5.gz", &zeros).unwrap_err();
    assert!(matches!(error.problem, ImportProblem::Limit { .. }), "{error}");
    // A small file of many faults: more than its size and 64 MiB can hold.
    let ones = gzip(&[&b"1,".repeat(4 << 20)[..], b"1\n"].concat());
    let error = import(&[("sa0_0.5.gz", &ones)], ImportOptions::default()).unwrap_err();
    assert!(matches!(error.problem, ImportProblem::Limit { what: "observations", .. }));
    let endless = gzip(&[&b"bank,row,column,vdd_mv,kind\n"[..], &[b'1'; 2 << 20]].concat());
    let error = import(&[("l.csv", &endless)], ImportOptions::default()).unwrap_err();
    assert!(matches!(error.problem, ImportProblem::Limit { what: "bytes in one line", .. }));
}

/// The public read-out of a 28 nm board: the figures which its authors' files give (half of the totals
/// they publish, because every byte stands twice in a word).
#[test]
fn the_public_board_gives_its_figures() {
    let Some(folder) = vmin_testkit::data("chips/kc705b") else { return };
    let options = ImportOptions {
        written: vec![0xffff],
        words_per_bank: Some(1024),
        column_mux: 2,
        ..ImportOptions::default()
    };
    let mut importer = Importer::new(options, ImportLimits::default());
    // In no particular order.
    for volts in ["0.55", "0.53", "0.59", "0.57", "0.58", "0.54", "0.56"] {
        let name = format!("KC705B-{volts}.bin.gz");
        importer.add(&name, &std::fs::read(folder.join(&name)).unwrap()).unwrap();
    }
    let (chip, report) = importer.finish().unwrap();
    let faults: Vec<u64> = report.levels.iter().map(|level| level.faults).collect();
    assert_eq!(faults, [1, 4, 13, 31, 126, 345, 1137]);
    assert_eq!(report.levels[6].vdd_mv, 530.0);
    assert_eq!((report.nesting_violations, report.faulty_cells), (6, 1141));
    assert_eq!((report.levels[6].columns_hit, report.levels[6].max_per_column), (310, 61));
    assert_eq!(report.share_stuck_at_0, Some(1.0));
    assert!(report.folded);
    assert_eq!(chip.geometry(), Geometry::new(890, 512, 16).unwrap());
    let bytes = vmin_sram::file::write(&chip);
    let back = vmin_sram::file::read(&bytes, &vmin_sram::file::ChipFileLimits::default()).unwrap();
    assert_eq!(back, chip);

    let mut importer = Importer::new(ImportOptions::default(), ImportLimits::default());
    for name in ["fmap_sa0_v_0.53.txt.gz", "fmap_sa1_v_0.53.txt.gz"] {
        importer.add(name, &std::fs::read(folder.join(name)).unwrap()).unwrap();
    }
    let (chip, report) = importer.finish().unwrap();
    assert_eq!(chip.geometry(), Geometry::new(1, 8192, 128).unwrap());
    assert_eq!((report.levels[0].stuck_at_0, report.levels[0].stuck_at_1), (180, 0));
}

/// Every form says: cell (bank 1, row 2, column 3) stuck at 0 at 850 mV and below, cell (0, 0, 5) inverted at 830 mV.
#[test]
fn lists_of_other_programs_are_read() {
    let pairs = |list: &[(&str, &str)]| {
        list.iter().map(|&(ours, theirs)| (ours.to_owned(), theirs.to_owned())).collect()
    };
    let geometry = Geometry::new(2, 8, 16).unwrap();
    let usual = ImportOptions { geometry: Some(geometry), ..ImportOptions::default() };
    let (flip, stuck) = (ErrorRates::flip(1.0), ErrorRates::stuck_at_0(1.0));
    let run = |address, first_level, rates| Run { address, first_level, last_level: 1, rates };
    let expected = Chip::measured(
        geometry,
        "a board".into(),
        String::new(),
        &[850_000, 830_000],
        vec![run(5, 1, flip), run((8 + 2) * 16 + 3, 0, stuck)],
    )
    .unwrap();
    let forms: [(&str, ImportOptions); 6] = [
        (
            "Bank,Row,Col,Voltage (V),Type\n1,2,3,0.85,SA0\n1,2,3,0.83,stuck-at-0\n0,0,5,0.83,Flip\n",
            usual.clone(),
        ),
        (
            "bank;wordline;bitline;Vdd_V;fault\n1;2;3;0,85;SA0\n1;2;3;0,83;SA0\n0;0;5;0,83;flip\n",
            usual.clone(),
        ),
        (
            "bank\trow\tcolumn\tvdd\tkind\n1\t2\t3\t850\tsa-0\n0\t0\t5\t830\tflip\n",
            ImportOptions {
                meaning: Meaning::FirstFails,
                vdd_unit: Some(VddUnit::Millivolts),
                ..usual.clone()
            },
        ),
        (
            // Between the levels: it fails from the next lower one on; the last cell fails below all levels.
            "bank,row,column,vdd_mv,kind\n1,2,3,858,sa0\n0,0,5,849,flip\n0,0,6,800,flip\n",
            ImportOptions {
                meaning: Meaning::FirstFails,
                levels_mv: vec![850.0, 830.0],
                ..usual.clone()
            },
        ),
        (
            // 32 words of 4 bits in a bank, 4 words in a row: bit b of word w at column 4 b + w % 4.
            "address,bit,V (mV),Art\n0x2B,0,850,SA0\n0x2B,0,830,SA0\n1,1,830,flip\n",
            ImportOptions {
                word_bits: 4,
                words_per_bank: Some(32),
                column_mux: 4,
                columns: pairs(&[("kind", "Art")]),
                ..usual.clone()
            },
        ),
        (
            "x,Zeile,Spalte,Block,U\n?,2,3,1,0.85\n?,2,3,1,0.83\n",
            ImportOptions {
                columns: pairs(&[
                    ("row", "Zeile"),
                    ("column", "Spalte"),
                    ("bank", "Block"),
                    ("vdd_mv", "U"),
                ]),
                vdd_unit: Some(VddUnit::Volts),
                failure_rates: Some(stuck),
                ..usual.clone()
            },
        ),
    ];
    for (index, (text, options)) in forms.into_iter().enumerate() {
        let options = ImportOptions { source: Some("a board".into()), ..options };
        let (chip, _) = import(&[("faults.csv", text.as_bytes())], options).expect(text);
        if index < 5 {
            assert_eq!(chip, expected, "{text}");
        } else {
            assert_eq!(chip.cell_errors(1), expected.cell_errors(1)[1..], "{text}");
        }
    }

    let refused = |text: &str| problem(import(&[("faults.csv", text.as_bytes())], usual.clone()));
    let unit = refused("bank,row,column,voltage,kind\n");
    assert!(matches!(unit, ImportProblem::ListUnit { .. }), "{unit}");
    let kind = refused("bank,row,column,vdd_mv\n");
    assert!(matches!(kind, ImportProblem::NoColumn { name: "kind" }), "{kind}");
    let other = refused("bank,row,column,vdd_mv,kind,temperature\n");
    assert!(matches!(other, ImportProblem::Column { .. }) && other.hint().is_some(), "{other}");
    let twice = refused("bank,row,column,col,vdd_mv,kind\n");
    assert!(twice.to_string().contains("two columns"), "{twice}");
    let volts = ImportOptions { vdd_unit: Some(VddUnit::Volts), ..usual.clone() };
    let text = b"bank,row,column,vdd_mv,kind\n0,0,5,0.85,flip\n";
    let both = problem(import(&[("faults.csv", text)], volts));
    assert!(both.to_string().contains("has a unit"), "{both}");
    let quoted = b"\"bank\",\"row\",\"column\",\"vdd_mv\",\"kind\"\n0,0,5,830,flip\n";
    let (chip, _) = import(&[("faults.csv", quoted)], usual.clone()).expect("quoted");
    assert_eq!(chip.cells().len(), 1);
    // Without a column of voltages, the name of the file says it.
    let text = b"bank,row,col,type\n0,0,5,flip\n";
    let (chip, _) = import(&[("board_830mV.csv", text)], usual).expect("one voltage");
    assert_eq!(chip.levels()[0].vdd_uv, 830_000);
}

/// Masks of whole numbers and booleans, as numpy writes them.
#[test]
fn arrays_hold_numbers_of_every_type() {
    let array = |descr: &str, bytes: &[u8]| {
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, 2), }}");
        header.push('\n');
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), bytes].concat()
    };
    let wide = |size: usize| -> Vec<u8> {
        [0, 1, 1, 0]
            .iter()
            .flat_map(|&v| (0..size).map(move |i| if i == 0 { v } else { 0 }))
            .collect()
    };
    let types = ["|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8"];
    for (descr, size) in types.into_iter().zip([1, 1, 1, 2, 2, 4, 4, 8, 8]) {
        let file = array(descr, &wide(size));
        let (chip, _) =
            import(&[("flip_800mV.npy", &file)], ImportOptions::default()).expect(descr);
        let found: Vec<u64> = chip.cell_errors(0).iter().map(|error| error.cell.address).collect();
        assert_eq!(found, [1, 2], "{descr}");
    }
    let complex =
        problem(import(&[("flip_800mV.npy", &array("<c8", &wide(8)))], ImportOptions::default()));
    assert!(complex.to_string().contains("not numbers or booleans"), "{complex}");
}

/// One file of each format that is read without options beside these.
fn one_of_each() -> Vec<(&'static str, &'static [u8], ImportOptions)> {
    let plain = ImportOptions::default();
    let bank = ImportOptions { words_per_bank: Some(4), written: vec![0xffff], ..plain.clone() };
    let sized = ImportOptions { geometry: Geometry::new(1, 1, 4).ok(), ..plain.clone() };
    let list = b"bank,row,column,vdd_mv,kind\n0,0,1,500,flip\n";
    let array = b"\x93NUMPY\x01\x00\x45\x00{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }         \n\0\x01\0\0";
    vec![
        ("fmap_sa0_v_0.5.txt", b"0,1\n0,0\n", plain.clone()),
        ("a-0.5.hex", b"FFFFFFFFFFFFFFFE", bank),
        ("l.csv", list, sized),
        ("flip-0.5.npy", array, plain),
    ]
}

#[test]
fn options_without_effect_are_refused_by_every_format() {
    let options = [
        ("--written", "dump"),
        ("--byte-order", ""),
        ("--dump-encoding", "dump"),
        ("--fold-duplicates", "dump"),
        ("--words-per-bank", "dump"),
        ("--word-bits", "dump"),
        ("--column-mux", "dump"),
        ("--rows-per-bank", "ibm npy"),
        ("--banks", "list"),
        ("--npy-values", "npy"),
        ("--levels-mv", ""),
        ("--failure-kind", ""),
        ("--meaning", "list"),
        ("--vdd-mv", "ibm dump npy"),
    ];
    for (name, bytes, usual) in one_of_each() {
        let (_, report) = import(&[(name, bytes)], usual.clone()).expect(name);
        let format = report.files[0].format;
        for (option, takers) in options {
            let given = ImportOptions { given: vec![option], ..usual.clone() };
            let found = import(&[(name, bytes)], given);
            let refused = found.as_ref().is_err_and(|error| {
                matches!(&error.problem, ImportProblem::NoEffect { option: of, .. } if *of == option)
            });
            assert_eq!(refused, !takers.contains(format), "{option} for {format}: {found:?}");
        }
    }
}

#[test]
fn sizes_that_files_do_not_say_are_told_or_refused() {
    let (name, bytes, usual) = one_of_each().swap_remove(0);
    let (chip, report) = import(&[(name, bytes)], usual.clone()).expect("two rows");
    assert_eq!(chip.geometry(), Geometry::new(1, 2, 2).unwrap());
    assert!(report.notes.iter().any(|note| note.contains("for one bank")), "{:?}", report.notes);
    let told = ImportOptions { rows_per_bank: Some(1), ..usual.clone() };
    let (chip, report) = import(&[(name, bytes)], told).expect("two banks");
    assert_eq!(chip.geometry(), Geometry::new(2, 1, 2).unwrap());
    assert!(!report.notes.iter().any(|note| note.contains("for one bank")));
    let many = b"0,1\n".repeat(8193);
    let error = problem(import(&[(name, &many)], usual));
    assert!(matches!(error, ImportProblem::NoBankRows { rows: 8193 }) && error.hint().is_some());
}

#[test]
fn lists_without_banks_are_of_one_and_empty_ones_say_their_voltages() {
    let sized =
        |banks| ImportOptions { geometry: Geometry::new(banks, 4, 4).ok(), ..Default::default() };
    let read = |text: &str, banks| import(&[("l_500mV.csv", text.as_bytes())], sized(banks));
    let (chip, report) = read("row,column,vdd_mv,kind\n1,2,500,flip\n", 1).expect("one bank");
    assert_eq!(chip.cells()[0].address, 6);
    assert!(report.notes.iter().any(|note| note.contains("no column `bank`")));
    assert_eq!(report.share_stuck_at_0, None, "it inverts what it stores");
    let two = problem(read("row,column,vdd_mv,kind\n1,2,500,flip\n", 2));
    assert!(matches!(two, ImportProblem::NoColumn { name: "bank" }));
    let row = problem(read("bank,column,vdd_mv,kind\n0,2,500,flip\n", 1));
    assert!(matches!(row, ImportProblem::NoColumn { name: "row" }));
    let none = problem(read("row,column,vdd_mv,kind\n", 1));
    assert_eq!(none, ImportProblem::NoRows);
    // The name says the voltage.
    let (chip, _) = read("row,column,kind\n", 1).expect("a chip without faults");
    assert_eq!((chip.cells().len(), chip.levels()[0].vdd_uv), (0, 500_000));
    let (chip, _) = read("# levels_mv=590,580\nrow,column,vdd_mv,kind\n", 1).expect("two levels");
    assert_eq!((chip.cells().len(), chip.levels().len()), (0, 2));
    let other =
        problem(read("# geometry=2 x 4 x 4\nbank,row,column,vdd_mv,kind\n0,1,2,500,flip\n", 1));
    assert_eq!(other, ImportProblem::OtherSize { banks: 2, rows: 4, columns: 4 });
}

#[test]
fn the_share_of_cells_stuck_at_0_is_of_those_that_are_stuck() {
    let sized = ImportOptions { geometry: Geometry::new(1, 4, 4).ok(), ..Default::default() };
    let text = b"row,column,vdd_mv,kind\n0,0,500,flip\n0,1,500,sa0\n0,2,500,sa0\n0,3,500,sa1\n";
    let (chip, report) = import(&[("l.csv", text)], sized).expect("a list");
    assert_eq!(report.share_stuck_at_0, Some(2.0 / 3.0));
    assert_eq!(chip.share_stuck_at_0(0), Some(2.0 / 3.0));
}
