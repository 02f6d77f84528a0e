//! Yield and the voltages that it allows: one definition in every place, and as much confidence as chips and images give.

use serde_json::Value;
use vmin_testkit::{Vmin, vmin};

const EXPERIMENT: &str = r#"
name = "yield"
[network]
model = "builtin:shapes-normal-8bit"
[data]
set = "builtin:shapes"
images = 100
[accelerator]
model = "gemmini-16"
[memory]
profile = "sram14"
vdd_mv = [1000, 896, 875, 865, 854]
[chips]
count = COUNT
seed = 1
[yield]
accuracy_loss_max_pct = 1.0
target_pct = TARGET
[[remedy]]
name = "the same"
[[remedy]]
name = "code over sums"
protection = [{ kind = "secded", data_bits = 32, memory = "accumulator" }]
"#;

fn write(vmin: &Vmin, chips: u32, target: f64) {
    let text = EXPERIMENT.replace("COUNT", &chips.to_string());
    vmin.write("e.toml", text.replace("TARGET", &target.to_string()));
}

fn results(vmin: &Vmin) -> Value {
    serde_json::from_str(&vmin.text("out/results.json")).expect("JSON")
}

/// The lowest voltage at which, and above which, `key` reaches the target, from the points alone.
fn lowest(results: &Value, key: &str, target: f64) -> Value {
    let points = results["points"].as_array().expect("points");
    let holds = |point: &&Value| point[key].as_f64().expect("a share") >= target;
    points.iter().take_while(holds).last().map_or(Value::Null, |point| point["vdd_mv"].clone())
}

#[test]
fn one_target_in_every_place_and_asked_of_finished_trials() {
    let vmin = vmin!();
    write(&vmin, 10, 90.0);
    vmin.ok(&["sweep", "e.toml", "--out", "out"]);
    let journal = vmin.text("out/journal.jsonl");
    let mut reached = Vec::new();
    for target in [90.0, 50.0, 10.0, 100.0] {
        write(&vmin, 10, target);
        let table = vmin.ok(&["sweep", "e.toml", "--out", "out", "--resume"]);
        assert_eq!(vmin.text("out/journal.jsonl"), journal, "no trial runs again");
        let points = table.split("\n\n").next().expect("a table");
        assert!(points.lines().all(|line| line.chars().count() <= 80), "{table}");
        let results = results(&vmin);
        let at = lowest(&results, "yield", target / 100.0);
        let shown = lowest(&results, "yield_shown", target / 100.0);
        assert_eq!((&results["vmin"]["reached_mv"], &results["vmin"]["shown_mv"]), (&at, &shown));
        assert_eq!(results["remedies"][0]["vmin"], results["vmin"]);
        assert_eq!(results["remedies"][1]["vmin"], results["vmin"]);
        assert_eq!(results["remedies"][0]["best"]["vdd_mv"], at);
        let rows = &vmin.json(&["compare", "out", "--format", "json"])["rows"];
        assert_eq!((&rows[0]["vmin_reached_mv"], &rows[0]["vmin_shown_mv"]), (&at, &shown));
        let at = at.as_f64().expect("1000 mV is high enough");
        assert!(table.contains(&format!("{at} mV ({} % of V_min): operating", at / 10.0)));
        assert!(vmin.text("out/report.html").contains(&format!("<b>{at} mV</b>")));
        reached.push(at);
    }
    assert!(reached[2] < reached[0] && reached[0] <= reached[3], "{reached:?}");
    let table = vmin.ok(&["sweep", "e.toml", "--out", "out"]);
    let words = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("no sample shows a yield of 100 %"), "{table}");
    write(&vmin, 10, 90.0);
    let table = vmin.ok(&["sweep", "e.toml", "--out", "out"]);
    let words = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("10 of 10 chips would show 74.1 %, 29 are needed"), "{table}");
}

#[test]
fn a_remedy_of_a_nominal_memory_pays_for_its_code() {
    let vmin = vmin!();
    write(&vmin, 2, 50.0);
    let table = vmin.ok(&["sweep", "e.toml", "--out", "out"]);
    assert!(vmin.text("out/report.html").contains("accumulator 21.9 %"));
    let results = results(&vmin);
    let saved = |index: usize, key: &str| {
        results["remedies"][index]["points"][1][key].as_f64().expect("a share")
    };
    for key in ["access_energy_saving", "energy_saving"] {
        assert_eq!(saved(0, key), saved(1, key), "{key}");
        assert!(saved(2, key) < saved(0, key), "{key}");
    }
    assert!(table.contains("`json`: extra bits"), "{table}");
    // Two chips show no target of 50 %, so what is reached counts.
    let remedies = results["remedies"].as_array().expect("remedies");
    assert!(remedies.iter().all(|remedy| remedy["vmin"]["shown_mv"].is_null()));
    let saved = |remedy: &serde_json::Value| remedy["best"]["energy_saving"].as_f64();
    let most = remedies.iter().filter_map(saved).fold(f64::NEG_INFINITY, f64::max);
    let words = table.split_whitespace().collect::<Vec<_>>().join(" ");
    let answer = format!("{:.1} %: saved of a whole inference at ", most * 100.0);
    assert!(words.contains(&answer), "{answer} in {table}");
    assert!(words.contains("mV without a remedy; none saves more where the target is reached"));
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
}

#[test]
fn one_chip_has_no_spread() {
    let vmin = vmin!();
    write(&vmin, 1, 90.0);
    let table = vmin.ok(&["sweep", "e.toml", "--out", "out"]);
    assert!(table.contains("one chip: no") && !table.contains('±'), "{table}");
    assert!(table.contains(" 1/1 ") && !table.contains("100 %"), "{table}");
    let page = vmin.text("out/report.html");
    assert!(!page.contains(" ± 0.00") && page.contains("one chip"));
    let results = results(&vmin);
    assert_eq!(results["points"][0]["rerr_low"], Value::Null);
    assert_eq!(results["points"][0]["rerr_std"], 0.0);
}

/// Where chips pass at the lowest swept voltage, their lowest passing voltage may lie below it.
#[test]
fn a_median_at_the_end_of_the_sweep_is_marked() {
    let vmin = vmin!();
    write(&vmin, 3, 90.0);
    let table = |voltages: &str| {
        let text = vmin.text("e.toml").replace("[1000, 896, 875, 865, 854]", voltages);
        vmin.write("short.toml", text);
        vmin.ok(&["sweep", "short.toml", "--out", voltages])
    };
    let ends = table("[1000, 979]");
    assert!(ends.contains("\n<= 979 mV (97.9 % of V_min): median of the chips'"), "{ends}");
    let goes_on = table("[1000, 979, 750]");
    assert!(goes_on.contains("\n979 mV (97.9 % of V_min): median of the chips'"), "{goes_on}");
    // Where most chips fail at the highest swept voltage, how many is told in place of a median.
    let fails = table("[750, 730]").split_whitespace().collect::<Vec<_>>().join(" ");
    let told = "none: median of the chips' lowest passing voltages; 3 of 3 chips miss the budget at the highest";
    assert!(fails.contains(told), "{fails}");
    assert!(fails.contains(
        "none: operating voltage reached; at the highest swept voltage fewer than 90 % of"
    ));
}

#[test]
fn a_known_vmin_turns_relative_voltages_into_those_of_a_supply() {
    let vmin = vmin!();
    write(&vmin, 3, 90.0);
    let relative = vmin.ok(&["sweep", "e.toml", "--out", "out"]);
    assert!(relative.contains("voltages are relative") && relative.contains("% of V_min"));
    let expected = results(&vmin);
    assert_eq!(expected["setting"]["vdd_reference"]["vmin"]["unit_mv"], 1000.0);
    let text = vmin.text("e.toml").replace("\nvdd_mv", "\nvmin_mv = 500\nvdd_mv");
    vmin.write(
        "e.toml",
        text.replace("[1000, 896, 875, 865, 854]", "[500, 448, 437.5, 432.5, 427]"),
    );
    let absolute = vmin.ok(&["sweep", "e.toml", "--out", "out2"]);
    assert!(!absolute.contains("relative") && !absolute.contains("% of V_min"));
    let found: Value = serde_json::from_str(&vmin.text("out2/results.json")).expect("JSON");
    assert_eq!(found["setting"]["vdd_reference"], "absolute");
    let points = |results: &Value| results["points"].as_array().expect("points").clone();
    for (expected, found) in points(&expected).into_iter().zip(points(&found)) {
        let halved = expected["vdd_mv"].as_f64().map(|mv| 0.5 * mv);
        assert_eq!(found["vdd_mv"].as_f64(), halved);
        for key in ["cell_fault_rate", "flip_rate", "rerr_mean", "energy_saving", "latency_us"] {
            assert_eq!(found[key], expected[key], "{key}");
        }
    }
}
