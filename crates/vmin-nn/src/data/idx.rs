//! The idx files of MNIST and Fashion-MNIST: a big-endian header, then bytes.
//!
//! ```text
//!  images: 00 00 08 03 | count | height | width | count*height*width pixels
//!  labels: 00 00 08 01 | count | count labels
//! ```

use std::path::{Path, PathBuf};

use super::{DataError, Dataset, Limits, Split, source};

const IMAGES_MAGIC: u32 = 0x0000_0803;
const LABELS_MAGIC: u32 = 0x0000_0801;

/// Classes of MNIST.
pub(super) const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
/// Classes of Fashion-MNIST.
pub(super) const CLOTHES: [&str; 10] = [
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
];

/// Reads one split from a folder with the four idx files, each plain or with `.gz`.
pub(super) fn load(
    folder: &Path,
    split: Split,
    limits: Limits,
    name: String,
    class_names: &[&str],
) -> Result<Dataset, DataError> {
    let (images_file, labels_file) = match split {
        Split::Train => ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        Split::Test => ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    };
    let mut images = File::read(folder, images_file, "the images (plain or .gz)", limits)?;
    let [_, height, width] = images.header::<3>(IMAGES_MAGIC)?;
    let labels = File::read(folder, labels_file, "the labels (plain or .gz)", limits)?;
    labels.header::<1>(LABELS_MAGIC)?;
    images.bytes.drain(..16);
    let class_names = class_names.iter().map(|&name| name.to_owned()).collect();
    let shape = [height, width, 1];
    Dataset::checked(
        name,
        &labels.path,
        shape,
        images.bytes,
        labels.bytes[8..].to_vec(),
        class_names,
    )
}

/// A decoded idx file.
struct File {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl File {
    fn read(
        folder: &Path,
        file: &str,
        expected: &'static str,
        limits: Limits,
    ) -> Result<Self, DataError> {
        let (bytes, path) = source::read_maybe_gzip(&folder.join(file), expected, limits)?;
        Ok(Self { path, bytes })
    }

    /// The sizes of the header, after checking the mark and that the sizes account for all bytes.
    fn header<const RANK: usize>(&self, magic: u32) -> Result<[usize; RANK], DataError> {
        let found = self.bytes.len() as u64;
        let header = 4 + 4 * RANK;
        if self.bytes.len() < header {
            let expected = header as u64;
            return Err(DataError::WrongSize { path: self.path.clone(), expected, found });
        }
        let word = |index: usize| {
            let bytes = &self.bytes[4 * index..4 * index + 4];
            u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        if word(0) != magic {
            let (expected, found) = (magic, word(0));
            return Err(DataError::WrongMagic { path: self.path.clone(), expected, found });
        }
        let sizes: [u32; RANK] = std::array::from_fn(|axis| word(1 + axis));
        let expected = sizes
            .iter()
            .try_fold(1_u64, |product, &size| product.checked_mul(u64::from(size)))
            .and_then(|bytes| bytes.checked_add(header as u64))
            .unwrap_or(u64::MAX);
        if expected != found {
            return Err(DataError::WrongSize { path: self.path.clone(), expected, found });
        }
        Ok(sizes.map(|size| size as usize))
    }
}
