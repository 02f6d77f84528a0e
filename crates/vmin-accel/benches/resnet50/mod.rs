//! The layers of ResNet-50 for images of 224 x 224 (K. He et al., CVPR 2016, table 1; the stride of a
//! stage's first block lies in its 3 x 3 convolution, as common implementations have it).

use vmin_accel::{Convolution, GemmShape, Layer};

/// Output pixels per side, channels inside a block, blocks.
const STAGES: [(u64, u64, usize); 4] = [(56, 64, 3), (28, 128, 4), (14, 256, 6), (7, 512, 3)];

pub(crate) fn layers() -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut convolution = |name: String, side: u64, kernel: u64, channels, filters, stride: u64| {
        let padding = kernel / 2;
        let convolution = Convolution {
            stride: [stride; 2],
            padding: [padding; 4],
            ..Convolution::new([side; 2], [kernel; 2], channels, filters)
        };
        layers.push(Layer::convolution(name, &convolution).expect("a layer of the paper"));
    };
    convolution("conv1".into(), 224, 7, 3, 64, 2);
    let (mut side, mut channels) = (56, 64);
    for (stage, (out, inside, blocks)) in STAGES.into_iter().enumerate() {
        for block in 0..blocks {
            let stride = side / out;
            let name = |part: &str| format!("conv{}_{}{part}", stage + 2, block + 1);
            convolution(name("a"), side, 1, channels, inside, 1);
            convolution(name("b"), side, 3, inside, inside, stride);
            convolution(name("c"), out, 1, inside, 4 * inside, 1);
            if block == 0 {
                convolution(name("_shortcut"), side, 1, channels, 4 * inside, stride);
            }
            (side, channels) = (out, 4 * inside);
        }
    }
    layers.push(Layer::vector("pool", 7 * 7 * 2048, 2048));
    layers.push(Layer::gemm("fc", GemmShape::new(1, 1000, 2048).expect("a layer of the paper")));
    layers
}
