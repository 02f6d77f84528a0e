//! Single nodes and their sums against the slow ways.

use vmin_nn::exec::{LayerSums, OutputSums, Step, reference};
use vmin_testkit::{Lcg, random_graph};

/// Changes sums by their place and read, so that a mistaken number shows.
fn disturbed(element: usize, read: u64, sum: i32) -> i32 {
    let mark = element as i32 * 31 + read as i32 * 7;
    if mark % 5 == 0 { sum ^ 1 << (mark % 32) } else { sum }
}

#[test]
fn all_sums_of_random_layers_are_those_output_by_output() {
    let mut reads = 0;
    for seed in 0..150 {
        let graph = random_graph(seed);
        let mut rng = Lcg(!seed);
        let codes: Vec<Vec<u8>> = graph
            .weights
            .iter()
            .map(|w| w.codes.iter().map(|_| rng.byte() >> (8 - w.bits)).collect())
            .collect();
        let input = rng.codes(graph.tensors[graph.input.0].elements());
        let tensors = reference::run(&graph, &codes, &input).unwrap();
        for (node, of) in graph.nodes.iter().enumerate() {
            let inputs: Vec<&[i8]> = of.inputs.iter().map(|id| &tensors[id.0][..]).collect();
            let expected = &tensors[of.output.0];
            let fold = rng.pick(1..=40);
            let bias_in_memory = rng.pick(0..=1) == 1;
            for kernel in vmin_kernels::available() {
                let step = Step::new(&graph, node, &codes, kernel);
                assert_eq!(&step.run(&inputs), expected, "seed {seed} node {node}");
                let sums = LayerSums::new(&graph, node, &codes, fold, kernel);
                let slow = OutputSums::new(&graph, &codes, node);
                assert_eq!(sums.is_some(), slow.is_some());
                let (Some(sums), Some(slow)) = (sums, slow) else { continue };
                assert_eq!(&sums.run(inputs[0], bias_in_memory, |_, _, _| {}), expected);
                let found = sums.run(inputs[0], bias_in_memory, |read, first, sums| {
                    for (element, sum) in (first..).zip(sums) {
                        *sum = disturbed(element, read, *sum);
                        reads += 1;
                    }
                });
                for (element, &found) in found.iter().enumerate() {
                    let mut read = 0;
                    let through = |sum| {
                        read += 1;
                        disturbed(element, read - 1, sum)
                    };
                    let expected = slow.output(inputs[0], element, fold, bias_in_memory, through);
                    assert_eq!(found, expected, "seed {seed} node {node} element {element}");
                }
            }
        }
    }
    assert!(reads > 100_000, "{reads} reads");
}
