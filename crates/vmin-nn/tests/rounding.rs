//! Every operator under every rounding against plain readings of the rules, on scales that are rich in ties.

use vmin_nn::{
    Activation, Dtype, Executor, Graph, Limits, Node, Op, Pool2d, PoolKind, Quantization, Rounding,
    Softmax, Tensor, TensorId, import,
};
use vmin_testkit::Lcg;
use vmin_testkit::tflite::{Field, INT8, Tflite, TfliteOperator, TfliteTensor, UINT8};

/// Powers of two, and decimals whose quotients lie beside halves.
const SCALES: [f32; 10] = [1.0, 0.5, 0.25, 0.007_812_5, 0.1, 0.3, 0.18, 0.01, 0.002, 0.05];

/// `real` as a 31-bit significand and a power of two.
fn fixed(real: f64) -> (i128, i32) {
    let mut shift = 0;
    let mut significand = real;
    while significand >= 1.0 {
        (significand, shift) = (significand / 2.0, shift + 1);
    }
    while significand > 0.0 && significand < 0.5 {
        (significand, shift) = (significand * 2.0, shift - 1);
    }
    let multiplier = (significand * 2147483648.0 + 0.5).floor() as i128;
    if multiplier == 1 << 31 { (1 << 30, shift + 1) } else { (multiplier, shift) }
}

/// `x / 2^places`, ties up.
fn up(x: i128, places: i32) -> i128 {
    if places == 0 { x } else { (x + (1 << (places - 1))).div_euclid(1 << places) }
}

/// `x / 2^places`, ties away from zero.
fn away(x: i128, places: i32) -> i128 {
    up(x.abs(), places) * x.signum()
}

fn once(sum: i32, real: f64) -> i128 {
    let (multiplier, shift) = fixed(real);
    up(i128::from(sum) * multiplier, 31 - shift)
}

fn twice(sum: i32, real: f64) -> i128 {
    let (multiplier, shift) = fixed(real);
    let raised = i128::from(sum) << shift.max(0);
    assert!(i32::try_from(raised).is_ok(), "sums of these tests do not wrap");
    away(up(raised * multiplier, 31), (-shift).max(0))
}

/// The integer nearest to a double, ties away from zero.
fn nearest(x: f64) -> i128 {
    let whole = x.abs().trunc();
    let magnitude = if x.abs() - whole >= 0.5 { whole + 1.0 } else { whole };
    (magnitude * x.signum()) as i128
}

fn code(scaled: i128, zero_point: i32) -> i8 {
    (scaled + i128::from(zero_point)).clamp(-128, 127) as i8
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Product {
    Conv,
    Depthwise,
    FullyConnected,
}

/// A layer of one input element: every output is one product and a bias.
struct Layer {
    product: Product,
    element_type: i8,
    /// Of input, weights (one, or one per channel) and output.
    scales: (f32, Vec<f32>, f32),
    /// Of input, weights and output, as held.
    zeros: [i32; 3],
    weights: Vec<i8>,
    bias: Vec<i32>,
}

impl Layer {
    fn random(rng: &mut Lcg, product: Product, element_type: i8, per_channel: bool) -> Self {
        let pick = |rng: &mut Lcg| SCALES[rng.pick(0..=SCALES.len() - 1)];
        let channels = 6;
        let small = |rng: &mut Lcg| [0, 3, -1, -128, 127][rng.pick(0..=4)];
        let count = if per_channel { channels } else { 1 };
        let weights_have_a_zero = element_type == UINT8;
        Self {
            product,
            element_type,
            scales: (pick(rng), (0..count).map(|_| pick(rng)).collect(), pick(rng)),
            zeros: [small(rng), if weights_have_a_zero { small(rng) } else { 0 }, small(rng)],
            weights: (0..channels).map(|i| if i == 0 { 1 } else { rng.byte() as i8 }).collect(),
            bias: (0..channels).map(|_| i32::from(rng.byte() as i8) >> rng.pick(0..=7)).collect(),
        }
    }

    fn file(&self) -> Vec<u8> {
        let (shift, flip) = if self.element_type == UINT8 { (128, 0x80) } else { (0, 0) };
        let zero = |held: i32| i64::from(held + shift);
        let channels = self.weights.len() as i32;
        let (from, to, shape) = match self.product {
            Product::Conv => (vec![1, 1, 1, 1], vec![1, 1, 1, channels], vec![channels, 1, 1, 1]),
            Product::Depthwise => {
                (vec![1, 1, 1, 1], vec![1, 1, 1, channels], vec![1, 1, 1, channels])
            }
            Product::FullyConnected => (vec![1, 1], vec![1, channels], vec![channels, 1]),
        };
        let of = |shape: &[i32], scale, held: i32| {
            TfliteTensor::codes(self.element_type, shape, scale, zero(held), &[])
        };
        let weights = TfliteTensor {
            scales: self.scales.1.clone(),
            zero_points: vec![zero(self.zeros[1]); self.scales.1.len()],
            axis: if self.product == Product::Depthwise { 3 } else { 0 },
            data: self.weights.iter().map(|w| w.cast_unsigned() ^ flip).collect(),
            ..of(&shape, 1.0, 0)
        };
        let depthwise = vec![
            (0, Field::I8(1)),
            (1, Field::I32(1)),
            (2, Field::I32(1)),
            (3, Field::I32(channels)),
        ];
        let operator = match self.product {
            Product::Conv => TfliteOperator::conv(&[0, 1, 2], 3),
            Product::FullyConnected => TfliteOperator::fully_connected(&[0, 1, 2], 3),
            Product::Depthwise => TfliteOperator {
                options: Some((2, depthwise)),
                ..TfliteOperator::new(4, &[0, 1, 2], 3, None)
            },
        };
        let input = of(&from, self.scales.0, self.zeros[0]);
        let output = of(&to, self.scales.2, self.zeros[2]);
        let tensors = vec![input, weights, TfliteTensor::bias(&self.bias), output];
        Tflite::new(tensors, vec![operator]).bytes()
    }

    fn expected(&self, rounding: Rounding, x: i8) -> Vec<i8> {
        let (input, ref weights, output) = self.scales;
        let of = |channel: usize| {
            let weight = weights[channel % weights.len()];
            let sum = (i32::from(x) - self.zeros[0])
                * (i32::from(self.weights[channel]) - self.zeros[1])
                + self.bias[channel];
            let exact = f64::from(input) * f64::from(weight) / f64::from(output);
            let in_single = f64::from(input * weight) / f64::from(output);
            let one = weights.len() == 1;
            let fully_connected = self.product == Product::FullyConnected;
            let held = if one && (fully_connected || self.element_type == UINT8) {
                in_single
            } else {
                exact
            };
            let scaled = match rounding {
                Rounding::Litert23 if fully_connected => nearest(f64::from(sum) * exact),
                Rounding::Single => once(sum, held),
                Rounding::Litert23 | Rounding::Double => twice(sum, held),
            };
            code(scaled, self.zeros[2])
        };
        (0..self.weights.len()).map(of).collect()
    }
}

fn layers() -> impl Iterator<Item = Layer> {
    let mut rng = Lcg(3);
    let products = [Product::Conv, Product::Depthwise, Product::FullyConnected];
    let kinds = [(INT8, false), (INT8, true), (UINT8, false)];
    (0..40).flat_map(move |_| {
        let all = products.iter().flat_map(|&product| kinds.map(|kind| (product, kind)));
        let layers = all.map(|(product, (element_type, per_channel))| {
            Layer::random(&mut rng, product, element_type, per_channel)
        });
        layers.collect::<Vec<_>>()
    })
}

fn run(graph: &Graph, input: &[i8]) -> Vec<Vec<i8>> {
    let executor = Executor::new(graph, vmin_kernels::best());
    executor.run_all(&executor.load_clean_weights(), input)
}

#[test]
fn products_follow_the_rules_for_every_input() {
    // Outputs that another rounding changes: without them, nothing is shown.
    let mut differ = [0; 2];
    for layer in layers() {
        let imported = import::tflite::load(&layer.file(), &Limits::default()).unwrap();
        for (_, rounding) in Rounding::ALL {
            let mut graph = imported.clone();
            graph.round_as(rounding);
            let file = import::native::save(&graph).unwrap();
            assert_eq!(import::native::load(&file, &Limits::default()).unwrap(), graph);
            let executor = Executor::new(&graph, vmin_kernels::best());
            let weights = executor.load_clean_weights();
            let mut scratch = executor.scratch();
            for x in i8::MIN..=i8::MAX {
                let found = executor.run(&weights, &[x], &mut scratch);
                let expected = layer.expected(rounding, x);
                let (product, scales) = (layer.product, &layer.scales);
                assert_eq!(found, expected, "{product:?} {rounding:?} {scales:?} {x}");
                if rounding == Rounding::Litert23 {
                    let others = [Rounding::Single, Rounding::Double];
                    for (count, other) in differ.iter_mut().zip(others) {
                        *count += usize::from(layer.expected(other, x) != expected);
                    }
                }
            }
            graph.round_as(Rounding::Litert23);
            assert_eq!(graph, imported, "back again");
        }
    }
    assert!(differ.iter().all(|&count| count > 1000), "{differ:?}");
}

/// A graph of int8 tensors `[shape, scale, zero point]` with one node.
fn one_node(op: Op, tensors: &[(&[usize], f32, i32, Dtype)]) -> Graph {
    let tensor = |&(shape, scale, zero_point, dtype): &(&[usize], _, _, _)| Tensor {
        name: "t".into(),
        shape: shape.to_vec(),
        dtype,
        quantization: Quantization { scale, zero_point },
    };
    let last = TensorId(tensors.len() - 1);
    Graph {
        name: String::new(),
        tensors: tensors.iter().map(tensor).collect(),
        weights: vec![],
        nodes: vec![Node { name: "node".into(), op, inputs: vec![TensorId(0)], output: last }],
        input: TensorId(0),
        output: last,
        rounding: Rounding::default(),
        pixels: None,
    }
}

#[test]
fn sums_of_all_pairs_follow_the_rules() {
    // The second addend is a convolution of the first: it has another scale and other codes.
    let mut rng = Lcg(9);
    let mut differ = 0;
    for _ in 0..80 {
        let [a, b, out] = [0; 3].map(|_| SCALES[rng.pick(0..=SCALES.len() - 1)]);
        let zeros = [0; 3].map(|_| [0, 3, -128, 127][rng.pick(0..=3)]);
        let whole: &[i32] = &[1, 16, 16, 1];
        let weights = TfliteTensor::codes(INT8, &[1, 1, 1, 1], b, 0, &[3]);
        let tensors = vec![
            TfliteTensor::codes(INT8, whole, a, zeros[0].into(), &[]),
            weights,
            TfliteTensor::bias(&[1]),
            TfliteTensor::codes(INT8, whole, b, zeros[1].into(), &[]),
            TfliteTensor::codes(INT8, whole, out, zeros[2].into(), &[]),
        ];
        let operators =
            vec![TfliteOperator::conv(&[0, 1, 2], 3), TfliteOperator::new(0, &[0, 3], 4, Some(11))];
        let file = Tflite::new(tensors, operators).bytes();
        let Ok(mut graph) = import::tflite::load(&file, &Limits::default()) else {
            continue; // scales too far apart for a sum
        };
        let image: Vec<i8> = (i8::MIN..=i8::MAX).collect();
        let real = [a, b, out].map(f64::from);
        let top = 2.0 * real[0].max(real[1]);
        let mut outputs = Vec::new();
        for (_, rounding) in Rounding::ALL {
            graph.round_as(rounding);
            let tensors = run(&graph, &image);
            let scaled = |sum: i32, factor: f64| match rounding {
                Rounding::Single => once(sum, factor),
                Rounding::Litert23 | Rounding::Double => twice(sum, factor),
            };
            let raised =
                |x: i8, zero: i32, scale: f64| scaled((i32::from(x) - zero) << 20, scale / top);
            for ((&x, &y), &found) in tensors[0].iter().zip(&tensors[1]).zip(&tensors[2]) {
                let sum = raised(x, zeros[0], real[0]) + raised(y, zeros[1], real[1]);
                let sum = i32::try_from(sum).unwrap();
                let expected = code(scaled(sum, top / (1_048_576.0 * real[2])), zeros[2]);
                assert_eq!(found, expected, "{rounding:?} {real:?} {zeros:?} {x} {y}");
            }
            outputs.push(tensors[2].clone());
        }
        assert_eq!(outputs[0], outputs[2]);
        differ += outputs[0].iter().zip(&outputs[1]).filter(|(a, b)| a != b).count();
    }
    assert!(differ > 100, "{differ}");
}

#[test]
fn averages_are_rounded_away_from_zero_under_every_name() {
    for (dtype, shift) in [(Dtype::I8, 0), (Dtype::U8, 128)] {
        let pool = Op::Pool2d(Pool2d {
            kind: PoolKind::Average,
            window: [1, 4],
            stride: [1, 4],
            padding: [0, 0],
            activation: Activation { min: -128, max: 127 },
        });
        let shapes: [&[usize]; 2] = [&[64, 16, 1], &[64, 4, 1]];
        let mut graph = one_node(pool, &shapes.map(|shape| (shape, 0.5, 3, dtype)));
        let image = Lcg(5).codes(64 * 16);
        let expected: Vec<i8> = image
            .chunks(4)
            .map(|four| four.iter().map(|&x| i32::from(x) + shift).sum::<i32>())
            .map(|sum| (nearest(f64::from(sum) / 4.0) - i128::from(shift)) as i8)
            .collect();
        for (_, rounding) in Rounding::ALL {
            graph.round_as(rounding);
            assert_eq!(run(&graph, &image)[1], expected, "{rounding:?}");
        }
    }
}

#[test]
fn other_operators_have_one_arithmetic() {
    for beta in [0.5, 1.0, 16.0] {
        let shape: &[usize] = &[10];
        let tensors = [(shape, 0.25, 3, Dtype::I8), (shape, 1.0 / 256.0, -128, Dtype::I8)];
        let mut graph = one_node(Op::Softmax(Softmax { beta }), &tensors);
        let image = Lcg(6).codes(10);
        let outputs = Rounding::ALL.map(|(_, rounding)| {
            graph.round_as(rounding);
            run(&graph, &image)
        });
        assert!(outputs.iter().all(|output| *output == outputs[0]));
    }
}
