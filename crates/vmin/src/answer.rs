//! What commands answer, and its three forms: a table for people, JSON, CSV.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use serde::Serialize;
use vmin_diagnostic::visible;

use crate::Failure;
use crate::args::Format;

/// A rule under the header and no other lines.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// What a command found out. Serialized, it is the JSON document of the command.
pub trait Answer: Serialize {
    /// Its rows as CSV with a header.
    ///
    /// # Errors
    /// A row cannot be written as CSV.
    fn csv(&self) -> Result<String, Failure>;

    /// Its table and sentences, for people.
    fn table(&self) -> String;

    /// The text for the standard output.
    ///
    /// # Errors
    /// The answer cannot be written in this format.
    fn text(&self, format: Format) -> Result<String, Failure> {
        match format {
            Format::Json => Ok(serde_json::to_string_pretty(self).map_err(std::io::Error::from)?),
            Format::Csv => self.csv(),
            Format::Table => Ok(visible(&self.table()).into_owned()),
        }
    }
}

/// Rows as CSV with a header.
pub(crate) fn csv<T: Serialize>(rows: &[T]) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(std::io::Error::other)?;
    }
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    let text = String::from_utf8(bytes).map_err(std::io::Error::other)?;
    Ok(text.trim_end_matches('\n').to_owned())
}

/// A table for people; the first `left` columns hold text, the others numbers.
pub(crate) fn table(
    header: &[&str],
    left: usize,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(header.iter().map(|&cell| visible(cell)));
    for row in rows {
        // Before the widths are known.
        table.add_row(row.iter().map(|cell| visible(cell)));
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
