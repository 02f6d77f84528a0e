//! Networks of real size against the lower bound of their memories, and one layer by hand.

use vmin_accel::cycles::{self, Schedule};
use vmin_accel::mapping;
use vmin_accel::{Accelerator, Convolution, Flow, Layer, Read, layers_of_graph};

/// MobileNetV2 of 224 x 224 (M. Sandler et al., CVPR 2018, table 2), with its sums.
fn mobilenet_v2() -> Vec<Layer> {
    let mut network = Network::default();
    let [mut side, mut channels] = [224, 3];
    let mut last = network.convolution(None, [&mut side, &mut channels], 3, 2, 32, false);
    // Expansion, channels, blocks and stride of the first.
    for (expansion, filters, blocks, stride) in [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ] {
        for block in 0..blocks {
            let (before, begins) = (channels, last);
            let wide = channels * expansion;
            let stride = if block == 0 { stride } else { 1 };
            let shape = [&mut side, &mut channels];
            if expansion > 1 {
                last = network.convolution(Some(last), shape, 1, 1, wide, false);
            }
            last = network.convolution(
                Some(last),
                [&mut side, &mut channels],
                3,
                stride,
                wide,
                true,
            );
            last = network.convolution(
                Some(last),
                [&mut side, &mut channels],
                1,
                1,
                filters,
                false,
            );
            if stride == 1 && before == filters {
                last = network.vector(&[begins, last], side * side * channels);
            }
        }
    }
    last = network.convolution(Some(last), [&mut side, &mut channels], 1, 1, 1280, false);
    last = network.vector(&[last], 1280);
    network.convolution(Some(last), [&mut 1, &mut channels], 1, 1, 1001, false);
    network.layers
}

#[derive(Default)]
struct Network {
    layers: Vec<Layer>,
}

impl Network {
    fn add(&mut self, layer: Layer, from: &[Option<usize>]) -> usize {
        let elements = |from: Option<usize>| match from {
            Some(from) => self.layers[from].outputs,
            None => layer.inputs,
        };
        let reads = from.iter().map(|&from| Read { from, elements: elements(from) }).collect();
        let flow = Some(Flow { reads, leaves: false });
        self.layers.push(Layer { flow, ..layer });
        self.layers.len() - 1
    }

    fn convolution(
        &mut self,
        from: Option<usize>,
        [side, channels]: [&mut u64; 2],
        kernel: u64,
        stride: u64,
        filters: u64,
        depthwise: bool,
    ) -> usize {
        // The outputs of "SAME" padding: a window of 3 reaches 1 beyond, on both sides unless every other
        // pixel begins one.
        let after = u64::from(kernel == 3);
        let before = after * u64::from(stride == 1);
        let convolution = Convolution {
            stride: [stride; 2],
            padding: [before, before, after, after],
            groups: if depthwise { *channels } else { 1 },
            ..Convolution::new([*side; 2], [kernel; 2], *channels, filters)
        };
        let name = format!("layer {}", self.layers.len());
        let layer = Layer::convolution(name, &convolution).expect("a sane layer");
        (*side, *channels) = (side.div_ceil(stride), filters);
        assert_eq!(layer.outputs, *side * *side * filters);
        self.add(layer, &[from])
    }

    fn vector(&mut self, from: &[usize], outputs: u64) -> usize {
        let inputs = from.iter().map(|&from| self.layers[from].outputs).sum();
        let layer = Layer::vector(format!("layer {}", self.layers.len()), inputs, outputs);
        let from: Vec<Option<usize>> = from.iter().copied().map(Some).collect();
        self.add(layer, &from)
    }
}

/// DRAM bytes and their lower bound.
fn moved(accelerator: &Accelerator, layers: &[Layer]) -> (u64, u64) {
    let schedule = Schedule::of(accelerator);
    let reports = cycles::run(accelerator, schedule, layers);
    let bound = mapping::lower_bound(accelerator, schedule, layers);
    (cycles::totals(&reports).dram_bytes, bound.bytes)
}

fn near_the_bound(layers: &[Layer]) {
    for name in Accelerator::names() {
        let accelerator = Accelerator::load(name).expect("shipped");
        let (bytes, least) = moved(&accelerator, layers);
        println!("{name}: {bytes} of at least {least}, {:.3}", bytes as f64 / least as f64);
        assert!(bytes >= least, "{name}: {bytes} are less than the bound {least}");
        assert!(2 * bytes <= 3 * least, "{name}: {bytes} of at least {least}");
    }
}

#[test]
fn mobilenet_v2_moves_little_more_than_the_lower_bound() {
    let layers = mobilenet_v2();
    let macs: u64 = layers.iter().map(Layer::macs).sum();
    let weights: u64 = layers.iter().map(|layer| layer.weights).sum();
    // 300.8 million and 3.47 million, without biases.
    assert_eq!((macs, weights), (300_775_552, 3_471_040));
    near_the_bound(&layers);
}

#[test]
fn so_does_its_published_file() {
    let Some(path) = vmin_testkit::data("models/coral/mobilenet_v2_1.0_224_quant.tflite") else {
        return;
    };
    let graph = vmin_nn::model::load(&path.to_string_lossy()).expect("a sound network");
    near_the_bound(&layers_of_graph(&graph).expect("sane layers"));
}
