//! `vmin compare`: sweeps side by side say what each of them says alone.

use std::path::Path;
use std::process::{Command, Output};

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

fn vmin(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmin"));
    command.current_dir(folder).args(words).output().expect("vmin runs")
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, placement) in [("small <memory>", "streamed"), ("large", "resident")] {
        let text = EXPERIMENT.replace("NAME", name).replace("PLACEMENT", placement);
        std::fs::write(folder.path().join("e.toml"), text).expect("written");
        let done = vmin(folder.path(), &["sweep", "e.toml", "--out", placement]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    folder
}

#[test]
fn every_row_is_a_point_of_its_sweep() {
    let folder = folder();
    let done = vmin(folder.path(), &["compare", "streamed", "resident", "--format", "json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(rows.len(), 4);
    let mut rows = rows.iter();
    for out in ["streamed", "resident"] {
        let text = std::fs::read_to_string(folder.path().join(out).join("results.json"));
        let results: serde_json::Value =
            serde_json::from_str(&text.expect("results")).expect("JSON");
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
    let folder = folder();
    let words =
        ["compare", "streamed", "resident", "--out", "c.html", "--svg", "c.svg", "--over", "rate"];
    let done = vmin(folder.path(), &words);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let table = String::from_utf8(done.stdout).expect("text");
    assert!(table.contains("small <memory>") && table.contains("large"), "{table}");
    let page = std::fs::read_to_string(folder.path().join("c.html")).expect("a page");
    assert!(page.contains("small &lt;memory&gt;") && !page.contains("small <memory>"));
    assert_eq!(page.matches("<svg").count(), 2);
    let svg = std::fs::read_to_string(folder.path().join("c.svg")).expect("a picture");
    assert!(svg.starts_with("<svg width") && svg.contains("xmlns"), "{}", &svg[..80]);
    assert!(svg.contains("share of faulty cells"));
    let named = ["compare", "streamed", "resident", "--label", "a", "--label", "b"];
    let table = String::from_utf8(vmin(folder.path(), &named).stdout).expect("text");
    assert!(table.contains(" a ") && !table.contains("memory"), "{table}");
    let few = vmin(folder.path(), &["compare", "streamed", "resident", "--label", "a"]);
    assert_eq!(few.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&few.stderr).contains("1 labels are named for 2 sweeps"));
}
