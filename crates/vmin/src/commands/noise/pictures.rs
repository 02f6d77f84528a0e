//! Images as the input memory gives them back.

use std::path::Path;

use vmin_nn::Graph;
use vmin_nn::data::Dataset;

use super::no_pictures;
use crate::args::NoiseArgs;
use crate::failure::unwritable;
use crate::{Failure, files};

/// Some images, clean and as read from the first chip at each supply.
#[derive(Debug)]
pub(super) struct Pictures {
    /// Height, width, channels.
    pub(super) shape: [usize; 3],
    /// The images.
    pub(super) clean: Vec<Vec<u8>>,
    /// The same at each supply.
    pub(super) read: Vec<Vec<Vec<u8>>>,
}

impl Pictures {
    /// The first images of `data`; none where nobody asks for them, or a page has images that cannot be drawn.
    ///
    /// # Errors
    /// Files are asked for, and images have neither one channel nor three.
    pub(super) fn new(
        args: &NoiseArgs,
        graph: &Graph,
        data: &Dataset,
    ) -> Result<Option<Self>, Failure> {
        let [.., channels] = data.shape;
        let drawable = [1, 3].contains(&channels) && graph.pixels.is_some();
        if !drawable && args.images_out.is_some() {
            return Err(no_pictures(channels));
        }
        if !drawable || args.images_out.is_none() && args.report.is_none() {
            return Ok(None);
        }
        let images = data.images.chunks_exact(data.pixels_per_image());
        let clean = images.take(args.pictures.into()).map(<[u8]>::to_vec).collect();
        Ok(Some(Self { shape: data.shape, clean, read: Vec::new() }))
    }

    /// Adds an image as it is read at a supply, unless there is one of a chip before.
    pub(super) fn add(
        &mut self,
        supply: usize,
        image: usize,
        written: &[i8],
        read: &[i8],
        steps: &[f64],
    ) {
        let Some(clean) = self.clean.get(image) else { return };
        if self.read.len() <= supply {
            self.read.push(Vec::new());
        }
        if self.read[supply].len() == image {
            let pixel = |(index, &pixel): (usize, &u8)| {
                let steps_off = f64::from(i16::from(read[index]) - i16::from(written[index]));
                let off = 255.0 * steps_off * steps[index % steps.len()];
                (f64::from(pixel) + off).round().clamp(0.0, 255.0) as u8
            };
            self.read[supply].push(clean.iter().enumerate().map(pixel).collect());
        }
    }

    /// Writes all of them to a folder, by the numbers of the images and the supplies.
    pub(super) fn write(
        &self,
        folder: &Path,
        first: usize,
        swept_mv: &[f64],
    ) -> Result<(), Failure> {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        let ending = if self.shape[2] == 1 { "pgm" } else { "ppm" };
        for (index, clean) in self.clean.iter().enumerate() {
            let number = first + index;
            let name = folder.join(format!("image-{number}.{ending}"));
            self.put(&name, clean)?;
            for (vdd_mv, read) in swept_mv.iter().zip(&self.read) {
                let name = folder.join(format!("image-{number}-{vdd_mv}mv.{ending}"));
                self.put(&name, &read[index])?;
            }
        }
        crate::failure::say(&format!("wrote images to `{}`", folder.display()));
        Ok(())
    }

    fn put(&self, path: &Path, pixels: &[u8]) -> Result<(), Failure> {
        let [height, width, channels] = self.shape;
        let output = if channels == 1 { files::GREY_IMAGE } else { files::COLOR_IMAGE };
        let mut bytes = output.headed(&format!("{width} {height}\n255\n")).into_bytes();
        bytes.extend_from_slice(pixels);
        files::put(path, &bytes, output)
    }
}
