//! Processes that write to one store are killed at any moment: no synced trial is lost, and none is wrong.
//!
//! `VMIN_KILLS=100` kills so many instead of ten.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use vmin_accel::PerMemory;
use vmin_sweep::store::{Store, compact};
use vmin_sweep::{ChipId, Counts, Record, SupplyId, TrialId};
use vmin_testkit::Lcg;

/// Names the store to the process that is killed, and its first trial.
const FOLDER: &str = "VMIN_STORE_OF_THE_KILLED";
const FIRST: &str = "VMIN_FIRST_OF_THE_KILLED";

/// Counts follow from the name, so that a wrong one is seen.
fn record(number: u32) -> Record {
    let chip = ChipId { chip: "c".into(), number, offset_bits: 0 };
    let supply = SupplyId { vdd_mv: 900.0, cells: "s".into() };
    let supplies = PerMemory { weight: Some(supply), ..PerMemory::default() };
    let images = "i:0+1000".to_owned();
    let trial = TrialId { candidate: "n".into(), chip, supplies, images };
    let counts = Counts { correct: u64::from(number) * 7, ..Counts::default() };
    Record { trial, counts }
}

/// The process that is killed: appends, and says which trials are synced. Without a store it is no test.
#[test]
fn writer() {
    let (Some(folder), Ok(first)) = (std::env::var_os(FOLDER), std::env::var(FIRST)) else {
        return;
    };
    let store = Store::open(Path::new(&folder)).expect("opened");
    let first: u32 = first.parse().expect("a number");
    let mut out = std::io::stdout().lock();
    for number in first.. {
        store.append(&record(number)).expect("written");
        if number % 3 == 0 {
            store.sync().expect("synced");
            writeln!(out, "\nsynced {number}").and_then(|()| out.flush()).expect("told");
        }
        if number % 50 == 0 {
            // Segments that nobody writes any more, among them what other killed writers left.
            compact(Path::new(&folder), &|_| true, false).expect("compacted");
        }
    }
}

fn start(folder: &Path, first: u32) -> Child {
    Command::new(std::env::current_exe().expect("this test"))
        .args(["writer", "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the test runs")
}

/// Kills it; gives the last trial that it said to be synced.
fn kill(mut child: Child) -> Option<u32> {
    child.kill().expect("killed");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let lines = out.lines().map_while(Result::ok);
    let synced = lines.filter_map(|line| line.strip_prefix("synced ")?.parse().ok()).last();
    let status = child.wait().expect("ended");
    assert!(!status.success() && status.code().is_none(), "it ended by itself: {status}");
    synced
}

#[cfg(unix)]
#[test]
fn killed_writers_lose_no_synced_trial_and_leave_no_wrong_one() {
    let kills: u32 =
        std::env::var("VMIN_KILLS").map_or(10, |kills| kills.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut random = Lcg(u64::from(std::process::id()));
    let mut synced: Vec<(u32, u32)> = Vec::new();
    // Two at once; each has numbers of its own.
    let run = |round: u32, index: u32| {
        ((round * 2 + index) * 100_000, start(folder, (round * 2 + index) * 100_000))
    };
    for round in 0..kills.div_ceil(2) {
        let children = [run(round, 0), run(round, 1)];
        for (first, child) in children {
            std::thread::sleep(Duration::from_millis(random.pick(5..=90) as u64));
            synced.extend(kill(child).map(|last| (first, last)));
        }
        let store = Store::open(folder).expect("a kill is no damage");
        assert_eq!(store.damage().lines, 0, "round {round}");
        for &(first, last) in &synced {
            for number in first..=last {
                let wanted = record(number);
                assert_eq!(store.get(&wanted.trial), Some(wanted.counts), "trial {number}");
            }
        }
        for found in store.select(|_| true) {
            assert_eq!(found, record(found.trial.chip.number));
        }
    }
    let trials: u32 = synced.iter().map(|(first, last)| last - first + 1).sum();
    assert!(synced.len() > kills as usize / 3, "only {} of {kills} had begun", synced.len());
    let told = format!("{kills} kills, {} after a sync, {trials} synced trials", synced.len());
    writeln!(std::io::stdout(), "{told}").expect("told");
}
