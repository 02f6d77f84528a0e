//! A sweep gives the same bytes however it is run: any threads, any kernel, killed and resumed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const VMIN: &str = env!("CARGO_BIN_EXE_vmin");

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

fn write_experiment(folder: &Path) {
    std::fs::write(folder.join("e.toml"), EXPERIMENT).expect("written");
}

fn sweep(folder: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = Command::new(VMIN);
    command.current_dir(folder).args(["sweep", "e.toml", "--out", out]).args(more);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn results(folder: &Path, out: &str) -> Vec<Vec<u8>> {
    FILES
        .iter()
        .map(|file| std::fs::read(folder.join(out).join(file)).expect("a result file"))
        .collect()
}

fn done(mut command: Command) {
    let output = command.output().expect("vmin runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn threads_and_kernels_leave_every_byte_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    write_experiment(folder.path());
    done(sweep(folder.path(), "one", &["--jobs", "1"]));
    let expected = results(folder.path(), "one");
    done(sweep(folder.path(), "three", &["--jobs", "3"]));
    assert!(results(folder.path(), "three") == expected, "three threads");
    for kernel in vmin_kernels::available() {
        let name = kernel.name();
        done(sweep(folder.path(), name, &["--kernel", name]));
        assert!(results(folder.path(), name) == expected, "kernel {name}");
    }
}

#[test]
fn the_report_drawn_again_is_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    write_experiment(folder.path());
    done(sweep(folder.path(), "out", &[]));
    let drawn = results(folder.path(), "out");
    std::fs::remove_file(folder.path().join("out/report.html")).expect("removed");
    let mut again = Command::new(VMIN);
    again.current_dir(folder.path()).args(["report", "out"]);
    done(again);
    assert!(results(folder.path(), "out") == drawn);
}

#[cfg(unix)]
#[test]
fn killed_at_twenty_moments_and_resumed_it_gives_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    write_experiment(folder.path());
    done(sweep(folder.path(), "whole", &[]));
    let expected = results(folder.path(), "whole");
    let mut unfinished = 0;
    for moment in 0..20u64 {
        // Multiples of a few milliseconds, from before the journal to about the end.
        let mut child = sweep(folder.path(), "killed", &["--resume"]).spawn().expect("vmin runs");
        std::thread::sleep(Duration::from_millis(10 + moment * 7 % 60));
        let _ = child.kill();
        let _ = child.wait();
        if !folder.path().join("killed/results.json").exists() {
            unfinished += 1;
            continue;
        }
        assert!(results(folder.path(), "killed") == expected, "killed {moment}");
        std::fs::remove_dir_all(folder.path().join("killed")).expect("removed");
    }
    assert!(unfinished > 0, "no kill fell into a run");
    done(sweep(folder.path(), "killed", &["--resume"]));
    assert!(results(folder.path(), "killed") == expected, "after the last kill");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_computed_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let many = EXPERIMENT.replace("count = 12", "count = 100000");
    std::fs::write(folder.path().join("e.toml"), many).expect("written");
    let child = sweep(folder.path(), "out", &[]).spawn().expect("vmin runs");
    let journal = folder.path().join("out/journal.jsonl");
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
    assert!(!folder.path().join("out/results.json").exists());
    // Without `--resume` it is refused, not overwritten.
    let refused = sweep(folder.path(), "out", &[]).output().expect("vmin runs");
    assert_eq!(refused.status.code(), Some(2));
}
