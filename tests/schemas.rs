//! The JSON Schemas and the readers say the same: shipped files are valid, keys agree, slips are refused by both.

use std::collections::BTreeSet;

use serde_json::Value;
use vmin_accel::{Accelerator, VoltageProfile};
use vmin_diagnostic::{Diagnostics, Source};
use vmin_explore::Space;
use vmin_sweep::Experiment;
use vmin_train::Recipe;

type Reader = fn(&Source) -> Result<(), Diagnostics>;

const KINDS: [(&str, &str, Reader); 5] = [
    ("accelerator", include_str!("../schemas/accelerator.schema.json"), |source| {
        Accelerator::parse(source).map(drop)
    }),
    ("profile", include_str!("../schemas/profile.schema.json"), |source| {
        VoltageProfile::parse(source).map(drop)
    }),
    ("experiment", include_str!("../schemas/experiment.schema.json"), |source| {
        Experiment::parse(source).map(drop).map_err(|refused| refused.problems)
    }),
    ("space", include_str!("../schemas/space.schema.json"), |source| {
        Space::parse(source).map(drop)
    }),
    ("recipe", include_str!("../schemas/recipe.schema.json"), |source| {
        Recipe::parse(source).map(drop)
    }),
];

fn toml_files(folder: &str) -> Vec<String> {
    let files = vmin_testkit::toml_files(folder);
    files.iter().map(|path| std::fs::read_to_string(path).expect("readable")).collect()
}

fn shipped(kind: &str) -> Vec<String> {
    match kind {
        "accelerator" => toml_files("accel-models"),
        "profile" => toml_files("voltage-profiles"),
        "experiment" => {
            let mut files = toml_files("experiments");
            files.push(vmin_sweep::DEMO.to_owned());
            files
        }
        "recipe" => toml_files("recipes"),
        _ => vec![vmin_explore::DEMO.to_owned()],
    }
}

fn as_json(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Value>(text).expect("TOML")).expect("JSON")
}

#[test]
fn shipped_files_are_valid() {
    for (kind, schema, _) in KINDS {
        let schema: Value = serde_json::from_str(schema).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let files = shipped(kind);
        assert!(!files.is_empty());
        for text in files {
            let problems: Vec<String> =
                validator.iter_errors(&as_json(&text)).map(|error| error.to_string()).collect();
            assert!(problems.is_empty(), "{kind}: {problems:?}");
        }
    }
}

/// Every table of a schema with its dotted path and keys; lists of tables count once.
fn tables(schema: &Value, path: &str, found: &mut Vec<(String, BTreeSet<String>)>) {
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        for choice in choices {
            tables(choice, path, found);
        }
    }
    if let Some(items) = schema.get("items").filter(|items| items.get("properties").is_some()) {
        tables(items, &format!("{path}[]"), found);
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    found.push((path.to_owned(), properties.keys().cloned().collect()));
    for (key, of_key) in properties {
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        tables(of_key, &below, found);
    }
}

/// The keys that a reader says it expects in a table, learnt from what it says to a stranger there.
fn keys_read(reader: Reader, path: &str) -> BTreeSet<String> {
    const STRANGER: &str = "zzzzzzzzzz";
    let mut text = String::new();
    let mut header = String::new();
    for key in path.split('.').filter(|key| !key.is_empty()) {
        let list = key.strip_suffix("[]");
        header.push_str(list.unwrap_or(key));
        let line = if list.is_some() { format!("[[{header}]]\n") } else { format!("[{header}]\n") };
        text.push_str(&line);
        header.push('.');
    }
    text.push_str(&format!("{STRANGER} = 1\n"));
    let problems = reader(&Source::new("stranger.toml", &text)).expect_err("a stranger");
    let label = problems
        .iter()
        .find(|problem| problem.message.contains(STRANGER))
        .map(|problem| problem.label.clone())
        .unwrap_or_else(|| panic!("nothing is said about `{STRANGER}` in `{path}`: {problems}"));
    label.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn schemas_have_the_keys_that_readers_know() {
    for (kind, schema, reader) in KINDS {
        let schema: Value = serde_json::from_str(schema).expect("JSON");
        let mut list = Vec::new();
        tables(&schema, "", &mut list);
        assert!(list.len() > 5, "{kind}");
        for (path, keys) in list {
            assert_eq!(keys_read(reader, &path), keys, "{kind}, table `{path}`");
        }
    }
}

#[test]
fn the_experiment_schema_lists_every_mechanism_and_kind_of_fault() {
    let (_, schema, _) = KINDS[2];
    let schema: Value = serde_json::from_str(schema).expect("JSON");
    let item = &schema["properties"]["remedy"]["items"]["properties"]["protection"]["items"];
    let words = |key: &str| -> Vec<&str> {
        let words = item["properties"][key]["enum"].as_array().expect("a list");
        words.iter().filter_map(Value::as_str).collect()
    };
    let memory = &schema["properties"]["memory"]["properties"]["fault_kind"]["enum"];
    let kinds: Vec<&str> =
        memory.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(kinds, vmin_sweep::ReadErrors::ALL.map(|(word, _)| word));
    assert_eq!(words("kind"), vmin_protection::mechanisms::ALL.map(|(word, _)| word));
    assert_eq!(words("memory"), vmin_accel::Memory::ALL.map(|(word, _)| word));
}

#[test]
fn missing_and_foreign_keys_are_refused_by_both() {
    for (kind, schema, reader) in KINDS {
        let schema: Value = serde_json::from_str(schema).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let good: toml::Table = toml::from_str(&shipped(kind)[0]).expect("TOML");
        let both = |table: &toml::Table| {
            let text = toml::to_string(table).expect("TOML");
            (reader(&Source::new("x.toml", &text)).is_ok(), validator.is_valid(&as_json(&text)))
        };
        assert_eq!(both(&good), (true, true), "{kind}");
        for required in schema["required"].as_array().expect("a list") {
            let mut without = good.clone();
            without.remove(required.as_str().expect("a key"));
            assert_eq!(both(&without), (false, false), "{kind} without {required}");
        }
        let mut with = good.clone();
        with.insert("zzzzzzzzzz".to_owned(), toml::Value::Integer(1));
        assert_eq!(both(&with), (false, false), "{kind} with a stranger");
    }
}

#[test]
fn chips_by_file_or_by_number_and_not_both() {
    let (_, schema, reader) = KINDS[2];
    let schema: Value = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let head = "name = \"x\"\nnetwork = { model = \"m\" }\ndata = { set = \"d\" }\n\
                accelerator = { model = \"a\" }\n";
    let both = |rest: &str| {
        let text = format!("{head}{rest}\n");
        (reader(&Source::new("x.toml", &text)).is_ok(), validator.is_valid(&as_json(&text)))
    };
    for good in [
        "memory = { profile = \"p\" }\nchips = { files = [\"a.chip\"] }",
        "memory = { profile = \"p\", vdd_mv = [900] }\nchips = { files = [\"a.chip\", \"b.chip\"] }",
        "memory = { profile = \"p\", fault_kind = \"measured\" }\nchips = { files = [\"a.chip\"] }",
        "memory = { profile = \"p\" }\nchips = { files = [\"a.chip\"] }\n[[remedy]]\nname = \"r\"\n\
         protection = [{ kind = \"secded\", data_bits = 32, memory = \"accumulator\" }]",
        "memory = { profile = \"p\", vdd_mv = [900], fault_kind = \"transient\" }\n\
         chips = { count = 1, seed = 1 }",
        "memory = { profile = \"p\", vdd_mv = [900], weight = { vdd_mv = \"nominal\" }, \
         activation = { inputs = false }, accumulator = { vdd_mv = 850.5, biases = true } }\n\
         chips = { count = 1, seed = 1 }",
    ] {
        assert_eq!(both(good), (true, true), "{good}");
    }
    for bad in [
        "memory = { profile = \"p\" }\nchips = { files = [] }",
        "memory = { profile = \"p\" }\nchips = { files = [\"a.chip\", \"a.chip\"] }",
        "memory = { profile = \"p\" }\nchips = { files = [\"a.chip\"], count = 1 }",
        "memory = { profile = \"p\" }\nchips = { files = [\"a.chip\"], seed = 1 }",
        "memory = { profile = \"p\", rates_pct = [1] }\nchips = { files = [\"a.chip\"] }",
        "preset = \"stutz\"\nmemory = { profile = \"p\" }\nchips = { files = [\"a.chip\"] }",
        "memory = { profile = \"p\" }\nchips = { count = 1, seed = 1 }",
        "memory = { profile = \"p\", vdd_mv = [900], weight = { vdd_mv = \"none\" } }\n\
         chips = { count = 1, seed = 1 }",
        "memory = { profile = \"p\", vdd_mv = [900], accumulator = { vdd_mv = 0 } }\n\
         chips = { count = 1, seed = 1 }",
        "memory = { profile = \"p\", vdd_mv = [900], fault_kind = \"measured\" }\n\
         chips = { count = 1, seed = 1 }",
    ] {
        assert_eq!(both(bad), (false, false), "{bad}");
    }
}

#[test]
fn a_file_of_another_kind_is_named_as_such() {
    for (kind, _, read) in KINDS {
        for (other, ..) in KINDS.into_iter().filter(|(other, ..)| *other != kind) {
            for text in shipped(other) {
                let problems = read(&Source::new("a.toml", &text)).expect_err("another kind");
                let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
                assert_eq!(codes, ["file-kind"], "a file of kind {other} read as {kind}");
            }
        }
    }
}
