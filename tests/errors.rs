//! What a user is told when something is wrong: one file per case in `tests/errors`.
//!
//! A case is a text of sections, each begun by a line `== WORD ...`:
//!
//! ```text
//! == run check experiment.toml     the arguments of vmin, run in a fresh folder
//! == file NAME                     a text file there
//! == bytes NAME                    a binary file there, in hex
//! == cut NAME COUNT                the first COUNT bytes of a valid network file
//! == set NAME OFFSET HEX           overwrites bytes of NAME
//! == exit 2                        the exit code
//! == stderr                        all of standard error
//! ```
//!
//! `VMIN_BLESS=1` writes the last two anew. Besides matching its text, every failure must leave the
//! folder as it was and keep standard output empty.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const VMIN: &str = env!("CARGO_BIN_EXE_vmin");

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/errors");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "case"))
        .collect();
    cases.sort();
    cases
}

struct Section {
    head: String,
    body: String,
}

fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("== ") {
            sections.push(Section { head: head.to_owned(), body: String::new() });
        } else if let Some(section) = sections.last_mut() {
            section.body.push_str(line);
            section.body.push('\n');
        }
    }
    sections
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks_exact(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("a byte"))
        .collect()
}

/// A valid network file to damage.
fn network() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("network.safetensors");
    let status = Command::new(VMIN)
        .args(["model", "convert", "builtin:shapes-cnn", "--output"])
        .arg(&path)
        .output()
        .expect("vmin runs")
        .status;
    assert!(status.success(), "the built-in network can be written");
    std::fs::read(&path).expect("it was written")
}

fn listing(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.clone(), std::fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

/// Runs one case; returns what is wrong with it, or the text with the outcome as it is.
fn run_case(text: &str, network: &[u8]) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut wrong = Vec::new();
    let mut arguments = Vec::new();
    let mut kept = String::new();
    let (mut exit, mut stderr) = (String::new(), String::new());
    for Section { head, body } in sections(text) {
        let words: Vec<&str> = head.split_whitespace().collect();
        let path = |name: &str| folder.path().join(name);
        match words.as_slice() {
            ["run", rest @ ..] => arguments = rest.iter().map(|&word| word.to_owned()).collect(),
            ["file", name] => std::fs::write(path(name), &body).expect("written"),
            ["bytes", name] => std::fs::write(path(name), hex(&body)).expect("written"),
            ["cut", name, count] => {
                let count: usize = count.parse().expect("a count");
                std::fs::write(path(name), &network[..count.min(network.len())]).expect("written");
            }
            ["set", name, offset, bytes] => {
                let mut content = std::fs::read(path(name)).expect("an earlier section's file");
                let (offset, bytes): (usize, _) = (offset.parse().expect("an offset"), hex(bytes));
                content[offset..offset + bytes.len()].copy_from_slice(&bytes);
                std::fs::write(path(name), content).expect("written");
            }
            ["exit", code] => exit = (*code).to_owned(),
            ["stderr"] => stderr = body.clone(),
            _ => wrong.push(format!("unknown section `{head}`")),
        }
        if !matches!(words.first(), Some(&"exit" | &"stderr")) {
            let _ = write!(kept, "== {head}\n{body}");
        }
    }
    let before = listing(folder.path());
    let output = Command::new(VMIN)
        .args(&arguments)
        .current_dir(folder.path())
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .output()
        .expect("vmin runs");
    let found = String::from_utf8_lossy(&output.stderr)
        .replace(&*folder.path().to_string_lossy(), "FOLDER");
    let found = format!("{}\n", found.trim_end());
    let code = output.status.code().map_or("killed".to_owned(), |code| code.to_string());
    if code != exit {
        wrong.push(format!("exit code {code}, expected {exit}"));
    }
    if found != stderr {
        wrong.push(format!("standard error is\n{found}expected\n{stderr}"));
    }
    if !output.stdout.is_empty() {
        wrong.push("standard output is not empty".to_owned());
    }
    if found.contains("panicked") {
        wrong.push("it panicked".to_owned());
    }
    if listing(folder.path()) != before {
        wrong.push("it changed files".to_owned());
    }
    let _ = write!(kept, "== exit {code}\n== stderr\n{found}");
    (kept, wrong)
}

#[test]
fn every_case_tells_what_it_says() {
    let network = network();
    let bless = std::env::var_os("VMIN_BLESS").is_some();
    let cases = cases();
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    let mut failures = String::new();
    for path in cases {
        let text = std::fs::read_to_string(&path).expect("a case");
        let (outcome, wrong) = run_case(&text, &network);
        if bless {
            std::fs::write(&path, outcome).expect("blessed");
        } else if !wrong.is_empty() {
            let _ = writeln!(failures, "## {}\n{}", path.display(), wrong.join("\n"));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn the_harness_can_fail() {
    let (_, wrong) = run_case("== run init\n== exit 2\n== stderr\nno\n", &[]);
    assert!(
        wrong.len() >= 3,
        "exit code, standard error and standard output all differ: {wrong:?}"
    );
}
