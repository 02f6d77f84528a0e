//! Random small networks.

use vmin_nn::{
    Activation, Add, Conv2d, ConvKind, Dtype, Extremum, ExtremumKind, Graph, GroupNorm, Node, Op,
    Pixels, Pool2d, PoolKind, Quantization, Rounding, Softmax, Tensor, TensorId, WeightId,
    WeightTensor,
};
use vmin_quant::{Encoding, FixedMultiplier};

use crate::Lcg;

/// Grows a graph node by node; the last tensor is the end of the chain.
struct Builder {
    rng: Lcg,
    graph: Graph,
}

impl Builder {
    fn new(seed: u64) -> Self {
        let mut rng = Lcg(seed);
        let shape = vec![rng.pick(1..=9), rng.pick(1..=9), rng.pick(1..=20)];
        let input = tensor(&mut rng, 0, shape);
        let graph = Graph {
            name: "random".into(),
            tensors: vec![input],
            weights: Vec::new(),
            nodes: Vec::new(),
            input: TensorId(0),
            output: TensorId(0),
            // Every third graph has each extra operator, every ninth each of them with each rounding.
            rounding: Rounding::ALL[(seed / 3 % 3) as usize].1,
            pixels: Some(Pixels::Codes { offset: 128 }),
        };
        Self { rng, graph }
    }

    fn last(&self) -> TensorId {
        TensorId(self.graph.tensors.len() - 1)
    }

    fn shape(&self, id: TensorId) -> Vec<usize> {
        self.graph.tensors[id.0].shape.clone()
    }

    fn activation(&mut self) -> Activation {
        let [a, b] = [self.rng.byte() as i8, self.rng.byte() as i8];
        match self.rng.pick(0..=2) {
            0 => Activation { min: a.min(b), max: a.max(b) },
            _ => Activation { min: -128, max: 127 },
        }
    }

    fn push(&mut self, op: Op, inputs: Vec<TensorId>, output: Tensor) -> TensorId {
        let index = self.graph.nodes.len();
        let id = TensorId(self.graph.tensors.len());
        self.graph.tensors.push(output);
        self.graph.nodes.push(Node { name: format!("node_{index}"), op, inputs, output: id });
        self.graph.output = id;
        id
    }

    fn weights(&mut self, shape: Vec<usize>) -> WeightId {
        let rng = &mut self.rng;
        let bits = rng.pick(1..=8) as u8;
        let encodings = [Encoding::TwosComplement, Encoding::OffsetBinary, Encoding::SignMagnitude];
        let channels = shape[0];
        let per_channel = |rng: &mut Lcg| [1, channels][rng.pick(0..=1)];
        let zero_points = match rng.pick(0..=1) {
            0 => vec![0],
            _ => (0..per_channel(rng)).map(|_| i32::from(rng.byte() as i8)).collect(),
        };
        let codes = (0..shape.iter().product()).map(|_| rng.byte() >> (8 - bits)).collect();
        self.graph.weights.push(WeightTensor {
            name: format!("weights_{}", self.graph.weights.len()),
            bits,
            encoding: encodings[rng.pick(0..=2)],
            codes,
            scales: (0..per_channel(rng)).map(|_| 0.01 + f32::from(rng.byte()) / 1e4).collect(),
            zero_points,
            shape,
        });
        WeightId(self.graph.weights.len() - 1)
    }

    fn multipliers(&mut self, n: usize) -> Vec<f64> {
        let any = |rng: &mut Lcg| FixedMultiplier {
            multiplier: (1 << 30) | (i32::from(rng.byte()) << 22) | i32::from(rng.byte()),
            shift: rng.pick(0..=14) as i32 - 12,
        };
        (0..n).map(|_| any(&mut self.rng).real()).collect()
    }

    fn conv(&mut self, kind: ConvKind) -> TensorId {
        let input = self.last();
        let [h, w, c] = self.shape(input)[..] else { panic!("an image") };
        let out = match kind {
            ConvKind::Dense | ConvKind::FullyConnected => self.rng.pick(1..=24),
            ConvKind::Depthwise => c * self.rng.pick(1..=2),
        };
        let per_group = if kind == ConvKind::Dense { c } else { 1 };
        let kernel = [self.rng.pick(1..=3), self.rng.pick(1..=3)];
        let stride = [self.rng.pick(1..=2), self.rng.pick(1..=2)];
        let dilation = [self.rng.pick(1..=2), self.rng.pick(1..=2)];
        let mut padding = [0; 2];
        let mut output = [0; 2];
        for (axis, size) in [h, w].into_iter().enumerate() {
            let reach = (kernel[axis] - 1) * dilation[axis];
            padding[axis] = self.rng.pick(0..=reach);
            output[axis] = self.rng.pick(1..=(size + padding[axis] - 1) / stride[axis] + 1);
        }
        let weights = self.weights(vec![out, kernel[0], kernel[1], per_group]);
        let conv = Conv2d {
            kind,
            weights,
            bias: (0..out).map(|_| i32::from(self.rng.byte() as i8) * 97).collect(),
            multipliers: self.multipliers(out),
            stride,
            dilation,
            padding,
            activation: self.activation(),
        };
        let output = tensor(&mut self.rng, 1, vec![output[0], output[1], out]);
        self.push(Op::Conv2d(conv), vec![input], output)
    }

    fn fully_connected(&mut self) -> TensorId {
        let input = self.last();
        let features = self.graph.tensors[input.0].elements();
        let out = self.rng.pick(1..=20);
        let weights = self.weights(vec![out, features]);
        let conv = Conv2d {
            kind: ConvKind::FullyConnected,
            weights,
            bias: (0..out).map(|_| i32::from(self.rng.byte() as i8) * 97).collect(),
            multipliers: self.multipliers(out),
            stride: [1, 1],
            dilation: [1, 1],
            padding: [0, 0],
            activation: self.activation(),
        };
        let output = tensor(&mut self.rng, 1, vec![out]);
        self.push(Op::Conv2d(conv), vec![input], output)
    }

    fn pool(&mut self, kind: PoolKind) -> TensorId {
        let input = self.last();
        let from = self.graph.tensors[input.0].clone();
        let window = [self.rng.pick(1..=3), self.rng.pick(1..=3)];
        let stride = [self.rng.pick(1..=2), self.rng.pick(1..=2)];
        let padding = window.map(|size| self.rng.pick(0..=size - 1));
        let size = |axis: usize, rng: &mut Lcg| {
            rng.pick(1..=(from.shape[axis] + padding[axis] - 1) / stride[axis] + 1)
        };
        let shape = vec![size(0, &mut self.rng), size(1, &mut self.rng), from.shape[2]];
        let pool = Pool2d { kind, window, stride, padding, activation: self.activation() };
        self.push(Op::Pool2d(pool), vec![input], Tensor { shape, ..from })
    }

    fn add(&mut self) -> TensorId {
        let a = self.last();
        let same: Vec<_> =
            (0..=a.0).map(TensorId).filter(|t| self.shape(*t) == self.shape(a)).collect();
        let b = same[self.rng.pick(0..=same.len() - 1)];
        let shape = self.shape(a);
        let output = tensor(&mut self.rng, 1, shape);
        let activation = self.activation();
        self.push(Op::Add(Add { activation }), vec![a, b], output)
    }

    /// The maximum or minimum of the last tensor and its pool.
    fn extremum(&mut self, kind: ExtremumKind) -> TensorId {
        let a = self.last();
        let from = self.graph.tensors[a.0].clone();
        let pool = Pool2d {
            kind: PoolKind::Average,
            window: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            activation: Activation { min: -128, max: 127 },
        };
        let b = self.push(Op::Pool2d(pool), vec![a], from.clone());
        self.push(Op::Extremum(Extremum { kind }), vec![a, b], from)
    }

    fn group_norm(&mut self) -> TensorId {
        let input = self.last();
        let shape = self.shape(input);
        let channels = shape[2];
        let divisors: Vec<_> = (1..=channels).filter(|n| channels.is_multiple_of(*n)).collect();
        let norm = GroupNorm {
            groups: divisors[self.rng.pick(0..=divisors.len() - 1)],
            epsilon: 1 + self.rng.pick(0..=1000) as u64 * 37,
            gains: (0..channels)
                .map(|_| FixedMultiplier {
                    multiplier: (1 << 30) | (i32::from(self.rng.byte()) << 22),
                    shift: self.rng.pick(0..=8) as i32,
                })
                .collect(),
            offsets: (0..channels)
                .map(|_| i32::from(self.rng.byte() as i8) << self.rng.pick(0..=17))
                .collect(),
            activation: self.activation(),
        };
        let output = tensor(&mut self.rng, 1, shape);
        self.push(Op::GroupNorm(norm), vec![input], output)
    }

    fn softmax(&mut self) -> TensorId {
        let input = self.last();
        let output = Tensor {
            name: "softmax".into(),
            shape: self.shape(input),
            dtype: Dtype::I8,
            quantization: Quantization { scale: 1.0 / 256.0, zero_point: -128 },
        };
        self.push(Op::Softmax(Softmax { beta: 1.0 }), vec![input], output)
    }

    fn reshape(&mut self) -> TensorId {
        let input = self.last();
        let from = self.graph.tensors[input.0].clone();
        let shape = vec![from.elements()];
        self.push(Op::Reshape, vec![input], Tensor { shape, ..from })
    }
}

fn tensor(rng: &mut Lcg, kind: usize, shape: Vec<usize>) -> Tensor {
    Tensor {
        name: format!("t{kind}"),
        shape,
        dtype: [Dtype::I8, Dtype::U8][rng.pick(0..=1)],
        quantization: Quantization {
            scale: 0.01 + f32::from(rng.byte()) / 1e3,
            zero_point: i32::from(rng.byte() as i8),
        },
    }
}

/// A valid graph of every operation, shaped by `seed`.
#[must_use]
pub fn random_graph(seed: u64) -> Graph {
    let mut b = Builder::new(seed);
    for _ in 0..b.rng.pick(1..=6) {
        match b.rng.pick(0..=5) {
            0 | 1 => b.conv(ConvKind::Dense),
            2 => b.conv(ConvKind::Depthwise),
            3 => b.add(),
            4 => b.pool(PoolKind::Average),
            _ => b.pool(PoolKind::Max),
        };
    }
    if seed % 3 == 2 {
        b.extremum([ExtremumKind::Maximum, ExtremumKind::Minimum][seed as usize % 2]);
    }
    if seed % 3 == 1 {
        b.group_norm();
        if seed.is_multiple_of(2) {
            b.conv(ConvKind::Dense);
        }
    }
    if b.rng.pick(0..=1) == 0 {
        b.reshape();
    }
    b.fully_connected();
    b.softmax();
    b.graph
}
