//! The templates of `vmin init`: each is right as it is printed and explains every key.

use std::collections::BTreeSet;

use serde_json::Value;
use vmin_diagnostic::{Diagnostics, Source};
use vmin_testkit::vmin;

type Reader = fn(&Source) -> Result<(), Diagnostics>;

const KINDS: [(&str, Reader); 6] = [
    ("experiment", |source| {
        vmin_sweep::Experiment::parse(source).map(drop).map_err(|refused| refused.problems)
    }),
    ("accelerator", |source| vmin_accel::Accelerator::parse(source).map(drop)),
    ("profile", |source| vmin_accel::VoltageProfile::parse(source).map(drop)),
    ("space", |source| vmin_explore::Space::parse(source).map(drop)),
    ("recipe", |source| vmin_train::Recipe::parse(source).map(drop)),
    ("costs", |source| vmin_protection::ProtectionCosts::parse(source).map(drop)),
];

/// Every key of a schema's tables, those of lists and alternatives too.
fn keys(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            for (word, below) in object {
                match below.as_object().filter(|_| word == "properties") {
                    None => keys(below, found),
                    Some(properties) => {
                        found.extend(properties.keys().cloned());
                        properties.values().for_each(|of_key| keys(of_key, found));
                    }
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|below| keys(below, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_template_is_accepted_and_has_every_key() {
    for (kind, _) in KINDS {
        let vmin = vmin!();
        let text = vmin.ok(&["init", kind]);
        vmin.ok(&["init", kind, "--out", "a.toml"]);
        assert_eq!(vmin.text("a.toml"), text);
        let checked = vmin.json(&["check", "a.toml", "--format", "json"]);
        assert!(kind == "experiment" || checked["kind"] == kind, "{checked}");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{kind}: a long line");
        if kind == "costs" {
            continue;
        }
        let schema: Value = serde_json::from_str(&vmin.ok(&["schema", kind])).expect("JSON");
        let mut all = BTreeSet::new();
        keys(&schema, &mut all);
        assert!(all.len() > 20, "{kind}: {all:?}");
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words: BTreeSet<&str> = text.split(|c| !is_word(c)).collect();
        let missing: Vec<&String> =
            all.iter().filter(|key| !words.contains(key.as_str())).collect();
        assert!(missing.is_empty(), "{kind}: {missing:?}");
    }
}

/// The commented keys of a template, each uncommented alone with the header of its table.
fn with_one_key(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let bare = |line: &str| line.strip_prefix("# ").map(str::to_owned);
    let is_header = |line: &str| line.starts_with('[');
    let is_key = |line: &str| {
        let key = line.split_once(" = ").map_or("", |(key, _)| key);
        !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let mut texts = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(key) = bare(line).filter(|line| is_key(line)) else { continue };
        let mut changed: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        changed[index] = key;
        // Back to the header of the table, with the keys beside it.
        for above in (0..index).rev() {
            let word = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
            if word(lines[above]) == word(&changed[index]) {
                // The value that it replaces.
                changed[above].insert(0, '#');
            }
            let header = bare(lines[above]).filter(|line| is_header(line));
            if is_header(lines[above]) || lines[above].is_empty() {
                break;
            }
            if let Some(header) = header {
                changed[above] = header;
                break;
            }
        }
        texts.push(changed.join("\n"));
    }
    texts
}

#[test]
fn every_commented_key_is_one_of_its_table_with_a_value_of_its_type() {
    for (kind, read) in KINDS.iter().filter(|(kind, _)| *kind != "costs") {
        let texts = with_one_key(&vmin!().ok(&["init", kind]));
        assert!(texts.len() > 5, "{kind}: {}", texts.len());
        for text in texts {
            let Err(problems) = read(&Source::new("a.toml", &text)) else { continue };
            // What a key needs beside it may be missing.
            let wrong =
                ["toml-syntax", "unknown-key", "unknown-word", "wrong-type", "out-of-range"];
            for problem in problems.iter() {
                assert!(!wrong.contains(&problem.code), "{kind}: {problems}");
            }
        }
    }
}

#[test]
fn chips_have_one_seed_where_none_is_named() {
    let vmin = vmin!();
    let experiment: toml::Table = vmin.ok(&["init"]).parse().expect("TOML");
    let network = ["--model", "builtin:shapes-cnn", "--data", "builtin:shapes", "--images", "0..1"];
    let eval = [&["eval"], &network[..], &["--rate", "0.001", "--format", "json"]].concat();
    let seed = vmin.json(&eval)["chip_seed"].as_str().map(str::to_owned);
    assert_eq!(seed, Some(experiment["chips"]["seed"].to_string()));
}
