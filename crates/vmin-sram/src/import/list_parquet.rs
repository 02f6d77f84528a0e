//! Lists of faulty cells as Parquet, uncompressed or with Snappy or gzip pages. Properties stand in the
//! file's key-value metadata, as `vmin.geometry`.
//!
//! Columns may be of any whole or floating-point type that holds the value; `kind` is a string.

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row as Record};

use super::list::{COLUMNS, Row, places, rates};
use super::source::whole;
use super::{Format, ImportProblem, Importer, foreign};

pub(super) const FORMAT: Format = Format {
    name: "parquet",
    about: "The same table as Parquet",
    recognizes: |head| head.bytes.starts_with(b"PAR1"),
    add: |importer, _, _, bytes| importer.add_list_parquet(bytes),
    finish: Importer::finish_list,
};

/// Largest file, and largest contents of all columns.
const CONTENTS_BYTES_MAX: u64 = 1 << 30;

impl Importer {
    fn add_list_parquet(&mut self, bytes: &[u8]) -> Result<(), ImportProblem> {
        let contents = whole(bytes, &self.limits, CONTENTS_BYTES_MAX)?;
        // Some checks of the reader panic on damaged files.
        foreign::guarded(|| self.add_contents(contents))
            .unwrap_or_else(|| Err(ImportProblem::Table("the Parquet file is damaged".to_owned())))
    }

    fn add_contents(&mut self, contents: Vec<u8>) -> Result<(), ImportProblem> {
        let room = (contents.len() as u64).saturating_mul(1 << 10).min(CONTENTS_BYTES_MAX);
        let reader = SerializedFileReader::new(Bytes::from(contents)).map_err(table)?;
        let metadata = reader.metadata();
        let mut size = 0_u64;
        for group in metadata.row_groups() {
            for column in group.columns() {
                let bytes = u64::try_from(column.uncompressed_size()).unwrap_or(u64::MAX);
                size = size.saturating_add(bytes);
            }
        }
        if size > room {
            return Err(ImportProblem::Limit { what: "bytes after decompression", max: room });
        }
        let properties = metadata.file_metadata().key_value_metadata();
        for property in properties.into_iter().flatten() {
            if let (Some(key), Some(value)) = (property.key.strip_prefix("vmin."), &property.value)
            {
                self.add_property(key, value)?;
            }
        }
        let columns = metadata.file_metadata().schema_descr().columns();
        let places = places(columns.iter().map(|column| column.name()))?;
        for (index, record) in reader.get_row_iter(None).map_err(table)?.enumerate() {
            let record = record.map_err(table)?;
            self.add_row(row(&record, &places, index as u64 + 1)?)?;
        }
        Ok(())
    }
}

fn row(record: &Record, places: &[Option<usize>; 6], line: u64) -> Result<Row, ImportProblem> {
    let fields: Vec<&Field> = record.get_column_iter().map(|(_, field)| field).collect();
    let field = |column: usize| places[column].and_then(|place| fields.get(place).copied());
    let unexpected = |column: usize, expected| {
        let value = field(column).map_or(String::new(), ToString::to_string);
        let short: String = value.chars().take(40).collect();
        ImportProblem::Text {
            line,
            found: format!("{} `{}`", COLUMNS[column], short.escape_default()),
            expected,
        }
    };
    let mut place = [0; 3];
    for (axis, value) in place.iter_mut().enumerate() {
        *value = field(axis)
            .and_then(whole_number)
            .ok_or_else(|| unexpected(axis, "a number from 0"))?;
    }
    let vdd_mv = field(3).and_then(number).ok_or_else(|| unexpected(3, "a voltage in mV"))?;
    let probability = match places[5] {
        None => 1.0,
        Some(_) => field(5)
            .and_then(number)
            .filter(|p| (0.0..=1.0).contains(p))
            .ok_or_else(|| unexpected(5, "a probability from 0 to 1"))?,
    };
    let kind = match field(4) {
        Some(Field::Str(kind)) => kind.as_str(),
        _ => "",
    };
    let rates = rates(kind, probability as f32)
        .ok_or_else(|| unexpected(4, "`flip`, `stuck_at_0` or `stuck_at_1`"))?;
    Ok(Row { place, vdd_mv, rates })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum of many types")]
fn whole_number(field: &Field) -> Option<u64> {
    match *field {
        Field::Byte(value) => u64::try_from(value).ok(),
        Field::Short(value) => u64::try_from(value).ok(),
        Field::Int(value) => u64::try_from(value).ok(),
        Field::Long(value) => u64::try_from(value).ok(),
        Field::UByte(value) => Some(value.into()),
        Field::UShort(value) => Some(value.into()),
        Field::UInt(value) => Some(value.into()),
        Field::ULong(value) => Some(value),
        _ => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum of many types")]
fn number(field: &Field) -> Option<f64> {
    match *field {
        Field::Float(value) => Some(value.into()),
        Field::Double(value) => Some(value),
        _ => whole_number(field).map(|value| value as f64),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn table(error: parquet::errors::ParquetError) -> ImportProblem {
    let text: String = error.to_string().chars().take(200).collect();
    ImportProblem::Table(text)
}
