//! `vmin assign`: the supplies and the remedy of least energy, as sweeps of the same combinations tell.

use serde_json::Value;
use vmin_testkit::{Vmin, vmin};

const EXPERIMENT: &str = r#"
name = "small"
[network]
model = "builtin:shapes-cnn"
[data]
set = "builtin:shapes"
images = 120
[accelerator]
model = "edge-14nm"
[memory]
profile = "sram14"
vdd_mv = [960, 930, 896, 865]
rails = "memories"                # all of them
[chips]
count = 6
seed = 7
[yield]
accuracy_loss_max_pct = 3
target_pct = 80
[[remedy]]
name = "SECDED"
vdd_mv = [896, 865]
protection = [{ kind = "secded", data_bits = 64, memory = "weight" }]
"#;

fn json(vmin: &Vmin, args: &[&str]) -> Value {
    vmin.json(&[args, &["--format", "json"]].concat())
}

fn prepared() -> Vmin {
    let vmin = vmin!();
    vmin.write("in/e.toml", EXPERIMENT);
    vmin
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// The message of a refusal.
fn refused(vmin: &Vmin, args: &[&str]) -> String {
    let output = vmin.run(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// The candidate that an answer names.
fn best(answer: &Value) -> Value {
    let of = list(&answer["candidates"]).iter().find(|of| of["name"] == answer["best"]);
    of.expect("the best one").clone()
}

#[test]
fn a_sweep_of_the_file_gives_the_energy_and_yield_that_the_answer_tells() {
    let vmin = prepared();
    let other = ["--set", "remedy.SECDED.model=builtin:shapes-randbet-8bit"];
    for (out, more) in [("own", &[][..]), ("remedy", &other)] {
        let args = [&["assign", "in/e.toml", "--out", out, "--exact"], more].concat();
        let answer = json(&vmin, &args);
        let file = format!("{out}/assigned.toml");
        let best = best(&answer);
        let swept = json(&vmin, &["sweep", &file, "--out", "swept"]);
        // Costs and chips of the candidate in the sweep: the only remedy, or the network itself.
        let chosen = &best["chosen"];
        let remedies = swept["remedies"].as_array();
        let remedy = remedies.and_then(|all| all.iter().find(|of| of["name"] == best["name"]));
        assert_eq!(remedy.is_some(), !more.is_empty());
        let point = &list(&remedy.unwrap_or(&swept)["points"])[0];
        let same = |key: &str, other: &str| {
            let (a, b) = (number(&chosen[key]), number(&point[other]));
            assert!((a - b).abs() <= 1e-9 * b.abs(), "{key}: {a}, swept {b}");
        };
        same("energy_per_inference_nj", "energy_per_inference_nj");
        same("energy_saving", "energy_saving");
        same("yield", "yield");
        std::fs::remove_dir_all(vmin.path("swept")).expect("removed");
    }
}

#[test]
fn all_combinations_need_no_more_than_the_descent() {
    let vmin = prepared();
    let descent = json(&vmin, &["assign", "in/e.toml", "--out", "one"]);
    let all = json(&vmin, &["assign", "in/e.toml", "--out", "one", "--all-combinations"]);
    assert_eq!(all["combinations"], 125);
    assert_eq!(descent["inferences_exhaustive"], 120 * (125 * 6 * 2 + 1));
    assert!(number(&descent["inferences"]) < 0.3 * number(&descent["inferences_exhaustive"]));
    let energy = |of: &Value| number(&of["chosen"]["energy_per_inference_nj"]);
    for (of, by_all) in list(&descent["candidates"]).iter().zip(list(&all["candidates"])) {
        assert!(energy(by_all) <= energy(of));
        assert_eq!(by_all["descent_is_best"], energy(by_all) == energy(of));
        assert!(number(&of["one_supply"]["energy_per_inference_nj"]) >= energy(of));
        assert!(number(&of["chosen"]["yield"]) >= 0.8);
        let tried = list(&of["tried"]);
        // By rising energy after the descent: what passes and needs less is the answer.
        let passing = tried.iter().filter(|of| of["passes"] == true);
        let least = passing.map(|of| number(&of["energy_per_inference_nj"]));
        assert_eq!(least.fold(f64::INFINITY, f64::min), energy(of));
        assert!(tried.iter().any(|of| of["passes"] == false && of["decided"].as_u64() <= Some(6)));
    }
}

#[test]
fn early_decisions_choose_what_all_images_choose_and_the_journal_serves_all() {
    let vmin = prepared();
    let early = json(&vmin, &["assign", "in/e.toml", "--out", "one", "--jobs", "1"]);
    let exact = json(&vmin, &["assign", "in/e.toml", "--out", "two", "--exact"]);
    let chosen = |answer: &Value| {
        let mut chosen = best(answer)["chosen"].clone();
        // All of the confidence is left for the chips where every image decides.
        chosen["yield_shown"].take();
        (answer["best"].clone(), chosen)
    };
    assert_eq!(chosen(&early), chosen(&exact));
    assert!(number(&early["inferences"]) < number(&exact["inferences"]));
    let before = vmin.read("one/journal.jsonl");
    assert_eq!(json(&vmin, &["assign", "in/e.toml", "--out", "one", "--jobs", "3"]), early);
    assert!(vmin.read("one/journal.jsonl") == before);
}

#[test]
fn one_memory_alone_and_memories_at_fixed_supplies_take_part() {
    let vmin = prepared();
    let weights = ["--set", "memory.rails=weight"];
    let alone = json(&vmin, &[&["assign", "in/e.toml", "--out", "one"][..], &weights].concat());
    assert_eq!(alone["combinations"], 5);
    let chosen = best(&alone)["chosen"].clone();
    assert!(chosen["weight_mv"].is_number() && chosen.get("activation_mv").is_none(), "{chosen}");
    let text = EXPERIMENT
        .replace("rails = \"memories\"", "accumulator = { vdd_mv = 865, biases = false }");
    // A path beside the experiment is found from the folder of answers too.
    let profile = vmin_testkit::root().join("voltage-profiles/sram14.toml");
    vmin.write("in/mine.toml", std::fs::read(profile).expect("the shipped profile"));
    vmin.write("in/fixed.toml", text.replace("\"sram14\"", "\"mine.toml\""));
    let fixed = json(&vmin, &["assign", "in/fixed.toml", "--out", "two"]);
    assert_eq!(fixed["combinations"], 25);
    let text = vmin.text("two/assigned.toml");
    assert!(text.starts_with("# vmin assign\n") && text.contains("biases = false"), "{text}");
    vmin.ok(&["check", "two/assigned.toml"]);
}

#[test]
fn where_nothing_can_be_lowered_no_file_is_left() {
    let vmin = prepared();
    vmin.ok(&["assign", "in/e.toml", "--out", "one"]);
    assert!(vmin.path("one/assigned.toml").is_file());
    let strict = ["--set", "memory.vdd_mv=[800]", "--set", "remedy.SECDED.vdd_mv=[800]"];
    let strict = [&["assign", "in/e.toml", "--out", "two"][..], &strict].concat();
    let answer = json(&vmin, &strict);
    assert!(answer["answer"].as_str().expect("a sentence").starts_with("No supply can be lowered"));
    assert!(answer.get("file").is_none() && !vmin.path("two/assigned.toml").exists());
    vmin.write("two/assigned.toml", "mine");
    assert!(refused(&vmin, &strict).contains("another file"));
}

#[test]
fn what_has_no_supplies_to_choose_from_is_refused() {
    let vmin = prepared();
    for (set, word) in
        [("memory.rails=chip", "logic"), ("memory.vdd_mv=[1000]", "below the nominal")]
    {
        let told = refused(&vmin, &["assign", "in/e.toml", "--out", "no", "--set", set]);
        assert!(told.contains(word), "{told}");
    }
    vmin.write(
        "in/rates.toml",
        EXPERIMENT.replace("vdd_mv = [960, 930, 896, 865]", "rates_pct = [0.01, 0.1]"),
    );
    let told = refused(&vmin, &["assign", "in/rates.toml", "--out", "no"]);
    assert!(told.contains("rates"), "{told}");
}

#[test]
fn the_answer_comes_first_and_fits_a_terminal() {
    let vmin = prepared();
    let text = vmin.ok(&["assign", "in/e.toml", "--out", "answers"]);
    assert!(text.starts_with("The least energy at a yield of 80.0 %"), "{text}");
    assert!(text.contains("what would change it:"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let rows = vmin.ok(&["assign", "in/e.toml", "--out", "answers", "--format", "csv"]);
    assert!(rows.starts_with("candidate,weight_mv,activation_mv,accumulator_mv,passes,"), "{rows}");
}
