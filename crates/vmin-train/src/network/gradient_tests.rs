//! Every layer's gradient against central differences in f64.

use vmin_nn::PoolKind;

use super::batch_norm::Moments;
use super::{
    Batch, Forward, Gradients, Layer, Memory, Network, Normalization, ParameterKind, Step, ValueId,
    Workspace, backward_batch, forward, forward_batch,
};
use crate::LayerSpec as Spec;
use crate::loss::Goal;
use crate::random::{Purpose, Stream};

/// Step of the differences; their error is of the order of its square.
const STEP: f64 = 1e-5;
/// Largest difference allowed, relative to the largest gradient of the tensor.
const TOLERANCE: f64 = 1e-7;
const LABELS: [u8; 3] = [1, 0, 2];

fn conv(channels: usize, kernel: usize, stride: usize) -> Spec {
    Spec::Conv2d { channels, kernel, stride, bias: true }
}

struct Case {
    network: Network,
    parameters: Vec<Vec<f64>>,
    input: Vec<f64>,
    /// Moments that batch normalizations take as constants.
    moments: Option<Vec<Moments<f64>>>,
    /// Adds the loss of other weights, normalized by the moments of these.
    perturbed: bool,
    /// Lays all values but the logits in a memory that adds something to them.
    displaced: bool,
    goal: Goal<'static, f64>,
}

/// Adds to each element a number that depends on its place.
struct Displacement {
    logits: ValueId,
}

impl Memory<f64> for Displacement {
    fn holds(&self, value: ValueId) -> bool {
        value != self.logits
    }

    fn errs_in_sums(&self, _: ValueId) -> bool {
        true
    }

    /// Every seventh output becomes a constant, the others move.
    fn read_sums(
        &self,
        step: &Step,
        chunk: usize,
        _: &[Vec<f64>],
        _: &[f64],
        made: &mut [f64],
    ) -> Vec<usize> {
        if step.layer.product().is_none() || step.output == self.logits {
            return Vec::new();
        }
        let constants = (0..made.len()).filter(|i| (i + chunk) % 7 == 3).collect();
        for (i, made) in made.iter_mut().enumerate() {
            let by = 0.2 * libm::sin((3 * i + chunk) as f64);
            *made = if (i + chunk) % 7 == 3 { by } else { *made + by };
        }
        constants
    }

    fn read_back(&self, value: ValueId, chunk: usize, made: &[f64], read: &mut Vec<f64>) {
        let by = |i: usize| 0.3 * libm::sin((i + 7 * chunk + 3 * value.0) as f64);
        read.extend(made.iter().enumerate().map(|(i, x)| x + by(i)));
    }
}

impl Case {
    fn new(layers: &[Spec], shape: [usize; 3]) -> Self {
        let network = Network::build(layers, shape, 5).expect("layers fit");
        let mut stream = Stream::new(7, Purpose::Initialization, 1_000);
        let parameters = network
            .parameters
            .iter()
            .map(|p| p.values.iter().map(|&w| f64::from(w) + 0.1 * stream.normal()).collect())
            .collect();
        let images = LABELS.len() * shape.iter().product::<usize>();
        let input = (0..images).map(|_| stream.normal()).collect();
        Self {
            network,
            parameters,
            input,
            moments: None,
            perturbed: false,
            displaced: false,
            goal: Goal::Label,
        }
    }

    /// The same with running averages as constant moments.
    fn constant(mut self) -> Self {
        let (_, forward, _) = self.pass(&self.parameters, Normalization::OfBatch, None);
        self.network.absorb(&forward.statistics);
        self.moments = Some(self.network.running_moments());
        self
    }

    /// Loss, what the forward pass found, gradients.
    fn pass(
        &self,
        parameters: &[Vec<f64>],
        normalization: Normalization<'_, f64>,
        through: Option<&Gradients<f64>>,
    ) -> (f64, Forward<f64>, Gradients<f64>) {
        let Self { network, input, .. } = self;
        let displacement = Displacement { logits: network.output() };
        let memory = self.displaced.then_some(&displacement as &dyn Memory<f64>);
        let image_gradient = true;
        let goal = self.goal;
        let batch = Batch { memory, image_gradient, goal, ..Batch::new(input, &LABELS, 1.0) };
        let mut room = Workspace::default();
        // Chunks of two images and one, so that batch normalization must reach across them.
        let forward = forward_batch(network, parameters, &batch, 2, normalization, &mut room);
        let sum = backward_batch(
            network,
            parameters,
            &batch,
            normalization,
            &forward,
            through,
            &mut room,
        );
        // The images as one more tensor.
        let mut gradients = sum.gradients;
        gradients.push(sum.images);
        (sum.loss, forward, gradients)
    }

    /// Loss and its gradient.
    fn gradients(&self) -> (f64, Gradients<f64>) {
        let normalization =
            self.moments.as_deref().map_or(Normalization::OfBatch, Normalization::Constant);
        let (loss, forward, gradients) = self.pass(&self.parameters, normalization, None);
        if !self.perturbed {
            return (loss, gradients);
        }
        // As in training under errors: other weights, moments of the pass without errors.
        let mut other = self.parameters.clone();
        for (parameter, values) in self.network.parameters.iter().zip(&mut other) {
            if parameter.kind == ParameterKind::Weight {
                values.iter_mut().enumerate().for_each(|(i, w)| *w += 0.2 * libm::sin(i as f64));
            }
        }
        let moments = Normalization::Constant(&forward.moments);
        let (other_loss, _, mut sum) = self.pass(&other, moments, None);
        let (_, _, own) = self.pass(&self.parameters, normalization, Some(&sum));
        for (sum, own) in sum.iter_mut().flatten().zip(own.iter().flatten()) {
            *sum += own;
        }
        (loss + other_loss, sum)
    }

    /// An element of a parameter, or of the images behind them.
    fn element(&mut self, tensor: usize, index: usize) -> &mut f64 {
        let Self { parameters, input, .. } = self;
        let values = if tensor < parameters.len() { &mut parameters[tensor] } else { input };
        &mut values[index]
    }

    fn difference(&mut self, tensor: usize, index: usize) -> f64 {
        let kept = *self.element(tensor, index);
        *self.element(tensor, index) = kept + STEP;
        let above = self.gradients().0;
        *self.element(tensor, index) = kept - STEP;
        let below = self.gradients().0;
        *self.element(tensor, index) = kept;
        (above - below) / (2.0 * STEP)
    }

    fn check(mut self, name: &str) {
        let (_, gradients) = self.gradients();
        for (tensor, gradient) in gradients.iter().enumerate() {
            let largest = gradient.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
            assert!(largest > 1e-6, "{name}: tensor {tensor} gets no gradient");
            for (index, &analytic) in gradient.iter().enumerate() {
                let numeric = self.difference(tensor, index);
                let error = (analytic - numeric).abs() / largest;
                assert!(
                    error < TOLERANCE,
                    "{name}: tensor {tensor}, element {index}: {analytic} against {numeric}"
                );
            }
        }
    }
}

/// A layer is checked through a convolution before it (so that its `dx` matters) and logits after.
#[test]
fn gradients_are_derivatives() {
    let logits = Spec::FullyConnected { features: 3 };
    let cases: Vec<(&str, Vec<Spec>)> = vec![
        ("fully connected", vec![Spec::FullyConnected { features: 4 }, logits.clone()]),
        ("conv 3x3", vec![conv(2, 3, 1), conv(3, 3, 1), logits.clone()]),
        ("conv 1x1", vec![conv(2, 1, 1), conv(3, 1, 1), logits.clone()]),
        ("conv 3x3 stride 2", vec![conv(2, 3, 1), conv(3, 3, 2), logits.clone()]),
        ("conv 5x5 stride 3", vec![conv(2, 3, 1), conv(2, 5, 3), logits.clone()]),
        (
            "batch norm",
            vec![
                Spec::Conv2d { channels: 3, kernel: 3, stride: 1, bias: false },
                Spec::BatchNorm,
                Spec::Relu,
                Spec::Conv2d { channels: 2, kernel: 3, stride: 2, bias: false },
                Spec::BatchNorm,
                logits.clone(),
            ],
        ),
        (
            "group norm",
            vec![
                conv(4, 3, 1),
                Spec::GroupNorm { groups: Some(2) },
                Spec::Relu,
                Spec::Conv2d { channels: 3, kernel: 3, stride: 2, bias: false },
                Spec::GroupNorm { groups: None },
                logits.clone(),
            ],
        ),
        ("relu", vec![conv(3, 3, 1), Spec::Relu, logits.clone()]),
        ("max pool", vec![conv(3, 3, 1), Spec::MaxPool { window: 2 }, logits.clone()]),
        ("average pool", vec![conv(3, 3, 1), Spec::AveragePool { window: 2 }, logits.clone()]),
        ("global average", vec![conv(3, 3, 1), Spec::GlobalAveragePool, logits.clone()]),
        (
            "residual with identity",
            vec![
                conv(2, 3, 1),
                Spec::Residual { body: vec![conv(2, 3, 1)], shortcut: vec![] },
                logits.clone(),
            ],
        ),
        (
            "residual with shortcut",
            vec![
                conv(2, 3, 1),
                Spec::Residual {
                    body: vec![conv(3, 3, 2), Spec::Relu],
                    shortcut: vec![conv(3, 1, 2)],
                },
                logits,
            ],
        ),
    ];
    for (name, layers) in cases {
        Case::new(&layers, [5, 4, 2]).check(name);
        Case { displaced: true, ..Case::new(&layers, [5, 4, 2]) }.check("read otherwise");
        for goal in [Goal::Shares(&[0.25, 1.0, 0.0]), Goal::OtherClass] {
            Case { goal, ..Case::new(&layers, [5, 4, 2]) }.check("another goal");
        }
        let mut cut = Case::new(&layers, [5, 4, 2]);
        cut.network.limits[1..].fill([-0.8, 0.7]);
        cut.check("cut off");
        if layers.contains(&Spec::BatchNorm) {
            Case::new(&layers, [5, 4, 2]).constant().check("constant moments");
            Case { perturbed: true, ..Case::new(&layers, [5, 4, 2]) }.check("moments of another");
        }
    }
}

/// A checker that cannot fail proves nothing.
#[test]
fn the_check_notices_a_wrong_gradient() {
    let layers = [conv(2, 3, 1), Spec::Relu, Spec::FullyConnected { features: 3 }];
    let mut case = Case::new(&layers, [4, 4, 1]);
    let (_, gradients) = case.gradients();
    let numeric = case.difference(0, 3);
    assert!((1.001 * gradients[0][3] - numeric).abs() > TOLERANCE * numeric.abs());
}

#[test]
fn convolution_by_hand() {
    let layers = [conv(1, 3, 2)];
    let net = Network::build(&layers, [3, 3, 1], 0).expect("layers fit");
    let kernel: Vec<f64> = (1..=9).map(f64::from).collect();
    let values = forward(&net, &[kernel, vec![0.5]], &(1..=9).map(f64::from).collect::<Vec<_>>());
    // Kernel taps over the image with a border of zeros, at rows and columns 0 and 2.
    assert_eq!(values[1], [94.5, 106.5, 106.5, 94.5]);
}

#[test]
fn odd_edges_are_dropped_by_pools() {
    let layers = [Spec::MaxPool { window: 2 }];
    let net = Network::build(&layers, [3, 5, 1], 0).expect("layers fit");
    assert_eq!(net.values[1], [1, 2, 1]);
    assert!(matches!(&net.steps[0].layer, Layer::Pool2d(pool) if pool.kind == PoolKind::Max));
    let values = forward(&net, &[], &(0..15).map(f64::from).collect::<Vec<_>>());
    assert_eq!(values[1], [6.0, 8.0]);
}
