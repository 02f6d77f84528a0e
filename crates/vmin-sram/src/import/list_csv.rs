//! Lists of faulty cells as comma-separated text. Lines that begin with `#` before the header may hold
//! properties, `# key=value`.

use std::io::{BufRead, BufReader};

use csv::StringRecord;

use super::list::{OPTIONS, Value, is_header, separator};
use super::source::{Lines, open, problem};
use super::{Format, ImportProblem, Importer};

pub(super) const FORMAT: Format = Format {
    name: "list",
    about: "Table of faulty cells, separated by commas, semicolons or tabs",
    options: OPTIONS,
    recognizes: |head| is_header(head.line),
    add: Importer::add_list_csv,
    finish: Importer::finish_list,
};

impl Importer {
    fn add_list_csv(
        &mut self,
        index: usize,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), ImportProblem> {
        let limits = self.limits;
        let mut stream = BufReader::new(Lines::new(open(bytes, &limits), &limits));
        let mut line = 0;
        while stream.fill_buf().map_err(problem)?.first() == Some(&b'#') {
            let mut text = String::new();
            stream.read_line(&mut text).map_err(problem)?;
            line += 1;
            if let Some((key, value)) = text[1..].trim_end_matches(['\n', '\r']).split_once('=') {
                self.add_property(key.trim(), value)?;
            }
        }
        // Lines are bounded, so the first is.
        let first = stream.fill_buf().map_err(problem)?;
        let first = first.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let separator = separator(&String::from_utf8_lossy(first));
        let mut reader = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            // ASCII.
            .delimiter(separator as u8)
            .from_reader(stream);
        let header = reader.headers().map_err(|error| table(error, line))?.clone();
        let places = self.places(index, name, header.iter())?;
        let mut record = StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| table(error, line))? {
            let at = line + record.position().map_or(0, csv::Position::line);
            let text = |place| record.get(place).map(|text| Text { text, separator });
            self.add_row(places.row(at, text)?)?;
        }
        Ok(())
    }
}

/// A value of a text; with semicolons between values a comma may stand for the point.
struct Text<'a> {
    text: &'a str,
    separator: char,
}

impl Value for Text<'_> {
    fn whole(&self) -> Option<u64> {
        match self.text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => self.text.parse().ok(),
        }
    }

    fn number(&self) -> Option<f64> {
        if self.separator == ';' {
            return self.text.replace(',', ".").parse().ok();
        }
        self.text.parse().ok()
    }

    fn text(&self) -> String {
        self.text.to_owned()
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign, non-exhaustive enum")]
fn table(error: csv::Error, lines_before: u64) -> ImportProblem {
    let line = lines_before + error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(error) => problem(error),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            ImportProblem::Width { line, found: len, expected: expected_len }
        }
        csv::ErrorKind::Utf8 { .. } => ImportProblem::Table(format!("line {line} is not UTF-8")),
        other => ImportProblem::Table(format!("{other:?}")),
    }
}
