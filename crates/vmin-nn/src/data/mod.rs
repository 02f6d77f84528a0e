//! Labelled image sets: the standard files users already have, and one that vmin makes itself.
//!
//! ```text
//!  spec            what it reads                                     file
//!  cifar10:DIR     data_batch_1..5.bin, test_batch.bin               cifar.rs
//!  mnist:DIR       train-images-idx3-ubyte[.gz] and its three kin    idx.rs
//!  fashion-mnist:DIR   the same names                                idx.rs
//!  npz:FILE        x and y (or images/labels, x_train/y_train ..)    npz.rs
//!  builtin:shapes  nothing: drawn by a pure function                 shapes/
//! ```
//!
//! Images are u8 in `[height, width, channels]` order, so a pixel is what an input memory holds.
//!
//! ```
//! use vmin_nn::data::{Limits, Split, load};
//! let test = load("builtin:shapes", Split::Test, Limits::default())?;
//! assert_eq!(test.shape, [16, 16, 1]);
//! assert_eq!(test.image(0).len(), 256);
//! # Ok::<(), vmin_nn::data::DataError>(())
//! ```

mod cifar;
mod error;
mod idx;
mod npz;
pub mod shapes;
mod source;

use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};

pub use error::DataError;

/// Labelled images of one shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The spec it came from and its split, for reports: `builtin:shapes test`.
    pub name: String,
    /// `[height, width, channels]`.
    pub shape: [usize; 3],
    /// `len * height * width * channels` pixels, image after image.
    pub images: Vec<u8>,
    /// One class per image, each below `classes`.
    pub labels: Vec<u8>,
    /// Number of classes, 1..=256.
    pub classes: usize,
    /// One name per class.
    pub class_names: Vec<String>,
}

/// Which part of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// To fit weights and calibrate ranges.
    Train,
    /// To measure accuracy.
    Test,
}

impl Split {
    /// `train` or `test`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// What a file may cost before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most decoded bytes of one file or array: stops decompression bombs.
    pub max_bytes: u64,
}

impl Default for Limits {
    /// 1 GiB per file: five times CIFAR-10.
    fn default() -> Self {
        Self { max_bytes: 1 << 30 }
    }
}

/// Prefixes of [`load`] with what follows them, in the order of the documentation.
pub const KINDS: [&str; 5] =
    ["cifar10:DIR", "mnist:DIR", "fashion-mnist:DIR", "npz:FILE", "builtin:shapes"];

/// Loads one split of the set named by `spec` (see the module page).
///
/// An `npz` file with plain `x` and `y` holds one set and gives it for either split.
///
/// # Errors
///
/// [`DataError`], whose [`hint`](DataError::hint) says what to do: unknown spec, missing or damaged
/// file, wrong size, a label out of range, more bytes than `limits` allow.
pub fn load(spec: &str, split: Split, limits: Limits) -> Result<Dataset, DataError> {
    let unknown = || DataError::UnknownSpec { spec: spec.to_owned() };
    let (kind, place) = spec.split_once(':').ok_or_else(unknown)?;
    let name = format!("{spec} {}", split.name());
    match kind {
        "cifar10" => cifar::load(Path::new(place), split, limits, name),
        "mnist" => idx::load(Path::new(place), split, limits, name, &idx::DIGITS),
        "fashion-mnist" => idx::load(Path::new(place), split, limits, name, &idx::CLOTHES),
        "npz" => npz::load(Path::new(place), split, limits, name),
        "builtin" if place == shapes::NAME => Ok(shapes::dataset(split)),
        "builtin" => Err(DataError::UnknownBuiltin { name: place.to_owned() }),
        _ => Err(unknown()),
    }
}

impl Dataset {
    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if there is no image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Pixels of one image.
    #[must_use]
    pub fn pixels_per_image(&self) -> usize {
        self.shape.iter().product()
    }

    /// Image `index` as `[height, width, channels]`; empty if there is no such image.
    #[must_use]
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.pixels_per_image();
        index
            .checked_mul(size)
            .and_then(|start| self.images.get(start..start.checked_add(size)?))
            .unwrap_or(&[])
    }

    /// The images of `range`, in order.
    ///
    /// # Errors
    ///
    /// [`DataError::Range`] if the range ends after the last image or before its start.
    pub fn subset(&self, range: Range<usize>) -> Result<Self, DataError> {
        let labels = self.labels.get(range.clone()).ok_or(DataError::Range {
            start: range.start,
            end: range.end,
            images: self.len(),
        })?;
        let size = self.pixels_per_image();
        Ok(Self {
            name: format!("{} {}..{}", self.name, range.start, range.end),
            shape: self.shape,
            images: self.images[range.start * size..range.end * size].to_vec(),
            labels: labels.to_vec(),
            classes: self.classes,
            class_names: self.class_names.clone(),
        })
    }

    /// SHA-256 over shape, classes, images and labels, in hex: the identity of what was evaluated,
    /// whatever file it came from.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for size in self.shape.iter().chain([&self.classes, &self.len()]) {
            hash.update((*size as u64).to_le_bytes());
        }
        hash.update(&self.images);
        hash.update(&self.labels);
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Assembles a set and checks what every loader promises: equal counts, labels in range.
    fn checked(
        name: String,
        path: &Path,
        shape: [usize; 3],
        images: Vec<u8>,
        labels: Vec<u8>,
        class_names: Vec<String>,
    ) -> Result<Self, DataError> {
        let classes = class_names.len();
        let size: usize = shape.iter().product();
        if size == 0 || images.len() != labels.len() * size {
            return Err(DataError::CountMismatch {
                path: path.to_owned(),
                images: images.len().checked_div(size).unwrap_or(0),
                labels: labels.len(),
            });
        }
        if let Some(index) = labels.iter().position(|&label| usize::from(label) >= classes) {
            let label = i64::from(labels[index]);
            return Err(DataError::Label { path: path.to_owned(), index, label, classes });
        }
        Ok(Self { name, shape, images, labels, classes, class_names })
    }
}

#[cfg(test)]
mod tests;
