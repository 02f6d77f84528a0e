//! Reads a small TOML file and prints all of its problems: `check_file [FILE]`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use vmin_diagnostic::{Diagnostics, Document, Source};

const EXAMPLE: &str = "[array]\nrow = 16\ncolumns = 0\ndataflow = 'ow'\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let source = match std::env::args().nth(1) {
        Some(path) => Source::new(&path, &std::fs::read_to_string(&path)?),
        None => Source::new("example.toml", EXAMPLE),
    };
    match array(&source) {
        Ok(size) => println!("an array of {size:?}"),
        Err(problems) => println!("{problems}"),
    }
    Ok(())
}

/// Rows, columns and dataflow; every getter reports its own problem.
fn array(source: &Source) -> Result<Option<(i64, i64, char)>, Diagnostics> {
    let document = Document::parse(source)?;
    let root = document.root();
    let table = root.table("array");
    let rows = table.integer("rows", 1..=4096);
    let columns = table.integer("columns", 1..=4096);
    let dataflow = table.choice("dataflow", &[("os", 'o'), ("ws", 'w')]);
    table.finish();
    root.finish();
    document.finish()?;
    Ok(rows.zip(columns).zip(dataflow).map(|((r, c), d)| (r.value, c.value, d.value)))
}
