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
//! `VMIN_BLESS=1` writes the last two anew, `VMIN_CASE=NAME` runs one case. Besides matching its text, every
//! failure must leave the folder as it was and keep standard output empty.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use vmin_testkit::vmin;

fn cases() -> Vec<PathBuf> {
    let folder = vmin_testkit::root().join("tests/errors");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "case"))
        .collect();
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    if let Some(name) = std::env::var_os("VMIN_CASE") {
        cases.retain(|path| path.file_stem() == Some(name.as_os_str()));
        assert_eq!(cases.len(), 1, "no case `{}`", name.display());
    }
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
    let vmin = vmin!();
    vmin.ok(&["model", "convert", "builtin:shapes-cnn", "--output", "network.safetensors"]);
    vmin.read("network.safetensors")
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
    let vmin = vmin!();
    let mut wrong = Vec::new();
    let mut arguments = Vec::new();
    let mut kept = String::new();
    let (mut exit, mut stderr) = (String::new(), String::new());
    for Section { head, body } in sections(text) {
        let words: Vec<&str> = head.split_whitespace().collect();
        match words.as_slice() {
            ["run", rest @ ..] => arguments = rest.iter().map(|&word| word.to_owned()).collect(),
            ["file", name] => vmin.write(name, &body),
            ["bytes", name] => vmin.write(name, hex(&body)),
            ["cut", name, count] => {
                let count: usize = count.parse().expect("a count");
                vmin.write(name, &network[..count.min(network.len())]);
            }
            ["set", name, offset, bytes] => {
                let mut content = vmin.read(name);
                let (offset, bytes): (usize, _) = (offset.parse().expect("an offset"), hex(bytes));
                content[offset..offset + bytes.len()].copy_from_slice(&bytes);
                vmin.write(name, content);
            }
            ["exit", code] => exit = (*code).to_owned(),
            ["stderr"] => stderr = body.clone(),
            _ => wrong.push(format!("unknown section `{head}`")),
        }
        if !matches!(words.first(), Some(&"exit" | &"stderr")) {
            let _ = write!(kept, "== {head}\n{body}");
        }
    }
    let before = listing(vmin.folder());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = vmin.command(&arguments).env("COLUMNS", "100").output().expect("vmin runs");
    let found = String::from_utf8_lossy(&output.stderr)
        .replace(&*vmin.folder().to_string_lossy(), "FOLDER");
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
    if listing(vmin.folder()) != before {
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
