//! Normalizations: the device sums each channel of each image, the processor computes moments from the sums in
//! f64, and the device applies lines to the values.

use vmin_train::network::{BatchNorm, GroupMoments, GroupNorm, Moments, Statistics, Sums};
use vmin_train::{EngineError, Real};

use crate::device::{Arguments, At, Device, Kernel, Sizes, To, int};

/// Shape of a value with one line or pair of moments per channel, or per channel and image.
pub(crate) struct Shape {
    pub(crate) images: usize,
    /// `[height, width, channels]`.
    pub(crate) value: [usize; 3],
    pub(crate) per_image: bool,
}

impl Shape {
    fn len(&self) -> usize {
        self.images * self.value.iter().product::<usize>()
    }

    fn sizes(&self, mode: i32) -> Sizes {
        let [height, width, channels] = self.value.map(int);
        let per_image = i32::from(self.per_image);
        Sizes { height, width, channels, per_image, mode, ..Sizes::default() }
    }
}

/// Sum and sum of squares of each channel of each image.
pub(crate) fn squares<D: Device>(
    device: &mut D,
    shape: &Shape,
    x: &D::Floats,
) -> Result<Sums, EngineError> {
    sums(device, shape, 0, [Some(At(x, 0)), None, None])
}

/// Sums of `dy` and of `dy` times the normalized `x` of each channel of each image.
pub(crate) fn products<D: Device>(
    device: &mut D,
    shape: &Shape,
    (x, dy): (&D::Floats, &D::Floats),
    moments: &[[f32; 2]],
) -> Result<Sums, EngineError> {
    let moments = device.upload(moments.as_flattened())?;
    sums(device, shape, 1, [Some(At(x, 0)), Some(At(dy, 0)), Some(At(&moments, 0))])
}

fn sums<D: Device>(
    device: &mut D,
    shape: &Shape,
    mode: i32,
    inputs: [Option<At<'_, D>>; 3],
) -> Result<Sums, EngineError> {
    let threads = shape.images * shape.value[2];
    let mut sums = device.doubles(2 * threads)?;
    let arguments = Arguments { out: None, inputs, sums: Some(&mut sums) };
    device.launch(Kernel::ChannelSums, threads, arguments, shape.sizes(mode))?;
    let sums = device.download_doubles(&sums)?;
    Ok(sums.as_chunks::<2>().0.to_vec())
}

/// Sums of each channel over all images, in their order.
pub(crate) fn over_images(sums: &Sums, channels: usize) -> Sums {
    let mut totals = vec![[0.0; 2]; channels];
    for image in sums.chunks_exact(channels) {
        for (total, sum) in totals.iter_mut().zip(image) {
            total[0] += sum[0];
            total[1] += sum[1];
        }
    }
    totals
}

/// `y = factor x + term`.
pub(crate) fn lines<D: Device>(
    device: &mut D,
    shape: &Shape,
    x: &D::Floats,
    [factors, terms]: [&[f32]; 2],
    y: &mut D::Floats,
) -> Result<(), EngineError> {
    let (factors, terms) = (device.upload(factors)?, device.upload(terms)?);
    let arguments = Arguments {
        out: Some(To(y, 0)),
        inputs: [Some(At(x, 0)), Some(At(&factors, 0)), Some(At(&terms, 0))],
        sums: None,
    };
    device.launch(Kernel::Lines, shape.len(), arguments, shape.sizes(0))
}

/// `dx += factor dy - slope x + term`.
pub(crate) fn lines_back<D: Device>(
    device: &mut D,
    shape: &Shape,
    (x, dy): (&D::Floats, &D::Floats),
    lines: &[[f32; 3]],
    dx: &mut D::Floats,
) -> Result<(), EngineError> {
    let lines = device.upload(lines.as_flattened())?;
    let arguments = Arguments {
        out: Some(To(dx, 0)),
        inputs: [Some(At(x, 0)), Some(At(dy, 0)), Some(At(&lines, 0))],
        sums: None,
    };
    device.launch(Kernel::LinesBack, shape.len(), arguments, shape.sizes(0))
}

/// The moments of a batch normalization that all images of a batch share.
pub(crate) fn batch_moments<D: Device>(
    device: &mut D,
    norm: &BatchNorm,
    shape: &Shape,
    x: &D::Floats,
) -> Result<(Moments<f32>, Statistics), EngineError> {
    let sums = over_images(&squares(device, shape, x)?, norm.channels);
    let [height, width, _] = shape.value;
    Ok(BatchNorm::moments(&sums, shape.images * height * width))
}

/// Moments of a group normalization, one entry per image.
pub(crate) struct Grouped<'n> {
    norm: &'n GroupNorm,
    images: Vec<Vec<GroupMoments>>,
}

impl<'n> Grouped<'n> {
    pub(crate) fn measured<D: Device>(
        device: &mut D,
        norm: &'n GroupNorm,
        shape: &Shape,
        x: &D::Floats,
    ) -> Result<Self, EngineError> {
        let sums = squares(device, shape, x)?;
        let images = sums.chunks_exact(norm.channels());
        let of_image = |sums: &[[f64; 2]]| norm.moments_of(groups(norm, sums, |_| 1.0));
        Ok(Self { norm, images: images.map(of_image).collect() })
    }

    /// Factors and terms of each channel of each image.
    pub(crate) fn lines(&self, scale: &[f32], shift: &[f32]) -> [Vec<f32>; 2] {
        let mut lines = vec![[0.0_f32; 2]; self.norm.channels()];
        let mut all = [Vec::new(), Vec::new()];
        for moments in &self.images {
            self.norm.lines(moments, scale, shift, &mut lines);
            all[0].extend(lines.iter().map(|line| line[0]));
            all[1].extend(lines.iter().map(|line| line[1]));
        }
        all
    }

    /// Mean and inverse deviation of each channel of each image.
    pub(crate) fn pairs(&self) -> Vec<[f32; 2]> {
        let of_group = self.norm.channels() / self.norm.groups;
        let groups = self.images.iter().flatten();
        let pair = groups.map(|m| [f32::of(m.mean), f32::of(m.inverse)]);
        pair.flat_map(|pair| std::iter::repeat_n(pair, of_group)).collect()
    }

    /// Lines of the gradient from its sums over each channel of each image.
    pub(crate) fn lines_back(&self, scale: &[f32], sums: &Sums) -> Vec<[f32; 3]> {
        let norm = self.norm;
        let (channels, of_group) = (norm.channels(), norm.channels() / norm.groups);
        let factor = |channel: usize| 1.0 + f64::from(scale[channel]);
        let mut lines = Vec::with_capacity(sums.len());
        for (moments, sums) in self.images.iter().zip(sums.chunks_exact(channels)) {
            let shares = groups(norm, sums, factor);
            for channel in 0..channels {
                let moments = &moments[channel / of_group];
                let [mean, along] = shares[channel / of_group].map(|sum| sum / norm.count());
                let slope = moments.inverse * moments.inverse * along;
                let term = slope * moments.mean - moments.inverse * mean;
                lines.push([moments.inverse * factor(channel), slope, term].map(f32::of));
            }
        }
        lines
    }
}

/// Weighted sums over the channels of each group of an image.
fn groups(norm: &GroupNorm, sums: &[[f64; 2]], weight: impl Fn(usize) -> f64) -> Sums {
    let of_group = norm.channels() / norm.groups;
    let mut groups = vec![[0.0; 2]; norm.groups];
    for (channel, sums) in sums.iter().enumerate() {
        let group = &mut groups[channel / of_group];
        group[0] += weight(channel) * sums[0];
        group[1] += weight(channel) * sums[1];
    }
    groups
}
