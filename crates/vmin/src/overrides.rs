//! `--set KEY=VALUE`: a key of an experiment file that has another value in this run.

use toml_edit::{DocumentMut, Item, Key, Table, TableLike, Value};
use vmin_diagnostic::{Diagnostic, Source};

use crate::Failure;

/// The text of `source` with each `KEY=VALUE` of `sets` in it, in that order.
///
/// The key is dotted as in TOML; behind `remedy` stands the name of the remedy. The value is one of TOML; what is
/// none is taken as a string, so that names need no quotes. A text that is not TOML comes back as it is: its reader tells where.
///
/// # Errors
/// A setting that is not `KEY=VALUE`, goes through a key that is not a table, or names a remedy that the file lacks.
pub(crate) fn overridden(source: Source, sets: &[String]) -> Result<Source, Failure> {
    if sets.is_empty() {
        return Ok(source);
    }
    let Ok(mut document) = source.text().parse::<DocumentMut>() else { return Ok(source) };
    for set in sets {
        let refuse = |message: String, hint: String| {
            Failure::from(Diagnostic::new("set", format!("`--set {set}`: {message}")).hint(hint))
        };
        let (key, value) = set
            .split_once('=')
            .and_then(|(key, value)| Some((Key::parse(key).ok()?, value.trim())))
            .ok_or_else(|| {
                let hint = "as in `--set memory.vdd_mv=[900,850]`; a name with spaces or commas \
                            stands in quotes: `--set 'remedy.\"A, B\".vdd_mv=[850]'`";
                let hint = hint.to_owned();
                refuse("is not a dotted key, `=` and a value".to_owned(), hint)
            })?;
        let value: Value = value.parse().unwrap_or_else(|_| Value::from(value));
        let Some((last, tables)) = key.split_last() else { continue };
        let mut table: &mut dyn TableLike = document.as_table_mut();
        let mut tables = tables.iter().peekable();
        while let Some(step) = tables.next() {
            let name = step.get();
            let next = table.entry(name).or_insert_with(|| Item::Table(Table::new()));
            table = match next {
                Item::Table(table) => table,
                Item::ArrayOfTables(list) => {
                    let names: Vec<String> = list
                        .iter()
                        .filter_map(|one| one.get("name")?.as_str().map(str::to_owned))
                        .collect();
                    let wanted = tables.next().map_or("", |key| key.get());
                    let all = format!("the file has {}", quoted(&names));
                    list.iter_mut()
                        .find(|one| one.get("name").and_then(Item::as_str) == Some(wanted))
                        .ok_or_else(|| refuse(format!("no `{name}` is named `{wanted}`"), all))?
                }
                Item::Value(Value::InlineTable(table)) => table,
                Item::None | Item::Value(_) => {
                    let hint = "set the value of this key as a whole".to_owned();
                    return Err(refuse(format!("`{name}` is not a table of the file"), hint));
                }
            };
        }
        if table.get(last.get()).is_some_and(|item| !item.is_value()) {
            let hint = format!("name one of its keys: `--set {}.KEY=VALUE`", shown(&key));
            return Err(refuse(format!("`{}` is a table", last.get()), hint));
        }
        table.insert(last.get(), Item::Value(value));
    }
    let name = format!("{} with --set", source.name());
    Ok(Source::new(&name, &document.to_string()))
}

fn shown(key: &[Key]) -> String {
    key.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "name = \"x\"\n[memory]\nvdd_mv = [900] # low\n[[remedy]]\nname = \"a b\"\n\
                        [[remedy]]\nname = \"c\"\nknown = { aged_mv = 2, reads = 3 }\n";

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
        ])
        .unwrap();
        let value: toml::Value = toml::from_str(&text).unwrap();
        assert_eq!(value["memory"]["vdd_mv"].as_array().unwrap().len(), 2);
        assert_eq!(value["memory"]["profile"].as_str(), Some("sram14"));
        assert_eq!(value["chips"]["count"].as_integer(), Some(3));
        assert_eq!(value["remedy"][0]["known"]["reads"].as_integer(), Some(2));
        assert_eq!(value["remedy"][1]["known"]["aged_mv"].as_integer(), Some(2));
        assert_eq!(value["remedy"][1]["known"]["reads"].as_integer(), Some(4));
        assert_eq!(value["name"].as_str(), Some("x"));
    }

    #[test]
    fn what_cannot_be_set_is_refused() {
        for set in ["memory", "a b=3", "memory=3", "name.first=3", "remedy.none.bits=3"] {
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
