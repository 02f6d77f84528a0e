//! The fast executor has the bits of the slow one, for every kernel of this machine.

use vmin_nn::Executor;
use vmin_nn::exec::reference;

#[test]
fn random_graphs_with_random_corruption() {
    for seed in 0..400 {
        let graph = vmin_testkit::random_graph(seed);
        graph.validate().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let mut rng = vmin_testkit::Lcg(!seed);
        // Corrupted memories hold any code, those of no clean network included.
        let codes: Vec<Vec<u8>> = graph
            .weights
            .iter()
            .map(|w| w.codes.iter().map(|_| rng.byte() >> (8 - w.bits)).collect())
            .collect();
        for input in
            [rng.codes(graph.tensors[0].elements()), vec![-128; graph.tensors[0].elements()]]
        {
            let expected = reference::run(&graph, &codes, &input).unwrap();
            for kernel in vmin_kernels::available() {
                let executor = Executor::new(&graph, kernel);
                let weights = executor.load_weights(&codes);
                let found = executor.run_all(&weights, &input);
                for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    assert!(found == expected, "seed {seed} {} tensor {index}", kernel.name());
                }
            }
        }
    }
}

#[test]
fn a_scratch_carries_nothing_from_one_image_to_the_next() {
    let graph = vmin_testkit::random_graph(7);
    let executor = Executor::new(&graph, vmin_kernels::best());
    let weights = executor.load_clean_weights();
    let mut rng = vmin_testkit::Lcg(1);
    let images: Vec<_> = (0..4).map(|_| rng.codes(graph.tensors[0].elements())).collect();
    let mut scratch = executor.scratch();
    for image in images.iter().chain(images.iter().rev()) {
        let fresh = executor.run_all(&weights, image);
        assert_eq!(executor.run(&weights, image, &mut scratch), fresh[graph.output.0]);
    }
}
