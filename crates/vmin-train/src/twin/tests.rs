use vmin_nn::data::{Split, shapes};
use vmin_nn::{Executor, Graph, Op, TensorId};
use vmin_testkit::random_graph;

use super::Twin;
use crate::Engine;
use crate::network::forward;

/// The graph of one node.
fn alone(graph: &Graph, index: usize) -> Graph {
    let mut node = graph.nodes[index].clone();
    let mut one = graph.clone();
    one.tensors =
        node.inputs.iter().chain([&node.output]).map(|id| graph.tensors[id.0].clone()).collect();
    one.weights.clear();
    if let Op::Conv2d(conv) = &mut node.op {
        one.weights.push(graph.weights[conv.weights.0].clone());
        conv.weights = vmin_nn::WeightId(0);
    }
    node.inputs = vec![TensorId(0)];
    node.output = TensorId(1);
    (one.input, one.output, one.nodes) = (TensorId(0), TensorId(1), vec![node]);
    one
}

#[test]
fn every_operator_is_its_integer_one_up_to_a_rounding() {
    let mut seen = std::collections::BTreeMap::<&str, usize>::new();
    for seed in 0..400 {
        let graph = random_graph(seed);
        for index in 0..graph.nodes.len() {
            let (word, activation) = match &graph.nodes[index].op {
                Op::Conv2d(conv) => match conv.kind {
                    vmin_nn::ConvKind::Dense => ("dense", conv.activation),
                    vmin_nn::ConvKind::Depthwise => ("depthwise", conv.activation),
                    vmin_nn::ConvKind::FullyConnected => ("connected", conv.activation),
                },
                Op::Pool2d(pool) => ("pool", pool.activation),
                // Two inputs, and an epsilon of its own: both in the networks below.
                Op::Add(_) | Op::GroupNorm(_) => continue,
                Op::Extremum(_) | Op::Reshape | Op::Softmax(_) => continue,
            };
            let one = alone(&graph, index);
            let Ok(twin) = Twin::of(&one) else { continue };
            let executor = Executor::new(&one, vmin_kernels::best());
            let mut codes = vmin_testkit::Lcg(seed);
            let input = codes.codes(one.tensors[0].elements());
            let [from, to] = [0, 1].map(|id| one.tensors[id].quantization);
            let expected = executor.run_all(&executor.load_clean_weights(), &input);
            let real = |&code: &i8| from.scale * (i32::from(code) - from.zero_point) as f32;
            let inputs: Vec<f32> = input.iter().map(real).collect();
            let values = forward(&twin.network, &twin.network.parameter_values(), &inputs);
            for (&real, &code) in values[1].iter().zip(&expected[1]) {
                let told = f64::from(real / to.scale) + f64::from(to.zero_point);
                let told = told.clamp(activation.min.into(), activation.max.into());
                let off = (told - f64::from(code)).abs();
                // Sums of two roundings, and the errors of f32 in sums of large terms.
                assert!(off < 1.02 + 2e-5 * told.abs(), "{seed} {index} {word}: {told} {code}");
            }
            *seen.entry(word).or_default() += 1;
        }
    }
    assert!(seen.len() == 4 && seen.values().all(|&count| count > 5), "{seen:?}");
}

#[test]
fn unknown_operators_are_named_together() {
    let refused: Vec<String> = (0..200)
        .filter_map(|seed| Twin::of(&random_graph(seed)).err())
        .map(|error| error.to_string())
        .collect();
    let all = refused.join("\n");
    for part in ["maximum and minimum", "windows of a pool", "strides", "; `node_"] {
        assert!(all.contains(part), "{part}");
    }
}

/// A builtin network with some images.
fn builtin(name: &str, images: usize) -> (Graph, Vec<u8>, Vec<u8>) {
    let graph = vmin_nn::model::load(std::path::Path::new(name)).expect("builtin");
    let data = shapes::generate(shapes::SEED, Split::Test, images);
    (graph, data.images, data.labels)
}

#[test]
fn a_network_and_its_twin_agree_on_classes() {
    for name in BUILTIN {
        let (graph, pixels, labels) = builtin(name, 300);
        let twin = Twin::of(&graph).expect("a twin");
        let inputs = twin.inputs(&graph, &pixels).expect("a rule");
        let executor = Executor::new(&graph, vmin_kernels::best());
        let weights = executor.load_clean_weights();
        let mut scratch = executor.scratch();
        let size = graph.tensors[graph.input.0].elements();
        let parameters = twin.network.parameter_values();
        let mut agree = 0;
        for (pixels, inputs) in pixels.chunks(size).zip(inputs.chunks(size)) {
            let class = executor.classify(&weights, pixels, &mut scratch);
            let values = forward(&twin.network, &parameters, inputs);
            let logits = values.last().expect("logits");
            agree += usize::from(crate::loss::argmax(logits) == class);
        }
        assert!(agree * 100 >= 98 * labels.len(), "{name}: {agree}");
    }
}

const BUILTIN: [&str; 2] = ["builtin:shapes-cnn", "builtin:shapes-randbet-8bit"];

#[test]
fn derivatives_by_integers_are_the_changes_of_the_loss() {
    let (graph, pixels, labels) = builtin(BUILTIN[0], 32);
    let twin = Twin::of(&graph).expect("a twin");
    let inputs = twin.inputs(&graph, &pixels).expect("a rule");
    let codes: Vec<Vec<u8>> = graph.weights.iter().map(|of| of.codes.clone()).collect();
    let engine = &mut Engine::cpu();
    let mut loss =
        |codes: &[Vec<u8>]| twin.slope(engine, codes, &inputs, &labels).expect("on the processor");
    let slope = loss(&codes);
    let by = twin.by_integer(&slope);
    let mut tried = 0;
    for (tensor, by) in by.iter().enumerate() {
        assert_eq!(by.len(), codes[tensor].len());
        let mut order: Vec<usize> = (0..by.len()).collect();
        order.sort_by(|&a, &b| by[b].abs().total_cmp(&by[a].abs()));
        for &index in order.iter().take(4) {
            let mut at = |step: i8| {
                let mut codes = codes.clone();
                let weights = &graph.weights[tensor];
                let table = weights.encoding.decode_table(weights.bits);
                let integer = i32::from(table[usize::from(codes[tensor][index])]) + i32::from(step);
                codes[tensor][index] = weights.encoding.encode(integer, weights.bits).ok()?;
                Some(loss(&codes).loss)
            };
            let (Some(up), Some(down)) = (at(1), at(-1)) else { continue };
            let (told, seen) = (f64::from(by[index]), (up - down) / 2.0);
            assert!(
                (told - seen).abs() < 0.1 * told.abs() + 1e-5,
                "{tensor} {index}: {told} {seen}"
            );
            tried += 1;
        }
    }
    assert!(tried > 8, "{tried}");
}
