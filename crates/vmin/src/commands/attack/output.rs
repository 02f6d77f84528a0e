//! The folder of an attack: chips with the wrong bits and a list of them, or the attacked images.

use std::io::{Cursor, Seek, Write};
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn};
use ndarray_npy::WriteNpyExt;
use vmin_diagnostic::Diagnostic;
use vmin_nn::data::Dataset;
use vmin_sram::{Chip, Origin};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::bits_answer::BitAttack;
use crate::args::AttackArgs;
use crate::commands::chip;
use crate::failure::make_folder;
use crate::files::Output;
use crate::{Failure, answer, files};

/// The list of the strongest attack's wrong bits.
const LIST: &str = "flips.csv";

/// Attacked images.
const ARCHIVE: Output<'_> = Output::archive("attack");

/// A folder whose files may be written.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Refuses, before the work, a folder with other files of these names.
    pub(super) fn new(folder: &Path, args: &AttackArgs) -> Result<Self, Failure> {
        make_folder(folder)?;
        files::check(&folder.join(LIST), files::FLIPS)?;
        let measured = Origin::Measured { source: String::new(), nesting_violations: 0 };
        for method in &args.method {
            for k in args.bits.counts() {
                chip::check(&folder.join(format!("{}-{k}.chip", method.word())), &measured)?;
            }
        }
        Ok(Self(folder.to_owned()))
    }

    pub(super) fn write(
        &self,
        attack: &BitAttack,
        chips: &[(String, Chip)],
    ) -> Result<(), Failure> {
        for (name, chip) in chips {
            chip::write(&self.0.join(name), chip)?;
        }
        let list = answer::csv(&attack.flips)? + "\n";
        files::write(&self.0.join(LIST), list.as_bytes(), files::FLIPS)
    }
}

/// A folder for attacked images, in archives that `--data npz:FILE` reads.
pub(super) struct Archive(PathBuf);

impl Archive {
    /// Refuses, before the work, files of these names that are no such archives.
    pub(super) fn new(folder: &Path, names: &[String]) -> Result<Self, Failure> {
        make_folder(folder)?;
        for name in names {
            files::check(&folder.join(name), ARCHIVE)?;
        }
        Ok(Self(folder.to_owned()))
    }

    /// Writes images of whole pixels with the labels of a set.
    pub(super) fn write(&self, name: &str, set: &Dataset, pixels: &[u8]) -> Result<(), Failure> {
        let bytes = archive(set, pixels)?;
        files::write(&self.0.join(name), &bytes, ARCHIVE)
    }
}

fn archive(set: &Dataset, pixels: &[u8]) -> Result<Vec<u8>, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::failed(Diagnostic::new("output", format!("cannot write the images: {error}")))
    };
    let [height, width, channels] = set.shape;
    let shape = IxDyn(&[set.labels.len(), height, width, channels]);
    let images = ArrayD::from_shape_vec(shape, pixels.to_vec()).map_err(|error| failed(&error))?;
    let labels = ArrayD::from_shape_vec(IxDyn(&[set.labels.len()]), set.labels.clone())
        .map_err(|error| failed(&error))?;
    let mut bytes = Cursor::new(Vec::new());
    write(&mut bytes, &images, &labels).map_err(|error| failed(&error))?;
    Ok(bytes.into_inner())
}

fn write(
    to: impl Write + Seek,
    images: &ArrayD<u8>,
    labels: &ArrayD<u8>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut archive = ZipWriter::new(to);
    archive.set_comment(ARCHIVE.mark());
    for (name, array) in [("x.npy", images), ("y.npy", labels)] {
        archive.start_file(name, SimpleFileOptions::default())?;
        array.write_npy(&mut archive)?;
    }
    archive.finish()?;
    Ok(())
}
