//! Lots of chips: sampled by number, named by patterns, and kept from outputs of other kinds.

use vmin_testkit::{Vmin, vmin};

const SIZE: [&str; 6] = ["--rows", "64", "--columns", "16", "--banks", "4"];

fn sample(vmin: &Vmin, rest: &[&str]) -> serde_json::Value {
    let call = ["chip", "sample", "--profile", "fpga28-kc705b", "--seed", "1", "--format", "json"];
    vmin.json(&[&call[..], &SIZE, rest].concat())
}

#[test]
fn a_lot_is_the_chips_that_are_sampled_one_by_one() {
    let vmin = vmin!();
    let lot = sample(&vmin, &["--chip", "9", "--count", "3", "--out", "lot/board-{}.chip"]);
    let files: Vec<&str> = lot["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row["file"].as_str())
        .collect();
    assert_eq!(files, ["lot/board-9.chip", "lot/board-10.chip", "lot/board-11.chip"]);
    for (number, row) in (9..).zip(lot["rows"].as_array().expect("rows")) {
        let one = sample(&vmin, &["--chip", &number.to_string(), "--out", "one.chip"]);
        assert_eq!(vmin.read("one.chip"), vmin.read(row["file"].as_str().expect("a name")));
        assert_eq!(one["faults"].as_array().and_then(|all| all.last()), Some(&row["faults"]));
    }
    sample(&vmin, &["--count", "2", "--out", "{}/of-{}.chip"]);
    assert!(vmin.path("0/of-0.chip").exists() && vmin.path("1/of-1.chip").exists());
    vmin.write("kept/chip-1.chip", "a text of somebody");
    let call = ["chip", "sample", "--profile", "fpga28-kc705b", "--seed", "1", "--count", "2"];
    let refused = vmin.run(&[&call[..], &SIZE, &["--out", "kept"]].concat());
    assert_eq!(refused.status.code(), Some(2));
    assert!(!vmin.path("kept/chip-0.chip").exists(), "none or all");
    sample(&vmin, &["--count", "2", "--out", "folder"]);
    assert!(vmin.path("folder/chip-0.chip").exists() && vmin.path("folder/chip-1.chip").exists());
}

#[test]
fn a_pattern_is_its_files_in_sorted_order() {
    let vmin = vmin!();
    sample(&vmin, &["--count", "3", "--out", "lot/board-{}.chip"]);
    // A pattern begins at the folder of the experiment, whatever that is called.
    let experiment = |out: &str, files: &str| {
        let text = format!(
            "name = \"measured\"\nnetwork = {{ model = \"builtin:shapes-cnn\" }}\n\
             data = {{ set = \"builtin:shapes\", images = 8 }}\n\
             accelerator = {{ model = \"gemmini-16\" }}\n\
             memory = {{ profile = \"fpga28-kc705b\", vdd_mv = [550] }}\nchips = {{ files = [{files}] }}\n"
        );
        vmin.write("[odd]/a.toml", text);
        let sweep = vmin.json(&["sweep", "[odd]/a.toml", "--out", out, "--format", "json"]);
        (sweep["points"].clone(), sweep["chips"].clone(), sweep["provenance"]["inputs"].clone())
    };
    let by_pattern = experiment("by-pattern", "\"../lot/*.chip\"");
    let names = ["0", "1", "2"].map(|of| format!("\"../lot/board-{of}.chip\"")).join(", ");
    let by_name = experiment("by-name", &names);
    assert_eq!(by_pattern.1.as_array().map(Vec::len), Some(3));
    assert_eq!((by_pattern.0, by_pattern.1), (by_name.0, by_name.1));
    let chips = |inputs: &serde_json::Value| -> Vec<serde_json::Value> {
        let all = inputs.as_array().expect("a list").iter();
        all.filter(|input| input["role"] == "chip").cloned().collect()
    };
    assert_eq!(chips(&by_pattern.2), chips(&by_name.2));

    let eval =
        ["eval", "--model", "builtin:shapes-cnn", "--data", "builtin:shapes", "--images", "0..8"];
    let chosen = |chips: &[&str]| {
        vmin.json(&[&eval[..], &["--vdd-mv", "540", "--format", "json"], chips].concat())
    };
    let at = |chip: &str| chosen(&["--chip", chip]);
    let lot = at("lot/board-?.chip");
    let listed =
        chosen(&["--chip", "lot/board-0.chip", "lot/board-[1].chip", "--chip", "lot/board-2.chip"]);
    let results = |of: &serde_json::Value| {
        let chips = of["chips"].as_array().expect("chips").iter();
        chips.map(|of| (of["chip_file"].clone(), of["flips"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(results(&listed), results(&lot));
    for (number, of) in lot["chips"].as_array().expect("chips").iter().enumerate() {
        let file = format!("lot/board-{number}.chip");
        assert_eq!(of["chip_file"], file.as_str());
        let one = at(&file);
        assert_eq!((&of["flips"], &of["correct"]), (&one["flips"], &one["correct"]));
    }
    let fit = |chips: &[&str]| {
        vmin.ok(&[&["chip", "fit", "--replicates", "20", "--format", "json"], chips].concat())
    };
    let names = ["lot/board-0.chip", "lot/board-1.chip", "lot/board-2.chip"];
    assert_eq!(fit(&["lot/*.chip"]), fit(&names));
}

#[test]
fn outputs_replace_their_like_and_keep_other_files() {
    let vmin = vmin!();
    sample(&vmin, &["--out", "a.chip"]);
    vmin.write("x.npy", vmin_npy());
    let outputs: [(&[&str], &str); 6] = [
        (&["chip", "draw", "a.chip", "--vdd-mv", "540", "--out"], "map.svg"),
        (&["chip", "export", "a.chip", "--format-out", "list", "--out"], "faults.csv"),
        (&["chip", "fit", "a.chip", "--replicates", "20", "--out"], "lot.toml"),
        (&["model", "convert", "builtin:shapes-cnn", "--output"], "net.safetensors"),
        (&["model", "run", "builtin:shapes-cnn", "--input", "x.npy", "--output"], "y.npy"),
        (
            &["cycles", "--accelerator", "gemmini-16", "--model", "builtin:shapes-cnn", "--report"],
            "a.html",
        ),
    ];
    for (call, file) in outputs {
        let call = [call, &[file]].concat();
        vmin.ok(&call);
        let first = vmin.read(file);
        vmin.ok(&call);
        assert_eq!(vmin.read(file), first, "{file}: replaced by its like");
        vmin.write(file, "a letter");
        let kept = vmin.run(&call);
        assert_eq!(kept.status.code(), Some(2), "{file}");
        assert!(String::from_utf8_lossy(&kept.stderr).contains("which is kept"), "{file}");
        assert_eq!(vmin.text(file), "a letter");
    }
    let export = ["chip", "export", "a.chip", "--format-out", "npy", "--out", "maps"];
    vmin.ok(&export);
    vmin.ok(&export);
    let first = std::fs::read_dir(vmin.path("maps")).expect("a folder").flatten().next();
    let name = first.expect("a file").path();
    std::fs::write(&name, b"\x93NUMPY measured elsewhere").expect("written");
    assert_eq!(vmin.run(&export).status.code(), Some(2), "another map is kept");
}

/// One image of zeros for `builtin:shapes-cnn`.
fn vmin_npy() -> Vec<u8> {
    let header = "{'descr': '|i1', 'fortran_order': False, 'shape': (1, 16, 16, 1), }\n";
    let length = u16::try_from(header.len()).expect("short").to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &[0; 256]].concat()
}

#[cfg(target_os = "linux")]
#[test]
fn files_lie_beside_an_experiment_whose_folder_is_no_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let vmin = vmin!();
    let folder = vmin.path(OsStr::from_bytes(b"odd-\xff"));
    std::fs::create_dir(&folder).expect("made");
    let shipped = vmin_testkit::root().join("accel-models/gemmini-16.toml");
    std::fs::copy(shipped, folder.join("mine.toml")).expect("copied");
    let text = "name = \"odd\"\nnetwork = { model = \"builtin:shapes-cnn\" }\n\
                data = { set = \"npz:none.npz\" }\naccelerator = { model = \"./mine.toml\" }\n\
                memory = { profile = \"sram14\", vdd_mv = [900] }\nchips = { count = 1, seed = 1 }\n";
    std::fs::write(folder.join("a.toml"), text).expect("written");
    let mut command = vmin.command(&["check"]);
    let output = command.arg(folder.join("a.toml")).output().expect("it runs");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(message.matches("error[").count(), 1, "only the images are missing: {message}");
    assert!(message.contains("error[data]"), "{message}");
    std::fs::write(folder.join("none.npz"), b"no archive").expect("written");
    let output = vmin.command(&["check"]).arg(folder.join("a.toml")).output().expect("it runs");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!message.contains("No such file"), "the file is found: {message}");
}

#[test]
fn a_chip_counts_once() {
    let vmin = vmin!();
    sample(&vmin, &["--count", "2", "--out", "lot"]);
    let eval =
        "eval --model builtin:shapes-cnn --data builtin:shapes --images 0..2 --vdd-mv 550 --chip";
    let of = |chips: &[&str]| {
        let words: Vec<&str> = eval.split(' ').chain(chips.iter().copied()).collect();
        vmin.run(&words)
    };
    let refused = of(&["lot/*.chip", "lot/chip-1.chip"]);
    assert_eq!(refused.status.code(), Some(2));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(message.contains("chip file `lot/chip-1.chip` is named twice"), "{message}");
    assert!(of(&["lot/*.chip"]).status.success());
}

#[cfg(target_os = "linux")]
#[test]
fn a_pattern_passes_over_no_name_that_is_not_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let vmin = vmin!();
    sample(&vmin, &["--count", "2", "--out", "lot"]);
    let odd = vmin.path("lot").join(OsStr::from_bytes(b"odd-\xff.chip"));
    std::fs::copy(vmin.path("lot/chip-1.chip"), &odd).expect("copied");
    let experiment = "name = \"odd\"\nnetwork = { model = \"builtin:shapes-cnn\" }\n\
                      data = { set = \"builtin:shapes\", images = 4 }\naccelerator = { model = \"gemmini-16\" }\n\
                      memory = { profile = \"sram14\", vdd_mv = [550] }\nchips = { files = [\"l*/*.chip\"] }\n";
    vmin.write("odd.toml", experiment);
    let eval = "eval --model builtin:shapes-cnn --data builtin:shapes --images 0..2 --vdd-mv 550";
    let deploy = "deploy builtin:shapes-cnn --vdd-mv 550 --out out";
    for command in [
        &format!("{eval} --chip l*/*.chip"),
        &format!("{deploy} --chip lot/[a-z]*"),
        "check odd.toml",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let output = vmin.run(&words);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command}: {message}");
        let told = "matches names that are not UTF-8: `lot/odd-\u{fffd}.chip`";
        assert!(message.contains(told), "{command}: {message}");
    }
    // What the pattern does not match is in nobody's way.
    let words: Vec<&str> = eval.split(' ').chain(["--chip", "lot/chip*"]).collect();
    assert!(vmin.run(&words).status.success());
}
