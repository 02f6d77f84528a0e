//! Questions: the same answers as a sweep gives, with fewer inferences, whatever interrupts them.

use std::time::Duration;

use serde_json::Value;
use vmin_testkit::{Vmin, vmin};

const EXPERIMENT: &str = r#"
name = "small"
[network]
model = "builtin:shapes-cnn"
[data]
set = "builtin:shapes"
images = 300
[accelerator]
model = "gemmini-16"
[memory]
profile = "sram14"
vdd_mv = [1000, 900, 875, 860, 850, 842, 833, 820]
[chips]
count = 8
seed = 7
[yield]
accuracy_loss_max_pct = 3
"#;

/// All memories err, some cells at some reads only; one remedy on the way.
const WHOLE: &str = r#"
name = "whole"
[network]
model = "builtin:shapes-cnn"
[data]
set = "builtin:shapes"
images = 120
[accelerator]
model = "edge-14nm"
[memory]
profile = "sram14"
vdd_mv = [1000, 900, 875, 850]
read_noise_mv = 5
activation = { vdd_mv = "swept" }
accumulator = { vdd_mv = "swept" }
[chips]
count = 3
seed = 7
[yield]
accuracy_loss_max_pct = 5
[[remedy]]
name = "parity"
protection = [{ kind = "parity", data_bits = 16 }]
"#;

fn json(vmin: &Vmin, args: &[&str]) -> Value {
    vmin.json(&[args, &["--format", "json"]].concat())
}

/// The message of a refusal.
fn refused(vmin: &Vmin, args: &[&str]) -> String {
    let output = vmin.run(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn prepared(experiment: &str) -> Vmin {
    let vmin = vmin!();
    vmin.write("e.toml", experiment);
    vmin
}

/// Whether each chip is within the budget, by candidate, chip and supply, where it was tried.
fn decisions(answer: &Value) -> Vec<(String, u64, String, bool)> {
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let mut all = Vec::new();
    for candidate in list(&answer["candidates"]) {
        for chip in list(&candidate["vmin"]) {
            for tried in list(&chip["tried"]) {
                all.push((
                    candidate["name"].to_string(),
                    chip["chip"].as_u64().expect("a number"),
                    tried["vdd_mv"].to_string(),
                    tried["within_budget"] == true,
                ));
            }
        }
    }
    all
}

#[test]
fn the_lowest_supplies_are_those_of_a_sweep() {
    let vmin = prepared(EXPERIMENT);
    let swept = json(&vmin, &["sweep", "e.toml", "--out", "swept"]);
    for (out, more) in [("exact", &["--exact"][..]), ("early", &[])] {
        let answer = json(&vmin, &[&["vmin", "e.toml", "--out", out], more].concat());
        let chips = answer["candidates"][0]["vmin"].as_array().expect("chips");
        for (chip, expected) in chips.iter().zip(swept["chips"].as_array().expect("chips")) {
            assert_eq!(chip["vmin_mv"], expected["vmin_mv"], "{out}: chip {}", expected["chip"]);
        }
        assert_eq!(answer["inferences_exhaustive"], 300 * (8 * 8 + 1));
        let share = answer["inferences"].as_f64().expect("a number") / (300.0 * 65.0);
        assert!(share < 0.7, "{out}: {share}");
    }
}

#[test]
fn early_decisions_are_those_of_all_images_under_every_kind_of_error() {
    let transient = WHOLE
        .replace("read_noise_mv = 5", "fault_kind = \"transient\"")
        .replace("protection = [{ kind = \"parity\"", "protection = [{ kind = \"secded\"");
    for experiment in [WHOLE, &transient] {
        let vmin = prepared(experiment);
        let early = json(&vmin, &["vmin", "e.toml", "--out", "early"]);
        let exact = json(&vmin, &["vmin", "e.toml", "--out", "exact", "--exact"]);
        assert_eq!(decisions(&early), decisions(&exact));
        assert!(early["inferences"].as_u64() < exact["inferences"].as_u64());
        assert_eq!(exact["decision_error_max"], 0.0);
        // The same images one after the other: exact counts go on from early ones.
        let continued = json(&vmin, &["vmin", "e.toml", "--out", "early", "--exact"]);
        assert_eq!(continued["candidates"], exact["candidates"]);
    }
}

#[test]
fn threads_kernels_and_kills_leave_every_byte_as_it_is() {
    let vmin = prepared(EXPERIMENT);
    let answer = |out: &str, more: &[&str]| {
        vmin.ok(&[&["vmin", "e.toml", "--out", out], more].concat());
        vmin.read(std::path::Path::new(out).join("vmin.json"))
    };
    let expected = answer("one", &["--jobs", "1"]);
    assert!(answer("three", &["--jobs", "3"]) == expected, "three threads");
    for kernel in vmin_kernels::available() {
        let name = kernel.name();
        assert!(answer(name, &["--kernel", name]) == expected, "kernel {name}");
    }
    for wait in [30, 80, 160] {
        let mut child =
            vmin.command(&["vmin", "e.toml", "--out", "killed"]).spawn().expect("started");
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    assert!(answer("killed", &[]) == expected, "killed and gone on with");
}

#[test]
fn another_question_about_the_same_trials_runs_nothing() {
    let vmin = prepared(EXPERIMENT);
    vmin.ok(&["vmin", "e.toml", "--out", "answers"]);
    let journal = || vmin.read("answers/journal.jsonl");
    let before = journal();
    let yields = json(&vmin, &["yield", "e.toml", "--out", "answers"]);
    assert!(journal() == before);
    let points = yields["candidates"][0]["points"].as_array().expect("points");
    let share = |point: &Value, key: &str| point[key].as_f64().expect("a share");
    for point in points {
        assert!(share(point, "yield_low") <= share(point, "yield"));
        assert!(share(point, "yield") <= share(point, "yield_high"));
    }
    // Another budget starts from what is known.
    let wider = ["--set", "yield.accuracy_loss_max_pct=10"];
    let wider = json(&vmin, &[&["vmin", "e.toml", "--out", "answers"][..], &wider].concat());
    let anew = ["--set", "yield.accuracy_loss_max_pct=10", "--exact"];
    let anew = json(&vmin, &[&["vmin", "e.toml", "--out", "anew"][..], &anew].concat());
    let lowest = |answer: &Value| -> Vec<Value> {
        let chips = answer["candidates"][0]["vmin"].as_array().expect("chips");
        chips.iter().map(|chip| chip["vmin_mv"].clone()).collect()
    };
    assert_eq!(lowest(&wider), lowest(&anew));
    // Other chips are another experiment.
    let other = refused(&vmin, &["vmin", "e.toml", "--out", "answers", "--set", "chips.seed=8"]);
    assert!(other.contains("seed"), "{other}");
}

#[test]
fn questions_share_trials_with_sweeps_and_with_each_other() {
    let vmin = prepared(EXPERIMENT);
    vmin.ok(&["sweep", "e.toml", "--out", "swept", "--store", "trials"]);
    let ask = |out: &str, more: &[&str]| {
        json(&vmin, &[&["vmin", "e.toml", "--out", out, "--store", "trials"], more].concat())
    };
    let from_sweep = ask("from-sweep", &[]);
    let tried = |answer: &Value| decisions(answer).len();
    let anew = json(&vmin, &["vmin", "e.toml", "--out", "anew"]);
    assert_eq!(decisions(&from_sweep), decisions(&anew));
    assert!(tried(&from_sweep) >= 8 * 2);
    // All images of a sweep's trials are known.
    let images = |answer: &Value| answer["candidates"][0]["vmin"][0]["tried"][0]["images"].clone();
    assert_eq!(images(&from_sweep), 300);
    // More chips are another experiment with the same trials; the journal then answers without the store.
    let more = ["--set", "chips.count=12"];
    let with = ask("more", &more);
    let segments = || {
        let entries = std::fs::read_dir(vmin.path("trials")).expect("a folder");
        entries.map(|entry| entry.expect("one").metadata().expect("known").len()).sum::<u64>()
    };
    let before = segments();
    let again = ask("again", &more);
    assert_eq!(again["candidates"], with["candidates"]);
    assert_eq!(segments(), before, "nothing new");
    let alone = json(&vmin, &[&["vmin", "e.toml", "--out", "again"][..], &more].concat());
    assert_eq!(alone["candidates"], with["candidates"]);
    // Parts of trials belong to the experiment that a compaction keeps.
    let kept = json(&vmin, &["trials", "gc", "trials", "--dry-run", "--keep", "e.toml"]);
    assert!(kept["trials"].as_u64() >= Some(8 * 8));
}

#[test]
fn a_file_asks_its_question() {
    let vmin = prepared(&format!("question = \"yield\"\n{EXPERIMENT}"));
    let asked = json(&vmin, &["ask", "e.toml", "--out", "asked"]);
    assert_eq!(asked["command"], "yield");
    assert_eq!(asked["candidates"], json(&vmin, &["yield", "e.toml", "--out", "y"])["candidates"]);
    let swept = json(&vmin, &["ask", "e.toml", "--out", "s", "--set", "question=sweep"]);
    assert_eq!(swept["command"], "sweep");
    let assigned = ["--set", "question=assign", "--set", "memory.vdd_mv=[875, 850]"];
    let assigned = json(&vmin, &[&["ask", "e.toml", "--out", "a"][..], &assigned].concat());
    assert_eq!(assigned["command"], "assign");
    let told = refused(&vmin, &["ask", "e.toml", "--set", "question=why"]);
    assert!(told.contains("sensitivity"), "{told}");
}

#[test]
fn a_margin_plans_the_number_of_chips() {
    let vmin = prepared(EXPERIMENT);
    let margin = ["--margin", "12%", "--confidence", "80%", "--set", "data.images=40"];
    let answer = json(&vmin, &[&["yield", "e.toml", "--out", "planned"][..], &margin].concat());
    assert_eq!(answer["confidence"], 0.8);
    let chips = answer["chips"].as_u64().expect("a number");
    assert!((8..30).contains(&chips), "{chips}");
    let told = refused(&vmin, &["yield", "e.toml", "--margin", "0.0001%"]);
    assert!(told.contains("a million"), "{told}");
    for wrong in ["0", "60%", "x"] {
        let told = refused(&vmin, &["yield", "e.toml", "--margin", wrong]);
        assert!(told.contains("such as 1%"), "{told}");
    }
}

#[test]
fn the_answer_comes_first_and_fits_a_terminal() {
    let vmin = prepared(EXPERIMENT);
    for command in ["vmin", "yield"] {
        let text = vmin.ok(&[command, "e.toml", "--out", "answers"]);
        let rows = vmin.ok(&[command, "e.toml", "--out", "answers", "--format", "csv"]);
        assert!(rows.starts_with("candidate,") && rows.lines().count() > 8, "{rows}");
        let first = text.lines().next().expect("a line");
        assert!(first.contains("chips") || first.contains("yield"), "{first}");
        assert!(text.contains("what would change it:"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
