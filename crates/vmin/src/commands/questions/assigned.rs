//! `assigned.toml`: an experiment with the supplies that were chosen, and the remedy.

use std::path::Path;

use toml_edit::{Array, DocumentMut, InlineTable, Item, TableLike, Value};
use vmin_accel::Memory;
use vmin_diagnostic::Source;
use vmin_questions::Choices;

/// The text of an experiment with one supply for each memory and one remedy or none; relative paths, which start at
/// `base`, become absolute. None if a path is not UTF-8, or no memory is lowered.
pub(super) fn text(
    source: &Source,
    base: &Path,
    choices: &Choices,
    levels: &[usize],
    remedy: Option<usize>,
) -> Option<String> {
    let mut document = source.text().parse::<DocumentMut>().ok()?;
    let root: &mut dyn TableLike = document.as_table_mut();
    supplies(root, choices, levels)?;
    only_remedy(root, remedy);
    paths(root, base)?;
    Some(document.to_string())
}

/// The table `key` of another.
fn inner<'t>(table: &'t mut dyn TableLike, key: &str) -> Option<&'t mut dyn TableLike> {
    table.get_mut(key)?.as_table_like_mut()
}

fn supplies(root: &mut dyn TableLike, choices: &Choices, levels: &[usize]) -> Option<()> {
    let memory = inner(root, "memory")?;
    memory.remove("rails");
    let swept = choices.swept(levels)?;
    let swept_mv = choices.vdd_mv[levels[swept]];
    memory.insert("vdd_mv", Item::Value(Array::from_iter([swept_mv]).into()));
    for (word, which) in Memory::ALL {
        let place = choices.memories.iter().position(|group| group.contains(&which));
        let supply: Value = match place.map(|place| (place, levels[place])) {
            None | Some((_, 0)) => "nominal".into(),
            Some((place, _)) if place == swept => "swept".into(),
            Some((_, level)) => choices.vdd_mv[level].into(),
        };
        let table = memory.entry(word).or_insert_with(|| InlineTable::new().into());
        table.as_table_like_mut()?.insert("vdd_mv", Item::Value(supply));
    }
    Some(())
}

/// Keeps one remedy, at the supplies of the experiment.
fn only_remedy(root: &mut dyn TableLike, remedy: Option<usize>) {
    let mut calibrated = false;
    let mut chosen = |table: &mut dyn TableLike| {
        table.remove("vdd_mv");
        let protection = table.get("protection").map(Item::to_string).unwrap_or_default();
        calibrated = protection.contains("recalibrate");
    };
    if let Some(Item::ArrayOfTables(list)) = root.get_mut("remedy") {
        let kept = remedy.and_then(|index| list.get(index).cloned());
        list.clear();
        if let Some(mut kept) = kept {
            chosen(&mut kept);
            list.push(kept);
        }
    } else if let Some(Item::Value(Value::Array(list))) = root.get_mut("remedy") {
        let kept = remedy.and_then(|index| list.get(index).cloned());
        list.clear();
        if let Some(Value::InlineTable(mut kept)) = kept {
            chosen(&mut kept);
            list.push(kept);
        }
    }
    if remedy.is_none() {
        root.remove("remedy");
    }
    if let Some(data) = inner(root, "data").filter(|_| !calibrated) {
        data.remove("calibration");
    }
}

/// Makes relative paths absolute.
fn paths(root: &mut dyn TableLike, base: &Path) -> Option<()> {
    let absolute = |name: &str| -> Option<String> {
        std::path::absolute(base.join(name)).ok()?.to_str().map(str::to_owned)
    };
    let network = |name: &str| match name.starts_with("builtin:") {
        true => Some(name.to_owned()),
        false => absolute(name),
    };
    let images = |name: &str| match name.split_once(':') {
        None | Some(("builtin", _)) => Some(name.to_owned()),
        Some((format, path)) => Some(format!("{format}:{}", absolute(path)?)),
    };
    let shipped = |name: &str| match name.contains(['/', '\\']) || name.ends_with(".toml") {
        true => absolute(name),
        false => Some(name.to_owned()),
    };
    let keys: [(&str, &str, Renamed<'_>); 6] = [
        ("network", "model", &network),
        ("data", "set", &images),
        ("data", "calibration", &images),
        ("accelerator", "model", &shipped),
        ("memory", "profile", &shipped),
        ("protection", "costs", &shipped),
    ];
    for (table, key, of) in keys {
        if let Some(Item::Value(value)) = inner(root, table).and_then(|table| table.get_mut(key)) {
            put(value, of)?;
        }
    }
    let files = inner(root, "chips").and_then(|table| table.get_mut("files"));
    for file in files.and_then(Item::as_array_mut).into_iter().flat_map(Array::iter_mut) {
        put(file, &absolute)?;
    }
    if let Some(Item::ArrayOfTables(list)) = root.get_mut("remedy") {
        for table in list.iter_mut() {
            if let Some(Item::Value(value)) = table.get_mut("model") {
                put(value, &network)?;
            }
        }
    } else if let Some(Item::Value(Value::Array(list))) = root.get_mut("remedy") {
        for table in list.iter_mut().filter_map(Value::as_inline_table_mut) {
            if let Some(value) = table.get_mut("model") {
                put(value, &network)?;
            }
        }
    }
    Some(())
}

/// Another name for the same file; none if it is not UTF-8.
type Renamed<'a> = &'a dyn Fn(&str) -> Option<String>;

fn put(value: &mut Value, of: Renamed<'_>) -> Option<()> {
    let Some(name) = value.as_str() else { return Some(()) };
    let decor = value.decor().clone();
    let name = of(name)?;
    *value = name.into();
    *value.decor_mut() = decor;
    Some(())
}
