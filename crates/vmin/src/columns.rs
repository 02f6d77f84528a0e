//! The rows of a CSV file as a Parquet file: the same columns in the same order, with types.
//!
//! ```text
//!  Rust            Parquet                      a missing value
//!  u8 .. u64       INT64, logical UINT_64       null
//!  f32, f64        DOUBLE                       null
//!  bool            BOOLEAN                      null
//!  words           BYTE_ARRAY, logical STRING   null
//! ```
//!
//! Every column is optional, and row groups hold equally many rows, so that a file's schema follows from the kind
//! of rows alone. The bytes depend on the rows and on nothing else.

use std::io::{Error, Result, Write};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use serde::Serialize;
use serde_json::Value;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Count,
    Number,
    Truth,
    Word,
}

impl Kind {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Null => None,
            Value::Bool(_) => Some(Self::Truth),
            Value::Number(number) if number.is_u64() => Some(Self::Count),
            Value::Number(_) => Some(Self::Number),
            Value::String(_) | Value::Array(_) | Value::Object(_) => Some(Self::Word),
        }
    }

    const fn physical(self) -> PhysicalType {
        match self {
            Self::Count => PhysicalType::INT64,
            Self::Number => PhysicalType::DOUBLE,
            Self::Truth => PhysicalType::BOOLEAN,
            Self::Word => PhysicalType::BYTE_ARRAY,
        }
    }

    fn logical(self) -> Option<LogicalType> {
        match self {
            Self::Count => Some(LogicalType::integer(64, false)),
            Self::Word => Some(LogicalType::String),
            Self::Number | Self::Truth => None,
        }
    }
}

/// Rows of a row group: a few MiB while it is written.
const GROUP_ROWS: usize = 1 << 13;

/// The bytes of a Parquet file, see [`write_parquet`].
///
/// # Errors
/// A row that is not plain.
pub(crate) fn parquet<T: Serialize>(rows: &[T], counts: &[&str], by: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_parquet(rows, counts, by, &mut bytes)?;
    Ok(bytes)
}

/// Writes a Parquet file with `rows`, which are plain structs of unsigned integers, floats,
/// truths and words, each perhaps absent. A column without a single value is one of counts if `counts`
/// names it, else one of floats. The metadata names the command `by` which it is written.
///
/// # Errors
/// A row that is not plain, which CSV refuses too, or what `out` says.
pub(crate) fn write_parquet<T: Serialize>(
    rows: &[T],
    counts: &[&str],
    by: &str,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let names = names(rows)?;
    let kinds = kinds(rows, &names, counts)?;
    let write = || -> std::result::Result<(), ParquetError> {
        let fields = names.iter().zip(&kinds).map(|(name, kind)| {
            let field = Type::primitive_type_builder(name, kind.physical())
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(kind.logical());
            field.build().map(Arc::new)
        });
        let fields = fields.collect::<std::result::Result<_, _>>()?;
        let schema = Type::group_type_builder("rows").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(vec![KeyValue::new(
                "made_by".to_owned(),
                format!("vmin {by}"),
            )]))
            .build();
        let mut file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
        for rows in rows.chunks(GROUP_ROWS) {
            let rows: Vec<Value> = rows
                .iter()
                .map(serde_json::to_value)
                .collect::<std::result::Result<_, _>>()
                .map_err(|error| ParquetError::External(error.into()))?;
            let mut group = file.next_row_group()?;
            for (name, kind) in names.iter().zip(&kinds) {
                let Some(mut writer) = group.next_column()? else { break };
                match kind {
                    // The bits of an unsigned integer, as its logical type says.
                    Kind::Count => put::<Int64Type>(&mut writer, column(&rows, name), |value| {
                        value.as_u64().map(u64::cast_signed)
                    }),
                    Kind::Number => {
                        put::<DoubleType>(&mut writer, column(&rows, name), Value::as_f64)
                    }
                    Kind::Truth => {
                        put::<BoolType>(&mut writer, column(&rows, name), Value::as_bool)
                    }
                    Kind::Word => put::<ByteArrayType>(&mut writer, column(&rows, name), |value| {
                        value.as_str().map(ByteArray::from)
                    }),
                }?;
                writer.close()?;
            }
            group.close()?;
        }
        file.close().map(|_| ())
    };
    // What the file system says keeps its kind.
    write().map_err(|error| {
        if let ParquetError::External(error) = error {
            error.downcast::<Error>().map_or_else(Error::other, |error| *error)
        } else {
            Error::other(error)
        }
    })
}

/// What each column holds: that of its first value, found in the first rows or in the first that have one.
fn kinds<T: Serialize>(rows: &[T], names: &[String], counts: &[&str]) -> Result<Vec<Kind>> {
    let mut kinds = vec![None; names.len()];
    for row in rows {
        if kinds.iter().all(Option::is_some) {
            break;
        }
        let row = serde_json::to_value(row)?;
        for (kind, name) in kinds.iter_mut().zip(names).filter(|(kind, _)| kind.is_none()) {
            *kind = row.get(name).and_then(Kind::of);
        }
    }
    let empty = |name: &String| {
        if counts.contains(&name.as_str()) { Kind::Count } else { Kind::Number }
    };
    Ok(kinds.iter().zip(names).map(|(kind, name)| kind.unwrap_or_else(|| empty(name))).collect())
}

/// The values of one column.
fn column<'a>(rows: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    rows.iter().map(move |row| row.get(name).unwrap_or(&Value::Null))
}

/// The columns as CSV orders them.
fn names<T: Serialize>(rows: &[T]) -> Result<Vec<String>> {
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(row).map_err(Error::other)?;
    let bytes = writer.into_inner().map_err(|error| Error::other(error.to_string()))?;
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    let header = reader.headers().map_err(Error::other)?;
    Ok(header.iter().map(str::to_owned).collect())
}

fn put<'a, D: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    column: impl Iterator<Item = &'a Value>,
    of: impl Fn(&Value) -> Option<D::T>,
) -> std::result::Result<(), ParquetError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for value in column {
        let value = of(value);
        levels.push(i16::from(value.is_some()));
        values.extend(value);
    }
    writer.typed::<D>().write_batch(&values, Some(&levels), None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;

    #[derive(Serialize)]
    struct Row {
        zebra: u64,
        word: &'static str,
        apple: f64,
        yes: bool,
        maybe: Option<u64>,
        never: Option<f64>,
        nothing: Option<u64>,
    }

    fn row(zebra: u64, apple: f64, maybe: Option<u64>) -> Row {
        let yes = zebra > 1;
        Row { zebra, word: "a \"b\",\nc", apple, yes, maybe, never: None, nothing: None }
    }

    #[test]
    fn every_type_and_absence_comes_back() {
        let rows = [row(u64::MAX, 1.0, None), row(0, 0.1, Some(7))];
        let bytes = parquet(&rows, &["nothing"], "cycles").unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let read: Vec<Vec<(String, Field)>> =
            reader.get_row_iter(None).unwrap().map(|row| row.unwrap().into_columns()).collect();
        let names = ["zebra", "word", "apple", "yes", "maybe", "never", "nothing"];
        for row in &read {
            assert!(row.iter().map(|(name, _)| name.as_str()).eq(names));
        }
        let first: Vec<Field> = read[0].iter().map(|(_, field)| field.clone()).collect();
        let word = Field::Str("a \"b\",\nc".to_owned());
        let expected = [
            Field::ULong(u64::MAX),
            word,
            Field::Double(1.0),
            Field::Bool(true),
            Field::Null,
            Field::Null,
            Field::Null,
        ];
        assert_eq!(first, expected);
        assert_eq!(read[1][2].1, Field::Double(0.1));
        assert_eq!(read[1][4].1, Field::ULong(7));
        let schema = reader.metadata().file_metadata().schema_descr();
        let kinds: Vec<PhysicalType> =
            schema.columns().iter().map(|column| column.physical_type()).collect();
        assert_eq!(kinds[5..], [PhysicalType::DOUBLE, PhysicalType::INT64]);
    }

    #[test]
    fn no_rows_are_a_file_too() {
        let bytes = parquet::<Row>(&[], &[], "cycles").unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
    }
}
