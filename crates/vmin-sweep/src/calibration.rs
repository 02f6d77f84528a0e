//! Unlabelled images by which mechanisms are calibrated: the first training images of a set, never those by which
//! accuracy is measured.

use std::collections::HashSet;

use vmin_diagnostic::{Diagnostic, Diagnostics};
use vmin_files::sha256;
use vmin_nn::data::{Dataset, Split};

use crate::names::{Name, Names};

/// Images to calibrate by.
#[derive(Clone, Debug)]
pub struct CalibrationImages {
    /// `[count, height, width, channels]` flat.
    pub pixels: Vec<u8>,
    /// Which images, in words.
    pub name: String,
    /// SHA-256 of the pixels.
    pub sha256: String,
}

impl CalibrationImages {
    /// The first `images` training images of a set; `test` are those that measure accuracy.
    ///
    /// # Errors
    /// The set has no such images, or they are those of the test.
    pub fn load<'n>(
        names: &Names<'_>,
        set: impl Into<Name<'n>>,
        images: u32,
        test: &Dataset,
    ) -> Result<Self, Diagnostics> {
        let set = set.into();
        let problem = |message: String| {
            let hint = "name a set with other images: `calibration = \"SET\"` in `[data]`, or `--calibration SET`";
            names.problem(&set, Diagnostic::new("calibration", message).hint(hint), false)
        };
        let all = names.data(set.clone(), Split::Train).map_err(|refused| {
            let hinted = refused.into_list().into_iter().map(|problem| {
                problem.hint(
                    "calibration takes training images of the set: name another by `calibration = \"SET\"` in \
                     `[data]`, or `--calibration SET`",
                )
            });
            Diagnostics::from_list(hinted.collect()).expect("as many as before")
        })?;
        let count = images as usize;
        if all.shape != test.shape {
            let [found, wanted] = [&all, test].map(|of| format!("{:?}", of.shape));
            return Err(problem(format!(
                "images of `{}` have the shape {found}, those of the test {wanted}",
                set.text
            )));
        }
        if all.len() < count {
            let message =
                format!("`{}` has {} training images, {count} are wanted", set.text, all.len());
            return Err(problem(message));
        }
        let size = all.pixels_per_image();
        let pixels = all.images[..count * size].to_vec();
        let tested: HashSet<&[u8]> = test.images.chunks_exact(size).collect();
        let shared = pixels.chunks_exact(size).filter(|image| tested.contains(image)).count();
        if shared > 0 {
            return Err(problem(format!(
                "{shared} of the {count} calibration images of `{}` are test images, which would flatter \
                 the result",
                set.text
            )));
        }
        let sha256 = sha256(&pixels);
        Ok(Self {
            pixels,
            name: format!("first {count} training images of `{}`", set.text),
            sha256,
        })
    }
}
