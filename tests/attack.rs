//! `vmin attack`: what it finds, where that lies, and that other commands see the same.

use serde_json::Value;
use vmin_testkit::{Vmin, vmin};

const NETWORK: &str = "--model builtin:shapes-cnn --data builtin:shapes";
/// Few images and steps, so that a test takes a second.
const SMALL: &str = "--images 0..300 --attack-images 50";
const PIXELS: &str = "--images 0..60 --held-out 200 --restarts 2";

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn attack(vmin: &Vmin, more: &str) -> Value {
    // Options of projected gradients are refused where no search uses them.
    let gradients = !more.contains("--method") || more.contains("pgd");
    let few = if gradients { "--restarts 3 --iterations 8" } else { "" };
    vmin.json(&words(&format!("attack {NETWORK} {SMALL} {few} {more} --format json")))
}

fn number(of: &Value, key: &str) -> f64 {
    of[key].as_f64().unwrap_or_else(|| panic!("{key} in {of}"))
}

fn rows<'v>(of: &'v Value, key: &str) -> &'v Vec<Value> {
    of[key].as_array().unwrap_or_else(|| panic!("{key} in {of}"))
}

#[test]
fn a_chip_with_the_wrong_bits_has_the_same_errors_and_predictions() {
    let vmin = vmin!();
    let found = attack(&vmin, "--flips 4,12 --method pgd,progressive,random --out flips");
    assert_eq!(rows(&found, "attacks").len(), 6);
    for row in rows(&found, "attacks") {
        let file = format!("flips/{}", row["chip_file"].as_str().expect("a file"));
        let replayed = vmin.json(&words(&format!(
            "eval {NETWORK} --images 0..300 --chip {file} --vdd-mv 900 --format json"
        )));
        assert_eq!(row["err_attacked"], replayed["err"], "{file}");
        assert_eq!(row["bits_read_wrong"], replayed["flips"], "{file}");
        assert_eq!(row["flips"], replayed["cells_hit"], "{file}");
        // Above the supply of the attack the chip is healthy.
        let healthy = vmin.json(&words(&format!(
            "eval {NETWORK} --images 0..300 --chip {file} --vdd-mv 1000 --format json"
        )));
        assert_eq!((&healthy["err"], &healthy["flips"]), (&found["err_clean"], &Value::from(0)));
    }
    // The list holds the strongest of the largest attacks.
    let list = vmin.text("flips/flips.csv");
    assert_eq!(list.lines().count(), 13);
    assert_eq!(rows(&found, "flips").len(), 12);
    let largest = rows(&found, "attacks").iter().filter(|row| row["flips_max"] == 12);
    let worst = largest.map(|row| number(row, "err_attacked")).fold(0.0, f64::max);
    assert_eq!(number(&found, "err_attacked"), worst);
    let sum = |key: &str| rows(&found, key).iter().map(|row| number(row, "flips")).sum::<f64>();
    assert_eq!((sum("layers"), sum("bits")), (12.0, 12.0));
    // The same command again replaces its files and finds the same.
    let again = attack(&vmin, "--flips 4,12 --method pgd,progressive,random --out flips --jobs 1");
    assert_eq!(again["flips"], found["flips"]);
}

#[test]
fn gradients_find_worse_bits_than_chance() {
    let found = attack(&vmin!(), "--flips 12 --method pgd,progressive,first_order,random");
    let err = |method: &str| {
        let row = rows(&found, "attacks").iter().find(|row| row["method"] == method);
        number(row.expect("a row"), "err_attacked")
    };
    let clean = number(&found, "err_clean");
    assert!(err("pgd") > 0.7 && err("progressive") > 0.7, "{found}");
    assert!(err("random") < clean + 0.1 && err("first_order") > err("random"), "{found}");
}

#[test]
fn an_attack_on_a_class_drives_images_there() {
    let found = attack(&vmin!(), "--flips 12 --target 3");
    let row = &rows(&found, "attacks")[0];
    assert!(number(row, "target_share") > 0.8, "{found}");
}

#[test]
fn bits_stay_in_the_bank_the_row_and_the_rows_that_are_in_reach() {
    let vmin = vmin!();
    let all = attack(&vmin, "--flips 8 --method first_order");
    assert_eq!(all["reachable_bits"], all["stored_bits"]);
    let row = &rows(&all, "flips")[0];
    let (bank, line) = (number(row, "bank"), number(row, "row"));
    let in_row = attack(&vmin, &format!("--flips 8 --method pgd --bank {bank} --row {line}"));
    assert!(number(&in_row, "reachable_bits") < number(&all, "reachable_bits"));
    assert!(!rows(&in_row, "flips").is_empty());
    for flip in rows(&in_row, "flips") {
        assert_eq!((number(flip, "bank"), number(flip, "row")), (bank, line));
    }
    let few = attack(&vmin, "--flips 8 --method pgd --rows-max 2");
    let lines: std::collections::BTreeSet<String> = rows(&few, "flips")
        .iter()
        .map(|flip| format!("{} {}", flip["bank"], flip["row"]))
        .collect();
    assert!(lines.len() <= 2 && !lines.is_empty(), "{lines:?}");
    // Two good rows hold more than one good bit each, and are no worse than one given row.
    assert!(number(&few, "err_attacked") >= number(&in_row, "err_attacked") - 0.05);
}

#[test]
fn an_attacker_who_lowers_the_supply_reaches_the_faulty_cells_of_the_chip_alone() {
    let vmin = vmin!();
    let chip = "--rate 0.01 --fault-kind stuck_at --chip-seed 3";
    let found = attack(&vmin, &format!("--flips 6 --reach faulty {chip}"));
    let own = vmin.json(&words(&format!("eval {NETWORK} --images 0..300 {chip} --format json")));
    // Bits that a stuck cell changes; all of them together are the chip's own errors.
    assert_eq!(found["reachable_bits"], own["flips"]);
    assert!(number(&found, "err_attacked") > number(&found, "err_clean"));
}

#[test]
fn protection_takes_back_what_it_can() {
    let vmin = vmin!();
    let secded = "--rate 0 --protect {kind=\"secded\",data_bits=64}";
    let one = attack(&vmin, &format!("--flips 1,40 --method random {secded} --out one"));
    // One wrong bit in a word is corrected; so are 40 random ones, where no word has two.
    for row in rows(&one, "attacks") {
        assert_eq!(
            (number(row, "bits_read_wrong"), row["err_attacked"].clone()),
            (0.0, one["err_clean"].clone())
        );
    }
    let row = attack(&vmin, &format!("--flips 40 --method pgd --rows-max 1 {secded} --out two"));
    assert!(number(&rows(&row, "attacks")[0], "bits_read_wrong") > 10.0, "{row}");
    let replayed = vmin.json(&words(&format!(
        "eval {NETWORK} --images 0..300 --chip two/pgd-40.chip --vdd-mv 900 \
         --protect {{kind=\"secded\",data_bits=64}} --format json"
    )));
    assert_eq!(replayed["err"], rows(&row, "attacks")[0]["err_attacked"]);
    let safe = attack(
        &vmin,
        "--flips 6 --method pgd --vdd-mv 900 --profile sram14 --protect {kind=\"safe_bits\",bits=2,vdd_mv=1000}",
    );
    assert!(rows(&safe, "flips").iter().all(|flip| number(flip, "bit") < 6.0), "{safe}");
}

fn pixels(vmin: &Vmin, more: &str) -> Value {
    vmin.json(&words(&format!("attack {NETWORK} {PIXELS} {more} --format json")))
}

#[test]
fn attacked_images_are_within_their_budget_and_eval_counts_the_same_errors() {
    let vmin = vmin!();
    let chip = "--rate 0.002 --chip-seed 4";
    let found = pixels(
        &vmin,
        &format!(
            "--kind images --norm linf,l2,l1,l0 --method pgd,squares --iterations 8 --queries 60 {chip} --out found"
        ),
    );
    assert_eq!(rows(&found, "attacks").len(), 8);
    for row in rows(&found, "attacks") {
        assert!(number(row, "mean_size") <= number(row, "epsilon") + 1e-6, "{row}");
        let file = format!("npz:found/{}", row["images_file"].as_str().expect("a file"));
        let replayed = vmin.json(&words(&format!(
            "eval --model builtin:shapes-cnn --data {file} {chip} --format json"
        )));
        assert_eq!(row["err_attacked"], replayed["err"], "{file}");
        assert!(number(&found, "err_attacked") >= number(row, "err_attacked"));
    }
    let clean = vmin.json(&words(&format!("eval {NETWORK} --images 0..60 {chip} --format json")));
    assert_eq!(found["err_clean"], clean["err"]);
    let linf = |method: &str| {
        let mut all = rows(&found, "attacks").iter();
        number(
            all.find(|row| row["norm"] == "linf" && row["method"] == method).expect("a row"),
            "err_attacked",
        )
    };
    assert!(
        linf("pgd") > number(&found, "err_clean") + 0.2 && linf("pgd") >= linf("squares"),
        "{found}"
    );
    // The same command replaces its own files, and finds the same whatever the threads.
    let again = pixels(
        &vmin,
        &format!("--kind images --norm l2 --iterations 8 {chip} --out found --jobs 1"),
    );
    assert_eq!(again["attacks"][0]["err_attacked"], found["attacks"][1]["err_attacked"]);
}

#[test]
fn patches_that_choose_their_place_are_worse() {
    let vmin = vmin!();
    let of = |moves: &str| {
        let found = pixels(
            &vmin,
            &format!(
                "--kind patch --patch-side 2 --centre 4 --moves {moves} --method pgd,random_search --iterations 20 --queries 60"
            ),
        );
        let errors = rows(&found, "attacks").iter().map(|row| number(row, "err_attacked"));
        let errors: Vec<f64> = errors.collect();
        assert!(rows(&found, "attacks").iter().all(|row| number(row, "mean_size") <= 4.0));
        assert!(errors[0] >= errors[1], "{found}");
        errors
    };
    let (fixed, free) = (of("none"), of("full"));
    // So small that a patch without a choice of its place is not always enough.
    assert!(free[0] > fixed[0] + 0.2, "{fixed:?} {free:?}");
}
