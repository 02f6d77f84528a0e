//! Recalibration by hand, and against a network that runs from its first layer for every layer.

use vmin_accel::placement::{ActivationPlacement, SumPlacement};
use vmin_accel::{ArraySize, Dataflow};
use vmin_nn::exec::{Executor, OutputSums};
use vmin_nn::{
    Activation, ConvKind, Dtype, Node, Pixels, Quantization, Rounding, Tensor, TensorId, WeightId,
    WeightTensor,
};
use vmin_quant::Encoding;
use vmin_sram::{Applied, FaultKind, FaultyCell, Geometry, Score};
use vmin_testkit::{Lcg, random_graph};

use super::*;
use crate::memory::sums::SumFaults;
use crate::memory::weights::Corrupted;

static STOP: AtomicBool = AtomicBool::new(false);

/// Fully connected layers without scales: these integers are their weights, row by row.
fn chain(inputs: usize, layers: &[(&[i8], i32)]) -> Graph {
    let tensor = |shape| Tensor {
        name: "t".into(),
        shape: vec![shape],
        dtype: Dtype::I8,
        quantization: Quantization { scale: 1.0, zero_point: 0 },
    };
    let mut graph = Graph {
        name: "chain".into(),
        tensors: vec![tensor(inputs)],
        weights: Vec::new(),
        nodes: Vec::new(),
        input: TensorId(0),
        output: TensorId(layers.len()),
        rounding: Rounding::Double,
        pixels: Some(Pixels::Codes { offset: 128 }),
    };
    for (index, &(weights, bias)) in layers.iter().enumerate() {
        let features = graph.tensors[index].elements();
        let out = weights.len() / features;
        graph.tensors.push(tensor(out));
        graph.weights.push(WeightTensor {
            name: format!("w{index}"),
            shape: vec![out, features],
            bits: 8,
            encoding: Encoding::TwosComplement,
            codes: weights.iter().map(|weight| weight.cast_unsigned()).collect(),
            scales: vec![1.0],
            zero_points: vec![0],
        });
        let conv = Conv2d {
            kind: ConvKind::FullyConnected,
            weights: WeightId(index),
            bias: vec![bias; out],
            multipliers: vec![1.0; out],
            stride: [1, 1],
            dilation: [1, 1],
            padding: [0, 0],
            activation: Activation { min: -128, max: 127 },
        };
        let (op, inputs, output) = (Op::Conv2d(conv), vec![TensorId(index)], TensorId(index + 1));
        graph.nodes.push(Node { name: format!("n{index}"), op, inputs, output });
    }
    graph.validate().unwrap();
    graph
}

fn convs(graph: &Graph) -> Vec<(&[i32], &[f64])> {
    let convs = graph.nodes.iter().filter_map(|node| node.op.product());
    convs.map(|conv| (&conv.bias[..], &conv.multipliers[..])).collect()
}

#[test]
fn two_layers_by_hand() {
    let graph = chain(2, &[(&[1, 2], 0), (&[3], 5)]);
    // Codes (1, 1) and (3, 1): sums 3 and 5 of the first layer, 14 and 20 of the second.
    let pixels = [129, 129, 131, 129];
    let calibration = Calibration::new(&graph, &pixels, vmin_kernels::best(), &STOP).unwrap();
    // Read as (1, 6): sums 7 and 9, 4 too many; after that the first layer is right again. The second is read
    // as 1: sums 8 and 10, 8 too few.
    let codes = [vec![1, 6], vec![1]];
    let of = |corrected| {
        let faults = BufferFaults::default();
        calibration.recalibrated(&codes, faults, corrected, &STOP).unwrap()
    };
    let found = of(Corrected::Biases);
    assert_eq!(convs(&found), [(&[-4][..], &[1.0][..]), (&[13], &[1.0])]);
    assert_eq!(found.weights, graph.weights);
    // The second layer spans a third of what it should: (3 + 2) * 3 and (5 + 2) * 3, which a bias in steps of 3
    // brings no nearer to 14 and 20.
    let found = of(Corrected::BiasesAndMultipliers);
    assert_eq!(convs(&found), [(&[-4][..], &[1.0][..]), (&[2], &[3.0])]);
}

#[test]
fn a_channel_that_is_left_flat_is_not_blown_up() {
    let graph = chain(1, &[(&[100, 100], 0)]);
    let pixels = [118, 138];
    let calibration = Calibration::new(&graph, &pixels, vmin_kernels::best(), &STOP).unwrap();
    let found = calibration
        .recalibrated(
            &[vec![1, 0]],
            BufferFaults::default(),
            Corrected::BiasesAndMultipliers,
            &STOP,
        )
        .unwrap();
    assert_eq!(convs(&found), [(&[0, 0][..], &[RATIO_MAX, 1.0][..])]);
}

#[test]
fn biases_stay_within_32_bits() {
    let graph = chain(1, &[(&[100], i32::MAX - 50)]);
    let calibration = Calibration::new(&graph, &[128], vmin_kernels::best(), &STOP).unwrap();
    let mut sums = Channel::NONE;
    sums.add(i32::MIN + 7);
    let clean = calibration.clean[0].as_ref().unwrap()[0];
    let Op::Conv2d(mut conv) = graph.nodes[0].op.clone() else { panic!("a product") };
    correct(&mut conv, 0, &clean, &sums, Corrected::Biases);
    assert_eq!(conv.bias, [i32::MAX]);
}

#[test]
fn no_images_or_parts_of_images_are_refused() {
    let graph = chain(2, &[(&[1, 2], 0)]);
    for pixels in [&[][..], &[1, 2, 3]] {
        let found = Calibration::new(&graph, pixels, vmin_kernels::best(), &STOP).err();
        assert_eq!(found, Some(EmulatorError::ImageSize { expected: 2, found: pixels.len() }));
    }
}

/// A random network on a chip whose every memory errs.
struct Setting {
    graph: Graph,
    pixels: Vec<u8>,
    activations: (ActivationPlacement, Vec<FaultyCell>),
    sums: (SumPlacement, Vec<FaultyCell>),
    kind: FaultKind,
    bias_in_memory: bool,
    seed: u64,
}

fn cells(rng: &mut Lcg, geometry: Geometry) -> Vec<FaultyCell> {
    let faulty = (0..geometry.cells()).filter(|_| rng.pick(1..=40) == 1).collect::<Vec<_>>();
    let cell = |address| FaultyCell { address, score: Score(0), preferred: rng.byte() & 1 == 1 };
    faulty.into_iter().map(cell).collect()
}

impl Setting {
    fn new(seed: u64) -> Self {
        let graph = random_graph(seed);
        let mut rng = Lcg(seed ^ 0x5eed);
        let images = rng.pick(1..=5);
        let pixels = (0..images * graph.tensors[0].elements()).map(|_| rng.byte()).collect();
        let of_activations = Geometry::new(1, 50, 64).unwrap();
        let of_sums = Geometry::new(1, rng.pick(1..=200) as u32, 64).unwrap();
        let size = ArraySize::new(rng.pick(1..=9) as u64, rng.pick(1..=9) as u64).unwrap();
        let (_, dataflow) = Dataflow::ALL[rng.pick(0..=2)];
        Self {
            activations: (
                ActivationPlacement::new(of_activations, &graph),
                cells(&mut rng, of_activations),
            ),
            sums: (
                SumPlacement::in_memory(of_sums, size, dataflow, &graph).unwrap(),
                cells(&mut rng, of_sums),
            ),
            kind: [FaultKind::Flip, FaultKind::StuckAt][rng.pick(0..=1)],
            bias_in_memory: rng.pick(0..=1) == 1,
            graph,
            pixels,
            seed,
        }
    }

    /// What the memories do at a read.
    fn read(&self, read: u64) -> ImageRead<'static> {
        let mut rng = Lcg(self.seed.wrapping_mul(31) + read);
        let mut codes = written(&self.graph);
        for (codes, weights) in codes.iter_mut().zip(&self.graph.weights) {
            for code in codes {
                let bit = 1 << rng.pick(0..=usize::from(weights.bits) - 1);
                *code ^= if rng.pick(1..=8) == 1 { bit } else { 0 };
            }
        }
        // Other cells at other reads.
        let some = |cells: &[FaultyCell]| -> Vec<FaultyCell> {
            let err = |cell: &&FaultyCell| !(cell.address + read).is_multiple_of(3);
            cells.iter().filter(err).copied().collect()
        };
        let (placed, faulty) = &self.activations;
        let activations = ActivationFaults::new(placed, &some(faulty), self.kind, None);
        let (placed, faulty) = &self.sums;
        let sums = SumFaults::new(placed, &some(faulty), self.kind, self.bias_in_memory);
        ImageRead {
            weights: Corrupted { codes, applied: Applied::default() },
            activations: Some(activations),
            sums: Some(sums),
        }
    }

    fn clean(&self) -> ImageRead<'static> {
        let weights = Corrupted { codes: written(&self.graph), applied: Applied::default() };
        ImageRead { weights, activations: None, sums: None }
    }
}

/// The sums of each channel of a node as the requantization takes them: the network runs from its first layer.
fn sums_of(
    graph: &Graph,
    node: usize,
    pixels: &[u8],
    spans: Option<&[i64]>,
    read: &dyn Fn(usize) -> ImageRead<'static>,
) -> Vec<Vec<i64>> {
    let kernel = vmin_kernels::best();
    let channels = graph.nodes[node].op.product().unwrap().bias.len();
    let mut all = vec![Vec::new(); channels];
    let images = graph.input_codes(pixels).unwrap();
    for (index, image) in images.chunks(graph.tensors[0].elements()).enumerate() {
        let ImageRead { weights: Corrupted { codes, .. }, activations, sums } = read(index);
        let executor = Executor::new(graph, kernel);
        let loaded = sums.as_ref().map(|sums| sums.load(graph, &codes, kernel));
        let mut input = Vec::new();
        executor.run_watched(
            &executor.load_weights(&codes),
            image,
            &mut executor.scratch(),
            |at, tensors, out| {
                if at == node {
                    input = tensors[graph.nodes[node].inputs[0].0].clone();
                }
                if let Some(loaded) = &loaded {
                    loaded.apply(at, tensors, out);
                }
            },
            |id, tensor| {
                if let Some(activations) = &activations {
                    activations.apply(id, tensor);
                }
            },
        );
        let slow = OutputSums::new(graph, &codes, node).unwrap();
        let elements = graph.tensors[graph.nodes[node].output.0].elements();
        let right: Vec<i32> =
            (0..elements).map(|e| slow.sum(&input, e, usize::MAX, false, |sum| sum)).collect();
        let mut read = right.clone();
        let layer = sums.as_ref().and_then(|sums| sums.load_layer(graph, &codes, node, kernel));
        if let Some(layer) = layer {
            layer.read_sums(&input, &mut read);
            let mut out = vec![0; elements];
            layer.apply(&input, &mut out);
            let conv = graph.nodes[node].op.product().unwrap();
            let zero = graph.tensors[graph.nodes[node].output.0].quantization.zero_point;
            for (element, (read, right)) in read.iter().zip(&right).enumerate() {
                if read != right {
                    let scaled = conv.scaled(graph.rounding, element % channels, *read);
                    let code = conv.activation.clamp(scaled.wrapping_add(zero));
                    assert_eq!(code, out[element], "sums and outputs are read alike");
                }
            }
        }
        for (element, (read, right)) in read.into_iter().zip(right).enumerate() {
            let (read, right) = (i64::from(read), i64::from(right));
            let far = spans.is_some_and(|spans| (read - right).abs() > spans[element % channels]);
            all[element % channels].push(if far { right } else { read });
        }
    }
    all
}

/// Biases layer by layer, each after a run from the first layer.
fn oracle(setting: &Setting, read: &dyn Fn(usize) -> ImageRead<'static>) -> (Graph, usize) {
    let mut graph = setting.graph.clone();
    let mut changed = 0;
    for node in 0..graph.nodes.len() {
        if graph.nodes[node].op.product().is_none() {
            continue;
        }
        let clean = sums_of(&setting.graph, node, &setting.pixels, None, &|_| setting.clean());
        let spans: Vec<i64> = clean
            .iter()
            .map(|sums| sums.iter().max().unwrap() - sums.iter().min().unwrap())
            .collect();
        let found = sums_of(&graph, node, &setting.pixels, Some(&spans), read);
        let Op::Conv2d(conv) = &mut graph.nodes[node].op else { continue };
        for ((bias, clean), found) in conv.bias.iter_mut().zip(&clean).zip(&found) {
            let count = clean.len() as i64;
            let lost = clean.iter().sum::<i64>() - found.iter().sum::<i64>();
            let by = lost.signum() * ((2 * lost.abs() + count) / (2 * count));
            *bias = i32::try_from(i64::from(*bias) + by).unwrap();
            changed += usize::from(by != 0);
        }
    }
    (graph, changed)
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn one_pass_over_the_layers_gives_the_biases_of_a_run_per_layer() {
    let (mut lasting, mut each) = (0, 0);
    for seed in 0..80 {
        let setting = Setting::new(seed);
        let kernel = vmin_kernels::best();
        let of = || Calibration::new(&setting.graph, &setting.pixels, kernel, &STOP).unwrap();
        let calibration = with_threads(1 + seed as usize % 3, of);

        let ImageRead { weights, activations, sums } = setting.read(9);
        let faults = BufferFaults { activations: activations.as_ref(), sums: sums.as_ref() };
        let found = |threads| {
            let of = || calibration.recalibrated(&weights.codes, faults, Corrected::Biases, &STOP);
            with_threads(threads, of).unwrap()
        };
        let (expected, changed) = oracle(&setting, &|_| setting.read(9));
        assert_eq!(found(1), expected, "seed {seed}");
        assert_eq!(found(3), expected, "seed {seed}");
        lasting += changed;
        let same = calibration.recalibrated_reread(|_| setting.read(9), Corrected::Biases, &STOP);
        assert_eq!(same.unwrap(), expected, "seed {seed}");

        let read = |image| setting.read(image as u64);
        let (expected, changed) = oracle(&setting, &read);
        let found = calibration.recalibrated_reread(read, Corrected::Biases, &STOP);
        assert_eq!(found.unwrap(), expected, "seed {seed}");
        each += changed;
    }
    assert!(lasting > 1000 && each > 1000, "{lasting} {each}");
}

#[test]
fn a_chip_without_faults_changes_nothing() {
    for seed in 0..80 {
        let setting = Setting::new(seed);
        let kernel = vmin_kernels::best();
        let calibration = Calibration::new(&setting.graph, &setting.pixels, kernel, &STOP).unwrap();
        let codes = written(&setting.graph);
        let activations = ActivationFaults::new(&setting.activations.0, &[], setting.kind, None);
        let sums = SumFaults::new(&setting.sums.0, &[], setting.kind, setting.bias_in_memory);
        let faults = BufferFaults { activations: Some(&activations), sums: Some(&sums) };
        for corrected in [Corrected::Biases, Corrected::BiasesAndMultipliers] {
            let found = calibration.recalibrated(&codes, faults, corrected, &STOP).unwrap();
            assert_eq!(found, setting.graph, "seed {seed}");
        }
    }
}

#[test]
fn corrected_channels_have_the_mean_and_deviation_of_the_clean_ones() {
    let mut stretched = 0;
    for seed in 0..60 {
        let setting = Setting::new(seed);
        let kernel = vmin_kernels::best();
        let calibration = Calibration::new(&setting.graph, &setting.pixels, kernel, &STOP).unwrap();
        let codes = setting.read(1).weights.codes;
        for corrected in [Corrected::Biases, Corrected::BiasesAndMultipliers] {
            let faults = BufferFaults::default();
            let graph = calibration.recalibrated(&codes, faults, corrected, &STOP).unwrap();
            graph.validate().unwrap();
            let read = |_| ImageRead {
                weights: Corrupted { codes: codes.clone(), applied: Applied::default() },
                activations: None,
                sums: None,
            };
            let products = graph.nodes.iter().enumerate();
            for (node, conv) in products.filter_map(|(i, node)| Some((i, node.op.product()?))) {
                let before = setting.graph.nodes[node].op.product().unwrap();
                let clean =
                    sums_of(&setting.graph, node, &setting.pixels, None, &|_| setting.clean());
                let found = sums_of(&graph, node, &setting.pixels, None, &read);
                for channel in 0..conv.bias.len() {
                    // Scaled, as codes before they are rounded.
                    let [old, new] = [before, conv].map(|conv| conv.multipliers[channel]);
                    let moments = |sums: &[i64], factor: f64| {
                        let count = sums.len() as f64;
                        let mean = sums.iter().sum::<i64>() as f64 / count;
                        let squares = sums.iter().map(|&sum| (sum as f64 - mean).powi(2));
                        (mean * factor, (squares.sum::<f64>() / count).sqrt() * factor)
                    };
                    let (mean, deviation) = moments(&clean[channel], old);
                    let (of_chip, deviation_of_chip) = moments(&found[channel], new);
                    // A bias moves all sums by whole steps.
                    let room = 0.5 * new + 1e-6 * mean.abs();
                    assert!((mean - of_chip).abs() <= room, "seed {seed} node {node}");
                    let ratio = new / old;
                    if corrected == Corrected::Biases {
                        assert_eq!(ratio, 1.0);
                    } else if ratio != 1.0 && ratio > 0.26 && ratio < 3.9 {
                        assert!((deviation / deviation_of_chip - 1.0).abs() < 1e-6);
                        stretched += 1;
                    }
                }
            }
        }
    }
    assert!(stretched > 300, "{stretched}");
}

#[test]
fn a_request_to_stop_ends_it() {
    let setting = Setting::new(3);
    let kernel = vmin_kernels::best();
    let stop = AtomicBool::new(true);
    let found = Calibration::new(&setting.graph, &setting.pixels, kernel, &stop).err();
    assert_eq!(found, Some(EmulatorError::Stopped(Stopped)));
}
