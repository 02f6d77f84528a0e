//! Bounds and ranges of partial sums against sums in every order.

use vmin_accel::placement::SumPlacement;
use vmin_accel::{ArraySize, Dataflow};
use vmin_emulator::{sum_bits, sum_bounds, sum_ranges};
use vmin_nn::exec::{OutputSums, reference};
use vmin_nn::{ConvKind, Graph};
use vmin_sram::Geometry;
use vmin_testkit::{Lcg, random_graph};

fn codes(graph: &Graph) -> Vec<Vec<u8>> {
    graph.weights.iter().map(|weights| weights.codes.clone()).collect()
}

/// The weights of a channel, less their zero point.
fn weights(graph: &Graph, node: usize, channel: usize) -> Vec<i64> {
    let tensor = &graph.weights[graph.nodes[node].op.product().unwrap().weights.0];
    let count = tensor.codes.len() / tensor.shape[0];
    let zero = i64::from(tensor.zero_points[channel % tensor.zero_points.len()]);
    let weight = |&code: &u8| i64::from(tensor.encoding.decode(code, tensor.bits)) - zero;
    tensor.codes[channel * count..][..count].iter().map(weight).collect()
}

/// The input codes that make the least and the most of a product.
fn worst(graph: &Graph, node: usize, weight: i64) -> [i8; 2] {
    let zero = graph.tensors[graph.nodes[node].inputs[0].0].quantization.zero_point;
    let product = |code: &i8| weight * i64::from(i32::from(*code) - zero);
    let all = i8::MIN..=i8::MAX;
    [all.clone().min_by_key(product).unwrap(), all.max_by_key(product).unwrap()]
}

#[test]
fn the_worst_input_in_the_worst_order_reaches_the_bound_and_none_goes_beyond() {
    let mut narrow = [0; 33];
    for seed in 0..200 {
        let graph = random_graph(seed);
        let codes = codes(&graph);
        let bits = sum_bits(&graph);
        let mut rng = Lcg(seed);
        for (node, bits) in bits.into_iter().enumerate() {
            let product = graph.nodes[node].op.product();
            assert_eq!(bits.is_some(), product.is_some());
            let (Some(bits), Some(conv)) = (bits, product) else { continue };
            narrow[usize::from(bits)] += 1;
            let [low, high] = sum_bounds(&graph, &codes, node).unwrap();
            let zero = graph.tensors[graph.nodes[node].inputs[0].0].quantization.zero_point;
            let mut reached = [i64::MAX, i64::MIN];
            for (channel, &bias) in conv.bias.iter().enumerate() {
                let weights = weights(&graph, node, channel);
                for side in 0..2 {
                    // The worst image adds all that lowers (or raises) the sum first, and the padding the rest.
                    let mut sum = i64::from(bias);
                    for &weight in &weights {
                        let code = worst(&graph, node, weight)[side];
                        sum += weight * i64::from(i32::from(code) - zero);
                    }
                    reached = [reached[0].min(sum), reached[1].max(sum)];
                }
                // Any image in any order.
                let mut order: Vec<i64> = weights
                    .iter()
                    .map(|weight| weight * i64::from(i32::from(rng.byte() as i8) - zero))
                    .collect();
                order.rotate_left(rng.pick(0..=weights.len() - 1));
                let mut sum = i64::from(bias);
                for tap in order {
                    sum += tap;
                    assert!((low..=high).contains(&sum), "seed {seed} node {node}");
                }
            }
            assert_eq!(reached, [low, high], "seed {seed} node {node}");
            let limit = 1_i64 << (bits - 1);
            assert!(-limit <= low && high < limit);
            let half = limit / 2;
            assert!(bits == 1 || low < -half || high >= half, "{bits} bits are not the fewest");
        }
    }
    assert!(narrow[8..24].iter().filter(|&&count| count > 0).count() > 8, "{narrow:?}");
}

#[test]
fn ranges_are_those_of_all_sums_read_one_by_one() {
    let mut layers = 0;
    for seed in 0..60 {
        let graph = random_graph(seed);
        let mut rng = Lcg(seed);
        let elements = graph.tensors[graph.input.0].elements();
        let pixels: Vec<u8> = (0..4 * elements).map(|_| rng.byte()).collect();
        let size = ArraySize::new(rng.pick(1..=9) as u64, rng.pick(1..=9) as u64).unwrap();
        let geometry = Geometry::new(1, 60, 64).unwrap();
        let (_, dataflow) = Dataflow::ALL[rng.pick(0..=2)];
        let placement = SumPlacement::in_memory(geometry, size, dataflow, &graph).unwrap();
        let bias = rng.pick(0..=1) == 1;
        let mut expected = vec![None; graph.nodes.len()];
        for image in graph.input_codes(&pixels).unwrap().chunks(elements) {
            let tensors = reference::run(&graph, &codes(&graph), image).unwrap();
            for (node, expected) in expected.iter_mut().enumerate() {
                let Some(sums) = OutputSums::new(&graph, &codes(&graph), node) else { continue };
                let input = &tensors[graph.nodes[node].inputs[0].0];
                for element in 0..graph.tensors[graph.nodes[node].output.0].elements() {
                    let fold = placement.layers[node].unwrap().fold;
                    sums.sum(input, element, fold, bias, |sum| {
                        let [low, high] = expected.unwrap_or([sum, sum]);
                        *expected = Some([sum.min(low), sum.max(high)]);
                        sum
                    });
                }
            }
        }
        let kernel = vmin_kernels::best();
        let found = sum_ranges(&graph, &placement, bias, &pixels, 0.0, kernel).unwrap();
        assert_eq!(found, expected, "seed {seed}");
        layers += found.iter().flatten().count();
        let wider = sum_ranges(&graph, &placement, bias, &pixels, 0.5, kernel).unwrap();
        for (wide, range) in wider.iter().zip(&expected) {
            let (Some([low, high]), Some([l, h])) = (wide, range) else { continue };
            assert_eq!((l - low, high - h), ((h - l + 1) / 2, (h - l + 1) / 2));
        }
    }
    assert!(layers > 100, "{layers}");
}

#[test]
fn images_reach_the_bounds_of_fully_connected_layers() {
    for seed in 0..100 {
        let graph = random_graph(seed);
        let node = graph.nodes.len() - 2;
        let conv = graph.nodes[node].op.product().unwrap();
        assert_eq!(conv.kind, ConvKind::FullyConnected);
        let sums = OutputSums::new(&graph, &codes(&graph), node).unwrap();
        let mut reached = [i64::MAX, i64::MIN];
        for channel in 0..conv.bias.len() {
            for side in 0..2 {
                let weights = weights(&graph, node, channel);
                let image: Vec<i8> =
                    weights.iter().map(|&w| worst(&graph, node, w)[side]).collect();
                let sum = i64::from(sums.sum(&image, channel, usize::MAX, false, |sum| sum));
                reached = [reached[0].min(sum), reached[1].max(sum)];
            }
        }
        assert_eq!(Some(reached), sum_bounds(&graph, &codes(&graph), node), "seed {seed}");
    }
}
