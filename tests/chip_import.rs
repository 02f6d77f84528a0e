//! `vmin chip import`, `export`, `inspect` and `eval --chip` on the command line.

use std::process::Output;

use serde_json::Value;
use vmin_testkit::vmin;

const LIST: &str = "bank,row,column,vdd_mv,kind,probability
0,0,3,590,stuck_at_0,0.5
0,0,3,580,stuck_at_0,1
1,7,6,580,flip,1
";

#[test]
fn a_list_becomes_a_chip_that_is_inspected_exported_and_run() {
    let vmin = vmin!();
    vmin.write("faults.csv", LIST);
    let size = ["--banks", "2", "--rows", "8", "--columns", "8", "--source", "a board"];
    let import =
        [&["chip", "import", "faults.csv", "--out", "a.chip", "--format", "json"], &size[..]];
    let imported = vmin.json(&import.concat());
    assert_eq!(imported["faults"], serde_json::json!([1, 2]));
    assert_eq!(imported["vdd_mv"], serde_json::json!([590.0, 580.0]));
    assert_eq!(imported["cells"], 128);

    let inspected = vmin.json(&["chip", "inspect", "a.chip", "--format", "json"]);
    assert_eq!(inspected["faults"], serde_json::json!([1, 2]));
    assert_eq!(inspected["nesting_violations"], 0);
    assert_eq!(inspected["fault_kind"], "measured", "one cell is stuck, one inverts");

    let export = ["chip", "export", "a.chip", "--format-out", "list", "--out", "again.csv"];
    vmin.ok(&export);
    let again = ["chip", "import", "again.csv", "--out", "again.chip"];
    vmin.ok(&again);
    assert_eq!(vmin.read("a.chip"), vmin.read("again.chip"));

    let eval =
        ["eval", "--model", "builtin:shapes-cnn", "--data", "builtin:shapes", "--images", "0..8"];
    let at = |more: &[&str]| {
        vmin.run(&[&eval[..], &["--format", "json", "--chip", "a.chip"], more].concat())
    };
    let json = |output: &Output| -> Value {
        serde_json::from_slice(&output.stdout).expect("one JSON document")
    };
    let count = |ran: &Value, key: &str| ran[key].as_u64().expect("a count");
    // One cell is stuck, one inverts: each does what it was measured to do.
    let both = json(&at(&["--vdd-mv", "580"]));
    let (hit, flips) = (count(&both, "cells_hit"), count(&both, "flips"));
    assert!(hit.abs_diff(count(&both, "stored_bits") / 64) <= 2, "every copy of both");
    assert!(
        hit / 2 < flips && flips < hit,
        "{flips}: inverted ones and some of those that are stuck"
    );
    // At the higher voltage there is the stuck one alone, which errs half of the time.
    let stuck = at(&["--vdd-mv", "590"]);
    assert!(String::from_utf8_lossy(&stuck.stderr).contains("a probability below 1"));
    let stuck = json(&stuck);
    let (hit, copies) = (count(&stuck, "cells_hit"), count(&stuck, "stored_bits") / 128);
    // Of some 3,200 copies a half, with a standard deviation of 28.
    assert!(hit.abs_diff(copies / 2) < 170, "{hit} of {copies} copies");
    assert!(count(&stuck, "flips") < hit, "some bits are 0 already");
    let other = json(&at(&["--vdd-mv", "590", "--chip-seed", "2"]));
    assert_ne!(count(&other, "cells_hit"), 0);
    assert_ne!(other["flips"], stuck["flips"], "another seed draws others");

    let ran = json(&at(&["--vdd-mv", "580", "--fault-kind", "flip"]));
    assert_eq!(ran["cell_fault_rate"], 2.0 / 128.0);
    // Of every 128 cells two are faulty, and inverted ones change whatever they store.
    let (hit, bits) = (ran["cells_hit"].as_u64(), ran["stored_bits"].as_u64());
    let (hit, bits) = (hit.expect("a count"), bits.expect("a count"));
    assert!(hit.abs_diff(bits / 64) <= 2, "{hit} of {bits}");
    assert_eq!(ran["flips"], ran["cells_hit"]);
    let between = at(&["--vdd-mv", "585"]);
    assert_eq!(between.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&between.stderr).contains("590, 580"), "the levels are named");
}

#[test]
fn the_public_board_gives_its_figures() {
    let Some(data) = vmin_testkit::data("chips/kc705b") else { return };
    let vmin = vmin!();
    let files: Vec<String> = (53..60)
        .map(|volts| data.join(format!("KC705B-0.{volts}.bin.gz")).display().to_string())
        .collect();
    let mut arguments = vec!["chip", "import"];
    arguments.extend(files.iter().map(String::as_str));
    arguments.extend(["--written", "0xFFFF", "--words-per-bank", "1024", "--column-mux", "2"]);
    arguments.extend(["--out", "board.chip", "--format", "json"]);
    let imported = vmin.json(&arguments);
    let inspected = vmin.json(&["chip", "inspect", "board.chip", "--format", "json"]);
    for found in [&imported, &inspected] {
        assert_eq!(found["faults"], serde_json::json!([1, 4, 13, 31, 126, 345, 1137]));
        assert_eq!(found["nesting_violations"], 6);
        assert_eq!(found["columns_hit"], 310);
        assert_eq!(found["max_per_column"], 61);
        assert_eq!(found["share_stuck_at_0"], 1.0);
    }
    assert_eq!(imported["folded_duplicates"], true);
}

/// A column of voltages at which cells first fail needs its meaning told, under whatever name it goes.
#[test]
fn a_list_of_first_failures_is_known_by_its_header() {
    let vmin = vmin!();
    vmin.write(
        "m.csv",
        "Bank,Row,Col,Voltage at which it first fails (mV)\n0,1,2,800\n0,3,4,780\n",
    );
    let size = ["--banks", "1", "--rows", "16", "--columns", "8", "--failure-kind", "flip"];
    let import = [&["chip", "import", "m.csv", "--out", "x.chip"], &size[..]].concat();
    let refused = vmin.run(&import);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("add `--meaning first-fails`"), "{told}");
    vmin.ok(&[&import[..], &["--meaning", "first-fails"]].concat());
    let chip = vmin.json(&["chip", "inspect", "x.chip", "--format", "json"]);
    assert_eq!(chip["vdd_mv"], serde_json::json!([800.0, 780.0]));
    assert_eq!(chip["faults"], serde_json::json!([1, 2]));
}
