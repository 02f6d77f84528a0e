//! A sweep gives the same bytes however it is run: any threads, any kernel, killed and resumed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use vmin_testkit::{Vmin, vmin};

/// Small, but with enough records that a kill falls into the middle.
const EXPERIMENT: &str = r#"
name = "small"
[network]
model = "builtin:shapes-cnn"
[data]
set = "builtin:shapes"
images = 40
[accelerator]
model = "gemmini-16"
[memory]
profile = "sram14"
vdd_mv = [1000, 875, 850, 833, 800]
[chips]
count = 12
seed = 7
"#;

const FILES: [&str; 4] = ["results.json", "results.csv", "report.html", "first-chip.chip"];

fn experiment() -> Vmin {
    let vmin = vmin!();
    vmin.write("e.toml", EXPERIMENT);
    vmin
}

fn sweep(vmin: &Vmin, out: &str, more: &[&str]) -> Command {
    vmin.command(&[&["sweep", "e.toml", "--out", out], more].concat())
}

fn swept(vmin: &Vmin, out: &str, more: &[&str]) -> Vec<Vec<u8>> {
    vmin.ok(&[&["sweep", "e.toml", "--out", out], more].concat());
    results(vmin, out)
}

fn results(vmin: &Vmin, out: &str) -> Vec<Vec<u8>> {
    FILES.iter().map(|file| vmin.read(Path::new(out).join(file))).collect()
}

#[test]
fn threads_and_kernels_leave_every_byte_as_it_is() {
    let vmin = experiment();
    let expected = swept(&vmin, "one", &["--jobs", "1"]);
    assert!(swept(&vmin, "three", &["--jobs", "3"]) == expected, "three threads");
    for kernel in vmin_kernels::available() {
        let name = kernel.name();
        assert!(swept(&vmin, name, &["--kernel", name]) == expected, "kernel {name}");
    }
}

#[test]
fn the_report_drawn_again_is_the_same() {
    let vmin = experiment();
    let drawn = swept(&vmin, "out", &[]);
    std::fs::remove_file(vmin.path("out/report.html")).expect("removed");
    vmin.ok(&["report", "out"]);
    assert!(results(&vmin, "out") == drawn);
}

#[cfg(unix)]
#[test]
fn killed_at_twenty_moments_and_resumed_it_gives_the_same_bytes() {
    let vmin = experiment();
    let expected = swept(&vmin, "whole", &[]);
    let mut unfinished = 0;
    for moment in 0..20u64 {
        // Multiples of a few milliseconds, from before the journal to about the end.
        let mut child = sweep(&vmin, "killed", &["--resume"]).spawn().expect("vmin runs");
        std::thread::sleep(Duration::from_millis(10 + moment * 7 % 60));
        let _ = child.kill();
        let _ = child.wait();
        if !vmin.path("killed/results.json").exists() {
            unfinished += 1;
            continue;
        }
        assert!(results(&vmin, "killed") == expected, "killed {moment}");
        std::fs::remove_dir_all(vmin.path("killed")).expect("removed");
    }
    assert!(unfinished > 0, "no kill fell into a run");
    assert!(swept(&vmin, "killed", &["--resume"]) == expected, "after the last kill");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_computed_and_says_how_to_go_on() {
    let vmin = vmin!();
    vmin.write("e.toml", EXPERIMENT.replace("count = 12", "count = 100000"));
    let child = sweep(&vmin, "out", &[]).spawn().expect("vmin runs");
    let journal = vmin.path("out/journal.jsonl");
    for _ in 0..600 {
        std::thread::sleep(Duration::from_millis(50));
        if std::fs::metadata(&journal).is_ok_and(|metadata| metadata.len() > 1000) {
            break;
        }
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
    let output = child.wait_with_output().expect("vmin ends");
    assert_eq!(output.status.code(), Some(130));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("vmin sweep e.toml --out out --resume"), "{words}");
    assert!(std::fs::metadata(&journal).expect("the journal").len() > 1000);
    assert!(!vmin.path("out/results.json").exists());
    // Without `--resume` it is refused, not overwritten.
    let refused = sweep(&vmin, "out", &[]).output().expect("vmin runs");
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_journal_of_another_experiment_names_the_keys_that_differ() {
    let vmin = vmin!();
    vmin.write("e.toml", EXPERIMENT);
    vmin.ok(&["sweep", "e.toml", "--out", "out"]);
    let refused = |text: String| {
        vmin.write("other.toml", text);
        let output = vmin.run(&["sweep", "other.toml", "--out", "out", "--resume"]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).expect("text")
    };
    let text =
        refused(EXPERIMENT.replace("seed = 7", "seed = 8").replace("count = 12", "count = 2"));
    let told = "another experiment: `chips` is 12 there and 2 here, `seed` is 7 there and 8 here";
    assert!(text.contains(told), "{text}");
}

#[test]
fn a_set_key_is_the_same_as_one_in_the_file() {
    let vmin = experiment();
    let set = ["--set", "chips.count=3", "--set", "memory.profile=sram14-columns"];
    vmin.ok(&[&["sweep", "e.toml", "--out", "set"], &set[..]].concat());
    let text = EXPERIMENT.replace("count = 12", "count = 3").replace("sram14", "sram14-columns");
    vmin.write("e.toml", &text);
    assert!(swept(&vmin, "edited", &[]) == results(&vmin, "set"));
    // What it continues is the journal of these values.
    vmin.write("e.toml", EXPERIMENT);
    let resumed = [&["sweep", "e.toml", "--out", "set", "--resume"], &set[..]].concat();
    vmin.ok(&resumed);
    let other = vmin.command(&["sweep", "e.toml", "--out", "set", "--resume"]).output().unwrap();
    assert!(!other.status.success());
    let manifest: serde_json::Value =
        serde_json::from_slice(&vmin.read("set/manifest.json")).unwrap();
    assert_eq!(
        manifest["set"],
        serde_json::json!(["chips.count=3", "memory.profile=sram14-columns"])
    );
}

#[test]
fn a_refused_resume_names_the_remedy_that_differs() {
    let vmin = vmin!();
    let remedy = "[[remedy]]\nname = \"narrow\"\nbits = 4\n";
    vmin.write("e.toml", format!("{EXPERIMENT}{remedy}"));
    let three = ["sweep", "e.toml", "--out", "out", "--set", "chips.count=1"];
    vmin.ok(&three);
    let other = vmin.run(&[&three[..], &["--resume", "--set", "remedy.narrow.bits=5"]].concat());
    let said =
        String::from_utf8_lossy(&other.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("`remedy narrow` is another"), "{said}");
}
