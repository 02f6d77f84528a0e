//! Hostile and huge input: every loader ends soon, within little memory, with one message.
#![cfg(unix)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Output, Stdio};

use vmin_testkit::{Vmin, vmin};

/// Every loader: the file that it reads, and the arguments that name it.
const LOADERS: [(&str, &str); 25] = [
    ("f.toml", "check f.toml"),
    ("f.toml", "sweep f.toml"),
    ("f.toml", "explore f.toml"),
    ("f.toml", "train f.toml"),
    (
        "f.yaml",
        "energy --accelerator gemmini-16 --model builtin:shapes-cnn --profile sram14 --vdd-mv 900 --ert f.yaml",
    ),
    ("f.csv", "cycles --accelerator gemmini-16 --topology f.csv"),
    ("f.csv", "cycles --accelerator gemmini-16 --gemm f.csv"),
    ("f.cfg", "cycles --accelerator f.cfg --attention 8,8,1"),
    ("f.toml", "cycles --accelerator f.toml --attention 8,8,1"),
    ("f.tflite", "eval --model f.tflite --data builtin:shapes"),
    ("f.npz", "eval --model builtin:shapes-cnn --data npz:f.npz"),
    ("t10k-images-idx3-ubyte", "eval --model builtin:shapes-cnn --data mnist:."),
    ("t10k-images-idx3-ubyte.gz", "eval --model builtin:shapes-cnn --data mnist:."),
    ("test_batch.bin", "eval --model builtin:shapes-cnn --data cifar10:."),
    (
        "f.toml",
        "eval --model builtin:shapes-cnn --data builtin:shapes --vdd-mv 850 --profile f.toml",
    ),
    ("f.chip", "eval --model builtin:shapes-cnn --data builtin:shapes --vdd-mv 850 --chip f.chip"),
    ("f.safetensors", "model inspect f.safetensors"),
    ("f", "model inspect f"),
    ("f.npy", "model run builtin:shapes-cnn --input f.npy --output y.npy"),
    ("f.chip", "chip inspect f.chip"),
    ("f.csv", "chip import f.csv --out x.chip"),
    ("f.chip", "chip fit f.chip --out x.toml"),
    ("f.chip", "chip draw f.chip --vdd-mv 850 --out x.svg"),
    ("f.chip", "chip export f.chip --format-out list --out x.csv"),
    ("results.json", "report ."),
];

/// Starts the program within 1.5 GB of address space, threads and their stacks included.
fn start(vmin: &Vmin, arguments: &str) -> Child {
    let program = vmin.command(&[]);
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("ulimit -v 1500000; exec \"$0\" {arguments}"));
    limited.arg(program.get_program()).current_dir(vmin.folder()).env("NO_COLOR", "1");
    limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    limited.spawn().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// All loaders at once on what `make` puts at a path.
fn refused(make: impl Fn(&std::path::Path), told: &[&str]) {
    let running: Vec<_> = LOADERS
        .map(|(file, arguments)| {
            let vmin = vmin!();
            make(&vmin.path(file));
            let child = start(&vmin, arguments);
            (vmin, arguments, child)
        })
        .into();
    let wrong = running.into_iter().filter_map(|(_vmin, arguments, child)| {
        let output = child.wait_with_output().expect("it ends");
        let message = text(&output.stderr);
        let one = message.matches("error").count() == 1;
        let fine = output.status.code() == Some(2)
            && one
            && told.iter().any(|told| message.contains(told));
        (!fine).then(|| format!("{arguments}: {:?} {message}", output.status.code()))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_loader_reads_a_device() {
    refused(|path| symlink("/dev/zero", path).expect("linked"), &["it is a device"]);
}

#[test]
fn no_loader_reads_a_sparse_file_of_a_tebibyte() {
    let make = |path: &std::path::Path| {
        std::fs::File::create(path).and_then(|file| file.set_len(1 << 40)).expect("made");
    };
    // A gzip file or a zip archive of zeros is not one, which takes a look at its ends to know.
    refused(
        make,
        &["larger than", "more than the allowed", "does not decode", "not a readable npz"],
    );
}

#[test]
fn no_loader_waits_for_a_pipe_without_a_writer() {
    let make = |path: &std::path::Path| {
        assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
    };
    refused(make, &["a pipe that nobody writes to", "it is a pipe, and this format needs a file"]);
}

#[test]
fn no_loader_takes_a_folder_for_a_file() {
    refused(|path| std::fs::create_dir(path).expect("made"), &["it is a folder"]);
}

/// The program at the end of a pipeline of the shell.
fn piped(vmin: &Vmin, line: &str) -> Output {
    let program = vmin.command(&[]);
    let mut shell = Command::new("bash");
    shell.args(["-c", line]).arg(program.get_program());
    shell.current_dir(vmin.folder()).env("NO_COLOR", "1").output().expect("bash")
}

#[test]
fn pipes_that_end_are_read_and_endless_ones_are_not() {
    let vmin = vmin!();
    vmin.write("e.toml", vmin.ok(&["init"]));
    for line in ["cat e.toml | \"$0\" check /dev/stdin", "\"$0\" check <(sleep 0.1; cat e.toml)"] {
        let output = piped(&vmin, line);
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
    }
    let output = piped(&vmin, "yes | (ulimit -v 1500000; \"$0\" check /dev/stdin)");
    assert!(
        text(&output.stderr).contains("larger than 16777216 bytes"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn gzip_bombs_are_stopped() {
    let vmin = vmin!();
    // Of a list of faults, the longest line is bounded; of Parquet, the contents by the file.
    let made = piped(&vmin, "head -c 200000000 /dev/zero | gzip > bomb.csv.gz");
    assert!(made.status.success());
    let child = start(&vmin, "chip import bomb.csv.gz --format-in list --out x.chip");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn problems_are_counted_and_the_first_are_shown() {
    let vmin = vmin!();
    let keys: String = (0..30_000).map(|index| format!("k{index} = 1\n")).collect();
    vmin.write("keys.toml", keys);
    for command in ["check", "explore", "train"] {
        let output = vmin.run(&[command, "keys.toml"]);
        let message = text(&output.stderr);
        assert_eq!(message.matches("error[").count(), 30, "{command}");
        assert!(message.contains(" more problems"), "{command}");
    }
    // Parsed values take more memory than their text.
    for unit in ["k = 1\n", "x,", "[[["] {
        vmin.write("keys.toml", unit.repeat(110_000));
        for command in ["check", "explore", "train"] {
            let output = vmin.run(&[command, "keys.toml"]);
            assert!(text(&output.stderr).contains("error[too-large]"), "{command}");
        }
    }
}

#[test]
fn a_panic_of_a_decoder_is_a_message() {
    let vmin = vmin!();
    vmin.write("f.parquet", include_bytes!("hostile/damaged.parquet"));
    let output = vmin.run(&["chip", "import", "f.parquet", "--out", "x.chip"]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(message.contains("the Parquet file is damaged"), "{message}");
    assert!(!message.contains("panicked"), "{message}");
}

#[test]
fn scalesim_walks_have_a_limit_that_is_told() {
    let vmin = vmin!();
    let header = "name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Filters, Strides,\n";
    let rows = [
        "big, 10, 10, 3, 3, 2097152, 300, 1,",
        "long, 5, 4000000, 3, 2, 11, 115, 3,",
        "wide, 1, 16777216, 1, 8388608, 1, 1, 1,",
        "small, 8, 8, 3, 3, 1, 1, 1, # a remark",
    ];
    for row in rows {
        vmin.write("t.csv", format!("{header}{row}\n"));
        let cycles = "cycles --accelerator gemmini-16 --cycle-model scalesim-v3 --topology t.csv";
        let output = start(&vmin, cycles).wait_with_output().expect("it ends");
        let message = text(&output.stderr);
        assert!(output.status.success(), "{row}: {message}");
        assert_eq!(message.contains("without DRAM traffic"), !row.starts_with("small"), "{row}");
    }
}

#[test]
fn control_characters_are_shown_as_text() {
    let vmin = vmin!();
    let experiment = vmin.ok(&["init"]);
    let name = experiment.lines().find(|line| line.starts_with("name")).expect("a name");
    vmin.write("e.toml", experiment.replace(name, r#"name = "\u001b]0;x\u0007\u001b[2Jx""#));
    let output = vmin.run(&["check", "e.toml"]);
    assert!(text(&output.stdout).starts_with(r"\x1b]0;x\x07\x1b[2Jx"), "{}", text(&output.stdout));
    let message = text(&vmin.run(&["check", "\u{1b}[2J.toml"]).stderr);
    assert!(message.contains(r"`\x1b[2J.toml`"), "{message}");
    let message = text(&vmin.run(&["check", "--x\u{1b}[2J\u{9b}"]).stderr);
    assert!(message.contains("--x") && !message.contains(['\u{1b}', '\u{9b}']), "{message}");
}

#[test]
fn names_that_are_not_utf_8_are_read_or_named() {
    let vmin = vmin!();
    let odd =
        |ending: &str| OsStr::from_bytes(&[b"net\xe9", ending.as_bytes()].concat()).to_owned();
    let model = std::path::Path::new(&odd("")).join("m.safetensors");
    vmin.ok(&["model", "convert", "builtin:shapes-normal-8bit", "--output", "m.safetensors"]);
    vmin.write(&model, vmin.read("m.safetensors"));
    let experiment = vmin.ok(&["init"]);
    let line = experiment.lines().find(|line| line.starts_with("model")).expect("a network");
    let named = experiment.replacen(line, "model = \"m.safetensors\"", 1);
    vmin.write(std::path::Path::new(&odd("")).join("e.toml"), named);
    let output =
        vmin.command(&["check"]).arg(std::path::Path::new(&odd("")).join("e.toml")).output();
    let output = output.expect("the program runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let named = |words: &[&str]| vmin.command(words).arg(&model).output().expect("runs");
    for words in [
        &["model", "inspect"][..],
        &["eval", "--data", "builtin:shapes", "--images", "0..2", "--model"],
        &["cycles", "--accelerator", "gemmini-16", "--model"],
        &[
            "energy",
            "--accelerator",
            "gemmini-16",
            "--profile",
            "sram14",
            "--vdd-mv",
            "900",
            "--model",
        ],
    ] {
        let output = named(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    }
    // A manifest names the network as text.
    let deploy = named(&["deploy", "--rate", "0.001"]);
    assert_eq!(deploy.status.code(), Some(2));
    assert!(text(&deploy.stderr).contains("is not UTF-8"), "{}", text(&deploy.stderr));
}

#[test]
fn a_limit_on_file_sizes_is_an_error_and_the_run_goes_on_later() {
    let vmin = vmin!();
    let demo = vmin.ok(&["init"]);
    assert!(demo.contains("count = 30"), "{demo}");
    vmin.write("e.toml", demo.replace("count = 30", "count = 1"));
    // Blocks of 512 or 1024 bytes: the journal fits, the report does not.
    let output = piped(&vmin, "ulimit -f 60; exec \"$0\" sweep e.toml --out out");
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("File too large"), "{message}");
    let left = |ending: &str| {
        let entries = std::fs::read_dir(vmin.path("out")).expect("a folder").flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(ending)).count()
    };
    assert_eq!([left(".tmp"), left("results.json")], [0, 0]);
    vmin.ok(&["sweep", "e.toml", "--out", "out", "--resume"]);
    assert_eq!(left("results.json"), 1);
}

#[test]
fn a_large_space_takes_little_memory_a_point() {
    let vmin = vmin!();
    let space = vmin.ok(&["explore", "--example"]);
    let voltages = space.lines().find(|line| line.starts_with("vdd_mv")).expect("voltages");
    vmin.write("s.toml", space.replace(voltages, "vdd_mv = { from = 1000, to = 800, step = 0.5 }"));
    let child = start(&vmin, "explore s.toml --jobs 1 --out out --format csv");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(vmin.text("out/explore.csv").lines().count(), 1 + 401 * 108);
}
