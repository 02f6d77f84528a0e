//! `vmin chip inspect` answers between the stored voltages only where it knows the chip's curve.

use std::path::Path;
use std::process::{Command, Output};

fn vmin(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vmin"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("vmin runs")
}

#[test]
fn a_profile_of_a_borrowed_name_is_not_mistaken_for_the_shipped_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = include_str!("../voltage-profiles/fpga28-vc707.toml");
    let moved = shipped.replace("mu_mv = 444.211", "mu_mv = 450.0");
    assert_ne!(moved, shipped, "the curve is another");
    std::fs::write(folder.path().join("mine.toml"), moved).expect("written");
    for (profile, code) in [("fpga28-vc707", Some(0)), ("mine.toml", Some(2))] {
        let sample = ["chip", "sample", "--seed", "1", "--vdd-mv-min", "550", "--out", "x.chip"];
        let made = vmin(folder.path(), &[&sample[..], &["--profile", profile]].concat());
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let between = vmin(folder.path(), &["chip", "inspect", "x.chip", "--vdd-mv", "553.5"]);
        assert_eq!(between.status.code(), code, "{profile}");
        let stored = vmin(folder.path(), &["chip", "inspect", "x.chip", "--vdd-mv", "550"]);
        assert!(stored.status.success(), "{profile}");
    }
}
