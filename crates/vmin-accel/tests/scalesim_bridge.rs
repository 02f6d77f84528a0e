//! Runs of SCALE-Sim itself: the same configuration and topology give the same report files.

use std::path::{Path, PathBuf};

use vmin_accel::cycles::{self, Schedule};
use vmin_accel::scalesim::{self, Config, TableKind};
use vmin_accel::{Accelerator, CycleModel};
use vmin_diagnostic::Source;

fn runs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scalesim_runs");
    let entries = std::fs::read_dir(folder).expect("the folder of runs");
    let mut runs: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    runs.retain(|path| path.is_dir());
    runs.sort();
    runs
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn kind(run: &Path) -> TableKind {
    let name = run.file_name().expect("a name").to_string_lossy();
    if name.starts_with("gemm") { TableKind::Gemm } else { TableKind::Topology }
}

#[test]
fn report_files_are_the_same_bytes() {
    let runs = runs();
    assert_eq!(runs.len(), 7);
    let mut rows = 0;
    for run in runs {
        let cfg = run.join("scale.cfg");
        let accelerator = Accelerator::load(&cfg).expect("a configuration");
        assert_eq!(accelerator.cycle_model, CycleModel::ScalesimV3);
        let table = Source::new("topology.csv", &read(&run.join("topology.csv")));
        let layers = scalesim::layers(&table, kind(&run)).expect("a table");
        let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &layers).unwrap();
        for (name, text) in scalesim::report_files(&reports) {
            let expected = read(&run.join(name));
            for (line, (ours, theirs)) in text.lines().zip(expected.lines()).enumerate() {
                assert_eq!(ours, theirs, "{} {name}:{}", run.display(), line + 1);
            }
            assert_eq!(text, expected, "{} {name}", run.display());
            rows += text.lines().count() - 1;
        }
    }
    assert_eq!(rows, 3 * (12 + 10 + 8 + 8 + 5 + 4 + 8));
}

/// Small edits of a text, one after another.
fn mutations(text: &str) -> impl Iterator<Item = Vec<u8>> {
    let bytes = text.as_bytes().to_vec();
    let mut state = 1_u64;
    (0..4000).map(move |_| {
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap_or(0)
        };
        let mut bytes = bytes.clone();
        for _ in 0..=next(3) {
            if bytes.is_empty() {
                break;
            }
            let at = next(bytes.len());
            match next(5) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, b",:=[]\n9-\"\\#"[next(11)]),
                2 => bytes[at] = u8::try_from(next(128)).unwrap_or(0),
                3 => bytes.truncate(at),
                _ => {
                    let tail = bytes[at..].to_vec();
                    bytes.extend(tail.iter().take(40));
                }
            }
        }
        bytes
    })
}

#[test]
fn damaged_files_are_read_or_refused() {
    let (mut read_cfg, mut read_table) = (0, 0);
    for run in runs().into_iter().take(2) {
        for bytes in mutations(&read(&run.join("scale.cfg"))) {
            let source = Source::new("x.cfg", &String::from_utf8_lossy(&bytes));
            match Config::parse(&source) {
                Ok(_) => read_cfg += 1,
                Err(problems) => assert!(!problems.to_string().is_empty()),
            }
        }
        for bytes in mutations(&read(&run.join("topology.csv"))) {
            let source = Source::new("x.csv", &String::from_utf8_lossy(&bytes));
            match scalesim::layers(&source, kind(&run)) {
                Ok(layers) => {
                    assert!(!layers.is_empty());
                    read_table += 1;
                }
                Err(problems) => assert!(!problems.to_string().is_empty()),
            }
        }
    }
    assert!(read_cfg > 100 && read_table > 100, "{read_cfg} {read_table}");
}
