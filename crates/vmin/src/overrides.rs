//! `--set KEY=VALUE`: a key of an experiment file that has another value in this run.

use std::path::Path;

use toml_edit::{DocumentMut, Item, Key, Table, TableLike, Value};
use vmin_diagnostic::{Diagnostic, Source};

use crate::Failure;

/// The text of a file, or of the embedded demo, with other values of some keys; and the folder of relative paths.
///
/// # Errors
/// The file cannot be read (`what` names it), or as for [`overridden`].
pub(crate) fn source<'p>(
    what: &'static str,
    path: Option<&'p Path>,
    sets: &[String],
) -> Result<(Source, &'p Path), Failure> {
    let (source, base) = match path {
        None => (Source::new("embedded demo", vmin_sweep::DEMO), Path::new(".")),
        Some(path) => {
            let source = vmin_files::text(what, path).map_err(|error| {
                error
                    .diagnostic()
                    .hint("`vmin init --out experiment.toml` writes one to start from")
            })?;
            (source, path.parent().unwrap_or(Path::new(".")))
        }
    };
    Ok((overridden(source, sets)?, base))
}

/// The text of `source` with each `KEY=VALUE` of `sets` in it, in that order.
///
/// The key is dotted as in TOML; behind `remedy` stands the name of the remedy. The value is one of TOML; what is
/// none is taken as a string, so that names need no quotes. A text that is not TOML comes back as it is: its reader
/// tells where.
///
/// # Errors
/// A setting that is not `KEY=VALUE`, goes through a key that is not a table, or names a remedy that the file lacks.
fn overridden(source: Source, sets: &[String]) -> Result<Source, Failure> {
    if sets.is_empty() {
        return Ok(source);
    }
    let Ok(mut document) = source.text().parse::<DocumentMut>() else { return Ok(source) };
    for set in sets {
        apply(&mut document, set).map_err(|(message, hint)| {
            Failure::from(Diagnostic::new("set", format!("`--set {set}`: {message}")).hint(hint))
        })?;
    }
    let name = format!("{} with --set", source.name());
    Ok(Source::new(&name, &document.to_string()))
}

/// Sets one key; what is wrong, and a hint, if it cannot be.
fn apply(document: &mut DocumentMut, set: &str) -> Result<(), (String, String)> {
    // A name in quotes may hold the sign.
    let mut signs = set.match_indices('=');
    let split = |(at, _)| Some((Key::parse(&set[..at]).ok()?, set[at + 1..].trim()));
    let Some((key, value)) = signs.find_map(split) else {
        let hint = "as in `--set memory.vdd_mv=[900,850]`; a name with spaces or commas stands in quotes: \
                    `--set 'remedy.\"A, B\".vdd_mv=[850]'`";
        return Err(("is not a dotted key, `=` and a value".to_owned(), hint.to_owned()));
    };
    let value: Value = value.parse().unwrap_or_else(|_| Value::from(value));
    let shown = key.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
    let is_table = |name: &str, missing: &str| {
        let hint = format!("name one of its keys: `--set {shown}.{missing}=VALUE`");
        Err((format!("`{name}` is a table"), hint))
    };
    let Some((last, tables)) = key.split_last() else { return Ok(()) };
    let mut table: &mut dyn TableLike = document.as_table_mut();
    let mut tables = tables.iter().map(Key::get);
    while let Some(name) = tables.next() {
        let next = table.entry(name).or_insert_with(|| Item::Table(Table::new()));
        table = match next {
            Item::Table(table) => table,
            Item::Value(Value::InlineTable(table)) => table,
            Item::ArrayOfTables(list) => {
                let Some(wanted) = tables.next() else { return is_table(last.get(), "KEY") };
                let list = list.iter_mut().map(|one| one as &mut dyn TableLike);
                named(list.collect(), name, wanted)?
            }
            Item::Value(Value::Array(list)) if list.iter().any(Value::is_inline_table) => {
                let Some(wanted) = tables.next() else { return is_table(last.get(), "KEY") };
                let list = list.iter_mut().filter_map(|one| match one {
                    Value::InlineTable(one) => Some(one as &mut dyn TableLike),
                    Value::String(_)
                    | Value::Integer(_)
                    | Value::Float(_)
                    | Value::Boolean(_)
                    | Value::Datetime(_)
                    | Value::Array(_) => None,
                });
                named(list.collect(), name, wanted)?
            }
            Item::None | Item::Value(_) => {
                let hint = "set the value of this key as a whole".to_owned();
                return Err((format!("`{name}` is not a table of the file"), hint));
            }
        };
    }
    match table.get(last.get()) {
        Some(Item::ArrayOfTables(_)) => return is_table(last.get(), "NAME.KEY"),
        Some(Item::Table(_)) => return is_table(last.get(), "KEY"),
        Some(Item::Value(_) | Item::None) | None => {}
    }
    table.insert(last.get(), Item::Value(value));
    Ok(())
}

/// The table of a list that has this name.
fn named<'l>(
    list: Vec<&'l mut dyn TableLike>,
    key: &str,
    wanted: &str,
) -> Result<&'l mut dyn TableLike, (String, String)> {
    let name = |one: &dyn TableLike| one.get("name").and_then(Item::as_str).map(str::to_owned);
    let names: Vec<String> = list.iter().filter_map(|one| name(&**one)).collect();
    let names: Vec<String> = names.iter().map(|name| format!("`{}`", Key::new(name))).collect();
    list.into_iter().find(|one| name(&**one).as_deref() == Some(wanted)).ok_or_else(|| {
        (format!("no `{key}` is named `{wanted}`"), format!("the file has {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "name = \"x\"\nlist = [{ name = \"f\" }]\n[memory]\nvdd_mv = [900] # low\n[[remedy]]\nname = \"a b\"\n\
                        [[remedy]]\nname = \"c\"\nknown = { aged_mv = 2, reads = 3 }\n\
                        [[remedy]]\nname = \"d=e\"\n";

    fn after(sets: &[&str]) -> Result<String, Failure> {
        let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
        overridden(Source::new("f", FILE), &sets).map(|source| source.text().to_owned())
    }

    #[test]
    fn keys_get_other_values_and_new_ones_appear() {
        let text = after(&[
            "memory.vdd_mv=[850, 840]",
            "memory.profile=sram14",
            "chips.count = 3",
            "remedy.\"a b\".known.reads=2",
            "remedy.c.known.reads=4",
            "remedy.\"d=e\".bits=5",
            "list.f.bits=6",
        ])
        .unwrap();
        let value: toml::Value = toml::from_str(&text).unwrap();
        assert_eq!(value["memory"]["vdd_mv"].as_array().unwrap().len(), 2);
        assert_eq!(value["memory"]["profile"].as_str(), Some("sram14"));
        assert_eq!(value["chips"]["count"].as_integer(), Some(3));
        assert_eq!(value["remedy"][0]["known"]["reads"].as_integer(), Some(2));
        assert_eq!(value["remedy"][1]["known"]["aged_mv"].as_integer(), Some(2));
        assert_eq!(value["remedy"][1]["known"]["reads"].as_integer(), Some(4));
        assert_eq!(value["remedy"][2]["bits"].as_integer(), Some(5));
        assert_eq!(value["list"][0]["bits"].as_integer(), Some(6));
        assert_eq!(value["name"].as_str(), Some("x"));
    }

    #[test]
    fn what_cannot_be_set_is_refused() {
        for set in [
            "memory",
            "a b=3",
            "memory=3",
            "name.first=3",
            "remedy=3",
            "remedy.c=3",
            "remedy.none.bits=3",
        ] {
            assert!(after(&[set]).is_err(), "{set}");
        }
    }

    #[test]
    fn a_text_that_is_no_toml_is_left_to_its_reader() {
        let source = Source::new("f", "not toml");
        let sets = ["a=1".to_owned()];
        assert_eq!(overridden(source, &sets).unwrap().text(), "not toml");
    }
}
