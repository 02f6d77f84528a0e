//! `vmin monitor` on the command line: its counts are those of `vmin eval`, its images are apart, its words are true.

use serde_json::Value;
use vmin_testkit::{Vmin, vmin};

const NETWORK: [&str; 5] =
    ["--model", "builtin:shapes-normal-8bit", "--data", "builtin:shapes", "--images"];
const CANARY: [&str; 4] = ["--window", "50", "--windows", "40"];

fn monitor(vmin: &Vmin, more: &[&str]) -> Value {
    let images = ["0..120", "--held-out", "400", "--format", "json"];
    vmin.json(&[&["monitor"], &NETWORK[..], &images, &CANARY, more].concat())
}

const POPULATION: [&str; 6] =
    ["--profile", "sram14", "--chip", "0..3", "--activation-vdd-mv", "same"];

fn numbers(of: &Value) -> Vec<f64> {
    of.as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number")).collect()
}

#[test]
fn wrong_images_are_those_of_eval_at_each_supply() {
    let vmin = vmin!();
    let found = monitor(&vmin, &[&POPULATION[..], &["--vdd-mv", "850,1000,900"]].concat());
    assert_eq!(
        numbers(&Value::from_iter(
            found["points"].as_array().unwrap().iter().map(|point| point["vdd_mv"].clone())
        )),
        [1000.0, 900.0, 850.0]
    );
    let mut wrong_at_all = 0.0;
    for (index, mv) in ["1000", "900", "850"].iter().enumerate() {
        let at = ["0..120", "--format", "json", "--vdd-mv", mv];
        let eval = vmin.json(&[&["eval"], &NETWORK[..], &at, &POPULATION].concat());
        let chips = found["chips"].as_array().expect("chips");
        for (chip, own) in chips.iter().zip(eval["chips"].as_array().expect("chips")) {
            let wrong = 120.0 - own["correct"].as_f64().expect("a number");
            assert_eq!(numbers(&chip["wrong"])[index], wrong, "chip {} at {mv} mV", chip["chip"]);
            wrong_at_all += wrong;
            let counts = ["accepted", "wrong_accepted"].map(|of| numbers(&chip[of])[index]);
            assert!(counts[1] <= counts[0].min(wrong) && counts[0] <= 120.0);
        }
        let point = &found["points"][index];
        let close = |a: &str, b: &Value| (point[a].as_f64().unwrap() - b.as_f64().unwrap()).abs();
        assert!(close("rerr_mean", &eval["rerr_mean"]) < 1e-12);
        assert!(close("rerr_max", &eval["rerr_max"]) < 1e-12);
    }
    assert!(wrong_at_all > 50.0, "these chips err");
}

#[test]
fn what_is_told_of_chips_follows_from_their_counts() {
    let vmin = vmin!();
    let found = monitor(&vmin, &[&POPULATION[..], &["--vdd-mv", "1000..800:50"]].concat());
    let clean = found["clean"]["accepted_err"].as_f64().expect("some are accepted");
    let most = clean + found["accuracy_loss_max"].as_f64().expect("a budget");
    let number = |of: &Value| of.as_f64().expect("a number");
    let added = number(&found["rejections_added_max"]);
    let most_rejected = 1.0 - number(&found["clean"]["accepted"]) + added + 1e-12;
    let points = found["points"].as_array().expect("points");
    let supplies: Vec<f64> = points.iter().map(|p| p["vdd_mv"].as_f64().expect("mV")).collect();
    let (mut over, mut in_time) = (0, 0);
    for chip in found["chips"].as_array().expect("chips") {
        let (accepted, wrong) = (numbers(&chip["accepted"]), numbers(&chip["wrong_accepted"]));
        let first =
            (0..supplies.len()).find(|&i| accepted[i] > 0.0 && wrong[i] / accepted[i] > most);
        assert_eq!(chip["over_budget_mv"].as_f64(), first.map(|index| supplies[index]));
        let many = |index: &usize| 1.0 - accepted[*index] / 120.0 > most_rejected;
        let first_of_all = (0..supplies.len()).find(|index| Some(*index) == first || many(index));
        let above = first_of_all.unwrap_or(supplies.len()).checked_sub(1);
        assert_eq!(chip["within_budget_mv"].as_f64(), above.map(|index| supplies[index]));
        let up = chip["rejections_up_mv"].as_f64();
        let expected = first.map(|index| up.is_some_and(|up| up >= supplies[index]));
        assert_eq!(chip["in_time"].as_bool(), expected);
        over += u32::from(first.is_some());
        in_time += u32::from(expected == Some(true));
        let canary = chip["canary"]["vdd_mv"].as_f64().expect("mV");
        assert!((800.0..=1000.0).contains(&canary));
    }
    assert_eq!(found["in_time"]["over_budget"], over);
    assert_eq!(found["in_time"]["in_time"], in_time);
    assert!(over > 0, "at 800 mV errors pass");
    // Energies of accesses are those of the profile: the square of the voltage.
    for (point, mv) in points.iter().zip(supplies) {
        let energy = point["access_energy"].as_f64().expect("a profile tells it");
        assert!((energy - mv * mv / 1e6).abs() < 1e-12, "{energy} at {mv} mV");
    }
    let strategies = found["canary"]["strategies"].as_array().expect("strategies");
    assert_eq!(strategies.len(), 3);
    let at = |index: usize| strategies[index]["vdd_mv"].as_f64().expect("mV");
    assert!(at(2) <= at(1), "a chip's own supply is no higher than that of all");
    assert_eq!(strategies[2]["chips_over_budget"], 0);
}

#[test]
fn neither_threads_nor_kernels_change_a_byte() {
    let vmin = vmin!();
    let images = ["0..40", "--held-out", "100", "--format", "json", "--vdd-mv", "900,840"];
    let run = |more: &[&str]| {
        vmin.ok(&[&["monitor"], &NETWORK[..], &images, &CANARY, &POPULATION, more].concat())
    };
    let first = run(&["--jobs", "1", "--kernel", "generic"]);
    assert_eq!(first, run(&["--jobs", "2"]));
    assert_ne!(first, run(&["--canary-seed", "2"]));
}

#[test]
fn chip_files_have_supplies_of_their_own() {
    let vmin = vmin!();
    for (seed, name) in [("1", "a.chip"), ("2", "b.chip")] {
        vmin.ok(&["chip", "sample", "--profile", "sram14", "--seed", seed, "--out", name]);
    }
    let levels = vmin.json(&["chip", "inspect", "a.chip", "--format", "json"])["vdd_mv"].clone();
    let found = monitor(&vmin, &["--chip", "a.chip", "b.chip"]);
    let points = found["points"].as_array().expect("points");
    let supplies: Vec<f64> = points.iter().map(|p| p["vdd_mv"].as_f64().expect("mV")).collect();
    assert_eq!(supplies, numbers(&levels));
    assert_eq!(found["chips"][1]["chip_file"], "b.chip");
    assert!(found["points"][0]["access_energy"].is_null(), "no profile tells it");
}

#[test]
fn the_table_fits_a_terminal_and_one_chip_has_an_interval() {
    let vmin = vmin!();
    let at = ["0..60", "--held-out", "300", "--profile", "sram14", "--vdd-mv", "900,840"];
    let words = [&["monitor"], &NETWORK[..], &at, &CANARY].concat();
    let table = vmin.ok(&words);
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(table.contains("60 other images are evaluated"), "{table}");
    let point = &vmin.json(&[&words[..], &["--format", "json"]].concat())["points"][0];
    let [low, mean, high] =
        ["accepted_low", "accepted_mean", "accepted_high"].map(|of| point[of].as_f64());
    assert!(low < mean && mean < high && low.is_some(), "{point}");
    let csv = vmin.ok(&[&words[..], &["--format", "csv"]].concat());
    assert!(csv.starts_with("vdd_mv,cell_fault_rate,accepted_mean,") && csv.lines().count() == 3);
}
