//! The tables of `cycles`, `energy` and `explore` say the same as CSV and as Parquet, and every list of
//! dataflows holds all of them.

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use vmin_testkit::vmin;

/// Whether a cell says what the text of a CSV cell says.
#[expect(clippy::wildcard_enum_match_arm, reason = "the types of parquet that vmin writes")]
fn same(text: &str, field: &Field) -> bool {
    match field {
        Field::Null => text.is_empty(),
        Field::Bool(truth) => text == truth.to_string(),
        Field::ULong(count) => text == count.to_string(),
        Field::Double(number) => text.parse() == Ok(*number),
        Field::Str(word) => text == word,
        _ => false,
    }
}

/// Compares all columns of all rows; gives the number of rows.
fn compare(csv_text: &str, parquet: Vec<u8>) -> usize {
    let mut csv = csv::Reader::from_reader(csv_text.as_bytes());
    let names: Vec<String> = csv.headers().unwrap().iter().map(str::to_owned).collect();
    let reader = SerializedFileReader::new(bytes::Bytes::from(parquet)).unwrap();
    let mut rows = reader.get_row_iter(None).unwrap();
    let mut count = 0;
    for record in csv.records() {
        let (record, row) = (record.unwrap(), rows.next().unwrap().unwrap());
        let columns = row.into_columns();
        assert!(columns.iter().map(|(name, _)| name).eq(&names), "the names of the columns");
        for (text, (name, field)) in record.iter().zip(&columns) {
            assert!(same(text, field), "{name}: `{text}` and {field:?}");
        }
        count += 1;
    }
    assert!(rows.next().is_none(), "more rows than in the CSV");
    count
}

#[test]
fn cycles_of_both_models() {
    let vmin = vmin!();
    let work = ["--model", "builtin:shapes-cnn", "--format", "csv", "--parquet", "c.parquet"];
    for model in ["causal", "scalesim-v3"] {
        let mut arguments = vec!["cycles", "--accelerator", "gemmini-16", "--cycle-model", model];
        arguments.extend(work);
        let csv = vmin.ok(&arguments);
        assert!(compare(&csv, vmin.read("c.parquet")) > 3);
    }
    let arguments = ["cycles", "--accelerator", "tpu-v1", "--attention", "8,16,4,2,3"];
    let csv = vmin.ok(&[&arguments[..], &work[2..]].concat());
    assert_eq!(compare(&csv, vmin.read("c.parquet")), 7);
    for name in ["query", "key", "value", "scores", "softmax", "context", "output"] {
        assert!(csv.contains(&format!("attention.{name},")), "{csv}");
    }
}

#[test]
fn energy_at_several_voltages() {
    let vmin = vmin!();
    let accelerator = ["energy", "--accelerator", "gemmini-16", "--profile", "sram14"];
    let work = ["--vdd-mv", "900,850", "--model", "builtin:shapes-cnn", "--format", "csv"];
    let csv = vmin.ok(&[&accelerator[..], &work, &["--parquet", "e.parquet"]].concat());
    assert!(compare(&csv, vmin.read("e.parquet")) > 20);
}

#[test]
fn every_point_of_a_space() {
    let vmin = vmin!();
    vmin.ok(&["explore", "--out", "out"]);
    assert!(compare(&vmin.text("out/explore.csv"), vmin.read("out/explore.parquet")) > 100);
}

#[test]
fn every_dataflow_is_a_word_of_the_command_line_and_of_the_schemas() {
    let words: Vec<&str> = vmin_accel::Dataflow::ALL.iter().map(|(word, _)| *word).collect();
    let lists = [
        ("accelerator", "/properties/array/properties/dataflow/enum"),
        ("accelerator", "/properties/array/properties/also/enum"),
        ("space", "/properties/vary/properties/dataflow/items/enum"),
        (
            "recipe",
            "/properties/bit_errors/properties/population/properties/streamed/properties/dataflow/enum",
        ),
    ];
    for (kind, place) in lists {
        let path = vmin_testkit::root().join(format!("schemas/{kind}.schema.json"));
        let schema: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(schema.pointer(place), Some(&serde_json::json!(words)), "{kind}: {place}");
    }
    let vmin = vmin!();
    let shape = ["--accelerator", "gemmini-16", "--trace", "2x2:2x3x4", "--format", "csv"];
    for word in words {
        let arguments = [&["cycles", "--dataflow", word], &shape[..]].concat();
        assert!(vmin.ok(&arguments).contains(&format!("\n{word},")), "{word}");
    }
}

#[test]
fn tables_of_cycles_fit_a_terminal() {
    let vmin = vmin!();
    let works = [
        ["--model", "builtin:shapes-cnn"],
        ["--attention", "2048,4096,32"],
        ["--attention", "16,64,1"],
    ];
    for accelerator in vmin_accel::Accelerator::names() {
        let description = vmin_accel::Accelerator::load(accelerator).expect("shipped");
        let has_dram = description.dram.is_some();
        for [work, name] in works {
            let run = ["cycles", "--accelerator", accelerator, work, name];
            // 64 MiB of weights lie in no chip without DRAM.
            if !has_dram && name.starts_with("2048") {
                let refused = vmin.run(&run);
                assert!(String::from_utf8_lossy(&refused.stderr).contains("does-not-fit"));
                continue;
            }
            let table = vmin.ok(&run);
            let widest = table.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(80), "{accelerator} {name}: {widest:?}\n{table}");
            assert!(table.contains("cycles") && table.contains("utilization"), "{table}");
        }
    }
}
