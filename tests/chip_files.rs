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

/// Which uncertain cells err does not depend on where a chip stands among the files, so that `eval` shows what
/// one trial of a sweep did; a kind of fault that is told leaves their probabilities alone.
#[test]
fn uncertain_cells_of_a_chip_err_alike_in_a_sweep_and_in_eval() {
    let vmin = vmin!();
    for (chip, step) in [("a", 3), ("b", 5)] {
        let mut list = String::from("vdd_mv,bank,row,column,kind,probability\n");
        for cell in (0..4096).step_by(step) {
            let (row, column) = (cell / 64, cell % 64);
            list.push_str(&format!("800,0,{row},{column},flip,0.125\n"));
        }
        vmin.write(format!("{chip}.csv"), list);
        let geometry = ["--banks", "1", "--rows", "64", "--columns", "64"];
        let (from, out) = (format!("{chip}.csv"), format!("{chip}.chip"));
        vmin.ok(&[&["chip", "import", &from, "--out", &out], &geometry[..]].concat());
    }
    let sweep = |kind: &str, out: &str| {
        let experiment = format!(
            "name = \"uncertain\"\n[network]\nmodel = \"builtin:shapes-cnn\"\n[accelerator]\nmodel = \"gemmini-16\"\n\
             [data]\nset = \"builtin:shapes\"\nimages = 4\n[memory]\nprofile = \"sram14\"\nvdd_mv = [800]\n{kind}\
             [placement]\noffset_bits = [0, 17]\n[chips]\nfiles = [\"a.chip\", \"b.chip\"]\n"
        );
        vmin.write("experiment.toml", experiment);
        vmin.ok(&["sweep", "experiment.toml", "--out", out]);
        serde_json::from_str::<serde_json::Value>(&vmin.text(format!("{out}/results.json")))
            .expect("JSON")
    };
    let eval = ["eval", "--model", "builtin:shapes-cnn", "--data", "builtin:shapes"];
    let eval = [&eval[..], &["--images", "0..4", "--vdd-mv", "800", "--format", "json"]].concat();
    for (kind, option) in
        [("", &[][..]), ("fault_kind = \"stuck_at\"\n", &["--fault-kind", "stuck_at"])]
    {
        let results = sweep(kind, if kind.is_empty() { "as-measured" } else { "stuck" });
        let mut sums = [0, 0];
        for chip in ["a.chip", "b.chip"] {
            for offset in ["0", "17"] {
                let at = ["--chip", chip, "--chip-offset", offset];
                let ran = vmin.json(&[&eval[..], &at, option].concat());
                let count = |key: &str| ran[key].as_u64().expect("a count");
                sums = [sums[0] + count("cells_hit"), sums[1] + count("flips")];
            }
        }
        let point = &results["points"][0];
        let bits = results["setting"]["stored_bits"].as_f64().expect("bits") * 4.0;
        for (sum, key) in sums.into_iter().zip(["cell_fault_rate_realised", "flip_rate"]) {
            let share = point[key].as_f64().expect("a share");
            assert!(
                (share * bits - sum as f64).abs() < 1e-6,
                "{kind}: {key} {share} of {bits}, {sum}"
            );
        }
        // (1365 + 819) / 2 cells of 4096 at one eighth, in both kinds.
        let expected = (1366.0 + 820.0) / 2.0 / 4096.0 / 8.0;
        assert!((point["cell_fault_rate"].as_f64().expect("a rate") - expected).abs() < 1e-12);
        assert_eq!(
            results["setting"]["fault_kind"],
            if kind.is_empty() { "flip" } else { "stuck_at" }
        );
    }
}
