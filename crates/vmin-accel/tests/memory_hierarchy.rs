//! Networks of real size against the lower bound of their memories, and one layer by hand.

use vmin_accel::cycles::{self, Residence, Schedule};
use vmin_accel::mapping::{self, LoopOrder, Objective};
use vmin_accel::{
    Accelerator, Convolution, DoesNotFit, Flow, GemmShape, Layer, Read, layers_of_graph,
};

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
            last =
                network.convolution(Some(last), [&mut side, &mut channels], 3, stride, wide, true);
            last =
                network.convolution(Some(last), [&mut side, &mut channels], 1, 1, filters, false);
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
    let reports = cycles::run(accelerator, schedule, layers).unwrap();
    let bound = mapping::lower_bound(accelerator, schedule, layers);
    (cycles::totals(&reports).dram_bytes, bound.bytes)
}

fn near_the_bound(layers: &[Layer]) {
    for name in Accelerator::names() {
        let accelerator = Accelerator::load(name).expect("shipped");
        if accelerator.dram.is_none() {
            // 3.5 MB of weights are more than any of these chips holds.
            let refused = cycles::run(&accelerator, Schedule::of(&accelerator), layers);
            assert!(matches!(refused, Err(DoesNotFit::Weights { .. })), "{name}");
            continue;
        }
        let (bytes, least) = moved(&accelerator, layers);
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
    let graph = vmin_nn::model::load(&path).expect("a sound network");
    near_the_bound(&layers_of_graph(&graph).expect("sane layers"));
}

#[test]
fn one_layer_by_hand() {
    // A projection of MobileNetV2, 14 x 14 pixels, on an array of 8 x 32; 16 KiB in each memory, of words
    // of 64 bits. docs/memory-hierarchy.md has the same calculation in words.
    let accelerator = Accelerator::load("ethos-u55-256").expect("shipped");
    let layer = Layer::gemm("x", GemmShape::new(196, 96, 576).expect("a sane product"));
    let report = cycles::run(&accelerator, Schedule::of(&accelerator), &[layer]).unwrap().remove(0);
    // 128 rows of 32 sums have room: two tiles of 98 pixels. 72 x 3 folds each.
    assert_eq!((report.m_tile, report.n_tile), (Some(98), Some(96)));
    assert_eq!((report.loop_order, report.folds), (Some(LoopOrder::MOutside), 2 * 72 * 3));
    assert_eq!(report.dram_sum_transfers, Some(0));
    // Neither 98 x 576 inputs nor 96 x 576 weights have room: inputs come for each of 3 blocks of columns,
    // weights for each tile.
    assert_eq!(report.dram_reads_ifmap, Some(3 * 196 * 576));
    assert_eq!(report.dram_reads_filter, Some(2 * 96 * 576));
    assert_eq!(report.dram_bytes_read + report.dram_bytes_written, 338_688 + 110_592 + 18_816);
    // A row of 32 weights is 4 words, 8 inputs are 1, 32 sums of 32 bits are 16.
    assert_eq!(report.weight_words_read, Some(2 * 576 * 3 * 4));
    assert_eq!(report.weight_words_written, Some(2 * 576 * 3 * 4));
    assert_eq!(report.activation_words_read, Some(196 * 72 * 3));
    assert_eq!(report.activation_words_written, Some(338_688 / 8));
    assert_eq!(report.accumulator_words_written, Some(196 * 3 * 72 * 16));
    assert_eq!(report.accumulator_words_read, Some(196 * 3 * 72 * 16));
    // A fold begins every 98 cycles, the last one ends 2 x 8 + 32 + 98 - 2 after its beginning. The bus moves
    // 8 bytes in a cycle.
    assert_eq!(report.compute_cycles, 431 * 98 + 144);
    assert_eq!(report.cycles, 468_096 / 8);
}

#[test]
fn what_a_sum_waits_for_stays_or_is_fetched_again() {
    // Two layers beside a shortcut, 32 x 32 pixels of 32 channels: 32 KiB a tensor.
    let conv = |name: &str, from, channels: u64, filters| {
        let shape = GemmShape::new(1024, filters, channels).expect("a sane product");
        let reads = vec![Read { from, elements: 1024 * channels }];
        Layer { flow: Some(Flow { reads, leaves: false }), ..Layer::gemm(name, shape) }
    };
    let both = [Some(0), Some(2)].map(|from| Read { from, elements: 1 << 15 }).to_vec();
    let sum = Layer::vector("sum", 1 << 16, 1 << 15);
    let layers = [
        conv("begin", None, 16, 32),
        conv("wide", Some(0), 32, 64),
        conv("narrow", Some(1), 64, 32),
        Layer { flow: Some(Flow { reads: both, leaves: true }), ..sum },
    ];
    let mut accelerator = Accelerator::load("gemmini-16").expect("shipped");
    accelerator.mapping.objective = Objective::Dram;
    let mut homes = |kib: u32, activations| {
        let rows = kib * 1024 * 8 / 128;
        accelerator.memories.activation.geometry =
            vmin_sram::Geometry::new(1, rows, 128).expect("a sane memory");
        let schedule = Schedule { activations, ..Schedule::of(&accelerator) };
        let kept = mapping::tensors(&accelerator, schedule, &layers);
        let reports = cycles::run(&accelerator, schedule, &layers).unwrap();
        let kept: Vec<u64> = kept.iter().map(|tensor| tensor.bytes_kept / 1024).collect();
        (kept, cycles::totals(&reports).dram_bytes / 1024)
    };
    // Input, begin, wide, narrow, sum. All three stay; the network's input and output have 16 and 32 KiB.
    assert_eq!(homes(128, Residence::Resident), (vec![0, 32, 64, 32, 0], 48));
    // All but the wide tensor, or all but the one that waits: the wide one would save 2 x 64, the other two
    // and the part of the wide one that is left save more.
    let (kept, bytes) = homes(96, Residence::Resident);
    assert_eq!((kept[0], kept[4]), (0, 0));
    assert!(kept[1] + kept[2] <= 96 && kept[2] + kept[3] <= 96);
    let moved = (32 - kept[1]) * 3 + (64 - kept[2]) * 2 + (32 - kept[3]) * 2;
    assert_eq!(bytes, 48 + moved);
    // Nothing stays if the file says so.
    assert_eq!(homes(128, Residence::Streamed), (vec![0; 5], 48 + 32 * 3 + 64 * 2 + 32 * 2));
}
