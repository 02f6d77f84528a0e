//! Moments of inputs against sums that a change of one weight makes.

use std::sync::atomic::AtomicBool;

use vmin_emulator::moments;
use vmin_nn::exec::{Executor, LayerSums};
use vmin_nn::{Graph, WeightTensor};
use vmin_testkit::{Lcg, random_graph};

/// By how much each output of a channel changes if a code counts one more: the inputs of the code.
fn inputs(graph: &Graph, node: usize, codes: &[Vec<u8>], code: usize, input: &[i8]) -> Vec<i64> {
    let kernel = vmin_kernels::best();
    let tensor = graph.nodes[node].op.product().unwrap().weights.0;
    let channels = graph.weights[tensor].shape[0];
    let channel = code * channels / graph.weights[tensor].codes.len();
    let sums = |codes: &[Vec<u8>]| {
        let layer = LayerSums::new(graph, node, codes, usize::MAX, kernel).unwrap();
        let mut all = Vec::new();
        let _ = layer.run(input, false, |_, _, sums| all.extend_from_slice(sums));
        all.into_iter().skip(channel).step_by(channels).map(i64::from).collect::<Vec<_>>()
    };
    let WeightTensor { encoding, bits, .. } = graph.weights[tensor];
    let value = i32::from(encoding.decode(codes[tensor][code], bits));
    let step = if value < encoding.max(bits) { 1 } else { -1 };
    let mut other = codes.to_vec();
    other[tensor][code] = encoding.encode(value + step, bits).unwrap();
    let (before, after) = (sums(codes), sums(&other));
    before.iter().zip(after).map(|(a, b)| (b - a) * i64::from(step)).collect()
}

#[test]
fn moments_are_means_of_products_of_inputs() {
    let (kernel, stop) = (vmin_kernels::best(), AtomicBool::new(false));
    let mut seen = 0;
    for seed in 0..40 {
        let graph = random_graph(seed);
        let mut rng = Lcg(seed);
        let size = graph.tensors[graph.input.0].elements();
        let pixels: Vec<u8> = (0..3 * size).map(|_| rng.byte()).collect();
        let about_mean = seed % 2 == 1;
        let Ok(found) = moments(&graph, &pixels, about_mean, kernel, &stop) else { continue };
        let codes: Vec<Vec<u8>> = graph.weights.iter().map(|of| of.codes.clone()).collect();
        let executor = Executor::new(&graph, kernel);
        let loaded = executor.load_weights(&codes);
        let tensors: Vec<Vec<Vec<i8>>> = graph
            .input_codes(&pixels)
            .unwrap()
            .chunks_exact(size)
            .map(|input| executor.run_all(&loaded, input))
            .collect();
        for (node, of) in graph.nodes.iter().enumerate() {
            let Some(conv) = of.op.product() else { continue };
            let WeightTensor { encoding, bits, .. } = graph.weights[conv.weights.0];
            if encoding.max(bits) == encoding.min(bits) {
                continue; // One value, which no code can change.
            }
            let moments = &found[conv.weights.0];
            let side = moments.side();
            let channel = rng.pick(1..=conv.bias.len()) - 1;
            for _ in 0..20.min(side) {
                let [a, b] = [(); 2].map(|()| rng.pick(1..=side) - 1);
                let [x, y] = [a, b].map(|index| -> Vec<i64> {
                    let code = channel * side + index;
                    let of_image = |tensors: &Vec<Vec<i8>>| {
                        inputs(&graph, node, &codes, code, &tensors[of.inputs[0].0])
                    };
                    tensors.iter().flat_map(of_image).collect()
                });
                let mean =
                    |of: &mut dyn Iterator<Item = i64>| of.sum::<i64>() as f64 / x.len() as f64;
                let mut wanted = mean(&mut x.iter().zip(&y).map(|(x, y)| x * y));
                if about_mean {
                    wanted -= mean(&mut x.iter().copied()) * mean(&mut y.iter().copied());
                }
                let found = f64::from(moments.channel(channel)[a * side + b]);
                // Whole numbers of 1/256.
                assert!((found - wanted * 256.0).abs() <= 1.0, "seed {seed}, {node}: {found}");
                seen += 1;
            }
        }
    }
    assert!(seen > 500, "{seen}");
}
