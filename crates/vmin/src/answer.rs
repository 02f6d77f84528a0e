//! What commands answer, and its three forms: a table for people, JSON, CSV.

use std::io::IsTerminal;

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width,
};
use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::visible;

use crate::Failure;
use crate::args::Format;

/// A rule under the header and no other lines.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// The JSON document of a command: an object, whatever the command.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Document<'a, T: ?Sized> {
    /// The command, such as `chip inspect`.
    command: &'a str,
    /// Version of the program.
    version: &'a str,
    #[serde(flatten)]
    answer: &'a T,
}

/// What a command found out. Serialized, it is an object: the rest of the command's JSON document.
pub trait Answer: Serialize {
    /// Its rows as CSV with a header.
    ///
    /// # Errors
    /// A row cannot be written as CSV.
    fn csv(&self) -> Result<String, Failure>;

    /// Its table and sentences, for people.
    fn table(&self) -> String;

    /// The text for the standard output, as the answer of `command`.
    ///
    /// # Errors
    /// The answer cannot be written in this format.
    fn text(&self, command: &str, format: Format) -> Result<String, Failure> {
        match format {
            Format::Json => {
                let version = env!("CARGO_PKG_VERSION");
                let document = Document { command, version, answer: self };
                Ok(serde_json::to_string_pretty(&document).map_err(std::io::Error::from)?)
            }
            // A terminal obeys control characters that names may hold; a file keeps them.
            Format::Csv if std::io::stdout().is_terminal() => {
                Ok(visible(&self.csv()?).into_owned())
            }
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

/// Widest table, in characters: a terminal's usual width.
pub(crate) const WIDTH: usize = 80;

/// A table for people; the first `left` columns hold text, the others numbers.
pub(crate) fn table(
    header: &[&str],
    left: usize,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    fitted(header, left, &[], rows)
}

/// [`table`], which leaves out as many of the `spare` columns, the first ones first, as are too many for a terminal,
/// and names them. In a wide table each word of a header has a line.
pub(crate) fn fitted(
    header: &[&str],
    left: usize,
    spare: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    let one_line: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
    let drawn = draw(&one_line, left, &rows, &[], false);
    if width(&drawn) <= WIDTH {
        return drawn;
    }
    let words: Vec<String> = header.iter().map(|name| in_lines(name)).collect();
    let place = |name: &&str| header.iter().position(|known| known == name);
    let spare: Vec<usize> = spare.iter().filter_map(place).collect();
    let mut left_out = Vec::new();
    let drawn = loop {
        let drawn = draw(&words, left, &rows, &left_out, false);
        let next = spare.get(left_out.len()).filter(|_| width(&drawn) > WIDTH);
        match next {
            Some(&column) => left_out.push(column),
            None if width(&drawn) > WIDTH => break draw(&words, left, &rows, &left_out, true),
            None => break drawn,
        }
    };
    if left_out.is_empty() {
        return drawn;
    }
    let names: Vec<String> =
        left_out.iter().map(|&column| header[column].replace('\n', " ")).collect();
    let note = format!("only with `--format csv` or `json`: {}", names.join(", "));
    format!("{drawn}\n{}", wrapped(&note))
}

/// A header with a line for each word, unless it has lines of its own.
fn in_lines(name: &str) -> String {
    if name.contains('\n') { name.to_owned() } else { name.replace(' ', "\n") }
}

fn width(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

/// Draws all columns but those `left_out`; `breaks` text, never numbers, where the table is too wide.
fn draw(
    header: &[String],
    left: usize,
    rows: &[Vec<String>],
    left_out: &[usize],
    breaks: bool,
) -> String {
    let mut table = Table::new();
    table.load_style(STYLE);
    let columns = header.len();
    let shown: Vec<usize> = (0..columns).filter(|column| !left_out.contains(column)).collect();
    table.set_header(shown.iter().map(|&column| header[column].as_str()));
    for row in rows {
        // Before the widths are known.
        table.add_row(shown.iter().map(|&column| visible(&row[column])));
    }
    if breaks {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH as u16);
    }
    for (&column, drawn) in shown.iter().zip(table.column_iter_mut()) {
        if column >= left {
            drawn.set_cell_alignment(CellAlignment::Right);
            drawn.set_constraint(ColumnConstraint::ContentWidth);
        } else if breaks {
            // Names stay readable, even if the table then is too wide.
            drawn.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(14)));
        }
    }
    table.to_string()
}

/// Sentences, one a line, in lines of at most 80 characters.
pub(crate) fn wrapped(text: &str) -> String {
    vmin_diagnostic::wrapped(text, WIDTH)
}

/// A fraction as percent.
pub(crate) fn percent(fraction: f64, digits: usize) -> String {
    format!("{:.digits$} %", fraction * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_table_leaves_out_the_spare_columns_in_order_and_names_them() {
        let header = ["layer", "first words", "second", "third"];
        let row = |width: usize| [vec!["a".repeat(width), "1".into(), "22".into(), "333".into()]];
        let narrow = fitted(&header, 1, &["second", "third"], row(20));
        assert!(narrow.contains("first words") && narrow.contains("333"), "{narrow}");
        let wide = fitted(&header, 1, &["absent", "second", "third"], row(60));
        assert!(width(&wide) <= WIDTH && wide.contains("333") && !wide.contains("22"), "{wide}");
        assert!(wide.ends_with("json`: second"), "{wide}");
    }

    #[test]
    fn text_is_broken_beside_numbers_too() {
        let row = vec!["word ".repeat(40), "123456".into()];
        let drawn = table(&["source", "pJ"], 1, [row]);
        assert!(width(&drawn) <= WIDTH && drawn.contains("123456"), "{drawn}");
    }

    #[test]
    fn text_is_broken_and_numbers_are_not() {
        let text = table(&["kind", "about"], 2, [vec!["k".into(), "word ".repeat(40)]]);
        assert!(width(&text) <= WIDTH, "{text}");
        let number = "9".repeat(100);
        assert!(table(&["number"], 0, [vec![number.clone()]]).contains(&number));
    }
}
