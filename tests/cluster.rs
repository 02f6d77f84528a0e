//! The shards of a sweep as lists of commands and as files of engines, which these tests run where they are installed.
//!
//! `tests/engines/slurm.sh` is the test on Slurm.

#![cfg(unix)]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use vmin_testkit::{Vmin, vmin};

const EXPERIMENT: &str = r#"
name = "small sweep"
network = { model = "builtin:shapes-cnn" }
data = { set = "builtin:shapes", images = 20 }
accelerator = { model = "gemmini-16" }
memory = { profile = "sram14", vdd_mv = [1000, 850] }
chips = { count = 9, seed = 7 }
"#;

/// An experiment whose name has to be quoted.
fn experiment() -> Vmin {
    let vmin = vmin!();
    vmin.write("it's e.toml", EXPERIMENT);
    vmin
}

const NAMED: [&str; 3] = ["it's e.toml", "--set", "memory.rails = \"memories\""];

fn dealt<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, &NAMED, more].concat()
}

fn assert_is_whole(vmin: &Vmin, out: &str) {
    vmin.ok(&dealt(&["sweep"], &["--out", "whole"]));
    for file in ["results.json", "results.csv", "report.html", "first-chip.chip"] {
        let [merged, whole] = [out, "whole"].map(|folder| vmin.read(Path::new(folder).join(file)));
        assert!(merged == whole, "{file}");
    }
}

/// A command of an engine in the folder, where `vmin` is the program under test.
fn engine(vmin: &Vmin, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(vmin.folder()).args(arguments).env("VMIN", env!("CARGO_BIN_EXE_vmin"));
    command
}

fn done(command: &mut Command) -> Output {
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

#[test]
fn units_cover_the_sweep_and_their_commands_run_it() {
    let vmin = experiment();
    let words = dealt(&["plan"], &["--shards", "4", "--out", "o", "--jobs", "1"]);
    let plan = vmin.json(&[&words[..], &["--format", "json"]].concat());
    let units = plan["units"].as_array().expect("a list");
    let sum =
        |key: &str| units.iter().map(|unit| unit[key].as_u64().expect("a count")).sum::<u64>();
    let check = vmin.json(&dealt(&["check"], &["--format", "json"]));
    let (trials, inferences) = (9 * 2, check["inferences_total"].as_u64().expect("a count"));
    assert_eq!((sum("trials"), sum("inferences")), (trials, inferences + 3 * 20));
    let ends = |unit: &serde_json::Value| ["first_chip", "last_chip"].map(|key| unit[key].as_u64());
    let mut next = 0;
    for unit in units {
        let [first, last] = ends(unit).map(|chip| chip.expect("a chip"));
        assert_eq!(first, next);
        next = last + 1;
        let (low, high) = (unit["seconds_low"].as_f64(), unit["seconds_high"].as_f64());
        assert!(low > Some(0.0) && low <= high, "{unit}");
        assert_eq!(unit["memory_mib"].is_u64(), cfg!(target_os = "linux"), "{unit}");
    }
    assert_eq!((next, &plan["threads"]), (9, &1.into()));
    let tsv = vmin.ok(&[&words[..], &["--format", "tsv"]].concat());
    let rows: Vec<Vec<&str>> = tsv.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!((rows.len(), rows[0].last()), (5, Some(&"command")));
    let commands = rows[1..].iter().map(|row| *row.last().expect("a command"));
    assert!(commands.clone().eq(units.iter().map(|it| it["command"].as_str().expect("a text"))));
    for command in commands.chain([plan["merge"].as_str().expect("a command")]) {
        let line = format!("vmin() {{ \"$VMIN\" \"$@\"; }}; {command}");
        done(&mut engine(&vmin, "sh", &["-c", &line]));
    }
    assert_is_whole(&vmin, "o");
    let table = vmin.ok(&words);
    assert!(table.contains("small sweep") && table.contains("4/4"), "{table}");
}

#[test]
fn files_are_those_of_their_engine_and_no_other_is_replaced() {
    let vmin = experiment();
    let engines = [
        ("slurm", &["slurm-shards.sh", "slurm-merge.sh"][..]),
        ("k8s", &["k8s-shards.yaml", "k8s-merge.yaml"]),
        ("ray", &["ray_sweep.py"]),
        ("snakemake", &["Snakefile"]),
        ("parallel", &["parallel.sh"]),
    ];
    for (engine, files) in engines {
        let words = dealt(&["cluster", engine], &["--shards", "3", "--out", "o/p", "--jobs", "2"]);
        vmin.ok(&words);
        vmin.ok(&words);
        for file in files {
            let text = vmin.text(format!("o/p/{file}"));
            let left = text.split('@').skip(1).find(|word| {
                !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
            });
            assert_eq!(left, None, "{file}");
            assert!(text.contains(r"memory.rails = "), "{file}");
            vmin.write(format!("o/p/{file}"), "mine");
        }
        let kept = vmin.run(&words);
        assert_eq!(kept.status.code(), Some(2), "{engine}");
        for file in files {
            assert_eq!(vmin.text(format!("o/p/{file}")), "mine");
        }
    }
    for (out, shards) in [("a b", "3"), ("-o", "3"), ("x{y}", "3"), ("o", "10")] {
        let out = format!("--out={out}");
        let refused = vmin.run(&dealt(&["cluster", "parallel"], &["--shards", shards, &out]));
        assert_eq!(refused.status.code(), Some(2), "{out} {shards}");
    }
}

#[test]
fn jobs_of_kubernetes_are_indexed_and_count_their_pods() {
    let vmin = experiment();
    vmin.ok(&dealt(&["cluster", "k8s"], &["--shards", "3", "--out", "o", "--jobs", "2"]));
    let read = |name: &str| -> serde_json::Value {
        serde_saphyr::from_str(&vmin.text(Path::new("o").join(name))).expect("YAML")
    };
    let job = read("k8s-shards.yaml");
    let spec = &job["spec"];
    assert_eq!((&job["kind"], &job["metadata"]["name"]), (&"Job".into(), &"small-sweep".into()));
    assert_eq!((&spec["completionMode"], &spec["completions"]), (&"Indexed".into(), &3.into()));
    let container = &spec["template"]["spec"]["containers"][0];
    let environment = serde_json::json!([{ "name": "JOB_COMPLETIONS", "value": "3" }]);
    assert_eq!(container["env"], environment);
    // The command of the last pod, and then that of the merge.
    let shell = |container: &serde_json::Value| {
        let script = container["args"][0].as_str().expect("a script").replace("exec vmin", "vmin");
        let line = format!("vmin() {{ \"$VMIN\" \"$@\"; }}; {script}");
        let mut command = engine(&vmin, "sh", &["-c", &line]);
        command.env("JOB_COMPLETIONS", "3");
        command
    };
    for index in ["0", "1", "2"] {
        done(shell(container).env("JOB_COMPLETION_INDEX", index));
    }
    done(&mut shell(&read("k8s-merge.yaml")["spec"]["template"]["spec"]["containers"][0]));
    assert_is_whole(&vmin, "o");
}

/// A folder for PATH with these programs; none where one is not installed.
fn path_with(vmin: &Vmin, name: &str, programs: &[&str]) -> Option<PathBuf> {
    let folder = vmin.path(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in programs {
        let found = std::env::split_paths(&path).map(|it| it.join(program)).find(|it| it.is_file());
        std::os::unix::fs::symlink(found?, folder.join(program)).expect("a link");
    }
    Some(folder)
}

#[test]
fn xargs_runs_the_shards_and_goes_on_with_those_that_failed() {
    let vmin = experiment();
    vmin.ok(&dealt(&["cluster", "parallel"], &["--shards", "3", "--out", "o", "--jobs", "1"]));
    let Some(path) = path_with(&vmin, "tools", &["sh", "seq", "xargs"]) else {
        eprintln!("skipped: no xargs");
        return;
    };
    // The folder of the second shard is a file, at first.
    vmin.write("o/shards/2", "in the way");
    let run = || {
        let mut command = engine(&vmin, "sh", &["o/parallel.sh"]);
        command.env("PATH", &path).env("SLOTS", "2");
        command.output().expect("sh runs")
    };
    let output = run();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("some shards are not done"), "{said}");
    std::fs::remove_file(vmin.path("o/shards/2")).expect("there");
    let output = run();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_is_whole(&vmin, "o");
}

#[test]
fn gnu_parallel_runs_the_shards() {
    let is_gnu = Command::new("parallel").arg("--version").output();
    if !is_gnu.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("GNU parallel"))
    {
        eprintln!("skipped: no GNU parallel");
        return;
    }
    let vmin = experiment();
    vmin.ok(&dealt(&["cluster", "parallel"], &["--shards", "3", "--out", "o", "--jobs", "1"]));
    done(engine(&vmin, "sh", &["o/parallel.sh"]).env("SLOTS", "2"));
    assert_eq!(vmin.text("o/parallel.log").lines().count(), 4);
    assert_is_whole(&vmin, "o");
}

#[test]
fn snakemake_runs_the_shards() {
    if !Command::new("snakemake").arg("--version").output().is_ok_and(|it| it.status.success()) {
        eprintln!("skipped: no snakemake");
        return;
    }
    let vmin = experiment();
    vmin.ok(&dealt(&["cluster", "snakemake"], &["--shards", "3", "--out", "o", "--jobs", "1"]));
    let words = ["--snakefile", "o/Snakefile", "--cores", "2"];
    done(&mut engine(&vmin, "snakemake", &words));
    assert_is_whole(&vmin, "o");
}

#[test]
fn scripts_are_right_in_their_languages() {
    let vmin = experiment();
    for engine in ["slurm", "ray"] {
        vmin.ok(&dealt(&["cluster", engine], &["--shards", "3", "--out", "o", "--jobs", "1"]));
    }
    let compile = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')";
    let checks: [(&str, &[&str]); 3] = [
        ("bash", &["-n", "o/slurm-shards.sh"]),
        ("bash", &["-n", "o/slurm-merge.sh"]),
        ("python3", &["-c", compile, "o/ray_sweep.py"]),
    ];
    for (program, arguments) in checks {
        match engine(&vmin, program, arguments).output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success() && said.is_empty(), "{arguments:?}: {said}");
            }
            Err(_) => eprintln!("skipped: no {program}"),
        }
    }
}

/// A Ray worker is killed in the middle of its shard; another goes on from its journal.
#[cfg(target_os = "linux")]
#[test]
fn ray_goes_on_where_a_killed_worker_stopped() {
    let python = std::env::var("VMIN_RAY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_ray = Command::new(&python).args(["-c", "import ray"]).output();
    if !has_ray.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no Ray in `{python}` (VMIN_RAY_PYTHON)");
        return;
    }
    let vmin = vmin!();
    let long = EXPERIMENT.replace("count = 9", "count = 300").replace("images = 20", "images = 60");
    vmin.write("it's e.toml", long);
    vmin.ok(&dealt(&["cluster", "ray"], &["--shards", "3", "--out", "o", "--jobs", "1"]));
    let mut driver = engine(&vmin, &python, &["o/ray_sweep.py"])
        .stdout(std::process::Stdio::null())
        .stderr(std::fs::File::create(vmin.path("said")).expect("a file"))
        .spawn()
        .expect("Python runs");
    let journal = vmin.path("o/shards/1/journal.jsonl");
    let records = || {
        let text = std::fs::read_to_string(&journal).unwrap_or_default();
        text.lines().count().saturating_sub(1)
    };
    let worker = loop {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(driver.try_wait().expect("a child").is_none(), "{}", vmin.text("said"));
        if records() > 5 {
            break parent_of_program(&journal).expect("the shard's worker");
        }
    };
    let before = records();
    let killed = Command::new("kill").args(["-KILL", &worker.to_string()]).status();
    assert!(killed.expect("kill runs").success());
    let ended = driver.wait().expect("it ends");
    assert!(ended.success(), "{}", vmin.text("said"));
    assert!(before < 200, "the shard was done before its worker was killed");
    assert_eq!(records(), 200);
    assert_is_whole(&vmin, "o");
}

/// The parent of the process that writes into the folder of this journal.
#[cfg(target_os = "linux")]
fn parent_of_program(journal: &Path) -> Option<u32> {
    let folder = journal.parent()?.to_str()?;
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let text =
            |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        if text("cmdline").split('\0').any(|word| word == folder) {
            let status = text("status");
            return status.lines().find_map(|it| it.strip_prefix("PPid:"))?.trim().parse().ok();
        }
    }
    None
}
