//! The least energy that keeps the accuracy: what `energy` and `explore` say beside what the sweep says.

use std::path::Path;

use serde_json::Value;
use vmin_accel::VoltageProfile;
use vmin_testkit::{Vmin, vmin};

const EXPERIMENT: &str = r#"
name = "budget"
[network]
model = "builtin:shapes-cnn"
[data]
set = "builtin:shapes"
images = 60
[accelerator]
model = "gemmini-16"
[memory]
profile = "sram14"
vdd_mv = { from = 1000, to = 840, step = 20 }
[chips]
count = 6
seed = 1
"#;

const ENERGY: [&str; 7] = [
    "energy",
    "--profile",
    "sram14",
    "--accelerator",
    "gemmini-16",
    "--model",
    "builtin:shapes-cnn",
];

/// A folder with a sweep of the weight memory in `sweep`.
fn swept() -> (Vmin, Value) {
    let vmin = vmin!();
    vmin.write("e.toml", EXPERIMENT);
    vmin.ok(&["sweep", "e.toml", "--out", "sweep"]);
    let results = serde_json::from_str(&vmin.text(Path::new("sweep/results.json"))).expect("JSON");
    (vmin, results)
}

fn energy(vmin: &Vmin, more: &[&str]) -> Value {
    vmin.json(&[&ENERGY[..], more, &["--format", "json"]].concat())
}

/// What a refused command says.
fn fails(vmin: &Vmin, arguments: &[&str]) -> String {
    let output = vmin.run(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// A text on one line.
fn unbroken(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The index of the least energy among the points that `keeps` holds for, found one by one.
fn least(points: &[Value], keeps: impl Fn(&Value) -> bool) -> Option<usize> {
    let mut least: Option<usize> = None;
    for (index, point) in points.iter().enumerate() {
        let less = |of: usize| number(&point["total_nj"]) < number(&points[of]["total_nj"]);
        if keeps(point) && least.is_none_or(less) {
            least = Some(index);
        }
    }
    least
}

#[test]
fn the_minimum_keeps_the_budget_of_the_sweep() {
    let (vmin, results) = swept();
    let found = energy(&vmin, &["--vdd-mv", "1000..720:10", "--accuracy", "sweep"]);
    let points = found["points"].as_array().expect("points");
    let reached_mv = number(&results["vmin"]["reached_mv"]);
    assert!((860.0..1000.0).contains(&reached_mv), "the budget decides: {reached_mv}");
    for point in points {
        let vdd_mv = number(&point["vdd_mv"]);
        let swept = results["points"].as_array().expect("points");
        let swept = swept.iter().find(|swept| number(&swept["vdd_mv"]) == vdd_mv);
        for key in ["rerr_mean", "yield", "yield_shown"] {
            assert_eq!(
                point[key],
                swept.map_or(Value::Null, |swept| swept[key].clone()),
                "{vdd_mv}"
            );
        }
        // Six chips show no yield of 90 %.
        let swept = results["points"].as_array().expect("points").iter();
        let missed = swept.map(|swept| number(&swept["vdd_mv"])).filter(|&mv| mv < reached_mv);
        let expected = match vdd_mv {
            mv if mv >= reached_mv => "reached",
            mv if mv <= missed.fold(0.0, f64::max) => "missed",
            _ => "unknown",
        };
        assert_eq!(point["accuracy"], expected, "{vdd_mv}");
    }
    let least_of_all = least(points, |_| true).expect("points");
    assert_eq!(found["least_of_all"], least_of_all);
    assert_eq!(points[least_of_all]["vdd_mv"], 720.0);
    let kept = least(points, |point| number(&point["vdd_mv"]) >= reached_mv).expect("some");
    assert_eq!(found["least"], kept);
    assert_eq!(points[kept]["vdd_mv"], reached_mv);
    assert_eq!(
        (&found["vdd_mv"], &found["total_nj"]),
        (&points[kept]["vdd_mv"], &points[kept]["total_nj"])
    );
    // The energy of the sweep, which has the same placement.
    let at_budget = results["points"].as_array().expect("points").iter();
    let at_budget = at_budget.clone().find(|point| point["vdd_mv"] == reached_mv).expect("swept");
    assert_eq!(found["total_nj"], at_budget["energy_per_inference_nj"]);

    let table =
        vmin.ok(&[&ENERGY[..], &["--vdd-mv", "1000..720:10", "--accuracy", "sweep"]].concat());
    let marked: Vec<&str> = table.lines().filter(|line| line.contains("<- least")).collect();
    assert!(marked.len() == 1 && marked[0].trim().starts_with(&reached_mv.to_string()), "{table}");
    assert!(table.contains("at 720 mV, accuracy missed"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
}

/// What the sweep shows for the population is the answer; what its sample only reaches is named beside it.
#[test]
fn the_minimum_is_where_the_target_is_shown() {
    let vmin = vmin!();
    // The highest voltage shows half of all chips, a lower one does not.
    vmin.write(
        "e.toml",
        format!("{EXPERIMENT}[yield]\naccuracy_loss_max_pct = 1\ntarget_pct = 50\n"),
    );
    vmin.ok(&["sweep", "e.toml", "--out", "sweep"]);
    let results: Value = serde_json::from_str(&vmin.text("sweep/results.json")).expect("JSON");
    let at = ["shown_mv", "reached_mv"].map(|key| number(&results["vmin"][key]));
    assert!(at[1] < at[0], "{at:?}");
    let found = energy(&vmin, &["--vdd-mv", "1000..720:10", "--accuracy", "sweep"]);
    let points = found["points"].as_array().expect("points");
    for (key, accuracy, vdd_mv) in [("least", "shown", at[0]), ("least_reached", "reached", at[1])]
    {
        let point = &points[found[key].as_u64().expect(key) as usize];
        assert_eq!((&point["accuracy"], &point["vdd_mv"]), (&accuracy.into(), &vdd_mv.into()));
    }
    assert_eq!(found["vdd_mv"], at[0]);
    let more = ["--vdd-mv", "1000..720:10", "--accuracy", "sweep", "--report", "page.html"];
    let table = vmin.ok(&[&ENERGY[..], &more].concat());
    for (mark, vdd_mv) in [("<- least", at[0]), ("<- reached", at[1])] {
        let marked: Vec<&str> = table.lines().filter(|line| line.contains(mark)).collect();
        assert!(
            matches!(marked[..], [line] if line.trim().starts_with(&vdd_mv.to_string())),
            "{table}"
        );
    }
    let words = unbroken(&table);
    let told = words.split_once("; where the sampled chips only reach the target: ");
    let (shown, reached) = told.expect("both are named");
    assert!(shown.ends_with(&format!("at {} mV, accuracy shown", at[0])), "{table}");
    assert!(reached.contains(&format!("at {} mV, accuracy reached", at[1])), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(vmin.text("page.html").contains("Where the sampled chips only reach the target: "));
}

#[test]
fn another_question_of_the_sweep_moves_the_minimum() {
    let (vmin, results) = swept();
    let loose = EXPERIMENT.to_owned() + "[yield]\naccuracy_loss_max_pct = 30.0\n";
    vmin.write("e.toml", loose);
    vmin.ok(&["sweep", "e.toml", "--out", "sweep", "--resume"]);
    let found = energy(&vmin, &["--vdd-mv", "1000..840:20", "--accuracy", "sweep/results.json"]);
    assert!(number(&found["vdd_mv"]) < number(&results["vmin"]["reached_mv"]));
}

#[test]
fn without_a_sweep_only_what_has_no_faults_is_known() {
    let vmin = vmin!();
    let found = energy(&vmin, &["--vdd-mv", "1000..720:10"]);
    let profile = VoltageProfile::load("sram14").expect("shipped");
    let graph = vmin_nn::model::load("builtin:shapes-cnn").expect("shipped");
    let bits: usize = graph.weights.iter().map(|w| w.codes.len() * usize::from(w.bits)).sum();
    let faulty = |vdd_mv: f64| bits as f64 * profile.cell_fault_rate(vdd_mv);
    let down_to = number(&found["clean_down_to_mv"]);
    assert!(faulty(down_to) < 1.0 && faulty(down_to - 0.1) >= 1.0, "{down_to}");
    let points = found["points"].as_array().expect("points");
    for point in points {
        let vdd_mv = number(&point["vdd_mv"]);
        let clean = vdd_mv >= down_to;
        assert_eq!(point["accuracy"], if clean { "clean" } else { "unknown" }, "{vdd_mv}");
        assert_eq!(point["faulty_cells_expected"], faulty(vdd_mv), "{vdd_mv}");
    }
    assert_eq!(found["least"], least(points, |point| number(&point["vdd_mv"]) >= down_to).unwrap());
    assert!(number(&points[28]["cell_fault_rate"]) > 0.3, "useless, and so not marked");

    let below = energy(&vmin, &["--vdd-mv", "900,720"]);
    assert_eq!((&below["least"], &below["least_of_all"]), (&Value::Null, &Value::from(1)));
    let table = vmin.ok(&[&ENERGY[..], &["--vdd-mv", "900,720"]].concat());
    assert!(!table.contains("<- least") && table.contains("accuracy unknown below"), "{table}");
}

#[test]
fn errors_of_something_else_are_refused() {
    let (vmin, results) = swept();
    let refused = |replaced: &[(&str, &str)], more: &[&str], why: &str| {
        let of = |word: &&'static str| {
            replaced.iter().find(|(from, _)| from == word).map_or(*word, |(_, to)| *to)
        };
        let energy: Vec<&str> = ENERGY.iter().map(of).collect();
        let all = [&energy[..], &["--vdd-mv", "900", "--accuracy", "sweep"], more].concat();
        let text = fails(&vmin, &all);
        let is_note = |line: &&str| line.starts_with("note: ") || line.starts_with("  ");
        let first = text.lines().find(|line| !is_note(line)).expect("an error");
        assert!(unbroken(&text).contains(why) && first.starts_with("error[accuracy]"), "{text}");
    };
    let normal = ("builtin:shapes-cnn", "builtin:shapes-normal-8bit");
    refused(
        &[normal],
        &[],
        "the sweep ran another network: `builtin:shapes-cnn` with 8-bit weights",
    );
    let shipped = include_str!("../voltage-profiles/sram14.toml");
    let other = shipped.replace("sigma_mv = 55.3", "sigma_mv = 55.4");
    assert_ne!(other, shipped);
    vmin.write("other.toml", other);
    refused(&[("sram14", "other.toml")], &[], "another profile: `sram14`, 1000 mV nominal");
    refused(&[("gemmini-16", "eyeriss-size")], &["--placement", "resident"], "another accelerator");
    refused(&[], &["--placement", "streamed"], "weights are resident, here they are streamed");
    refused(&[], &["--rails", "memories"], "lowers weight memory, here weight, activation");
    refused(&[("--model", "--attention"), ("builtin:shapes-cnn", "8,16,4")], &[], "have no values");

    // What leaves the cells alone leaves the errors alone.
    let other = vmin_testkit::root().join("accel-models/gemmini-16.toml");
    let other = std::fs::read_to_string(other)
        .expect("shipped")
        .replace("clock_mhz = 1000", "clock_mhz = 500");
    vmin.write("slow.toml", other);
    let slow = ENERGY.map(|word| if word == "gemmini-16" { "slow.toml" } else { word });
    vmin.ok(&[&slow[..], &["--vdd-mv", "900", "--accuracy", "sweep"]].concat());
    // So do a comment and another law of energy: they decide no cell.
    vmin.write("told.toml", format!("# A remark.\n{shipped}"));
    for profile in ["told.toml", "sram14-dvfs"] {
        let told = ENERGY.map(|word| if word == "sram14" { profile } else { word });
        vmin.ok(&[&told[..], &["--vdd-mv", "900", "--accuracy", "sweep"]].concat());
    }

    let mut old = results;
    let fields = old.as_object_mut().expect("an object");
    fields.remove("subject");
    fields["results_version"] = 2.into();
    vmin.write("sweep/results.json", old.to_string());
    refused(&[], &[], "of version 2, does not say what its errors belong to");
    vmin.ok(&["report", "sweep"]);
}

const SPACE: &str = r#"
name = "a space"
[network]
model = "builtin:shapes-cnn"
[accelerator]
base = "gemmini-16"
[memory]
profile = "sram14"
vdd_mv = [1000, 940, 930, 880, 720]
rails = "weight"
[vary]
array_sides = [8, 16]
weight_kib = [128, 64]
[objectives]
minimize = ["energy_nj", "latency_us"]
[accuracy]
results = "sweep/results.json"
"#;

#[test]
fn a_space_is_told_which_of_its_designs_the_sweep_knows() {
    let (vmin, results) = swept();
    let reached_mv = number(&results["vmin"]["reached_mv"]);
    vmin.write("space.toml", SPACE);
    vmin.ok(&["explore", "space.toml", "--out", "out"]);
    let explored: Value =
        serde_json::from_str(&vmin.text(Path::new("out/explore.json"))).expect("JSON");
    let points = explored["points"].as_array().expect("points");
    assert_eq!(points.len(), 20);
    for point in points {
        let vdd_mv = number(&point["vdd_mv"]);
        // Cells lie elsewhere in a memory of another size, whatever the array.
        let known = point["weight_kib"] == 128.0;
        let expected = match (known, vdd_mv) {
            (true, vdd_mv) if vdd_mv >= reached_mv => "reached",
            (true, 880.0 | 720.0) => "missed",
            (false, 1000.0) => "clean",
            (_, _) => "unknown",
        };
        assert_eq!(point["accuracy"], expected, "{point}");
        assert_eq!(
            point["rerr_mean"].is_null(),
            !known || [930.0, 720.0].contains(&vdd_mv),
            "{point}"
        );
        let keeps = ["reached", "clean"].contains(&expected);
        assert!(keeps || point["pareto"] == false, "{point}");
    }
    let least = &points[explored["least_energy"].as_u64().expect("one") as usize];
    let kept = points
        .iter()
        .filter(|point| ["reached", "clean"].iter().any(|word| point["accuracy"] == *word));
    let energies: Vec<f64> = kept.map(|point| number(&point["energy_nj"])).collect();
    assert_eq!(number(&least["energy_nj"]), energies.iter().copied().fold(f64::INFINITY, f64::min));
    let of_all = &points[explored["least_energy_of_all"].as_u64().expect("one") as usize];
    assert_eq!((&of_all["vdd_mv"], &of_all["accuracy"]), (&720.0.into(), &"unknown".into()));

    let streamed =
        SPACE.replace("base = \"gemmini-16\"", "base = \"gemmini-16\"\nplacement = \"streamed\"");
    for (text, why) in [
        (SPACE.replace("rails = \"weight\"", ""), "here weight, activation, accumulator memory"),
        (streamed, "the sweep's weights are resident, here they are streamed"),
        (SPACE.replace("[128, 64]", "[64]"), "the data of its weight memory lie in other cells"),
        (
            SPACE.replace("\"builtin:shapes-cnn\"", "\"builtin:shapes-cnn\"\nbits = 4"),
            "another network",
        ),
    ] {
        vmin.write("space.toml", text);
        let refused = fails(&vmin, &["explore", "space.toml", "--out", "other"]);
        assert!(unbroken(&refused).contains(why), "{refused}");
    }
}

/// A design whose clock is too fast for its memories is nowhere named the best without saying so.
#[test]
fn the_best_design_is_named_with_its_clock() {
    let vmin = vmin!();
    let space = SPACE.split("[accuracy]").next().expect("a space").replace("[8, 16]", "[16]");
    for (kib, too_fast) in [(128, false), (512, true)] {
        // 45 nm, 500 MHz: banks of 64 KiB follow (1.89 ns), those of 256 KiB do not (3.21 ns).
        vmin.write("space.toml", space.replace("[128, 64]", &format!("[{kib}]")));
        let table = vmin.ok(&["explore", "space.toml", "--out", "out"]);
        let words = unbroken(&table);
        let (page, _) =
            vmin.text("out/explore.html").split_once("<script").map(owned).expect("data");
        let points = vmin.json(&["explore", "space.toml", "--out", "out", "--format", "json"]);
        let rows = points["rows"].as_array().expect("rows");
        assert!(!rows.is_empty() && rows.iter().all(|row| row["clock_too_fast"] == too_fast));
        let caveat = ", with a clock too fast for a memory";
        let told = |text: &str| text.matches(caveat).count();
        // The least that keeps the accuracy, and the least of all; in tiles also the least latency.
        assert_eq!((told(&words), told(&page)), if too_fast { (2, 4) } else { (0, 0) }, "{words}");
        let named = page.matches("least ").count() - page.matches("least energy of all").count();
        assert!(named >= 3, "{named}");
        let marked = if too_fast { "too fast" } else { "ok" };
        assert!(words.contains(&format!("clean {marked}")), "{table}");
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }
}

fn owned((before, after): (&str, &str)) -> (String, String) {
    (before.to_owned(), after.to_owned())
}

/// The same of one accelerator at several voltages, in all formats.
#[test]
fn a_clock_too_fast_is_marked_at_every_voltage() {
    let vmin = vmin!();
    let shipped = vmin_testkit::root().join("accel-models/gemmini-16.toml");
    let shipped = std::fs::read_to_string(shipped).expect("shipped");
    // Its banks follow 500 MHz.
    let fast = shipped.replace("clock_mhz = 500", "clock_mhz = 1000");
    assert_ne!(fast, shipped);
    for (text, too_fast) in [(shipped, false), (fast, true)] {
        vmin.write("a.toml", text);
        let energy = ENERGY.map(|word| if word == "gemmini-16" { "a.toml" } else { word });
        let told = |more: &[&str]| vmin.ok(&[&energy[..], more].concat());
        let curve = told(&["--vdd-mv", "1000,960", "--report", "e.html"]);
        let one = told(&["--vdd-mv", "1000"]);
        let (page, _) = vmin.text("e.html").split_once("<script").map(owned).expect("data");
        let caveat = ", with a clock too fast for a memory";
        for text in [&curve, &one, &page] {
            let words = unbroken(text);
            assert_eq!(words.contains(caveat), too_fast, "{text}");
        }
        assert_eq!(curve.contains("clean  too fast"), too_fast, "{curve}");
        assert_eq!(page.matches("<td>too fast</td>").count(), if too_fast { 2 } else { 0 });
        let csv = told(&["--vdd-mv", "1000", "--format", "csv"]);
        let (header, rows) = csv.split_once('\n').expect("rows");
        assert!(header.ends_with(",clock_too_fast"), "{header}");
        assert!(rows.lines().all(|row| row.ends_with(&format!(",{too_fast}"))), "{rows}");
        let found = vmin.json(&[&energy[..], &["--vdd-mv", "1000", "--format", "json"]].concat());
        assert_eq!(found["clock_too_fast"], too_fast);
        assert_eq!(found["points"][0]["clock_too_fast"], too_fast);
    }
}

/// The supply of the logic says nothing of errors in memories.
#[test]
fn where_no_memory_is_lowered_none_errs_at_any_voltage() {
    let (vmin, _) = swept();
    let dvfs = ENERGY.map(|word| if word == "sram14" { "sram14-dvfs" } else { word });
    let logic = [&dvfs[..], &["--vdd-mv", "710", "--rails", "logic"]].concat();
    for more in [&[][..], &["--accuracy", "sweep"]] {
        let found = vmin.json(&[&logic[..], more, &["--format", "json"]].concat());
        assert_eq!((&found["accuracy"], &found["least"]), (&"nominal".into(), &0.into()));
        assert_eq!(found["clean_down_to_mv"], Value::Null);
        let table = vmin.ok(&[&logic[..], more].concat());
        assert!(table.contains("accuracy nominal") && !table.contains("clean"), "{table}");
        assert!(table.contains("no memory is lowered") && !table.contains("unknown"), "{table}");
    }
    let space = SPACE.split("[accuracy]").next().expect("a space");
    let space = space.replace("\"sram14\"", "\"sram14-dvfs\"").replace("\"weight\"", "\"logic\"");
    vmin.write("space.toml", space);
    let table = vmin.ok(&["explore", "space.toml", "--out", "out"]);
    assert!(table.contains("no memory is lowered") && !table.contains("unknown"), "{table}");
}

#[test]
fn an_accuracy_says_whose_it_is_and_at_which_voltages() {
    let vmin = vmin!();
    let remedies = "[[remedy]]\nname = \"ECC\"\nprotection = [{ kind = \"parity\" }]\n";
    vmin.write("e.toml", EXPERIMENT.replace("step = 20", "step = 80") + remedies);
    vmin.ok(&["sweep", "e.toml", "--out", "sweep"]);
    let source = |vdd_mv: &str| {
        let found = energy(&vmin, &["--accuracy", "sweep", "--vdd-mv", vdd_mv]);
        found["accuracy_source"].as_str().expect("words").to_owned()
    };
    let words = source("1000,920,840");
    assert!(words.contains("its network without protection, not of its remedies `ECC`"), "{words}");
    assert!(!words.contains("no numbers"), "{words}");
    let words = source("990,920");
    let told = "no numbers at 1 of 2 voltages here, those that it has: `--vdd-mv 1000,920,840`";
    assert!(words.contains(told), "{words}");
}

/// The end of the text, which a terminal shows, has the answer.
#[test]
fn the_answer_is_the_end_of_the_text() {
    let vmin = vmin!();
    for vdd_mv in ["900", "1000..720:10"] {
        let text = vmin.ok(&[&ENERGY[..], &["--vdd-mv", vdd_mv]].concat());
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let lines: Vec<&str> = text.lines().rev().take(8).collect();
        assert!(lines.iter().any(|line| line.contains("nJ per inference")), "{text}");
        assert!(lines.iter().any(|line| line.contains("accuracy ")), "{text}");
    }
}

/// A profile that is relative to V_min, on the supply of a memory whose V_min is known: the same in all commands.
#[test]
fn a_known_vmin_is_one_subject_in_all_commands() {
    let vmin = vmin!();
    let at_500 = |text: &str| {
        let voltages = text.lines().find(|line| line.starts_with("vdd_mv")).expect("voltages");
        text.replace(voltages, "vmin_mv = 500\nvdd_mv = [500, 470, 440, 430]")
    };
    vmin.write("e.toml", at_500(EXPERIMENT));
    vmin.ok(&["sweep", "e.toml", "--out", "sweep"]);
    let of_sweep: Value = serde_json::from_str(&vmin.text("sweep/results.json")).expect("JSON");
    let swept = of_sweep["points"].as_array().expect("points");
    let vdd_mv = ["--vdd-mv", "500,470,440,430", "--accuracy", "sweep"];
    for (v_min, here) in [(&[][..], "1000"), (&["--vmin-mv", "560"], "560")] {
        let refused = fails(&vmin, &[&ENERGY[..], &vdd_mv, v_min].concat());
        assert!(refused.contains(&format!("V_min is 500 mV, here it is {here} mV")), "{refused}");
        assert!(refused.contains("`--vmin-mv 500`, in files `vmin_mv = 500`"), "{refused}");
    }
    vmin.write("space.toml", SPACE);
    let refused = fails(&vmin, &["explore", "space.toml", "--out", "other"]);
    assert!(refused.contains("in files `vmin_mv = 500`"), "{refused}");
    let found = energy(&vmin, &[&vdd_mv[..], &["--vmin-mv", "500"]].concat());
    vmin.write("space.toml", at_500(SPACE));
    vmin.ok(&["explore", "space.toml", "--out", "out"]);
    let explored: Value = serde_json::from_str(&vmin.text("out/explore.json")).expect("JSON");
    let here = |point: &&Value| point["rows"] == 16 && point["weight_kib"] == 128.0;
    let explored: Vec<&Value> =
        explored["points"].as_array().expect("points").iter().filter(here).collect();
    for (index, swept) in swept.iter().enumerate() {
        let (priced, design) = (&found["points"][index], explored[index]);
        for point in [priced, design] {
            for key in ["vdd_mv", "cell_fault_rate", "rerr_mean", "yield", "yield_shown"] {
                assert_eq!(point[key], swept[key], "{key}");
            }
        }
        assert_eq!(priced["total_nj"], swept["energy_per_inference_nj"]);
        assert_eq!(design["energy_nj"], swept["energy_per_inference_nj"]);
    }
    let words = found["accuracy_source"].as_str().expect("words");
    assert!(words.contains("weights resident, linear)"), "{words}");

    let real = ENERGY.map(|word| if word == "sram14" { "fpga28-vc707" } else { word });
    let refused = fails(&vmin, &[&real[..], &["--vdd-mv", "600", "--vmin-mv", "700"]].concat());
    assert!(refused.contains("`fpga28-vc707` has the voltages of a real supply"), "{refused}");
    let refused = fails(&vmin, &[&ENERGY[..], &["--vdd-mv", "600", "--vmin-mv", "0"]].concat());
    assert!(refused.contains("expected 1 to 5000 mV"), "{refused}");
}

#[test]
fn each_supply_has_its_own_voltage() {
    let vmin = vmin!();
    let held = ["--vdd-mv", "850", "--rail", "weight=900"];
    let (own, plain) = (energy(&vmin, &held), energy(&vmin, &["--vdd-mv", "900"]));
    assert_eq!(
        (&own["total_nj"], &own["supplies_mv"]),
        (&plain["total_nj"], &plain["supplies_mv"])
    );
    assert_eq!((&own["vdd_mv"], &own["supplies_mv"]["weight"]), (&Value::Null, &900.0.into()));
    let table = vmin.ok(&[&ENERGY[..], &held].concat());
    assert!(table.contains("900 mV") && !table.contains("850"), "{table}");
    let both = ["--vdd-mv", "950..900:10", "--rails", "memories", "--rail", "logic=980"];
    let table = vmin.ok(&[&ENERGY[..], &both].concat()).replace("\n ", "");
    assert!(
        table.contains("logic 980 mV, weight 950 to 900 mV, activation 950 to 900 mV"),
        "{table}"
    );
}

#[test]
fn workloads_without_a_network_have_energy_and_no_accuracy() {
    let vmin = vmin!();
    vmin.write("gemm.csv", "Layer,M,N,K,\nfc,10,20,30,\n");
    let header = "Layer name,IFMAP Height,IFMAP Width,Filter Height,Filter Width,Channels,Num Filter,Strides,";
    vmin.write("topology.csv", format!("{header}\nconv,8,8,3,3,4,8,1,\n"));
    let work = [["--attention", "8,16,4"], ["--gemm", "gemm.csv"], ["--topology", "topology.csv"]];
    for work in work {
        let energy =
            [&["energy", "--accelerator", "gemmini-16", "--profile", "sram14"], &work[..]].concat();
        let found =
            vmin.json(&[&energy[..], &["--vdd-mv", "1000,900", "--format", "json"]].concat());
        let cycles =
            [&["cycles", "--accelerator", "gemmini-16", "--format", "json"], &work[..]].concat();
        let cycles = vmin.json(&cycles);
        assert_eq!(found["latency_us"], cycles["latency_us"]);
        assert_eq!(found["least"], Value::Null);
        for point in found["points"].as_array().expect("points") {
            assert_eq!(point["accuracy"], "unknown");
            assert_eq!(point["faulty_cells_expected"], Value::Null);
        }
        let macs: f64 =
            cycles["layers"].as_array().unwrap().iter().map(|l| number(&l["macs"])).sum();
        let table = vmin.ok(&[&energy[..], &["--vdd-mv", "900"]].concat());
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        let mac_nj = number(&found["by_component"]["mac_nj"]);
        assert!((mac_nj - macs * 0.3e-3).abs() <= 1e-12 * mac_nj, "but for the order of the sum");
    }
}
