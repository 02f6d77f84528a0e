//! Shards on several machines and their merge: the bytes of one process, or a refusal that says what is wrong.

use std::path::Path;
#[cfg(unix)]
use std::process::Command;
#[cfg(unix)]
use std::time::Duration;

use vmin_testkit::{Vmin, vmin};

/// Remedies of which one shares trials with the experiment's own network, and one counts repaired cells.
const EXPERIMENT: &str = r#"
name = "small"
network = { model = "builtin:shapes-cnn" }
data = { set = "builtin:shapes", images = 20 }
accelerator = { model = "gemmini-16" }
memory = { profile = "sram14", vdd_mv = [1000, 850] }
placement = { offset_bits = [0, 64] }
chips = { count = 17, seed = 7 }
[[remedy]]
name = "nothing"
vdd_mv = [850, 840]
[[remedy]]
name = "spares"
protection = [{ kind = "spares", rows = 2, columns = 0, repair_vdd_mv = 900 }]
"#;

const FILES: [&str; 5] =
    ["results.json", "results.csv", "remedies.csv", "report.html", "first-chip.chip"];

fn experiment() -> Vmin {
    let vmin = vmin!();
    vmin.write("e.toml", EXPERIMENT);
    vmin
}

fn results(vmin: &Vmin, out: &str) -> Vec<Vec<u8>> {
    FILES.iter().map(|file| vmin.read(Path::new(out).join(file))).collect()
}

/// Runs shards of so many.
fn shards(vmin: &Vmin, of: u32, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        let (shard, out) = (format!("{number}/{of}"), format!("shards/{number}"));
        vmin.ok(&["sweep", "e.toml", "--shard", &shard, "--out", &out, "--resume", "-q"]);
    }
}

fn folders(of: u32) -> Vec<String> {
    (1..=of).map(|number| format!("shards/{number}")).collect()
}

fn merge<'a>(folders: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let folders = folders.iter().map(String::as_str);
    let experiment = ["--experiment", "e.toml", "--out", "merged"];
    std::iter::once("merge").chain(folders).chain(experiment).chain(more.iter().copied()).collect()
}

/// What a refused command says, in one line.
fn refused(vmin: &Vmin, arguments: &[&str]) -> String {
    let output = vmin.run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty(), "{said}");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn sixteen_shards_merge_to_the_bytes_of_one_process() {
    let vmin = experiment();
    let whole = vmin.ok(&["sweep", "e.toml", "--out", "whole"]);
    shards(&vmin, 16, 1..=16);
    for number in 1..=16 {
        let folder = format!("shards/{number}");
        let mut files: Vec<_> = std::fs::read_dir(vmin.path(&folder))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
            .collect();
        files.sort();
        assert_eq!(files, ["journal.jsonl", "manifest.json"], "{folder}");
    }
    // Shards 1 to 15 have a chip each, the last one has two: each chip at two offsets and three voltages, with two
    // of them also with spare rows.
    let lines = |number: u32| vmin.text(format!("shards/{number}/journal.jsonl")).lines().count();
    assert_eq!((1..=16).map(|number| lines(number) - 1).sum::<usize>(), 17 * 2 * 5);
    assert_eq!(lines(16) - 1, 2 * lines(1) - 2);
    let merged = vmin.ok(&merge(&folders(16), &[]));
    assert_eq!(merged, whole);
    assert!(results(&vmin, "merged") == results(&vmin, "whole"));
    let manifest: serde_json::Value =
        serde_json::from_slice(&vmin.read("merged/manifest.json")).expect("JSON");
    assert_eq!(manifest["merged"][15], "shards/16");
    let manifest: serde_json::Value =
        serde_json::from_slice(&vmin.read("shards/16/manifest.json")).expect("JSON");
    let shard = serde_json::json!({ "number": 16, "of": 16, "first_chip": 15, "last_chip": 16 });
    assert_eq!(manifest["shard"], shard);
    assert!(manifest["run"]["seconds"].is_number());
    // Folders of a folder.
    vmin.ok(&["merge", "shards", "--experiment", "e.toml", "--out", "again"]);
    assert!(results(&vmin, "again") == results(&vmin, "whole"));
    // A merged folder is a finished sweep, and merges again.
    vmin.ok(&["sweep", "e.toml", "--out", "merged", "--resume"]);
    vmin.ok(&["merge", "merged", "whole", "--experiment", "e.toml", "--out", "merged"]);
    assert!(results(&vmin, "merged") == results(&vmin, "whole"));
}

#[test]
fn shards_of_several_numbers_that_overlap_merge_too() {
    let vmin = experiment();
    vmin.ok(&["sweep", "e.toml", "--out", "whole"]);
    for (shard, out) in [("1/2", "shards/1"), ("2/3", "shards/2"), ("3/3", "shards/3")] {
        vmin.ok(&["sweep", "e.toml", "--shard", shard, "--out", out]);
    }
    vmin.ok(&merge(&folders(3), &[]));
    assert!(results(&vmin, "merged") == results(&vmin, "whole"));
}

#[test]
fn missing_shards_are_named_with_their_commands() {
    let vmin = experiment();
    shards(&vmin, 5, [1, 2, 4]);
    let said = refused(&vmin, &merge(&["1", "2", "4"].map(|it| format!("shards/{it}")), &[]));
    assert!(said.contains("80 of 170 trials are missing, of shards 3/5, 5/5"), "{said}");
    assert!(said.contains("(chips 6 to 9, chips 13 to 16)"), "{said}");
    let run = "vmin sweep e.toml --shard 3/5 --out shards/3 --resume";
    assert!(said.contains(run), "{said}");
    assert!(!vmin.path("merged").exists(), "nothing was written");
    // Half a shard is named with its folder.
    shards(&vmin, 5, [3, 5]);
    let journal = vmin.text("shards/3/journal.jsonl");
    let half: Vec<&str> = journal.lines().take(10).collect();
    vmin.write("shards/3/journal.jsonl", half.join("\n") + "\n");
    let said = refused(&vmin, &merge(&folders(5), &[]));
    assert!(said.contains("of shard 3/5 (chips"), "{said}");
    assert!(said.contains("--shard 3/5 --out shards/3 --resume"), "{said}");
    // Without manifests the chips are named.
    for number in 1..=5 {
        std::fs::remove_file(vmin.path(format!("shards/{number}/manifest.json"))).expect("there");
    }
    let said = refused(&vmin, &merge(&folders(5), &[]));
    assert!(said.contains("are missing, of chips"), "{said}");
    shards(&vmin, 5, [3]);
    vmin.ok(&merge(&folders(5), &[]));
}

#[test]
fn journals_of_other_experiments_and_ones_that_disagree_are_refused() {
    let vmin = experiment();
    shards(&vmin, 2, 1..=2);
    let shard = ["sweep", "e.toml", "--shard", "2/2", "--out", "other", "--set", "chips.seed=8"];
    vmin.ok(&shard);
    let mixed = ["shards/1".to_owned(), "other".to_owned()];
    let said = refused(&vmin, &merge(&mixed, &[]));
    let told = "`other/journal.jsonl` belongs to another experiment: `seed` is 8 there and 7 here";
    assert!(said.contains(told), "{said}");
    let said = refused(&vmin, &["merge", "shards/1", "shards/2", "--out", "merged"]);
    assert!(
        said.contains("belongs to another experiment") && said.contains("--experiment"),
        "{said}"
    );
    let said = refused(&vmin, &merge(&["nowhere".to_owned()], &[]));
    assert!(said.contains("cannot open the journal `nowhere/journal.jsonl`"), "{said}");
    // One count that another machine computed otherwise.
    let journal = vmin.text("shards/1/journal.jsonl");
    let mut lines: Vec<String> = journal.lines().map(str::to_owned).collect();
    let json = lines[3].split_once(' ').expect("a checksum").1.to_owned();
    let at = json.find("\"correct_union\":").expect("counts") + "\"correct_union\":".len();
    let digits = json[at..].find(',').expect("more counts");
    let changed = format!("{}0{}", &json[..at], &json[at + digits..]);
    assert_ne!(changed, json);
    lines[3] = format!("{:08x} {changed}", crc32fast::hash(changed.as_bytes()));
    vmin.write("copy/journal.jsonl", lines.join("\n") + "\n");
    let said = refused(&vmin, &merge(&["shards/1", "shards/2", "copy"].map(str::to_owned), &[]));
    assert!(said.contains("disagree about the trial of candidate"), "{said}");
    assert!(
        said.contains("copy/journal.jsonl") && said.contains("shards/1/journal.jsonl"),
        "{said}"
    );
    assert!(!vmin.path("merged").exists(), "nothing was written");
}

#[test]
fn a_shard_without_a_folder_or_beyond_the_chips_is_refused() {
    let vmin = experiment();
    let said = refused(&vmin, &["sweep", "e.toml", "--shard", "1/2"]);
    assert!(said.contains("--out <DIR>"), "{said}");
    let said = refused(&vmin, &["sweep", "e.toml", "--shard", "1/18", "--out", "o"]);
    assert!(said.contains("18 shards are more than the 17 chips"), "{said}");
    let said = refused(&vmin, &["sweep", "e.toml", "--shard", "0/2", "--out", "o"]);
    assert!(said.contains("expected a shard such as `3/16`"), "{said}");
    assert!(!vmin.path("o").exists());
}

#[test]
fn the_task_of_an_array_names_the_shard() {
    let vmin = experiment();
    let auto = |shard: &str| {
        let mut command = vmin.command(&["sweep", "e.toml", "--shard", shard, "--out", "o"]);
        for name in
            ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "PBS_ARRAY_INDEX", "LSB_JOBINDEX"]
        {
            command.env_remove(name);
        }
        command
    };
    let output = auto("auto").output().expect("vmin runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("finds no task of a job array"), "{said}");
    let output = auto("auto/17").env("JOB_COMPLETION_INDEX", "16").output().expect("vmin runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("shard 17/17, chip 16, 10 trials"), "{said}");
    let merge = "vmin merge FOLDER... --experiment e.toml --out DIR";
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(merge), "{said}");
}

#[cfg(unix)]
#[test]
fn shards_killed_and_resumed_merge_to_the_same_bytes() {
    let vmin = experiment();
    vmin.ok(&["sweep", "e.toml", "--out", "whole"]);
    let mut unfinished = 0;
    for number in 1..=4u32 {
        let (shard, out) = (format!("{number}/4"), format!("shards/{number}"));
        let words = ["sweep", "e.toml", "--shard", &shard, "--out", &out, "--resume"];
        for moment in 0..4u64 {
            let mut child = vmin.command(&words).spawn().expect("vmin runs");
            std::thread::sleep(Duration::from_millis(
                20 + (moment * 13 + u64::from(number) * 7) % 60,
            ));
            unfinished += usize::from(child.try_wait().expect("a child").is_none());
            let _ = child.kill();
            let _ = child.wait();
        }
        vmin.ok(&words);
    }
    assert!(unfinished > 0, "no kill fell into a run");
    vmin.ok(&merge(&folders(4), &[]));
    assert!(results(&vmin, "merged") == results(&vmin, "whole"));
}

#[cfg(unix)]
#[test]
fn a_shard_that_still_runs_is_not_merged() {
    let vmin = vmin!();
    vmin.write("e.toml", EXPERIMENT.replace("count = 17", "count = 100000"));
    let words = ["sweep", "e.toml", "--shard", "1/2", "--out", "shards/1"];
    let mut child = vmin.command(&words).spawn().expect("vmin runs");
    let journal = vmin.path("shards/1/journal.jsonl");
    for _ in 0..600 {
        std::thread::sleep(Duration::from_millis(50));
        if std::fs::metadata(&journal).is_ok_and(|metadata| metadata.len() > 1000) {
            break;
        }
    }
    let busy = vmin.run(&merge(&folders(1), &[]));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
    assert_eq!(child.wait().expect("vmin ends").code(), Some(130));
    let said =
        String::from_utf8_lossy(&busy.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(busy.status.code(), Some(75), "{said}");
    assert!(said.contains("is in use by another run"), "{said}");
}
