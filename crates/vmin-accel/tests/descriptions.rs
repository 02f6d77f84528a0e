//! Accelerator files: the problems that are refused, and their messages.

use vmin_accel::energy::Action;
use vmin_accel::{Accelerator, Memory};
use vmin_diagnostic::Source;

const GOOD: &str = include_str!("../../../accel-models/gemmini-16.toml");

fn parse(text: &str) -> Result<Accelerator, String> {
    Accelerator::parse(&Source::new("mine.toml", text)).map_err(|problems| problems.to_string())
}

#[test]
fn the_default_is_gemmini() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    assert_eq!((accelerator.array.rows(), accelerator.array.columns()), (16, 16));
    let memories = &accelerator.memories;
    assert_eq!(memories.weight.bits() + memories.activation.bits(), 256 * 8192);
    assert_eq!(memories.accumulator.bits(), 64 * 8192);
    assert_eq!(memories.accumulator.geometry.banks(), 2);
    assert!(Accelerator::names().contains(&"tpu-v1"));
}

#[test]
fn a_memory_is_given_by_rows_or_by_kib() {
    let weight = "[memory.weight]";
    let (before, after) = GOOD.split_once(weight).expect("the memory");
    let with =
        |size: &str| parse(&format!("{before}{weight}{}", after.replacen("rows = 4096", size, 1)));
    let (by_rows, by_kib) = (with("rows = 4096").unwrap(), with("kib = 128").unwrap());
    assert_eq!(by_kib.memories.weight, by_rows.memories.weight);
    assert_eq!(with("kib = 256").unwrap().memories.weight.geometry.rows(), 8192);
    assert!(with("rows = 4096\nkib = 128").unwrap_err().contains("`rows` or `kib`, not both"));
    let third = after.replacen("rows = 4096", "kib = 128", 1).replacen("banks = 2", "banks = 3", 1);
    let refused = parse(&format!("{before}{weight}{third}")).unwrap_err();
    assert!(
        refused.contains("128 KiB are no whole number of rows in 3 banks of 128 columns"),
        "{refused}"
    );
}

#[test]
fn published_sizes_of_the_shipped_memories() {
    let bytes = |name: &str| {
        let memories = Accelerator::load(name).unwrap().memories;
        [memories.weight, memories.activation, memories.accumulator].map(|m| m.bits() / 8 / 1024)
    };
    assert_eq!(bytes("gemmini-32"), [64, 64, 64]);
    assert_eq!(bytes("nvdla-small")[..2], [64, 64]);
    assert_eq!(bytes("nvdla-full")[..2], [256, 256]);
    assert_eq!(bytes("tpu-v1"), [256, 24 * 1024, 4096]);
    assert_eq!(bytes("lowvolt-14nm")[0], 128);
}

#[test]
fn every_constant_names_its_source() {
    for name in Accelerator::names() {
        let accelerator = Accelerator::load(name).unwrap();
        assert_eq!(accelerator.energy.entries().len(), 10);
        for entry in accelerator.energy.entries() {
            let free = entry.action == Action::DramByte && accelerator.dram.is_none();
            assert!((entry.pj > 0.0) != free && entry.source.len() > 10, "{name} {entry:?}");
        }
    }
}

#[test]
fn overrides_replace_a_constant_and_its_source() {
    let text = format!("{GOOD}\n[energy.override_pj]\nmac = 0.25\n");
    let accelerator = parse(&text).unwrap();
    assert_eq!(accelerator.energy.pj(Action::Mac), 0.25);
    assert!(accelerator.energy.entries()[0].source.contains("mine.toml"));
}

#[test]
fn each_broken_rule_is_told() {
    let cases = [
        ("rows = 16\n", "rows = 0\n", "`array.rows` is out of range"),
        ("rows = 16\n", "rows = 100000\n", "expected an integer from 1 to 4096"),
        ("rows = 16\n", "row = 16\n", "did you mean `rows`?"),
        ("dataflow = \"ws\"", "dataflow = \"wss\"", "did you mean `ws`?"),
        ("dataflow = \"ws\"", "dataflow = 3", "wrong type"),
        ("clock_mhz = 500.0", "clock_mhz = inf", "not a finite number"),
        ("clock_mhz = 500.0", "clock_mhz = -1.0", "out of range"),
        ("word_bits = 512", "word_bits = 500", "expected a divisor of 512"),
        ("rows = 4096", "rows = 16_000_000", ""),
        (
            "banks = 2\nrows = 4096\ncolumns = 128 ",
            "banks = 65536\nrows = 16777216\ncolumns = 128 ",
            "2^35",
        ),
        ("rail = \"weight\"", "rail = \"wheat\"", "`memory.weight.rail` has no choice `wheat`"),
        ("constants = \"45nm\"", "constants = \"3nm\"", "`45nm`, `28nm`, `14nm` or `7nm`"),
        ("dram = \"lpddr4\"", "dram = \"ddr9\"", "no choice `ddr9`"),
        ("[vector]", "[vectors]", "did you mean `vector`?"),
        ("lanes = 16", "lanes = 0", "`vector.lanes` is out of range"),
        ("sum_bits = 32", "sum_bits = 128", "8 to 64"),
        ("cycle_model = \"causal\"", "cycle_model = \"exact\"", "`causal` or `scalesim-v3`"),
        ("[energy]", "[energy]\nvoltage = 1", "unknown key `voltage`"),
    ];
    for (from, to, expected) in cases {
        assert!(GOOD.contains(from), "{from:?} is not in the file");
        let told = parse(&GOOD.replace(from, to)).err().unwrap_or_default();
        assert!(told.contains(expected), "{to:?}: {expected:?} is missing in\n{told}");
        assert!(expected.is_empty() || told.contains("mine.toml"), "{told}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let text = GOOD
        .replace("rows = 16\n", "rows = 0\n")
        .replace("lanes = 16", "lanes = \"many\"")
        .replace("constants = \"45nm\"", "constants = \"3nm\"");
    let problems = Accelerator::parse(&Source::new("mine.toml", &text)).unwrap_err();
    assert_eq!(problems.len(), 3, "{problems}");
}

#[test]
fn any_cut_of_a_file_is_refused_without_panic() {
    for end in 0..GOOD.len() {
        if let Some(text) = GOOD.get(..end) {
            let _ = parse(text);
        }
    }
}

/// What a file does not give is as in the shipped reference, and named.
#[test]
fn rows_and_columns_are_enough() {
    let read =
        |text: &str| Accelerator::parse(&Source::new("folder/small.toml", text)).expect(text);
    let (small, reference) = (
        read("[array]\nrows = 8\ncolumns = 4\n"),
        Accelerator::load(Accelerator::REFERENCE).expect("shipped"),
    );
    assert_eq!((small.name(), &*small.title), ("small", "small, 8 x 4"));
    assert_eq!((small.array.rows(), small.array.columns(), small.dram), (8, 4, None));
    assert_eq!(
        (small.dataflow, small.clock_mhz, small.vector_lanes, small.accumulator_bits),
        (
            reference.dataflow,
            reference.clock_mhz,
            reference.vector_lanes,
            reference.accumulator_bits
        )
    );
    // A row is as wide for each column of the array, that of activations for each row; a word is a row.
    for (which, narrower) in
        [(Memory::Weight, 4), (Memory::Activation, 2), (Memory::Accumulator, 4)]
    {
        let (small, reference) = (small.memories.get(which), reference.memories.get(which));
        assert_eq!(small.geometry.columns() * narrower, reference.geometry.columns(), "{which:?}");
        assert_eq!(small.word_bits, u64::from(small.geometry.columns()), "{which:?}");
        assert_eq!(small.geometry.banks(), reference.geometry.banks(), "{which:?}");
    }
    let as_reference = read("[array]\nrows = 16\ncolumns = 16\n");
    assert_eq!(as_reference.memories, reference.memories);
    let keys: Vec<&str> = small.defaults.iter().map(String::as_str).collect();
    for key in [
        "array.dataflow",
        "array.clock_mhz",
        "vector.lanes",
        "memory.weight.banks",
        "memory.weight.rail",
        "memory.accumulator.sum_bits",
        "energy.constants",
    ] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    let profile = vmin_accel::VoltageProfile::load("sram14").expect("shipped");
    let sources = vmin_accel::energy::sources(&small, &profile);
    let told = sources.iter().find(|of| of.what.contains("gemmini-16")).expect("they are told");
    assert_eq!(
        (told.value.clone(), told.source.clone()),
        (format!("{} values", keys.len()), keys.join(", "))
    );
    // What is given counts; a word is a whole row unless it is given.
    let text = "[array]\nrows = 8\ncolumns = 4\n[memory.weight]\nkib = 64\ncolumns = 64\n[dram]\n";
    let some = read(text);
    let weight = &some.memories.weight;
    assert_eq!((weight.bits(), weight.word_bits), (64 * 8192, 64));
    assert_eq!(some.dram.expect("a table").bytes_per_second, 8e9);
    assert!(
        some.defaults.contains(&"dram.bandwidth_gb_per_s".to_owned())
            && some.defaults.contains(&"energy.dram".to_owned())
    );
    assert!(
        reference.defaults.is_empty() && !some.defaults.contains(&"memory.weight.rows".to_owned())
    );
    let faulty =
        Accelerator::parse(&Source::new("small.toml", "[array]\nrows = 8\n[vector]\nlanes = 0\n"));
    assert_eq!(faulty.expect_err("no columns, no lanes").len(), 2);
}
