//! Rounding and the rule for pixels on the command line and in experiments.

use serde_json::Value;
use vmin_testkit::tflite::{INT8, Tflite, TfliteOperator, TfliteTensor};
use vmin_testkit::{Vmin, vmin};

/// A float input of the generated images, which QUANTIZE gives a scale of no usual range; one layer.
fn float_input() -> Vec<u8> {
    let weights: Vec<u8> = (0..10 * 256).map(|i| (i * 37 % 251) as u8).collect();
    let tensors = vec![
        TfliteTensor::float(&[1, 16, 16, 1]),
        TfliteTensor::codes(INT8, &[1, 16, 16, 1], 0.05, -25, &[]),
        TfliteTensor::codes(INT8, &[1, 256], 0.05, -25, &[]),
        TfliteTensor::codes(INT8, &[10, 256], 0.01, 0, &weights),
        TfliteTensor::bias(&[0; 10]),
        TfliteTensor::codes(INT8, &[1, 10], 0.5, 0, &[]),
    ];
    let operators = vec![
        TfliteOperator::new(114, &[0], 1, None),
        TfliteOperator::new(22, &[1], 2, None),
        TfliteOperator::fully_connected(&[2, 3, 4], 5),
    ];
    Tflite::new(tensors, operators).bytes()
}

const EVAL: [&str; 7] =
    ["eval", "--model", "float.tflite", "--data", "builtin:shapes", "--images", "0..20"];

#[test]
fn a_network_of_an_unusual_range_needs_a_rule() {
    let vmin = vmin!();
    vmin.write("float.tflite", float_input());
    let refused = vmin.run(&EVAL);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2));
    for said in ["-5.1500 to 7.6000", "\"0..1\"", "mean = [..]", "--pixels"] {
        assert!(text.contains(said), "{text}");
    }
    let mut predictions = Vec::new();
    for (rule, said) in [
        ("0..1", "0..1"),
        ("-1..1", "-1..1"),
        ("{ mean = [0.5], std = [0.5] }", "mean [0.5], std [0.5]"),
    ] {
        let typed = [&EVAL[..], &["--pixels", rule, "--predictions", "p.csv", "--format", "json"]];
        let answer = vmin.json(&typed.concat());
        assert_eq!((&answer["pixels"], &answer["rounding"]), (&said.into(), &"litert-2.3".into()));
        predictions.push(vmin.read("p.csv"));
    }
    assert_ne!(predictions[0], predictions[1]);
    assert_eq!(predictions[1], predictions[2], "the same reals");
    // A converted network keeps its rule and its rounding.
    let convert = ["model", "convert", "float.tflite", "--output", "float.safetensors"];
    vmin.ok(&[&convert[..], &["--pixels", "0..1", "--rounding", "single"]].concat());
    let found = vmin.json(&["model", "inspect", "float.safetensors", "--format", "json"]);
    assert_eq!((&found["pixels"], &found["rounding"]), (&"0..1".into(), &"single".into()));
    let eval = ["eval", "--model", "float.safetensors", "--data", "builtin:shapes"];
    vmin.ok(&[&eval[..], &["--images", "0..20", "--predictions", "q.csv"]].concat());
    assert_eq!(vmin.read("q.csv"), predictions[0]);
}

fn swept(vmin: &Vmin, name: &str, network: &str, data: &str) -> Value {
    let text = format!(
        "name = \"a\"\n[network]\n{network}\n[data]\nset = \"builtin:shapes\"\nimages = 10\n{data}\n\
         [accelerator]\nmodel = \"gemmini-16\"\n[memory]\nprofile = \"sram14\"\nvdd_mv = [900]\n\
         [chips]\ncount = 1\nseed = 1\n"
    );
    vmin.write(format!("{name}.toml"), text);
    vmin.ok(&["sweep", &format!("{name}.toml"), "--out", name]);
    serde_json::from_str(&vmin.text(format!("{name}/results.json"))).expect("JSON")
}

#[test]
fn rules_are_part_of_a_trial_by_value() {
    let vmin = vmin!();
    let builtin = r#"model = "builtin:shapes-cnn""#;
    let plan = |of: &Value| of["provenance"]["plan_sha256"].clone();
    let own = swept(&vmin, "own", builtin, "");
    assert_eq!(own["setting"]["pixels"], "codes (pixel - 128)");
    assert_eq!(own["setting"]["rounding"], "litert-2.3");
    let same = swept(&vmin, "same", builtin, "pixels = \"codes\"");
    assert_eq!(plan(&own), plan(&same));
    let real = swept(&vmin, "real", builtin, "pixels = \"0..1\"");
    assert_ne!(plan(&own), plan(&real));
    let once = swept(&vmin, "once", &format!("{builtin}\nrounding = \"single\""), "");
    assert_ne!(plan(&own), plan(&once));
    assert_eq!(once["setting"]["rounding"], "single");
}
