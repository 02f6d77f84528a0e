//! MLPerf Tiny ResNet-8 against LiteRT's reference kernels: every byte equal.

use std::path::PathBuf;

use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use vmin_nn::exec::{Executor, first_max, reference};
use vmin_nn::{Graph, Limits, Op, WeightTensor, import::tflite, with_weight_bits};

fn data(path: &str) -> Option<PathBuf> {
    vmin_testkit::data(&format!("models/mlperf-tiny/{path}"))
}

fn resnet8() -> Option<Graph> {
    let bytes = std::fs::read(data("pretrainedResnet_quant.tflite")?).unwrap();
    Some(tflite::load(&bytes, &Limits::default()).unwrap())
}

fn codes(graph: &Graph) -> Vec<Vec<u8>> {
    graph.weights.iter().map(|w| w.codes.clone()).collect()
}

#[test]
fn every_tensor_of_eight_images_is_that_of_the_reference_kernels() {
    let (Some(graph), Some(golden)) =
        (resnet8(), data("resnet8_int8_golden_layers_first8_refkernels.npz"))
    else {
        return;
    };
    assert_eq!(graph.weights_total(), 77_360);
    assert_eq!(graph.macs(), 12_501_632);
    let mut golden = NpzReader::new(std::fs::File::open(golden).unwrap()).unwrap();
    // Tensors 0 and 22..=37 of the file are the activations, in execution order.
    let tensors: Vec<ArrayD<i8>> = std::iter::once(0)
        .chain(22..=37)
        .map(|i| golden.by_name(&format!("t/{i}")).unwrap())
        .collect();
    let codes = codes(&graph);
    for image in 0..8 {
        let of = |t: &ArrayD<i8>| {
            t.index_axis(ndarray::Axis(0), image).iter().copied().collect::<Vec<i8>>()
        };
        let run = reference::run(&graph, &codes, &of(&tensors[0])).unwrap();
        for (index, tensor) in graph.tensors.iter().enumerate() {
            let expected = tensors.iter().map(of).filter(|t| t.len() == tensor.elements());
            let close = expected.map(|e| e.iter().zip(&run[index]).filter(|(a, b)| a != b).count());
            assert_eq!(close.min(), Some(0), "image {image}, tensor `{}`", tensor.name);
        }
    }
}

/// Pixels are planar in a CIFAR-10 record, interleaved in the network.
fn cifar10_test() -> Option<Vec<(u8, Vec<i8>)>> {
    let bytes = std::fs::read(vmin_testkit::cifar10()?.join("test_batch.bin")).unwrap();
    let code = |pixel: u8| (i16::from(pixel) - 128) as i8;
    let record = |r: &[u8]| {
        let pixels = &r[1..];
        let hwc = (0..1024).flat_map(|p| [0, 1, 2].map(|c| code(pixels[c * 1024 + p])));
        (r[0], hwc.collect())
    };
    Some(bytes.chunks_exact(3073).map(record).collect())
}

#[test]
fn ten_thousand_outputs_are_those_of_the_reference_kernels() {
    let (Some(graph), Some(golden), Some(images)) =
        (resnet8(), data("resnet8_int8_golden_softmax_test10k.npz"), cifar10_test())
    else {
        return;
    };
    let mut golden = NpzReader::new(std::fs::File::open(golden).unwrap()).unwrap();
    let golden: ArrayD<i8> = golden.by_name("ref_kernels").unwrap();
    let golden = golden.as_slice().unwrap();
    assert_eq!((images.len(), golden.len()), (10_000, 100_000));
    let executor = Executor::new(&graph, vmin_kernels::best());
    let weights = executor.load_weights(&codes(&graph));
    let run = |range: std::ops::Range<usize>| {
        let mut scratch = executor.scratch();
        let (mut correct, mut wrong_bytes) = (0, 0);
        for i in range {
            let output = executor.run(&weights, &images[i].1, &mut scratch);
            wrong_bytes += (0..10).filter(|c| output[*c] != golden[10 * i + c]).count();
            correct += usize::from(first_max(output) == usize::from(images[i].0));
        }
        (correct, wrong_bytes)
    };
    let ((c1, w1), (c2, w2)) = std::thread::scope(|scope| {
        let half = scope.spawn(|| run(0..5_000));
        let other = run(5_000..10_000);
        (half.join().unwrap(), other)
    });
    assert_eq!(w1 + w2, 0, "bytes that differ");
    assert_eq!(c1 + c2, 8_707, "correct of 10,000");
}

#[test]
fn fewer_bits_cost_little_at_first() {
    let (Some(graph), Some(images)) = (resnet8(), cifar10_test()) else { return };
    let correct = |graph: &Graph| {
        let executor = Executor::new(graph, vmin_kernels::best());
        let weights = executor.load_clean_weights();
        let mut scratch = executor.scratch();
        let right = |(label, image): &&(u8, Vec<i8>)| {
            first_max(executor.run(&weights, image, &mut scratch)) == usize::from(*label)
        };
        images[..400].iter().filter(right).count()
    };
    let clean = correct(&graph);
    let at = |bits| {
        let graph = with_weight_bits(&graph, bits).unwrap();
        assert!(graph.weights.iter().all(|w| w.bits == bits));
        correct(&graph)
    };
    let found = [8, 7, 2].map(at);
    assert!(found[0].abs_diff(clean) <= 4);
    assert!(found[1].abs_diff(clean) <= 12);
    assert!(found[2] + 120 < clean, "two bits without training cannot hold it");
}

#[test]
fn fewer_bits_are_the_nearest_weights_at_matching_scales() {
    let Some(graph) = resnet8() else { return };
    for bits in 2..=8 {
        let narrow = with_weight_bits(&graph, bits).unwrap();
        for (old, new) in graph.nodes.iter().zip(&narrow.nodes) {
            let (Op::Conv2d(old), Op::Conv2d(new)) = (&old.op, &new.op) else { continue };
            let [from, to] = [(&graph, old), (&narrow, new)].map(|(g, c)| &g.weights[c.weights.0]);
            let per_channel = from.codes.len() / from.shape[0];
            for (i, (a, b)) in from.codes.iter().zip(&to.codes).enumerate() {
                let scale = |s: &[f32]| f64::from(s[i / per_channel % s.len()]);
                let real = |w: &WeightTensor, code: u8| {
                    f64::from(w.encoding.decode(code, w.bits)) * scale(&w.scales)
                };
                let error = (real(from, *a) - real(to, *b)).abs();
                assert!(error <= scale(&to.scales) * 0.500_001, "{} {bits}", from.name);
            }
            for c in 0..old.bias.len() {
                let scale = |w: &WeightTensor| f64::from(w.scales[c % w.scales.len()]);
                let [s, t] = [scale(from), scale(to)];
                let [m, n] = [old.multipliers[c] / s, new.multipliers[c] / t];
                assert!((m / n - 1.0).abs() < 1e-8);
                let off = f64::from(old.bias[c]) * s / t - f64::from(new.bias[c]);
                assert!(off.abs() <= 0.5);
            }
        }
    }
}
