//! `vmin train` from outside: going on after an interruption gives the weights of a run that was
//! never stopped; the network runs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use vmin_testkit::{Vmin, vmin};

const RECIPE: &str = r#"
name = "small"
data = "builtin:shapes"
seed = 1
epochs = 5
batch_size = 100
schedule = "cosine"
clip = 0.5
quantization = { bits = 8 }
bit_errors = { rate = 0.01, start_loss = 2.2 }
rerr = { rate = 0.01, chips = 2 }
input = { zero_pixel = 128, scale = 0.02 }
network = [
  { conv2d = { channels = 6, kernel = 3, stride = 2 } },
  "relu",
  { max_pool = { window = 2 } },
  { fully_connected = { features = 10 } },
]
[optimizer]
learning_rate = 0.02
momentum = 0.9
weight_decay = 5e-4
"#;

#[test]
fn an_interrupted_run_goes_on_to_the_same_bits() {
    let vmin = vmin!();
    vmin.write("recipe.toml", RECIPE);
    let straight = ["train", "recipe.toml", "--out", "straight", "--format", "json"];
    check_summary(&vmin.json(&straight));

    let arguments = ["train", "recipe.toml", "--out", "cut", "--jobs", "1"];
    let mut child = vmin.command(&arguments).spawn().expect("vmin runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let first = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("epoch 1/5")));
    assert!(first.is_some(), "it reports its first epoch");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("--resume")), "{rest:?}");
    assert!(!vmin.path("cut/model.safetensors").exists());

    vmin.ok(&["train", "recipe.toml", "--out", "cut", "--resume"]);
    for file in ["checkpoint.safetensors", "metrics.jsonl", "model.safetensors"] {
        let read = |run: &str| vmin.read(Path::new(run).join(file));
        assert!(read("straight") == read("cut"), "{file}");
    }
    vmin.ok(&["eval", "--model", "cut/model.safetensors", "--data", "builtin:shapes"]);
}

fn check_summary(summary: &Value) {
    let epochs = summary["epochs"].as_array().expect("a list");
    assert_eq!(epochs.len(), 5);
    for epoch in epochs {
        for field in ["epoch", "loss", "err", "rerr"] {
            assert!(epoch[field].is_number(), "{field} of {epoch}");
        }
        // A GPU where there is one, in a build that can use it.
        assert!(cfg!(feature = "cuda") || epoch["engine"] == "cpu", "{epoch}");
    }
    assert!(summary["seed"].is_string());
    assert!(epochs[4]["perturbed_loss"].is_number(), "errors were injected");
    let [float, integer] =
        ["float_err", "integer_err"].map(|field| summary[field].as_f64().expect("a number"));
    assert!((float - integer).abs() <= 0.003, "{float} {integer}");
}

#[test]
fn a_run_starts_from_the_network_of_another() {
    let vmin = vmin!();
    let short = RECIPE.replace("epochs = 5", "epochs = 3");
    vmin.write("recipes/first.toml", &short);
    let trained = |recipe: &str, out: &str| {
        let summary = vmin.json(&["train", recipe, "--out", out, "--format", "json"]);
        summary["epochs"][0]["loss"].as_f64().expect("a number")
    };
    let first = trained("recipes/first.toml", "recipes/out");
    // Relative to the recipe, not to where the command runs.
    let small = short.replace("learning_rate = 0.02", "learning_rate = 0.0001");
    let more = format!("start = \"out/model.safetensors\"\n{small}");
    vmin.write("recipes/more.toml", more);
    let more = trained("recipes/more.toml", "more");
    assert!(more < 0.9 * first, "it goes on from what was learnt: {first} {more}");
    // A finished run needs no network to go on.
    vmin.ok(&["train", "recipes/more.toml", "--out", "more", "--resume"]);
}

#[test]
fn an_output_folder_belongs_to_one_run() {
    let vmin = vmin!();
    let endless = RECIPE.replace("epochs = 5", "epochs = 100000");
    vmin.write("recipe.toml", endless);
    let arguments = ["train", "recipe.toml", "--out", "out", "--jobs", "1"];
    let mut child = vmin.command(&arguments).spawn().expect("vmin runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let begun = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(" parameters, ")));
    assert!(begun.is_some(), "it says that it begins");
    let refused = |arguments: &[&str]| refused(&vmin, arguments);
    let plain = ["train", "recipe.toml", "--out", "out"];
    let resume = ["train", "recipe.toml", "--out", "out", "--resume"];
    for message in [refused(&plain), refused(&resume)] {
        assert!(message.contains("error[locked]: another `vmin train` is writing"), "{message}");
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    // A lock dies with its process.
    let message = refused(&plain);
    assert!(message.contains("holds a run already"), "{message}");
}

/// What is said about wrong input.
fn refused(vmin: &Vmin, arguments: &[&str]) -> String {
    let output = vmin.run(arguments);
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// PattBET on chips from files: the network gets used to the chip's cells, and to no other's.
#[test]
fn a_network_is_trained_on_a_chip_of_a_file() {
    let vmin = vmin!();
    for seed in ["1", "2"] {
        let out = format!("{seed}.chip");
        let size = ["--rows", "512", "--columns", "256", "--banks", "1"];
        let chip = ["chip", "sample", "--profile", "sram14", "--seed", seed, "--out", &out];
        vmin.ok(&[&chip[..], &size, &["--vdd-mv-min", "780"]].concat());
    }
    // One epoch from a network that knows no errors.
    let shipped = include_str!("../recipes/shapes-pattbet-8bit.toml");
    let recipe = shipped
        .replace("epochs = 16", "epochs = 1\nstart = \"builtin:shapes-rquant-8bit\"")
        .replace("learning_rate = 0.05", "learning_rate = 0.01")
        .replace("rate = 0.01, from_epoch = 8, ", "")
        .replace("chip_seed = 1", "measured = { files = [\"../1.chip\"], vdd_mv = 840 }");
    vmin.write("recipes/fixed.toml", recipe);
    vmin.ok(&["train", "recipes/fixed.toml", "--out", "fixed"]);
    let err = |model: &str, chip: &str| {
        let set = ["eval", "--model", model, "--data", "builtin:shapes", "--format", "json"];
        let json = vmin.json(&[&set[..], &["--chip", chip, "--vdd-mv", "840"]].concat());
        json["err"].as_f64().expect("a number")
    };
    let [own, other] = ["1.chip", "2.chip"].map(|chip| err("fixed/model.safetensors", chip));
    let untrained = err("builtin:shapes-rquant-8bit", "1.chip");
    assert!(own < 0.5 * untrained, "its cells are known: {own} {untrained}");
    assert!(own < 0.5 * other, "those of another chip are not: {own} {other}");

    let low = vmin.text("recipes/fixed.toml").replace("vdd_mv = 840", "vdd_mv = 700");
    vmin.write("recipes/low.toml", low);
    let message = refused(&vmin, &["train", "recipes/low.toml", "--out", "low"]);
    assert!(message.contains("`../1.chip` has no level at 700 mV"), "{message}");

    vmin.write("1.chip", vmin.read("2.chip"));
    let message = refused(&vmin, &["train", "recipes/fixed.toml", "--out", "fixed", "--resume"]);
    assert!(message.contains("the checkpoint was made with other chips"), "{message}");
}
