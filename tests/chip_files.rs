//! Chip files and several chips on the command line.

use vmin_testkit::vmin;

#[test]
fn a_profile_of_a_borrowed_name_is_not_mistaken_for_the_shipped_one() {
    let vmin = vmin!();
    let shipped = include_str!("../voltage-profiles/fpga28-vc707.toml");
    let moved = shipped.replace("mu_mv = 444.211", "mu_mv = 450.0");
    assert_ne!(moved, shipped, "the curve is another");
    vmin.write("mine.toml", moved);
    for (profile, code) in [("fpga28-vc707", Some(0)), ("mine.toml", Some(2))] {
        let sample = ["chip", "sample", "--seed", "1", "--vdd-mv-min", "550", "--out", "x.chip"];
        vmin.ok(&[&sample[..], &["--profile", profile]].concat());
        let between = vmin.run(&["chip", "inspect", "x.chip", "--vdd-mv", "553.5"]);
        assert_eq!(between.status.code(), code, "{profile}");
        vmin.ok(&["chip", "inspect", "x.chip", "--vdd-mv", "550"]);
    }
}

/// A population keeps its kind of fault from the lot that it is fitted to, through its profile, to the chips sampled
/// from it and every command that reads them.
#[test]
fn a_fitted_lot_stuck_at_0_stays_stuck_at_0() {
    let vmin = vmin!();
    let size = ["--banks", "4", "--rows", "256", "--columns", "64"];
    for chip in ["0", "1"] {
        let name = format!("lot{chip}.chip");
        let sample = ["chip", "sample", "--profile", "fpga28-kc705b", "--vdd-mv-min", "470"];
        vmin.ok(&[&sample[..], &size, &["--seed", "5", "--chip", chip, "--out", &name]].concat());
    }
    vmin.ok(&["chip", "fit", "lot0.chip", "lot1.chip", "--replicates", "20", "--out", "lot.toml"]);
    assert!(vmin.text("lot.toml").contains("fault_kind = \"stuck_at\"\n"));
    let sample = ["chip", "sample", "--profile", "lot.toml", "--seed", "9", "--vdd-mv-min", "480"];
    vmin.ok(&[&sample[..], &size, &["--out", "new.chip"]].concat());
    let inspected = vmin.json(&["chip", "inspect", "new.chip", "--format", "json"]);
    assert_eq!(inspected["fault_kind"], "stuck_at");

    let eval = ["eval", "--model", "builtin:shapes-cnn", "--data", "builtin:shapes"];
    let eval = [&eval[..], &["--images", "0..2", "--vdd-mv", "480", "--format", "json"]].concat();
    for source in [&["--chip", "new.chip"][..], &["--profile", "lot.toml"]] {
        let ran = vmin.json(&[&eval[..], source].concat());
        let count = |key: &str| ran[key].as_u64().expect("a count");
        let (hit, flips) = (count("cells_hit"), count("flips"));
        assert!(hit > 1000 && flips < hit * 3 / 4, "{source:?}: {flips} of {hit} cells");
        let told = vmin.json(&[&eval[..], source, &["--fault-kind", "flip"]].concat());
        assert_eq!(told["flips"], told["cells_hit"], "an option prevails");
    }
}

#[test]
fn predictions_of_several_chips_lie_in_one_file() {
    let vmin = vmin!();
    let eval = ["eval", "--model", "builtin:shapes-cnn", "--data", "builtin:shapes"];
    let eval = [&eval[..], &["--images", "3..5", "--rate", "0.01", "--predictions"]].concat();
    vmin.ok(&[&eval[..], &["all.csv", "--chip", "0..1"]].concat());
    let mut one_by_one = String::from("chip,image,label,prediction\n");
    for chip in ["0", "1"] {
        vmin.ok(&[&eval[..], &["one.csv", "--chip", chip]].concat());
        let lines = vmin.text("one.csv");
        let lines = lines.strip_prefix("image,label,prediction\n").expect("its header").lines();
        one_by_one.extend(lines.map(|line| format!("{chip},{line}\n")));
    }
    assert_eq!(vmin.text("all.csv"), one_by_one);
}
