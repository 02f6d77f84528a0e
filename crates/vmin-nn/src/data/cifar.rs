//! CIFAR-10 in its binary version: 10,000 records of one label and 3 x 1024 planar pixels per file.

use std::path::Path;

use super::{DataError, Dataset, Limits, Split, source};

const SIDE: usize = 32;
const CHANNELS: usize = 3;
const PLANE: usize = SIDE * SIDE;
const RECORD: usize = 1 + CHANNELS * PLANE;
const RECORDS_PER_FILE: usize = 10_000;

const TRAIN: [(&str, &str); 5] = [
    ("data_batch_1.bin", "images 0..10000 of the training set"),
    ("data_batch_2.bin", "images 10000..20000 of the training set"),
    ("data_batch_3.bin", "images 20000..30000 of the training set"),
    ("data_batch_4.bin", "images 30000..40000 of the training set"),
    ("data_batch_5.bin", "images 40000..50000 of the training set"),
];
const TEST: [(&str, &str); 1] = [("test_batch.bin", "the 10000 test images")];
const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Reads one split from the folder of `.bin` batches.
pub(super) fn load(
    folder: &Path,
    split: Split,
    limits: Limits,
    name: String,
) -> Result<Dataset, DataError> {
    let files = match split {
        Split::Train => &TRAIN[..],
        Split::Test => &TEST[..],
    };
    let mut images = Vec::new();
    let mut labels = Vec::new();
    for (file, expected) in files {
        let path = folder.join(file);
        let bytes = source::read(&path, expected, limits)?;
        if bytes.len() != RECORDS_PER_FILE * RECORD {
            return Err(DataError::WrongSize {
                path,
                expected: (RECORDS_PER_FILE * RECORD) as u64,
                found: bytes.len() as u64,
            });
        }
        for (index, record) in bytes.chunks_exact(RECORD).enumerate() {
            let label = record[0];
            if usize::from(label) >= CLASSES.len() {
                let (label, classes) = (i64::from(label), CLASSES.len());
                return Err(DataError::Label { path, index, label, classes });
            }
            labels.push(label);
            append_interleaved(&mut images, &record[1..]);
        }
    }
    let class_names = CLASSES.map(str::to_owned).to_vec();
    Dataset::checked(name, folder, [SIDE, SIDE, CHANNELS], images, labels, class_names)
}

/// Three colour planes one after the other become pixels of three colours.
fn append_interleaved(images: &mut Vec<u8>, planes: &[u8]) {
    for pixel in 0..PLANE {
        images.extend((0..CHANNELS).map(|channel| planes[channel * PLANE + pixel]));
    }
}
