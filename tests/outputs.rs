//! Outputs replace what the same command wrote, and no other file, whoever made it.

use vmin_testkit::{Vmin, vmin};

/// Files of each kind: how a command makes one, and what is said of it.
const PAGES: [(&str, &str); 5] = [
    (
        "energy --accelerator gemmini-16 --profile sram14 --vdd-mv 900 --model builtin:shapes-cnn --report",
        "energy",
    ),
    ("cycles --accelerator gemmini-16 --model builtin:shapes-cnn --report", "cycles"),
    (
        "monitor --model builtin:shapes-cnn --data builtin:shapes --images 0..9 --profile sram14 --vdd-mv 900 \
         --windows 2 --report",
        "monitor",
    ),
    (
        "noise --model builtin:shapes-cnn --data builtin:shapes --images 0..2 --profile sram14 --vdd-mv 850 --report",
        "noise",
    ),
    ("compare s --out", "compare"),
];
const PICTURES: [(&str, &str); 4] = [
    ("chip draw a.chip --vdd-mv 800 --out", "chip draw"),
    ("chip fit a.chip --replicates 20 --draw", "chip fit"),
    ("cycles --accelerator gemmini-16 --trace --trace-out", "cycles"),
    ("compare s --svg", "compare"),
];
const TABLES: [(&str, &str); 2] = [
    (
        "energy --accelerator gemmini-16 --profile sram14 --vdd-mv 900 --model builtin:shapes-cnn --parquet",
        "energy",
    ),
    ("cycles --accelerator gemmini-16 --model builtin:shapes-cnn --parquet", "cycles"),
];

fn run(vmin: &Vmin, command: &str, path: &str) -> Result<(), String> {
    let words: Vec<&str> = command.split(' ').chain([path]).collect();
    let output = vmin.run(&words);
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Each command replaces its own file, and says what it finds where another's lies.
fn each_keeps_the_others(vmin: &Vmin, what: &str, commands: &[(&str, &str)]) {
    for (maker, by) in commands {
        run(vmin, maker, "made").expect("made");
        let made = vmin.read("made");
        for (other, _) in commands.iter().filter(|(other, _)| other != maker) {
            let said = run(vmin, other, "made").expect_err("kept");
            let words = format!("`made` is the {what} of `vmin {by}`, which is kept");
            assert!(said.contains(&words), "{other}: {said}");
            assert!(vmin.read("made") == made, "{other}");
        }
        run(vmin, maker, "made").expect("replaced");
        vmin.write("made", "mine");
        let said = run(vmin, maker, "made").expect_err("kept");
        assert!(said.contains("`made` is another file") && vmin.text("made") == "mine", "{said}");
        std::fs::remove_file(vmin.path("made")).expect("removed");
    }
}

fn prepared() -> Vmin {
    let vmin = vmin!();
    vmin.ok(&["chip", "sample", "--profile", "sram14", "--seed", "1", "--out", "a.chip"]);
    let experiment = vmin.ok(&["init"]);
    vmin.write("e.toml", experiment.replace("count = 30 ", "count = 2 "));
    vmin.ok(&["sweep", "e.toml", "--out", "s"]);
    vmin
}

#[test]
fn pages_pictures_and_tables_are_replaced_by_their_own_command_alone() {
    let vmin = prepared();
    each_keeps_the_others(&vmin, "page", &PAGES);
    each_keeps_the_others(&vmin, "picture", &PICTURES);
    each_keeps_the_others(&vmin, "table", &TABLES);
    let said = run(&vmin, PAGES[0].0, "s/report.html").expect_err("kept");
    assert!(said.contains("is the page of `vmin sweep`"), "{said}");
    vmin.ok(&["report", "s"]);
    vmin.ok(&["sweep", "e.toml", "--out", "s", "--resume"]);
}

#[test]
fn reference_tables_of_others_are_kept() {
    let vmin = vmin!();
    let energy =
        "energy --accelerator gemmini-16 --profile sram14 --vdd-mv 900 --model builtin:shapes-cnn";
    let [ert, art] = ["ert", "art"].map(|table| format!("{energy} --export-{table}"));
    run(&vmin, &ert, "t.yaml").expect("made");
    run(&vmin, &ert, "t.yaml").expect("replaced");
    let said = run(&vmin, &art, "t.yaml").expect_err("kept");
    assert!(said.contains("is the energy reference table of `vmin energy`"), "{said}");
    run(&vmin, &format!("{energy} --ert"), "t.yaml").expect("read");
    vmin.write("t.yaml", "ERT:\n  version: '0.4'\n  tables: []\n");
    run(&vmin, &ert, "t.yaml").expect_err("Accelergy's own");
}

#[test]
fn networks_of_others_are_kept() {
    let vmin = vmin!();
    let convert = |bits: &str| {
        run(
            &vmin,
            &format!("model convert builtin:shapes-cnn --bits {bits} --output"),
            "n.safetensors",
        )
    };
    convert("8").expect("made");
    convert("4").expect("replaced");
    vmin.ok(&["model", "inspect", "n.safetensors"]);
    let codes_begin =
        8 + u64::from_le_bytes(vmin.read("n.safetensors")[..8].try_into().expect("8"));
    assert_eq!(codes_begin % 8, 0, "aligned");
    // As `vmin train` and every earlier version wrote it.
    let trained = vmin_testkit::root().join("models/mnist-lenet-rquant-8bit.safetensors");
    vmin.write("n.safetensors", std::fs::read(trained).expect("shipped"));
    convert("8").expect_err("kept");
}

#[test]
fn folders_keep_the_files_of_other_commands() {
    let vmin = vmin!();
    let experiment = vmin.ok(&["init"]);
    vmin.write("e.toml", experiment);
    for name in ["results.json", "results.csv", "report.html", "manifest.json"] {
        vmin.write(format!("{name}.d/{name}"), "mine");
        let said = run(&vmin, "sweep e.toml --out", &format!("{name}.d")).expect_err("kept");
        assert!(said.contains("is another file, which is kept"), "{name}: {said}");
        assert!(!vmin.path(format!("{name}.d/journal.jsonl")).exists(), "nothing was begun");
    }
    for name in ["explore.json", "explore.csv", "explore.parquet", "explore.html"] {
        vmin.write(format!("{name}.d/{name}"), "mine");
        run(&vmin, "explore --out", &format!("{name}.d")).expect_err("kept");
    }
    vmin.ok(&["explore", "--out", "x"]);
    vmin.ok(&["explore", "--out", "x"]);
    let said = run(&vmin, TABLES[0].0, "x/explore.parquet").expect_err("kept");
    assert!(said.contains("is the table of `vmin explore`"), "{said}");
    let recipe = vmin.ok(&["init", "recipe"]);
    vmin.write("r.toml", recipe);
    vmin.write("t/report.html", "mine");
    let said = run(&vmin, "train r.toml --out", "t").expect_err("kept");
    assert!(said.contains("`t/report.html` is another file"), "{said}");
}
