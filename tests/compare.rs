//! `vmin compare`: sweeps side by side say what each of them says alone.

use std::path::Path;

use vmin_testkit::{Vmin, vmin};

const EXPERIMENT: &str = r#"
name = "NAME"
[network]
model = "builtin:shapes-normal-8bit"
[data]
set = "builtin:shapes"
images = 30
[accelerator]
model = "eyeriss-size"
placement = "PLACEMENT"
[memory]
profile = "sram14"
vdd_mv = [900, 850]
[chips]
count = 2
seed = 3
"#;

fn two_sweeps() -> Vmin {
    let vmin = vmin!();
    for (name, placement) in [("small <memory>", "streamed"), ("large", "resident")] {
        vmin.write("e.toml", EXPERIMENT.replace("NAME", name).replace("PLACEMENT", placement));
        vmin.ok(&["sweep", "e.toml", "--out", placement]);
    }
    vmin
}

#[test]
fn every_row_is_a_point_of_its_sweep() {
    let vmin = two_sweeps();
    let comparison = vmin.json(&["compare", "streamed", "resident", "--format", "json"]);
    let rows = comparison["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4);
    let mut rows = rows.iter();
    for out in ["streamed", "resident"] {
        let text = vmin.text(Path::new(out).join("results.json"));
        let results: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        for point in results["points"].as_array().expect("points") {
            let row = rows.next().expect("a row");
            assert_eq!(row["sweep"], results["name"]);
            for key in ["vdd_mv", "flip_rate", "rerr_mean", "rerr_std", "yield"] {
                assert_eq!(row[key], point[key], "{key}");
            }
        }
    }
}

#[test]
fn page_and_picture_show_both_under_their_labels() {
    let vmin = two_sweeps();
    let words =
        ["compare", "streamed", "resident", "--out", "c.html", "--svg", "c.svg", "--over", "rate"];
    let table = vmin.ok(&words);
    assert!(table.contains("small <memory>") && table.contains("large"), "{table}");
    let page = vmin.text("c.html");
    assert!(page.contains("small &lt;memory&gt;") && !page.contains("small <memory>"));
    assert_eq!(page.matches("<svg").count(), 2);
    let svg = vmin.text("c.svg");
    assert!(svg.starts_with("<svg ") && svg.contains("xmlns"), "{}", &svg[..80]);
    assert!(svg.contains("share of faulty cells"));
    let named = ["compare", "streamed", "resident", "--label", "a", "--label", "b"];
    let table = vmin.ok(&named);
    assert!(table.contains(" a ") && !table.contains("memory"), "{table}");
    let few = vmin.run(&["compare", "streamed", "resident", "--label", "a"]);
    assert_eq!(few.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&few.stderr).contains("1 labels are named for 2 sweeps"));
}

/// Answers to different questions have no order.
#[test]
fn sweeps_of_other_targets_are_not_ranked() {
    let vmin = two_sweeps();
    let compare = ["compare", "streamed", "resident", "--format", "json", "--out", "c.html"];
    let ranked = vmin.json(&compare);
    assert_eq!(ranked["not_ranked"], serde_json::Value::Null);
    assert!(vmin.text("c.html").contains("lowest voltage reached: "));
    let text = vmin.text("e.toml");
    for (question, why) in [
        ("target_pct = 50", "target of yield (90 %, 50 %);"),
        ("accuracy_loss_max_pct = 30", "budget of loss (1.00 %, 30.00 %);"),
        ("confidence_pct = 80", "confidence (95 %, 80 %);"),
    ] {
        let loss = if question.starts_with("acc") { "" } else { "accuracy_loss_max_pct = 1\n" };
        vmin.write("e.toml", format!("{text}[yield]\n{loss}{question}\n"));
        vmin.ok(&["sweep", "e.toml", "--out", "resident", "--resume"]);
        let found = vmin.json(&compare)["not_ranked"].clone();
        let found = found.as_str().expect("words");
        assert!(found.starts_with(&format!("not ranked: the sweeps differ in {why}")), "{found}");
        let page = vmin.text("c.html");
        assert!(page.contains("<b>not ranked</b>") && !page.contains("reached: "), "{question}");
        let table = vmin.ok(&["compare", "streamed", "resident"]);
        assert!(table.contains("not ranked: the sweeps differ in"), "{table}");
    }
}

#[test]
fn other_images_are_not_ranked_and_ties_name_all() {
    let vmin = two_sweeps();
    let labels = ["--label", "a", "--label", "b"];
    let page = ["compare", "streamed", "resident", "--out", "c.html"];
    vmin.ok(&[&page[..], &labels[..]].concat());
    assert!(vmin.text("c.html").contains("least clean test error: a, b"));
    vmin.write("e.toml", vmin.text("e.toml").replace("images = 30", "images = 29"));
    vmin.ok(&["sweep", "e.toml", "--out", "fewer"]);
    let found = vmin.json(&["compare", "streamed", "fewer", "--format", "json"]);
    let found = found["not_ranked"].as_str().expect("words");
    assert!(found.contains("differ in images (others of the same set)"), "{found}");
}
