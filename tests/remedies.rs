//! Remedies and presets on the command line: same bytes however they are run, and no protection is no
//! remedy.

use std::path::Path;

use serde_json::Value;
use vmin_testkit::{Vmin, vmin};

/// Every kind of mechanism, a network of its own, voltages of its own.
const EXPERIMENT: &str = r#"
name = "remedies"
[network]
model = "builtin:shapes-cnn"
[data]
set = "builtin:shapes"
images = 40
[accelerator]
model = "gemmini-16"
[memory]
profile = "sram14"
vdd_mv = [1000, 875, 833]
[chips]
count = 3
seed = 7
[yield]
accuracy_loss_max_pct = 5.0
target_pct = 60
[[remedy]]
name = "nothing"
[[remedy]]
name = "everything on words"
protection = [
    { kind = "boost", raise_mv = 10 },
    { kind = "layer_rail", layers = [1, 8], raise_mv = 50 },
    { kind = "bank_rail", share = 0.5, vdd_mv = 900 },
    { kind = "spares", rows = 4, columns = 1, repair_vdd_mv = 900 },
    { kind = "secded", data_bits = 64, on_detected = "zero" },
]
vdd_mv = [875, 844]
[[remedy]]
name = "parity"
protection = [{ kind = "parity" }]
[[remedy]]
name = "safe and masked, 4 bit"
bits = 4
protection = [
    { kind = "safe_bits", bits = 1, vdd_mv = 1000 },
    { kind = "detecting_read", mask = "bits" },
]
"#;

const FILES: [&str; 4] = ["results.json", "results.csv", "report.html", "remedies.csv"];

fn sweep(vmin: &Vmin, out: &str, more: &[&str]) -> Vec<Vec<u8>> {
    vmin.ok(&[&["sweep", "e.toml", "--out", out], more].concat());
    FILES.iter().map(|file| vmin.read(Path::new(out).join(file))).collect()
}

fn parsed(vmin: &Vmin, out: &str) -> Value {
    serde_json::from_slice(&vmin.read(Path::new(out).join("results.json"))).expect("JSON")
}

#[test]
fn remedies_are_the_same_bytes_however_they_are_run() {
    let vmin = vmin!();
    vmin.write("e.toml", EXPERIMENT);
    let expected = sweep(&vmin, "one", &["--jobs", "1"]);
    assert!(sweep(&vmin, "three", &["--jobs", "3"]) == expected, "three threads");
    assert!(sweep(&vmin, "generic", &["--kernel", "generic"]) == expected, "generic kernel");
    // Cut in the middle, as by a kill, and resumed.
    let text = vmin.read("one/journal.jsonl");
    for part in [3, 8] {
        let kept = &text[..text.len() * part / 10];
        vmin.write(format!("cut{part}/journal.jsonl"), kept);
        let resumed = sweep(&vmin, &format!("cut{part}"), &["--resume"]);
        assert!(resumed == expected, "resumed from {part} tenths");
    }
}

#[test]
fn no_protection_is_the_unprotected_network_wherever_it_lies() {
    let vmin = vmin!();
    let layout = "[placement]\ninterleave = [\"rows\", \"columns\"]\noffset_bits = [0, 4096]\n";
    let reliable = "[placement]\nbit_assignment = \"msb_to_reliable_columns\"\n";
    let memories = "[memory.activation]\n[memory.accumulator]\nvdd_mv = 900\n";
    for (number, (placement, more)) in [
        ("resident", layout),
        ("streamed", layout),
        ("streamed", reliable),
        ("resident", memories),
        ("streamed", memories),
    ]
    .into_iter()
    .enumerate()
    {
        let text = format!(
            "name = \"remedies\"\n[network]\nmodel = \"builtin:shapes-cnn\"\n[data]\n\
             set = \"builtin:shapes\"\nimages = 16\n[accelerator]\nmodel = \"gemmini-16\"\n\
             placement = \"{placement}\"\n[memory]\nprofile = \"sram14\"\nvdd_mv = [1000, 850, 833]\n\
             [chips]\ncount = 2\nseed = 7\n{more}[[remedy]]\nname = \"nothing\"\n[[remedy]]\n\
             name = \"words\"\nprotection = [{{ kind = \"secded\", data_bits = 64 }}]\n"
        );
        vmin.write("e.toml", text);
        let out = format!("out{number}");
        sweep(&vmin, &out, &[]);
        sweep(&vmin, &format!("{out}b"), &["--jobs", "1"]);
        let results = parsed(&vmin, &out);
        assert_eq!(results, parsed(&vmin, &format!("{out}b")));
        let points = |remedy: usize| {
            results["remedies"][remedy]["points"].as_array().expect("points").iter()
        };
        for (a, b) in points(0).zip(points(1)) {
            for key in ["residual_flip_rate", "rerr_mean", "rerr_std", "rerr_max", "yield"] {
                assert_eq!(a[key], b[key], "{key}");
            }
            for key in ["energy_per_inference_nj", "latency_us", "access_energy_saving"] {
                let (a, b) = (a[key].as_f64().expect(key), b[key].as_f64().expect(key));
                assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0), "{key}: {a} {b}");
            }
        }
        let residual = |point: &Value| point["residual_flip_rate"].as_f64().expect("a rate");
        let at_850 = |remedy: usize| points(remedy).nth(1).map(residual).expect("a point");
        assert!(at_850(2) < at_850(0) / 2.0, "words correct single errors");
    }
}

#[test]
fn no_protection_is_the_unprotected_network_and_protection_protects() {
    let vmin = vmin!();
    vmin.write("e.toml", EXPERIMENT);
    sweep(&vmin, "out", &[]);
    let results = parsed(&vmin, "out");
    let remedies = results["remedies"].as_array().expect("a list");
    assert_eq!(remedies.len(), 5);
    assert_eq!(remedies[0]["name"], "unprotected");
    for (a, b) in remedies[0]["points"]
        .as_array()
        .expect("points")
        .iter()
        .zip(remedies[1]["points"].as_array().expect("points"))
    {
        for key in ["vdd_mv", "residual_flip_rate", "rerr_mean", "rerr_std", "rerr_max", "yield"] {
            assert_eq!(a[key], b[key], "{key}");
        }
        for key in ["energy_per_inference_nj", "latency_us", "access_energy_saving"] {
            let (a, b) = (a[key].as_f64().expect("a number"), b[key].as_f64().expect("a number"));
            assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0), "{key}: {a} {b}");
        }
    }
    let everything = &remedies[2];
    assert!(everything["cells_repaired_mean"].as_f64().expect("spares") > 0.0);
    assert!(everything["extra_bits_share"].as_f64().expect("a number") > 0.125);
    let residual = |remedy: &Value| remedy["points"][0]["residual_flip_rate"].as_f64();
    assert!(residual(everything) < remedies[0]["points"][1]["residual_flip_rate"].as_f64());
    assert_eq!(remedies[4]["weight_bits"], 4);
    // One line each, and a header.
    assert_eq!(vmin.text("out/remedies.csv").lines().count(), 6);
    assert!(vmin.text("out/report.html").contains("Remedies at one budget"));
}

#[test]
fn the_preset_of_the_papers_takes_rates() {
    let vmin = vmin!();
    let text = r#"
name = "rates"
preset = "stutz"
[network]
model = "builtin:shapes-cnn"
[data]
set = "builtin:shapes"
images = 30
[accelerator]
model = "gemmini-16"
[memory]
profile = "sram14-columns"
rates_pct = [1, 0.1]
[[remedy]]
name = "SECDED"
protection = [{ kind = "secded", data_bits = 32 }]
"#;
    vmin.write("e.toml", text);
    sweep(&vmin, "out", &[]);
    let results = parsed(&vmin, "out");
    assert_eq!(
        (&results["setting"]["seed"], results["points"][0]["chips"].as_u64()),
        (&"100".into(), Some(50))
    );
    let rate = |point: usize| results["points"][point]["cell_fault_rate"].as_f64();
    assert_eq!((rate(0), rate(1)), (Some(0.001), Some(0.01)));
    // Bits are independent whatever the profile says: 50 chips of 414,464 bits.
    let realised = results["points"][1]["flip_rate"].as_f64().expect("a number");
    assert!(
        (realised / 0.01 - 1.0).abs() < 4.0 / (0.01 * 414_464.0 * 50.0_f64).sqrt(),
        "{realised}"
    );
    let union = results["points"][1]["rerr_union_mean"].as_f64();
    assert!(union >= results["points"][1]["rerr_mean"].as_f64());
}

#[test]
fn check_measures_trials_under_each_mechanism() {
    let vmin = vmin!();
    for (kind, _) in vmin_protection::mechanisms::ALL {
        let memory = if kind.contains("sum") { "accumulator" } else { "weight" };
        let mechanism = vmin_testkit::mechanism(kind, memory);
        vmin.write(
            "e.toml",
            format!(
                "name = \"check\"\n[network]\nmodel = \"builtin:shapes-cnn\"\n[data]\n\
                 set = \"builtin:shapes\"\nimages = 4\n[accelerator]\nmodel = \"gemmini-16\"\n\
                 [memory]\nprofile = \"sram14\"\nvdd_mv = [840]\nfault_kind = \"stuck_at\"\n\
                 [memory.accumulator]\n[chips]\ncount = 2\nseed = 1\n[[remedy]]\n\
                 name = \"one\"\nprotection = [{mechanism}]\n"
            ),
        );
        let cost: Value =
            serde_json::from_str(&vmin.ok(&["check", "e.toml", "--format", "json"])).expect("JSON");
        // Both candidates were measured.
        let basis = cost["seconds_basis"].as_str().unwrap_or_else(|| panic!("{kind}: {cost}"));
        assert!(basis.starts_with("from 2 trials"), "{kind}: {basis}");
    }
    let told = "2 chips cannot show at 95 % confidence that 90 % of all chips are within the budget: 29 can";
    let text = vmin.ok(&["check", "e.toml"]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(told), "{text}");
}
