//! Confidences against a softmax over the reference's real outputs.

use std::sync::atomic::AtomicBool;

use vmin_emulator::{Confidence, Emulator, Images, Prediction, Readout};
use vmin_nn::exec::reference;
use vmin_nn::{Graph, Op};
use vmin_testkit::{Lcg, random_graph};

const IMAGES: usize = 5;

/// The largest probability, each exponential computed where it is needed.
fn slowly(graph: &Graph, outputs: &[i8]) -> f64 {
    let quantization = graph.tensors[graph.output.0].quantization;
    let real = |&code: &i8| {
        f64::from(quantization.scale) * f64::from(i32::from(code) - quantization.zero_point)
    };
    let reals: Vec<f64> = outputs.iter().map(real).collect();
    if quantization.zero_point == -128 && quantization.scale == 1.0 / 256.0 {
        return reals.into_iter().fold(0.0, f64::max);
    }
    let exp: Vec<f64> = reals.into_iter().map(libm::exp).collect();
    exp.iter().fold(0.0, |most, &of| f64::max(most, of)) / exp.iter().sum::<f64>()
}

#[test]
fn a_confidence_is_the_largest_probability() {
    let (mut of_softmax, mut of_logits) = (0, 0);
    for seed in 0..200 {
        let mut graph = random_graph(seed);
        let ends_in_softmax = seed % 2 == 0;
        if !ends_in_softmax {
            let last = graph.nodes.pop().expect("a softmax");
            assert!(matches!(last.op, Op::Softmax(_)));
            graph.output = last.inputs[0];
        }
        let codes: Vec<Vec<u8>> = graph.weights.iter().map(|w| w.codes.clone()).collect();
        let elements = graph.tensors[graph.input.0].elements();
        let mut rng = Lcg(seed);
        let pixels: Vec<u8> =
            rng.codes(IMAGES * elements).into_iter().map(i8::cast_unsigned).collect();
        let images = Images { pixels: &pixels, labels: &[0; IMAGES] };
        let emulator = Emulator::new(&graph, images, vmin_kernels::best()).expect("they fit");
        let never = AtomicBool::new(false);
        let classes = emulator.predict_clean(&never).expect("not stopped");
        let emulator = emulator.reading(Confidence::of_network(&graph));
        let found = emulator.predict_clean(&never).expect("not stopped");
        for ((image, found), class) in pixels.chunks_exact(elements).zip(found).zip(classes) {
            let input = graph.input_codes(image).expect("a rule for pixels");
            let tensors = reference::run(&graph, &codes, &input).expect("valid");
            let slow = slowly(&graph, &tensors[graph.output.0]);
            assert_eq!(found.class, class, "seed {seed}");
            let close = (found.confidence - slow).abs() <= 1e-14;
            assert!(close, "seed {seed}: {} {slow}", found.confidence);
        }
        *(if ends_in_softmax { &mut of_softmax } else { &mut of_logits }) += 1;
    }
    assert_eq!((of_softmax, of_logits), (100, 100));
}

#[test]
fn confidences_are_the_same_bits_everywhere() {
    let mut graph = random_graph(3);
    let output = graph.output.0;
    graph.tensors[output].quantization.scale = 0.07;
    graph.nodes.retain(|node| node.output != graph.output);
    let confidence = Confidence::of_network(&graph);
    let bits = |outputs: &[i8]| {
        let mut prediction = Prediction::default();
        confidence.of(&mut prediction, outputs);
        prediction.confidence.to_bits()
    };
    assert_eq!(bits(&[5; 4]), 0.25_f64.to_bits());
    // Within one step of the doubles nearest to the real values.
    assert_eq!(bits(&[-128, 127, 3, -60, 90]), 4_606_552_512_751_048_605);
    assert_eq!(bits(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), 4_594_006_514_996_851_412);
}
