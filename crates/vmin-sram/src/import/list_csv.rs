//! Lists of faulty cells as comma-separated text. Lines that begin with `#` before the header may hold
//! properties, `# key=value`.

use std::io::{BufRead, BufReader};

use csv::StringRecord;

use super::list::{COLUMNS, Row, places, rates};
use super::source::{Lines, open, problem};
use super::{Format, ImportProblem, Importer};

pub(super) const FORMAT: Format = Format {
    name: "list",
    about: "Comma-separated table of faulty cells",
    recognizes: |head| ["bank", "row", "column"].iter().all(|name| head.line.contains(name)),
    add: |importer, _, _, bytes| importer.add_list_csv(bytes),
    finish: Importer::finish_list,
};

impl Importer {
    fn add_list_csv(&mut self, bytes: &[u8]) -> Result<(), ImportProblem> {
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
        let mut reader =
            csv::ReaderBuilder::new().comment(Some(b'#')).trim(csv::Trim::All).from_reader(stream);
        let places = places(reader.headers().map_err(|error| table(error, line))?.iter())?;
        let mut record = StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| table(error, line))? {
            let at = line + record.position().map_or(0, csv::Position::line);
            self.add_row(row(&record, &places, at)?)?;
        }
        Ok(())
    }
}

fn row(
    record: &StringRecord,
    places: &[Option<usize>; 6],
    line: u64,
) -> Result<Row, ImportProblem> {
    let field = |column: usize| places[column].and_then(|place| record.get(place)).unwrap_or("");
    let unexpected = |column: usize, expected| ImportProblem::Text {
        line,
        found: format!("{} `{}`", COLUMNS[column], field(column).escape_default()),
        expected,
    };
    let mut place = [0; 3];
    for (axis, value) in place.iter_mut().enumerate() {
        *value = field(axis).parse().map_err(|_| unexpected(axis, "a number from 0"))?;
    }
    let vdd_mv = field(3).parse().map_err(|_| unexpected(3, "a voltage in mV"))?;
    let probability = match places[5] {
        None => 1.0,
        Some(_) => {
            let value: f32 =
                field(5).parse().map_err(|_| unexpected(5, "a probability from 0 to 1"))?;
            if !(0.0..=1.0).contains(&value) {
                return Err(unexpected(5, "a probability from 0 to 1"));
            }
            value
        }
    };
    let rates = rates(field(4), probability)
        .ok_or_else(|| unexpected(4, "`flip`, `stuck_at_0` or `stuck_at_1`"))?;
    Ok(Row { place, vdd_mv, rates })
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
