//! Mechanisms that work from a map which is not exact, and what that loses.

use serde_json::Value;
use vmin_testkit::vmin;

/// Chips with stuck cells, of which noise shows some at some reads only.
const CHIPS: &str =
    "--profile sram14 --vdd-mv 815 --fault-kind stuck_at --read-noise-mv 6 --chip 0..3";
const REMEDY: &str = "{ kind = \"closest_code\" }";

fn words<'a>(text: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    text.split_whitespace().chain(more.iter().copied()).collect()
}

/// The JSON of an evaluation of these chips.
fn eval(more: &[&str]) -> Value {
    let network =
        "eval --model builtin:shapes-cnn --data builtin:shapes --images 0..100 --format json";
    let all = [&words(CHIPS, &["--protect", REMEDY])[..], more].concat();
    vmin!().json(&words(network, &all))
}

fn numbers(rows: &Value, key: &str) -> Vec<f64> {
    let rows = rows.as_array().expect("rows");
    rows.iter().map(|row| row[key].as_f64().unwrap_or_else(|| panic!("{key} in {row}"))).collect()
}

#[test]
fn what_a_map_loses_is_the_difference_to_the_exact_one_chip_by_chip() {
    let exact = eval(&[]);
    assert_eq!(exact["chips"][0]["known"], "exact");
    assert!(exact.get("lost_by_map").is_none() && exact["chips"][0].get("lost_by_map").is_none());
    let aged = eval(&["--known", "{ aged_mv = 20 }"]);
    assert_eq!(aged["chips"][0]["known"], "{ aged_mv = 20 }");
    let (errors, exactly) = (numbers(&aged["chips"], "err"), numbers(&exact["chips"], "err"));
    assert_eq!(numbers(&aged["chips"], "err_exact_map"), exactly);
    let lost: Vec<f64> = errors.iter().zip(&exactly).map(|(err, exact)| err - exact).collect();
    assert_eq!(numbers(&aged["chips"], "lost_by_map"), lost);
    let mean = lost.iter().sum::<f64>() / lost.len() as f64;
    let of = |key: &str| aged["lost_by_map"][key].as_f64().expect("a number");
    assert!(mean > 0.0 && (of("mean") - mean).abs() < 1e-12, "{lost:?}");
    assert!(of("low") < mean && mean < of("high"));
}

#[test]
fn a_test_that_finds_the_exact_map_loses_nothing() {
    let quiet = eval(&["--known", "{ read_noise_mv = 0 }"]);
    assert_eq!(numbers(&quiet["chips"], "lost_by_map"), [0.0; 4]);
    // Four equal chips have no interval of Student's.
    let all = ["mean", "low", "high"].map(|key| quiet["lost_by_map"][key].as_f64());
    assert_eq!(all, [Some(0.0), None, None]);
    let differing = quiet["lost_by_map"]["differing_high"].as_f64().expect("a share");
    assert!((differing - (1.0 - 0.05_f64.powf(0.25))).abs() < 1e-12, "{differing}");
}

#[test]
fn a_deployment_expects_what_its_map_loses() {
    let vmin = vmin!();
    let deploy = format!("deploy builtin:shapes-cnn {CHIPS} --out out --data builtin:shapes");
    let more = ["--images", "0..100", "--known", "{ aged_mv = 20 }", "--remedy", REMEDY];
    let answer = vmin.json(&words(&deploy, &[&more[..], &["--format", "json"]].concat()));
    let aged = eval(&["--known", "{ aged_mv = 20 }"]);
    assert_eq!(answer["lost_by_map"], aged["lost_by_map"]);
    assert_eq!(answer["known"], "{ aged_mv = 20 }");
    assert!(answer["area_share"] == 0.0 && answer["test_row_reads"].as_u64() > Some(0));
    let manifest: Value =
        serde_json::from_str(&vmin.text("out/chip-2/manifest.json")).expect("JSON");
    let expected = &manifest["expected"]["lost_by_map"];
    assert_eq!(
        (expected, &manifest["known"]),
        (&aged["chips"][2]["lost_by_map"], &answer["known"])
    );
}

#[test]
fn biases_fitted_by_an_inexact_map_are_taken_back() {
    let vmin = vmin!();
    let deploy = format!("deploy builtin:shapes-cnn {CHIPS} --out out --data builtin:shapes");
    let more = ["--images", "0..40", "--known", "{ aged_mv = 20 }", "--remedy", "closest_code"];
    let more = [&more[..], &["--remedy", "recalibrate"]].concat();
    let answer = vmin.json(&words(&deploy, &[&more[..], &["--format", "json"]].concat()));
    let eval = "eval --deployed out --data builtin:shapes --images 0..40 --format json";
    let back = vmin.json(&words(eval, &[]));
    assert_eq!(numbers(&back["chips"], "err"), numbers(&answer["chips"], "err_deployed"));
}

#[test]
fn a_sweep_compares_a_remedy_with_the_same_that_knows_the_exact_map() {
    let vmin = vmin!();
    let remedy = |name: &str, more: &str| {
        format!("[[remedy]]\nname = \"{name}\"\nprotection = [{REMEDY}]\n{more}\n")
    };
    let experiment = format!(
        "name = \"maps\"\n[network]\nmodel = \"builtin:shapes-cnn\"\n[data]\nset = \"builtin:shapes\"\n\
         images = 100\n[accelerator]\nmodel = \"gemmini-16\"\n[memory]\nprofile = \"sram14\"\n\
         vdd_mv = [836, 815]\nread_noise_mv = 6\nfault_kind = \"stuck_at\"\n[chips]\ncount = 4\nseed = 0\n\
         [yield]\naccuracy_loss_max_pct = 100\n{}{}{}",
        remedy("aged", "known = { aged_mv = 20 }"),
        remedy("exact", "vdd_mv = [815]"),
        remedy("quiet", "known = { read_noise_mv = 0 }"),
    );
    vmin.write("maps.toml", &experiment);
    vmin.ok(&["sweep", "maps.toml", "--out", "out"]);
    let results: Value = serde_json::from_str(&vmin.text("out/results.json")).expect("JSON");
    let remedies = results["remedies"].as_array().expect("remedies");
    let [_, aged, exact, quiet] = &remedies[..] else { panic!("four: {remedies:?}") };
    // At 836 mV there is no such remedy with the exact map.
    assert!(aged["points"][0].get("lost_by_map").is_none());
    let lost = &aged["points"][1]["lost_by_map"];
    let of = |of: &Value, point: usize| of["points"][point]["rerr_mean"].as_f64().expect("a mean");
    let expected = of(aged, 1) - of(exact, 0);
    let mean = lost["mean"].as_f64().expect("a mean");
    assert!(expected > 0.0 && (mean - expected).abs() < 1e-12, "{mean} {expected}");
    assert!(lost["low"].as_f64() < Some(mean) && Some(mean) < lost["high"].as_f64());
    assert_eq!(quiet["points"][1]["lost_by_map"]["mean"], 0.0);
    assert_eq!((&aged["known"], &exact["known"]), (&"{ aged_mv = 20 }".into(), &"exact".into()));
    // All voltages are within such a budget: what is reached is the lowest of the sweep.
    assert_eq!(aged["vmin"]["reached_at_lowest"], true);
    let table = vmin.ok(&["sweep", "maps.toml", "--out", "again"]);
    assert!(table.contains("<= 815"), "{table}");
    let csv = vmin.text("out/remedies.csv");
    for column in ["known", "area_share", "lost_by_map_low", "weight_rows_used", "test_row_reads"] {
        assert!(csv.lines().next().is_some_and(|header| header.contains(column)), "{column}");
    }
}

#[test]
fn a_remedy_that_misses_the_target_tells_what_it_reaches() {
    let vmin = vmin!();
    let experiment = format!(
        "name = \"maps\"\n[network]\nmodel = \"builtin:shapes-cnn\"\n[data]\nset = \"builtin:shapes\"\n\
         images = 100\n[accelerator]\nmodel = \"gemmini-16\"\n[memory]\nprofile = \"sram14\"\n\
         vdd_mv = [1000, 815]\nread_noise_mv = 6\nfault_kind = \"stuck_at\"\n[chips]\ncount = 6\nseed = 1\n\
         [yield]\naccuracy_loss_max_pct = 1\ntarget_pct = 50\n\
         [[remedy]]\nname = \"aged\"\nprotection = [{REMEDY}]\nvdd_mv = [815, 810]\n\
         known = {{ aged_mv = 20 }}\n\
         [[remedy]]\nname = \"exact\"\nprotection = [{REMEDY}]\nvdd_mv = [815]\n\
         [[remedy]]\nname = \"alone\"\nprotection = [{{ kind = \"invert_rows\" }}]\n\
         known = {{ aged_mv = 20 }}\n\
         [[remedy]]\nname = \"two bits\"\nbits = 2\n"
    );
    vmin.write("maps.toml", &experiment);
    let table = vmin.ok(&["sweep", "maps.toml", "--out", "out"]);
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let results: Value = serde_json::from_str(&vmin.text("out/results.json")).expect("JSON");
    let of = |remedy: usize, point: usize, key: &str| {
        results["remedies"][remedy]["points"][point][key].as_f64()
    };
    // A column of the CSV by remedy.
    let csv = vmin.text("out/remedies.csv");
    let cell = |remedy: usize, name: &str| {
        let mut rows = csv::Reader::from_reader(csv.as_bytes());
        let place = rows.headers().expect("a header").iter().position(|own| own == name);
        let row = rows.records().nth(remedy).expect("a remedy").expect("CSV");
        row[place.unwrap_or_else(|| panic!("{name}"))].to_owned()
    };
    let number = |remedy: usize, name: &str| cell(remedy, name).parse::<f64>().ok();
    // Remedy 1 misses the target at its highest voltage: it tells the point of its lowest error.
    assert!(results["remedies"][1]["best"].is_null());
    let lowest = usize::from(of(1, 1, "rerr_mean") < of(1, 0, "rerr_mean"));
    assert_eq!((cell(1, "vdd_mv").as_str(), cell(1, "at").as_str()), ("", "lowest_rerr"));
    assert_eq!(number(1, "at_mv"), of(1, lowest, "vdd_mv"));
    assert_eq!(number(1, "rerr_mean"), of(1, lowest, "rerr_mean"));
    assert_eq!(
        (lowest, number(1, "lost_by_map")),
        (0, results["remedies"][1]["points"][0]["lost_by_map"]["mean"].as_f64())
    );
    // Remedy 3 reaches and shows it.
    assert_eq!((number(3, "vdd_mv"), number(3, "shown_mv")), (Some(1000.0), Some(1000.0)));
    assert_eq!(
        (cell(3, "at").as_str(), number(3, "energy_saving_shown")),
        ("reached", of(3, 0, "energy_saving"))
    );
    let page = vmin.text("out/report.html");
    let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "`aged` misses the target at its highest voltage already; its columns are those of its lowest mean error, at 815 mV",
        "`aged` loses by its map, against the exact one: ",
        "what `alone` loses by its map is not known: at 1000 mV there is no remedy with the same protection",
        "the network of `two bits` loses ",
        "only with `--format csv` or `json`: extra bits",
        "saved shown:",
    ] {
        assert!(table.contains(words), "{words}: {table}");
        let in_page = words.replace('`', "");
        assert!(
            page.contains(&in_page) || words.contains("saved") || words.contains("only"),
            "{in_page}"
        );
    }
    assert!(table.contains("none*") && page.contains("<td>none*</td>"), "{table}");
}

#[test]
fn read_noise_of_a_test_is_refused_with_chip_files() {
    let vmin = vmin!();
    let sampled = "chip sample --profile sram14 --seed 1 --out a.chip";
    vmin.ok(&words(sampled, &[]));
    let network =
        "eval --model builtin:shapes-cnn --data builtin:shapes --images 0..10 --chip a.chip";
    let more = ["--vdd-mv", "800", "--protect", REMEDY, "--known", "{ read_noise_mv = 3 }"];
    let output = vmin.run(&words(network, &more));
    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{problem}");
    assert!(problem.contains("measured maps include the noise"), "{problem}");
}
