//! A network with its channels in another order is the same function.

use vmin_nn::exec::reference;
use vmin_nn::{Graph, Limits, Op, import::tflite};
use vmin_testkit::{Lcg, random_graph};

fn codes(graph: &Graph) -> Vec<Vec<u8>> {
    graph.weights.iter().map(|weights| weights.codes.clone()).collect()
}

fn shuffled(rng: &mut Lcg, channels: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..channels).collect();
    for last in (1..channels).rev() {
        order.swap(last, rng.pick(0..=last));
    }
    order
}

/// Every tensor has the channels of the other graph in their new places.
fn check(graph: &Graph, orders: &[Vec<usize>], inputs: &[Vec<i8>]) {
    let permuted = graph.permuted(orders).unwrap();
    permuted.validate().unwrap();
    let mut of_tensor = vec![None; graph.tensors.len()];
    for (group, order) in graph.channel_groups().iter().zip(orders) {
        group.tensors.iter().for_each(|tensor| of_tensor[tensor.0] = Some(order));
    }
    assert!(of_tensor[graph.input.0].is_none() && of_tensor[graph.output.0].is_none());
    for input in inputs {
        let before = reference::run(graph, &codes(graph), input).unwrap();
        let after = reference::run(&permuted, &codes(&permuted), input).unwrap();
        assert_eq!(before[graph.output.0], after[graph.output.0]);
        for ((before, after), order) in before.iter().zip(&after).zip(&of_tensor) {
            let Some(order) = order else {
                assert_eq!(before, after);
                continue;
            };
            let pixels = before.chunks(order.len()).zip(after.chunks(order.len()));
            for (before, after) in pixels {
                assert!(order.iter().zip(after).all(|(&from, &after)| before[from] == after));
            }
        }
    }
}

#[test]
fn random_networks_stay_the_same_function() {
    let mut moved = [0; 7];
    for seed in 0..400 {
        let graph = random_graph(seed);
        let mut rng = Lcg(seed);
        let groups = graph.channel_groups();
        let orders: Vec<_> =
            groups.iter().map(|group| shuffled(&mut rng, group.channels)).collect();
        let inputs =
            [rng.codes(graph.tensors[0].elements()), rng.codes(graph.tensors[0].elements())];
        check(&graph, &orders, &inputs);
        for node in &graph.nodes {
            let within = groups.iter().any(|group| group.tensors.contains(&node.output));
            let kind = match &node.op {
                Op::Conv2d(_) => 0,
                Op::Pool2d(_) => 1,
                Op::Add(_) => 2,
                Op::Extremum(_) => 3,
                Op::GroupNorm(_) => 4,
                Op::Reshape => 5,
                Op::Softmax(_) => 6,
            };
            moved[kind] += usize::from(within);
        }
    }
    // The last axis of a reshape is longer there, and softmax is the output.
    assert!(moved[..5].iter().all(|&count| count > 10), "{moved:?}");
}

#[test]
fn orders_that_are_none_are_refused() {
    let graph = (0..).map(random_graph).find(|graph| !graph.channel_groups().is_empty()).unwrap();
    let groups = graph.channel_groups();
    let own: Vec<Vec<usize>> = groups.iter().map(|group| (0..group.channels).collect()).collect();
    assert_eq!(graph.permuted(&own).unwrap(), graph);
    assert!(graph.permuted(&own[1..]).is_err());
    let mut twice = own;
    twice[0][0] = twice[0][1];
    let message = graph.permuted(&twice).unwrap_err().to_string();
    assert!(message.contains("an order names each channel once"), "{message}");
}

#[test]
fn resnet8_has_the_groups_of_its_residuals() {
    let Some(path) = vmin_testkit::data("models/mlperf-tiny/pretrainedResnet_quant.tflite") else {
        return;
    };
    let graph = tflite::load(&std::fs::read(path).unwrap(), &Limits::default()).unwrap();
    let groups = graph.channel_groups();
    let sizes: Vec<_> = groups
        .iter()
        .map(|group| (group.channels, group.producers.len(), group.consumers.len()))
        .collect();
    // The sum of the first block is read by the second and by its shortcut; the last by the classifier.
    assert_eq!(sizes, [(16, 2, 3), (16, 1, 1), (32, 1, 1), (32, 2, 2), (64, 1, 1), (64, 2, 1)]);
    let mut rng = Lcg(1);
    let orders: Vec<_> = groups.iter().map(|group| shuffled(&mut rng, group.channels)).collect();
    check(&graph, &orders, &[rng.codes(3072)]);
}
