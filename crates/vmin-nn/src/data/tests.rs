//! Loaders on small files made here, on damaged ones, and on the real sets where they are.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use ndarray::{Array1, Array3, Array4, ShapeBuilder};
use ndarray_npy::NpzWriter;
use tempfile::{TempDir, tempdir};

use super::{DataError, Dataset, Limits, Split, load, shapes};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("writing to a vector");
    encoder.finish().expect("writing to a vector")
}

fn idx_images(count: u32, height: u32, width: u32) -> Vec<u8> {
    let mut bytes = 0x803_u32.to_be_bytes().to_vec();
    for size in [count, height, width] {
        bytes.extend(size.to_be_bytes());
    }
    bytes.extend((0..count * height * width).map(|i| u8::try_from(i % 251).expect("below 256")));
    bytes
}

fn idx_labels(labels: &[u8]) -> Vec<u8> {
    let mut bytes = 0x801_u32.to_be_bytes().to_vec();
    bytes.extend(u32::try_from(labels.len()).expect("few").to_be_bytes());
    bytes.extend(labels);
    bytes
}

fn mnist_folder(images: &[u8], labels: &[u8]) -> TempDir {
    let folder = tempdir().expect("temporary folder");
    fs::write(folder.path().join("t10k-images-idx3-ubyte.gz"), images).expect("write");
    fs::write(folder.path().join("t10k-labels-idx1-ubyte"), labels).expect("write");
    folder
}

fn load_mnist(folder: &Path, limits: Limits) -> Result<Dataset, DataError> {
    load(&format!("mnist:{}", folder.display()), Split::Test, limits)
}

fn assert_told(error: &DataError) {
    assert!(!error.to_string().ends_with('.') && !error.to_string().contains('\n'), "{error}");
    assert!(!error.hint().is_empty());
}

macro_rules! assert_refused {
    ($result:expr, $pattern:pat) => {
        let error = $result.expect_err("must be refused");
        assert!(matches!(error, $pattern), "{error:?}");
        assert_told(&error);
    };
}

#[test]
fn idx_files_are_read_plain_and_compressed() {
    let folder = mnist_folder(&gzip(&idx_images(3, 4, 5)), &idx_labels(&[7, 0, 9]));
    let set = load_mnist(folder.path(), Limits::default()).expect("valid");
    assert_eq!((set.shape, set.len(), set.classes), ([4, 5, 1], 3, 10));
    assert_eq!(set.image(1), (20..40).collect::<Vec<u8>>());
    assert_eq!(set.labels, [7, 0, 9]);
    assert!(set.image(3).is_empty());
    let part = set.subset(1..3).expect("within");
    assert_eq!((part.image(0), part.labels.as_slice()), (set.image(1), &[0, 9][..]));
    assert_ne!(part.sha256(), set.sha256());
    assert_refused!(set.subset(2..4), DataError::Range { .. });
}

#[test]
fn damaged_idx_files_are_refused() {
    let labels = idx_labels(&[1, 2, 3]);
    let good = gzip(&idx_images(3, 4, 5));
    let limits = Limits::default();
    let refused = |images: &[u8], labels: &[u8], limits| {
        load_mnist(mnist_folder(images, labels).path(), limits)
    };
    assert_refused!(
        refused(&good[..good.len() / 2], &labels, limits),
        DataError::Decompress { .. }
    );
    assert_refused!(refused(b"no gzip", &labels, limits), DataError::Decompress { .. });
    assert_refused!(refused(&gzip(&[0, 0, 8]), &labels, limits), DataError::WrongSize { .. });
    assert_refused!(
        refused(&gzip(&idx_images(3, 4, 5)[..70]), &labels, limits),
        DataError::WrongSize { expected: 76, found: 70, .. }
    );
    assert_refused!(refused(&gzip(&labels), &labels, limits), DataError::WrongSize { .. });
    assert_refused!(refused(&good, &idx_images(3, 1, 1), limits), DataError::WrongMagic { .. });
    assert_refused!(
        refused(&good, &idx_labels(&[1, 10, 3]), limits),
        DataError::Label { index: 1, label: 10, .. }
    );
    assert_refused!(refused(&good, &idx_labels(&[1]), limits), DataError::CountMismatch { .. });
    let mut huge = idx_images(1, 1, 1);
    huge[4..16].fill(0xff);
    assert_refused!(
        refused(&gzip(&huge), &labels, limits),
        DataError::WrongSize { expected: u64::MAX, .. }
    );
    assert_refused!(refused(&good, &labels, Limits { max_bytes: 75 }), DataError::TooLarge { .. });
    let bomb = gzip(&vec![0; 1 << 22]);
    assert_refused!(
        refused(&bomb, &labels, Limits { max_bytes: 1 << 16 }),
        DataError::TooLarge { .. }
    );
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempdir().expect("temporary folder");
    let error = load_mnist(folder.path(), Limits::default()).expect_err("empty folder");
    assert!(error.to_string().contains("t10k-images-idx3-ubyte"), "{error}");
    let spec = format!("cifar10:{}", folder.path().display());
    let error = load(&spec, Split::Train, Limits::default()).expect_err("empty folder");
    assert!(error.to_string().contains("data_batch_1.bin"), "{error}");
    assert_refused!(load(&spec, Split::Test, Limits::default()), DataError::Missing { .. });
}

#[test]
fn unknown_specs_are_refused() {
    for spec in ["", "cifar10", "imagenet:x", ":"] {
        let loaded = load(spec, Split::Test, Limits::default());
        assert_refused!(loaded, DataError::UnknownSpec { .. });
    }
    let loaded = load("builtin:nothing", Split::Test, Limits::default());
    assert_refused!(loaded, DataError::UnknownBuiltin { .. });
}

#[test]
fn cifar_planes_become_pixels() {
    let folder = tempdir().expect("temporary folder");
    let path = folder.path().join("test_batch.bin");
    let mut bytes = vec![0; 10_000 * 3073];
    bytes[3073] = 9;
    (bytes[3074], bytes[3074 + 1024], bytes[3074 + 2048]) = (1, 2, 3);
    fs::write(&path, &bytes).expect("write");
    let spec = format!("cifar10:{}", folder.path().display());
    let set = load(&spec, Split::Test, Limits::default()).expect("valid");
    assert_eq!((set.shape, set.len(), set.labels[1]), ([32, 32, 3], 10_000, 9));
    assert_eq!(set.image(1)[..4], [1, 2, 3, 0]);
    bytes[0] = 10;
    fs::write(&path, &bytes).expect("write");
    assert_refused!(load(&spec, Split::Test, Limits::default()), DataError::Label { .. });
    fs::write(&path, &bytes[..3073]).expect("write");
    assert_refused!(load(&spec, Split::Test, Limits::default()), DataError::WrongSize { .. });
}

fn npz(write: impl FnOnce(&mut NpzWriter<fs::File>)) -> (TempDir, String) {
    let folder = tempdir().expect("temporary folder");
    let path = folder.path().join("set.npz");
    let mut writer = NpzWriter::new_compressed(fs::File::create(&path).expect("create"));
    write(&mut writer);
    writer.finish().expect("write");
    let spec = format!("npz:{}", path.display());
    (folder, spec)
}

#[test]
fn npz_archives_are_read() {
    let images = Array4::from_shape_fn((2, 3, 4, 2), |(n, h, w, c)| {
        u8::try_from(n * 24 + h * 8 + w * 2 + c).expect("small")
    });
    let (_folder, spec) = npz(|writer| {
        writer.add_array("x", &images).expect("write");
        writer.add_array("y", &Array1::from(vec![5_i64, 0])).expect("write");
    });
    let set = load(&spec, Split::Test, Limits::default()).expect("valid");
    assert_eq!((set.shape, set.classes, set.labels.as_slice()), ([3, 4, 2], 6, &[5, 0][..]));
    assert_eq!(set.images, (0..48).collect::<Vec<u8>>());
    assert_refused!(
        load(&spec, Split::Test, Limits { max_bytes: 100 }),
        DataError::TooLarge { .. }
    );
}

#[test]
fn unfit_npz_archives_are_refused() {
    let images = Array3::<u8>::zeros((2, 3, 3));
    let attempt = |write: &dyn Fn(&mut NpzWriter<fs::File>)| {
        let (_folder, spec) = npz(write);
        load(&spec, Split::Train, Limits::default())
    };
    let with_labels = |labels: Vec<i32>| {
        attempt(&|w| {
            w.add_array("images", &images).expect("write");
            w.add_array("labels", &Array1::from(labels.clone())).expect("write");
        })
    };
    assert_eq!(with_labels(vec![1, 0]).expect("valid").shape, [3, 3, 1]);
    assert_refused!(with_labels(vec![1, -1]), DataError::Label { label: -1, .. });
    assert_refused!(with_labels(vec![1, 256]), DataError::Label { .. });
    assert_refused!(with_labels(vec![1]), DataError::CountMismatch { .. });
    let missing = attempt(&|w| w.add_array("x", &images).expect("write"));
    assert_refused!(missing, DataError::MissingArray { .. });
    let float = attempt(&|w| {
        w.add_array("x", &images.mapv(f32::from)).expect("write");
        w.add_array("y", &Array1::from(vec![0_u8, 0])).expect("write");
    });
    assert_refused!(float, DataError::ArrayType { .. });
    let fortran = attempt(&|w| {
        w.add_array("x", &Array3::<u8>::zeros((2, 3, 4).f())).expect("write");
        w.add_array("y", &Array1::from(vec![0_u8, 0])).expect("write");
    });
    assert_refused!(fortran, DataError::ArrayType { .. });
    let folder = tempdir().expect("temporary folder");
    let path = folder.path().join("set.npz");
    fs::write(&path, b"PK no zip").expect("write");
    let loaded = load(&format!("npz:{}", path.display()), Split::Test, Limits::default());
    assert_refused!(loaded, DataError::Container { .. });
}

#[test]
fn shapes_never_change() {
    // Weights are trained and results are published on these very pixels: another hash breaks
    // every recorded accuracy on `builtin:shapes`.
    let train = shapes::generate(shapes::SEED, Split::Train, 500);
    let test = shapes::dataset(Split::Test);
    assert_eq!((test.len(), test.classes, test.class_names.len()), (2_000, 10, 10));
    assert_eq!(train.sha256(), "4401e63cdfa39e894769c8f9c711b7689a1fb81750953421b73cd1f3b62b2ad3");
    assert_eq!(test.sha256(), "b61ca91281c096f0b3e4959e0a9ad980b06ec834634a2287ed5877abf1e0fabc");
}

#[test]
fn shapes_are_a_pure_function() {
    let few = shapes::generate(9, Split::Test, 20);
    let many = shapes::generate(9, Split::Test, 60);
    assert_eq!(few, Dataset { name: few.name.clone(), ..many.subset(0..20).expect("within") });
    assert_ne!(few.images, shapes::generate(9, Split::Train, 20).images);
    assert_ne!(few.images, shapes::generate(8, Split::Test, 20).images);
    assert!((0..10).all(|class| many.labels.iter().filter(|&&label| label == class).count() == 6));
}

#[test]
fn real_mnist_and_fashion_mnist_load() {
    for kind in ["mnist", "fashion-mnist"] {
        let Some(path) = vmin_testkit::data(kind) else { return };
        let spec = format!("{kind}:{}", path.display());
        for (split, count) in [(Split::Train, 60_000), (Split::Test, 10_000)] {
            let set = load(&spec, split, Limits::default()).expect("the published files");
            assert_eq!((set.len(), set.shape), (count, [28, 28, 1]), "{kind}");
        }
    }
}

#[test]
fn real_cifar_loads() {
    let Some(folder) = vmin_testkit::cifar10() else { return };
    let spec = format!("cifar10:{}", folder.display());
    let set = load(&spec, Split::Test, Limits::default()).expect("the published files");
    assert_eq!((set.len(), set.shape), (10_000, [32, 32, 3]));
    assert_eq!(set.labels[..5], [3, 8, 8, 0, 6]);
}
