//! Tables on standard output: for people, as JSON, as CSV.

use std::io::Write;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use serde::Serialize;

use crate::failure::Failure;

/// A rule under the header and no other lines.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// Prints one JSON document.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
    text_line(&text)
}

/// Prints rows as CSV with a header.
pub(crate) fn csv<T: Serialize>(rows: &[T]) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(std::io::stdout().lock());
    for row in rows {
        writer.serialize(row).map_err(csv_error)?;
    }
    writer.flush()?;
    Ok(())
}

fn csv_error(error: csv::Error) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => std::io::Error::other(format!("{other:?}")).into(),
    }
}

/// Prints text, its control characters visible, and a newline.
pub(crate) fn text_line(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", vmin_diagnostic::visible(text))?;
    stdout.flush()?;
    Ok(())
}

/// A table for people; the first `left` columns hold text, the others numbers.
pub(crate) fn table(
    header: &[&str],
    left: usize,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        if index >= left {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A fraction as percent.
pub(crate) fn percent(fraction: f64, digits: usize) -> String {
    format!("{:.digits$} %", fraction * 100.0)
}

/// A rate of rare events as percent: three significant digits, never rounded to nothing.
pub(crate) fn rate(fraction: f64) -> String {
    let percent = fraction * 100.0;
    if percent == 0.0 {
        "0 %".to_owned()
    } else if percent >= 0.001 {
        let digits = if percent >= 10.0 {
            1
        } else if percent >= 1.0 {
            2
        } else if percent >= 0.1 {
            3
        } else {
            4
        };
        format!("{percent:.digits$} %")
    } else {
        format!("{percent:.1e} %")
    }
}
