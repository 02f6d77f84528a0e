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

/// Starts a long sweep, sends it a signal once it has records, and waits; gives its exit code and its words.
#[cfg(unix)]
fn signalled(vmin: &Vmin, out: &str, signals: &[&str]) -> (Option<i32>, String) {
    let child = sweep(vmin, out, &["--resume"]).spawn().expect("vmin runs");
    let journal = vmin.path(out).join("journal.jsonl");
    let before = std::fs::metadata(&journal).map_or(0, |metadata| metadata.len());
    for _ in 0..600 {
        std::thread::sleep(Duration::from_millis(50));
        if std::fs::metadata(&journal).is_ok_and(|metadata| metadata.len() > before + 1000) {
            break;
        }
    }
    for signal in signals {
        let killed = Command::new("kill").args([signal, child.id().to_string().as_str()]).status();
        assert!(killed.expect("kill runs").success());
    }
    let output = child.wait_with_output().expect("vmin ends");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_computed_and_says_how_to_go_on() {
    let vmin = vmin!();
    vmin.write("e.toml", EXPERIMENT.replace("count = 12", "count = 100000"));
    let (code, words) = signalled(&vmin, "out", &["-INT"]);
    assert_eq!(code, Some(130));
    assert!(words.contains("vmin sweep e.toml --out out --resume"), "{words}");
    let journal = vmin.path("out/journal.jsonl");
    assert!(std::fs::metadata(&journal).expect("the journal").len() > 1000);
    assert!(!vmin.path("out/results.json").exists());
    // Without `--resume` it is refused, not overwritten.
    let refused = sweep(&vmin, "out", &[]).output().expect("vmin runs");
    assert_eq!(refused.status.code(), Some(2));
}

#[cfg(unix)]
#[test]
fn signals_of_engines_keep_what_was_computed_and_ask_for_the_same_command_again() {
    let vmin = vmin!();
    vmin.write("e.toml", EXPERIMENT.replace("count = 12", "count = 100000"));
    let records = || vmin.text("out/journal.jsonl").lines().count();
    let mut known = 0;
    // Slurm's warning and its end, the end of a pod, and the end of a terminal, which is a person's.
    for (signals, expected) in [
        (&["-USR1", "-TERM"][..], 75),
        (&["-TERM", "-TERM"], 75),
        (&["-USR1"], 75),
        (&["-HUP"], 130),
    ] {
        let (code, words) = signalled(&vmin, "out", signals);
        assert_eq!(code, Some(expected), "{signals:?}: {words}");
        assert!(words.contains("what was computed is kept"), "{words}");
        assert!(records() > known, "{signals:?}: {} records after {known}", records());
        known = records();
    }
    // The journal is whole: the same experiment goes on from it.
    let text = vmin.text("out/journal.jsonl");
    assert!(text.ends_with('\n'));
    let json = sweep(&vmin, "out", &["--errors", "json"]).output().expect("vmin runs");
    assert_eq!(json.status.code(), Some(2), "an unfinished journal without `--resume`");
}

#[cfg(unix)]
#[test]
fn a_folder_in_use_asks_for_the_same_command_again() {
    let vmin = vmin!();
    vmin.write("e.toml", EXPERIMENT.replace("count = 12", "count = 100000"));
    let mut child = sweep(&vmin, "out", &[]).spawn().expect("vmin runs");
    let journal = vmin.path("out/journal.jsonl");
    while !std::fs::metadata(&journal).is_ok_and(|metadata| metadata.len() > 1000) {
        std::thread::sleep(Duration::from_millis(50));
        assert!(child.try_wait().expect("a child").is_none(), "the sweep ended");
    }
    let busy = sweep(&vmin, "out", &["--resume", "--errors", "json"]).output().expect("vmin runs");
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(busy.status.code(), Some(75));
    let said = String::from_utf8_lossy(&busy.stderr);
    let document: serde_json::Value =
        serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&document["outcome"], &document["exit_code"]), (&"busy".into(), &75.into()));
}

#[test]
fn threads_are_those_that_slurm_gave_unless_there_are_fewer() {
    let vmin = vmin!();
    vmin.write("e.toml", EXPERIMENT.replace("count = 12", "count = 1"));
    let available = std::thread::available_parallelism().expect("a number").get();
    let threads = |given: Option<&str>, more: &[&str]| {
        let mut command = sweep(&vmin, "out", &[&["--resume"], more].concat());
        command.env_remove("SLURM_CPUS_PER_TASK").env_remove("RAYON_NUM_THREADS");
        command.envs(given.map(|given| ("SLURM_CPUS_PER_TASK", given)));
        let output = command.output().expect("vmin runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let words = said.split_once(" threads").expect("the number of threads").0;
        words.rsplit([' ', '\n']).next().expect("a number").parse::<usize>().expect("a number")
    };
    assert_eq!(threads(None, &[]), available);
    assert_eq!(threads(Some("1"), &[]), 1);
    assert_eq!(threads(Some("4096"), &[]), available);
    assert_eq!(threads(Some("no number"), &[]), available);
    assert_eq!(threads(Some("1"), &["--jobs", "3"]), 3);
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
