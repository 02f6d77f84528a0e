//! JSON of every command: its document is the object that its schema describes, and so are its errors.

use std::collections::BTreeSet;

use clap::CommandFactory;
use serde_json::{Value, json};
use vmin::args::Cli;
use vmin_testkit::{Vmin, vmin};

const EXPERIMENT: &str = "name = \"small\"
network = { model = \"builtin:shapes-cnn\" }
data = { set = \"builtin:shapes\", images = 20 }
accelerator = { model = \"gemmini-16\" }
memory = { profile = \"sram14\", vdd_mv = [1000, 850], activation = { vdd_mv = \"swept\" } }
chips = { count = 2, seed = 1 }
[[remedy]]
name = \"parity\"
protection = [{ kind = \"parity\", data_bits = 16 }]
";

const RECIPE: &str = "name = \"small\"
data = \"builtin:shapes\"
seed = 1
epochs = 1
batch_size = 256
schedule = \"constant\"
network = [\"global_average_pool\", { fully_connected = { features = 10 } }]
optimizer = { learning_rate = 0.1, momentum = 0.0, weight_decay = 0.0 }
input = { zero_pixel = 128, scale = 0.02 }
quantization = { bits = 8 }
rerr = { rate = 0.01, chips = 1 }
";

/// Commands with their schemas and arguments, in an order in which each finds its inputs.
const COMMANDS: [(&str, &str, &str); 34] = [
    ("sweep", "results", "small.toml --out out --store trials"),
    ("trials list", "trials", "trials"),
    ("trials show", "trials-show", "trials --chip 1"),
    ("trials gc", "trials-gc", "trials --dry-run --keep small.toml"),
    ("vmin", "vmin", "small.toml --out answers"),
    ("yield", "yield", "small.toml --out answers"),
    ("sensitivity", "sensitivity", "small.toml --out answers --vdd-mv 850"),
    ("assign", "assign", "small.toml --out answers"),
    ("merge", "results", "out --experiment small.toml --out merged"),
    ("plan", "plan", "small.toml --shards 2"),
    ("check", "check", "small.toml"),
    ("check", "check", "recipe.toml"),
    ("compare", "compare", "out"),
    ("eval", "eval", "--model builtin:shapes-cnn --data builtin:shapes --images 0..9"),
    (
        "eval",
        "eval",
        "--model builtin:shapes-cnn --data builtin:shapes --images 0..9 --rate 0.01 --chip 0..1 \
         --protect {kind=\"parity\",data_bits=16}",
    ),
    (
        "deploy",
        "deploy",
        "builtin:shapes-cnn --data builtin:shapes --images 0..9 --rate 0.01 --out deployed",
    ),
    (
        "attack",
        "attack",
        "--model builtin:shapes-cnn --data builtin:shapes --images 0..9 --flips 2 --restarts 1 --iterations 1 --target 1",
    ),
    (
        "attack",
        "attack",
        "--kind images --model builtin:shapes-cnn --data builtin:shapes --images 0..9 --held-out 50 --restarts 1 \
         --iterations 1 --norm linf,l0",
    ),
    (
        "flatness",
        "flatness",
        "builtin:shapes-cnn builtin:shapes-rquant-8bit builtin:shapes-randbet-8bit builtin:shapes-clipping-8bit \
         builtin:shapes-normal-8bit --data builtin:shapes --images 0..32 --samples 2 --restarts 1 --worst-steps 1 \
         --chips 1",
    ),
    (
        "monitor",
        "monitor",
        "--model builtin:shapes-cnn --data builtin:shapes --images 0..30 --profile sram14 --vdd-mv 900,840 \
         --chip 0..1 --window 20 --windows 5 --protect {kind=\"parity\",data_bits=16}",
    ),
    (
        "noise",
        "noise",
        "--model builtin:shapes-cnn --data builtin:shapes --images 0..3 --profile sram14 --vdd-mv 900,840",
    ),
    ("model inspect", "model", "builtin:shapes-cnn"),
    ("chip sample", "chip-sample", "--profile fpga28-kc705b --seed 1 --out a.chip"),
    ("chip sample", "chip-sample", "--profile fpga28-kc705b --seed 1 --count 2 --out lot"),
    ("chip inspect", "chip", "a.chip"),
    ("chip import", "chip-import", "list.csv --banks 1 --rows 8 --columns 8 --out b.chip"),
    ("chip fit", "chip-fit", "lot/*.chip --replicates 20"),
    ("cycles", "cycles", "--accelerator gemmini-16 --model builtin:shapes-cnn"),
    ("cycles", "cycles", "--accelerator gemmini-16 --trace"),
    (
        "energy",
        "energy",
        "--accelerator gemmini-16 --profile sram14 --vdd-mv 900,850 --model builtin:shapes-cnn",
    ),
    ("explore", "explore", "space.toml --out designs"),
    ("train", "train", "recipe.toml --out trained"),
    ("data list", "data", ""),
    ("cycles", "cycles", "--accelerator gemmini-16 --gemm gemm.csv --cycle-model scalesim-v3"),
];

fn prepared() -> Vmin {
    let vmin = vmin!();
    vmin.write("small.toml", EXPERIMENT);
    vmin.write("recipe.toml", RECIPE);
    vmin.write("list.csv", "row,column,vdd_mv,kind\n1,2,590,flip\n3,4,580,sa0\n");
    vmin.write("gemm.csv", "Layer,M,N,K,\nfirst,8,8,8,\n");
    let space = vmin_explore::DEMO.replace("[8, 16, 32] ", "[8]");
    vmin.write("space.toml", space);
    vmin
}

fn words<'a>(command: &'a str, arguments: &'a str) -> Vec<&'a str> {
    command.split_whitespace().chain(arguments.split_whitespace()).collect()
}

/// A schema whose objects have no keys but those it names.
fn closed(mut schema: Value) -> Value {
    // Parts of the whole document, which has other parts too.
    let parts: Vec<Value> = match schema["anyOf"].as_array() {
        Some(parts) => parts.iter().map(|part| part["$ref"].clone()).collect(),
        None => vec![schema["$ref"].clone()],
    };
    let definitions = schema.get_mut("$defs").and_then(Value::as_object_mut);
    for (name, definition) in definitions.into_iter().flatten() {
        let is_part = parts.contains(&json!(format!("#/$defs/{name}")));
        if definition.get("properties").is_some() && !is_part {
            definition["additionalProperties"] = json!(false);
        }
    }
    schema["unevaluatedProperties"] = json!(false);
    schema
}

#[test]
fn every_document_is_the_object_that_its_schema_describes() {
    let vmin = prepared();
    let mut validated = BTreeSet::new();
    for (command, kind, arguments) in COMMANDS {
        let schema: Value = serde_json::from_str(&vmin.ok(&["schema", kind])).expect("JSON");
        let validator = jsonschema::validator_for(&closed(schema)).expect("a schema");
        let document = vmin.json(&[words(command, arguments), vec!["--format", "json"]].concat());
        let problems: Vec<String> =
            validator.iter_errors(&document).map(|e| e.to_string()).collect();
        assert!(problems.is_empty(), "{command} {arguments}: {problems:?}");
        assert_eq!(document["command"], command);
        assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
        let mut other = document.clone();
        other["command"] = json!(1);
        assert!(!validator.is_valid(&other), "{command}: the schema refuses nothing");
        validated.insert(command);
    }
    let schema: Value = serde_json::from_str(&vmin.ok(&["schema", "results"])).expect("JSON");
    let file: Value = serde_json::from_str(&vmin.text("out/results.json")).expect("JSON");
    assert!(jsonschema::validator_for(&schema).expect("a schema").is_valid(&file));
    let schema: Value = serde_json::from_str(&vmin.ok(&["schema", "manifest"])).expect("JSON");
    let file: Value = serde_json::from_str(&vmin.text("deployed/manifest.json")).expect("JSON");
    assert!(jsonschema::validator_for(&schema).expect("a schema").is_valid(&file));
    let with_format = leaves(&Cli::command(), "").into_iter().filter(|(_, has_format)| *has_format);
    let with_format: BTreeSet<String> = with_format.map(|(command, _)| command).collect();
    let mut validated: BTreeSet<String> = validated.into_iter().map(str::to_owned).collect();
    // It prints the document of the command that answers.
    validated.insert("ask".to_owned());
    assert_eq!(validated, with_format, "a command without a schema or a test");
}

/// The commands without commands below them, and whether they have `--format`.
fn leaves(command: &clap::Command, path: &str) -> Vec<(String, bool)> {
    let below: Vec<&clap::Command> = command.get_subcommands().collect();
    if below.is_empty() {
        let has_format = command.get_arguments().any(|arg| arg.get_long() == Some("format"));
        return vec![(path.trim().to_owned(), has_format)];
    }
    below.into_iter().flat_map(|of| leaves(of, &format!("{path} {}", of.get_name()))).collect()
}

/// One mistake of each kind of command, with its code and line.
const MISTAKES: [(&str, &str, u64); 12] = [
    ("sweep wrong.toml", "unknown-key", 2),
    ("check wrong.toml", "unknown-key", 2),
    ("train wrong_recipe.toml", "unknown-key", 3),
    ("eval --model none.tflite --data builtin:shapes", "model", 0),
    ("model inspect none.tflite", "model", 0),
    ("chip inspect none.chip", "unreadable", 0),
    ("cycles --accelerator none --model builtin:shapes-cnn", "unknown-name", 0),
    (
        "energy --accelerator gemmini-16 --profile none --vdd-mv 900 --model builtin:shapes-cnn",
        "unknown-name",
        0,
    ),
    ("explore none.toml", "unreadable", 0),
    ("report none", "unreadable", 0),
    ("compare none", "unreadable", 0),
    ("init --out wrong.toml", "file-exists", 0),
];

#[test]
fn errors_are_one_document_with_the_place_and_the_exit_code() {
    let vmin = prepared();
    vmin.write("wrong.toml", EXPERIMENT.replace("network =", "netwrk = 1\nnetwork ="));
    vmin.write("wrong_recipe.toml", RECIPE.replace("seed =", "sed = 1\nseed ="));
    let schema: Value = serde_json::from_str(&vmin.ok(&["schema", "errors"])).expect("JSON");
    let validator = jsonschema::validator_for(&closed(schema)).expect("a schema");
    let failed = |arguments: &[&str]| {
        let output = vmin.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let last = String::from_utf8(output.stderr).expect("UTF-8");
        let last = last.lines().last().unwrap_or_default();
        let document: Value = serde_json::from_str(last).expect("a document on the last line");
        let problems: Vec<String> =
            validator.iter_errors(&document).map(|e| e.to_string()).collect();
        assert!(problems.is_empty(), "{arguments:?}: {problems:?}");
        assert_eq!(
            (&document["exit_code"], &document["outcome"]),
            (&json!(2), &json!("wrong_input"))
        );
        document
    };
    for (command, code, line) in MISTAKES {
        let document = failed(&words(command, "--errors json"));
        let errors = document["errors"].as_array().expect("a list");
        let found = errors.iter().find(|error| error["code"] == code);
        let found = found.unwrap_or_else(|| panic!("{command}: {document}"));
        if line > 0 {
            assert_eq!(found["line"], line, "{command}");
            assert!(found["file"].as_str().is_some_and(|file| file.ends_with(".toml")));
            assert!(found["allowed"].as_str().is_some_and(|text| text.starts_with("expected")));
        }
    }
    for (command, _) in leaves(&Cli::command(), "") {
        let document = failed(&words(&command, "--zzzz --errors=json"));
        assert_eq!(document["errors"][0]["code"], "usage", "{command}");
    }
}

#[test]
fn quiet_leaves_errors_and_data_and_verbose_adds_files_and_times() {
    let vmin = prepared();
    let stderr = |arguments: &str| {
        let output = vmin.run(&words("sweep small.toml --resume", arguments));
        assert!(output.status.success() && !output.stdout.is_empty(), "{arguments}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let usual = stderr("");
    assert!(usual.contains("small: 2 voltages") && !usual.contains("reading"), "{usual}");
    assert_eq!(stderr("-q"), "");
    assert_eq!(stderr("--quiet --format json"), "");
    let verbose = stderr("--verbose");
    for part in ["reading `small.toml`", "wrote `vmin-out/results.json`", "kernel ", "trials: "] {
        assert!(verbose.contains(part), "no {part} in {verbose}");
    }
    let wrong = vmin.run(&["-q", "check", "none.toml"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).starts_with("error[unreadable]"));
}
