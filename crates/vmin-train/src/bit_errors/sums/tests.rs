use vmin_nn::data::{Dataset, Split, shapes};
use vmin_nn::exec::OutputSums;
use vmin_nn::{Graph, Op, Quantization};

use super::super::data::StoredValues;
use super::{BITS, Hit, Product, Sums, lasting, single};
use crate::codec::Encoded;
use crate::deploy::{Fused, fuse, over};
use crate::network::{Network, ParameterId, ValueId};
use crate::random::{Purpose, Stream};
use crate::{Recipe, Trained, weights};

const RECIPE: &str = r#"
name = "sums"
seed = 3
epochs = 1
batch_size = 40
schedule = "constant"
quantization = { bits = 8 }
network = [
  { conv2d = { channels = 6, kernel = 3, stride = 2 } },
  "batch_norm",
  "relu",
  { conv2d = { channels = 5, kernel = 3 } },
  { max_pool = { window = 2 } },
  { fully_connected = { features = 10 } },
]
optimizer = { learning_rate = 0.02, momentum = 0.9, weight_decay = 0 }
input = { zero_pixel = 128, scale = 0.02 }
"#;

/// Every parameter and running average at random.
pub(in crate::bit_errors) fn trained() -> Trained {
    let recipe = Recipe::from_toml(RECIPE).expect("valid");
    let mut network = Network::build(&recipe.network, [16, 16, 1], 3).expect("builds");
    let mut stream = Stream::new(5, Purpose::Initialization, 1_000);
    for values in network.parameters.iter_mut().map(|parameter| &mut parameter.values) {
        values.iter_mut().for_each(|value| *value += 0.1 * super::narrow(stream.normal()));
    }
    for running in &mut network.statistics {
        running.mean.iter_mut().for_each(|mean| *mean = 0.3 * super::narrow(stream.normal()));
        running.variance.iter_mut().for_each(|x| *x = 0.5 + super::narrow(stream.unit()));
    }
    Trained { recipe, network, epochs: Vec::new() }
}

/// A trained network as its accelerator holds it.
pub(in crate::bit_errors) struct Lowered<'n> {
    pub(in crate::bit_errors) graph: Graph,
    pub(in crate::bit_errors) parameters: Vec<Vec<f32>>,
    pub(in crate::bit_errors) encoded: Vec<Encoded>,
    /// Parameters as the codes of the weights give them.
    pub(in crate::bit_errors) seen: Vec<Vec<f32>>,
    pub(in crate::bit_errors) steps: Vec<Fused<'n>>,
    pub(in crate::bit_errors) stored: StoredValues,
    /// The quantization of each stored value.
    pub(in crate::bit_errors) codes: Vec<Option<Quantization>>,
}

pub(in crate::bit_errors) fn lowered<'n>(trained: &'n Trained, data: &Dataset) -> Lowered<'n> {
    let (network, recipe) = (&trained.network, &trained.recipe);
    let graph = trained.lower(data).expect("deployable");
    let parameters = network.parameter_values();
    let encoded = weights::stored(network, &parameters, recipe.storage()).expect("finite");
    let seen = weights::with_codes(network, &parameters, &encoded);
    let steps = fuse(network).expect("deployable");
    let stored = StoredValues::of(&steps);
    let ranges = over(network, &seen, recipe.input, data);
    let ranges: Vec<_> = stored.ranged().iter().map(|value| ranges[value.0]).collect();
    let codes = stored.quantized(network, recipe.input, &ranges);
    Lowered { graph, parameters, encoded, seen, steps, stored, codes }
}

/// Whatever bits of whatever reads flip, an output is the code that the emulated accelerator computes fold by fold
/// in integers.
#[test]
fn outputs_of_wrong_sums_are_those_of_the_integer_network() {
    let trained = trained();
    let data = shapes::generate(shapes::SEED, Split::Train, 64);
    let network = &trained.network;
    let Lowered { graph, parameters, encoded, seen, steps, stored, codes } =
        lowered(&trained, &data);
    let graph_codes: Vec<_> = graph.weights.iter().map(|weights| weights.codes.clone()).collect();
    let products: Vec<usize> =
        (0..graph.nodes.len()).filter(|&node| graph.nodes[node].op.product().is_some()).collect();
    let fused = steps.iter().filter(|fused| fused.step.layer.product().is_some());
    let mut stream = Stream::new(9, Purpose::Initialization, 0);
    let (mut compared, mut differ, mut cut_off, mut within) = (0, 0, 0, 0);
    for (fused, &node) in fused.zip(&products) {
        for fold in [1, 7, 16, 1_000] {
            let moments = network.running_moments();
            let sums =
                stored.sums(network, &parameters, &moments, (&codes, &encoded), (fold, false));
            let layer = sums.layers[fused.step.output.0].as_ref().expect("a product");
            let product = Product::of(&fused.step.layer, &seen).expect("a product");
            let slow = OutputSums::new(&graph, &graph_codes, node).expect("a product");
            let from = codes[fused.step.inputs[0].0].expect("coded");
            let to = codes[fused.output.0].expect("coded");
            let size: usize = product.input.iter().product();
            let input: Vec<i8> =
                (0..size).map(|_| stream.word().to_le_bytes()[0].cast_signed()).collect();
            let x: Vec<f32> = input
                .iter()
                .map(|&code| from.scale * (i32::from(code) - from.zero_point) as f32)
                .collect();
            let reads = product.taps().div_ceil(fold) + 1;
            let outputs: usize = product.output.iter().product();
            for output in (0..outputs).step_by(outputs.div_ceil(60)) {
                let (place, channel) = (output / product.output[2], output % product.output[2]);
                let right = product.sum(&x, place, channel, 0..product.taps())
                    + product.bias.get(channel).map_or(0.0, |&bias| f64::from(bias));
                // Bits that move an output within its range, and all bits.
                let highest = if output % 2 == 0 { BITS } else { 14 };
                let mut mask = || u32::from(stream.unit() < 0.5) << stream.below(highest);
                let masks: Vec<u32> = (0..reads).map(|_| mask()).collect();
                let hits: Vec<Hit> = masks
                    .iter()
                    .enumerate()
                    .filter(|&(_, &mask)| mask != 0)
                    .map(|(read, &mask)| Hit { output, read, mask })
                    .collect();
                if hits.is_empty() {
                    continue;
                }
                let wrong = sums.output(layer, &product, &x, super::narrow(right), &hits);
                let [low, high] = layer.ends[channel];
                cut_off += usize::from(!(low..=high).contains(&wrong));
                within += usize::from((low..=high).contains(&wrong));
                let wrong = wrong.max(low).min(high);
                let (gain, term) = line(network, fused, channel);
                let code = f64::from(wrong) * gain + term;
                let code = libm::round(code / f64::from(to.scale)) + f64::from(to.zero_point);
                let mut reads = masks.iter();
                let expected = slow.output(&input, output, fold, true, |sum| {
                    let mask = reads.next().expect("as many reads");
                    (sum.cast_unsigned() ^ mask).cast_signed()
                });
                assert!(reads.next().is_none(), "as many reads");
                // Multipliers of 31 bits and biases of whole units: a code may round the other way.
                assert!((code - f64::from(expected)).abs() <= 1.0, "{code} {expected} {masks:?}");
                compared += 1;
                differ += usize::from(code != f64::from(expected));
            }
        }
    }
    assert!(compared > 300 && cut_off > 50 && within > 50, "{compared} {cut_off} {within}");
    assert!(differ * 50 < compared, "{differ} of {compared}");
    assert!(graph.nodes.iter().any(|node| matches!(node.op, Op::Pool2d(_))));
}

/// Gain and term of a channel after a product.
fn line(network: &Network, fused: &Fused<'_>, channel: usize) -> (f64, f64) {
    let Some(norm) = fused.norm else { return (1.0, 0.0) };
    let value = |id: ParameterId| f64::from(network.parameters[id.0].values[channel]);
    let statistics = &network.statistics[norm.statistics];
    let inverse = statistics.inverse_deviations().nth(channel).expect("a channel");
    let gain = (1.0 + value(norm.scale)) * inverse;
    (gain, value(norm.shift) - gain * f64::from(statistics.mean[channel]))
}

#[test]
fn single_reads_err_at_their_rate_and_lasting_ones_in_every_image() {
    let mut stream = Stream::new(1, Purpose::DataErrors, 0);
    let (outputs, reads, rate) = (500, 7, 0.01);
    let hits = single(outputs, reads, rate, &mut stream);
    let bits: u32 = hits.iter().map(|hit| hit.mask.count_ones()).sum();
    let expected = (outputs * reads * BITS) as f64 * rate;
    assert!((f64::from(bits) - expected).abs() < 5.0 * expected.sqrt(), "{bits}");
    assert!(hits.windows(2).all(|w| (w[0].output, w[0].read) < (w[1].output, w[1].read)));
    assert!(hits.iter().all(|hit| hit.output < outputs && hit.read < reads));

    let hits = lasting(outputs, 3, reads, rate, &mut Stream::new(2, Purpose::DataErrors, 0));
    assert!(hits.windows(2).all(|w| (w[0].output, w[0].read) < (w[1].output, w[1].read)));
    let of = |image: usize, read: usize| -> Vec<(usize, u32)> {
        let here = hits.iter().filter(|hit| hit.output / outputs == image && hit.read == read);
        here.map(|hit| (hit.output % outputs, hit.mask)).collect()
    };
    assert!(of(0, 0).len() > 100);
    for (image, read) in [(0, 6), (1, 0), (2, 3)] {
        assert_eq!(of(image, read), of(0, 0), "{image} {read}");
    }
}

#[test]
fn nothing_errs_at_a_rate_of_zero_or_without_a_product() {
    let trained = trained();
    let step = &trained.network.steps[0];
    let mut made = vec![1.0; trained.network.elements(step.output)];
    let sums = Sums { fold: 4, layers: Vec::new() };
    let mut stream = Stream::new(1, Purpose::DataErrors, 0);
    let parameters = trained.network.parameter_values();
    let cut_off = sums.read(step, &parameters, &[], &mut made, (0.1, false), &mut stream);
    assert!(cut_off.is_empty() && made.iter().all(|&made| made == 1.0));
    assert!(!sums.errs(ValueId(1)));
    assert!(single(100, 3, 0.0, &mut stream).is_empty());
}
