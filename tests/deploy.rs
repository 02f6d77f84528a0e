//! `vmin deploy`: its files say what the chip holds, and `vmin eval --deployed` runs what they say.

use std::path::Path;

use serde_json::Value;
use vmin_testkit::{Vmin, vmin};

const IMAGES: [&str; 4] = ["--data", "builtin:shapes", "--images", "20..80"];
const MODEL: &str = "builtin:shapes-cnn";

/// Options of chips, and remedies: word or table.
const CASES: [(&str, &[&str]); 4] = [
    ("--profile sram14 --vdd-mv 836 --fault-kind stuck_at", &["invert_rows", "closest_code"]),
    (
        "--profile sram14 --vdd-mv 836 --fault-kind stuck_at --chip 2..4 --chip-seed 9 --placement streamed \
         --activation-vdd-mv same --accumulator-vdd-mv 900",
        &[
            "strongest_rows",
            "permute_channels",
            "rotate_bits",
            "closest_code",
            "{ kind = \"compensate\", images = 8 }",
            "{ kind = \"strongest_rows\", memory = \"activation\" }",
            "{ kind = \"secded\", data_bits = 32, memory = \"accumulator\" }",
        ],
    ),
    (
        "--rate 0.01 --bits 4 --chip 0..1 --accelerator edge-14nm",
        &["permute_channels", "rotate_bits", "compensate", "{ kind = \"parity\" }"],
    ),
    (
        "--profile sram14 --vdd-mv 850 --fault-kind stuck_at --read-noise-mv 5 --chip 7 --known {reads=3}",
        &["invert_rows", "{ kind = \"secded\", data_bits = 64 }"],
    ),
];

fn deploy(vmin: &Vmin, chips: &str, remedies: &[&str], more: &[&str]) -> Value {
    let remedies: Vec<&str> = remedies.iter().flat_map(|&of| ["--remedy", of]).collect();
    let chips: Vec<&str> = chips.split_whitespace().collect();
    let words = [&["deploy", MODEL, "--out", "out", "--format", "json"], &IMAGES[..], &chips];
    vmin.json(&[&words.concat()[..], &remedies, more].concat())
}

/// What an evaluation says of single chips.
fn of_chips(evaluated: &Value) -> Vec<&Value> {
    let several = evaluated.get("chips").and_then(Value::as_array);
    several.map_or_else(|| vec![evaluated], |chips| chips.iter().collect())
}

#[test]
fn eval_of_the_files_is_eval_of_the_options_image_by_image() {
    for (chips, remedies) in CASES {
        let vmin = vmin!();
        let deployed = deploy(&vmin, chips, remedies, &[]);
        let eval = ["eval", "--format", "json", "--predictions", "of-files.csv"];
        let of_files = vmin.json(&[&eval[..], &IMAGES, &["--deployed", "out"]].concat());
        let eval =
            ["eval", "--model", MODEL, "--format", "json", "--predictions", "of-options.csv"];
        let chips: Vec<&str> = chips.split_whitespace().collect();
        let protect: Vec<&str> = remedies.iter().flat_map(|&of| ["--protect", of]).collect();
        let of_options = vmin.json(&[&eval[..], &IMAGES, &chips, &protect].concat());
        assert_eq!(vmin.text("of-files.csv"), vmin.text("of-options.csv"), "{remedies:?}");
        let listed = deployed["chips"].as_array().expect("a list");
        let [of_files, of_options] = [of_chips(&of_files), of_chips(&of_options)];
        assert_eq!([listed.len(), of_files.len()], [of_options.len(); 2]);
        for ((listed, file), option) in listed.iter().zip(of_files).zip(of_options) {
            assert_eq!(listed["err_deployed"], option["err"]);
            assert_eq!(listed["flips_deployed"], option["flips"]);
            for key in ["err", "flips", "activation_flips", "accumulator_flips", "cells_hit"] {
                assert_eq!(file.get(key), option.get(key), "{key} {remedies:?}");
            }
            assert_ne!(listed["flips_unprotected"], 0, "no errors, no test");
        }
        // Nothing of it depends on when and where it is written, or on threads.
        let before =
            vmin.text(if listed.len() > 1 { "out/chips.csv" } else { "out/manifest.json" });
        let _ = deploy(&vmin, &chips.join(" "), remedies, &["--jobs", "1"]);
        let after = vmin.text(if listed.len() > 1 { "out/chips.csv" } else { "out/manifest.json" });
        assert_eq!(before, after);
    }
}

/// The rows of a `$readmemh` file by number, as digits.
fn mem(vmin: &Vmin, name: &str) -> Vec<(u64, String)> {
    let mut next = 0;
    let mut rows = Vec::new();
    for line in vmin.text(name).lines().filter(|line| !line.starts_with("//")) {
        if let Some(address) = line.strip_prefix('@') {
            next = u64::from_str_radix(address, 16).expect("hex");
        } else {
            rows.push((next, line.to_owned()));
            next += 1;
        }
    }
    rows
}

/// The bytes of an array of `u1`.
fn npy(vmin: &Vmin, name: impl AsRef<Path>) -> Vec<u8> {
    let bytes = vmin.read(name);
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[10 + header..].to_vec()
}

#[test]
fn images_flags_and_masks_tell_the_codes_that_are_read() {
    let vmin = vmin!();
    let (chips, remedies) = CASES[0];
    let deployed = deploy(&vmin, chips, remedies, &["--masks"]);
    let rows = mem(&vmin, "out/weights.mem");
    let flags = mem(&vmin, "out/flags.mem");
    assert_eq!(rows.len(), flags.len());
    // Bit after bit, first column first, through the flags; and the same from the raw bits.
    let mut bits = Vec::new();
    for ((row, digits), (of_flag, flag)) in rows.iter().zip(&flags) {
        assert_eq!(row, of_flag);
        for digit in digits.chars().rev() {
            let digit = digit.to_digit(16).expect("hex");
            bits.extend((0..4).map(|bit| (digit >> bit & 1 == 1) != (flag == "1")));
        }
    }
    let raw = vmin.read("out/weights.bin");
    let columns = rows[0].1.len() * 4;
    for (index, bit) in bits.iter().enumerate() {
        let flag = flags[index / columns].1 == "1";
        assert_eq!(raw[index / 8] >> (index % 8) & 1 == 1, *bit != flag);
    }
    let hex: Vec<u8> = vmin
        .text("out/weights.hex")
        .lines()
        .filter(|line| &line[7..9] == "00")
        .flat_map(|line| {
            let digits = &line[9..line.len() - 2];
            let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex");
            (0..digits.len()).step_by(2).map(byte).collect::<Vec<u8>>()
        })
        .collect();
    assert_eq!(hex, raw);
    let mut names: Vec<String> = std::fs::read_dir(vmin.path("out/read/codes"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    // Resident codes of 8 bits lie one behind the other.
    let mut first = 0;
    let mut firsts = Vec::new();
    let mut sites = 0;
    for name in &names {
        let file = |folder: &str| npy(&vmin, format!("out/{folder}/{name}"));
        let [and, or, xor] = ["masks/and", "masks/or", "masks/xor"].map(file);
        let (read, integers) = (file("read/codes"), file("read/integers"));
        firsts.push(first);
        for code in 0..read.len() {
            let bit = |bit: usize| u8::from(bits[first + code * 8 + bit]) << bit;
            let written = (0..8).map(bit).sum::<u8>();
            assert_eq!((written & and[code] | or[code]) ^ xor[code], read[code], "{name} {code}");
            assert_eq!(integers[code], read[code] ^ 0x80, "offset binary");
            sites += (!and[code] | xor[code]).count_ones();
        }
        first += read.len() * 8;
    }
    let listed = vmin.text("out/masks/sites.csv");
    let mut count = 0;
    for line in listed.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |at: usize| fields[at].parse::<usize>().expect("a number");
        let address = firsts[number(0)] + number(1) * 8 + number(2);
        assert_eq!(number(4) * columns + number(5), address);
        assert!(["stuck0", "stuck1"].contains(&fields[3]));
        count += 1;
    }
    assert_eq!(count, sites);
    assert_eq!(deployed["cells_faulty"], sites);
    assert!(deployed["codes_changed"].as_u64() > Some(0));
}

/// The error of `vmin eval --deployed out`.
fn refusal(vmin: &Vmin) -> String {
    let output = vmin.run(&[&["eval", "--deployed", "out"], &IMAGES[..]].concat());
    assert!(!output.status.success());
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// Writes a file of the deployment, with a manifest that knows it.
fn replace(vmin: &Vmin, name: &str, bytes: &[u8]) {
    vmin.write(format!("out/{name}"), bytes);
    let mut manifest: Value = serde_json::from_str(&vmin.text("out/manifest.json")).expect("JSON");
    manifest["files"][name] = vmin_files::sha256(bytes).into();
    vmin.write("out/manifest.json", manifest.to_string());
}

#[test]
fn a_file_that_changed_is_named() {
    let vmin = vmin!();
    let _ = deploy(&vmin, CASES[0].0, CASES[0].1, &[]);
    for name in ["weights.bin", "flags.csv", "biases.csv", "weights.mem"] {
        let good = vmin.read(format!("out/{name}"));
        let mut bad = good.clone();
        let last = bad.len() - 2;
        bad[last] ^= 1;
        vmin.write(format!("out/{name}"), bad);
        let said = refusal(&vmin);
        assert!(said.contains("changed-file") && said.contains(&format!("out/{name}`")), "{said}");
        vmin.write(format!("out/{name}"), good);
    }
    std::fs::remove_file(vmin.path("out/weights.bin")).expect("removed");
    assert!(refusal(&vmin).contains("weights.bin"));
}

#[test]
fn what_the_files_say_is_what_runs() {
    let vmin = vmin!();
    let _ = deploy(&vmin, CASES[0].0, CASES[0].1, &[]);
    // Other biases: the chip predicts something else than the manifest expects.
    let biases = vmin.text("out/biases.csv");
    let zero = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        format!("{},{},0,{}\n", fields[0], fields[1], fields[3])
    };
    let (header, rows) = biases.split_once('\n').expect("a header");
    let without: String = rows.lines().map(zero).collect();
    replace(&vmin, "biases.csv", format!("{header}\n{without}").as_bytes());
    assert!(refusal(&vmin).contains("predicts other classes"));
    replace(&vmin, "biases.csv", biases.as_bytes());
    // Other cells.
    let bits = vmin.read("out/weights.bin");
    let turned: Vec<u8> = bits.iter().map(|byte| byte ^ 0x80).collect();
    replace(&vmin, "weights.bin", &turned);
    assert!(refusal(&vmin).contains("predicts other classes"));
    // Too few rows, and rows that are named twice.
    replace(&vmin, "weights.bin", &bits[16..]);
    assert!(refusal(&vmin).contains("beyond `weights.bin`"));
    replace(&vmin, "weights.bin", &bits);
    for rows in ["0,1,0,0\n0,1,0,0", "0,1,0,1\n0,1,1,1", "0,0,0,0", "99,1,0,0"] {
        replace(&vmin, "channels.csv", format!("tensor,stride,place,channel\n{rows}\n").as_bytes());
        assert!(refusal(&vmin).contains("each place of an axis"), "{rows}");
    }
    replace(&vmin, "channels.csv", b"tensor,stride,place,channel\n");
    replace(&vmin, "rows.csv", b"memory,row,holds\nweight,1,2\nweight,1,3\n");
    assert!(refusal(&vmin).contains("each row of a memory holds one row"));
    replace(&vmin, "rows.csv", b"memory,row,holds\nweight,1,2\n");
    assert!(refusal(&vmin).contains("does not have the rows"));
}

#[test]
fn a_deployment_replaces_a_deployment_and_nothing_else() {
    let vmin = vmin!();
    let _ = deploy(&vmin, CASES[2].0, CASES[2].1, &[]);
    assert!(vmin.path("out/chip-1/manifest.json").exists());
    let _ = deploy(&vmin, CASES[0].0, CASES[0].1, &[]);
    assert!(vmin.path("out/manifest.json").exists() && !vmin.path("out/chip-1").exists());
    vmin.write("out/notes.txt", "mine");
    let options = ["deploy", MODEL, "--rate", "0.01", "--out", "out"];
    let output = vmin.run(&options);
    assert!(String::from_utf8_lossy(&output.stderr).contains("notes.txt"));
    assert_eq!(vmin.text("out/notes.txt"), "mine");
    assert_eq!(std::fs::read_dir(vmin.folder()).expect("listed").count(), 1, "no leftovers");
}

#[test]
fn the_table_fits_a_terminal_and_tells_the_yield() {
    let vmin = vmin!();
    let chips = "--profile sram14 --vdd-mv 836 --fault-kind stuck_at --chip 0..2 --budget-pct 5";
    let chips: Vec<&str> = chips.split_whitespace().collect();
    let table = vmin.ok(&[&["deploy", MODEL, "--out", "out"], &IMAGES[..], &chips].concat());
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(table.contains("at most 5 points") && table.contains("3/3 (100 %)"), "{table}");
    let plain = vmin.ok(&["deploy", MODEL, "--out", "plain", "--rate", "0.01"]);
    assert!(!plain.contains("error") && plain.contains("remedies: nearest codes"), "{plain}");
}

#[test]
fn fitted_biases_need_no_calibration_images() {
    let vmin = vmin!();
    let _ = deploy(&vmin, CASES[0].0, &["recalibrate"], &[]);
    let output = vmin.run(&[&["eval", "--deployed", "out"], &IMAGES[..]].concat());
    assert!(output.status.success());
    assert!(!String::from_utf8_lossy(&output.stderr).contains("calibrated"));
}

/// The energy of an inference is the sweep's of the same remedy at the same supplies.
#[test]
fn the_energy_is_that_of_a_sweep() {
    let vmin = vmin!();
    let mechanisms = [
        "{ kind = \"strongest_rows\", memory = \"accumulator\", share = 0.5 }",
        "{ kind = \"secded\", data_bits = 32, memory = \"accumulator\" }",
        "{ kind = \"safe_bits\", bits = 2, vdd_mv = 1000 }",
    ];
    vmin.write(
        "e.toml",
        format!(
            "name = \"energy\"\n[network]\nmodel = \"{MODEL}\"\n[data]\nset = \"builtin:shapes\"\nimages = 4\n\
             [accelerator]\nmodel = \"gemmini-16\"\nplacement = \"streamed\"\n[memory]\nprofile = \"sram14\"\n\
             vdd_mv = [836]\nfault_kind = \"stuck_at\"\n[memory.activation]\n[memory.accumulator]\nvdd_mv = 900\n\
             [chips]\ncount = 1\nseed = 1\n[[remedy]]\nname = \"all\"\nprotection = [{}]\n",
            mechanisms.join(", ")
        ),
    );
    vmin.ok(&["sweep", "e.toml", "--out", "sweep"]);
    let results: Value = serde_json::from_str(&vmin.text("sweep/results.json")).expect("JSON");
    let swept = &results["remedies"][1]["points"][0];
    let chips = "--profile sram14 --vdd-mv 836 --fault-kind stuck_at --placement streamed \
                 --activation-vdd-mv same --accumulator-vdd-mv 900";
    let energy = &deploy(&vmin, chips, &mechanisms, &[])["energy"];
    for key in ["energy_per_inference_nj", "energy_codec_nj", "energy_saving", "latency_us"] {
        assert_eq!(energy[key], swept[key], "{key}");
    }
    assert!(energy["energy_codec_nj"].as_f64() > Some(0.0), "{energy}");
    assert_eq!(energy["energy_nominal_nj"], results["clean"]["energy_per_inference_nj"]);
    // A rate alone has no energy.
    let vmin = vmin!();
    let of_rate = deploy(&vmin, "--rate 0.001", &["closest_code"], &[]);
    assert!(of_rate.get("energy").is_none(), "{of_rate}");
}

#[test]
fn an_empty_map_moves_no_row() {
    let vmin = vmin!();
    let at =
        ["--profile", "sram14", "--vdd-mv", "875", "--fault-kind", "stuck_at", "--chip", "0..2"];
    let remedy = ["--known", "{ vdd_mv = 1200 }", "--remedy", "strongest_rows"];
    let deploy = ["deploy", "builtin:shapes-cnn", "--out", "d", "--format", "json"];
    let answer = vmin.json(&[&deploy[..], &at, &remedy].concat());
    for chip in answer["chips"].as_array().expect("chips") {
        assert_eq!(chip["rows_moved"], 0);
        assert!(chip["flips_unprotected"].as_u64() > Some(0), "no faults, no test");
        assert_eq!(chip["flips_unprotected"], chip["flips_deployed"]);
    }
}
