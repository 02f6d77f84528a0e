//! `vmin eval` on the command line: what its table shows and what it calls it.

use vmin_testkit::vmin;

const EVAL: [&str; 7] =
    ["eval", "--model", "builtin:shapes-cnn", "--data", "builtin:shapes", "--images", "0..4"];

fn eval(more: &[&str]) -> String {
    vmin!().ok(&[&EVAL, more].concat())
}

#[test]
fn several_chips_show_the_errors_of_every_lowered_memory() {
    let at = ["--profile", "sram14", "--vdd-mv", "850", "--chip", "0..1"];
    let weights = eval(&at);
    assert!(!weights.contains("of activations"), "{weights}");
    let all = [&at[..], &["--activation-vdd-mv", "same", "--accumulator-vdd-mv", "same"]].concat();
    let all = eval(&all);
    assert!(all.contains("of activations") && all.contains("of partial sums"), "{all}");
    assert!(all.lines().all(|line| line.chars().count() <= 80), "{all}");
}

#[test]
fn the_fault_kind_that_acted_is_named() {
    assert!(!eval(&[]).contains("fault kind"));
    assert!(eval(&["--rate", "0.01"]).contains("fault kind flip"));
    let transient = eval(&["--rate", "0.01", "--fault-kind", "transient"]);
    assert!(transient.contains("fault kind transient; cells and bits are summed over all images"));
    let vmin = vmin!();
    let sample = ["chip", "sample", "--profile", "sram14", "--seed", "1", "--out"];
    let _ = vmin.ok(&[&sample[..], &["plain.chip"]].concat());
    let _ = vmin.ok(&[&sample[..], &["noisy.chip", "--read-noise-mv", "4"]].concat());
    for (chip, kind) in [("plain.chip", "flip"), ("noisy.chip", "flip")] {
        let at = ["--vdd-mv", "850", "--chip", chip, "--format", "json"];
        assert_eq!(vmin.json(&[&EVAL[..], &at].concat())["fault_kind"], kind);
    }
}

#[test]
fn the_help_names_every_mechanism() {
    let help = vmin!().ok(&["eval", "--help"]);
    for (kind, _) in vmin_protection::mechanisms::ALL {
        assert!(help.contains(kind), "{kind}");
    }
}

#[test]
fn an_empty_protection_is_refused() {
    let output = vmin!().run(&[&EVAL[..], &["--rate", "0.01", "--protect", ""]].concat());
    assert!(String::from_utf8_lossy(&output.stderr).contains("names no mechanism"));
}
