//! Sweeps that share a store of trials: what one has run, no other runs, and results are the same bytes.

use std::path::{Path, PathBuf};

use serde_json::Value;
use vmin_testkit::{Vmin, vmin};

/// 12 trials.
const EXPERIMENT: &str = "name = \"small\"
network = { model = \"builtin:shapes-cnn\" }
data = { set = \"builtin:shapes\", images = 40 }
accelerator = { model = \"gemmini-16\" }
memory = { profile = \"sram14\", vdd_mv = [1000, 850, 800] }
chips = { count = 4, seed = 7 }
yield = { accuracy_loss_max_pct = 2.0 }
";

const REMEDY: &str =
    "[[remedy]]\nname = \"parity\"\nprotection = [{ kind = \"parity\", data_bits = 16 }]\n";

const FILES: [&str; 4] = ["results.json", "results.csv", "report.html", "first-chip.chip"];

fn prepared() -> Vmin {
    let vmin = vmin!();
    vmin.write("e.toml", EXPERIMENT);
    vmin
}

fn results(vmin: &Vmin, out: &str) -> Vec<Option<Vec<u8>>> {
    let files =
        FILES.iter().chain([&"remedies.csv"]).map(|file| vmin.path(Path::new(out).join(file)));
    files.map(|path| std::fs::read(path).ok()).collect()
}

/// Runs to a good end; gives standard error on one line.
fn said(vmin: &Vmin, words: &[&str]) -> String {
    let output = vmin.run(words);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Sweeps with and without the store `trials`; both must give the same bytes. Gives what the former said.
fn shared(vmin: &Vmin, file: &str, sets: &[&str]) -> String {
    let words = |out: &'static str| [&["sweep", file, "--out", out], sets].concat();
    for out in ["with", "without"] {
        let _ = std::fs::remove_dir_all(vmin.path(out));
    }
    let text = said(vmin, &[&words("with")[..], &["--store", "trials"]].concat());
    said(vmin, &words("without"));
    let expected = results(vmin, "without");
    assert!(expected[0].is_some() && results(vmin, "with") == expected, "other results");
    let [with, without] =
        ["with", "without"].map(|out| vmin.text(Path::new(out).join("journal.jsonl")));
    let mut lines = [with, without].map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.iter_mut().for_each(|lines| lines.sort());
    assert!(lines[0] == lines[1], "other journals");
    text
}

fn segments(vmin: &Vmin) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(vmin.path("trials")).expect("the store");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    paths
}

#[test]
fn what_another_experiment_has_run_is_reused() {
    let vmin = prepared();
    let found = |text: &str, wanted: &str| {
        let words = format!("{wanted} trials are in the store `trials`");
        assert!(text.starts_with(&words), "{wanted}: {text}");
    };
    found(&shared(&vmin, "e.toml", &[]), "0 of 12");
    found(&shared(&vmin, "e.toml", &[]), "12 of 12");
    assert_eq!(segments(&vmin).len(), 1, "nothing new, no segment");
    let budget = ["--set", "yield.accuracy_loss_max_pct=5", "--set", "yield.target_pct=50"];
    found(&shared(&vmin, "e.toml", &budget), "12 of 12");
    found(&shared(&vmin, "e.toml", &["--set", "chips.count=6"]), "12 of 18");
    let voltages = ["--set", "memory.vdd_mv=[1000,860,850,800]"];
    found(&shared(&vmin, "e.toml", &voltages), "12 of 16");
    vmin.write("remedy.toml", format!("{EXPERIMENT}{REMEDY}"));
    found(&shared(&vmin, "remedy.toml", &[]), "12 of 24");
    let both = ["--set", "chips.count=5", "--set", "remedy.parity.bits=4"];
    found(&shared(&vmin, "remedy.toml", &both), "15 of 30");
    // Other values are other trials.
    for set in ["chips.seed=8", "memory.profile=sram14-columns", "data.images=39", "network.bits=4"]
    {
        let text = shared(&vmin, "e.toml", &["--set", set]);
        assert!(text.starts_with("0 of 12 trials are in the store"), "{set}: {text}");
    }
}

#[test]
fn measured_chips_are_reused_beside_others_and_not_by_other_reads() {
    let vmin = vmin!();
    for (seed, name) in [("1", "a.chip"), ("2", "b.chip")] {
        vmin.ok(&["chip", "sample", "--profile", "sram14", "--seed", seed, "--out", name]);
    }
    let text = EXPERIMENT.replace("count = 4, seed = 7", "files = [\"a.chip\"]");
    vmin.write("e.toml", text.replace("[1000, 850, 800]", "[850, 800]"));
    let store = |sets: &[&str], wanted: &str| {
        let text = shared(&vmin, "e.toml", sets);
        assert!(text.starts_with(&format!("{wanted} trials are in the store")), "{sets:?}: {text}");
    };
    store(&[], "0 of 2");
    store(&["--set", "chips.files=[\"a.chip\",\"b.chip\"]"], "2 of 4");
    // The same cells decide once, or at every image.
    store(&["--set", "memory.fault_kind=\"transient\""], "0 of 2");
    store(&["--set", "memory.fault_kind=\"measured\""], "2 of 2");
    vmin.write("noisy.toml", EXPERIMENT.replace("memory = {", "memory = { read_noise_mv = 5, "));
    for kind in ["flip", "stuck_at", "transient"] {
        let set = format!("memory.fault_kind=\"{kind}\"");
        let text = shared(&vmin, "noisy.toml", &["--set", &set]);
        assert!(text.starts_with("0 of 12 trials"), "{kind}: {text}");
    }
}

#[test]
fn two_sweeps_at_once_share_a_store() {
    let vmin = prepared();
    said(&vmin, &["sweep", "e.toml", "--out", "alone"]);
    let expected = results(&vmin, "alone");
    let outs = ["one", "two", "three"];
    let sweeps = outs.map(|out| {
        let words = ["sweep", "e.toml", "--out", out, "--store", "trials", "--jobs", "1"];
        vmin.command(&words).spawn().expect("vmin runs")
    });
    for (child, out) in sweeps.into_iter().zip(outs) {
        let output = child.wait_with_output().expect("vmin ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(results(&vmin, out) == expected, "{out}");
    }
    let text = said(&vmin, &["sweep", "e.toml", "--out", "four", "--store", "trials"]);
    assert!(text.contains("12 of 12 trials"), "{text}");
    assert!(results(&vmin, "four") == expected);
}

#[test]
fn a_resumed_sweep_shares_its_journal_and_says_so_when_stopped() {
    let vmin = prepared();
    said(&vmin, &["sweep", "e.toml", "--out", "out"]);
    let expected = results(&vmin, "out");
    // A sweep that was stopped after five trials.
    let journal = vmin.text("out/journal.jsonl");
    let five: Vec<&str> = journal.split_inclusive('\n').take(6).collect();
    vmin.write("out/journal.jsonl", five.concat());
    let resumed = ["sweep", "e.toml", "--out", "out", "--resume", "--store", "trials"];
    let text = said(&vmin, &resumed);
    assert!(text.contains("0 of 7 trials that are left are in the store"), "{text}");
    assert!(results(&vmin, "out") == expected);
    assert_eq!(vmin.json(&["trials", "list", "trials", "--format", "json"])["trials"], 12);
    // Killed at once: what it had begun is no damage.
    let mut child =
        vmin.command(&["sweep", "e.toml", "--out", "k", "--store", "k/s"]).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(60));
    let _ = child.kill();
    let _ = child.wait();
    said(&vmin, &["sweep", "e.toml", "--out", "k", "--resume", "--store", "k/s"]);
    assert!(results(&vmin, "k") == expected);
}

#[test]
fn a_damaged_line_is_told_and_run_again() {
    let vmin = prepared();
    shared(&vmin, "e.toml", &[]);
    let path = &segments(&vmin)[0];
    let mut text = std::fs::read(path).expect("read");
    let trial = text.windows(8).position(|window| window == b"{\"trial\"").expect("a record");
    text[trial + 30] ^= 1;
    std::fs::write(path, text).expect("written");
    let found = shared(&vmin, "e.toml", &[]);
    assert!(found.contains("is damaged and left out: its checksum is wrong"), "{found}");
    assert!(found.contains("11 of 12 trials"), "{found}");
    let done = vmin.json(&["trials", "gc", "trials", "--format", "json"]);
    assert_eq!((&done["damaged_lines_dropped"], &done["trials"]), (&1.into(), &12.into()));
    assert!(shared(&vmin, "e.toml", &[]).contains("12 of 12 trials"));
}

#[test]
fn a_store_is_listed_shown_and_compacted() {
    let vmin = prepared();
    vmin.write("remedy.toml", format!("{EXPERIMENT}{REMEDY}"));
    shared(&vmin, "e.toml", &[]);
    shared(&vmin, "remedy.toml", &["--set", "chips.count=5"]);
    vmin.write("trials/notes.txt", "mine");
    let listed = vmin.json(&["trials", "list", "trials", "--format", "json"]);
    let rows = listed["rows"].as_array().expect("rows");
    let row = |protection: &str, vdd: &str| -> &Value {
        let found = |row: &&Value| row["protection"] == protection && row["supplies"] == vdd;
        rows.iter().find(found).unwrap_or_else(|| panic!("no row {protection}, {vdd}: {listed}"))
    };
    assert_eq!((rows.len(), &listed["trials"], &listed["segments"]), (6, &30.into(), &2.into()));
    assert_eq!(listed["foreign"], serde_json::json!(["notes.txt"]));
    let plain = row("none", "weight 850 mV");
    assert_eq!((&plain["trials"], &plain["network"]), (&5.into(), &"builtin:shapes-cnn".into()));
    assert_eq!((&plain["data"], &plain["images"]), (&"builtin:shapes".into(), &"0..40".into()));
    let bytes: u64 = rows.iter().map(|row| row["bytes"].as_u64().expect("bytes")).sum();
    assert!(bytes > 5_000 && bytes < listed["bytes"].as_u64().expect("bytes"));

    // Errors are those of the results.
    let results: Value = serde_json::from_str(&vmin.text("without/results.json")).expect("JSON");
    let mean = results["points"][1]["rerr_mean"].as_f64().expect("a mean");
    assert!((plain["err_mean"].as_f64().expect("a mean") - mean).abs() < 1e-12);
    let candidate = plain["candidate"].as_str().expect("a digest");
    let shown = [
        "trials",
        "show",
        "trials",
        "--candidate",
        &candidate[..6],
        "--chip",
        "3",
        "--vdd-mv",
        "850",
    ];
    let shown = vmin.json(&[&shown[..], &["--format", "json"]].concat());
    assert_eq!(shown["rows"].as_array().expect("rows").len(), 1, "{shown}");
    assert_eq!(shown["rows"][0]["err"], results["chips"][3]["rerr"][1]);
    for format in ["table", "csv"] {
        assert!(vmin.ok(&["trials", "list", "trials", "--format", format]).contains("parity"));
        assert!(vmin.ok(&["trials", "show", "trials", "--format", format]).contains("850 mV"));
    }

    let before: Vec<_> = segments(&vmin).iter().map(|path| std::fs::read(path).unwrap()).collect();
    let gc = ["trials", "gc", "trials", "--keep", "e.toml"];
    let dry = vmin.ok(&[&gc[..], &["--dry-run"]].concat());
    assert!(dry.contains("would drop 18 trials of no named experiment"), "{dry}");
    let after: Vec<_> = segments(&vmin).iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(before == after);
    assert!(vmin.ok(&["trials", "gc", "trials"]).contains("2 files"));
    assert_eq!(segments(&vmin).len(), 1);
    assert!(vmin.ok(&["trials", "gc", "trials"]).contains("nothing to do"));
    vmin.ok(&[&gc[..], &["remedy.toml"]].concat());
    assert!(shared(&vmin, "remedy.toml", &[]).contains("24 of 24 trials"));
    vmin.ok(&gc);
    assert!(shared(&vmin, "e.toml", &[]).contains("12 of 12 trials"));
    assert!(shared(&vmin, "remedy.toml", &[]).contains("12 of 24 trials"));
    assert_eq!(vmin.text("trials/notes.txt"), "mine");
}
