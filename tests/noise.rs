//! `vmin noise` on the command line: its bits are those that `vmin eval` counts, its pictures those that it measures.

use std::collections::BTreeMap;

use serde_json::Value;
use vmin_testkit::{Vmin, vmin};

const NETWORK: [&str; 4] = ["--model", "builtin:shapes-cnn", "--data", "builtin:shapes"];
const AT: [&str; 4] = ["--images", "0..7", "--profile", "sram14"];

fn noise(vmin: &Vmin, more: &[&str]) -> Value {
    vmin.json(&[&["noise"], &NETWORK[..], &AT, &["--format", "json"], more].concat())
}

/// Values of a column by memory, of the rows at a supply.
fn sums(of: &Value, vdd_mv: f64, column: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for row in of["rows"].as_array().expect("rows") {
        if row["vdd_mv"].as_f64() == Some(vdd_mv) {
            let memory = row["memory"].as_str().expect("a word").to_owned();
            *sums.entry(memory).or_insert(0.0) += row[column].as_f64().expect("a number");
        }
    }
    sums
}

#[test]
fn every_changed_bit_is_one_that_eval_counts() {
    let vmin = vmin!();
    for more in
        [&["--fault-kind", "flip"][..], &["--fault-kind", "stuck_at", "--protect", "parity"]]
    {
        let chip = [&["--chip", "3"], more].concat();
        let found = noise(&vmin, &[&["--vdd-mv", "850,870"], &chip[..]].concat());
        for (mv, vdd_mv) in [("850", 850.0), ("870", 870.0)] {
            let lowered = ["--vdd-mv", mv, "--activation-vdd-mv", "same", "--format", "json"];
            let eval = vmin.json(&[&["eval"], &NETWORK[..], &AT, &lowered, &chip].concat());
            let bits = sums(&found, vdd_mv, "hamming_mean");
            let flips = |of: &str| eval[of].as_f64().expect("a number");
            assert_eq!(bits["weight"], flips("flips"), "{mv} {more:?}");
            let activations = 7.0 * (bits["input"] + bits["activation"]);
            assert!((activations - flips("activation_flips")).abs() < 1e-6, "{mv} {more:?}");
            assert!(flips("flips") > 0.0 && flips("activation_flips") > 0.0);
        }
    }
}

#[test]
fn means_over_chips_are_those_of_single_chips_and_maxima_their_largest() {
    let vmin = vmin!();
    let at = |chip| noise(&vmin, &["--vdd-mv", "840", "--chip", chip]);
    let (all, each) = (at("0..2"), ["0", "1", "2"].map(at));
    let rows = |of: &Value| of["rows"].as_array().expect("rows").clone();
    for (index, row) in rows(&all).iter().enumerate() {
        for norm in ["l0", "l1", "l2", "linf", "hamming"] {
            let of = |kind: &str| {
                each.each_ref()
                    .map(|of| rows(of)[index][format!("{norm}_{kind}")].as_f64().unwrap())
            };
            let mean = of("mean").iter().sum::<f64>() / 3.0;
            let most = of("max").into_iter().fold(0.0, f64::max);
            let found = |kind: &str| row[format!("{norm}_{kind}")].as_f64().unwrap();
            assert!((found("mean") - mean).abs() <= 1e-9 * mean.max(1.0), "{norm} of {row}");
            assert_eq!(found("max"), most, "{norm} of {row}");
        }
    }
}

/// Width and pixels of a PGM or PPM.
fn pixels(file: &[u8]) -> (usize, &[u8]) {
    let mut lines = file.splitn(5, |&byte| byte == b'\n');
    assert_eq!(lines.nth(1), Some(&b"# vmin noise"[..]));
    let size = std::str::from_utf8(lines.next().expect("a size")).expect("text");
    let width = size.split(' ').next().and_then(|width| width.parse().ok()).expect("a width");
    assert_eq!(lines.next(), Some(&b"255"[..]));
    (width, lines.next().expect("pixels"))
}

#[test]
fn pictures_differ_where_the_memory_errs() {
    let vmin = vmin!();
    let out = ["--vdd-mv", "840", "--images-out", "pictures", "--pictures", "7"];
    let found = noise(&vmin, &out);
    let files = std::fs::read_dir(vmin.path("pictures")).expect("a folder").count();
    assert_eq!(files, 14);
    let ending = if vmin.path("pictures/image-0.pgm").exists() { "pgm" } else { "ppm" };
    let mut changed = 0;
    for image in 0..7 {
        let clean = vmin.read(format!("pictures/image-{image}.{ending}"));
        let read = vmin.read(format!("pictures/image-{image}-840mv.{ending}"));
        let ((width, clean), (_, read)) = (pixels(&clean), pixels(&read));
        let channels = clean.len() / width / width;
        let pairs = clean.chunks(channels).zip(read.chunks(channels));
        changed += pairs.filter(|(clean, read)| clean != read).count();
    }
    let input = found["rows"].as_array().expect("rows").iter().find(|row| row["memory"] == "input");
    let pixels = 7.0 * input.expect("the input")["pixels_mean"].as_f64().expect("a number");
    // A change beyond black or white shows no difference.
    assert!(changed > 0 && changed as f64 <= pixels + 1e-9, "{changed} of {pixels}");
    // Its own files are replaced, others are kept.
    noise(&vmin, &out);
    vmin.write(format!("pictures/image-3.{ending}"), "mine");
    let output = vmin.run(&[&["noise"], &NETWORK[..], &AT, &out].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("which is kept"));
}

#[test]
fn the_table_fits_a_terminal_and_names_the_budgets() {
    let vmin = vmin!();
    let table = vmin.ok(&[&["noise"], &NETWORK[..], &AT, &["--vdd-mv", "850"]].concat());
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(table.contains("MNIST") && table.contains("CIFAR-10") && table.contains("weight "));
    let csv = [&["noise"], &NETWORK[..], &AT, &["--vdd-mv", "850", "--format", "csv"]].concat();
    assert!(vmin.ok(&csv).starts_with("vdd_mv,memory,tensor,values,changed_share,l0_mean,"));
}
