//! NumPy archives, from one call of `numpy.savez`.
//!
//! Images are u8 `[n, h, w]` or `[n, h, w, c]`; labels any integer type, `[n]` or `[n, 1]`. Sizes
//! are taken from the header and compared with the bytes at hand before anything is allocated.

use std::io::{Read, Seek};
use std::path::Path;

use ndarray_npy::npy::header::{Header, Layout};
use zip::ZipArchive;

use super::{DataError, Dataset, Limits, Split, source};

/// Accepted names of images and labels by split, first found wins.
const TRAIN: [(&str, &str); 4] =
    [("x_train", "y_train"), ("train_images", "train_labels"), ("x", "y"), ("images", "labels")];
const TEST: [(&str, &str); 4] =
    [("x_test", "y_test"), ("test_images", "test_labels"), ("x", "y"), ("images", "labels")];

/// Reads the arrays of one split.
pub(super) fn load(
    path: &Path,
    split: Split,
    limits: Limits,
    name: String,
) -> Result<Dataset, DataError> {
    let mut file = source::open(path, "arrays `x` and `y` saved by NumPy", limits)?;
    // Without its mark, the reader would look for an archive in the whole file, from its end.
    let mut mark = [0; 2];
    if file.read_exact(&mut mark).and_then(|()| file.rewind()).is_err() || &mark != b"PK" {
        return Err(container(path, &"it does not start as a zip archive"));
    }
    let mut archive = ZipArchive::new(file).map_err(|reason| container(path, &reason))?;
    let pairs = match split {
        Split::Train => TRAIN,
        Split::Test => TEST,
    };
    let names: Vec<String> =
        archive.file_names().map(|name| name.trim_end_matches(".npy").to_owned()).collect();
    let pair = pairs.iter().find(|(images, labels)| {
        names.iter().any(|name| name == images) && names.iter().any(|name| name == labels)
    });
    let Some((images, labels)) = pair else {
        return Err(missing(path, &pairs, names));
    };
    let images = Array::read(&mut archive, path, images, limits)?;
    let labels = Array::read(&mut archive, path, labels, limits)?;
    let shape = images.image_shape()?;
    let labels = labels.labels()?;
    let classes = labels.iter().copied().max().map_or(1, |most| usize::from(most) + 1);
    let class_names = (0..classes).map(|class| class.to_string()).collect();
    Dataset::checked(name, path, shape, images.bytes[images.start..].to_vec(), labels, class_names)
}

/// One `.npy` member: its header and all its bytes.
struct Array<'a> {
    path: &'a Path,
    name: &'a str,
    kind: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
    /// Where the elements begin in `bytes`.
    start: usize,
}

impl<'a> Array<'a> {
    fn read(
        archive: &mut ZipArchive<std::fs::File>,
        path: &'a Path,
        name: &'a str,
        limits: Limits,
    ) -> Result<Self, DataError> {
        let member = archive.by_name(&format!("{name}.npy"));
        let member = member.map_err(|reason| container(path, &reason))?;
        let bytes = source::bounded(member, path, limits, |path, source| DataError::Decompress {
            path,
            source,
        })?;
        // A version-2 header states its own length in 32 bits: refuse one beyond the file.
        if bytes.first_chunk::<12>().is_some_and(|head| {
            let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
            head[6] >= 2 && u64::from(length) > bytes.len() as u64
        }) {
            return Err(container(path, &"a header longer than its array"));
        }
        let mut rest = &bytes[..];
        let header =
            Header::from_reader(&mut rest.by_ref()).map_err(|reason| container(path, &reason))?;
        let start = bytes.len() - rest.len();
        let kind = header.type_descriptor.as_string().cloned();
        let kind = kind.unwrap_or_else(|| header.type_descriptor.to_string());
        let array = Self { path, name, kind, shape: header.shape, bytes, start };
        if matches!(header.layout, Layout::Fortran) && array.shape.len() > 1 {
            return Err(array.refuse("row-major order", "in Fortran order".to_owned()));
        }
        array.check_size()?;
        Ok(array)
    }

    /// Bytes per element, from the type's text (`|u1`, `<i8`).
    fn item_bytes(&self) -> Result<usize, DataError> {
        match self.kind.as_str() {
            "|u1" | "|i1" => Ok(1),
            "<u2" | "<i2" => Ok(2),
            "<u4" | "<i4" => Ok(4),
            "<u8" | "<i8" => Ok(8),
            kind => Err(self.refuse("a little-endian integer type", format!("of type `{kind}`"))),
        }
    }

    fn check_size(&self) -> Result<(), DataError> {
        let expected = self
            .shape
            .iter()
            .try_fold(self.item_bytes()?, |product, &size| product.checked_mul(size))
            .map_or(u64::MAX, |bytes| bytes as u64);
        let found = (self.bytes.len() - self.start) as u64;
        if expected != found {
            return Err(DataError::WrongSize { path: self.path.to_owned(), expected, found });
        }
        Ok(())
    }

    fn image_shape(&self) -> Result<[usize; 3], DataError> {
        const EXPECTED: &str = "u8 of shape [n, h, w] or [n, h, w, c]";
        match (self.kind.as_str(), self.shape.as_slice()) {
            ("|u1", &[_, height, width]) => Ok([height, width, 1]),
            ("|u1", &[_, height, width, channels]) => Ok([height, width, channels]),
            (kind, shape) => Err(self.refuse(EXPECTED, format!("`{kind}` of shape {shape:?}"))),
        }
    }

    fn labels(&self) -> Result<Vec<u8>, DataError> {
        if !matches!(self.shape.as_slice(), [_] | [_, 1]) {
            return Err(self.refuse("of shape [n] or [n, 1]", format!("{:?}", self.shape)));
        }
        let signed = self.kind.contains('i');
        let items = self.bytes[self.start..].chunks_exact(self.item_bytes()?);
        items
            .enumerate()
            .map(|(index, item)| {
                let value = integer(item, signed);
                u8::try_from(value).map_err(|_| DataError::Label {
                    path: self.path.to_owned(),
                    index,
                    label: value,
                    classes: 256,
                })
            })
            .collect()
    }

    fn refuse(&self, expected: &'static str, found: String) -> DataError {
        DataError::ArrayType {
            path: self.path.to_owned(),
            array: self.name.to_owned(),
            found,
            expected,
        }
    }
}

/// A little-endian integer of 1 to 8 bytes; an unsigned one beyond `i64` saturates.
fn integer(item: &[u8], signed: bool) -> i64 {
    let negative = signed && item.last().is_some_and(|&byte| byte >= 0x80);
    let mut wide = if negative { [0xff; 8] } else { [0; 8] };
    wide[..item.len()].copy_from_slice(item);
    if signed {
        i64::from_le_bytes(wide)
    } else {
        i64::try_from(u64::from_le_bytes(wide)).unwrap_or(i64::MAX)
    }
}

fn missing(path: &Path, pairs: &[(&str, &str)], mut names: Vec<String>) -> DataError {
    names.sort();
    let wanted: Vec<String> =
        pairs.iter().map(|(images, labels)| format!("`{images}` and `{labels}`")).collect();
    DataError::MissingArray {
        path: path.to_owned(),
        wanted: wanted.join(", or "),
        found: format!("{names:?}"),
    }
}

fn container(path: &Path, reason: &dyn std::fmt::Display) -> DataError {
    DataError::Container { path: path.to_owned(), reason: reason.to_string() }
}
