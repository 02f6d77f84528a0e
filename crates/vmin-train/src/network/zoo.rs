//! Networks of the papers as layers of a recipe, with the parameter counts of the papers.

use serde::Serialize;

use crate::LayerSpec;

/// Normalization after each convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// No normalization.
    None,
    /// Batch normalization, deployed in the requantization multipliers.
    #[default]
    Batch,
    /// Group normalization as in the papers, deployed as a separate step.
    Group,
}

/// Shortcut of a residual block that halves the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortcut {
    /// A 1x1 convolution, normalized (option B of K. He et al. 2016).
    #[default]
    Projection,
    /// Every second pixel and channels of zeros (option A).
    Pad,
}

impl Shortcut {
    /// Every value with its word in a recipe.
    pub(crate) const WORDS: [(&str, Self); 2] =
        [("projection", Self::Projection), ("pad", Self::Pad)];
}

impl Norm {
    /// Every value with its word in a recipe.
    pub(crate) const WORDS: [(&str, Self); 3] =
        [("none", Self::None), ("batch", Self::Batch), ("group", Self::Group)];

    fn conv(self, channels: usize, kernel: usize, stride: usize, bias: bool) -> Vec<LayerSpec> {
        let conv = |bias| LayerSpec::Conv2d { channels, kernel, stride, bias };
        match self {
            Self::None => vec![conv(true)],
            Self::Batch => vec![conv(bias), LayerSpec::BatchNorm],
            Self::Group => vec![conv(bias), LayerSpec::GroupNorm { groups: None }],
        }
    }

    fn rectified(self, channels: usize, kernel: usize) -> Vec<LayerSpec> {
        let mut layers = self.conv(channels, kernel, 1, true);
        layers.push(LayerSpec::Relu);
        layers
    }
}

/// SimpleNet of the robust-quantization papers: 13 convolutions, or 11 and one pool less for
/// images below 32 pixels (5,498,378 parameters at width 64 on CIFAR-10; 1,082,826 at 32 on MNIST).
pub(super) fn simplenet(width: usize, classes: usize, norm: Norm, height: usize) -> Vec<LayerSpec> {
    let wide = |factor: usize| width.saturating_mul(factor);
    let mut stages =
        vec![vec![(1, 3), (2, 3), (2, 3), (2, 3)], vec![(2, 3), (2, 3), (4, 3)], vec![(4, 3); 2]];
    stages.extend([vec![(8, 3)], vec![(32, 1), (4, 1)], vec![(4, 3)]]);
    if height < 32 {
        stages.remove(2);
    }
    let mut layers = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        if index > 0 {
            layers.push(LayerSpec::MaxPool { window: 2 });
        }
        for &(factor, kernel) in stage {
            layers.extend(norm.rectified(wide(factor), kernel));
        }
    }
    layers.extend([LayerSpec::GlobalAveragePool, LayerSpec::FullyConnected { features: classes }]);
    layers
}

/// ResNet with basic blocks: `width` channels in the first stage, twice as many in each next one,
/// which halves the image. Blocks `[1, 1, 1]` are ResNet-8, `[3, 3, 3]` ResNet-20, `[2, 2, 2, 2]`
/// ResNet-18 (4,328,202 and 11,174,922 parameters at width 64).
pub(super) fn resnet(
    blocks: &[usize],
    width: usize,
    classes: usize,
    norm: Norm,
    shortcut: Shortcut,
) -> Vec<LayerSpec> {
    let mut layers = norm.rectified(width, 3);
    let mut channels = width;
    for (stage, &count) in blocks.iter().enumerate() {
        for block in 0..count {
            let grows = stage > 0 && block == 0;
            let stride = if grows { 2 } else { 1 };
            if grows {
                channels = channels.saturating_mul(2);
            }
            let mut body = norm.conv(channels, 3, stride, false);
            body.push(LayerSpec::Relu);
            body.extend(norm.conv(channels, 3, 1, false));
            let shortcut = match shortcut {
                _ if !grows => vec![],
                Shortcut::Projection => norm.conv(channels, 1, 2, true),
                Shortcut::Pad => vec![LayerSpec::Subsample { channels, stride: 2 }],
            };
            layers.extend([LayerSpec::Residual { body, shortcut }, LayerSpec::Relu]);
        }
    }
    layers.extend([LayerSpec::GlobalAveragePool, LayerSpec::FullyConnected { features: classes }]);
    layers
}

/// LeNet: two 5x5 convolutions of `width` and twice `width` channels, a hidden layer of 16 times
/// `width` (6,640,778 parameters at width 64 on MNIST).
pub(super) fn lenet(width: usize, classes: usize, norm: Norm) -> Vec<LayerSpec> {
    let pool = LayerSpec::MaxPool { window: 2 };
    let mut layers = norm.rectified(width, 5);
    layers.push(pool.clone());
    layers.extend(norm.rectified(width.saturating_mul(2), 5));
    layers.extend([
        pool,
        LayerSpec::FullyConnected { features: width.saturating_mul(16) },
        LayerSpec::Relu,
        LayerSpec::FullyConnected { features: classes },
    ]);
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    #[test]
    fn parameter_counts_are_those_of_the_papers() {
        let (b, cifar, mnist) = (Norm::Batch, [32, 32, 3], [28, 28, 1]);
        for (name, layers, shape, expected) in [
            ("SimpleNet, CIFAR-10", simplenet(64, 10, b, 32), cifar, 5_498_378),
            ("SimpleNet, CIFAR-100", simplenet(64, 100, b, 32), cifar, 5_521_508),
            ("SimpleNet, MNIST", simplenet(32, 10, b, 28), mnist, 1_082_826),
            ("ResNet-20", resnet(&[3, 3, 3], 64, 10, b, Shortcut::Projection), cifar, 4_328_202),
            (
                "ResNet-18",
                resnet(&[2, 2, 2, 2], 64, 10, b, Shortcut::Projection),
                cifar,
                11_174_922,
            ),
            ("LeNet", lenet(64, 10, b), mnist, 6_640_778),
            ("SimpleNet, groups", simplenet(64, 10, Norm::Group, 32), cifar, 5_498_378),
        ] {
            let network = Network::build(&layers, shape, 1).expect(name);
            assert_eq!(network.parameter_count(), expected, "{name}");
            assert_eq!(network.classes(), if expected == 5_521_508 { 100 } else { 10 });
        }
    }
}
