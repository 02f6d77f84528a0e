//! `vmin chip inspect` answers between the stored voltages only where it knows the chip's curve.

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
